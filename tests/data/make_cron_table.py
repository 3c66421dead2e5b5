#!/usr/bin/env python3
"""Writes cron_table.tsv, rows of (expression, zone, after, expected next instant): see table_test.rs.

An independent reference: it shares no code and no method with the Rust engine. It parses the fields
itself, lists the matching wall-clock times day by day, and maps each to UTC with zoneinfo, by rule 7 of
the product's semantics:

- fixed-time (the minute and hour fields both lack a leading `*` or `?`): a time in a skipped hour runs at
  the first instant after the gap; in a repeated hour on the first pass only;
- all others follow the clock: nothing in the gap, both passes of the repeat.

Two checks run before anything is written: PyPI's croniter must give the same answer for every UTC row of an
expression that both understand alike, and for jobs that follow the clock every row whose answer lies within
two days is found again by walking UTC second by second or minute by minute.

    python3 -m venv v && v/bin/pip install croniter==7.0.0 tzdata==2025.2
    v/bin/python tests/data/make_cron_table.py tests/data/cron_table.tsv

tzdata 2025.2 is the 2025b that chrono-tz 0.10.4 carries. Rows in zones with daylight saving stay before
2026, so that a newer tzdata cannot change them (2026.6 writes the same table, byte for byte).

The table is grouped to stay small: a line `expression<TAB>zone` opens a group, and the lines after it are
`after<TAB>expected`, in UTC seconds since 1970 (`expected` is relative to `after`).
"""

import calendar
import random
import re
import sys
import zoneinfo
from datetime import date, datetime, timedelta, timezone

zoneinfo.reset_tzpath(to=[])  # only PyPI's tzdata, whatever the machine has
UTC = timezone.utc
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
WEEKDAYS = "SUN MON TUE WED THU FRI SAT".split()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RANGES = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
ALIASES = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}


def value(text, names, first):
    return names.index(text) + first if text in names else int(text)


def plain(item, index):
    """The values of a number, a range or a step."""
    lo, hi = RANGES[index]
    names, first = (MONTHS, 1) if index == 4 else (WEEKDAYS, 0) if index == 5 else ([], 0)
    body, _, step = item.partition("/")
    if body in ("*", "?"):
        a, b = lo, hi
    elif "-" in body:
        x, y = body.split("-")
        a, b = value(x, names, first), value(y, names, first)
        if index == 5 and y == "SUN":
            b = 7
    else:
        a = value(body, names, first)
        b = hi if step else a
    return set(range(a, b + 1, int(step or 1)))


