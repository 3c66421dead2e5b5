//! A cron expression in words: which days, and joined to them the times of day (`words/times.rs`).
//! It reads the compiled pattern's bits and nothing else.

mod times;

use super::super::words::{End, SHOWN_MAX, Values, and, bits, glue, he, ranges};
use super::pattern::ALL_MONTHS;
use super::{CronSchedule, Pattern, Text};
use times::Times;

const ALL_DAYS: u32 = 0xffff_fffe;
const ALL_WEEKDAYS: u8 = 0x7f;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Sunday first, as the bits are.
const WEEKDAYS: [(&str, &str); 7] = [
    ("周日", "Sunday"),
    ("周一", "Monday"),
    ("周二", "Tuesday"),
    ("周三", "Wednesday"),
    ("周四", "Thursday"),
    ("周五", "Friday"),
    ("周六", "Saturday"),
];
const NTH: [(&str, &str); 5] = [
    ("第一个", "first"),
    ("第二个", "second"),
    ("第三个", "third"),
    ("第四个", "fourth"),
    ("第五个", "fifth"),
];

impl CronSchedule {
    /// When it fires on the zone's clock; the English begins with a small letter.
    pub(in super::super) fn words(&self) -> Text {
        let (times, days) = (Times::of(&self.pattern), days(&self.pattern));
        match (times, days) {
            (Times::At(at), days) => {
                let days = days.unwrap_or_else(|| Text::new("每天", "every day"));
                // A full-width bracket brings its own space.
                let between = if days.zh.ends_with('）') { "" } else { " " };
                Text::new(format!("{}{between}{}", days.zh, at.zh), format!("{} at {}", days.en, at.en))
            }
            (Times::Throughout(rhythm), None) => rhythm,
            (Times::Within(rhythm), None) => Text::new(format!("每天 {}", rhythm.zh), rhythm.en),
            (Times::Throughout(rhythm) | Times::Within(rhythm), Some(days)) => {
                let digit = rhythm.zh.starts_with(|c: char| c.is_ascii_digit());
                let between = if digit { " " } else { "，" };
                Text::new(format!("{}{between}{}", days.zh, rhythm.zh), format!("{}, {}", rhythm.en, days.en))
            }
        }
    }
}

/// The days it fires on; `None`: every day. Which of the two day fields counts is `Pattern::days_of`'s
/// rule: one that is `*` does not, and of two that are not either will do.
fn days(p: &Pattern) -> Option<Text> {
    let by_number = !p.any_day;
    let by_weekday = !p.any_weekday;
    let every = !by_number && !by_weekday
        || by_number && p.days == ALL_DAYS
        || by_weekday && p.weekdays == ALL_WEEKDAYS;
    let months = (p.months != ALL_MONTHS).then(|| months(p.months));
    if every {
        return months
            .map(|m| Text::new(format!("每年 {}每天", m.zh), format!("every day {}", within(&m.en))));
    }
    let numbers = by_number.then(|| numbers(p));
    let weekdays = by_weekday.then(|| weekdays(p, months.as_ref(), by_number));
    let zh = [&numbers, &weekdays].into_iter().flatten().map(|days| days.zh.clone());
    let zh = zh.reduce(|number, weekday| format!("{number}或{weekday}")).unwrap_or_default();
    let zh = match &months {
        // "每年 1 月 1 日": a date, where anything more takes a 的.
        Some(m) if the_one_date(p).is_some() => format!("每年 {} {zh}", m.zh),
        Some(m) => glue(&format!("每年 {}的", m.zh), &zh),
        None if by_number => glue("每月", &zh),
        None => zh,
    };
    let en = match (numbers, weekdays, months) {
        (Some(_), None, Some(_)) if let Some((month, day)) = the_one_date(p) => {
            format!("on {day} {} every year", MONTHS[month - 1])
        }
        (Some(n), None, months) => format!("on {} of {}", n.en, of_month(months.as_ref())),
        (Some(n), Some(w), None) => format!("on {} of every month or {}", n.en, w.en),
        (Some(n), Some(w), Some(m)) => format!("on {} or {} {}", n.en, w.en, within(&m.en)),
        (None, weekdays, _) => weekdays.map_or(String::new(), |w| w.en),
    };
    Some(Text::new(zh, en))
}

/// "every month", or the months that are named.
fn of_month(months: Option<&Text>) -> &str {
    months.map_or("every month", |m| &m.en)
}

/// The month and the day when they are one date of the year and nothing else.
fn the_one_date(p: &Pattern) -> Option<(usize, u32)> {
    let special = p.near_days != 0 || p.last_day || p.last_workday;
    let one = p.months.count_ones() == 1 && p.days.count_ones() == 1;
    (one && !special && !p.any_day && p.any_weekday)
        .then(|| (p.months.trailing_zeros() as usize, p.days.trailing_zeros()))
}

