//! Which schedule is warned of, and what is said of it.

use super::*;
use crate::domain::schedule::IntervalSchedule;
use crate::domain::schedule::cron::tests::expression;
use chrono::NaiveDateTime;
use chrono_tz::Tz;
use proptest::prelude::*;

fn at(utc: &str) -> UtcMs {
    let time = NaiveDateTime::parse_from_str(&format!("{utc} 00:00:00"), "%Y-%m-%d %H:%M:%S").expect(utc);
    UtcMs::from_utc(time.and_utc())
}

fn warnings(expr: &str, zone: Tz, day: &str) -> Vec<Warning> {
    Schedule::parse(expr, zone).unwrap_or_else(|e| panic!("{expr}: {e}")).warnings(at(day))
}

fn codes(expr: &str, zone: Tz, day: &str) -> Vec<&'static str> {
    warnings(expr, zone, day).iter().map(|w| w.code).collect()
}

/// The one warning of this code.
fn text(expr: &str, zone: Tz, day: &str, code: &str) -> Text {
    let mut found = warnings(expr, zone, day).into_iter().filter(|w| w.code == code);
    let one = found.next().unwrap_or_else(|| panic!("{expr} {zone}: no {code}"));
    assert!(found.next().is_none());
    one.text
}

const NEW_YORK: Tz = Tz::America__New_York;
const BERLIN: Tz = Tz::Europe__Berlin;

#[test]
fn ordinary_schedules_are_not_warned_of() {
    for expr in [
        "* * * * *",
        "*/2 * * * * *",
        "*/5 * * * *",
        "@hourly",
        "@daily",
        "@yearly",
        "0 0 L * *",
        "0 9 * 1 1#1",
        "0 0 31 12 *",
        "30 2 * * 1-5",
        "@every 2s",
        "@every 8784h",
    ] {
        assert!(codes(expr, Tz::Asia__Shanghai, "2026-01-05").is_empty(), "{expr}");
    }
    // In a zone that sets its clock: times away from the change, and what fires in every hour.
    for expr in ["0 12 * * *", "*/5 * * * *", "15 * * * *", "@hourly", "@every 1h", "*/10 9-17 * * *"] {
        assert!(codes(expr, NEW_YORK, "2026-01-05").is_empty(), "{expr}");
    }
}

#[test]
fn what_hardly_ever_fires() {
    let said = text("0 0 29 2 *", Tz::Asia__Shanghai, "2026-01-05", "rare");
    assert_eq!(
        said.en,
        "Fires rarely: next on 2028-02-29 00:00:00, then on 2032-02-29 00:00:00 (Asia/Shanghai)"
    );
    assert_eq!(
        said.zh,
        "很少触发：下一次是 2028-02-29 00:00:00，再下一次是 2032-02-29 00:00:00（Asia/Shanghai）"
    );
    // It is near, and still rare.
    assert_eq!(codes("0 0 29 2 *", Tz::UTC, "2028-02-28"), ["rare"]);
    // A weekday beside the date makes it fire every week.
    assert_eq!(codes("0 0 29 2 1", Tz::UTC, "2026-01-05"), ["both_days"]);
    let said = text("0 8 * 2 0#5", Tz::UTC, "2033-01-05", "never_fires");
    assert_eq!(said.en, "Does not fire within ten years: the next time is 2060-02-29 08:00:00 (UTC)");
    assert_eq!(said.zh, "十年内不会触发：下一次是 2060-02-29 08:00:00（UTC）");
    let end = Schedule::parse("0 0 1 1 *", Tz::UTC).expect("valid").warnings(at("9999-06-01"));
    assert_eq!((end[0].code, end[0].text.en.as_str()), ("never_fires", "Never fires any more"));
    // The last one of all is still to come.
    assert_eq!(codes("0 0 1 1 *", Tz::UTC, "9998-06-01"), ["rare"]);
}

#[test]
fn what_fires_all_the_time() {
    for (expr, en) in [
        ("* * * * * *", "Fires every second"),
        ("@every 1s", "Fires every second"),
        ("0-44 * * * * *", "Fires 45 times a minute"),
        ("* * 0-20 * * *", "Fires 52 times a minute"),
        ("* * * * * 1", "Fires every second"),
    ] {
        let said = text(expr, Tz::UTC, "2026-01-05", "every_second");
        assert!(said.en.starts_with(en) && said.zh.contains("执行记录"), "{expr}: {said}");
    }
    for expr in ["*/2 * * * * *", "@every 2s", "* * 0-11 * * *"] {
        assert!(codes(expr, Tz::UTC, "2026-01-05").is_empty(), "{expr}");
    }
}

