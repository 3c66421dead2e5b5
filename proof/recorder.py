"""What jobs left outside: an HTTP server that notes each request, and files that commands append to."""

from __future__ import annotations

import asyncio
import pathlib
import threading
import time


class Connection(asyncio.Protocol):
    """One client; the work of a request is small, so that requests that come together are noted as they come."""

    def __init__(self, recorder: Recorder):
        self._recorder, self._held = recorder, b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        at = time.time() * 1000
        *heads, self._held = (self._held + data).split(b"\r\n\r\n")
        for head in heads:
            self._recorder.seen.append((head.split(b" ", 2)[1].decode(), at))
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


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
        made = self._loop.create_server(lambda: Connection(self), "127.0.0.1", 0, backlog=4096)
        self.port = self._loop.run_until_complete(made).sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()

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
