//! `Time`: the run's instant in a layout. The layout is Go's (see `go`), since the seed's jobs
//! were written for it; one with a `%` is strftime's. The layout may hold commas, so it is taken
//! from the argument text as written, less a zone's name at its end.

mod go;

use super::{Builtin, Call, Output, Param, Words, Work};
use crate::domain::Text;
use chrono::format::StrftimeItems;
use chrono::{DateTime, Offset};
use chrono_tz::{OffsetName, Tz};
use std::fmt::Write;

pub const BUILTIN: Builtin = Builtin {
    name: "Time",
    description: Words { zh: "按格式返回当前时间", en: "Gives the current time in a layout" },
    params: &[
        Param {
            name: "layout",
            about: Words {
                zh: "Go 格式（默认 2006-01-02 15:04:05）、格式名（如 RFC3339、unix、unixms），或含 % 的 strftime 格式",
                en: "a Go layout (by default 2006-01-02 15:04:05), a name such as RFC3339, unix or unixms, or a strftime format with %",
            },
            required: false,
        },
        Param {
            name: "zone",
            about: Words {
                zh: "时区，例如 Asia/Shanghai，默认任务的时区",
                en: "a time zone such as Asia/Shanghai, by default the job's",
            },
            required: false,
        },
    ],
    example: "Time 2006-01-02 15:04:05",
    work: Work::Sync(time),
};

const DEFAULT_LAYOUT: &str = "2006-01-02 15:04:05";

/// First parts of the IANA names that a person writes; one of them with a slash is meant as a zone.
const REGIONS: [&str; 13] = [
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Brazil",
    "Canada",
    "Etc",
    "Europe",
    "Indian",
    "Pacific",
];

fn time(call: &Call) -> Result<Output, Text> {
    let (layout, zone) = layout_and_zone(call)?;
    let now = call.ctx.now.to_zone(zone);
    let layout = if layout.trim().is_empty() { DEFAULT_LAYOUT } else { &layout };
    Ok(Output::same(match layout {
        _ if layout.eq_ignore_ascii_case("unix") => now.timestamp().to_string(),
        _ if layout.eq_ignore_ascii_case("unixms") => now.timestamp_millis().to_string(),
        _ if layout.contains('%') => strftime(&now, layout)?,
        _ => go::format(&now.naive_local(), &go_zone(&now), go::named(layout).unwrap_or(layout)),
    }))
}

fn layout_and_zone(call: &Call) -> Result<(String, Tz), Text> {
    let job_zone = call.ctx.zone;
    if call.is_json() || call.raw.contains('"') {
        let mut texts = call.texts().into_iter();
        let layout = texts.next().unwrap_or_default();
        let zone = texts.next().map(|z| z.trim().to_owned()).filter(|z| !z.is_empty());
        if texts.next().is_some() {
            return Err(Text::new(
                "参数过多：只有格式和时区两个，格式中有逗号时请整体加双引号",
                "too many arguments: there are a layout and a zone; put quotes around a layout with commas",
            ));
        }
        return match zone {
            Some(zone) => zone.parse().map(|tz| (layout, tz)).map_err(|_| unknown_zone(&zone)),
            None => Ok((layout, job_zone)),
        };
    }
    let (layout, last) = call.raw.rsplit_once(',').unwrap_or(("", call.raw));
    let last = last.trim();
    match last.parse() {
        // MST is a zone to IANA, but in a layout it stands for the zone's abbreviation.
        Ok(zone) if last != "MST" => Ok((layout.trim_end().to_owned(), zone)),
        _ if last.split_once('/').is_some_and(|(region, _)| REGIONS.contains(&region)) => {
            Err(unknown_zone(last))
        }
        _ => Ok((call.raw.to_owned(), job_zone)),
    }
}

fn unknown_zone(name: &str) -> Text {
    Text::new(
        format!("时区 “{name}” 不存在，请写 IANA 名称，例如 Asia/Shanghai"),
        format!("there is no time zone \"{name}\"; write an IANA name such as Asia/Shanghai"),
    )
}

