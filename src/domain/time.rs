//! The instant that the whole product counts in. It reads no clock (see `clock.rs`).

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UtcMs(pub i64);

impl UtcMs {
    pub fn from_utc(t: DateTime<Utc>) -> Self {
        Self(t.timestamp_millis())
    }

    /// The instant as a UTC date and time; what chrono cannot hold becomes 1970.
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }

    pub fn to_zone(self, zone: Tz) -> DateTime<Tz> {
        zone.from_utc_datetime(&self.to_utc().naive_utc())
    }

    /// `YYYY-MM-DD HH:MM:SS.mmm` on the zone's clock, the form of a run record.
    pub fn local_millis(self, zone: Tz) -> String {
        self.to_zone(zone).format("%Y-%m-%d %H:%M:%S%.3f").to_string()
    }

    /// `YYYY-MM-DD HH:MM:SS` on the zone's clock.
    pub fn local_seconds(self, zone: Tz) -> String {
        self.to_zone(zone).format("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// RFC 3339 with the zone's offset, to the millisecond.
    pub fn rfc3339(self, zone: Tz) -> String {
        self.to_zone(zone).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    }

    pub fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(millis(d)))
    }

    pub fn minus(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(millis(d)))
    }

    /// Milliseconds from `earlier` to `self`, negative when `self` is before it.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}
