//! The cron trigger: which instants an expression means on a zone's clock (semantics 7). `parse.rs`
//! reads the expression, `pattern.rs` computes on a clock without a zone, `zone.rs` holds the zone's
//! offsets, and this file joins them.
//!
//! UTC is cut into spans of one offset, and within a span local time is UTC plus a number. A job that
//! follows the clock fires wherever the local time of a span matches. A fixed-time job fires when the
//! local clock shows a matching time that it has not shown before: so the second pass of a repeat
//! fires nothing, and what a gap skipped fires once, at the gap's end.

mod known;
mod parse;
mod pattern;
#[cfg(test)]
pub mod tests;
mod words;
mod zone;
#[cfg(test)]
mod zones_test;

use super::{END_MS, Text, UtcMs};
use chrono_tz::Tz;
use pattern::{ALL_HOURS, Pattern};
use std::sync::Arc;
use zone::{Span, ZoneClock};

/// A compiled cron expression in a zone. Both are shared with other jobs.
#[derive(Clone, Debug)]
pub struct CronSchedule {
    pattern: Arc<Pattern>,
    clock: &'static ZoneClock,
}

/// Two schedules are equal when they mean the same instants by the same rule.
impl PartialEq for CronSchedule {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.zone() == other.zone()
    }
}

impl CronSchedule {
    /// Reads a cron expression of five fields (minute first) or six (second first), or an alias such
    /// as `@daily` (contract, "Job"). `@every` is an interval: see [`super::Schedule::parse`].
    ///
    /// # Errors
    /// Says which field is wrong, why, and how to mend it; also when no instant can ever match.
    pub fn parse(expr: &str, zone: Tz) -> Result<Self, Text> {
        Ok(Self { pattern: known::pattern(expr)?, clock: ZoneClock::of(zone) })
    }

    /// The zone whose clock the expression is read on.
    pub fn zone(&self) -> Tz {
        self.clock.zone()
    }

    /// The first instant strictly after `after`; `None` past the year 9999.
    pub fn next_after(&self, after: UtcMs) -> Option<UtcMs> {
        let (lo, hi) = seconds_between(after, UtcMs(END_MS));
        self.clock.spans(lo, hi).iter().find_map(|span| self.first_in(&self.part(span, lo, hi))).map(instant)
    }

    /// The newest instant in `(after, upto]`.
    pub fn last_between(&self, after: UtcMs, upto: UtcMs) -> Option<UtcMs> {
        let (lo, hi) = seconds_between(after, upto);
        self.clock
            .spans(lo, hi)
            .iter()
            .rev()
            .find_map(|span| self.last_in(&self.part(span, lo, hi)))
            .map(instant)
    }

    /// How many instants lie in `(after, upto]`. Days are counted, not walked: 8,000 years cost
    /// about two milliseconds.
    pub fn count_between(&self, after: UtcMs, upto: UtcMs) -> u64 {
        let (lo, hi) = seconds_between(after, upto);
        self.clock.spans(lo, hi).iter().map(|span| self.count_in(&self.part(span, lo, hi))).sum()
    }

    /// Whether the minute and hour fields both lack a leading `*` (semantics 7).
    pub fn is_fixed_time(&self) -> bool {
        self.pattern.fixed_time
    }

    /// How often it fires on a day on which it does.
    pub(super) fn times_a_day(&self) -> u64 {
        self.pattern.times_before(86_400)
    }

    /// Whether neither day field is `*`, so that days match by one of two rules.
    pub(super) fn has_both_day_fields(&self) -> bool {
        !self.pattern.any_day && !self.pattern.any_weekday
    }

    /// The first change in `(after, upto]` by which the clock skips a time that the expression names.
    pub(super) fn skip_between(&self, after: UtcMs, upto: UtcMs) -> Option<ClockChange> {
        let mut changes = self.changes(after, upto).filter(|change| change.from < change.to);
        changes.find(|change| self.names_time_in(change.from, change.to - 1))
    }

    /// The first change in `(after, upto]` that makes the clock show a time again that the expression
    /// names.
    pub(super) fn repeat_between(&self, after: UtcMs, upto: UtcMs) -> Option<ClockChange> {
        let mut changes = self.changes(after, upto).filter(|change| change.from > change.to);
        changes.find(|change| self.names_time_in(change.to, change.from - 1))
    }

    fn changes(&self, after: UtcMs, upto: UtcMs) -> impl Iterator<Item = ClockChange> {
        let (lo, hi) = seconds_between(after, upto);
        let spans = self.clock.spans(lo, hi).iter().filter(move |span| span.start >= lo);
        spans.map(|span| ClockChange { from: span.seen, to: span.local_start() })
    }

    /// Whether a local time of `from..=upto` is named. A job that follows the clock and fires in every
    /// hour names none: nobody expects it at one hour rather than another.
    fn names_time_in(&self, from: i64, upto: i64) -> bool {
        let any_hour = self.pattern.hours == ALL_HOURS;
        (self.pattern.fixed_time || !any_hour) && self.pattern.next(from, upto).is_some()
    }

    /// The part of a span within `lo..=hi`, as the local times that fire in it.
    fn part(&self, span: &Span, lo: i64, hi: i64) -> Part {
        let (lo, hi) = (lo.max(span.start), hi.min(span.end - 1));
        let (from, upto) = (lo + span.offset, hi + span.offset);
        if !self.pattern.fixed_time {
            return Part { offset: span.offset, gap: None, from, upto };
        }
        // The first second of a span stands for all that the clock skipped to reach it.
        let gap = (lo == span.start && span.seen < span.local_start()).then_some(span.seen);
        Part { offset: span.offset, gap, from: from.max(span.seen), upto }
    }

    fn first_in(&self, part: &Part) -> Option<i64> {
        let local = match part.gap {
            Some(gap) => self.pattern.next(gap, part.upto).map(|local| local.max(part.from)),
            None => self.pattern.next(part.from, part.upto),
        };
        local.map(|local| local - part.offset)
    }

    fn last_in(&self, part: &Part) -> Option<i64> {
        let local = match part.gap {
            Some(gap) => self.pattern.last(gap, part.upto).map(|local| local.max(part.from)),
            None => self.pattern.last(part.from, part.upto),
        };
        local.map(|local| local - part.offset)
    }

    fn count_in(&self, part: &Part) -> u64 {
        let Some(gap) = part.gap else { return self.pattern.count(part.from, part.upto) };
        let at_gap_end = self.pattern.next(gap, part.from).is_some();
        u64::from(at_gap_end) + self.pattern.count(part.from + 1, part.upto)
    }
}

/// The zone's clock is set: what it shows before and after, in seconds of local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClockChange {
    pub from: i64,
    pub to: i64,
}

/// Local seconds `from..=upto` of one span. With a gap, the skipped seconds `gap..from` are meant
/// too, and fire at `from`.
struct Part {
    offset: i64,
    gap: Option<i64>,
    from: i64,
    upto: i64,
}

/// The whole seconds of `(after, upto]` within the years 1970 to 9999, first and last.
fn seconds_between(after: UtcMs, upto: UtcMs) -> (i64, i64) {
    let lo = after.0.max(-1).div_euclid(1000) + 1;
    (lo, upto.0.min(END_MS).div_euclid(1000))
}

fn instant(seconds: i64) -> UtcMs {
    UtcMs(seconds * 1000)
}