/// Chrono panics when it prints an item that it could not parse, so the items are parsed first.
fn strftime(now: &DateTime<Tz>, layout: &str) -> Result<String, Text> {
    let bad = || {
        Text::new(
            format!("strftime 格式 “{layout}” 无效，例如 %Y-%m-%d %H:%M:%S（百分号本身写 %%）"),
            format!(
                "\"{layout}\" is not a strftime format; write one such as %Y-%m-%d %H:%M:%S (a percent sign is %%)"
            ),
        )
    };
    let items = StrftimeItems::new(layout).parse().map_err(|_| bad())?;
    let mut out = String::new();
    write!(out, "{}", now.format_with_items(items.iter())).map_err(|_| bad())?;
    Ok(out)
}

fn go_zone(now: &DateTime<Tz>) -> go::Zone {
    let seconds = now.offset().fix().local_minus_utc();
    go::Zone { seconds, name: now.offset().abbreviation().map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{call, call_in, context};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formats_the_runs_instant_in_the_jobs_zone() {
        for (raw, text) in [
            ("", "2006-01-03 06:04:05"),
            ("2006-01-02 15:04:05", "2006-01-03 06:04:05"),
            ("2006年01月02日 15时04分05秒", "2006年01月03日 06时04分05秒"),
            ("Mon, 02 Jan 2006 15:04:05 MST", "Tue, 03 Jan 2006 06:04:05 CST"),
            ("RFC3339", "2006-01-03T06:04:05+08:00"),
            ("rfc3339nano", "2006-01-03T06:04:05.123+08:00"),
            ("unix", "1136239445"),
            ("UnixMs", "1136239445123"),
            ("15:04, MST", "06:04, CST"),
            ("2006-01-02,UTC", "2006-01-02"),
            ("2006-01-02 15:04, Asia/Tokyo", "2006-01-03 07:04"),
            ("Mon, 02 Jan 2006 15:04:05 MST,America/New_York", "Mon, 02 Jan 2006 17:04:05 EST"),
            ("Europe/London", "2006-01-02 22:04:05"),
            (",Europe/London", "2006-01-02 22:04:05"),
            ("unix,UTC", "1136239445"),
            (r#"["Mon, 02 Jan","UTC"]"#, "Mon, 02 Jan"),
            (r#""Mon, 02 Jan",UTC"#, "Mon, 02 Jan"),
            (r#""Mon, 02 Jan""#, "Tue, 03 Jan"),
            (r#"["RFC1123Z"]"#, "Tue, 03 Jan 2006 06:04:05 +0800"),
            ("%Y/%m/%d %H:%M:%S", "2006/01/03 06:04:05"),
            ("%a, %d %b %Y %T %z,UTC", "Mon, 02 Jan 2006 22:04:05 +0000"),
            ("%s%%", "1136239445%"),
            ("MST,America/Sao_Paulo", "-02"),
            ("MST,Asia/Kathmandu", "+0545"),
        ] {
            assert_eq!(call(&BUILTIN, raw).unwrap().result, text, "{raw}");
        }
    }

    #[test]
    fn bad_arguments_fail_with_their_name() {
        for (raw, part) in [
            ("%Y %Q", "\"%Y %Q\" is not a strftime format"),
            ("100%", "\"100%\" is not a strftime format"),
            ("2006,Asia/Shangai", "no time zone \"Asia/Shangai\""),
            (r#"["2006","Mars"]"#, "no time zone \"Mars\""),
            (r#""2006",UTC,x"#, "too many arguments"),
        ] {
            let en = call(&BUILTIN, raw).unwrap_err().en;
            assert!(en.contains(part), "{raw}: {en}");
        }
    }

    #[test]
    fn the_zone_keeps_its_summer_time() {
        let mut ctx = context();
        ctx.now = crate::domain::UtcMs(1_751_328_000_000);
        let result = |raw| call_in(&BUILTIN, raw, &ctx).unwrap().result;
        assert_eq!(result("2006-01-02 15:04 MST -0700,America/New_York"), "2025-06-30 20:00 EDT -0400");
    }

    proptest! {
        #[test]
        fn never_panics(raw in "[^\"\0【】]*") {
            let _ = call(&BUILTIN, &raw);
        }

        #[test]
        fn no_strftime_format_panics(raw in "(%[-_0:.#^]{0,2}[0-9]?[a-zA-Z%+]| |x){0,6}") {
            let _ = call(&BUILTIN, &raw);
        }
    }
}
