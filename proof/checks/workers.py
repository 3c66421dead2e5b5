"""Python functions that do what they can to harm their pool: loop, take memory, crash, exit, fork, leave daemons, hang
at import; then reloads without end. Good calls run beside them all the time and know nothing of it."""

import bisect
import collections
import json
import os
import pathlib
import random
import sys
import time
import uuid

from ..report import check, demand, until
from ..server import Server, job, processes, zombies
from .children import ended, fire, swept

PLACES, TIMEOUT, WHOLE, ROUNDS, RELOADS = 4, 2, 3.0, 2, 50
GOOD = """
import os, time

def good():
    return {version}

def whole():
    # So many places at once, or none has what it needs.
    open(os.path.join({folder!r}, os.environ["TJ_EXEC_ID"]), "w").close()
    end = time.monotonic() + 5
    while len(os.listdir({folder!r})) < {places}:
        if time.monotonic() > end:
            raise TimeoutError("the other places are not there")
        time.sleep(0.01)
"""
# 2 GiB of memory are more than PYTHON_MEMORY_MB.
BAD = """
import os, time

def forever():
    while True:
        pass

def memory():
    kept = []
    while len(kept) < 32:
        kept.append(b"x" * (64 << 20))

def segfault():
    import ctypes
    ctypes.string_at(0)

def leave():
    os._exit(3)

# Each process forks another again and again, every second one into a session of its own; it still grows when its time
# is over. The file counts them, so that the machine lives.
def bomb():
    name = os.path.join({folder!r}, "bomb " + os.environ["TJ_EXEC_ID"])
    count = os.open(name, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    while True:
        time.sleep(0.3)
        if os.fstat(count).st_size < 150:
            os.write(count, b".")
            if os.fork() == 0 and os.getpid() % 2:
                os.setsid()

# What it leaves has neither its parent nor its group.
def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(3600)
        os._exit(0)
    os.wait()
    time.sleep(3600)
"""
LATE = """
import os, time

if os.path.exists({flag!r}):
    time.sleep(3600)

def late():
    return ""
"""
# What each must end with: outcome, exit code, and a word of its error.
ENDS = {
    "forever": ("timeout", None, "ran past"),
    "memory": ("failed", None, "MemoryError"),
    "segfault": ("failed", None, "SIGSEGV"),
    "leave": ("failed", 3, "exit code 3"),
    "bomb": ("timeout", None, "ran past"),
    "daemon": ("timeout", None, "ran past"),
    "late": ("timeout", None, "ran past"),
}


class Pool:
    """A server with functions, and jobs that call them."""

    def __init__(self, folder: pathlib.Path, mark: str):
        self.functions, self.present, self.flag = folder / "functions", folder / "present", folder / "hang"
        self.functions.mkdir()
        self.present.mkdir()
        self.write(0)
        (self.functions / "bad.py").write_text(BAD.format(folder=str(folder)))
        (self.functions / "late.py").write_text(LATE.format(flag=str(self.flag)))
        self.mark = mark
        self.server = Server(folder, {
            "PROOF_MARK": mark, "FUNC_DIR": str(self.functions), "PYTHON": sys.executable,
            "PYTHON_WORKERS": str(PLACES), "PYTHON_MEMORY_MB": "512", "PYTHON_IMPORT_SECONDS": "2"})

    def write(self, version: int) -> None:
        """All of the file at once: the server looks at the folder by itself, too."""
        new = self.functions / "new"
        new.write_text(GOOD.format(version=version, folder=str(self.present), places=PLACES))
        new.rename(self.functions / "good.py")

    def add(self, jobs: dict[str, str], **fields) -> dict[str, int]:
        """Jobs by name, with what they call."""
        added = self.server.add([job(name, "func", f"【name】{text}", **fields) for name, text in jobs.items()])
        return dict(zip(jobs, added))

    def reload(self) -> tuple[list[str], set[str]]:
        """The functions that are loaded, and the files that are not."""
        answer = self.server.good("POST", "/api/v1/functions/reload")
        return answer["loaded"], {failure["file"] for failure in answer["failed"]}

    def harm(self, kind: str, number: int) -> int:
        """Takes all places with calls of that kind; when the last of them was over, ms."""
        if kind == "late":
            self.flag.touch()
        runs, reloaded = fire(self.server, number, PLACES), 0
        if kind == "late":
            _, failed = self.reload()
            demand(failed == {"late.py"}, f"late: what hangs at import is late.py, what failed {failed}")
            reloaded = round(time.time() * 1000)
        records = ended(self.server, runs, 20)
        self.flag.unlink(missing_ok=True)
        outcome, code, word = ENDS[kind]
        for found in self.server.rows(f"SELECT outcome, exit_code, error FROM tj_runs WHERE id IN ({listed(runs)})"):
            said = json.loads(found[2] or "{}").get("en", "")
            demand(found[:2] == (outcome, code) and word in said, f"{kind}: a call ended with {found}")
        return max(reloaded, *(end for *_, end in records))

    def whole_after(self, since: int, number: int) -> float:
        """Calls that need every place at the same time; how many seconds after that instant they were done."""
        for file in self.present.iterdir():
            file.unlink()
        records = ended(self.server, fire(self.server, number, PLACES), 20)
        outcomes = collections.Counter(outcome for outcome, *_ in records)
        demand(outcomes == {"success": PLACES}, f"the pool is not whole: {dict(outcomes)}")
        return (max(end for *_, end in records) - since) / 1000

    def processes(self) -> tuple[set[int], set[int]]:
        """Those that are the server's own children, and those that have lost it."""
        own, lost = set(), set()
        for pid in processes(self.mark):
            try:
                parent = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if pid != self.server.pid:
                (own if parent == self.server.pid else lost).add(pid)
        return own, lost

    def lost(self) -> set[int]:
        """Those that no call owns any more, a second after the last."""
        end = time.monotonic() + 1
        while (lost := self.processes()[1]) and time.monotonic() < end:
            time.sleep(0.05)
        return lost


