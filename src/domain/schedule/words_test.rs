//! Schedules in words, by a table in both languages, and what holds of any schedule.

use super::super::IntervalSchedule;
use super::super::cron::tests::expression;
use super::*;
use crate::domain::UtcMs;
use chrono_tz::Tz;
use proptest::prelude::*;
use std::collections::HashMap;

/// The words of an expression, or of an interval.
fn words(expr: &str) -> Text {
    Schedule::parse(expr, Tz::Asia__Shanghai).unwrap_or_else(|e| panic!("{expr}: {e}")).words()
}

#[test]
fn schedules_in_words() {
    for (expr, zh, en) in [
        ("0 2 * * *", "每天 02:00", "Every day at 02:00"),
        ("@daily", "每天 00:00", "Every day at 00:00"),
        ("@hourly", "每小时", "Every hour"),
        ("@weekly", "每周日 00:00", "Every Sunday at 00:00"),
        ("@monthly", "每月 1 日 00:00", "On day 1 of every month at 00:00"),
        ("@yearly", "每年 1 月 1 日 00:00", "On 1 January every year at 00:00"),
        ("* * * * * *", "每秒", "Every second"),
        ("* * * * *", "每分钟", "Every minute"),
        ("*/10 * * * * *", "每 10 秒", "Every 10 seconds"),
        ("30 * * * * *", "每分钟的第 30 秒", "At second 30 of every minute"),
        ("5,9,20 * * * * *", "每分钟的第 5、9、20 秒", "At seconds 5, 9 and 20 of every minute"),
        ("*/7 * * * * *", "每分钟的第 0、7、14…56 秒", "At seconds 0, 7, 14 … 56 of every minute"),
        ("0 */5 * * * *", "每 5 分钟", "Every 5 minutes"),
        ("5/15 * * * *", "从 00:05 起每 15 分钟", "Every 15 minutes from 00:05"),
        ("0,30 * * * *", "每 30 分钟", "Every 30 minutes"),
        ("15,45 * * * *", "从 00:15 起每 30 分钟", "Every 30 minutes from 00:15"),
        ("*/7 * * * *", "每小时的第 0、7、14…56 分", "At minutes 0, 7, 14 … 56 of every hour"),
        ("*/7 2 * * *", "每天 02:00 至 02:56 每 7 分钟", "Every 7 minutes from 02:00 to 02:56"),
        ("10-50/5 * * * *", "每小时的第 10、15、20…50 分", "At minutes 10, 15, 20 … 50 of every hour"),
        ("15 * * * *", "每小时的第 15 分", "At minute 15 of every hour"),
        ("30 15 * * * *", "每小时的第 15 分 30 秒", "At minute 15 and second 30 of every hour"),
        ("0 */2 * * *", "每 2 小时", "Every 2 hours"),
        ("15 */6 * * *", "从 00:15 起每 6 小时", "Every 6 hours from 00:15"),
        ("0 */7 * * *", "每天 00:00 至 21:00 每 7 小时", "Every 7 hours from 00:00 to 21:00"),
        ("0 0,12 * * *", "每天 00:00、12:00", "Every day at 00:00 and 12:00"),
        ("0 9,12,18 * * *", "每天 09:00、12:00、18:00", "Every day at 09:00, 12:00 and 18:00"),
        ("0 9-17 * * *", "每天 09:00 至 17:00 每小时", "Every hour from 09:00 to 17:00"),
        ("*/5 9-17 * * *", "每天 09:00 至 17:55 每 5 分钟", "Every 5 minutes from 09:00 to 17:55"),
        ("* 9-17 * * *", "每天 09:00 至 17:59 每分钟", "Every minute from 09:00 to 17:59"),
        ("*/5 9,12,18 * * *", "每天 9、12、18 点每 5 分钟", "Every 5 minutes during hours 9, 12 and 18"),
        ("*/7 9-17 * * *", "每天 9 至 17 点的第 0、7、14…56 分", "At minutes 0, 7, 14 … 56 of hours 9 to 17"),
        (
            "0,7,13,22 1,5,9,14,20 * * *",
            "每天 1、5、9、14、20 点的第 0、7、13、22 分",
            "At minutes 0, 7, 13 and 22 of hours 1, 5, 9, 14 and 20",
        ),
        (
            "0 1,2,5,7,8,11,13,17 * * *",
            "每天 01:00、02:00、05:00、07:00、08:00… 共 8 个",
            "Every day at 01:00, 02:00, 05:00, 07:00, 08:00 … (8 in all)",
        ),
        ("* 30 2 * * *", "每天 02:30:00 至 02:30:59 每秒", "Every second from 02:30:00 to 02:30:59"),
        (
            "* */5 * * * *",
            "每小时的第 0、5、10…55 分，每秒",
            "Every second during minutes 0, 5, 10 … 55 of every hour",
        ),
        ("*/10 5 * * * *", "每小时的第 5 分，每 10 秒", "Every 10 seconds during minute 5 of every hour"),
        (
            "5,9,20 0,7 8-10 * * *",
            "每天 8 至 10 点的第 0、7 分第 5、9、20 秒",
            "At seconds 5, 9 and 20 of minutes 0 and 7 of hours 8 to 10",
        ),
        (
            "30 0,7,9 8-20 * * *",
            "每天 8 至 20 点的第 0、7、9 分第 30 秒",
            "At second 30 of minutes 0, 7 and 9 of hours 8 to 20",
        ),
        (
            "5,9,20 * 8-10,15 * * *",
            "每天 8 至 10、15 点每分钟的第 5、9、20 秒",
            "At seconds 5, 9 and 20 of every minute of hours 8 to 10 and 15",
        ),
        (
            "30 * 8,10,15 * * *",
            "每天 8、10、15 点每分钟的第 30 秒",
            "At second 30 of every minute during hours 8, 10 and 15",
        ),
        ("30 9 * * 1-5", "每周一至周五 09:30", "Monday to Friday at 09:30"),
        ("0 8 * * 6,0", "每周六和周日 08:00", "Every Saturday and Sunday at 08:00"),
        ("0 8 * * 1,3,5", "每周一、周三和周五 08:00", "Every Monday, Wednesday and Friday at 08:00"),
        ("0 8 * * FRI-SUN,1", "每周五至周一 08:00", "Friday to Monday at 08:00"),
        ("0 8 * * 1,2,3,5", "每周一至周三和周五 08:00", "Monday to Wednesday and Friday at 08:00"),
        ("0 8 * * 0-4", "每周日至周四 08:00", "Sunday to Thursday at 08:00"),
        ("0 8 * * 1", "每周一 08:00", "Every Monday at 08:00"),
        ("0 0 1,15 * *", "每月 1 日和 15 日 00:00", "On day 1 and 15 of every month at 00:00"),
        ("0 0 1-7 * *", "每月 1 日至 7 日 00:00", "On day 1 to 7 of every month at 00:00"),
        ("0 0 */2 * *", "每月 1、3、5…31 日 00:00", "On day 1, 3, 5 … 31 of every month at 00:00"),
        (
            "0 0 1,2,4,8,9,13,17,20,25 * *",
            "每月 1、2、4、8、9… 日（共 9 个）00:00",
            "On day 1, 2, 4, 8, 9 … (9 in all) of every month at 00:00",
        ),
        ("0 0 L * *", "每月最后一天 00:00", "On the last day of every month at 00:00"),
        ("0 0 LW * *", "每月最后一个工作日 00:00", "On the last working day of every month at 00:00"),
        (
            "0 0 15W * *",
            "每月离 15 日最近的工作日 00:00",
            "On the working day nearest to day 15 of every month at 00:00",
        ),
        (
            "0 0 1W,15W * *",
            "每月离 1、15 日最近的工作日 00:00",
            "On the working days nearest to day 1 and 15 of every month at 00:00",
        ),
        ("0 0 10,L * *", "每月 10 日和最后一天 00:00", "On day 10 and the last day of every month at 00:00"),
        (
            "0 0 1,10W,LW,L * *",
            "每月 1 日、离 10 日最近的工作日、最后一个工作日和最后一天 00:00",
            "On day 1, the working day nearest to day 10, the last working day and the last day of every month at 00:00",
        ),
        ("0 9 * * 5#2", "每月第二个周五 09:00", "On the second Friday of every month at 09:00"),
        ("0 9 * * 5L", "每月最后一个周五 09:00", "On the last Friday of every month at 09:00"),
        (
            "0 9 * * 1,5#2,0L",
            "每周一以及每月第二个周五和每月最后一个周日 09:00",
            "Every Monday and on the second Friday and the last Sunday of every month at 09:00",
        ),
        ("0 0 13 * 5", "每月 13 日或每周五 00:00", "On day 13 of every month or every Friday at 00:00"),
        ("0 0 1 1 *", "每年 1 月 1 日 00:00", "On 1 January every year at 00:00"),
        ("0 0 1 1,7 *", "每年 1 月和 7 月的 1 日 00:00", "On day 1 of January and July at 00:00"),
        ("0 0 L 2 *", "每年 2 月的最后一天 00:00", "On the last day of February at 00:00"),
        ("0 0 * 6-8 *", "每年 6 月至 8 月每天 00:00", "Every day from June to August at 00:00"),
        (
            "0 0 * 11-12,1-2 MON",
            "每年 11 月至 2 月的每周一 00:00",
            "Every Monday from November to February at 00:00",
        ),
        ("0 0 1,15 3 *", "每年 3 月的 1 日和 15 日 00:00", "On day 1 and 15 of March at 00:00"),
        (
            "0 0 13 1 5#1",
            "每年 1 月的 13 日或第一个周五 00:00",
            "On day 13 or on the first Friday in January at 00:00",
        ),
        (
            "0 0 13 * 1,5L",
            "每月 13 日或每周一以及每月最后一个周五 00:00",
            "On day 13 of every month or every Monday and on the last Friday of every month at 00:00",
        ),
        (
            "0 0 * * 1#1,2#1,3#1,4#1,5#1,1#3,2#3",
            "每月第一个周一、每月第一个周二、每月第一个周三、每月第一个周四、每月第一个周五…（共 7 个）00:00",
            "On the first Monday, the first Tuesday, the first Wednesday, the first Thursday, the first Friday … (7 in all) of every month at 00:00",
        ),
        ("0 0 1 6-8 *", "每年 6 月至 8 月的 1 日 00:00", "On day 1 of June to August at 00:00"),
        (
            "0 0 1,2,4,8,9,13,17,20,25 6 5",
            "每年 6 月的 1、2、4、8、9… 日（共 9 个）或每周五 00:00",
            "On day 1, 2, 4, 8, 9 … (9 in all) or every Friday in June at 00:00",
        ),
        (
            "* 0-50 * * * *",
            "每小时的第 0 至 50 分，每秒",
            "Every second during minutes 0 to 50 of every hour",
        ),
        ("0 0 1 1 1", "每年 1 月的 1 日或每周一 00:00", "On day 1 or every Monday in January at 00:00"),
        ("0 0 ? * SUN#5", "每月第五个周日 00:00", "On the fifth Sunday of every month at 00:00"),
        (
            "0 22-23,0-2 * * *",
            "每天 00:00、01:00、02:00、22:00、23:00",
            "Every day at 00:00, 01:00, 02:00, 22:00 and 23:00",
        ),
        (
            "*/15 22-23,0-2 * * *",
            "每天 0 至 2、22、23 点每 15 分钟",
            "Every 15 minutes during hours 0 to 2, 22 and 23",
        ),
        (
            "0 8 * 1-3,6 2-4",
            "每年 1 月至 3 月和 6 月的每周二至周四 08:00",
            "Tuesday to Thursday in January to March and June at 08:00",
        ),
        (
            "0 12 * 3,5 1#1",
            "每年 3 月和 5 月的第一个周一 12:00",
            "On the first Monday of March and May at 12:00",
        ),
        ("*/5 * * * 1-5", "每周一至周五，每 5 分钟", "Every 5 minutes, Monday to Friday"),
        ("*/5 * 1 * *", "每月 1 日，每 5 分钟", "Every 5 minutes, on day 1 of every month"),
        (
            "0 9-17 * * 1-5",
            "每周一至周五 09:00 至 17:00 每小时",
            "Every hour from 09:00 to 17:00, Monday to Friday",
        ),
        (
            "*/7 * * 1 MON",
            "每年 1 月的每周一，每小时的第 0、7、14…56 分",
            "At minutes 0, 7, 14 … 56 of every hour, every Monday in January",
        ),
        ("0 0 1-31 * 1", "每天 00:00", "Every day at 00:00"),
        ("0 0 1 * 0-6", "每天 00:00", "Every day at 00:00"),
        ("0 0 1-31 * *", "每天 00:00", "Every day at 00:00"),
        ("0 0 29 2 *", "每年 2 月 29 日 00:00", "On 29 February every year at 00:00"),
        ("@every 90s", "每 1 分 30 秒", "Every 1 minute 30 seconds"),
        ("@every 1m", "每分钟", "Every minute"),
        ("@every 5m", "每 5 分钟", "Every 5 minutes"),
        ("@every 1h", "每小时", "Every hour"),
        ("@every 1h30m", "每 1 小时 30 分钟", "Every 1 hour 30 minutes"),
        ("@every 24h", "每 24 小时", "Every 24 hours"),
        ("@every 48h", "每 2 天", "Every 2 days"),
        ("@every 1s", "每秒", "Every second"),
        ("@every 7s", "每 7 秒", "Every 7 seconds"),
        ("@every 8784h", "每 366 天", "Every 366 days"),
        (
            "1,2,5,8,11,17,20,30 * * * *",
            "每小时的第 1、2、5、8、11… 分（共 8 个）",
            "At minutes 1, 2, 5, 8, 11 … (8 in all) of every hour",
        ),
        (
            "0 1,2,5,8,11,17,20 * * *",
            "每天 01:00、02:00、05:00、08:00、11:00… 共 7 个",
            "Every day at 01:00, 02:00, 05:00, 08:00, 11:00 … (7 in all)",
        ),
        ("5 4 8-20 * * *", "每天 08:04:05 至 20:04:05 每小时", "Every hour from 08:04:05 to 20:04:05"),
    ] {
        let said = words(expr);
        assert_eq!((said.zh.as_str(), said.en.as_str()), (zh, en), "{expr}");
    }
}

