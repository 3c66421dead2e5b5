//! What becomes of due instants, by tables (semantics 3 to 7). Clock jumps are in
//! `jump_test.rs`, what holds of every plan in `plan_property_test.rs`.

use super::*;
use chrono::DateTime;
use chrono_tz::Tz;

/// 2026-01-05T08:00:00Z, a Monday.
const NOW: UtcMs = UtcMs(1_767_600_000_000);
/// Longer than the longest misfire window, so that only the newest instant can lie in one.
const RARE: u64 = 8 * 86_400;

fn every(seconds: u64) -> Schedule {
    Schedule::parse(&format!("@every {seconds}s"), Tz::UTC).unwrap()
}

fn cron(expr: &str, zone: &str) -> Schedule {
    Schedule::parse(expr, zone.parse().unwrap()).unwrap()
}

fn utc(text: &str) -> UtcMs {
    UtcMs(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
}

fn ago(ms: i64) -> UtcMs {
    UtcMs(NOW.0 - ms)
}

/// An idle parallel job with the defaults, decided `behind` milliseconds before `NOW`.
fn view(schedule: &Schedule, behind: i64) -> View<'_> {
    View {
        schedule,
        overlap: Overlap::Parallel,
        misfire_policy: MisfirePolicy::FireOnce,
        misfire_window: Duration::from_secs(300),
        decided: ago(behind),
        immediate: None,
        remaining: None,
        running: 0,
        waiting: 0,
        room: 10_000,
    }
}

fn of(decision: &Decision, source: Source) -> Vec<UtcMs> {
    decision.fires.iter().filter(|f| f.source == source).map(|f| f.at).collect()
}

fn verdicts(decision: &Decision) -> Vec<Verdict> {
    decision.fires.iter().map(|f| f.verdict).collect()
}

fn missed_in_all(decision: &Decision) -> u64 {
    decision.missed.iter().map(|m| m.count).sum()
}

fn starts(decision: &Decision) -> u64 {
    decision.fires.iter().filter(|f| !matches!(f.verdict, Verdict::Skip(_))).count() as u64
}

#[test]
fn the_misfire_matrix() {
    use MisfirePolicy::{FireAll, FireOnce, Skip};
    const DAY: i64 = 86_400_000;
    // policy, age of the newest instant in ms, window in s, instants due: catch-ups, cron, missed.
    for (policy, age, window, due, catchups, on_time, missed) in [
        (FireOnce, 0, 300, 1, 0, 1, 0),
        (FireOnce, 59_999, 300, 1, 0, 1, 0),
        (FireOnce, 60_000, 300, 1, 0, 1, 0),
        (FireOnce, 60_000, 0, 1, 0, 1, 0),
        (FireOnce, 60_001, 300, 1, 1, 0, 0),
        (FireOnce, 60_001, 60, 1, 0, 0, 1),
        (FireOnce, 60_001, 0, 1, 0, 0, 1),
        (FireOnce, 300_000, 300, 1, 1, 0, 0),
        (FireOnce, 300_001, 300, 1, 0, 0, 1),
        (FireOnce, 300_000, 300, 1_000, 1, 0, 999),
        (FireOnce, 300_001, 300, 1_000, 0, 0, 1_000),
        (FireOnce, 7 * DAY, 604_800, 2, 1, 0, 1),
        (FireOnce, 7 * DAY + 1, 604_800, 2, 0, 0, 2),
        // The newest is late, not missed; the one before it is eight days old.
        (FireOnce, 60_000, 604_800, 3, 0, 1, 2),
        (Skip, 60_000, 300, 1, 0, 1, 0),
        (Skip, 60_001, 300, 1, 0, 0, 1),
        (Skip, 60_001, 604_800, 1_000, 0, 0, 1_000),
        (Skip, 0, 300, 2, 0, 1, 1),
        (FireAll, 60_000, 300, 1, 0, 1, 0),
        (FireAll, 60_001, 300, 1, 1, 0, 0),
        (FireAll, 7 * DAY, 0, 99, 99, 0, 0),
        (FireAll, 7 * DAY, 0, 100, 100, 0, 0),
        (FireAll, 7 * DAY, 0, 101, 100, 0, 1),
        (FireAll, 7 * DAY, 604_800, 1_000, 100, 0, 900),
        (FireAll, 0, 300, 101, 100, 1, 0),
        (FireAll, 0, 300, 102, 100, 1, 1),
    ] {
        let case = format!("{policy:?}, age {age} ms, window {window} s, {due} due");
        let rare = every(RARE);
        let period = RARE as i64 * 1_000;
        let view = View {
            misfire_policy: policy,
            misfire_window: Duration::from_secs(window),
            ..view(&rare, age + due * period)
        };
        let got = plan(&view, NOW);
        let newest = ago(age);
        let instant = |k: i64| UtcMs(view.decided.0 + k * period);
        let made_up: Vec<UtcMs> = match policy {
            FireAll => (1..=catchups).map(instant).collect(),
            _ => (0..catchups).map(|_| newest).collect(),
        };
        assert_eq!(of(&got, Source::Catchup), made_up, "{case}");
        assert_eq!(of(&got, Source::Cron), (0..on_time).map(|_| newest).collect::<Vec<_>>(), "{case}");
        let reason = if policy == Skip { Reason::Policy } else { Reason::Misfire };
        let from = if policy == FireAll { instant(101) } else { instant(1) };
        let to = UtcMs(from.0 + (missed - 1) * period);
        let record = Missed { from, to, count: missed.unsigned_abs(), reason };
        assert_eq!(got.missed, if missed > 0 { vec![record] } else { vec![] }, "{case}");
        let at_once = verdicts(&got).iter().filter(|v| **v == Verdict::Start).count();
        assert_eq!(at_once, got.fires.len().min(PARALLEL_MAX), "{case}");
        assert_eq!(starts(&got), got.fires.len() as u64, "{case}: the rest of the burst waits");
        assert_eq!((got.decided, got.exhausted), (newest, false), "{case}");
        assert_eq!(got.next, Some(UtcMs(newest.0 + period)), "{case}: the next fire is always scheduled");
    }
}

