//! What is accepted and refused, daylight saving in words, and the closed forms against enumeration.
//! The bulk of the instants is checked by `../table_test.rs`.

use super::*;
use chrono::NaiveDateTime;
use proptest::prelude::*;

fn cron(expr: &str, zone: Tz) -> CronSchedule {
    CronSchedule::parse(expr, zone).unwrap_or_else(|e| panic!("{expr}: {e}"))
}

fn utc(text: &str) -> UtcMs {
    UtcMs::from_utc(NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").expect(text).and_utc())
}

/// The next `n` instants, as UTC.
fn fires(expr: &str, zone: Tz, after: &str, n: usize) -> Vec<String> {
    let schedule = cron(expr, zone);
    let next = |t: &UtcMs| schedule.next_after(*t);
    std::iter::successors(next(&utc(after)), next).take(n).map(|t| t.local_seconds(Tz::UTC)).collect()
}

#[test]
fn a_schedule_is_small() {
    assert!(size_of::<CronSchedule>() <= 64, "{}", size_of::<CronSchedule>());
    assert!(size_of::<super::super::Schedule>() <= 64);
}

#[test]
fn expressions_that_mean_the_same_are_equal() {
    for (a, b) in [
        ("*/5 * * * *", "0 */5 * * * *"),
        ("  */5\t*  * * *\n", "*/5 * * * *"),
        ("5/15 * * * *", "5-59/15 * * * *"),
        ("0 0 * * 0", "0 0 * * 7"),
        ("0 0 * * SUN", "0 0 * * sun"),
        ("0 0 * * FRI-SUN", "0 0 * * 5,6,0"),
        ("0 0 * * SUN-TUE", "0 0 * * 0-2"),
        ("0 0 * * MON-FRI", "0 0 * * 1-5"),
        ("0 0 1 JAN,Dec *", "0 0 1 1,12 *"),
        ("0 0 * * FRI#2", "0 0 * * 5#2"),
        ("0 0 * * SUNL", "0 0 * * 7L"),
        ("0 0 ? * 1", "0 0 * * 1"),
        ("? ? 0 * * ?", "* * 0 * * *"),
        ("0 0 */1 * MON", "0 0 * * MON"),
        ("05 08 * * *", "5 8 * * *"),
        ("*/60 * * * *", "0/60 * * * *"),
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        (" @Midnight ", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ] {
        let (a, mut b) = (cron(a, Tz::UTC), cron(b, Tz::UTC));
        Arc::make_mut(&mut b.pattern).fixed_time = a.pattern.fixed_time;
        assert_eq!(a, b);
    }
}

#[test]
fn refusals_name_the_field_and_the_mend() {
    for (expr, zh, en, mend) in [
        ("60 * * * * *", "秒字段", "second field", "0 to 59"),
        ("+5 * * * *", "分字段", "minute field", "0 to 59"),
        ("60 * * * *", "分字段", "minute field", "0 to 59"),
        ("-1 * * * *", "分字段", "minute field", "0 to 59"),
        ("99999999999 * * * *", "分字段", "minute field", "0 to 59"),
        ("1,,2 * * * *", "分字段", "minute field", "comma"),
        (",1 * * * *", "分字段", "minute field", "comma"),
        ("1, * * * *", "分字段", "minute field", "comma"),
        ("1，2 * * * *", "分字段", "minute field", "0 to 59"),
        ("*/90 * * * *", "分字段", "minute field", "1 to 60"),
        ("*/0 * * * *", "分字段", "minute field", "1 to 60"),
        ("*/5/5 * * * *", "分字段", "minute field", "1 to 60"),
        ("/10 * * * *", "分字段", "minute field", "*/10"),
        ("*5 * * * *", "分字段", "minute field", "0 to 59"),
        ("JAN * * * *", "分字段", "minute field", "0 to 59"),
        ("5# * * * *", "分字段", "minute field", "0 to 59"),
        ("0 24 * * *", "时字段", "hour field", "0 to 23"),
        ("0 22-2 * * *", "时字段", "hour field", "22-23,0-2"),
        ("0 1-2-3 * * *", "时字段", "hour field", "0 to 23"),
        ("0 L * * *", "时字段", "hour field", "0 to 23"),
        ("0 0 0 * *", "日字段", "day-of-month field", "1 to 31"),
        ("0 0 32 * *", "日字段", "day-of-month field", "1 to 31"),
        ("0 0 32W * *", "日字段", "day-of-month field", "1 to 31"),
        ("0 0 15W5 * *", "日字段", "day-of-month field", "15W"),
        ("0 0 L-3 * *", "日字段", "day-of-month field", "1 to 31"),
        ("0 0 5L * *", "日字段", "day-of-month field", "1 to 31"),
        ("0 0 * 13 *", "月字段", "month field", "1 to 12"),
        ("0 0 * MON *", "月字段", "month field", "JAN to DEC"),
        ("0 0 * */13 *", "月字段", "month field", "1 to 12"),
        ("0 0 * * 8", "周字段", "day-of-week field", "0 to 7"),
        ("0 0 * * MONDAY", "周字段", "day-of-week field", "SUN to SAT"),
        ("0 0 * * 5#6", "周字段", "day-of-week field", "1 to 5"),
        ("0 0 * * 5#", "周字段", "day-of-week field", "1 to 5"),
        ("0 0 * * 5LL", "周字段", "day-of-week field", "0 to 7"),
        ("0 0 * * L", "周字段", "day-of-week field", "5L"),
        ("0 0 * * FRI-MON", "周字段", "day-of-week field", "FRI-7,1-MON"),
        ("0 0 * * 5-0", "周字段", "day-of-week field", "5-7"),
        ("0 0 * * +1", "周字段", "day-of-week field", "0 to 7"),
        ("0 0 * * 1W", "周字段", "day-of-week field", "0 to 7"),
        ("", "为空", "empty", "5 fields"),
        ("   ", "为空", "empty", "5 fields"),
        ("* * * *", "4 段", "4 fields", "give 5"),
        ("0 0 0 1 1 * 2030", "年", "7 fields", "year"),
        ("@reboot", "@reboot", "@reboot", "by hand"),
        ("@fortnightly", "@daily", "@FORTNIGHTLY", "@daily"),
        ("@daily x", "@daily", "@DAILY X", "@daily"),
    ] {
        let error = CronSchedule::parse(expr, Tz::UTC).expect_err(expr);
        assert!(error.zh.contains(zh), "{expr}: {}", error.zh);
        assert!(error.en.contains(en) && error.en.contains(mend), "{expr}: {}", error.en);
    }
    assert!(CronSchedule::parse(&"1,".repeat(5000), Tz::UTC).is_err());
}

#[test]
fn an_expression_that_never_fires_is_refused_at_once() {
    for expr in ["0 0 30 2 *", "0 0 31 2,4 *", "0 0 31 4,6,9,11 *", "0 0 30W 2 *", "0 0 30,31 FEB ?"] {
        let error = CronSchedule::parse(expr, Tz::UTC).expect_err(expr);
        assert!(error.en.starts_with("never fires") && error.zh.contains("永远不会触发"), "{expr}: {error}");
    }
    // A weekday beside the impossible date fires; so does a date that only leap years have.
    for expr in
        ["0 0 30 2 1", "0 0 29 2 *", "0 0 29W 2 *", "0 0 31 1,2 *", "0 0 * 2 0#5", "0 0 L 2 *", "0 0 30 2 5L"]
    {
        assert!(cron(expr, Tz::UTC).next_after(UtcMs(0)).is_some(), "{expr}");
    }
    assert_eq!(fires("0 0 29 2 *", Tz::UTC, "2096-03-01 00:00:00", 1), ["2104-02-29 00:00:00"]);
}

#[test]
fn fixed_time_is_decided_by_the_leading_star_of_minute_and_hour() {
    for (expr, fixed) in [
        ("0 0 * * *", true),
        ("30 2 * * MON", true),
        ("* 30 2 * * *", true),
        ("0-59/5 1,2 * * *", true),
        ("0,*/5 0 * * *", true),
        ("@daily", true),
        ("@yearly", true),
        ("* 2 * * *", false),
        ("0 * * * *", false),
        ("*/5 2 * * *", false),
        ("0 */2 * * *", false),
        ("0 0 ? * * *", false),
        ("@hourly", false),
    ] {
        assert_eq!(cron(expr, Tz::UTC).is_fixed_time(), fixed, "{expr}");
    }
}

const NEW_YORK: Tz = Tz::America__New_York;
/// In 2026 New York skips 2:00 to 3:00 on 8 March (07:00 UTC) and repeats 1:00 to 2:00 on 1 November.
const GAP: &str = "2026-03-08 06:00:00";
const REPEAT: &str = "2026-11-01 04:59:59";

#[test]
fn a_fixed_time_in_the_gap_runs_once_at_its_end() {
    for (expr, expected) in [
        ("30 2 * * *", ["2026-03-08 07:00:00", "2026-03-09 06:30:00"]),
        ("0,15,30 2 * * *", ["2026-03-08 07:00:00", "2026-03-09 06:00:00"]),
        // The end of the gap is scheduled itself: still one fire.
        ("0 2,3 * * *", ["2026-03-08 07:00:00", "2026-03-09 06:00:00"]),
        // The seconds field does not matter, and sixty instants collapse into one.
        ("* 30 2 * * *", ["2026-03-08 07:00:00", "2026-03-09 06:30:00"]),
        ("0 3 * * *", ["2026-03-08 07:00:00", "2026-03-09 07:00:00"]),
    ] {
        assert_eq!(fires(expr, NEW_YORK, GAP, 2), expected, "{expr}");
    }
    assert_eq!(cron("* 30 2 * * *", NEW_YORK).count_between(utc(GAP), utc("2026-03-08 12:00:00")), 1);
}

#[test]
fn a_job_by_the_clock_has_nothing_in_the_gap() {
    assert_eq!(
        fires("*/30 * * * *", NEW_YORK, "2026-03-08 06:00:00", 2),
        ["2026-03-08 06:30:00", "2026-03-08 07:00:00"]
    );
    assert_eq!(fires("*/30 2 * * *", NEW_YORK, GAP, 1), ["2026-03-09 06:00:00"]);
}

#[test]
fn a_fixed_time_in_the_repeat_runs_on_the_first_pass_and_others_on_both() {
    assert_eq!(fires("30 1 * * *", NEW_YORK, REPEAT, 2), ["2026-11-01 05:30:00", "2026-11-02 06:30:00"]);
    assert_eq!(fires("30 1 * * *", NEW_YORK, "2026-11-01 06:10:00", 1), ["2026-11-02 06:30:00"]);
    assert_eq!(fires("30 1,2 * * *", NEW_YORK, REPEAT, 2), ["2026-11-01 05:30:00", "2026-11-01 07:30:00"]);
    assert_eq!(fires("0 0-2 * * *", NEW_YORK, REPEAT, 2), ["2026-11-01 05:00:00", "2026-11-01 07:00:00"]);
    assert_eq!(
        fires("*/30 * * * *", NEW_YORK, REPEAT, 5),
        [
            "2026-11-01 05:00:00",
            "2026-11-01 05:30:00",
            "2026-11-01 06:00:00",
            "2026-11-01 06:30:00",
            "2026-11-01 07:00:00"
        ]
    );
}

#[test]
fn gaps_of_any_length_and_place_work() {
    // Lord Howe, half an hour: 2:00 to 2:30 on 5 October 2025.
    let zone = Tz::Australia__Lord_Howe;
    assert_eq!(
        fires("15 2 * * *", zone, "2025-10-04 15:00:00", 2),
        ["2025-10-04 15:30:00", "2025-10-05 15:15:00"]
    );
    assert_eq!(
        fires("15,30 2 * * *", zone, "2025-10-04 15:00:00", 2),
        ["2025-10-04 15:30:00", "2025-10-05 15:15:00"]
    );
    // Sao Paulo skipped midnight to 1:00 on 4 November 2018.
    let zone = Tz::America__Sao_Paulo;
    assert_eq!(
        fires("@daily", zone, "2018-11-03 04:00:00", 2),
        ["2018-11-04 03:00:00", "2018-11-05 02:00:00"]
    );
    assert_eq!(fires("0 0 4 11 *", zone, "2018-01-01 00:00:00", 1), ["2018-11-04 03:00:00"]);
    // Apia had no 30 December 2011: two of its fires collapse into one at the end of the gap.
    let zone = Tz::Pacific__Apia;
    assert_eq!(
        fires("0 8,20 * * *", zone, "2011-12-30 06:30:00", 2),
        ["2011-12-30 10:00:00", "2011-12-30 18:00:00"]
    );
    assert_eq!(fires("0 12 30 12 *", zone, "2011-01-01 00:00:00", 1), ["2011-12-30 10:00:00"]);
    assert_eq!(fires("0 */12 30 12 *", zone, "2011-01-01 00:00:00", 1), ["2012-12-29 10:00:00"]);
}

#[test]
fn instants_lie_in_the_years_1970_to_9999() {
    for expr in ["* * * * * *", "0 0 * * *", "0 0 29 2 *", "0 0 1 1 *"] {
        for zone in [Tz::UTC, NEW_YORK, Tz::Pacific__Kiritimati] {
            let schedule = cron(expr, zone);
            let first = schedule.next_after(UtcMs(i64::MIN)).expect(expr);
            assert!(first.0 >= 0);
            assert_eq!(schedule.next_after(UtcMs(i64::MAX)), None);
            assert_eq!(schedule.next_after(UtcMs(END_MS)), None);
            let last = schedule.last_between(UtcMs(i64::MIN), UtcMs(i64::MAX)).expect(expr);
            assert!(last.0 <= END_MS && schedule.next_after(last).is_none());
            assert!(schedule.count_between(UtcMs(i64::MIN), UtcMs(i64::MAX)) > 1000);
            assert_eq!(schedule.count_between(UtcMs(i64::MAX), UtcMs(i64::MIN)), 0);
        }
    }
    let every_second = cron("* * * * * *", Tz::UTC);
    assert_eq!(every_second.next_after(UtcMs(i64::MIN)), Some(UtcMs(0)));
    assert_eq!(every_second.next_after(UtcMs(-1)), Some(UtcMs(0)));
    assert_eq!(every_second.next_after(UtcMs(0)), Some(UtcMs(1000)));
    assert_eq!(every_second.next_after(UtcMs(999)), Some(UtcMs(1000)));
    assert_eq!(every_second.last_between(UtcMs(0), UtcMs(999)), None);
    assert_eq!(every_second.last_between(UtcMs(999), UtcMs(1000)), Some(UtcMs(1000)));
    assert_eq!(every_second.count_between(UtcMs(-1), UtcMs(60 * 366 * 86_400_000)), 60 * 366 * 86_400 + 1);
}

fn item(min: u32, max: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (min..=max).prop_map(|n| n.to_string()),
        2 => (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        2 => (1..=max).prop_map(|n| format!("*/{n}")),
        1 => (min..=max, 1..=max).prop_map(|(a, n)| format!("{a}/{n}")),
    ]
}

fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just("*".to_owned()),
        3 => item(min, max),
        2 => prop::collection::vec(item(min, max), 2..4).prop_map(|items| items.join(",")),
    ]
}

