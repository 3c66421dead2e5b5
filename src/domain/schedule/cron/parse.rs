//! Reads a cron expression: five or six fields, or an alias. It checks each field by itself, so that
//! an error can name it, lets croner expand the lists, ranges and steps, and keeps the bits. croner's
//! own form weighs 10 kB an expression, and it takes some input for granted that we refuse (`1,,2`,
//! `*/90`, `15W3`, `+5`).

use super::super::Text;
use super::pattern::Pattern;
use croner::CronComponent;
use croner::parser::{CronParser, Seconds, Year};

/// croner's marks on a value, from its private module `component`.
const PLAIN: u8 = 1;
const NTH: [u8; 5] = [1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5];
const LAST: u8 = 1 << 6;
const NEAREST_WORKDAY: u8 = 1 << 7;

/// More than any list of all values of all fields needs.
const MAX_LENGTH: usize = 1000;

/// Reads an expression.
///
/// # Errors
/// Names the field that is wrong; also when no day can ever match.
pub(super) fn parse(expr: &str) -> Result<Pattern, Text> {
    let fields = fields(expr)?;
    let mut normal = Vec::with_capacity(6);
    for (field, text) in Field::ALL.into_iter().zip(&fields) {
        normal.push(field.normalise(text)?);
    }
    let parser =
        CronParser::builder().seconds(Seconds::Required).year(Year::Disallowed).sloppy_ranges(true).build();
    let cron = parser.parse(&normal.join(" ")).map_err(|e| {
        Text::new(
            format!("cron 表达式“{expr}”无法识别：{e}"),
            format!("cron expression \"{expr}\" is not valid: {e}"),
        )
    })?;
    let from_star = |text: &str| text.starts_with(['*', '?']);
    let pattern = Pattern {
        fixed_time: !from_star(&fields[1]) && !from_star(&fields[2]),
        ..compile(&cron.pattern, &normal[3])
    };
    if pattern.can_match() {
        return Ok(pattern);
    }
    let (day, month) = (&fields[3], &fields[4]);
    Err(Text::new(
        format!("永远不会触发：日字段“{day}”与月字段“{month}”没有共同的日期，请修改其中之一"),
        format!(
            "never fires: no month of the month field \"{month}\" has a day of the day-of-month field \"{day}\"; change one of them"
        ),
    ))
}

/// Keeps the bits. croner forgets whether `L` stood beside `LW`, so these two come from the text.
fn compile(parsed: &croner::CronPattern, days: &str) -> Pattern {
    let mask = |c: &CronComponent, mark| c.get_set_values(mark).into_iter().fold(0u64, |m, v| m | 1 << v);
    let mask32 = |c, mark| u32::try_from(mask(c, mark)).unwrap_or(u32::MAX);
    let weekdays = |mark| u8::try_from(mask(&parsed.days_of_week, mark)).unwrap_or(u8::MAX);
    Pattern {
        seconds: mask(&parsed.seconds, PLAIN),
        minutes: mask(&parsed.minutes, PLAIN),
        hours: mask32(&parsed.hours, PLAIN),
        days: mask32(&parsed.days, PLAIN),
        near_days: mask32(&parsed.days, NEAREST_WORKDAY),
        months: u16::try_from(mask(&parsed.months, PLAIN)).unwrap_or(u16::MAX),
        weekdays: weekdays(PLAIN),
        nth_weekdays: NTH.map(weekdays),
        last_weekdays: weekdays(LAST),
        last_day: days.split(',').any(|item| item == "L"),
        last_workday: days.split(',').any(|item| item == "LW"),
        any_day: parsed.is_dom_wildcard(),
        any_weekday: parsed.is_dow_wildcard(),
        fixed_time: false,
    }
}