#[test]
fn a_month_of_a_per_second_job_is_one_row() {
    const MONTH: i64 = 30 * 86_400_000;
    for schedule in [every(1), cron("* * * * * *", "Asia/Shanghai")] {
        for (policy, catchups) in
            [(MisfirePolicy::FireOnce, 1), (MisfirePolicy::Skip, 0), (MisfirePolicy::FireAll, 100)]
        {
            let got = plan(&View { misfire_policy: policy, ..view(&schedule, MONTH) }, NOW);
            // From 60 s ago up to now: 61 instants that are late, not missed.
            assert_eq!(of(&got, Source::Cron).len(), 61, "{policy:?}");
            assert_eq!(of(&got, Source::Catchup).len(), catchups, "{policy:?}");
            assert_eq!(got.missed.len(), 1, "{policy:?}");
            assert_eq!(got.missed[0].count, 30 * 86_400 - 61 - catchups as u64, "{policy:?}");
            assert_eq!((got.decided, got.next), (NOW, Some(UtcMs(NOW.0 + 1_000))), "{policy:?}");
        }
    }
}

#[test]
fn nothing_due_is_nothing_done() {
    let minutely = cron("* * * * *", "UTC");
    let got = plan(&view(&minutely, 0), NOW);
    let want = Decision { decided: NOW, next: Some(UtcMs(NOW.0 + 60_000)), ..Decision::default() };
    assert_eq!(got, want);
    // One millisecond before its instant a fire is not due.
    assert_eq!(plan(&view(&minutely, 60_000), ago(1)).fires, []);
    assert_eq!(of(&plan(&view(&minutely, 60_000), NOW), Source::Cron), [NOW]);
    // A reading before the last decided instant decides nothing and takes nothing back.
    let got = plan(&view(&minutely, 0), ago(3_600_000));
    assert_eq!((got.fires, got.missed, got.decided), (vec![], vec![], NOW));
    assert_eq!(got.next, Some(UtcMs(NOW.0 + 60_000)));
}

#[test]
fn a_schedule_that_has_ended_has_no_next() {
    let end = UtcMs(253_402_300_799_999);
    let daily = every(86_400);
    let got = plan(&View { decided: UtcMs(end.0 - 1_000), ..view(&daily, 0) }, end);
    assert_eq!((got.next, got.exhausted), (None, false));
}

