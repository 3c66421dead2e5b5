//! The times of day of a pattern in words. A rhythm is told as one only where it is true across all the
//! borders it meets: `*/7` in the minutes begins anew each hour and is a list of minutes, while the same
//! within a single hour is every 7 minutes of it.

use super::super::super::words::{SHOWN_MAX, Values, and, bits, every};
use super::{Pattern, Text};

const ALL_MINUTES: u64 = (1 << 60) - 1;
const ALL_HOURS: u64 = (1 << 24) - 1;
const DAY: u32 = 86_400;
const HOUR: u32 = 3_600;
/// Up to so many times are told one by one, even where they are a rhythm.
const FEW: usize = 3;

/// When a day's fires are. The English begins with a small letter.
pub(super) enum Times {
    /// Times of day, which "at" goes before: "02:00".
    At(Text),
    /// A rhythm of the whole day: "每 5 分钟".
    Throughout(Text),
    /// A rhythm of some hours only: "09:00 至 17:00 每小时".
    Within(Text),
}

impl Times {
    pub fn of(p: &Pattern) -> Self {
        let clock = Clock { seconds: p.seconds, minutes: p.minutes, hours: u64::from(p.hours) };
        let count = clock.count();
        if count <= FEW {
            return Self::At(clock.list());
        }
        if let Some(step) = clock.step() {
            return clock.rhythm(step);
        }
        if count <= SHOWN_MAX || clock.seconds.count_ones() * clock.minutes.count_ones() == 1 {
            return Self::At(clock.list());
        }
        if clock.hours == ALL_HOURS { Self::Throughout(clock.fields()) } else { Self::Within(clock.fields()) }
    }
}

/// Bit masks; the times are all their combinations.
struct Clock {
    seconds: u64,
    minutes: u64,
    hours: u64,
}

impl Clock {
    fn count(&self) -> usize {
        let n = self.seconds.count_ones() * self.minutes.count_ones() * self.hours.count_ones();
        n as usize
    }

    /// Seconds of the day.
    fn times(&self) -> impl Iterator<Item = u32> {
        bits(self.hours).flat_map(move |h| {
            bits(self.minutes).flat_map(move |m| bits(self.seconds).map(move |s| h * HOUR + m * 60 + s))
        })
    }

    fn first(&self) -> u32 {
        lowest(self.hours) * HOUR + lowest(self.minutes) * 60 + lowest(self.seconds)
    }

    fn last(&self) -> u32 {
        highest(self.hours) * HOUR + highest(self.minutes) * 60 + highest(self.seconds)
    }

    /// The seconds from each time to the next one of the day, when they are all the same. There are few
    /// different ones: within a minute, from minute to minute and from hour to hour.
    fn step(&self) -> Option<u32> {
        let minute = highest(self.seconds) - lowest(self.seconds);
        let hour = (highest(self.minutes) - lowest(self.minutes)) * 60 + minute;
        let mut all = gaps(self.seconds)
            .chain(gaps(self.minutes).map(|gap| gap * 60 - minute))
            .chain(gaps(self.hours).map(|gap| gap * HOUR - hour));
        let step = all.next()?;
        all.all(|gap| gap == step).then_some(step)
    }

    /// Equal steps: around the clock, or from a first to a last time.
    fn rhythm(&self, step: u32) -> Times {
        let (first, last) = (self.first(), self.last());
        let rhythm = every(step);
        if first + DAY - last != step {
            let seconds = first % 60 != 0 || last % 60 != 0;
            let (from, to) = (time(first, seconds), time(last, seconds));
            return Times::Within(Text::new(
                format!("{from} 至 {to} {}", rhythm.zh),
                format!("{} from {from} to {to}", rhythm.en),
            ));
        }
        Times::Throughout(match (first, step) {
            (0, _) => rhythm,
            (second, 60) => second_of_every_minute(second),
            (at, HOUR) if at % 60 == 0 => {
                let minute = at / 60;
                Text::new(format!("每小时的第 {minute} 分"), format!("at minute {minute} of every hour"))
            }
            (at, HOUR) => {
                let (minute, second) = (at / 60, at % 60);
                Text::new(
                    format!("每小时的第 {minute} 分 {second} 秒"),
                    format!("at minute {minute} and second {second} of every hour"),
                )
            }
            (at, _) => {
                let from = time(at, at % 60 != 0);
                Text::new(format!("从 {from} 起{}", rhythm.zh), format!("{} from {from}", rhythm.en))
            }
        })
    }

