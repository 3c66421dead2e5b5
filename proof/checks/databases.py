"""The database server is killed with SIGKILL, again and again, while jobs fire: nothing starts twice, each due instant
has its record, and it goes on by itself once the database is back."""

import collections
import getpass
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

from ..recorder import lines
from ..report import Broken, check, demand, until
from ..server import Server, free_port, job
from .kills import TRACE, instant

KILLS, JOBS = 10, 50
# A fire may be this late; longer away, and instants are missed.
LATE = 60.0


class Database:
    """A MariaDB or PostgreSQL server of a check's own, with an empty database `test`."""

    def __init__(self, kind: str, folder: pathlib.Path):
        self.kind, self.port = kind, free_port()
        self.folder = folder.resolve() / kind
        self.data = self.folder / "data"
        self.process: subprocess.Popen | None = None
        user = {"mariadb": "mysql://root", "postgres": "postgres://postgres"}[kind]
        self.url = f"{user}@127.0.0.1:{self.port}/test"

    def __enter__(self):
        self.data.mkdir(parents=True)
        try:
            self._make()
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        self.kill()

    def _make(self) -> None:
        if self.kind == "mariadb":
            tool("mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db",
                 f"--user={getpass.getuser()}", f"--datadir={self.data}")
            return
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root, and must get through our own folder to its data.
            self.folder.parent.chmod(0o711)
            shutil.chown(self.data, "postgres", "postgres")
        tool(*postgres("initdb"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "-D", str(self.data))

    def _spawn(self) -> subprocess.Popen:
        if self.kind == "mariadb":
            command = ["mariadbd", "--no-defaults", f"--user={getpass.getuser()}", "--bind-address=127.0.0.1",
                       f"--port={self.port}", f"--datadir={self.data}", f"--socket={self.folder / 'socket'}"]
        else:
            command = [*postgres("postgres"), "-D", str(self.data), "-c", "listen_addresses=127.0.0.1",
                       "-c", "unix_socket_directories=", "-c", f"port={self.port}"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.data, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    start_new_session=True)

    def start(self) -> float:
        """Starts it and waits until it takes connections; the instant (monotonic) at which one was asked for and
        made."""
        first = self.process is None
        end = time.monotonic() + 60
        while True:
            if self.process is None or self.process.poll() is not None:
                # Also again: what a killed one left may still be in its way.
                self.process = self._spawn()
            asked = time.monotonic()
            if self.client("SELECT 1", of_all=True).returncode == 0:
                break
            demand(asked < end, f"{self.kind} does not start: {(self.folder / 'log').read_text()[-500:]}")
            time.sleep(0.05)
        if first:
            charset = " CHARACTER SET utf8mb4" if self.kind == "mariadb" else ""
            made = self.client(f"CREATE DATABASE test{charset}", of_all=True)
            demand(made.returncode == 0, f"{self.kind}: {made.stderr}")
        return asked

    def pids(self) -> list[int]:
        """The server and its children, known by the folder they work in: PostgreSQL's overwrite their environment."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.readlink(entry / "cwd") == str(self.data):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def _signal(self, name: signal.Signals, pids: list[int]) -> None:
        for pid in pids:
            try:
                os.kill(pid, name)
            except ProcessLookupError:
                pass

    def kill(self) -> None:
        while pids := self.pids():
            self._signal(signal.SIGKILL, pids)
        if self.process:
            self.process.wait()

    def freeze(self) -> None:
        """From here on it says nothing, and its connections stay open."""
        # First the one that makes the others.
        self._signal(signal.SIGSTOP, [self.process.pid])
        self._signal(signal.SIGSTOP, self.pids())

    def client(self, text: str, of_all: bool = False) -> subprocess.CompletedProcess:
        """Asks with the server's own client; `of_all`: not in our database, which may not be there yet."""
        if self.kind == "mariadb":
            command = ["mariadb", "--no-defaults", "--skip-ssl", "-h127.0.0.1", "-uroot", f"-P{self.port}", "-NB",
                       "-e", text, "mysql" if of_all else "test"]
        else:
            command = ["psql", "--no-psqlrc", "-h127.0.0.1", "-Upostgres", f"-p{self.port}", "-At", "-F\t",
                       "-Pnull=NULL", "-c", text, "-d", "postgres" if of_all else "test"]
        return subprocess.run(installed(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def rows(self, text: str) -> list[list[str]]:
        """Values as text; NULL is `NULL`."""
        done = self.client(text)
        demand(done.returncode == 0, f"{self.kind}: {done.stderr}")
        return [line.split("\t") for line in done.stdout.splitlines()]


def installed(command: list[str]) -> list[str]:
    if not shutil.which(command[0]):
        raise Broken(f"{command[0]} is missing: make services")
    return command


def tool(*command: str) -> None:
    done = subprocess.run(installed(list(command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120, cwd="/")
    demand(done.returncode == 0, f"{command}: {done.stdout[-500:]}")


def postgres(program: str) -> list[str]:
    """A program of the newest PostgreSQL, as a user it accepts."""
    versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    if not versions:
        raise Broken("PostgreSQL is missing: make services")
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
    return [*(as_user if os.getuid() == 0 else []), str(versions[-1] / program)]


def now() -> int:
    return int(time.time() * 1000)


def accounted(rows: list[list[str]], ids: list[int], first: int, end: int) -> collections.Counter:
    """Each second from `first` to `end` has exactly one record of each job: a run that has ended, or its place in a
    range of missed ones. Answers how many instants had which outcome."""
    records, outcomes = collections.Counter(), collections.Counter()
    for number, scheduled, outcome, reason, to, count, ended in rows:
        instants = [int(scheduled)]
        demand(outcome not in ("skipped", "missed") or reason != "NULL", f"job {number}, {scheduled}: {outcome}, why?")
        if outcome == "missed":
            instants = range(int(scheduled), int(to) + 1, 1000)
            demand(len(instants) == int(count), f"job {number}: a range of {count} holds {len(instants)} instants")
        else:
            demand(ended != "NULL", f"job {number}, {scheduled}: its record is {outcome} and has no end")
        outcomes[outcome] += len(instants)
        records.update((int(number), at) for at in instants)
    many = [key for key, n in records.items() if n > 1]
    demand(not many, f"{len(many)} instants have more than one record, the first is {many[:1]}")
    none = [(number, at) for number in ids for at in range(first, end, 1000) if not records[number, at]]
    demand(not none, f"{len(none)} instants have no record, the first is {none[:1]}")
    return outcomes


def killed(folder: pathlib.Path, kind: str) -> str:
    chance, file, back = random.Random(kind), folder / "trace", []
    jobs = [job(f"second {n}", "command", TRACE.format(file=file), cron="* * * * * *") for n in range(JOBS)]
    with Database(kind, folder) as database, Server(folder, {"DATABASE_URL": database.url}) as server:
        ids = server.add(jobs)
        first = now() // 1000 * 1000 + 1000
        until(file.exists, 30, "jobs fire")
        for n in range(KILLS):
            time.sleep(chance.uniform(1, 4))
            at = now()
            database.kill()
            # Once so long that fires are missed.
            time.sleep(LATE + 5 if n == KILLS // 2 else chance.uniform(0, 3))
            offset = file.stat().st_size
            accepts = database.start()

            def fires() -> bool:
                # What is due since the kill cannot have been claimed before the database's return.
                with file.open() as trace:
                    trace.seek(offset)
                    return any(instant(line.split(" ")[1]) > at for line in trace if line.endswith("\n"))

            until(fires, 30, f"a job starts again after kill {n + 1}", 0.02)
            back.append(time.monotonic() - accepts)
        end = now() // 1000 * 1000
        until(lambda: not database.rows(
            f"SELECT 1 FROM tj_runs WHERE outcome IN ('waiting', 'running') AND scheduled_ms < {end} LIMIT 1"), 60,
            "what was due has run", 1)
        # Also a new connection: the server has closed one that was idle for so long.
        until(server.is_healthy, 5, "it is healthy")
        server.bulk("stop", ids)
        server.stop()
        outcomes = accounted(database.rows(
            "SELECT job_id, scheduled_ms, outcome, reason, missed_to_ms, missed_count, end_ms FROM tj_runs"),
            ids, first, end)
        known = {(number, int(scheduled)): outcome for number, scheduled, outcome in database.rows(
            "SELECT job_id, scheduled_ms, outcome FROM tj_runs WHERE outcome NOT IN ('missed', 'skipped')")}
        panics = server.panics()
    seen = lines(file)
    starts = collections.Counter((line[0], instant(line[1])) for line in seen)
    twice = [key for key, n in starts.items() if n > 1]
    demand(not twice, f"{len(twice)} fires started twice, the first is {twice[:1]}")
    again = sum(line[3] != "1" for line in seen)
    demand(again == 0, f"{again} starts were further attempts")
    strangers = [key for key in starts if key not in known]
    demand(not strangers, f"{len(strangers)} starts have no record, the first is {strangers[:1]}")
    idle = [key for key, outcome in known.items() if outcome == "success" and key not in starts]
    demand(not idle, f"{len(idle)} records of success have no start, the first is {idle[:1]}")
    # Our server lived all the time, so it knows how each run ended.
    demand(outcomes["lost"] == 0, f"{outcomes['lost']} runs are recorded as lost")
    demand(outcomes["missed"] > 0 and len(seen) > JOBS * KILLS, f"too little happened: {dict(outcomes)}")
    demand(panics == 0, f"{panics} panics")
    demand(max(back) <= 5, f"after its return jobs started within {max(back):.1f} s at worst: "
                           f"{[round(seconds, 1) for seconds in back]}")
    return (f"{len(back)} kills, {sum(outcomes.values()):,} due instants with one record each ({dict(outcomes)}), "
            f"{len(seen):,} starts, 0 twice; runs {max(back):.1f} s at worst after connections were accepted "
            f"(median {sorted(back)[len(back) // 2]:.1f} s)")


DEMANDS = ("killed with SIGKILL 10 times, once for 65 s, while 50 jobs fire each second: 0 starts twice, each due "
           "instant has exactly one record, runs again <= 5 s after it takes connections again")


@check(f"MariaDB {DEMANDS}")
def mariadb_killed(folder: pathlib.Path) -> str:
    return killed(folder, "mariadb")


@check(f"PostgreSQL {DEMANDS}")
def postgres_killed(folder: pathlib.Path) -> str:
    return killed(folder, "postgres")
