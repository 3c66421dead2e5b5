//! The interval trigger: elapsed time, counted from the job's phase. Zones, daylight saving and the
//! calendar do not matter to it (semantics 7).

use super::{END_MS, Text, UtcMs};

/// The longest interval, in seconds: 366 days.
const MAX_SECONDS: u64 = 366 * 86_400;

const NANOS: u128 = 1_000_000_000;

/// A trigger whose instants are `phase + k * seconds` for every whole `k >= 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntervalSchedule {
    seconds: u32,
}

impl IntervalSchedule {
    /// An interval of whole seconds, for `interval_seconds`.
    ///
    /// # Errors
    /// When it is not between 1 second and 366 days.
    pub fn every(seconds: u64) -> Result<Self, Text> {
        match u32::try_from(seconds) {
            Ok(n) if (1..=MAX_SECONDS).contains(&seconds) => Ok(Self { seconds: n }),
            _ => Err(Text::new(
                format!("间隔 {seconds} 秒超出范围，请填写 1 到 {MAX_SECONDS} 秒（366 天）"),
                format!("an interval of {seconds} s is out of range: give 1 to {MAX_SECONDS} s (366 days)"),
            )),
        }
    }

    /// Reads a Go duration, the argument of `@every`: `5s`, `1h30m`, `1.5h`. The units and the
    /// decimal point are those of Go's `time.ParseDuration`.
    ///
    /// # Errors
    /// When it is no duration, no whole number of seconds, or out of range.
    pub fn parse(duration: &str) -> Result<Self, Text> {
        // What is no duration may be of any length; the message is not.
        let shown: String = duration.chars().take(40).collect();
        let nanos = go_nanos(duration).ok_or_else(|| {
            Text::new(
                format!(
                    "@every 的时长“{shown}”无法识别，请写成 5s、10m 或 1h30m（单位 h、m、s，中间不留空格）"
                ),
                format!(
                    "@every: \"{shown}\" is not a duration; write 5s, 10m or 1h30m (units h, m, s; no spaces)"
                ),
            )
        })?;
        if nanos % NANOS != 0 {
            return Err(Text::new(
                format!("@every 的时长“{shown}”不是整秒，请改用整秒，如 5s"),
                format!("@every: \"{shown}\" is not a whole number of seconds; write for example 5s"),
            ));
        }
        Self::every(u64::try_from(nanos / NANOS).unwrap_or(u64::MAX))
    }

    /// From one instant to the next.
    pub fn seconds(self) -> u32 {
        self.seconds
    }

    /// The first instant strictly after `after`; `None` past the year 9999.
    pub fn next_after(&self, phase: UtcMs, after: UtcMs) -> Option<UtcMs> {
        let k = self.steps_upto(phase, after.0.max(-1)) + 1;
        self.instant(phase, k)
    }

    /// The newest instant in `(after, upto]`.
    pub fn last_between(&self, phase: UtcMs, after: UtcMs, upto: UtcMs) -> Option<UtcMs> {
        let k = self.steps_upto(phase, upto.0.min(END_MS));
        if k <= self.steps_upto(phase, after.0.max(-1)) { None } else { self.instant(phase, k) }
    }

    /// How many instants lie in `(after, upto]`.
    pub fn count_between(&self, phase: UtcMs, after: UtcMs, upto: UtcMs) -> u64 {
        let n = self.steps_upto(phase, upto.0.min(END_MS)) - self.steps_upto(phase, after.0.max(-1));
        u64::try_from(n).unwrap_or(0)
    }

    /// How many instants lie at or before `t`, in milliseconds. 128 bits hold every difference.
    fn steps_upto(&self, phase: UtcMs, t: i64) -> i128 {
        ((i128::from(t) - i128::from(phase.0)).div_euclid(self.period())).max(0)
    }

    fn instant(&self, phase: UtcMs, k: i128) -> Option<UtcMs> {
        let t = i64::try_from(i128::from(phase.0) + k * self.period()).ok()?;
        (t <= END_MS).then_some(UtcMs(t))
    }

    fn period(&self) -> i128 {
        i128::from(self.seconds) * 1000
    }
}

/// What follows `@every` in a trigger expression; `None` when it is another kind of expression.
pub(super) fn duration_of(expr: &str) -> Option<&str> {
    let expr = expr.trim();
    let (head, rest) = expr.split_at_checked("@every".len())?;
    let apart = rest.is_empty() || rest.starts_with(char::is_whitespace);
    (head.eq_ignore_ascii_case("@every") && apart).then(|| rest.trim())
}

/// A Go duration in nanoseconds, truncated below one; `None` when it is malformed or absurdly long.
fn go_nanos(text: &str) -> Option<u128> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        total = total.checked_add(scaled(number, unit_nanos(unit)?)?)?;
        rest = tail;
    }
    Some(total)
}

fn unit_nanos(unit: &str) -> Option<u128> {
    Some(match unit {
        "h" => 3600 * NANOS,
        "m" => 60 * NANOS,
        "s" => NANOS,
        "ms" => 1_000_000,
        "us" | "µs" | "μs" => 1000,
        "ns" => 1,
        _ => return None,
    })
}