/// Expressions of every kind; some of them never fire and are refused.
pub fn expression() -> impl Strategy<Value = String> {
    let second = prop_oneof![6 => Just("0".to_owned()), 1 => field(0, 59)];
    let day = prop_oneof![4 => Just("*".to_owned()), 3 => field(1, 31), 1 => Just("L".to_owned()),
        1 => (1u32..=31).prop_map(|n| format!("LW,{n}W"))];
    let weekday = prop_oneof![4 => Just("*".to_owned()), 3 => item(0, 6),
        1 => (0u32..=7, 1u32..=5).prop_map(|(d, n)| format!("{d}#{n}")), 1 => (0u32..=7).prop_map(|d| format!("{d}L"))];
    let month = prop_oneof![4 => Just("*".to_owned()), 1 => field(1, 12)];
    (second, field(0, 59), field(0, 23), day, month, weekday)
        .prop_map(|(s, m, h, d, mo, w)| format!("{s} {m} {h} {d} {mo} {w}"))
}

/// Zones and instants, in UTC seconds, at which their clocks change.
const CHANGES: [(Tz, i64); 8] = [
    (Tz::UTC, 1_700_000_000),
    (Tz::America__New_York, 1_772_953_200),
    (Tz::America__New_York, 1_793_512_800),
    (Tz::Australia__Lord_Howe, 1_759_591_800),
    (Tz::Australia__Lord_Howe, 1_775_314_800),
    (Tz::America__Sao_Paulo, 1_541_300_400),
    (Tz::Pacific__Apia, 1_325_239_200),
    (Tz::Asia__Shanghai, 653_583_600),
];

