"""What jobs left outside: an HTTP server that notes each request, and files that commands append to."""

from __future__ import annotations

import asyncio
import pathlib
import threading
import time


class Recorder:
    """Notes path and instant (ms of the wall clock) of each request and answers 200 at once."""

    def __init__(self):
        self.seen: list[tuple[str, float]] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=[ready], daemon=True)
        self._thread.start()
        ready.wait()

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._client, "127.0.0.1", 0, backlog=4096))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.seen.append((head.split(b" ", 2)[1].decode(), time.time() * 1000))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def lines(file: pathlib.Path) -> list[list[str]]:
    """The words of each whole line that jobs have appended."""
    if not file.exists():
        return []
    text = file.read_text()
    return [line.split(" ") for line in text[:text.rfind("\n") + 1].splitlines()]