/// `number` units, where the number may have a decimal point with digits on either side.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || whole.len() > 18 || fraction.len() > 18 {
        return None;
    }
    let digits = |s: &str| if s.is_empty() { Some(0) } else { s.parse::<u128>().ok() };
    let power = u32::try_from(fraction.len()).ok()?;
    Some(digits(whole)? * unit + digits(fraction)? * unit / 10u128.pow(power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_gos() {
        for (text, seconds) in [
            ("5s", 5),
            ("1h30m", 5400),
            ("1m30s", 90),
            ("1.5h", 5400),
            (".5m", 30),
            ("1.s", 1),
            ("2000ms", 2),
            ("1s1000000us", 2),
            ("+90m", 5400),
            ("8784h", 366 * 86_400),
        ] {
            assert_eq!(IntervalSchedule::parse(text).map(|s| s.seconds()), Ok(seconds), "{text}");
        }
        for text in [
            "", "5", "s", "5 s", "1h 30m", "-5s", "0s", "500ms", "1500ms", "1d", "8784h1s", ".s", "1..5s",
            "5S",
        ] {
            let error = IntervalSchedule::parse(text).expect_err(text);
            assert!(!error.zh.is_empty() && !error.en.is_empty());
        }
        assert!(IntervalSchedule::parse(&"9".repeat(400)).is_err());
        assert!(IntervalSchedule::parse(&format!("{}h", "9".repeat(18))).is_err());
    }

    #[test]
    fn every_has_bounds() {
        assert!(IntervalSchedule::every(0).is_err());
        assert!(IntervalSchedule::every(1).is_ok());
        assert!(IntervalSchedule::every(MAX_SECONDS).is_ok());
        assert!(IntervalSchedule::every(MAX_SECONDS + 1).is_err());
        assert!(IntervalSchedule::every(u64::MAX).is_err());
    }

    #[test]
    fn only_the_whole_word_every_is_an_interval() {
        assert_eq!(duration_of("  @EVERY   5s "), Some("5s"));
        assert_eq!(duration_of("@every"), Some(""));
        assert_eq!(duration_of("@everything"), None);
        assert_eq!(duration_of("@daily"), None);
        assert_eq!(duration_of("每天"), None);
    }

    #[test]
    fn instants_count_from_the_phase_and_exclude_it() {
        let s = IntervalSchedule::every(10).expect("valid");
        let (phase, at) = (UtcMs(1_500), |ms| UtcMs(ms));
        assert_eq!(s.next_after(phase, at(0)), Some(at(11_500)));
        assert_eq!(s.next_after(phase, phase), Some(at(11_500)));
        assert_eq!(s.next_after(phase, at(11_499)), Some(at(11_500)));
        assert_eq!(s.next_after(phase, at(11_500)), Some(at(21_500)));
        assert_eq!(s.last_between(phase, at(11_500), at(21_499)), None);
        assert_eq!(s.last_between(phase, at(11_500), at(21_500)), Some(at(21_500)));
        assert_eq!(s.count_between(phase, at(0), at(21_500)), 2);
        assert_eq!(s.count_between(phase, at(11_500), at(11_500)), 0);
        assert_eq!(s.count_between(phase, at(50_000), at(0)), 0);
    }

    proptest! {
        #[test]
        fn the_closed_forms_equal_enumeration(
            seconds in 1u64..5000, phase in -9_000_000i64..9_000_000, after in -9_000_000i64..9_000_000,
            length in -10_000i64..9_000_000,
        ) {
            let s = IntervalSchedule::every(seconds).expect("in range");
            let upto = UtcMs(after + length);
            let (mut n, mut last, mut t) = (0, None, UtcMs(after));
            while let Some(next) = s.next_after(UtcMs(phase), t) {
                prop_assert!(next > t && next.0 > phase && (next.0 - phase) % 1000 == 0);
                if next > upto { break }
                n += 1;
                last = Some(next);
                t = next;
            }
            prop_assert_eq!(s.count_between(UtcMs(phase), UtcMs(after), upto), n);
            prop_assert_eq!(s.last_between(UtcMs(phase), UtcMs(after), upto), last);
        }

        #[test]
        fn no_number_panics(seconds in 1u64..=MAX_SECONDS, phase: i64, after: i64, upto: i64) {
            let s = IntervalSchedule::every(seconds).expect("in range");
            let (phase, after, upto) = (UtcMs(phase), UtcMs(after), UtcMs(upto));
            for at in [after, UtcMs(i64::MIN), UtcMs(i64::MAX)] {
                if let Some(next) = s.next_after(phase, at) {
                    prop_assert!(next > at && (0..=END_MS).contains(&next.0));
                }
                let n = s.count_between(phase, at, upto);
                prop_assert_eq!(n == 0, s.last_between(phase, at, upto).is_none());
            }
        }
    }
}