#[test]
fn overlap_decides_start_wait_or_skip() {
    use Overlap::{Immediate, Parallel, Serial};
    use Verdict::{Skip, Start, Wait};
    let limit = Skip(Reason::ParallelLimit);
    let (busy, full) = (Skip(Reason::Overlap), Skip(Reason::QueueFull));
    // Three fires are due: 40 s ago, 20 s ago and now.
    let often = every(20);
    for (overlap, running, waiting, room, want) in [
        (Parallel, 0, 0, 100, [Start, Start, Start]),
        (Parallel, 61, 0, 100, [Start, Start, Start]),
        (Parallel, 62, 0, 100, [Start, Start, limit]),
        (Parallel, 64, 0, 100, [limit, limit, limit]),
        (Parallel, 0, 0, 2, [Start, Start, full]),
        (Parallel, 0, 0, 0, [full, full, full]),
        (Parallel, 64, 0, 0, [limit, limit, limit]),
        (Serial, 0, 0, 100, [Start, busy, busy]),
        (Serial, 1, 0, 100, [busy, busy, busy]),
        (Serial, 0, 0, 0, [full, full, full]),
        (Immediate, 0, 0, 100, [Start, Wait, Wait]),
        (Immediate, 1, 0, 100, [Wait, Wait, Wait]),
        (Immediate, 1, 98, 100, [Wait, Wait, full]),
        (Immediate, 1, 99, 100, [Wait, full, full]),
        (Immediate, 1, 100, 100, [full, full, full]),
        (Immediate, 0, 1, 100, [Wait, Wait, Wait]),
        (Immediate, 0, 0, 1, [Start, full, full]),
        (Immediate, 1, 0, 2, [Wait, Wait, full]),
    ] {
        let case = format!("{overlap:?}, {running} running, {waiting} waiting, room {room}");
        let got = plan(&View { overlap, running, waiting, room, ..view(&often, 60_000) }, NOW);
        assert_eq!(verdicts(&got), want, "{case}");
        assert_eq!(got.decided, NOW, "{case}: a skipped fire is decided too");
    }
}

#[test]
fn catch_ups_wait_their_turn_like_other_fires() {
    let rare = every(RARE);
    let all = View { misfire_policy: MisfirePolicy::FireAll, ..view(&rare, 70 * RARE as i64 * 1_000) };
    let got = plan(&View { overlap: Overlap::Serial, ..all }, NOW);
    assert_eq!((starts(&got), got.fires.len(), got.fires[0].verdict), (1, 70, Verdict::Start));
    let parallel = verdicts(&plan(&all, NOW));
    assert!(parallel[..64].iter().all(|v| *v == Verdict::Start), "the parallel limit");
    assert!(parallel[64..].iter().all(|v| *v == Verdict::Wait), "a burst that is made up for waits");
    let got = plan(&View { overlap: Overlap::Immediate, waiting: 50, ..all }, NOW);
    assert_eq!(verdicts(&got).iter().filter(|v| **v == Verdict::Wait).count(), 50, "the queue holds 100");
}

#[test]
fn never_one_start_more_than_max_run_count() {
    use MisfirePolicy::{FireAll, FireOnce, Skip};
    let often = every(20);
    // Behind by 140 s: missed are -120, -100 and -80 s, late are -60, -40, -20 and 0 s.
    for (policy, remaining, fires, missed, decided) in [
        (FireOnce, 0, vec![], 0, 140),
        (FireOnce, 1, vec![80], 2, 80),
        (FireOnce, 2, vec![80, 60], 2, 60),
        (FireOnce, 5, vec![80, 60, 40, 20, 0], 2, 0),
        (FireOnce, 6, vec![80, 60, 40, 20, 0], 2, 0),
        (FireAll, 0, vec![], 0, 140),
        (FireAll, 1, vec![120], 0, 120),
        (FireAll, 3, vec![120, 100, 80], 0, 80),
        (FireAll, 4, vec![120, 100, 80, 60], 0, 60),
        (FireAll, 8, vec![120, 100, 80, 60, 40, 20, 0], 0, 0),
        (Skip, 0, vec![], 0, 140),
        (Skip, 1, vec![60], 3, 60),
        (Skip, 4, vec![60, 40, 20, 0], 3, 0),
    ] {
        let case = format!("{policy:?}, {remaining} left");
        let view = View { misfire_policy: policy, remaining: Some(remaining), ..view(&often, 140_000) };
        let got = plan(&view, NOW);
        let at: Vec<UtcMs> = got.fires.iter().map(|f| f.at).collect();
        assert_eq!(at, fires.iter().map(|s| ago(s * 1_000)).collect::<Vec<_>>(), "{case}");
        assert_eq!(missed_in_all(&got), missed, "{case}");
        assert_eq!(got.decided, ago(decided * 1_000), "{case}: nothing is decided after the last start");
        assert_eq!(got.exhausted, fires.len() as u64 >= remaining, "{case}");
        assert_eq!(got.next.is_none(), got.exhausted, "{case}");
    }
}

