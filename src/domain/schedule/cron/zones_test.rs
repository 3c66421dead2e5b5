//! Every transition of every zone from 2020 to 2037, against an oracle that looks at each minute around it.

use super::*;
use chrono::{DateTime, Offset, TimeZone};
use std::collections::{BTreeMap, BTreeSet};

const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440 * MINUTE;
/// 2020-01-01 and 2038-01-01, UTC.
const YEARS: std::ops::Range<i64> = 1_577_836_800_000..2_145_916_800_000;
/// What is looked at before and after a transition: more than any date or offset can shift it.
const AROUND: i64 = 27 * 60 * MINUTE;

/// An expression, its minutes and its hours, and whether its time is fixed (semantics 7).
type Rule = (&'static str, fn(u32, u32) -> bool, bool);

const RULES: [Rule; 8] = [
    ("*/15 * * * *", |minute, _| minute % 15 == 0, false),
    ("20 */2 * * *", |minute, hour| minute == 20 && hour % 2 == 0, false),
    ("* 1-3 * * *", |_, hour| (1..=3).contains(&hour), false),
    ("30 2 * * *", |minute, hour| minute == 30 && hour == 2, true),
    ("0 0 * * *", |minute, hour| minute == 0 && hour == 0, true),
    ("15,45 1,3 * * *", |minute, hour| (minute == 15 || minute == 45) && (hour == 1 || hour == 3), true),
    ("45 0-23 * * *", |minute, _| minute == 45, true),
    ("5 22-23 * * *", |minute, hour| minute == 5 && hour >= 22, true),
];

fn offset(zone: Tz, at: i64) -> i64 {
    let at = DateTime::from_timestamp_millis(at).unwrap().naive_utc();
    i64::from(zone.offset_from_utc_datetime(&at).fix().local_minus_utc()) * 1_000
}

/// The instants at which the zone's offset changes.
fn transitions(zone: Tz) -> Vec<i64> {
    let mut found = Vec::new();
    let mut at = YEARS.start;
    while at < YEARS.end {
        if offset(zone, at) != offset(zone, at + DAY) {
            let (mut low, mut high) = (at, at + DAY);
            while high - low > 1_000 {
                let middle = (low + high) / 2_000 * 1_000;
                if offset(zone, middle) == offset(zone, low) { low = middle } else { high = middle }
            }
            found.push(high);
        }
        at += DAY;
    }
    found
}

/// A minute as a clock on the wall shows it.
struct Shown {
    at: i64,
    minute: u32,
    hour: u32,
    /// The clock showed it before.
    again: bool,
}

/// What a person with such a clock would say: `skipped` are the times that it did not show.
fn by_hand((_, due, fixed): Rule, shown: &[Shown], skipped: &[(u32, u32)], change: i64) -> Vec<i64> {
    let is_due = |shown: &&Shown| due(shown.minute, shown.hour) && !(fixed && shown.again);
    let mut fires: BTreeSet<i64> = shown.iter().filter(is_due).map(|shown| shown.at).collect();
    if fixed && skipped.iter().any(|(minute, hour)| due(*minute, *hour)) {
        fires.insert(change);
    }
    fires.into_iter().collect()
}

/// Minute and hour of a local time.
fn face(local: i64) -> (u32, u32) {
    let minutes = (local / MINUTE).rem_euclid(1_440) as u32;
    (minutes % 60, minutes / 60)
}

/// Zones whose clocks are set alike are one.
fn zones() -> BTreeMap<Vec<(i64, i64, i64)>, Tz> {
    let changes = |zone| {
        let change = |at| (at, offset(zone, at - 1_000), offset(zone, at));
        transitions(zone).into_iter().map(change).collect()
    };
    chrono_tz::TZ_VARIANTS.into_iter().map(|zone| (changes(zone), zone)).collect()
}

#[test]
fn every_transition_of_every_zone_is_as_a_person_would_say() {
    let (mut seen, mut checked) = (0, 0);
    for (changes, zone) in zones() {
        let schedules = RULES.map(|rule| CronSchedule::parse(rule.0, zone).unwrap());
        for (change, before, after) in changes {
            let (from, to) = (change - AROUND, change + AROUND);
            let shown = |n| {
                let at = from + n * MINUTE;
                let (minute, hour) = face(at + if at < change { before } else { after });
                Shown { at, minute, hour, again: at >= change && at < change + before - after }
            };
            let shown: Vec<Shown> = (1..=(to - from) / MINUTE).map(shown).collect();
            let skipped: Vec<_> = (change + before..change + after).step_by(60_000).map(face).collect();
            for (rule, schedule) in RULES.iter().zip(&schedules) {
                let expected = by_hand(*rule, &shown, &skipped, change);
                let next = |at: &UtcMs| schedule.next_after(*at).filter(|at| at.0 <= to);
                let fires: Vec<i64> =
                    std::iter::successors(next(&UtcMs(from)), next).map(|at| at.0).collect();
                assert_eq!(fires, expected, "{} in {zone} around {}", rule.0, UtcMs(change).rfc3339(Tz::UTC));
                assert_eq!(
                    schedule.count_between(UtcMs(from), UtcMs(to)),
                    fires.len() as u64,
                    "{} in {zone}",
                    rule.0
                );
                checked += fires.len();
            }
            seen += 1;
        }
    }
    assert!(seen > 1_000 && checked > 1_000_000, "{seen} transitions, {checked} fires");
}
