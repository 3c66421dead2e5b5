//! Go's reference-time layouts: a layout is an example, the instant Mon Jan 2 15:04:05 MST 2006
//! written as the time shall be written. This follows Go's `time/format.go` (`nextStdChunk`,
//! `appendFormat`) chunk by chunk; what is no chunk stands for itself.

use chrono::{Datelike, NaiveDateTime, Timelike};
use std::fmt::Write;

/// What a layout can show of a zone.
#[derive(Clone, Debug)]
pub struct Zone {
    /// East of UTC.
    pub seconds: i32,
    /// `CST`; `None` for a zone that has no letters of its own.
    pub name: Option<String>,
}

/// The layout of one of Go's names (`RFC3339`), in any ASCII case.
pub fn named(name: &str) -> Option<&'static str> {
    NAMED.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, layout)| *layout)
}

/// The local time `t` in the layout.
pub fn format(t: &NaiveDateTime, zone: &Zone, layout: &str) -> String {
    let mut out = String::with_capacity(layout.len() + 16);
    let bytes = layout.as_bytes();
    // A chunk starts and ends with an ASCII byte, so the cuts lie between characters.
    let (mut literal, mut at) = (0, 0);
    while at < bytes.len() {
        match chunk(&bytes[at..]) {
            Some((len, chunk)) => {
                out.push_str(&layout[literal..at]);
                append(&mut out, t, zone, chunk);
                at += len;
                literal = at;
            }
            None => at += 1,
        }
    }
    out.push_str(&layout[literal..]);
    out
}