#[test]
fn a_skipped_fire_uses_up_no_start() {
    let often = every(20);
    let busy = View { overlap: Overlap::Serial, remaining: Some(1), ..view(&often, 60_000) };
    let got = plan(&View { running: 1, ..busy }, NOW);
    assert_eq!((got.fires.len(), starts(&got), got.exhausted), (3, 0, false));
    let got = plan(&busy, NOW);
    assert_eq!((got.fires.len(), starts(&got), got.exhausted), (1, 1, true));
    // What waits has been claimed: it counts.
    let got = plan(&View { overlap: Overlap::Immediate, running: 1, remaining: Some(2), ..busy }, NOW);
    assert_eq!((verdicts(&got), got.exhausted), (vec![Verdict::Wait; 2], true));
}

#[test]
fn an_owed_run_is_made_up_for_within_the_window() {
    use MisfirePolicy::{FireAll, FireOnce, Skip};
    let rare = every(RARE);
    for (policy, age, window, want) in [
        (FireOnce, 0, 300, Ok(Source::Cron)),
        (FireOnce, 60_000, 0, Ok(Source::Cron)),
        (FireOnce, 60_001, 300, Ok(Source::Catchup)),
        (FireOnce, 60_001, 60, Err(Reason::Misfire)),
        (FireOnce, 300_000, 300, Ok(Source::Catchup)),
        (FireOnce, 300_001, 300, Err(Reason::Misfire)),
        (FireAll, 300_000, 300, Ok(Source::Catchup)),
        (FireAll, 300_001, 300, Err(Reason::Misfire)),
        (Skip, 60_000, 300, Ok(Source::Cron)),
        (Skip, 60_001, 604_800, Err(Reason::Policy)),
    ] {
        let case = format!("{policy:?}, owed for {age} ms, window {window} s");
        let owed = ago(age);
        let view = View {
            overlap: Overlap::Immediate,
            misfire_policy: policy,
            misfire_window: Duration::from_secs(window),
            immediate: Some(owed),
            ..view(&rare, age)
        };
        let got = plan(&view, NOW);
        match want {
            Ok(source) => {
                assert_eq!(got.fires, [Fire { at: owed, source, verdict: Verdict::Start }], "{case}");
                assert_eq!(got.missed, [], "{case}");
            }
            Err(reason) => {
                assert_eq!(got.fires, [], "{case}");
                assert_eq!(got.missed, [Missed { from: owed, to: owed, count: 1, reason }], "{case}");
            }
        }
        assert_eq!(got.next, Some(UtcMs(owed.0 + RARE as i64 * 1_000)), "{case}: the cadence counts from it");
        let blocked = plan(&View { running: 1, ..view }, NOW);
        let wait = if want.is_ok() { vec![Verdict::Wait] } else { vec![] };
        assert_eq!(verdicts(&blocked), wait, "{case}: it waits for a run in flight");
    }
}

#[test]
fn an_owed_run_counts_and_comes_before_the_schedule() {
    let often = every(20);
    let owing = View { overlap: Overlap::Immediate, immediate: Some(ago(60_000)), ..view(&often, 60_000) };
    let got = plan(&owing, NOW);
    let at: Vec<UtcMs> = got.fires.iter().map(|f| f.at).collect();
    assert_eq!(at, [60_000, 40_000, 20_000, 0].map(ago));
    let got = plan(&View { remaining: Some(1), ..owing }, NOW);
    let at: Vec<UtcMs> = got.fires.iter().map(|f| f.at).collect();
    assert_eq!((at, got.decided, got.exhausted), (vec![ago(60_000)], ago(60_000), true));
    let got = plan(&View { remaining: Some(0), ..owing }, NOW);
    assert_eq!((got.fires, got.missed, got.exhausted), (vec![], vec![], true));
}