proptest! {
    #[test]
    fn any_schedule_has_words_and_few_of_them(expr in expression()) {
        let Ok(schedule) = Schedule::parse(&expr, Tz::UTC) else { return Ok(()) };
        let said = schedule.words();
        for text in [&said.zh, &said.en] {
            prop_assert!(!text.is_empty() && text.chars().count() < 300, "{}: {}", expr, text);
            prop_assert!(!text.contains("  ") && text.trim() == text, "{}: {}", expr, text);
        }
        prop_assert!(said.en.starts_with(|c: char| c.is_ascii_uppercase()), "{}: {}", expr, said.en);
    }

    #[test]
    fn any_interval_has_words(seconds in 1u32..=366 * 86_400) {
        let schedule = IntervalSchedule::every(seconds.into()).map(Schedule::Interval).expect("in range");
        let said = schedule.words();
        prop_assert!(said.zh.starts_with('每') && said.en.starts_with("Every "), "{}", said.en);
    }
}

/// What is said is what is meant: of two schedules with the same words, both fire at the same
/// instants. Only a list that was cut leaves something open.
fn tell_apart(expressions: impl IntoIterator<Item = String>) {
    let mut said: HashMap<String, Schedule> = HashMap::new();
    for expr in expressions {
        let Ok(schedule) = Schedule::parse(&expr, Tz::UTC) else { continue };
        let text = schedule.words();
        if text.en.contains("in all") {
            continue;
        }
        let Some(other) = said.insert(format!("{} {}", text.zh, text.en), schedule.clone()) else { continue };
        assert_eq!(instants(&schedule), instants(&other), "{expr}: {text}");
    }
    assert!(said.len() > 1_000, "only {} different ones", said.len());
}