/// The six fields in upper case, second first; an alias is written out.
fn fields(expr: &str) -> Result<Vec<String>, Text> {
    if expr.len() > MAX_LENGTH {
        return Err(Text::new(
            format!("cron 表达式过长，最多 {MAX_LENGTH} 字节"),
            format!("the cron expression is too long: at most {MAX_LENGTH} bytes"),
        ));
    }
    let upper = expr.to_ascii_uppercase();
    let written = if upper.trim_start().starts_with('@') { alias(upper.trim())? } else { upper.as_str() };
    let mut fields: Vec<String> = written.split_whitespace().map(str::to_owned).collect();
    match fields.len() {
        5 => fields.insert(0, "0".to_owned()),
        6 => {}
        0 => {
            return Err(Text::new(
                "cron 表达式为空，请填写 5 段（分 时 日 月 周），如 */5 * * * *",
                "the cron expression is empty; give 5 fields (minute hour day-of-month month day-of-week), e.g. */5 * * * *",
            ));
        }
        n => {
            let (zh, en) =
                if n == 7 { ("；不支持年字段", "; a year field is not supported") } else { ("", "") };
            return Err(Text::new(
                format!(
                    "cron 表达式有 {n} 段，应为 5 段（分 时 日 月 周）或 6 段（秒 分 时 日 月 周），以空格分隔{zh}"
                ),
                format!(
                    "the cron expression has {n} fields; give 5 (minute hour day-of-month month day-of-week) or 6 (second first), separated by spaces{en}"
                ),
            ));
        }
    }
    Ok(fields)
}

fn alias(name: &str) -> Result<&'static str, Text> {
    Ok(match name {
        "@HOURLY" => "0 * * * *",
        "@DAILY" | "@MIDNIGHT" => "0 0 * * *",
        "@WEEKLY" => "0 0 * * 0",
        "@MONTHLY" => "0 0 1 * *",
        "@YEARLY" | "@ANNUALLY" => "0 0 1 1 *",
        "@REBOOT" => {
            return Err(Text::new(
                "不支持 @reboot：任务按时间触发，不随服务启动触发；请改用时间表达式，或启动后手动运行",
                "@reboot is not supported: jobs fire at times, not when the server starts; give a time, or run the job by hand",
            ));
        }
        _ => {
            return Err(Text::new(
                format!(
                    "不认识“{name}”，可用：@hourly @daily @midnight @weekly @monthly @yearly @annually，或 @every 5s"
                ),
                format!(
                    "\"{name}\" is not known; use @hourly @daily @midnight @weekly @monthly @yearly @annually, or @every 5s"
                ),
            ));
        }
    })
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Weekday,
}

/// Why an item is wrong and how to mend it, in Chinese and English, before the field is named.
type Reason = (String, String);

impl Field {
    const ALL: [Self; 6] = [Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Month, Self::Weekday];

    fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Second => ("秒", "second"),
            Self::Minute => ("分", "minute"),
            Self::Hour => ("时", "hour"),
            Self::Day => ("日", "day-of-month"),
            Self::Month => ("月", "month"),
            Self::Weekday => ("周", "day-of-week"),
        }
    }

    /// The least and the greatest number, and how many different values there are.
    fn bounds(self) -> (u16, u16, u16) {
        match self {
            Self::Second | Self::Minute => (0, 59, 60),
            Self::Hour => (0, 23, 24),
            Self::Day => (1, 31, 31),
            Self::Month => (1, 12, 12),
            Self::Weekday => (0, 7, 7),
        }
    }

    /// The field in the form that croner reads as we mean it: names as numbers, `?` as `*`.
    fn normalise(self, text: &str) -> Result<String, Text> {
        let items: Result<Vec<String>, Reason> = text.split(',').map(|item| self.item(item)).collect();
        let items = items.map_err(|(zh, en)| {
            let (name_zh, name_en) = self.name();
            Text::new(format!("{name_zh}字段“{text}”有误：{zh}"), format!("{name_en} field \"{text}\": {en}"))
        })?;
        Ok(items.join(","))
    }

    fn item(self, item: &str) -> Result<String, Reason> {
        if item.is_empty() {
            return Err(("有多余的逗号，请删去".into(), "there is a comma too many; remove it".into()));
        }
        let Some((body, step)) = item.split_once('/') else {
            return match item {
                "*" | "?" => Ok("*".to_owned()),
                _ => self.special(item).unwrap_or_else(|| self.range(item)),
            };
        };
        let step = self.step(step)?;
        match body {
            "" => Err((
                format!("“/”前缺少起点，请写成 */{step}"),
                format!("the start before \"/\" is missing; write */{step}"),
            )),
            "*" | "?" if step == 1 => Ok("*".to_owned()),
            "*" | "?" => Ok(format!("*/{step}")),
            _ => Ok(format!("{}/{step}", self.range(body)?)),
        }
    }

    /// A step as large as the field has values means "once", as in `*/60`; a larger one is an error.
    fn step(self, text: &str) -> Result<u16, Reason> {
        let (_, _, values) = self.bounds();
        number(text).filter(|n| (1..=values).contains(n)).ok_or_else(|| {
            (
                format!("步长“{text}”应为 1 到 {values} 的整数"),
                format!("the step \"{text}\" must be a whole number from 1 to {values}"),
            )
        })
    }

    /// `L`, `LW`, `15W` in the day of month; `5L`, `FRI#2` in the day of week.
    fn special(self, item: &str) -> Option<Result<String, Reason>> {
        match self {
            Self::Day if item == "L" || item == "LW" => Some(Ok(item.to_owned())),
            Self::Day => {
                let day = item.strip_suffix('W')?;
                Some(self.value(day, false).map(|n| format!("{n}W")))
            }
            Self::Weekday if item == "L" => Some(Err((
                "“L”前缺少星期，请写成 5L（最后一个星期五），或用 SAT 表示星期六".into(),
                "\"L\" lacks its weekday; write 5L for the last Friday, or SAT for Saturday".into(),
            ))),
            Self::Weekday => {
                if let Some(weekday) = item.strip_suffix('L') {
                    return Some(self.value(weekday, false).map(|n| format!("{n}#L")));
                }
                let (weekday, nth) = item.split_once('#')?;
                let nth = number(nth).filter(|n| (1..=5).contains(n)).ok_or_else(|| {
                    (
                        format!("“#”后的“{nth}”应为 1 到 5（第几个），如 5#3"),
                        format!("\"{nth}\" after \"#\" must be 1 to 5 (which one of the month), e.g. 5#3"),
                    )
                });
                Some(nth.and_then(|k| self.value(weekday, false).map(|n| format!("{n}#{k}"))))
            }
            _ => None,
        }
    }

    /// A value, or a range from a smaller to a greater one.
    fn range(self, text: &str) -> Result<String, Reason> {
        let Some((from, to)) = text.split_once('-') else {
            return self.value(text, false).map(|n| n.to_string());
        };
        let (a, b) = (self.value(from, false)?, self.value(to, true)?);
        if a <= b {
            return Ok(format!("{a}-{b}"));
        }
        let (min, max, _) = self.bounds();
        let mend = match (self, b) {
            (Self::Weekday, 0) => format!("{from}-7"),
            (Self::Weekday, _) => format!("{from}-7,1-{to}"),
            _ => format!("{from}-{max},{min}-{to}"),
        };
        Err((
            format!("范围“{text}”起点大于终点，请写成 {mend}"),
            format!("the range \"{text}\" runs backwards; write {mend}"),
        ))
    }

    /// A number or a name. Sunday is 7 where it ends a range, so that `FRI-SUN` runs forwards.
    fn value(self, text: &str, ends_range: bool) -> Result<u16, Reason> {
        let names: &[&str] = match self {
            Self::Month => &MONTHS,
            Self::Weekday => &WEEKDAYS,
            _ => &[],
        };
        if let Some(at) = names.iter().position(|&name| name == text).and_then(|n| u16::try_from(n).ok()) {
            return Ok(match self {
                Self::Month => at + 1,
                _ if at == 0 && ends_range => 7,
                _ => at,
            });
        }
        let (min, max, _) = self.bounds();
        if let Some(n) = number(text).filter(|n| (min..=max).contains(n)) {
            return Ok(n);
        }
        let (zh, en) = match self {
            Self::Second | Self::Minute | Self::Hour => ("", ""),
            Self::Day => ("，或 L、LW、15W 之类", ", or a form such as L, LW, 15W"),
            Self::Month => ("，或 JAN 到 DEC", ", or JAN to DEC"),
            Self::Weekday => (
                "（0 和 7 都是星期日），或 SUN 到 SAT、5L、5#3 之类",
                " (0 and 7 are Sunday), or SUN to SAT, 5L, 5#3",
            ),
        };
        Err((
            format!("“{text}”无效，应为 {min} 到 {max} 的整数{zh}"),
            format!("\"{text}\" is not valid; give a whole number from {min} to {max}{en}"),
        ))
    }
}

/// Digits only: `u16::from_str` alone would take `+5`.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
