"""The server as its user runs it: the release binary, a data folder, a port of its own."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time

from .report import Broken, demand, until

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("PROOF_BINARY") or ROOT / "target/release/timerjobs")
HEALTHY_WITHIN = 30.0


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Server:
    """One data folder; it may be started, killed and started again."""

    def __init__(self, folder: pathlib.Path, settings: dict[str, str] | None = None, *, wrapper: list[str] = (),
                 data: pathlib.Path | None = None):
        self.folder = folder
        self.data = data or folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.settings = settings or {}
        self.wrapper = list(wrapper)
        self.process: subprocess.Popen | None = None
        self.log = folder / "server.log"
        self._local = threading.local()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.kill()

    def environment(self) -> dict[str, str]:
        own = {
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "TZ": "UTC", "LOG_LEVEL": "INFO",
            "DATA_DIR": str(self.data), "PORT": str(self.port), "HOST": "127.0.0.1",
        }
        return own | self.settings

    def spawn(self, *arguments: str) -> subprocess.Popen:
        """Any command of the program, in this folder; its words go to the log."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*self.wrapper, str(BINARY), *arguments], cwd=self.folder, env=self.environment(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )

    def start(self, seconds: float = HEALTHY_WITHIN) -> Server:
        """Starts it and waits until it is healthy."""
        self.process = self.spawn("start")
        until(self.is_healthy, seconds, f"{self.folder.name}: the server is healthy", 0.01)
        return self

    def is_healthy(self) -> bool:
        code = self.process.poll() if self.process else None
        if code is not None:
            raise Broken(f"the server ended with {code}: {self.tail()}")
        try:
            return self.ask("GET", "/health")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def tail(self) -> str:
        return " / ".join(self.words().splitlines()[-5:])

    def words(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, name: signal.Signals) -> None:
        os.kill(self.pid, name)

    def kill(self) -> None:
        """As a power cut for the process alone: its children live on."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 40.0) -> float:
        """Ends it gently; the seconds that took. It must exit with 0."""
        began = time.monotonic()
        self.process.terminate()
        self.ended(seconds)
        return time.monotonic() - began

    def ended(self, seconds: float) -> None:
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Broken(f"the server did not end within {seconds:g} s: {self.tail()}") from None
        demand(code == 0, f"the server ended with {code}: {self.tail()}")

    def ask(self, method: str, path: str, body=None, *, headers: dict[str, str] | None = None,
            timeout: float = 30.0) -> tuple[int, object]:
        """One request on this thread's connection; status and the answer, JSON where it is JSON."""
        connection, idle = getattr(self._local, "connection", None), time.monotonic() - getattr(self._local, "used", 0)
        # The server ends a connection that is idle for 80 s.
        if connection is None or connection.port != self.port or idle > 60:
            connection = self._local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        self._local.used = time.monotonic()
        sent = json.dumps(body).encode() if body is not None and not isinstance(body, bytes) else body
        headers = {"Accept-Language": "en"} | ({"Content-Type": "application/json"} if body is not None else {}) \
            | (headers or {})
        try:
            connection.request(method, path, sent, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            self._local.connection = None
            raise
        if answer.headers.get("Content-Type", "").startswith(("application/json", "application/problem+json")):
            return answer.status, json.loads(text)
        return answer.status, text

    def good(self, method: str, path: str, body=None, **how):
        """The answer of a request that must succeed."""
        status, answer = self.ask(method, path, body, **how)
        old = isinstance(answer, dict) and path.startswith("/jobs/") and answer.get("code") != 200
        demand(200 <= status < 300 and not old, f"{method} {path}: {status} {str(answer)[:500]}")
        return answer

    def add(self, jobs: list[dict]) -> list[int]:
        """Adds jobs of the modern API (see `job`); their ids in the same order."""
        ids = []
        for at in range(0, len(jobs), 500):
            answer = self.good("POST", "/api/v1/jobs/import", jobs[at:at + 500])
            demand(not answer["problems"], f"jobs were refused: {str(answer['problems'])[:500]}")
            ids += [added["id"] for added in answer["added"]]
        return ids

    def bulk(self, action: str, ids: list[int]) -> None:
        for at in range(0, len(ids), 1000):
            self.good("POST", "/api/v1/jobs/bulk", {"action": action, "ids": ids[at:at + 1000]})

    def rows(self, text: str, *values) -> list[tuple]:
        """Asks the database file, read only."""
        with sqlite3.connect(f"file:{self.data / 'timerjobs.db'}?mode=ro", uri=True, timeout=30) as database:
            found = database.execute(text, values).fetchall()
        database.close()
        return found

    def integrity(self) -> str:
        return self.rows("PRAGMA integrity_check")[0][0]

    def panics(self) -> int:
        return len(re.findall(r"panicked at", self.words()))

    def status(self, name: str) -> int:
        """A number of /proc/PID/status; kB."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{name}:\s+(\d+)", text, re.M)[1])

    def memory(self) -> float:
        """Resident, MiB."""
        return self.status("VmRSS") / 1024

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def instance(self) -> str:
        return self.rows("SELECT instance FROM tj_system")[0][0]


def job(name: str, mode: str, command: str, *, every: int | None = None, cron: str | None = None, **fields) -> dict:
    """A job of the modern API, enabled; `every` so many seconds, by a cron expression, or not for years."""
    trigger = {"type": "interval", "seconds": every} if every else \
        {"type": "cron", "cron": cron or "0 0 29 2 *", "timezone": "UTC"}
    return {"name": name, "trigger": trigger, "mode": mode, "command": command, "overlap": "allow", "enabled": True} \
        | fields


def processes(mark: str) -> list[int]:
    """Pids of processes, zombies too, whose environment or command line holds the text; never ours."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            seen = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if mark.encode() in seen:
            found.append(int(entry.name))
    return found


def zombies(parent: int) -> int:
    """Children of a process that have ended and were not waited for."""
    found = 0
    for entry in pathlib.Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        found += fields[0] == "Z" and int(fields[1]) == parent
    return found


def end_all(mark: str) -> None:
    """Kills all that `processes` finds, and what that has started meanwhile: for what a failed check leaves."""
    end = time.monotonic() + 10
    while (found := processes(mark)) and time.monotonic() < end:
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
