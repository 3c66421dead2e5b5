"""APScheduler in memory, no history: RATE jobs that each fire every second, for SECONDS; `call` does nothing,
`command` runs a shell and captures its output. Prints one line of JSON: fires that were due, that were done,
that were done over a second late, and the lateness (p99, ms), all from the instant at which they were due."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import datetime

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

rate, seconds, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
lock, fired, late = threading.Lock(), Counter(), []
began = time.time() + 3 + rate / 4000


def work(number):
    if kind == "command":
        subprocess.run(["/bin/sh", "-c", "echo done"], capture_output=True, check=True)
    done = time.time()
    with lock:
        # A job is not told which of its instants it is called for: they come one after the other.
        second = fired[number]
        fired[number] += 1
        if second < seconds:
            late.append(done - began - number % 50 / 50 - second)


scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(20)})
scheduler.start(paused=True)
for number in range(rate):
    first = datetime.fromtimestamp(began + number % 50 / 50)
    scheduler.add_job(
        work, "interval", seconds=1, args=[number], start_date=first, next_run_time=first,
        misfire_grace_time=60, coalesce=False, max_instances=64,
    )
scheduler.resume()
time.sleep(max(0, began - time.time()) + seconds + 2)
with lock:
    delays = sorted(delay * 1000 for delay in late)
print(json.dumps({
    "due": rate * seconds, "done": len(delays), "over": sum(delay > 1000 for delay in delays),
    "p99": delays[int(len(delays) * 0.99)] if delays else None,
}), flush=True)
scheduler.shutdown(wait=False)