#[test]
fn two_day_fields_say_how_they_combine() {
    let said = text("0 0 13 * 5", Tz::UTC, "2026-01-05", "both_days");
    assert!(said.en.contains("match either") && said.zh.contains("任意一个"), "{said}");
    assert_eq!(codes("0 0 */2 * 1", Tz::UTC, "2026-01-05"), ["both_days"]);
    assert!(codes("0 0 ? * 5", Tz::UTC, "2026-01-05").is_empty());
}

#[test]
fn a_time_in_a_gap_is_named_with_what_becomes_of_it() {
    let said = text("30 2 * * *", NEW_YORK, "2026-01-05", "dst_gap");
    assert_eq!(
        said.en,
        "The clock of America/New_York goes from 2026-03-08 02:00 straight to 03:00: what would fire in \
         between fires once, at 03:00"
    );
    assert_eq!(
        said.zh,
        "America/New_York 的时钟将从 2026-03-08 02:00 直接跳到 03:00，本该在其间触发的，到 03:00 触发一次"
    );
    let said = text("*/20 2 * * *", BERLIN, "2026-01-05", "dst_gap");
    assert!(said.en.contains("2026-03-29 02:00") && said.en.ends_with("does not fire"), "{said}");
    // This year's gap is over: next year's is named; a Monday job has no fire on a Sunday.
    assert!(text("30 2 * * *", NEW_YORK, "2026-06-01", "dst_gap").en.contains("2027-03-14"));
    assert!(codes("30 2 * * 1", NEW_YORK, "2026-01-05").is_empty());
    // A whole day is skipped.
    let said = text("0 12 30 12 *", Tz::Pacific__Apia, "2011-06-01", "dst_gap");
    assert!(said.en.contains("from 2011-12-30 00:00 straight to 2011-12-31 00:00"), "{said}");
}

#[test]
fn a_time_in_a_repeat_is_named_with_what_becomes_of_it() {
    let said = text("30 1 * * *", NEW_YORK, "2026-01-05", "dst_fold");
    assert_eq!(
        said.en,
        "The clock of America/New_York goes from 2026-11-01 02:00 back to 01:00: the times in between come \
         twice, and the job fires the first time only"
    );
    assert_eq!(
        said.zh,
        "America/New_York 的时钟将从 2026-11-01 02:00 拨回 01:00，其间的时间出现两次，只在第一次触发"
    );
    assert!(text("*/30 1 * * *", NEW_YORK, "2026-01-05", "dst_fold").en.ends_with("fires both times"));
    assert_eq!(codes("0 2 * * *", NEW_YORK, "2026-01-05"), ["dst_gap"]);
    // By minute and hour it is a fixed time, though it comes every five minutes: an hour without it.
    assert_eq!(codes("0-59/5 0-23 * * *", NEW_YORK, "2026-01-05"), ["dst_gap", "dst_fold"]);
}

proptest! {
    #[test]
    fn every_warning_is_once_and_in_both_languages(expr in expression(), now in 0i64..253_402_300_799_999) {
        for zone in [NEW_YORK, Tz::Australia__Lord_Howe] {
            let Ok(schedule) = Schedule::parse(&expr, zone) else { return Ok(()) };
            let list = schedule.warnings(UtcMs(now));
            let codes: std::collections::HashSet<_> = list.iter().map(|w| w.code).collect();
            prop_assert_eq!(codes.len(), list.len());
            prop_assert!(list.iter().all(|w| !w.text.zh.is_empty() && !w.text.en.is_empty()));
        }
    }

    #[test]
    fn no_instant_panics(now: i64, seconds in 1u64..=366 * 86_400) {
        let interval = IntervalSchedule::every(seconds).map(Schedule::Interval).expect("in range");
        prop_assert_eq!(interval.warnings(UtcMs(now)).len(), usize::from(seconds == 1));
        Schedule::parse("0-59 1,2 29 2 1", BERLIN).expect("valid").warnings(UtcMs(now));
    }
}
