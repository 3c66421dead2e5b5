"""Somebody sets the wall clock of a server that runs (libfaketime, which reads the offset from a file)."""

import glob
import pathlib
import time

from ..report import Broken, check, demand, until
from ..server import Server, job

HOUR = 3_600_000


class Faked:
    """A server whose wall clock is ours; its monotonic clocks are not touched."""

    def __init__(self, folder: pathlib.Path):
        libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1") or glob.glob("/usr/lib/*/faketime/*.so.1")
        if not libraries:
            raise Broken("libfaketime is missing: apt-get install faketime")
        folder.mkdir()
        self.offset = folder / "offset"
        self.set(0)
        self.server = Server(folder, {
            "LD_PRELOAD": libraries[0], "FAKETIME_TIMESTAMP_FILE": str(self.offset), "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})

    def set(self, hours: int) -> None:
        """Whole at once: the library may read at any moment."""
        fresh = self.offset.with_suffix(".new")
        fresh.write_text(f"{hours * 3600:+d}s\n")
        fresh.replace(self.offset)

    def rows(self, number: int) -> list[tuple]:
        """Scheduled, outcome, end of a summary, its count, clock epoch; in the order in which they were made."""
        return self.server.rows(
            "SELECT scheduled_ms, outcome, missed_to_ms, missed_count, clock_epoch FROM tj_runs "
            "WHERE job_id = ? AND source = 'cron' ORDER BY clock_epoch, scheduled_ms", number)


def now() -> int:
    return int(time.time() * 1000)


def day_time(ms: int) -> str:
    """`second minute hour * * *` of an instant, UTC: a fixed-time expression."""
    at = time.gmtime(ms / 1000)
    return f"{at.tm_sec} {at.tm_min} {at.tm_hour} * * *"


def tried(folder: pathlib.Path, hours: int) -> str:
    faked = Faked(folder / f"{hours:+d}h")
    with faked.server as server:
        begun = now()
        # Due in five seconds as the clock stands, and once in the hours that a jump forward leaves out.
        soon = begun + 6_000
        left_out = begun + hours * HOUR // 2
        ids = server.add([
            job("second", "func", "Time", cron="* * * * * *"),
            job("interval", "func", "Time", every=2),
            job("fixed", "func", "Time", cron=day_time(soon)),
            job("left out", "func", "Time", cron=day_time(left_out)),
        ])
        second, interval, fixed, skipped = ids
        until(lambda: len(faked.rows(fixed)) == 1, 15, "the job of a fixed time ran before the jump")
        before = now()
        faked.set(hours)
        shifted = before + hours * HOUR
        until(lambda: sum(row[1] == "success" and abs(row[0] - now() - hours * HOUR) < 5_000
                          for row in faked.rows(second)) >= 3, 15, "fires go on at the new time")
        until(lambda: sum(row[1] == "success" and abs(row[0] - now() - hours * HOUR) < 5_000
                          for row in faked.rows(interval)) >= 2, 15, "the interval goes on at the new time")
        time.sleep(3)
        server.bulk("stop", ids)
        server.stop()
        rows, panics = faked.rows(second), server.panics()
        ran = [row[0] for row in rows if row[1] == "success"]
        summaries = [row for row in rows if row[1] == "missed"]
        missed = sum(row[3] for row in summaries)
        twice = len(rows) - len({(row[0], row[4]) for row in rows})
        demand(panics == 0 and twice == 0, f"{panics} panics, {twice} fires twice")
        # A correction leaves a summary beside it, which is no fire.
        fired = [row for row in faked.rows(fixed) if row[1] != "missed"]
        demand(len(fired) == 1, f"the fixed time fired {len(fired)} times: {fired}")
        what = f"{hours:+d} h: "
        if 0 < hours <= 3:
            # Instants that were left out are misfires: the newest run (within its window), the rest in one row.
            demand(abs(missed - hours * 3600) < 90, f"{what}{missed} instants missed, {len(summaries)} rows")
            demand(len(summaries) <= 2, f"{what}{len(summaries)} summaries")
            other = faked.rows(skipped)
            demand([row[1] for row in other] == ["missed"], f"{what}the time that was left out: {other}")
        elif hours > 3:
            demand(len(summaries) <= 1, f"{what}{len(summaries)} summaries for a correction")
            demand(max(ran) > shifted, f"{what}nothing ran at the new time")
        else:
            # Wildcard jobs keep their cadence at the new time: about one run a second since then.
            after = [at for at in ran if at < before - HOUR // 2]
            demand(after == list(range(after[0], after[-1] + 1, 1000)), f"{what}the cadence has holes: {after}")
            demand(len(summaries) <= (1 if hours < -3 else 0), f"{what}{len(summaries)} summaries")
        return f"{what}{len(ran)} ran, {missed} instants missed in {len(summaries)} row(s), fixed time once"


@check("the wall clock is set +1 h, -1 h, +4 h, -4 h: semantics 8 (misfires; cadence kept and no fixed time twice; a "
       "correction with at most one summary row), firing again at once")
def clock(folder: pathlib.Path) -> str:
    return "; ".join(tried(folder, hours) for hours in (1, -1, 4, -4))


@check("a month of downtime of jobs that are due each second: firing again within 1 s of the start, at most 10 MiB more "
       "memory than a start after a second, one summary row a job")
def month_away(folder: pathlib.Path) -> str:
    faked = Faked(folder / "month")
    with faked.server as server:
        ids = server.add([job(f"second {n}", "func", "Time", cron="* * * * * *") for n in range(10)])
        until(lambda: len(faked.rows(ids[0])) >= 2, 15, "the jobs fire")
        server.stop()
        server.start()
        time.sleep(3)
        usual = server.memory()
        server.stop()
        last = faked.rows(ids[0])[-1][0]
        faked.set(30 * 24)
        began = time.monotonic()
        server.process = server.spawn("start")
        until(lambda: any(row[0] > last + 29 * 24 * HOUR for row in faked.rows(ids[0])), 30, "the jobs fire again", 0.01)
        back = time.monotonic() - began
        until(server.is_healthy, 10, "it is healthy")
        time.sleep(2)
        grown = server.memory() - usual
        server.stop()
        missed = [[row for row in faked.rows(number) if row[1] == "missed"] for number in ids]
    counts = {sum(row[3] for row in rows) for rows in missed}
    demand(all(len(rows) == 1 for rows in missed), f"summaries: {[len(rows) for rows in missed]}")
    demand(all(29 * 86_400 < count < 31 * 86_400 for count in counts), f"missed: {counts}")
    demand(back <= 1.0, f"firing again after {back:.2f} s")
    demand(grown <= 10, f"{grown:.1f} MiB more than after a second away")
    return f"firing again {back:.2f} s after the start, {grown:+.1f} MiB, {max(counts):,} missed instants in one row each"