/// "1 日和 15 日" and "day 1 and 15": days of the month, without the month.
fn numbers(p: &Pattern) -> Text {
    let (mut zh, mut en) = (Vec::new(), Vec::new());
    if p.days != 0 {
        let days = Values::of(u64::from(p.days));
        match days.end {
            End::Nothing => zh.extend(
                days.ranges
                    .iter()
                    .map(|&(a, b)| if a == b { format!("{a} 日") } else { format!("{a} 日至 {b} 日") }),
            ),
            End::UpTo(_) | End::More => zh.push(days.zh("日")),
        }
        en.push(format!("day {}", days.en()));
    }
    if p.near_days != 0 {
        let near = Values::of(u64::from(p.near_days));
        let s = if near.count == 1 { "" } else { "s" };
        zh.push(format!("离 {}最近的工作日", near.zh("日")));
        en.push(format!("the working day{s} nearest to day {}", near.en()));
    }
    if p.last_workday {
        zh.push("最后一个工作日".into());
        en.push("the last working day".into());
    }
    if p.last_day {
        zh.push("最后一天".into());
        en.push("the last day".into());
    }
    Text::new(he(&zh), and(&en))
}

/// "每周一至周五" and "Monday to Friday". The months are said before in Chinese, in English after each;
/// but `beside` days of the month they are said once for both, by the caller.
fn weekdays(p: &Pattern, months: Option<&Text>, beside: bool) -> Text {
    let (mut zh, mut en) = (Vec::new(), Vec::new());
    let once = beside && months.is_some();
    if p.weekdays != 0 {
        let plain = plain_weekdays(p.weekdays);
        zh.push(format!("每{}", plain.zh));
        let months = months.filter(|_| !once).map(|m| format!(" {}", within(&m.en)));
        en.push(format!("{}{}", plain.en, months.unwrap_or_default()));
    }
    if let Some(ordinals) = ordinal_weekdays(p, if months.is_none() { "每月" } else { "" }) {
        zh.push(ordinals.zh);
        let of = if once { String::new() } else { format!(" of {}", of_month(months)) };
        en.push(format!("on {}{of}", ordinals.en));
    }
    Text::new(zh.join("以及"), en.join(" and "))
}

/// "第二个周五" and "the second Friday"; in Chinese each begins with `month`.
fn ordinal_weekdays(p: &Pattern, month: &str) -> Option<Text> {
    let nth = NTH.into_iter().zip(p.nth_weekdays).chain([(("最后一个", "last"), p.last_weekdays)]);
    let all = nth.flat_map(|(nth, set)| monday_first(set).map(move |day| (nth, WEEKDAYS[day as usize % 7])));
    let (mut zh, mut en): (Vec<_>, Vec<_>) = all
        .map(|(nth, day)| (format!("{month}{}{}", nth.0, day.0), format!("the {} {}", nth.1, day.1)))
        .unzip();
    let count = zh.len();
    if count > SHOWN_MAX {
        zh.truncate(SHOWN_MAX - 1);
        en.truncate(SHOWN_MAX - 1);
        let (zh, en) = (zh.join("、"), en.join(", "));
        return Some(Text::new(format!("{zh}…（共 {count} 个）"), format!("{en} … ({count} in all)")));
    }
    (count > 0).then(|| Text::new(he(&zh), and(&en)))
}

fn plain_weekdays(set: u8) -> Text {
    let name = |n: u32| WEEKDAYS[n as usize % 7];
    let days: Vec<u32> = monday_first(set).collect();
    let ranges = ring_ranges(&days, 7);
    let (zh, en): (Vec<_>, Vec<_>) = ranges
        .iter()
        .map(|&(a, b)| {
            let (from, to) = (name(a), name(b));
            let one = a == b;
            (
                if one { from.0.to_owned() } else { format!("{}至{}", from.0, to.0) },
                if one { from.1.to_owned() } else { format!("{} to {}", from.1, to.1) },
            )
        })
        .unzip();
    // "Monday to Friday" says by itself that it is all of them.
    let every = if ranges.iter().all(|(a, b)| a == b) { "every " } else { "" };
    Text::new(he(&zh), format!("{every}{}", and(&en)))
}

/// Monday is 1, Sunday 7: weeks are told from Monday on.
fn monday_first(set: u8) -> impl Iterator<Item = u32> {
    bits(u64::from(set & !1) | u64::from(set & 1) << 7)
}

fn months(set: u16) -> Text {
    let set: Vec<u32> = bits(u64::from(set)).collect();
    let name = |n: u32| MONTHS[(n as usize + 11) % 12];
    let (zh, en): (Vec<_>, Vec<_>) = ring_ranges(&set, 12)
        .into_iter()
        .map(|(a, b)| match a == b {
            true => (format!("{a} 月"), name(a).to_owned()),
            false => (format!("{a} 月至 {b} 月"), format!("{} to {}", name(a), name(b))),
        })
        .unzip();
    Text::new(he(&zh), and(&en))
}

/// "in January and July", "from June to August".
fn within(months: &str) -> String {
    let range = months.contains(" to ") && !months.contains(',') && !months.contains(" and ");
    format!("{} {months}", if range { "from" } else { "in" })
}

/// As [`ranges`], of values `1..=len` on a ring: "Friday to Monday", when that one range is all.
fn ring_ranges(values: &[u32], len: u32) -> Vec<(u32, u32)> {
    let mut gaps = values.windows(2).filter(|pair| pair[0] + 1 < pair[1]);
    if let (Some(gap), None) = (gaps.next(), gaps.next())
        && values.len() > 2
        && values.first() == Some(&1)
        && values.last() == Some(&len)
    {
        return vec![(gap[1], gap[0])];
    }
    ranges(values)
}
