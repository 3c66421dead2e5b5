"""Backups while jobs are added, run by hand and fire: each is a whole database of one instant, and all that was
acknowledged before it began is in it."""

import contextlib
import pathlib
import random
import shutil
import sqlite3
import subprocess
import threading
import time

from ..recorder import lines
from ..report import Broken, check, demand, until
from ..server import Server, job

ROUNDS = 50


class Clients:
    """Two that add jobs and run them by hand, all the time, and keep what the server has acknowledged."""

    def __init__(self, server: Server, by_hand: list[int]):
        self.jobs: list[tuple[int, str]] = []
        self.runs: list[int] = []
        self._server, self._by_hand, self._stop = server, by_hand, threading.Event()
        self._refused: list[Exception] = []
        self._threads = [threading.Thread(target=self._go_on, args=[work]) for work in (self._add, self._run)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, work) -> None:
        try:
            while not self._stop.wait(0.02):
                work()
        except Exception as error:
            self._refused.append(error)

    def _add(self) -> None:
        name = f"added {len(self.jobs)}"
        text = {"name": name, "cron_expr": "0 0 29 2 *", "mode": "func", "command": "Echo " + "x" * 500}
        self.jobs.append((self._server.good("POST", "/jobs/add", text)["data"]["id"], name))

    def _run(self) -> None:
        number = self._by_hand[len(self.runs) % len(self._by_hand)]
        self.runs.append(int(self._server.good("POST", "/jobs/run", {"id": number})["data"]["exec_id"], 16))

    def demand_at_work(self) -> None:
        demand(not self._refused, f"a client was refused while a backup was made: {self._refused}")


class Acknowledged:
    """What the server had told of, or a command had written, when this was made."""

    def __init__(self, clients: Clients, trace: pathlib.Path):
        self.jobs = set(clients.jobs)
        self.runs = set(clients.runs) | {int(line[0], 16) for line in lines(trace)}

    def demand_in(self, file: pathlib.Path) -> int:
        """Looks into a backup; how many rows of those that it must have it has."""
        with contextlib.closing(sqlite3.connect(f"file:{file}?immutable=1", uri=True)) as copy:
            def ask(text: str) -> list[tuple]:
                return copy.execute(text).fetchall()

            integrity = ask("PRAGMA integrity_check")[0][0]
            demand(integrity == "ok", f"{file.name}: integrity_check {integrity}")
            jobs = self.jobs - set(ask("SELECT id, name FROM tj_jobs"))
            runs = self.runs - {run for (run,) in ask("SELECT id FROM tj_runs")}
            demand(not jobs and not runs, f"{file.name}: {len(jobs)} of {len(self.jobs)} jobs and {len(runs)} of "
                                          f"{len(self.runs)} runs are not in it")
            # Written with the runs and the jobs, so they differ where the backup is not of one instant.
            counted = ask("SELECT sum(runs) FROM tj_run_counts WHERE job_id = 0 AND slot = -1")
            ended = ask("SELECT count(*) FROM tj_runs WHERE outcome NOT IN ('waiting', 'running')")
            demand(counted == ended, f"{file.name}: {ended} runs, counted as {counted}")
            apart = ask("SELECT count(*) FROM tj_jobs LEFT JOIN tj_job_state ON job_id = id WHERE job_id IS NULL")
            demand(apart == [(0,)], f"{file.name}: {apart} jobs have no state")
        return len(self.jobs) + len(self.runs)


def unpack(server: Server, run: int, file: pathlib.Path) -> None:
    """Unpacks what the run of the function Backup has made, once it has ended."""
    def ended() -> tuple | None:
        found = server.rows("SELECT outcome, result, error FROM tj_runs WHERE id = ? AND end_ms IS NOT NULL", run)
        return found[0] if found else None

    outcome, result, error = until(ended, 60, "Backup ends", 0.02)
    demand(outcome == "success", f"Backup ended as {outcome}: {error}")
    archive = pathlib.Path(result.split(": ")[0])
    done = subprocess.run(["zstd", "-d", "-q", "--rm", archive, "-o", file], stdin=subprocess.DEVNULL, capture_output=True)
    demand(done.returncode == 0, f"{archive.name}: {done.stderr.decode()}")


def restored(folder: pathlib.Path, file: pathlib.Path) -> None:
    """A server works on the backup."""
    (folder / "data").mkdir(parents=True)
    shutil.copy(file, folder / "data/timerjobs.db")
    with Server(folder) as server:
        last = server.rows("SELECT max(id) FROM tj_runs")[0][0]
        until(lambda: server.rows("SELECT 1 FROM tj_runs WHERE id > ? AND outcome = 'success' LIMIT 1", last), 20,
              "jobs of the backup fire")
        server.stop()


@check(f"{2 * ROUNDS} live backups (the function Backup and `timerjobs db backup`, two at a time) while jobs are added "
       "and fire: each opens, integrity_check ok, every row that was acknowledged before it began is in it")
def backups(folder: pathlib.Path) -> str:
    if not shutil.which("zstd"):
        raise Broken("zstd is missing: apt-get install zstd")
    chance, trace, made = random.Random(100), folder / "trace", folder / "made"
    # The default would drop the oldest records.
    with Server(folder, {"RETENTION_RUNS": "1000000"}) as server:
        by_hand = server.add([job(f"by hand {n}", "func", "Time") for n in range(10)])
        packs, = server.add([job("backup", "func", f"【name】Backup\n【arg】database,{made}\n【timeout】60")])
        server.add([job(f"second {n}", "command", f"【command】echo $TJ_EXEC_ID >> {trace}", cron="* * * * * *")
                    for n in range(20)])
        took, rows, last = [], 0, []
        with Clients(server, by_hand) as clients:
            until(lambda: len(clients.jobs) > 50 and lines(trace), 20, "jobs are added and fire")
            for n in range(ROUNDS):
                time.sleep(chance.uniform(0, 1.5))
                pair = [folder / f"function{n}.db", folder / f"command{n}.db"]
                known, began = Acknowledged(clients, trace), time.monotonic()
                run = int(server.good("POST", "/jobs/run", {"id": packs})["data"]["exec_id"], 16)
                program = server.spawn("db", "backup", str(pair[1]))
                try:
                    unpack(server, run, pair[0])
                    code = program.wait(60)
                finally:
                    program.kill()
                    program.wait()
                took.append(time.monotonic() - began)
                demand(code == 0, f"db backup ended with {code}: {server.tail()}")
                clients.demand_at_work()
                for old in last:
                    old.unlink()
                last = pair
                rows += sum(known.demand_in(file) for file in last)
        left = [file.name for file in made.iterdir()]
        demand(not left, f"beside the backups lie {left}")
        fires, size = len(lines(trace)), last[0].stat().st_size
        server.stop()
        demand(server.panics() == 0, f"{server.panics()} panics")
    demand(len(clients.jobs) > 500 and fires > 500, f"only {len(clients.jobs)} jobs were added, {fires} fires")
    for file in last:
        restored(folder / f"from {file.stem}", file)
    return (f"{2 * ROUNDS} backups, the last of {size / 2**20:.1f} MiB, two at once within {max(took):.2f} s at worst; "
            f"meanwhile {len(clients.jobs):,} jobs added, {len(clients.runs):,} runs by hand, {fires:,} fires; each of "
            f"{rows:,} acknowledged rows found, 0 missing; a server works on the last of each kind")
