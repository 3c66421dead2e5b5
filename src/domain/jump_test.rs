//! What a jump of the wall clock does to a job (semantics 8): every class, at its edges.

use super::*;
use chrono_tz::Tz;

/// 2026-01-05T08:00:00Z, a Monday.
const NOW: UtcMs = UtcMs(1_767_600_000_000);
const HOUR: i64 = 3_600_000;

fn schedule(expr: &str) -> Schedule {
    Schedule::parse(expr, Tz::UTC).unwrap()
}

fn at(ms: i64) -> UtcMs {
    UtcMs(NOW.0 + ms)
}

fn look(schedule: &Schedule, decided: UtcMs, now: UtcMs) -> Decision {
    let view = View {
        schedule,
        overlap: Overlap::Parallel,
        misfire_policy: MisfirePolicy::FireOnce,
        misfire_window: Duration::from_secs(300),
        decided,
        immediate: None,
        remaining: None,
        running: 0,
        waiting: 0,
        room: 100,
    };
    plan(&view, now)
}

#[test]
fn the_classes_and_their_edges() {
    for (wall, elapsed, want) in [
        (0, 0, Jump::None),
        (5_000, 5_000, Jump::None),
        (999, 0, Jump::None),
        (1_000, 0, Jump::None),
        (3 * HOUR, 0, Jump::None),
        (3 * HOUR + 1, 0, Jump::Correction(3 * HOUR + 1)),
        (3 * HOUR + 1, 1, Jump::None),
        (-999, 0, Jump::None),
        (0, 999, Jump::None),
        (-1_000, 0, Jump::Back(1_000)),
        (0, 1_000, Jump::Back(1_000)),
        (-3 * HOUR, 0, Jump::Back(3 * HOUR)),
        (-3 * HOUR + 1_000, 1_000, Jump::Back(3 * HOUR)),
        (-3 * HOUR - 1, 0, Jump::Correction(-3 * HOUR - 1)),
        (1_000 * HOUR, 500 * HOUR, Jump::Correction(500 * HOUR)),
        // A machine that slept: both clocks went on.
        (1_000 * HOUR, 1_000 * HOUR, Jump::None),
        (i64::MAX, -1, Jump::Correction(i64::MAX)),
    ] {
        assert_eq!(jump(wall, elapsed), want, "the wall moved {wall} ms in {elapsed} ms");
    }
}

#[test]
fn no_jump_moves_nothing() {
    for s in ["@every 60s", "* * * * *", "0 8 * * *"].map(schedule) {
        assert_eq!(after_jump(Jump::None, &s, at(-5), at(0), at(3 * HOUR)), (at(-5), None));
    }
}

#[test]
fn a_forward_jump_leaves_misfires() {
    for s in ["@every 60s", "* * * * *"].map(schedule) {
        let (decided, record) = after_jump(jump(3 * HOUR, 0), &s, NOW, NOW, at(3 * HOUR));
        assert_eq!((decided, record), (NOW, None));
        let got = look(&s, decided, at(3 * HOUR));
        // 180 instants: the last two are within 60 s, the one before is made up for.
        assert_eq!((got.fires.len(), got.missed[0].count), (3, 177));
    }
}

#[test]
fn set_back_an_interval_keeps_its_cadence() {
    let s = schedule("@every 60s");
    for by in [1_000, 90_500, 3 * HOUR] {
        // Decided 20 s ago: the next is due when 40 s more have passed, whatever the clock says.
        let (decided, record) = after_jump(Jump::Back(by), &s, at(-20_000), NOW, at(-by));
        assert_eq!((decided, record), (at(-20_000 - by), None), "{by}");
        let got = look(&s, decided, at(-by));
        assert_eq!((got.fires.len(), got.next), (0, Some(at(40_000 - by))), "{by}");
    }
}