def listed(ids) -> str:
    return ", ".join(map(str, ids))


def demand_good(pool: Pool, ids) -> int:
    """Of these jobs no run has ended badly, and some have ended well; how many."""
    found = dict(pool.server.rows(f"SELECT outcome, count(*) FROM tj_runs WHERE job_id IN ({listed(ids)}) "
                                  "AND outcome NOT IN ('waiting', 'running') GROUP BY outcome"))
    demand(set(found) == {"success"}, f"good calls ended with {found}")
    return found["success"]


@check(f"{PLACES} Python calls at once that loop, take 2 GiB, crash, exit, fork, leave a daemon or hang at import: "
       f"all places work again <= {WHOLE:g} s after; {RELOADS} reloads under load; 0 good calls fail, no process is "
       "left over")
def workers(folder: pathlib.Path) -> str:
    chance, mark = random.Random(50), f"proof-{uuid.uuid4().hex}"
    pool, back, left = Pool(folder, mark), {}, {}
    with swept(mark), pool.server as server:
        _, failed = pool.reload()
        demand(not failed, f"not loaded: {failed}")
        # What ends by itself has its time: to touch memory takes some.
        bad = pool.add({kind: f"{kind}\n【timeout】{TIMEOUT if outcome == 'timeout' else 30}"
                        for kind, (outcome, *_) in ENDS.items()})
        whole = pool.add({"whole": "whole"})["whole"]
        good = list(pool.add({f"good {n}": "good\n【times】4" for n in range(5)}, every=1).values())
        for _ in range(ROUNDS):
            for kind, number in bad.items():
                since = pool.harm(kind, number)
                back[kind] = max(back.get(kind, 0), pool.whole_after(since, whole))
                left |= {pid: left.get(pid, kind) for pid in pool.lost()}
        beside = demand_good(pool, good)
        late = {kind: seconds for kind, seconds in back.items() if seconds > WHOLE}
        demand(not late, f"the pool was whole again only after s: {late}")
        load = list(pool.add({f"load {n}": "good\n【times】10" for n in range(10)}, every=1).values())
        before, told = demand_good(pool, good), []
        for version in range(1, RELOADS + 1):
            pool.write(version)
            loaded, failed = pool.reload()
            told.append(time.time() * 1000)
            demand("good" in loaded and not failed, f"reload {version}: {loaded} are loaded, {failed} not")
            time.sleep(chance.uniform(0, 0.4))
        time.sleep(2)
        under, calls = demand_good(pool, load), 4 * (demand_good(pool, good) - before)
        for start, value in server.rows(f"SELECT start_ms, func_result FROM tj_runs WHERE job_id IN ({listed(load)}) "
                                        "AND outcome = 'success'"):
            least = bisect.bisect_left(told, start)
            demand(int(value) >= least, f"a call after reload {least} ran the code of reload {value}")
        until(lambda: len(pool.processes()[0]) <= PLACES, 3, f"there are at most {PLACES} workers")
        until(lambda: zombies(server.pid) == 0, 3, "the server has no zombies")
        left |= {pid: left.get(pid, "reload") for pid in pool.lost()}
        panics = server.panics()
        server.stop()
        end = time.monotonic() + 3
        while (after := set(processes(mark)) - left.keys()) and time.monotonic() < end:
            time.sleep(0.05)
        kinds = dict(collections.Counter(left.values()))
    demand(not left, f"processes left over by calls: {kinds}")
    demand(not after, f"{len(after)} processes are left over by the server's end")
    demand(panics == 0, f"{panics} panics")
    worst = ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in back.items())
    return (f"{ROUNDS * PLACES * len(ENDS)} bad calls, all places work again after s: {worst}; {4 * beside:,} good "
            f"calls beside them and {10 * under + calls:,} during {RELOADS} reloads, 0 failed; no process left over")
