//! When a job fires: the two triggers, cron and interval. It computes instants; it does not know
//! what is due or late (`plan.rs` does).
//!
//! Every instant lies in the years 1970 to 9999 (UTC); outside there is none.

pub mod cron;
pub mod interval;
#[cfg(test)]
mod table_test;
pub mod warnings;
mod words;

use super::{Text, UtcMs};
use chrono_tz::Tz;

pub use cron::CronSchedule;
pub use interval::IntervalSchedule;

/// The last millisecond of the year 9999 (UTC): nothing is scheduled after it.
const END_MS: i64 = 253_402_300_799_999;

/// A compiled trigger. `phase` is the job's last decided instant: an interval counts from it,
/// cron ignores it.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    Cron(CronSchedule),
    Interval(IntervalSchedule),
}

impl Schedule {
    /// Reads a `cron_expr`: five or six fields, an alias such as `@daily`, or `@every 1h30m`
    /// (contract, "Job"). Cron is evaluated on the clock of `zone`; an interval has none.
    ///
    /// # Errors
    /// Says which field is wrong, why, and how to mend it; also when no instant can ever match.
    pub fn parse(expr: &str, zone: Tz) -> Result<Self, Text> {
        match interval::duration_of(expr) {
            Some(duration) => IntervalSchedule::parse(duration).map(Self::Interval),
            None => CronSchedule::parse(expr, zone).map(Self::Cron),
        }
    }

    /// Reads a trigger from a stored job's columns; an empty `timezone` is the server's zone. `None` when
    /// they were written by another version or by hand and mean nothing here.
    pub fn stored(
        trigger_type: &str,
        cron_expr: &str,
        interval_seconds: i64,
        timezone: &str,
        server_zone: Tz,
    ) -> Option<Self> {
        match trigger_type {
            "interval" => IntervalSchedule::every(interval_seconds.unsigned_abs()).map(Self::Interval).ok(),
            _ => Self::parse(cron_expr, timezone.parse().unwrap_or(server_zone)).ok(),
        }
    }

    /// The first instant strictly after `after`; `None` when there is none any more.
    pub fn next_after(&self, phase: UtcMs, after: UtcMs) -> Option<UtcMs> {
        match self {
            Self::Cron(s) => s.next_after(after),
            Self::Interval(s) => s.next_after(phase, after),
        }
    }

    /// The first `most` instants after `after`, in their order.
    pub fn fires(&self, phase: UtcMs, after: UtcMs, most: usize) -> Vec<UtcMs> {
        let first = self.next_after(phase, after);
        std::iter::successors(first, |last| self.next_after(phase, *last)).take(most).collect()
    }

    /// The newest instant in `(after, upto]`.
    pub fn last_between(&self, phase: UtcMs, after: UtcMs, upto: UtcMs) -> Option<UtcMs> {
        match self {
            Self::Cron(s) => s.last_between(after, upto),
            Self::Interval(s) => s.last_between(phase, after, upto),
        }
    }

    /// How many instants lie in `(after, upto]`; a month of a per-second job costs microseconds.
    pub fn count_between(&self, phase: UtcMs, after: UtcMs, upto: UtcMs) -> u64 {
        match self {
            Self::Cron(s) => s.count_between(after, upto),
            Self::Interval(s) => s.count_between(phase, after, upto),
        }
    }

    /// Whether the job fires at wall-clock times rather than at a cadence (semantics 7): decided
    /// instants of such a job are not repeated when the clock is set back.
    pub fn is_fixed_time(&self) -> bool {
        match self {
            Self::Cron(s) => s.is_fixed_time(),
            Self::Interval(_) => false,
        }
    }
}
