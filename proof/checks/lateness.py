"""Under load nothing is early and little is late, as the HTTP target outside sees it."""

import collections
import pathlib
import time

from ..recorder import Recorder
from ..report import check, demand, percentile, until
from ..server import Server, job


@check("200 http fires a second beside 10,000 idle jobs for 2 min: 0 early, p99 at most 100 ms late; then 5,000 jobs "
       "all at second 0 start within 10 s; resident memory at most 150 MiB")
def load(folder: pathlib.Path) -> str:
    with Recorder() as recorder, Server(folder) as server:
        url = f"【url】http://127.0.0.1:{recorder.port}/"
        server.add([job(f"idle {n}", "func", "Time") for n in range(10_000)])
        ids = server.add([job(f"http {n}", "http", f"{url}steady/{n}", every=1) for n in range(200)])
        time.sleep(3)
        began, memory = time.monotonic(), 0.0
        first, recorder.seen = time.time() * 1000, []
        while time.monotonic() - began < 120:
            memory = max(memory, server.memory())
            time.sleep(0.5)
        last = time.time() * 1000
        time.sleep(2)
        server.bulk("stop", ids)
        # Which request belongs to which fire: both are in order, one request a fire.
        arrived = collections.defaultdict(list)
        for path, at in recorder.seen:
            arrived[path].append(at)
        late = []
        for n, number in enumerate(ids):
            due = [at for (at,) in server.rows(
                "SELECT scheduled_ms FROM tj_runs WHERE job_id = ? AND source = 'cron' AND scheduled_ms >= ? "
                "AND scheduled_ms < ? ORDER BY scheduled_ms", number, first, last)]
            seen = [at for at in arrived[f"/steady/{n}"] if at >= due[0] - 500]
            demand(119 <= len(due) <= 121 and due == list(range(due[0], due[-1] + 1, 1000)),
                   f"job {n}: {len(due)} records in 120 s")
            demand(len(seen) >= len(due), f"job {n}: {len(due)} fires, {len(seen)} requests")
            late += [at - scheduled for scheduled, at in zip(due, seen)]
        early = sum(ms < 0 for ms in late)
        p99 = percentile(late, 0.99)
        herd = server.add([job(f"herd {n}", "http", f"{url}herd/{n}", cron="0 * * * * *") for n in range(5_000)])
        # Not the minute in which they were added.
        wait = 60 - time.time() % 60
        time.sleep(wait - 0.5)
        recorder.seen = []
        minute = round((time.time() + 0.5) / 60) * 60_000
        until(lambda: sum(path.startswith("/herd/") for path, _ in list(recorder.seen)) >= 5_000, 40, "the herd ran")
        times = [at - minute for path, at in recorder.seen if path.startswith("/herd/")]
        memory = max(memory, server.memory())
        server.bulk("stop", herd)
        server.stop()
        panics = server.panics()
    demand(early == 0 and min(times) >= 0, f"{early} and {sum(ms < 0 for ms in times)} were early")
    demand(p99 <= 100, f"p99 {p99:.0f} ms late")
    demand(max(times) <= 10_000, f"the last of 5,000 started after {max(times):.0f} ms")
    demand(memory <= 150 and panics == 0, f"{memory:.0f} MiB, {panics} panics")
    return (f"{len(late):,} fires: 0 early, p50 {percentile(late, 0.5):.1f}, p99 {p99:.1f}, at worst {max(late):.0f} ms "
            f"late; 5,000 at one instant all arrived within {max(times) / 1000:.2f} s; at most {memory:.0f} MiB")
