"""The server is killed with SIGKILL while it fires, and while it takes jobs. Nothing that it claimed runs twice,
nothing that was due goes without a record, nothing that it acknowledged is lost."""

import collections
import datetime
import pathlib
import random
import re
import shutil
import subprocess
import threading
import time

from ..recorder import lines
from ..report import Broken, check, demand, until
from ..server import Server, job

# One line a start, appended by one write: lines of different jobs never mix.
TRACE = "【command】echo \"$TJ_JOB_ID $TJ_SCHEDULED_AT $TJ_EXEC_ID $TJ_ATTEMPT\" >> {file}"


def instant(text: str) -> int:
    """Milliseconds of what TJ_SCHEDULED_AT holds."""
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def accounted(server: Server, ids: list[int], step: int, after: int, until_ms: int) -> tuple[int, int, int]:
    """Each instant of jobs that are due every `step` ms has exactly one record: a run of its own that has ended, or
    its place in a summary of missed ones. Answers fires, runs and lost runs."""
    fires = runs = lost = 0
    for number in ids:
        due, base = collections.Counter(), None
        for scheduled, outcome, to, count, end in server.rows(
                "SELECT scheduled_ms, outcome, missed_to_ms, missed_count, end_ms FROM tj_runs "
                "WHERE job_id = ? AND source = 'cron' ORDER BY scheduled_ms", number):
            base = scheduled if base is None else base
            if to is None or outcome != "missed":
                demand(end is not None, f"job {number}, {scheduled}: its record is {outcome} and has no end")
                due[scheduled] += 1
                runs += 1
                lost += outcome == "lost"
            else:
                instants = range(scheduled, to + 1, step)
                demand(len(instants) == count, f"job {number}: a summary of {count} covers {len(instants)} instants")
                due.update(instants)
        demand(base is not None and base - after <= 2 * step, f"job {number}: its first record is of {base}")
        for at in range(base, until_ms, step):
            demand(due[at] == 1, f"job {number}: the fire of {at} has {due[at]} records")
        fires += len(due)
    return fires, runs, lost


@check("about 30 times SIGKILL during 10,000 fires: each accounted for once, 0 started twice, firing again within "
       "2 s of each start, integrity_check ok")
def kills(folder: pathlib.Path) -> str:
    chance = random.Random(8)
    file = folder / "trace"
    jobs = [job(f"cron {n}", "command", TRACE.format(file=file), cron="* * * * * *") for n in range(60)]
    jobs += [job(f"interval {n}", "command", TRACE.format(file=file), every=1) for n in range(40)]
    back = []
    with Server(folder) as server:
        began = int(time.time() * 1000)
        ids = server.add(jobs)
        for _ in range(30):
            time.sleep(chance.uniform(1.5, 4.0))
            server.kill()
            # A machine is back after a moment, not at once.
            time.sleep(chance.uniform(0.0, 0.5))
            before, start = file.stat().st_size, time.monotonic()
            server.process = server.spawn("start")
            until(lambda: file.stat().st_size > before, 20, "a job starts again", 0.01)
            back.append(time.monotonic() - start)
        until(server.is_healthy, 5, "it is healthy")
        until(lambda: len(lines(file)) >= 10_000, 60, "10,000 fires")
        ended = int(time.time() * 1000) // 1000 * 1000
        time.sleep(1.5)
        server.bulk("stop", ids)
        server.stop()
        fires = 0
        for some in (ids[:60], ids[60:]):
            found = accounted(server, some, 1000, began, ended - 1000)
            fires += found[0]
        lost = server.rows("SELECT count(*) FROM tj_runs WHERE outcome = 'lost'")[0][0]
        seen = lines(file)
        twice = [key for key, n in collections.Counter((line[0], line[1]) for line in seen).items() if n > 1]
        demand(not twice, f"{len(twice)} fires started twice, the first is {twice[:1]}")
        known = {(str(a), b): c for a, b, c in server.rows(
            "SELECT job_id, scheduled_ms, outcome FROM tj_runs WHERE source = 'cron' AND missed_to_ms IS NULL")}
        strangers = sum((line[0], instant(line[1])) not in known for line in seen)
        demand(strangers == 0, f"{strangers} starts have no record")
        started = {(line[0], instant(line[1])) for line in seen}
        idle = sum(key not in started for key, outcome in known.items() if outcome == "success")
        demand(idle == 0, f"{idle} records of success have no start")
        integrity, panics = server.integrity(), server.panics()
    demand(integrity == "ok" and panics == 0, f"integrity_check {integrity}, {panics} panics")
    demand(max(back) <= 2.0, f"back within {max(back):.2f} s at worst")
    return (f"{fires:,} fires accounted for, {len(seen):,} starts, 0 twice, {lost} in flight at a kill and recorded as "
            f"lost; firing again within {max(back):.2f} s at worst (median {sorted(back)[15]:.2f} s); integrity ok")


