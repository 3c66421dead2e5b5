//! `Report`: what ran in a day, a week or a month, as Markdown. The period ends with the day before
//! the run's scheduled instant, so that a report is of whole days and the same however late it
//! starts. The writing is `report/page.rs`.

mod page;

use super::{Builtin, Call, Output, Param, Words, Work};
use crate::domain::{Text, UtcMs};
use crate::exec::http::Http;
use chrono::{Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use futures_util::future::BoxFuture;

pub const BUILTIN: Builtin = Builtin {
    name: "Report",
    description: Words {
        zh: "生成运行报告（Markdown）：总数、失败、最慢、应执行而未执行的任务",
        en: "Writes a report of the runs (Markdown): totals, failures, slowest, jobs that never ran",
    },
    params: &[
        Param {
            name: "period",
            about: Words {
                zh: "daily（昨天）、weekly（前 7 天）或 monthly（上个月），按任务时区的整天计算",
                en: "daily (yesterday), weekly (the 7 days before today) or monthly (last month), in \
                     whole days of the job's zone",
            },
            required: true,
        },
        Param {
            name: "language",
            about: Words { zh: "zh 或 en，默认 zh", en: "zh or en; zh when left out" },
            required: false,
        },
    ],
    example: "Report daily",
    work: Work::Async(report),
};

fn report<'a>(call: &'a Call<'a>, _: &'a Http) -> BoxFuture<'a, Result<Output, Text>> {
    Box::pin(async move {
        let texts = call.texts();
        let word = |n: usize| texts.get(n).map_or("", |text| text.trim()).to_ascii_lowercase();
        let today = call.ctx.scheduled_at.to_zone(call.ctx.zone).date_naive();
        let (first, end) = period(&word(0), today)?;
        let zh = match word(1).as_str() {
            "" | "zh" => true,
            "en" => false,
            other => {
                return Err(Text::new(
                    format!("参数 2 “{other}” 应为 zh 或 en，例如 Report daily,en"),
                    format!("argument 2, \"{other}\", is neither zh nor en, as in Report daily,en"),
                ));
            }
        };
        let history =
            call.settings.history.as_ref().ok_or_else(|| {
                Text::new("此处无法读取运行记录", "the records of runs cannot be read here")
            })?;
        let (from, to) = (midnight(first, call.ctx.zone), midnight(end, call.ctx.zone));
        let summary = history.summary(from, to).await?;
        let page = page::Page { kind: &word(0), first, end, from, to, zone: call.ctx.zone, zh };
        Ok(page.write(&summary, call.ctx.output_limit))
    })
}

/// The first day and the day after the last.
fn period(word: &str, today: NaiveDate) -> Result<(NaiveDate, NaiveDate), Text> {
    let back = |days| today.checked_sub_days(Days::new(days)).unwrap_or(today);
    match word {
        "daily" => Ok((back(1), today)),
        "weekly" => Ok((back(7), today)),
        "monthly" => {
            let end = today.with_day(1).unwrap_or(today);
            let first = end.pred_opt().and_then(|last| last.with_day(1)).unwrap_or(end);
            Ok((first, end))
        }
        _ => Err(Text::new(
            format!("参数 1 “{word}” 应为 daily、weekly 或 monthly，例如 Report daily"),
            format!("argument 1, \"{word}\", is none of daily, weekly and monthly, as in Report daily"),
        )),
    }
}

/// The first instant of a day on the zone's clock; some days begin after midnight.
fn midnight(day: NaiveDate, zone: Tz) -> UtcMs {
    let mut local = day.and_time(NaiveTime::MIN);
    loop {
        if let Some(at) = zone.from_local_datetime(&local).earliest() {
            return UtcMs(at.timestamp_millis());
        }
        local += TimeDelta::minutes(15);
    }
}

#[cfg(test)]
#[path = "report_test.rs"]
mod tests;