proptest! {
    #[test]
    fn the_closed_forms_equal_enumeration(
        expr in expression(), (zone, change) in prop::sample::select(&CHANGES[..]), before in 0i64..200_000,
        length in 0i64..400_000, ms in 0i64..1000,
    ) {
        let Ok(schedule) = CronSchedule::parse(&expr, zone) else { return Ok(()) };
        let after = UtcMs((change - before) * 1000 + ms);
        let upto = UtcMs(after.0 + length * 1000);
        let (mut n, mut last, mut t) = (0, None, after);
        while let Some(next) = schedule.next_after(t) {
            prop_assert!(next > t && next.0 % 1000 == 0);
            if next > upto || n == 20_000 { break }
            n += 1;
            last = Some(next);
            t = next;
        }
        let upto = if n == 20_000 { t } else { upto };
        prop_assert_eq!(schedule.count_between(after, upto), n, "{} {}", expr, zone);
        prop_assert_eq!(schedule.last_between(after, upto), last, "{} {}", expr, zone);
    }

    /// Over years, a count is the sum of the counts of its parts, and so are long leaps.
    #[test]
    fn counts_add_up(
        expr in expression(), (zone, _) in prop::sample::select(&CHANGES[..]),
        mut at in prop::array::uniform3(0i64..8_000_000_000_000),
    ) {
        let Ok(schedule) = CronSchedule::parse(&expr, zone) else { return Ok(()) };
        at.sort();
        let [a, b, c] = at.map(UtcMs);
        let whole = schedule.count_between(a, c);
        prop_assert_eq!(schedule.count_between(a, b) + schedule.count_between(b, c), whole);
        prop_assert_eq!(schedule.last_between(a, c).is_some(), whole > 0);
        prop_assert_eq!(schedule.next_after(a).is_some_and(|t| t <= c), whole > 0);
    }

    /// Our check of a field is complete: what it lets through, croner reads, and nothing panics.
    #[test]
    fn any_text_is_read_or_refused_by_field(fields in prop::collection::vec("[0-9*/,\\-?LW#+A-F@]{1,6}", 4..8)) {
        if let Err(e) = CronSchedule::parse(&fields.join(" "), Tz::UTC) {
            prop_assert!(!e.en.contains("is not valid: "), "{}", e.en);
        }
    }

    #[test]
    fn no_instant_panics(expr in expression(), after: i64, upto: i64) {
        let Ok(schedule) = CronSchedule::parse(&expr, Tz::Europe__Berlin) else { return Ok(()) };
        schedule.next_after(UtcMs(after));
        schedule.last_between(UtcMs(after), UtcMs(upto));
        schedule.count_between(UtcMs(after), UtcMs(upto));
    }
}
