//! When jobs are due, by arithmetic alone: nothing here knows the scheduler's own reading of an expression.

pub const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A rule that repeats itself: due where the local time, modulo the period, is one of the phases.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `None`: an interval of one period, counted from where it was armed.
    pub cron: Option<&'static str>,
    pub zone: &'static str,
    period: i64,
    phases: Vec<i64>,
    /// Of the zone, which has no daylight saving.
    offset: i64,
    /// Its minute and hour are fixed (semantics 7).
    pub fixed: bool,
}

/// What the simulation's jobs are made of: from every ten minutes to twice a day, and a burst in one hour.
pub fn rules() -> Vec<Rule> {
    let rule = |cron, zone, period, phases: Vec<i64>, fixed| {
        let offset = if zone == "Asia/Shanghai" { 8 * HOUR } else { 0 };
        Rule { cron, zone, period, phases, offset, fixed }
    };
    let burst = (0..60).map(|n| 3 * HOUR + n * 60_000 + 20_000).collect();
    vec![
        rule(Some("15 */10 * * * *"), "UTC", 600_000, vec![15_000], false),
        rule(Some("0 7 * * * *"), "UTC", HOUR, vec![420_000], false),
        rule(Some("30 45 */3 * * *"), "Asia/Shanghai", 3 * HOUR, vec![2_730_000], false),
        rule(Some("20 * 3 * * *"), "UTC", DAY, burst, false),
        rule(Some("0 30 4 * * *"), "Asia/Shanghai", DAY, vec![4 * HOUR + 1_800_000], true),
        rule(Some("0 0 9,18 * * *"), "UTC", DAY, vec![9 * HOUR, 18 * HOUR], true),
        rule(Some("5 59 23 * * *"), "UTC", DAY, vec![DAY - 55_000], true),
        rule(None, "UTC", HOUR, Vec::new(), false),
        rule(None, "UTC", 2_520_000, Vec::new(), false),
    ]
}

impl Rule {
    /// Seconds between two fires of an interval.
    pub fn seconds(&self) -> i64 {
        self.period / 1_000
    }

    /// Every instant after `from` and up to `to`; `anchor` is where an interval counts from.
    pub fn between(&self, anchor: i64, from: i64, to: i64) -> Vec<i64> {
        let (phases, offset) = match self.cron {
            Some(_) => (self.phases.clone(), self.offset),
            None => (vec![0], -anchor),
        };
        let mut due = Vec::new();
        let mut start = (from + offset).div_euclid(self.period) * self.period;
        while start - offset <= to {
            due.extend(phases.iter().map(|phase| start + phase - offset));
            start += self.period;
        }
        due.retain(|at| *at > from && *at <= to && (self.cron.is_some() || *at > anchor));
        due
    }
}
