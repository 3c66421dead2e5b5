"""The server is told to end, in whatever it is doing: it ends with 0 in time, no process of a run stays behind, and the
records of runs that had to be cut off say so."""

import concurrent.futures
import contextlib
import pathlib
import signal
import socket
import subprocess
import sys
import time

from ..recorder import lines
from ..report import Broken, check, demand, until
from ..server import Server, end_all, job, processes
from .databases import Database

TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
WORDS = {"TERM": [TERM], "INT": [INT], "HUP, TERM": [HUP, TERM], "TERM twice": [TERM, TERM]}
# `silent`: PostgreSQL, stopped with its connections open; `gone`: MariaDB, killed.
SITUATIONS = ["idle", "long runs", "slow requests", "database silent", "database gone"]
MOST, GRACE = 40.0, 30.0
# A second signal does not wait for runs: TERM, 5 s, KILL, and what it takes to close.
HURRIED = 15.0
FOREVER = "\n【timeout】3600"
# A body that stalls, a stream that lives as long as the server, answers that nobody takes.
REQUESTS = [
    b"POST /jobs/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
    b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40,
]


class Case:
    """One server in one situation, and what it is told."""

    def __init__(self, folder: pathlib.Path, situation: str, word: str, settings: dict[str, str]):
        folder.mkdir()
        self.name, self.situation, self.word = f"{situation}, {word}", situation, word
        self.started = folder / "started"
        self.server = Server(folder, settings | {"PYTHON": sys.executable})
        # In the environment of the server and of each process of its runs.
        self.mark = f"HOME={folder}\0"
        self.at_work = situation not in ("idle", "slow requests")

    def prepare(self, silent_port: int) -> None:
        if not self.at_work:
            self.server.start()
            return
        functions = self.server.folder / "user_funcs"
        functions.mkdir()
        (functions / "own.py").write_text(
            f"import time\ndef own_sleep():\n    open({str(self.started)!r}, 'a').write('python\\n')\n"
            "    time.sleep(3600)\n")
        self.server.start()
        until(lambda: "own_sleep" in str(self.server.good("GET", "/jobs/functions")["data"]), 30, "Python functions")
        begun = f"【command】echo begun >> {self.started}; "
        ids = self.server.add([
            # Each of two processes, the second deaf to all but KILL.
            job("obedient", "command", f"{begun}sleep 3600; true{FOREVER}"),
            job("deaf", "command", f"{begun}trap '' TERM INT; sleep 3600; true{FOREVER}"),
            job("http", "http", f"【url】http://127.0.0.1:{silent_port}/{FOREVER}"),
            job("python", "func", f"【name】own_sleep{FOREVER}"),
        ])
        self.server.bulk("run", ids)
        until(lambda: len(lines(self.started)) == 3 and self._running() == len(ids), 30, f"{self.name}: runs begin")
        if "database" in self.situation:
            # It has something to write all the time.
            self.server.add([job("second", "func", "Time", cron="* * * * * *")])

    def _running(self) -> int:
        return self.server.good("GET", "/api/v1/runs?outcome=running")["total"]

    def away(self) -> bool:
        return self.server.ask("GET", "/health")[0] == 503

    def end(self) -> float:
        """Tells it, and looks at what is left; the seconds it took to end."""
        with contextlib.ExitStack() as held:
            for text in REQUESTS if self.situation == "slow requests" else []:
                client = held.enter_context(socket.create_connection(("127.0.0.1", self.server.port)))
                client.setblocking(False)
                client.send(text)
            time.sleep(0.5)
            began = self._tell()
            try:
                # Longer than it may take: how much longer is worth to know.
                code = self.server.process.wait(MOST * 1.5)
            except subprocess.TimeoutExpired:
                raise Broken(f"{self.name}: it did not end within {MOST * 1.5:g} s: {self.server.tail()}") from None
            took = time.monotonic() - began
        orphans = processes(self.mark)
        demand(code == 0, f"{self.name}: it ended with {code}: {self.server.tail()}")
        demand(not orphans, f"{self.name}: {len(orphans)} processes of its runs live on")
        demand(self.server.panics() == 0, f"{self.name}: {self.server.panics()} panics")
        hurried = self.word == "TERM twice"
        most = HURRIED if hurried else MOST
        demand(took <= most, f"{self.name}: it took {took:.2f} s to end, more than {most:g} s")
        if self.situation == "long runs":
            self._look_at_records()
            demand(hurried or took >= GRACE - 0.5, f"{self.name}: runs got {took:.1f} s instead of {GRACE:g} s")
        return took

    def _tell(self) -> float:
        first, *second = WORDS[self.word]
        began = time.monotonic()
        self.server.signal(first)
        if first == HUP:
            until(lambda: "settings read again" in self.server.words(), 20, f"{self.name}: it reads its settings again")
            time.sleep(2)
            demand(self.server.process.poll() is None, f"{self.name}: HUP ended it: {self.server.tail()}")
            demand(self.server.ask("GET", "/health")[0] == (503 if "database" in self.situation else 200),
                   f"{self.name}: it does not work on after HUP")
            demand(self.situation != "long runs" or self._running() == 4, f"{self.name}: HUP ended runs")
            began = time.monotonic()
        for word in second:
            time.sleep(0 if first == HUP else 1)
            self.server.signal(word)
        return began

    def _look_at_records(self) -> None:
        found = self.server.rows("SELECT job_name, outcome, reason, end_ms IS NOT NULL FROM tj_runs")
        wrong = [row for row in found if row[1:] != ("cancelled", "shutdown", 1)]
        demand(len(found) == 4 and not wrong, f"{self.name}: {len(found)} records, not cancelled by shutdown: {wrong}")


@check("TERM, INT, HUP and then TERM, TERM twice, each while idle, with long runs in flight (one deaf to TERM), with "
       "slow requests under way, with the database silent, and gone: exit 0 within 40 s (15 s when told twice; HUP "
       "ends nothing), 0 processes of runs left, cut-off runs recorded as cancelled by shutdown")
def signals(folder: pathlib.Path) -> str:
    cases, took, broken = [], {}, []
    with contextlib.ExitStack() as held:
        silent = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        databases = {"database silent": held.enter_context(Database("postgres", folder)),
                     "database gone": held.enter_context(Database("mariadb", folder))}
        for situation in SITUATIONS:
            for word in WORDS:
                settings = {"DATABASE_URL": databases[situation].url, "DATABASE_TABLE_PREFIX": f"c{len(cases)}_"} \
                    if situation in databases else {}
                case = Case(folder / f"case{len(cases)}", situation, word, settings)
                cases.append(case)
                held.callback(end_all, case.mark)
                case.prepare(silent.getsockname()[1])
        databases["database silent"].freeze()
        databases["database gone"].kill()
        for case in cases:
            if case.situation in databases:
                until(case.away, 20, f"{case.name}: it notices", 0.2)
        with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
            ends = [pool.submit(case.end) for case in cases]
        for case, end in zip(cases, ends):
            try:
                took[case.situation, case.word] = end.result()
            except Broken as why:
                broken.append(str(why))
    demand(not broken, f"{len(broken)} of {len(cases)}: {'; '.join(broken)}")
    longest = [f"{situation} {max(took[situation, word] for word in WORDS):.1f} s" for situation in SITUATIONS]
    twice = max(took[situation, "TERM twice"] for situation in SITUATIONS)
    return (f"{len(cases)} combinations, exit 0 each, 0 processes left; longest: {', '.join(longest)}; "
            f"told twice {twice:.1f} s")
