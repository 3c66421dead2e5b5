"""A day of history for the screenshots, written into the database of a server that is stopped.

    python3 seed.py data/timerjobs.db

For each job it invents the runs of its schedule; the counts are made again by the statements of
migration 5. It is no test and no way to get data into a server that people use.
"""

import json
import random
import sqlite3
import sys
import time

DAY = 86_400_000
FAILURES = {
    "http": ("HTTP 状态码 502，期望 2xx", "HTTP status 502, expected 2xx"),
    "command": ("退出码 1", "exit code 1"),
    "func": ("磁盘 / 已用 93 %，高于 90 %", "disk / is 93 % full, above 90 %"),
}
OUTPUT = "\x1b[36m==>\x1b[0m \x1b[1mcomparing 18,204 payments\x1b[0m\nmatched  \x1b[32m18,201\x1b[0m\ndiffers  \x1b[33m3\x1b[0m\n"


def main(path: str) -> None:
    random.seed(20)
    db = sqlite3.connect(path)
    now = int(time.time() * 1000)
    rows, sequence = [], 0
    for job, name, mode, command, cron, seconds in db.execute(
        "SELECT id, name, mode, command, cron_expr, interval_seconds FROM tj_jobs"
    ).fetchall():
        every = period(cron, seconds)
        usual = random.choice([40, 180, 700, 2400, 9000])
        count = min(900, max(3, DAY // every))
        every = max(every, DAY // 900)
        busy = random.random() < 0.5
        for n in range(int(count)):
            at = now - n * every - random.randrange(60_000) - 90_000
            if busy and (time.gmtime(at / 1000).tm_hour < 6) and random.random() < 0.6:
                continue
            dice = random.random()
            outcome, reason, error = "success", None, None
            if dice > 0.985:
                outcome, error = "failed", dict(zip(("zh", "en"), FAILURES[mode]))
            elif dice > 0.98:
                outcome, reason = "skipped", "overlap"
            took = int(usual * random.lognormvariate(0, 0.35))
            ran = outcome != "skipped"
            sequence += 1
            rows.append((
                (at << 21) + sequence, job, at, 0, name, mode, command, "cron", outcome, reason, at,
                at + 2 if ran else None, at + 2 + (took if ran else 0), 1, 300,
                (0 if outcome == "success" else 1) if mode == "command" and ran else None,
                json.dumps(error, ensure_ascii=False) if error else None,
                OUTPUT if mode == "command" and ran else None,
            ))
    db.executemany(
        "INSERT OR IGNORE INTO tj_runs (id, job_id, fire_ms, clock_epoch, job_name, mode, command, source, outcome, reason,"
        " scheduled_ms, start_ms, end_ms, attempt, bytes, exit_code, error, stdout) VALUES (" + ",".join("?" * 18) + ")",
        rows,
    )
    db.execute("UPDATE tj_job_state SET run_count = (SELECT count(*) FROM tj_runs r WHERE r.job_id = tj_job_state.job_id),"
               " last_run_ms = (SELECT max(start_ms) FROM tj_runs r WHERE r.job_id = tj_job_state.job_id)")
    db.execute("DELETE FROM tj_run_counts")
    ended = "WHERE outcome NOT IN ('waiting', 'running')"
    db.execute(f"INSERT INTO tj_run_counts SELECT 0, (id >> 21) / 900000, outcome, count(*) FROM tj_runs {ended} GROUP BY 2, 3")
    db.execute("INSERT INTO tj_run_counts SELECT 0, -1, outcome, sum(runs) FROM tj_run_counts GROUP BY outcome")
    db.execute(f"INSERT INTO tj_run_counts SELECT job_id, -1, outcome, count(*) FROM tj_runs {ended} GROUP BY job_id, outcome")
    db.commit()
    db.close()


def period(cron: str, seconds: int) -> int:
    """Roughly how often it fires; the pictures need no more."""
    if seconds:
        return seconds * 1000
    _, minute, hour, *_ = cron.split()
    if minute.startswith("*/"):
        return int(minute[2:]) * 60_000
    if hour == "*":
        return 3_600_000
    if hour.startswith("*/"):
        return int(hour[2:]) * 3_600_000
    return DAY


main(sys.argv[1])
