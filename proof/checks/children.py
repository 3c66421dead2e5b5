"""Commands whose processes do what they can to outlive the command's timeout: they leave its session and its parents,
are deaf to TERM, start new ones when they are asked to end, and hold the pipe that the server reads. Each process
carries a mark of this check's own, by which the process table tells who is left."""

import collections
import contextlib
import os
import pathlib
import shutil
import signal
import time
import uuid

from ..recorder import lines
from ..report import Broken, check, demand, percentile, until
from ..server import Server, job, processes, zombies

TIMEOUT, BEYOND = 2, 6
WARM_UP, EACH = 3, 50
# A process that notes itself and stays.
LEAF = "#!/bin/sh\necho \"$1 $$\" >> {trace}\nexec sleep 300\n"
# By its name: how many processes note themselves in one run, and the command.
KINDS = {
    # In sessions of their own, one without the marks that the server gives: only its parent shows whose it is.
    "setsid": (2, "setsid {leaf} setsid &\n"
                  "env -i PATH=\"$PATH\" PROOF_MARK=\"$PROOF_MARK\" setsid {leaf} setsid &\n"
                  "wait"),
    # Their parents have ended at once; neither group, session nor descent shows whose they are.
    "fork": (2, "(setsid sh -c '{leaf} fork & {leaf} fork & exit' &)\n"
                "exec sleep 300"),
    # Two that TERM does not reach, and one that is started by TERM.
    "deaf": (3, "sh -c 'trap \"setsid {leaf} deaf &\" TERM; while :; do sleep 0.2; done' &\n"
                "trap '' TERM\n"
                "{leaf} deaf &\n"
                "setsid {leaf} deaf &\n"
                "wait"),
    # An orphan writes to the pipe without end, while the command itself has closed it.
    "pipe": (1, "(setsid sh -c 'trap \"\" TERM PIPE; echo \"pipe $$\" >> {trace}; "
                "while :; do echo held; echo held >&2; sleep 0.1; done' &)\n"
                "exec sleep 300 > /dev/null 2>&1"),
}


@contextlib.contextmanager
def swept(mark: str):
    """Leaves no process with the mark behind, whatever happens."""
    try:
        yield
    finally:
        sweep(mark)


def sweep(mark: str) -> None:
    """Kills what has the mark; again, as what is killed may just have forked."""
    end = time.monotonic() + 10
    while (found := processes(mark)) and time.monotonic() < end:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def fire(server: Server, number: int, times: int) -> list[int]:
    """Runs the job so many times at once; the runs' ids."""
    return [int(server.good("POST", f"/api/v1/jobs/{number}/run")["run"], 16) for _ in range(times)]


def ended(server: Server, runs: list[int], seconds: float) -> list[tuple[str, int, int]]:
    """Waits for the ends of runs; outcome, start and end of each."""
    listed = ", ".join(map(str, runs))

    def records():
        found = server.rows(f"SELECT outcome, start_ms, end_ms FROM tj_runs WHERE id IN ({listed})")
        return found if len(found) == len(runs) and all(end for *_, end in found) else None

    return until(records, seconds, f"{len(runs)} runs have ended")


def played(server: Server, ids: list[int], mark: str, trace: pathlib.Path, times: int) -> list[float]:
    """Runs each kind so many times, as many at once as the server has places for, and looks at what is left. How long
    after its start each ended."""
    runs = [run for _ in range(times) for number in ids for run in fire(server, number, 1)]
    records = ended(server, runs, 90)
    outcomes = sorted({outcome for outcome, *_ in records})
    demand(outcomes == ["timeout"], f"the outcomes are {outcomes}")
    took = [(end - start) / 1000 for _, start, end in records]
    # What KILL was sent to is gone when the kernel has come to it.
    end = time.monotonic() + 1
    while (left := set(processes(mark)) - {server.pid}) and time.monotonic() < end:
        time.sleep(0.05)
    kinds = {int(pid): kind for kind, pid in lines(trace)}
    survivors = collections.Counter(kinds.get(pid, "others") for pid in left)
    late = sum(seconds > TIMEOUT + BEYOND for seconds in took)
    demand(not left and not late, f"{len(left)} survivors {dict(survivors)} and {late} late of {len(took)} runs; the "
                                  f"last ended {max(took):.2f} s after its start")
    until(lambda: zombies(server.pid) == 0, 1, "the server has no zombies")
    return took


@check(f"{EACH * len(KINDS)} commands that setsid, double fork, ignore TERM or hold the pipe, 64 at a time (the "
       f"default's places), timeout {TIMEOUT} s: each recorded as timeout <= {BEYOND} s after it, 0 survivors, "
       "0 zombies, no more open files than before")
def children(folder: pathlib.Path) -> str:
    if not shutil.which("setsid"):
        raise Broken("setsid is missing: apt-get install util-linux")
    mark, trace, leaf = f"proof-{uuid.uuid4().hex}", folder / "trace", folder / "leaf"
    leaf.write_text(LEAF.format(trace=trace))
    leaf.chmod(0o700)
    jobs = [job(kind, "command", f"【command】{text.format(leaf=leaf, trace=trace)}\n【timeout】{TIMEOUT}")
            for kind, (_, text) in KINDS.items()]
    with swept(mark), Server(folder, {"PROOF_MARK": mark}) as server:
        ids = server.add(jobs)
        # The first runs open what the server then keeps open.
        played(server, ids, mark, trace, WARM_UP)
        before = server.descriptors()
        took = played(server, ids, mark, trace, EACH)
        until(lambda: server.descriptors() <= before, 3, f"there are no more open files than {before}, as before")
        after = server.descriptors()
        # What never was there could not survive.
        noted = collections.Counter(kind for kind, _ in lines(trace))
        wanted = {kind: leaves * (WARM_UP + EACH) for kind, (leaves, _) in KINDS.items()}
        demand(noted == wanted, f"the processes that noted themselves are {dict(noted)}, not {wanted}")
        demand(server.panics() == 0, f"{server.panics()} panics")
    return (f"{len(took)} runs, all timeout, the last {max(took):.2f} s after its start (median "
            f"{percentile(took, 0.5):.2f} s); {sum(noted.values())} processes of theirs, 0 survivors, 0 zombies, "
            f"{before} open files before and {after} after")