    /// Times in no rhythm that spans the hours, told field by field.
    fn fields(&self) -> Text {
        let hours = (self.hours != ALL_HOURS).then(|| Values::of(self.hours));
        if let (Some(hours), Some(rhythm)) = (&hours, self.hourly_rhythm()) {
            return Text::new(
                format!("{}{}", hours.zh("点"), rhythm.zh),
                format!("{} during {}", rhythm.en, named("hour", hours)),
            );
        }
        let hours_zh = hours.as_ref().map(|hours| hours.zh("点"));
        let seconds = Values::of(self.seconds);
        if self.minutes == ALL_MINUTES {
            let of = hours.map_or(String::new(), |hours| format!(" of {}", named("hour", &hours)));
            return Text::new(
                format!("{}每分钟的第 {}", hours_zh.unwrap_or_default(), seconds.zh("秒")),
                format!("at {} of every minute{of}", named("second", &seconds)),
            );
        }
        let minutes = Values::of(self.minutes);
        let of = hours.map_or("every hour".to_owned(), |hours| named("hour", &hours));
        let zh = format!("{}的第 {}", hours_zh.as_deref().unwrap_or("每小时"), minutes.zh("分"));
        let en = format!("{} of {of}", named("minute", &minutes));
        if self.seconds == 1 {
            return Text::new(zh, format!("at {en}"));
        }
        let minute = Self { minutes: 1, hours: 1, ..*self };
        match minute.step().filter(|step| minute.last() + step == 60 && minute.first() == 0) {
            Some(step) => {
                let rhythm = every(step);
                Text::new(format!("{zh}，{}", rhythm.zh), format!("{} during {en}", rhythm.en))
            }
            None => Text::new(
                format!("{zh}第 {}", seconds.zh("秒")),
                format!("at {} of {en}", named("second", &seconds)),
            ),
        }
    }

    /// The rhythm of an hour, when it goes on evenly from one hour into the next.
    fn hourly_rhythm(&self) -> Option<Text> {
        let hour = Self { hours: 1, ..*self };
        let step = hour.step().filter(|step| hour.first() + HOUR - hour.last() == *step)?;
        match (hour.first(), step) {
            (0, _) => Some(every(step)),
            (second, 60) => Some(second_of_every_minute(second)),
            _ => None,
        }
    }

    fn list(&self) -> Text {
        let seconds = self.seconds != 1;
        let count = self.count();
        let shown = if count > SHOWN_MAX { SHOWN_MAX - 1 } else { count };
        let times: Vec<String> = self.times().take(shown).map(|t| time(t, seconds)).collect();
        if shown == count {
            return Text::new(times.join("、"), and(&times));
        }
        Text::new(
            format!("{}… 共 {count} 个", times.join("、")),
            format!("{} … ({count} in all)", times.join(", ")),
        )
    }
}

fn second_of_every_minute(second: u32) -> Text {
    Text::new(format!("每分钟的第 {second} 秒"), format!("at second {second} of every minute"))
}

/// "minutes 0, 7, 14 … 56".
fn named(unit: &str, values: &Values) -> String {
    let s = if values.count == 1 { "" } else { "s" };
    format!("{unit}{s} {}", values.en())
}

/// A second of the day as a clock shows it.
fn time(t: u32, seconds: bool) -> String {
    let (hour, minute, second) = (t / HOUR, t / 60 % 60, t % 60);
    if seconds { format!("{hour:02}:{minute:02}:{second:02}") } else { format!("{hour:02}:{minute:02}") }
}

fn gaps(mask: u64) -> impl Iterator<Item = u32> {
    bits(mask).zip(bits(mask).skip(1)).map(|(a, b)| b - a)
}

/// No mask of a pattern is empty; an empty one counts as 0.
fn lowest(mask: u64) -> u32 {
    bits(mask).next().unwrap_or(0)
}

fn highest(mask: u64) -> u32 {
    mask.checked_ilog2().unwrap_or(0)
}
