"""Overlap and max_run_count under clients that press every button, and kills."""

import pathlib
import random
import shutil
import threading
import time

from ..recorder import lines
from ..report import Broken, check, demand, until
from ..server import Server, job


class Clients:
    """So many threads that do one thing over and over; a server that is away for a moment is no error."""

    def __init__(self, number: int, work):
        self.asked, self._stop = 0, threading.Event()
        self._threads = [threading.Thread(target=self._run, args=[work, random.Random(n)]) for n in range(number)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, work, chance: random.Random) -> None:
        while not self._stop.is_set():
            try:
                work(chance)
                self.asked += 1
            except OSError:
                time.sleep(0.05)
            time.sleep(0.02)


@check("20 serial jobs of 1.5 s every second, ten that skip and ten that queue, 8 clients calling run, 6 times "
       "SIGKILL: 0 overlaps (the job itself takes a lock)")
def overlap(folder: pathlib.Path) -> str:
    if not shutil.which("flock"):
        raise Broken("flock is missing: apt-get install util-linux")
    chance, file = random.Random(20), folder / "trace"
    # The lock belongs to the processes of the run: the kernel frees it when the last of them has gone.
    text = ("【command】exec 9> {lock}; flock -n 9 || {{ echo overlap >> {file}; exit 3; }}; "
            "echo start >> {file}; sleep 1.5")
    jobs = [job(f"serial {n}", "command", text.format(lock=folder / f"lock{n}", file=file), cron="* * * * * *",
                overlap="skip" if n < 10 else "queue", recovery="rerun" if n % 2 else "never") for n in range(20)]
    with Server(folder, {"JOBS_MANUAL_ALLOW_CONCURRENT": "false"}) as server:
        ids = server.add(jobs)
        with Clients(8, lambda some: server.ask("POST", "/jobs/run", {"id": some.choice(ids)}, timeout=5)) as clients:
            for _ in range(6):
                time.sleep(chance.uniform(5, 8))
                server.kill()
                server.start()
            time.sleep(5)
            # A job that was in flight at three crashes in a row is paused (semantics 9): those are not running now.
            paused = server.rows("SELECT count(*) FROM tj_jobs WHERE enabled = 0")[0][0]
        server.bulk("stop", ids)
        server.stop()
        skipped = dict(server.rows("SELECT reason, count(*) FROM tj_runs WHERE outcome = 'skipped' GROUP BY reason"))
        # The checker's own eye: records of one job never lie over each other either.
        over = server.rows(
            "SELECT count(*) FROM tj_runs a JOIN tj_runs b ON a.job_id = b.job_id AND a.id < b.id "
            "AND a.start_ms < b.end_ms AND b.start_ms < a.end_ms "
            "WHERE a.outcome != 'skipped' AND b.outcome != 'skipped' AND a.missed_to_ms IS NULL "
            "AND b.missed_to_ms IS NULL")[0][0]
    words = [line[0] for line in lines(file)]
    overlaps = words.count("overlap")
    demand(overlaps == 0, f"{overlaps} runs found the lock taken, of {len(words)}")
    demand(over == 0, f"{over} pairs of records lie over each other")
    demand(len(words) > 200 and clients.asked > 500, f"only {len(words)} starts, {clients.asked} requests")
    return (f"{len(words)} starts, {clients.asked:,} calls of run, 6 kills, 0 overlaps; skipped and said so: {skipped}; "
            f"{paused} jobs paused after three crashes in a row")


@check("100 jobs with max_run_count 7, every second, 50 clients that run, edit, stop and start them, 3 times SIGKILL: "
       "exactly 700 scheduled starts")
def run_limit(folder: pathlib.Path) -> str:
    file = folder / "trace"
    text = f"【command】echo \"$TJ_JOB_ID $TJ_EXEC_ID\" >> {file}"
    jobs = [job(f"limited {n}", "command", text, cron="* * * * * *", max_run_count=7) for n in range(100)]
    with Server(folder) as server:
        ids = server.add(jobs)

        def press(chance: random.Random) -> None:
            number, what = chance.choice(ids), chance.random()
            if what < 0.5:
                server.ask("POST", "/jobs/run", {"id": number}, timeout=5)
            elif what < 0.7:
                server.ask("POST", "/jobs/edit", {"id": number, "desc": f"edited {chance.random()}"}, timeout=5)
            elif what < 0.85:
                server.ask("POST", "/jobs/stop", {"id": number}, timeout=5)
            else:
                server.ask("POST", "/jobs/restart", {"id": number}, timeout=5)

        with Clients(50, press) as clients:
            for _ in range(3):
                time.sleep(3)
                server.kill()
                server.start()
            time.sleep(5)
        left = "SELECT job_id FROM tj_job_state WHERE run_count < 7"

        def finished() -> bool:
            waiting = [number for (number,) in server.rows(left)]
            for number in waiting:
                # A client may have stopped it last.
                server.ask("POST", "/jobs/restart", {"id": number})
            return not waiting

        until(finished, 60, "each job has its seven starts", 2.0)
        time.sleep(3)
        server.stop()
        counts = dict(server.rows(
            "SELECT job_id, count(*) FROM tj_runs WHERE source = 'cron' AND missed_to_ms IS NULL "
            "AND outcome NOT IN ('skipped', 'missed') GROUP BY job_id"))
        stored = dict(server.rows("SELECT job_id, run_count FROM tj_job_state"))
        by_hand = {f"{run:016x}" for (run,) in server.rows("SELECT id FROM tj_runs WHERE source != 'cron'")}
    started = [line for line in lines(file) if line[1] not in by_hand]
    wrong = {number: counts.get(number, 0) for number in ids if counts.get(number, 0) != 7 or stored[number] != 7}
    demand(not wrong, f"{len(wrong)} jobs have other counts of starts: {list(wrong.items())[:5]}")
    demand(len(started) <= 700, f"{len(started)} scheduled starts were seen outside")
    return (f"{sum(counts.values())} scheduled starts, {len(started)} of them seen outside (the others were in flight "
            f"at a kill), {len(by_hand):,} runs by hand beside them, {clients.asked:,} requests")