class Expression:
    def __init__(self, text):
        fields = ALIASES.get(text, text).upper().split()
        if len(fields) == 5:
            fields.insert(0, "0")
        self.fields = fields
        self.fixed = fields[1][0] not in "*?" and fields[2][0] not in "*?"
        self.seconds, self.minutes, self.hours = (
            sorted(set().union(*(plain(i, n) for i in fields[n].split(",")))) for n in range(3)
        )
        self.months = set().union(*(plain(i, 4) for i in fields[4].split(",")))
        self.dom_items, self.dow_items = fields[3].split(","), fields[5].split(",")

    def on(self, day):
        if day.month not in self.months:
            return False
        any_day, any_weekday = (f in ("*", "?", "*/1") for f in (self.fields[3], self.fields[5]))
        by_day = any(self.by_day(i, day) for i in self.dom_items)
        by_weekday = any(self.by_weekday(i, day) for i in self.dow_items)
        if any_day or any_weekday:
            return (any_day or by_day) and (any_weekday or by_weekday)
        return by_day or by_weekday

    @staticmethod
    def by_day(item, day):
        last = date(day.year, day.month, calendar.monthrange(day.year, day.month)[1])
        if item == "L":
            return day == last
        if item.endswith("W"):
            wanted = last.day if item == "LW" else int(item[:-1])
            if wanted > last.day:
                return False
            workdays = [date(day.year, day.month, d) for d in range(1, last.day + 1)]
            workdays = [d for d in workdays if d.weekday() < 5]
            if item == "LW":
                return day == workdays[-1]
            return day == min(workdays, key=lambda d: abs(d.day - wanted))
        return day.day in plain(item, 3)

    @staticmethod
    def by_weekday(item, day):
        mine = day.isoweekday() % 7
        if "#" in item:
            name, nth = item.split("#")
            return value(name, WEEKDAYS, 0) % 7 == mine and (day.day + 6) // 7 == int(nth)
        if item.endswith("L"):
            return value(item[:-1], WEEKDAYS, 0) % 7 == mine and (day + timedelta(7)).month != day.month
        return mine in {v % 7 for v in plain(item, 5)}

    def times(self):
        return ((h, m, s) for h in self.hours for m in self.minutes for s in self.seconds)

    def next(self, zone, after):
        """The first instant strictly after `after` (UTC seconds), or None within 45 years."""
        day = local_of(after, zone).date() - timedelta(3)  # a gap may swallow a whole day
        stop, best = day + timedelta(366 * 45), None
        while day < stop:
            if self.on(day):
                midnight = calendar.timegm(day.timetuple())
                days = (local_of(midnight + n * 86400, zone) for n in range(-2, 4))
                offsets = [d.utcoffset() // timedelta(seconds=1) for d in days]
                for h, m, s in self.times():
                    wall = midnight + h * 3600 + m * 60 + s  # as if it were UTC
                    # Cheap and safe: an instant lies within the zone's offsets of these days.
                    if wall - min(offsets) <= after or (best is not None and wall - max(offsets) >= best):
                        continue
                    for t in self.instants(datetime(day.year, day.month, day.day, h, m, s), zone):
                        if t > after and (best is None or t < best):
                            best = t
            if best is not None and local_of(best, zone).date() + timedelta(2) < day:
                break
            day += timedelta(1)
        return best

    def instants(self, wall, zone):
        """The instants at which a wall-clock time fires."""
        passes = []
        for fold in (0, 1):
            t = seconds_of(wall.replace(tzinfo=zone, fold=fold))
            if local_of(t, zone).replace(tzinfo=None) == wall and t not in passes:
                passes.append(t)
        if passes:
            return passes[:1] if self.fixed else passes
        return [gap_end(wall, zone)] if self.fixed else []

    def matches(self, wall):
        return (wall.second in self.seconds and wall.minute in self.minutes and wall.hour in self.hours
                and self.on(wall.date()))


def seconds_of(aware):
    return (aware.astimezone(UTC) - EPOCH) // timedelta(seconds=1)


def local_of(seconds, zone):
    return (EPOCH + timedelta(seconds=seconds)).astimezone(zone)


def gap_end(wall, zone):
    """The first instant whose wall clock is past a skipped time."""
    lo, hi = (seconds_of(wall.replace(tzinfo=UTC)) + d for d in (-2 * 86400, 2 * 86400))
    while hi - lo > 1:
        middle = (lo + hi) // 2
        if local_of(middle, zone).replace(tzinfo=None) < wall:
            lo = middle
        else:
            hi = middle
    return hi


def transitions(zone, lo_year, hi_year):
    """UTC seconds at which the zone's offset changes."""
    found, step = [], 3600 * 6
    t, end = calendar.timegm((lo_year, 1, 1, 0, 0, 0)), calendar.timegm((hi_year, 1, 1, 0, 0, 0))
    while t < end:
        if local_of(t, zone).utcoffset() != local_of(t + step, zone).utcoffset():
            lo, hi = t, t + step
            while hi - lo > 1:
                middle = (lo + hi) // 2
                same = local_of(middle, zone).utcoffset() == local_of(t, zone).utcoffset()
                lo, hi = (middle, hi) if same else (lo, middle)
            found.append(hi)
        t += step
    return found


# Zone, and the years whose transitions are used.
ZONES = [
    ("Asia/Shanghai", 1986, 1992), ("America/New_York", 2005, 2026), ("Europe/London", 1970, 2026),
    ("Europe/Berlin", 1980, 2026), ("Australia/Lord_Howe", 1981, 2026), ("America/Sao_Paulo", 2000, 2020),
    ("Pacific/Apia", 2009, 2022), ("Africa/Casablanca", 2008, 2026), ("America/Caracas", 2006, 2017),
    ("Asia/Gaza", 2010, 2023),
]
# Around a transition: jobs by the clock and at fixed times, in five and six fields.
AROUND = [
    "* * * * *", "*/5 * * * *", "*/30 * * * *", "17 * * * *", "@hourly", "0 */2 * * *", "*/15 1-3 * * *",
    "* 2 * * *", "30 * * * SUN", "45 23,0 * * *", "0 0 * * *", "30 0 * * *", "15 1 * * *", "30 1 * * *",
    "30 1,2 * * *", "0 2 * * *", "5 2 * * *", "30 2 * * *", "59 2 * * *", "0 3 * * *", "0,30 2,3 * * *",
    "30 23 * * *", "0-59/20 0-3 * * *", "15 2 * * SUN", "0 12 30 12 *", "@daily", "@weekly",
    "*/10 * * * * *", "30 */7 * * * *", "15 30 2 * * *", "*/20 30 1 * * *", "* 15 2 * * *", "0 0 0 * * *",
    "59 59 23 * * *", "0 45 1-2 * * ?", "0 ? 2 * * *", "0 30 2 L * ?", "0 0 3 ? * MON-FRI",
]
# Without daylight saving, and whether croniter must agree. It puts seconds last, has no W, ends `1/3` in the
# day of week at Saturday (cronie and croner go on to 7, Sunday), and beside a `#` it drops the day of month,
# where our rule (and croner's) is that either matches.
CALENDAR = [
    ("* * * * *", True), ("*/7 * * * *", True), ("5/15 * * * *", True), ("0 0 * * *", True),
    ("30 4 1,15 * 5", True), ("0 0 13 * FRI", True), ("0 22 * * 1-5", True), ("0 0 */2 * *", True),
    ("0 0 */2 * MON", True), ("0 9-17/2 * * *", True), ("0 0 29 2 *", True), ("0 0 31 * *", True),
    ("0 0 30 4,6,9,11 *", True), ("0 0 * JAN,JUL MON", True), ("0 0 1 JAN *", True), ("15 10 * * 0", True),
    ("15 10 * * 7", True), ("15 10 * * 5-7", True), ("0 0 * * SUN", True), ("0 0 L * *", True),
    ("0 0 L 2 *", True), ("0 0 L,15 * *", True), ("30 6 * * 5L", True),
    ("30 6 * * FRI#2", True), ("30 6 * * 1#1,3#3", True), ("0 0 * * 0#5", True), ("0 0 * 2 MON#5", True),
    ("0 0 15W * *", False), ("0 0 1W * *", False), ("0 0 2W * *", False), ("0 0 28W,27W 2 *", False),
    ("0 0 31W * *", False), ("0 0 LW * *", False),
    ("0 0 1W,15W,LW * *", False), ("0 0 L,LW * *", False), ("0 0 30W 2,3 *", False), ("0 0 15 * 5#3", False),
    ("0 0 L * 1#1", False), ("0 0 1,L * MON-FRI", True), ("0 0 28-31 * SAT,SUN", True), ("0 0 ? * 3", True),
    ("0 0 10 * ?", True), ("59 23 31 12 *", True), ("0 0 * */3 *", True), ("0 0 1 */5 *", True),
    ("0 0 5/10 * *", True), ("0 0 * 2/4 *", True), ("*/59 * * * *", True), ("0 0 * * 1/3", False),
    ("0 0 */1 * MON", False), ("0 0 29 2 1", True), ("0 0 29 FEB 4#5", False), ("0 0 * * 6L,1L", True),
    ("@hourly", True), ("@daily", True), ("@midnight", True), ("@weekly", True), ("@monthly", True),
    ("@yearly", True), ("@annually", True), ("*/7 * * * * *", False), ("30 0 0 1 1 *", False),
    ("1,2,58-59 */9 3 * * *", False), ("0 0 0 L * *", False), ("5/15 10 * * * *", False),
    ("59 59 23 31 12 ?", False), ("0 0 12 ? * 2#1", False), ("0 0 0 29 2 ?", False),
    ("13 */20 9-17 * * MON-FRI", False),
]


def to_croniter(text):
    """The same rule in croniter's spelling (`L5` for `5L`)."""
    fields = ALIASES.get(text, text).split()
    fields[4] = ",".join(re.sub(r"^(\w+)L$", r"L\1", i) for i in fields[4].split(","))
    return " ".join(fields)


def check_croniter(text, after, expected):
    from croniter import croniter

    start = EPOCH + timedelta(seconds=after)
    got = croniter(to_croniter(text), start, max_years_between_matches=60).get_next(datetime)
    got = (got - EPOCH) // timedelta(seconds=1)
    assert got == expected, f"croniter: {text} after {start}: {got - after} against {expected - after}"


def check_walk(e, zone, after, expected):
    """Walks the clock itself; only a job that follows the clock can be found so."""
    step = 1 if e.seconds != [0] and expected - after < 7200 else 60 if e.seconds == [0] else 0
    if e.fixed or step == 0 or expected - after > 2 * 86400:
        return False
    t = after // step * step + step
    while not e.matches(local_of(t, zone).replace(tzinfo=None)):
        t += step
    assert t == expected, f"walk differs: {e.fields} {zone} after {after}: {t} against {expected}"
    return True


def main():
    rng = random.Random(20251)
    groups = {}
    counts = dict.fromkeys(["rows", "near a transition", "croniter", "walked", "fixed", "six fields"], 0)

    def row(text, zone_name, after, croniter_too=False):
        e, zone = Expression(text), zoneinfo.ZoneInfo(zone_name)
        expected = e.next(zone, after)
        assert expected is not None, (text, zone_name, after)
        rows = groups.setdefault((text, zone_name), {})
        if after in rows or (zone_name in {z for z, *_ in ZONES} and expected >= 1767225600):
            return
        if croniter_too:
            check_croniter(text, after, expected)
            counts["croniter"] += 1
        counts["walked"] += check_walk(e, zone, after, expected)
        rows[after] = expected - after
        counts["rows"] += 1
        counts["fixed"] += e.fixed
        counts["six fields"] += len(ALIASES.get(text, text).split()) == 6
        return True

    for name, lo, hi in ZONES:
        changes = transitions(zoneinfo.ZoneInfo(name), lo, hi)
        always = changes[:2]
        if name == "Pacific/Apia":
            always.append(1325239200)  # 30 December 2011 did not happen
        for text in AROUND:
            for change in sorted({*always, changes[-1], *rng.sample(changes, min(3, len(changes)))}):
                near = (rng.randrange(-7200, 0), rng.randrange(-90000, 7200), rng.randrange(0, 7200))
                for offset in sorted({-1, 0, *near}):
                    counts["near a transition"] += bool(row(text, name, change + offset))
    for text, shared in CALENDAR:
        for _ in range(12):
            row(text, "UTC", rng.randrange(0, 4_102_444_800), shared)
        for day in [(2024, 2, 28), (2000, 2, 28), (2023, 12, 31), (2096, 2, 29), (2100, 2, 28)]:
            row(text, "UTC", calendar.timegm((*day, 23, 59, 59)), shared)
        for _ in range(3):
            row(text, "Asia/Kolkata", rng.randrange(0, 1_700_000_000))
            row(text, "Asia/Shanghai", rng.randrange(0, 1_700_000_000))
            row(text, "America/New_York", rng.randrange(0, 1_700_000_000))

    with open(sys.argv[1], "w", encoding="utf-8") as out:
        for (text, zone_name), rows in sorted(groups.items()):
            if rows:
                out.write(f"{text}\t{zone_name}\n")
                out.writelines(f"{after}\t{ahead}\n" for after, ahead in sorted(rows.items()))
    print(counts)


if __name__ == "__main__":
    main()