const NAMED: [(&str, &str); 19] = [
    ("Layout", "01/02 03:04:05PM '06 -0700"),
    ("ANSIC", "Mon Jan _2 15:04:05 2006"),
    ("UnixDate", "Mon Jan _2 15:04:05 MST 2006"),
    ("RubyDate", "Mon Jan 02 15:04:05 -0700 2006"),
    ("RFC822", "02 Jan 06 15:04 MST"),
    ("RFC822Z", "02 Jan 06 15:04 -0700"),
    ("RFC850", "Monday, 02-Jan-06 15:04:05 MST"),
    ("RFC1123", "Mon, 02 Jan 2006 15:04:05 MST"),
    ("RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700"),
    ("RFC3339", "2006-01-02T15:04:05Z07:00"),
    ("RFC3339Nano", "2006-01-02T15:04:05.999999999Z07:00"),
    ("Kitchen", "3:04PM"),
    ("Stamp", "Jan _2 15:04:05"),
    ("StampMilli", "Jan _2 15:04:05.000"),
    ("StampMicro", "Jan _2 15:04:05.000000"),
    ("StampNano", "Jan _2 15:04:05.000000000"),
    ("DateTime", "2006-01-02 15:04:05"),
    ("DateOnly", "2006-01-02"),
    ("TimeOnly", "15:04:05"),
];

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
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Chunk {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperPm,
    LowerPm,
    ZoneName,
    Offset(OffsetForm),
    /// `.000` keeps its zeros, `.999` drops those at the end.
    Fraction {
        mark: char,
        digits: usize,
        trim: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct OffsetForm {
    /// `Z` in place of a zero offset.
    z: bool,
    colon: bool,
    minutes: bool,
    seconds: bool,
}

/// The chunk at the start of `s` and its length in bytes (Go's `nextStdChunk`, one position).
fn chunk(s: &[u8]) -> Option<(usize, Chunk)> {
    use Chunk::*;
    let lower_at = |i: usize| s.get(i).is_some_and(u8::is_ascii_lowercase);
    Some(match s.first()? {
        b'J' if s.starts_with(b"January") => (7, LongMonth),
        b'J' if s.starts_with(b"Jan") && !lower_at(3) => (3, Month),
        b'M' if s.starts_with(b"Monday") => (6, LongWeekday),
        b'M' if s.starts_with(b"Mon") && !lower_at(3) => (3, Weekday),
        b'M' if s.starts_with(b"MST") => (3, ZoneName),
        b'0' if s.starts_with(b"002") => (3, ZeroYearDay),
        b'0' => match s.get(1)? {
            b'1' => (2, ZeroMonth),
            b'2' => (2, ZeroDay),
            b'3' => (2, ZeroHour12),
            b'4' => (2, ZeroMinute),
            b'5' => (2, ZeroSecond),
            b'6' => (2, Year),
            _ => return None,
        },
        b'1' if s.starts_with(b"15") => (2, Hour),
        b'1' => (1, NumMonth),
        b'2' if s.starts_with(b"2006") => (4, LongYear),
        b'2' => (1, Day),
        // A literal underscore and a year: the year is found at the next position.
        b'_' if s.starts_with(b"_2006") => return None,
        b'_' if s.starts_with(b"_2") => (2, UnderDay),
        b'_' if s.starts_with(b"__2") => (3, UnderYearDay),
        b'3' => (1, Hour12),
        b'4' => (1, Minute),
        b'5' => (1, Second),
        b'P' if s.starts_with(b"PM") => (2, UpperPm),
        b'p' if s.starts_with(b"pm") => (2, LowerPm),
        b'-' | b'Z' => offset(s)?,
        b'.' | b',' => fraction(s)?,
        _ => return None,
    })
}

/// In Go's order: the longer forms come before those that they start with.
fn offset(s: &[u8]) -> Option<(usize, Chunk)> {
    const FORMS: [(&[u8], bool, bool, bool); 5] = [
        (b"070000", false, true, true),
        (b"07:00:00", true, true, true),
        (b"0700", false, true, false),
        (b"07:00", true, true, false),
        (b"07", false, false, false),
    ];
    let (sign, rest) = s.split_first()?;
    let (form, colon, minutes, seconds) = *FORMS.iter().find(|(form, ..)| rest.starts_with(form))?;
    Some((form.len() + 1, Chunk::Offset(OffsetForm { z: *sign == b'Z', colon, minutes, seconds })))
}

/// A run of one digit, 0 or 9, that no other digit follows.
fn fraction(s: &[u8]) -> Option<(usize, Chunk)> {
    let digit = *s.get(1).filter(|d| matches!(d, b'0' | b'9'))?;
    let digits = s[1..].iter().take_while(|d| **d == digit).count();
    if s.get(1 + digits).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    Some((1 + digits, Chunk::Fraction { mark: char::from(s[0]), digits, trim: digit == b'9' }))
}

/// Go's `appendFormat` for one chunk.
fn append(out: &mut String, t: &NaiveDateTime, zone: &Zone, chunk: Chunk) {
    let hour12 = t.hour12().1;
    let month = MONTHS[t.month0() as usize % 12];
    let weekday = DAYS[t.weekday().num_days_from_monday() as usize % 7];
    let pm = t.hour() >= 12;
    // Writing to a String cannot fail.
    let _ = match chunk {
        Chunk::LongMonth => write!(out, "{month}"),
        Chunk::Month => write!(out, "{}", &month[..3]),
        Chunk::NumMonth => write!(out, "{}", t.month()),
        Chunk::ZeroMonth => write!(out, "{:02}", t.month()),
        Chunk::LongWeekday => write!(out, "{weekday}"),
        Chunk::Weekday => write!(out, "{}", &weekday[..3]),
        Chunk::Day => write!(out, "{}", t.day()),
        Chunk::UnderDay => write!(out, "{:2}", t.day()),
        Chunk::ZeroDay => write!(out, "{:02}", t.day()),
        Chunk::UnderYearDay => write!(out, "{:3}", t.ordinal()),
        Chunk::ZeroYearDay => write!(out, "{:03}", t.ordinal()),
        Chunk::Hour => write!(out, "{:02}", t.hour()),
        Chunk::Hour12 => write!(out, "{hour12}"),
        Chunk::ZeroHour12 => write!(out, "{hour12:02}"),
        Chunk::Minute => write!(out, "{}", t.minute()),
        Chunk::ZeroMinute => write!(out, "{:02}", t.minute()),
        Chunk::Second => write!(out, "{}", t.second()),
        Chunk::ZeroSecond => write!(out, "{:02}", t.second()),
        Chunk::LongYear => {
            write!(out, "{}{:04}", if t.year() < 0 { "-" } else { "" }, t.year().unsigned_abs())
        }
        Chunk::Year => write!(out, "{:02}", t.year().unsigned_abs() % 100),
        Chunk::UpperPm => write!(out, "{}", if pm { "PM" } else { "AM" }),
        Chunk::LowerPm => write!(out, "{}", if pm { "pm" } else { "am" }),
        Chunk::ZoneName => match &zone.name {
            Some(name) => write!(out, "{name}"),
            None => write!(out, "{}", numeric_name(zone.seconds)),
        },
        Chunk::Offset(form) => write!(out, "{}", offset_text(zone.seconds, form)),
        Chunk::Fraction { mark, digits, trim } => {
            write!(out, "{}", fraction_text(t.nanosecond() % 1_000_000_000, mark, digits, trim))
        }
    };
}

fn offset_text(seconds: i32, form: OffsetForm) -> String {
    if seconds == 0 && form.z {
        return "Z".to_owned();
    }
    let minutes = seconds / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let colon = if form.colon { ":" } else { "" };
    let mut text = format!("{sign}{:02}", minutes.abs() / 60);
    if form.minutes {
        text.push_str(&format!("{colon}{:02}", minutes.abs() % 60));
    }
    if form.seconds {
        text.push_str(&format!("{colon}{:02}", seconds.abs() % 60));
    }
    text
}

/// The name that tzdata gives a zone without letters: `-03`, `+0545`.
fn numeric_name(seconds: i32) -> String {
    let form = OffsetForm { z: false, colon: false, minutes: seconds % 3600 != 0, seconds: false };
    offset_text(seconds, form)
}

fn fraction_text(nanos: u32, mark: char, digits: usize, trim: bool) -> String {
    if trim && nanos == 0 {
        return String::new();
    }
    let mut text = format!("{nanos:09}");
    text.truncate(digits);
    if trim {
        text.truncate(text.trim_end_matches('0').len());
    }
    if text.is_empty() { text } else { format!("{mark}{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;
    use proptest::prelude::*;

    fn at(y: i32, mo: u32, d: u32, h: u32, mi: u32, s: u32, nanos: u32) -> NaiveDateTime {
        NaiveDate::from_ymd_opt(y, mo, d).unwrap().and_hms_nano_opt(h, mi, s, nanos).unwrap()
    }

    fn zone(seconds: i32, name: &str) -> Zone {
        Zone { seconds, name: Some(name.to_owned()) }
    }

    /// 1233810057.012345600 s in PST: the rows of Go's `TestFormat`, then what follows from
    /// `nextStdChunk` for digits and letters that run together.
    #[test]
    fn formats_as_gos_own_test_expects() {
        let t = at(2009, 2, 4, 21, 0, 57, 12_345_600);
        let pst = zone(-8 * 3600, "PST");
        for (layout, text) in [
            ("ANSIC", "Wed Feb  4 21:00:57 2009"),
            ("UnixDate", "Wed Feb  4 21:00:57 PST 2009"),
            ("RubyDate", "Wed Feb 04 21:00:57 -0800 2009"),
            ("RFC822", "04 Feb 09 21:00 PST"),
            ("RFC850", "Wednesday, 04-Feb-09 21:00:57 PST"),
            ("RFC1123", "Wed, 04 Feb 2009 21:00:57 PST"),
            ("RFC1123Z", "Wed, 04 Feb 2009 21:00:57 -0800"),
            ("RFC3339", "2009-02-04T21:00:57-08:00"),
            ("RFC3339Nano", "2009-02-04T21:00:57.0123456-08:00"),
            ("Kitchen", "9:00PM"),
            ("3pm", "9pm"),
            ("3PM", "9PM"),
            ("06 01 02", "09 02 04"),
            ("Jan  _2 002 __2 2", "Feb   4 035  35 4"),
            ("Hi Janet, the Month is January", "Hi Janet, the Month is February"),
            ("200600201 15", "200903502 21"),
            ("200600204", "200903500"),
            ("GMT-8", "GMT-8"),
            ("Jan _2 __2", "Feb  4  35"),
            ("Jan=_2006", "Feb=_2009"),
            ("_2006", "_2009"),
            ("02006", "04009"),
            ("Stamp", "Feb  4 21:00:57"),
            ("StampMilli", "Feb  4 21:00:57.012"),
            ("StampMicro", "Feb  4 21:00:57.012345"),
            ("StampNano", "Feb  4 21:00:57.012345600"),
            ("DateTime", "2009-02-04 21:00:57"),
            ("DateOnly", "2009-02-04"),
            ("TimeOnly", "21:00:57"),
            ("January Monday", "February Wednesday"),
            ("Layout", "02/04 09:00:57PM '09 -0800"),
            ("RFC822Z", "04 Feb 09 21:00 -0800"),
            ("15:04:05,000", "21:00:57,012"),
            ("05.99", "57.01"),
            ("05.9", "57"),
            ("05.0", "57.0"),
            ("05.000000000000", "57.012345600"),
            ("05.0001", "57.0002"),
            ("Januar Mondays Monk Janus", "Januar Wednesdays Monk Janus"),
            ("1/2 3:4:5", "2/4 9:0:57"),
            ("Z07 Z0700 Z07:00 Z070000 Z07:00:00", "-08 -0800 -08:00 -080000 -08:00:00"),
            ("-07 -0700 -07:00 -070000 -07:00:00", "-08 -0800 -08:00 -080000 -08:00:00"),
            ("2006年1月2日", "2009年2月4日"),
            ("", ""),
        ] {
            assert_eq!(format(&t, &pst, named(layout).unwrap_or(layout)), text, "{layout}");
        }
    }

    #[test]
    fn utc_is_z_and_odd_offsets_keep_their_seconds() {
        let t = at(2024, 12, 31, 0, 5, 9, 0);
        let all = "Z07 Z0700 Z07:00 Z070000 Z07:00:00 -0700 -07:00:00 MST";
        assert_eq!(format(&t, &zone(0, "UTC"), all), "Z Z Z Z Z +0000 +00:00:00 UTC");
        assert_eq!(
            format(&t, &zone(-(3 * 3600 + 30 * 60 + 17), "LMT"), all),
            "-03 -0330 -03:30 -033017 -03:30:17 -0330 -03:30:17 LMT"
        );
        assert_eq!(format(&at(-12, 1, 1, 0, 0, 0, 0), &zone(0, "UTC"), "2006 06"), "-0012 12");
        let nameless = |seconds| format(&t, &Zone { seconds, name: None }, "MST");
        assert_eq!((nameless(-10_800), nameless(20_700)), ("-03".into(), "+0545".into()));
        assert_eq!(format(&t, &zone(0, "UTC"), "3 03 15 PM 002 .999 ,99"), "12 12 00 AM 366  ");
    }

    proptest! {
        #[test]
        fn never_panics(layout in ".*", chunks in "[-Z_.,0123456789:JanuryMondSTPpm]{0,40}") {
            let t = at(2024, 2, 29, 23, 59, 59, 999_999_999);
            format(&t, &zone(0, "UTC"), &layout);
            format(&t, &zone(-1, "UTC"), &chunks);
        }
    }
}