/// After the clock was set back an interval's last decided instant lies before the owed run's.
#[test]
fn an_owed_run_does_not_shift_the_schedule() {
    let often = every(20);
    let owing = View { immediate: Some(ago(25_000)), ..view(&often, 60_000) };
    let got = plan(&owing, NOW);
    let mut at: Vec<UtcMs> = got.fires.iter().map(|f| f.at).collect();
    at.sort_unstable();
    assert_eq!(at, [40_000, 25_000, 20_000, 0].map(ago), "no instant is left out");
    let got = plan(&View { immediate: Some(ago(5_000)), ..view(&often, 10_000) }, NOW);
    assert_eq!((got.decided, got.next), (ago(10_000), Some(UtcMs(NOW.0 + 10_000))), "the cadence is kept");
}

#[test]
fn an_interval_keeps_its_phase() {
    let often = every(7);
    for behind in [0, 1, 6_999, 7_000, 7_001, 61_000, 400_123, 86_400_000] {
        for policy in [MisfirePolicy::FireOnce, MisfirePolicy::Skip, MisfirePolicy::FireAll] {
            let view = View { misfire_policy: policy, ..view(&often, behind) };
            let got = plan(&view, NOW);
            let next = got.next.unwrap();
            assert!(next > NOW && next.since(NOW) <= 7_000, "{behind} {policy:?}");
            assert_eq!(next.since(view.decided) % 7_000, 0, "{behind} {policy:?}");
            assert!(got.fires.iter().all(|f| f.at.since(view.decided) % 7_000 == 0), "{behind} {policy:?}");
        }
    }
}

/// Lets a server look at the job at every instant it asked for, and gives the instants that fired.
fn fired(schedule: &Schedule, from: UtcMs, upto: UtcMs) -> Vec<String> {
    let mut decided = from;
    let mut at = Vec::new();
    let mut now = plan(&View { decided, ..view(schedule, 0) }, from).next;
    while let Some(look) = now.filter(|t| *t <= upto) {
        let got = plan(&View { decided, ..view(schedule, 0) }, look);
        at.extend(got.fires.iter().map(|f| f.at.to_utc().format("%dT%H:%MZ").to_string()));
        (decided, now) = (got.decided, got.next);
    }
    at
}

#[test]
fn cron_across_daylight_saving() {
    let (ny, berlin, howe) = ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe");
    for (expr, zone, from, upto, want) in [
        // The skipped hour: a fixed time runs once after the gap, a wildcard not in it.
        ("30 2 * * *", ny, "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z", vec!["08T07:00Z", "09T06:30Z"]),
        ("30 * * * *", ny, "2026-03-08T06:00:00Z", "2026-03-08T08:00:00Z", vec!["08T06:30Z", "08T07:30Z"]),
        ("30 2 * * *", berlin, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", vec!["29T01:00Z"]),
        ("15 2 * * *", howe, "2026-10-03T00:00:00Z", "2026-10-04T00:00:00Z", vec!["03T15:30Z"]),
        // The repeated hour: a fixed time on the first pass only, a wildcard on both.
        ("30 1 * * *", ny, "2026-10-31T12:00:00Z", "2026-11-02T00:00:00Z", vec!["01T05:30Z"]),
        ("30 * * * *", ny, "2026-11-01T05:00:00Z", "2026-11-01T07:00:00Z", vec!["01T05:30Z", "01T06:30Z"]),
        ("30 2 * * *", berlin, "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", vec!["25T00:30Z"]),
    ] {
        let schedule = cron(expr, zone);
        let (from, upto) = (utc(from), utc(upto));
        assert_eq!(fired(&schedule, from, upto), want, "{expr} {zone}");
        // A server that was down accounts for the same instants.
        let got = plan(&View { decided: from, ..view(&schedule, 0) }, upto);
        let accounted = got.fires.len() as u64 + missed_in_all(&got);
        assert_eq!(accounted, want.len() as u64, "{expr} {zone}, after downtime");
    }
}