@check("1,000 adds that were acknowledged, the server killed at random: 0 lost; every answer comes after a sync")
def acknowledged(folder: pathlib.Path) -> str:
    chance = random.Random(12)
    taken: list[tuple[int, str]] = []
    stop = threading.Event()

    def client(server: Server, number: int) -> None:
        n = 0
        while not stop.is_set():
            n += 1
            name = f"added {number}-{n}"
            try:
                status, answer = server.ask("POST", "/jobs/add", {
                    "name": name, "cron_expr": "0 0 29 2 *", "mode": "func", "command": "Time"}, timeout=5)
            except Exception:
                time.sleep(0.02)
                continue
            if status == 200 and answer["code"] == 200:
                taken.append((answer["data"]["id"], name))
            # About as fast as needed for a kill each hundred of them.
            time.sleep(0.02)

    killed = 0
    with Server(folder) as server:
        clients = [threading.Thread(target=client, args=[server, n], daemon=True) for n in range(8)]
        for thread in clients:
            thread.start()
        while len(taken) < 1000:
            time.sleep(chance.uniform(0.1, 0.6))
            server.kill()
            killed += 1
            server.start()
        stop.set()
        for thread in clients:
            thread.join()
        server.kill()
        stored = set(server.rows("SELECT id, name FROM tj_jobs"))
        lost = [entry for entry in taken if entry not in stored]
        demand(not lost, f"{len(lost)} of {len(taken)} are lost, the first is {lost[:1]}")
        integrity = server.integrity()
        demand(integrity == "ok", f"integrity_check {integrity}")
    return f"{len(taken):,} acknowledged, {killed + 1} kills, 0 lost; {synced(folder)}"


def synced(folder: pathlib.Path) -> str:
    """Looks at system calls: between a request and its answer the log of the database is written and synced."""
    if not shutil.which("strace"):
        raise Broken("strace is missing: apt-get install strace")
    trace = folder / "strace"
    with Server(folder, data=folder / "traced") as server:
        watched = subprocess.Popen(
            ["strace", "-f", "-tt", "-e", "trace=fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg", "-s", "60",
             "-o", str(trace), "-p", str(server.pid)], stderr=subprocess.DEVNULL)
        until(lambda: trace.exists() and watched.poll() is None and "TracerPid:\t0" not in
              pathlib.Path(f"/proc/{server.pid}/status").read_text(), 10, "strace watches the server")
        for n in range(20):
            server.good("POST", "/jobs/add", {
                "name": f"traced {n}", "cron_expr": "0 0 29 2 *", "mode": "func", "command": "Time"})
        watched.terminate()
        watched.wait()
    answers, syncs = 0, 0
    for line in trace.read_text(errors="replace").splitlines():
        # Only one that has come back counts.
        syncs += bool(re.search(r"\bf(data)?sync(\(.*\)| resumed>.*\)) += 0$", line))
        if "HTTP/1.1 200" in line:
            answers += 1
            demand(syncs > 0, f"answer {answers} went out without a sync before it")
            syncs = 0
    demand(answers >= 20, f"strace saw {answers} of 20 answers")
    return f"strace: each of {answers} answers follows a sync of its own"
