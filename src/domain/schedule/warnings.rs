//! What people should know of a schedule before they save it: it is valid, and may still not do what
//! they expect. It refuses nothing; what can never fire at all is refused by `cron/parse.rs`.

use super::cron::ClockChange;
use super::{CronSchedule, Schedule, Text, UtcMs};
use serde::Serialize;
use std::time::Duration;

const DAY_MS: i64 = 86_400_000;
/// How far ahead changes of the clock are looked for.
const YEAR: Duration = Duration::from_secs(366 * 86_400);
/// A job of once a year waits up to 53 weeks, as the first Monday of January does.
const SELDOM_MS: i64 = 400 * DAY_MS;
const TEN_YEARS_MS: i64 = 10 * 366 * DAY_MS;
const MINUTES_A_DAY: u64 = 1_440;
/// More fires a minute than this, on the average of a day, are many.
const MANY_A_MINUTE: u64 = 30;

/// Something to know of a schedule; a list has at most one of each code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// For programs: `never_fires`, `rare`, `every_second`, `both_days`, `dst_gap` or `dst_fold`.
    pub code: &'static str,
    pub text: Text,
}

impl Warning {
    fn new(code: &'static str, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { code, text: Text::new(zh, en) }
    }
}

impl Schedule {
    /// What should be known of the schedule as of `now`. Changes of the zone's clock are looked for in
    /// the year ahead. It takes well under a millisecond for any schedule: no time is walked step by step.
    pub fn warnings(&self, now: UtcMs) -> Vec<Warning> {
        match self {
            // An interval has no calendar and no clock, and comes at least once a year.
            Self::Interval(s) => many(86_400 / u64::from(s.seconds())).into_iter().collect(),
            Self::Cron(s) => [
                seldom(s, now),
                many(s.times_a_day()),
                s.has_both_day_fields().then(both_days),
                gap(s, now),
                fold(s, now),
            ]
            .into_iter()
            .flatten()
            .collect(),
        }
    }
}

fn seldom(schedule: &CronSchedule, now: UtcMs) -> Option<Warning> {
    let zone = schedule.zone();
    let show = |t: UtcMs| t.local_seconds(zone);
    let Some(next) = schedule.next_after(now) else {
        return Some(Warning::new("never_fires", "不会再触发", "Never fires any more"));
    };
    if next.since(now) > TEN_YEARS_MS {
        let at = show(next);
        return Some(Warning::new(
            "never_fires",
            format!("十年内不会触发：下一次是 {at}（{zone}）"),
            format!("Does not fire within ten years: the next time is {at} ({zone})"),
        ));
    }
    // The day before a leap day, the leap day is near and the one after it is not.
    let second = schedule.next_after(next);
    let pause = second.map_or(i64::MAX, |second| second.since(next));
    if next.since(now).max(pause) <= SELDOM_MS {
        return None;
    }
    let at = show(next);
    let (then_zh, then_en) = second.map_or((String::new(), String::new()), |second| {
        let second = show(second);
        (format!("，再下一次是 {second}"), format!(", then on {second}"))
    });
    Some(Warning::new(
        "rare",
        format!("很少触发：下一次是 {at}{then_zh}（{zone}）"),
        format!("Fires rarely: next on {at}{then_en} ({zone})"),
    ))
}

/// `per_day`: how often it fires on a day on which it does.
fn many(per_day: u64) -> Option<Warning> {
    if per_day <= MANY_A_MINUTE * MINUTES_A_DAY {
        return None;
    }
    let (zh, en) = if per_day == 86_400 {
        ("每秒触发一次".to_owned(), "Fires every second".to_owned())
    } else {
        let n = per_day / MINUTES_A_DAY;
        (format!("平均每分钟触发 {n} 次"), format!("Fires {n} times a minute on average"))
    };
    Some(Warning::new(
        "every_second",
        format!("{zh}：每次触发都会留下一条执行记录，请确认确实需要这么频繁"),
        format!("{en}: each fire leaves a run record, so make sure that it must be this often"),
    ))
}

fn both_days() -> Warning {
    Warning::new(
        "both_days",
        "日和周都有限定：符合其中任意一个就会触发，不要求同时符合；“第一个周一”请写成周字段 1#1",
        "Both day-of-month and day-of-week are given: it fires on days that match either, not only on \
         those that match both; for \"the first Monday\" write 1#1 as the day-of-week",
    )
}

/// Times that the clock skips (semantics 7).
fn gap(schedule: &CronSchedule, now: UtcMs) -> Option<Warning> {
    let change = schedule.skip_between(now, now.plus(YEAR))?;
    let (zone, [from, to]) = (schedule.zone(), readings(change));
    let (zh, en) = if schedule.is_fixed_time() {
        (
            format!("本该在其间触发的，到 {to} 触发一次"),
            format!("what would fire in between fires once, at {to}"),
        )
    } else {
        ("其间的触发没有了，也不补".to_owned(), "what would fire in between does not fire".to_owned())
    };
    Some(Warning::new(
        "dst_gap",
        format!("{zone} 的时钟将从 {from} 直接跳到 {to}，{zh}"),
        format!("The clock of {zone} goes from {from} straight to {to}: {en}"),
    ))
}

/// Times that the clock shows twice (semantics 7).
fn fold(schedule: &CronSchedule, now: UtcMs) -> Option<Warning> {
    let change = schedule.repeat_between(now, now.plus(YEAR))?;
    let (zone, [from, to]) = (schedule.zone(), readings(change));
    let (zh, en) = if schedule.is_fixed_time() {
        ("只在第一次触发", "the job fires the first time only")
    } else {
        ("两次都会触发", "the job fires both times")
    };
    Some(Warning::new(
        "dst_fold",
        format!("{zone} 的时钟将从 {from} 拨回 {to}，其间的时间出现两次，{zh}"),
        format!(
            "The clock of {zone} goes from {from} back to {to}: the times in between come twice, and {en}"
        ),
    ))
}

/// The clock before and after: `2026-03-08 02:00` and `03:00`, with its date where that is another.
fn readings(change: ClockChange) -> [String; 2] {
    let read = |local: i64| UtcMs(local.saturating_mul(1000)).to_utc().naive_utc();
    let (from, to) = (read(change.from), read(change.to));
    let form = if from.date() == to.date() { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    [from.format("%Y-%m-%d %H:%M").to_string(), to.format(form).to_string()]
}

#[cfg(test)]
#[path = "warnings_test.rs"]
mod warnings_test;
