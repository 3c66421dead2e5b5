//! A schedule in plain words, in both languages. What is said comes from the compiled schedule, not
//! from the text that was typed: `0 0-23/6 * * *` and `0 0,6,12,18 * * *` read the same, because they
//! mean the same. Here are the interval and what both triggers share; the cron expression is
//! `cron/words.rs`.

use super::{Schedule, Text};

impl Schedule {
    /// When it fires, in a few words, such as "每天 02:00" and "Every day at 02:00". Zone and daylight
    /// saving are not part of it. It is never empty and always short: long lists are cut, and say how
    /// long they are.
    pub fn words(&self) -> Text {
        let Text { zh, en } = match self {
            Self::Cron(s) => s.words(),
            Self::Interval(s) => every(s.seconds()),
        };
        Text { zh, en: capitalised(&en) }
    }
}

/// "每 5 分钟" and "every 5 minutes"; `seconds` is at least 1.
pub(super) fn every(seconds: u32) -> Text {
    match seconds {
        1 => Text::new("每秒", "every second"),
        60 => Text::new("每分钟", "every minute"),
        3_600 => Text::new("每小时", "every hour"),
        _ => {
            let span = span(seconds);
            Text::new(format!("每 {}", span.zh), format!("every {}", span.en))
        }
    }
}

/// "1 分 30 秒" and "1 minute 30 seconds". A day is told as 24 hours: elapsed time is meant, and a day
/// on the calendar may be longer.
fn span(seconds: u32) -> Text {
    let days = if seconds < 2 * 86_400 { 0 } else { seconds / 86_400 };
    let rest = seconds - days * 86_400;
    let (hours, minutes, left) = (rest / 3_600, rest / 60 % 60, rest % 60);
    // Alone or last a minute is 分钟; before seconds it is 分.
    let minute = if left > 0 { "分" } else { "分钟" };
    let units =
        [(days, "天", "day"), (hours, "小时", "hour"), (minutes, minute, "minute"), (left, "秒", "second")];
    let units = units.into_iter().filter(|(n, ..)| *n > 0);
    let (zh, en): (Vec<_>, Vec<_>) = units
        .map(|(n, zh, en)| (format!("{n} {zh}"), format!("{n} {en}{}", if n == 1 { "" } else { "s" })))
        .unzip();
    Text::new(zh.join(" "), en.join(" "))
}

/// The values of a bit mask as people list them: three and more in a row as a range, what goes on in
/// equal steps as its beginning and end, and no more than a line holds.
pub(super) struct Values {
    /// Each from its first to its last value.
    pub ranges: Vec<(u32, u32)>,
    pub end: End,
    /// How many values there are, those that are not shown included.
    pub count: u32,
}

/// What comes after the ranges that are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Nothing,
    /// It goes on in the same steps to this value.
    UpTo(u32),
    /// More than is shown, without a rule.
    More,
}

/// More entries than this are cut, to one less.
pub(super) const SHOWN_MAX: usize = 6;
/// Fewer values in equal steps are told one by one.
const STEPS_MIN: usize = 5;

impl Values {
    pub fn of(mask: u64) -> Self {
        let values: Vec<u32> = bits(mask).collect();
        let count = mask.count_ones();
        let step = |pair: &[u32]| pair[1] - pair[0];
        let steps: Vec<u32> = values.windows(2).map(step).collect();
        if values.len() >= STEPS_MIN && steps[0] > 1 && steps.iter().all(|s| *s == steps[0]) {
            let ranges = values.iter().take(3).map(|v| (*v, *v)).collect();
            return Self { ranges, end: values.last().map_or(End::Nothing, |last| End::UpTo(*last)), count };
        }
        let mut ranges = ranges(&values);
        let end = if ranges.len() > SHOWN_MAX { End::More } else { End::Nothing };
        if end == End::More {
            ranges.truncate(SHOWN_MAX - 1);
        }
        Self { ranges, end, count }
    }

    /// With their unit: "0、7、14…56 分".
    pub fn zh(&self, unit: &str) -> String {
        let shown =
            self.ranges.iter().map(|&(a, b)| if a == b { a.to_string() } else { format!("{a} 至 {b}") });
        let shown = shown.collect::<Vec<_>>().join("、");
        match self.end {
            End::Nothing => format!("{shown} {unit}"),
            End::UpTo(last) => format!("{shown}…{last} {unit}"),
            End::More => format!("{shown}… {unit}（共 {} 个）", self.count),
        }
    }

    /// Without a unit: "0, 7, 14 … 56".
    pub fn en(&self) -> String {
        let shown =
            self.ranges.iter().map(|&(a, b)| if a == b { a.to_string() } else { format!("{a} to {b}") });
        let shown: Vec<_> = shown.collect();
        match self.end {
            End::Nothing => and(&shown),
            End::UpTo(last) => format!("{} … {last}", shown.join(", ")),
            End::More => format!("{} … ({} in all)", shown.join(", "), self.count),
        }
    }
}

/// Runs of three and more as one range; two in a row stay two.
pub(super) fn ranges(values: &[u32]) -> Vec<(u32, u32)> {
    let mut out = Vec::new();
    for run in values.chunk_by(|a, b| a + 1 == *b) {
        match *run {
            [first, _, .., last] if run.len() > 2 => out.push((first, last)),
            _ => out.extend(run.iter().map(|v| (*v, *v))),
        }
    }
    out
}

/// The set bits, lowest first.
pub(super) fn bits(mask: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).filter(move |n| mask >> n & 1 == 1)
}

/// "a, b and c".
pub(super) fn and(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// "a、b和c", with the space that stands between a Chinese letter and a digit.
pub(super) fn he(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => glue(&format!("{}和", rest.join("、")), last),
    }
}

/// Puts Chinese text before more of it; a digit is set off by a space.
pub(super) fn glue(before: &str, text: &str) -> String {
    let space = if text.starts_with(|c: char| c.is_ascii_digit()) { " " } else { "" };
    format!("{before}{space}{text}")
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
#[path = "words_test.rs"]
mod words_test;