#[test]
fn set_back_a_wildcard_job_goes_on_from_the_new_time() {
    let s = schedule("* * * * *");
    let (decided, record) = after_jump(Jump::Back(HOUR), &s, NOW, at(30_000), at(30_000 - HOUR));
    assert_eq!((decided, record), (at(30_000 - HOUR), None));
    let got = look(&s, decided, at(30_000 - HOUR));
    assert_eq!((got.fires.len(), got.next), (0, Some(at(60_000 - HOUR))));
    // A step that does not reach behind the last decided instant changes nothing.
    assert_eq!(after_jump(Jump::Back(10_000), &s, NOW, at(30_000), at(20_000)), (NOW, None));
}

#[test]
fn set_back_a_fixed_time_is_not_repeated() {
    let s = schedule("0 8 * * *");
    for by in [1_000, HOUR, 3 * HOUR] {
        let (decided, record) = after_jump(Jump::Back(by), &s, NOW, at(500), at(500 - by));
        assert_eq!((decided, record), (NOW, None), "{by}");
        assert_eq!(look(&s, decided, at(500 - by)).next, Some(at(24 * HOUR)), "{by}");
        assert_eq!(look(&s, decided, at(500)).fires, [], "{by}: eight o'clock comes again, the fire not");
    }
    // A fire of the repeated hour that was not decided yet is not lost.
    let later = schedule("30 8 * * *");
    let (decided, _) = after_jump(Jump::Back(HOUR), &later, at(-24 * HOUR), at(500), at(500 - HOUR));
    assert_eq!(look(&later, decided, at(HOUR / 2)).fires.len(), 1);
}

#[test]
fn a_correction_forward_is_one_record() {
    let (by, reason) = (5 * HOUR, Reason::ClockCorrection);
    for (expr, count) in [("* * * * *", 300), ("0 * * * *", 5), ("0 10 * * *", 1)] {
        let s = schedule(expr);
        let (decided, record) = after_jump(jump(by, 0), &s, NOW, at(500), at(500 + by));
        assert_eq!(decided, at(500 + by), "{expr}");
        assert_eq!(record, Some(Missed { from: at(500), to: at(500 + by), count, reason }), "{expr}");
        let got = look(&s, decided, at(500 + by));
        assert_eq!((got.fires.len(), got.missed.len()), (0, 0), "{expr}: nothing is made up for");
        assert!(got.next.is_some_and(|next| next > at(500 + by)), "{expr}");
    }
    let none = after_jump(jump(by, 0), &schedule("0 23 * * *"), NOW, at(500), at(500 + by));
    assert_eq!(none, (at(500 + by), None), "without an instant in between there is nothing to tell");
}

#[test]
fn a_correction_back_goes_on_from_the_new_time() {
    let by = 48 * HOUR;
    for expr in ["* * * * *", "0 8 * * *"] {
        let s = schedule(expr);
        let (decided, record) = after_jump(jump(-by, 0), &s, NOW, NOW, at(-by));
        let reason = Reason::ClockCorrection;
        assert_eq!(decided, at(-by), "{expr}");
        assert_eq!(record, Some(Missed { from: NOW, to: at(-by), count: 0, reason }), "{expr}");
        let next = look(&s, decided, at(-by)).next;
        assert_eq!(next, s.next_after(NOW, at(-by)), "{expr}: fixed times too follow the right clock");
    }
}

#[test]
fn a_correction_moves_an_intervals_whole_cadence() {
    let s = schedule("@every 60s");
    for by in [3 * HOUR + 1, -3 * HOUR - 1, 1_000 * HOUR, -1_000 * HOUR] {
        let (decided, record) = after_jump(jump(by, 0), &s, at(-20_000), NOW, at(by));
        assert_eq!((decided, record), (at(-20_000 + by), None), "{by}");
        let got = look(&s, decided, at(by));
        assert_eq!((got.fires.len(), got.missed.len(), got.next), (0, 0, Some(at(40_000 + by))), "{by}");
    }
}