/// The days of eight years, and the times of the first of them.
fn instants(schedule: &Schedule) -> (u64, Vec<UtcMs>) {
    let from = UtcMs(1_767_225_600_000 - 1);
    let count = schedule.count_between(UtcMs(0), from, UtcMs(from.0 + 8 * 366 * 86_400_000));
    let next = |t: &UtcMs| schedule.next_after(UtcMs(0), *t);
    (count, std::iter::successors(next(&from), next).take(100).collect())
}

#[test]
fn different_times_of_day_have_different_words() {
    let of = |all: u32| {
        let steps = [1, 2, 3, 5, 7, 10, 12, 15, 20].map(|n| [format!("*/{n}"), format!("1/{n}")]);
        let lists = ["0", "5", "0,5", "5,9,20", "8-17", "9-17/2", "0-5,8-10", "0,1,2,4,9"].map(str::to_owned);
        let ends = [format!("0,{}", all / 2), format!("2-{}", all - 1), format!("{0},{0}", all - 1)];
        steps.into_iter().flatten().chain(lists).chain(ends).collect::<Vec<_>>()
    };
    let seconds = ["0", "30", "*", "*/10", "5,9,20"].map(str::to_owned);
    let times = combined(&seconds, &of(60), &of(24)).into_iter();
    tell_apart(times.map(|times| format!("{times} * * *")));
}

#[test]
fn different_days_have_different_words() {
    let days = ["*", "1", "1,15", "1-7", "*/2", "2/3", "L", "LW", "15W", "1,15W", "10,L", "1-31", "1W,9W"];
    let months = ["*", "1", "1,7", "6-8", "1-3,6", "11-12,1-2", "*/3", "*/2", "2"];
    let weekdays = [
        "*",
        "1",
        "1-5",
        "0,6",
        "0-4",
        "FRI-SUN,1",
        "1,3,5",
        "5#2",
        "5L",
        "5#2,5L",
        "1,5#2",
        "1#1,2#2",
        "0-6",
        "*/2",
    ];
    let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let days = combined(&owned(&days), &owned(&months), &owned(&weekdays));
    tell_apart(days.into_iter().map(|days| format!("0 0 {days}")));
}

/// Every text of `a` with every one of `b` and of `c`.
fn combined(a: &[String], b: &[String], c: &[String]) -> Vec<String> {
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| format!("{a} {b}")));
    pairs.flat_map(|ab| c.iter().map(move |c| format!("{ab} {c}"))).collect()
}
