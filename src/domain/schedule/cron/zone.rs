//! A zone's clock as a table: the spans of UTC in which its offset does not change. It knows no
//! schedules. The table is built once for a zone, so that finding an instant costs a short binary
//! search and a million schedules share one table.
//!
//! chrono-tz offers no list of transitions, so they are searched for. Its data ends with the year
//! 2099; after that it keeps the last offset, and so do we.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;
use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, PoisonError, RwLock};

/// A stretch of UTC with one offset. Times are seconds since 1970, of UTC or of the local clock.
pub(super) struct Span {
    /// The first second of the span, in UTC.
    pub start: i64,
    /// The second after its last, in UTC.
    pub end: i64,
    /// Local time minus UTC.
    pub offset: i64,
    /// How far the local clock had come before the span began: the first local second that it had
    /// not shown yet. Below `start + offset` the clock skipped something, above it repeats something.
    pub seen: i64,
}

impl Span {
    /// The first local second of the span.
    pub fn local_start(&self) -> i64 {
        self.start + self.offset
    }
}

/// The clock of one zone.
pub(super) struct ZoneClock {
    zone: Tz,
    spans: Box<[Span]>,
}

/// Zones in use; each is built once and kept for the life of the process (there are about 600).
static CLOCKS: LazyLock<RwLock<HashMap<Tz, &'static ZoneClock>>> = LazyLock::new(RwLock::default);

impl ZoneClock {
    /// The clock of `zone`. The first call for a zone costs about a millisecond.
    pub fn of(zone: Tz) -> &'static Self {
        if let Some(clock) = CLOCKS.read().unwrap_or_else(PoisonError::into_inner).get(&zone) {
            return clock;
        }
        let mut clocks = CLOCKS.write().unwrap_or_else(PoisonError::into_inner);
        clocks.entry(zone).or_insert_with(|| Box::leak(Box::new(Self { zone, spans: spans_of(zone) })))
    }

    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The spans that hold an instant of `lo..=hi` (UTC seconds), in order.
    pub fn spans(&self, lo: i64, hi: i64) -> &[Span] {
        let first = self.spans.partition_point(|s| s.end <= lo);
        let after = first + self.spans[first..].partition_point(|s| s.start <= hi);
        &self.spans[first..after]
    }
}

impl fmt::Debug for ZoneClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.zone.name())
    }
}

const DAY: i64 = 86_400;
/// Before and after every instant that is asked for, with room for any offset.
const FAR: i64 = 1 << 40;
/// The transitions searched for: from just before 1970 to 2200.
const SEARCH: std::ops::Range<i64> = -10 * DAY..84_006 * DAY;
/// Two transitions in one step that cancel each other would be overlooked. The shortest span since
/// 1970 is just under 7 days (Recife 2000; Gaza from 2040), so 3 days are safe.
const STEP: i64 = 3 * DAY;

fn spans_of(zone: Tz) -> Box<[Span]> {
    let mut spans = Vec::new();
    let mut open = Span { start: -FAR, end: FAR, offset: offset_at(zone, SEARCH.start), seen: i64::MIN };
    let mut at = SEARCH.start;
    while at < SEARCH.end {
        let next = at + STEP;
        while offset_at(zone, next) != open.offset {
            at = transition(zone, open.offset, at, next);
            open.end = at;
            let seen = open.seen.max(at + open.offset);
            spans.push(open);
            open = Span { start: at, end: FAR, offset: offset_at(zone, at), seen };
        }
        at = next;
    }
    spans.push(open);
    spans.into_boxed_slice()
}

/// The first second after `lo` with another offset than `offset`, which `lo` has and `hi` has not.
fn transition(zone: Tz, offset: i64, mut lo: i64, mut hi: i64) -> i64 {
    while hi - lo > 1 {
        let middle = lo + (hi - lo) / 2;
        if offset_at(zone, middle) == offset { lo = middle } else { hi = middle }
    }
    hi
}

fn offset_at(zone: Tz, utc: i64) -> i64 {
    let utc = DateTime::from_timestamp(utc, 0).unwrap_or_default().naive_utc();
    i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_gives_chrono_tzs_offset_at_every_transition_and_between() {
        for zone in
            [Tz::UTC, Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::Pacific__Apia, Tz::Asia__Gaza]
        {
            let clock = ZoneClock::of(zone);
            for t in (1..75 * 365 * DAY).step_by(5 * 3600 + 7) {
                let [span] = clock.spans(t, t) else { panic!("{zone} {t}: not one span") };
                assert_eq!(span.offset, offset_at(zone, t), "{zone} {t}");
            }
            for pair in clock.spans(-FAR, FAR).windows(2) {
                assert_eq!(pair[0].end, pair[1].start);
                assert_eq!(offset_at(zone, pair[1].start - 1), pair[0].offset);
                assert_eq!(offset_at(zone, pair[1].start), pair[1].offset);
            }
        }
    }

    /// What the module says of chrono-tz's data, and so that the search reaches far enough.
    #[test]
    fn clocks_change_in_2099_and_none_after() {
        let year_2100 = 47_482 * DAY;
        assert_eq!(ZoneClock::of(Tz::America__New_York).spans(year_2100 - 365 * DAY, year_2100).len(), 3);
        for &zone in &chrono_tz::TZ_VARIANTS {
            let offset = offset_at(zone, year_2100);
            for t in (year_2100..SEARCH.end).step_by(30 * 86_400) {
                assert_eq!(offset_at(zone, t), offset, "{zone} {t}");
            }
        }
    }
}
