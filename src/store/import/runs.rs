//! Execution logs of the Python edition become run records: the newest of each job, as many as are
//! kept. Their ids are made from the start and the log's own number, so they sort as our own do.
//! Which of them were manual nobody wrote down: all say `cron`, without an instant that they belong to.

use super::super::Result;
use super::super::db::Conn;
use super::super::sql::{Arg, Kind, Rows, Sql};
use super::super::totals::Counted;
use super::read::{ID_MAX, OldRow, Table, cut};
use super::{How, Imported};
use crate::domain::run::{Outcome, RunId, Source};
use crate::domain::{Text, UtcMs};
use serde_json::json;
use std::collections::{HashMap, HashSet};

const OLD: &[&str] = &[
    "id",
    "time",
    "end_time",
    "job_id",
    "job_name",
    "status",
    "duration_ms",
    "mode",
    "command",
    "exit_code",
    "stdout",
    "stderr",
    "http_url",
    "http_method",
    "http_status",
    "http_resp",
    "func_name",
    "func_args",
    "func_result",
    "error_msg",
    "created_at",
];
const NEW: &[(&str, Kind)] = &[
    ("id", Kind::Int),
    ("job_id", Kind::Int),
    ("clock_epoch", Kind::Int),
    ("job_name", Kind::Text),
    ("mode", Kind::Text),
    ("command", Kind::Text),
    ("source", Kind::Text),
    ("outcome", Kind::Text),
    ("scheduled_ms", Kind::Int),
    ("start_ms", Kind::Int),
    ("end_ms", Kind::Int),
    ("attempt", Kind::Int),
    ("bytes", Kind::Int),
    ("exit_code", Kind::Int),
    ("error", Kind::Text),
    ("http_method", Kind::Text),
    ("http_status", Kind::Int),
    ("http_url", Kind::Text),
    ("func_name", Kind::Text),
    ("func_args", Kind::Text),
    ("func_result", Kind::Text),
    ("stdout", Kind::Text),
    ("stderr", Kind::Text),
    ("http_resp", Kind::Text),
];
/// Ids are looked through in large pages, whole rows are read in small ones.
const IDS: i64 = 5_000;
const ROWS: usize = 200;
/// Characters of one text: sixteen times what the older editions' columns held on MySQL.
const TEXT_MAX: usize = 1 << 20;
/// The low bits of a run's id, which its creation does not use.
const SEQUENCE: i64 = (1 << 21) - 1;

/// What becomes of the logs in sum.
#[derive(Default)]
struct Sums {
    ids: HashSet<i64>,
    bytes: i64,
    last_runs: HashMap<i64, i64>,
    without_time: u64,
    counted: Counted,
}

/// Takes the logs; gives back the greatest job id that they name.
pub(super) async fn take(tx: &mut Conn, table: &Table, how: &How, done: &mut Imported) -> Result<i64> {
    let (ids, greatest) = newest(tx, table, how, done).await?;
    let mut sums = Sums::default();
    for ids in ids.chunks(ROWS) {
        let rows = table.these(tx, OLD, ids, TEXT_MAX).await?;
        let rows: Vec<_> = rows.iter().filter_map(|row| record(row, how, &mut sums)).collect();
        done.runs += rows.len() as u64;
        if !rows.is_empty() {
            tx.execute_all(&Rows::new(NEW, rows).insert(tx.dialect(), "tj_runs", "id")).await?;
        }
    }
    tx.execute(&Sql::new("UPDATE tj_system SET log_bytes = log_bytes + ?").bind(sums.bytes)).await?;
    sums.counted.save(tx).await?;
    const LAST: &[(&str, Kind)] = &[("id", Kind::Int), ("at", Kind::Int)];
    let rows: Vec<_> = sums.last_runs.iter().map(|(id, at)| vec![(*id).into(), (*at).into()]).collect();
    if !rows.is_empty() {
        let (set, condition) = ([("last_run_ms", "v.at")], "tj_job_state.job_id = v.id");
        tx.execute_all(&Rows::new(LAST, rows).update(tx.dialect(), "tj_job_state", &set, condition)).await?;
    }
    if sums.without_time > 0 {
        let n = sums.without_time;
        done.not_taken(Text::new(
            format!("{n} 条执行日志：没有可读的时间"),
            format!("{n} execution logs: no time that can be read"),
        ));
    }
    Ok(greatest)
}

/// The ids of the newest logs of each job, rising, and the greatest job id. The older tables have no
/// index by job: one pass over the ids is all that is asked of them.
async fn newest(tx: &mut Conn, table: &Table, how: &How, done: &mut Imported) -> Result<(Vec<i64>, i64)> {
    let (mut ids, mut counts) = (Vec::new(), HashMap::<i64, u32>::new());
    let (mut orphans, mut older) = (0_u64, 0_u64);
    let mut first = i64::MAX;
    loop {
        let rows = table.before(tx, &["id", "job_id"], first, IDS).await?;
        for row in &rows {
            let job = row.number_or_none("job_id").filter(|id| (1..ID_MAX).contains(id));
            let (Some(id), Some(job)) = (row.number_or_none("id"), job) else {
                orphans += 1;
                continue;
            };
            let count = counts.entry(job).or_default();
            *count += 1;
            if *count > how.keep {
                older += 1;
            } else {
                ids.push(id);
            }
        }
        match rows.last().and_then(|row| row.number_or_none("id")) {
            Some(id) => first = id,
            None => break,
        }
    }
    if orphans > 0 {
        done.not_taken(Text::new(
            format!("{orphans} 条执行日志：没有任务编号"),
            format!("{orphans} execution logs: they name no job"),
        ));
    }
    if older > 0 {
        done.not_taken(Text::new(
            format!("{older} 条执行日志：每个任务只保留最新 {} 条", how.keep),
            format!("{older} execution logs: only the newest {} of each job are kept", how.keep),
        ));
    }
    ids.reverse();
    Ok((ids, counts.into_keys().max().unwrap_or(0)))
}

/// The record, with the columns of `NEW`; `None`: nothing says when it was.
fn record(row: &OldRow, how: &How, sums: &mut Sums) -> Option<Vec<Arg>> {
    let job = row.number_or_none("job_id")?;
    let start = row.instant("time", how.zone).or_else(|| row.instant("created_at", chrono_tz::Tz::UTC));
    let Some(start) = start else {
        sums.without_time += 1;
        return None;
    };
    // Nothing has run in the future: ids made from now on must be greater than these.
    let start = UtcMs(start.0.min(how.now.0 - 1));
    let lasted = row.number_or_none("duration_ms").filter(|ms| (0..ID_MAX).contains(ms));
    let end = lasted.map(|ms| start.0.saturating_add(ms));
    let end = row.instant("end_time", how.zone).map(|t| t.0).or(end).unwrap_or(start.0).max(start.0);
    let sequence = row.number_or_none("id").unwrap_or(0) & SEQUENCE;
    let mut id = RunId::first_at(start).0 | sequence;
    while !sums.ids.insert(id) {
        id += 1;
    }
    let outcome = outcome(row.text("status"));
    sums.counted.add(job, RunId(id), outcome.as_str(), 1);
    let last = sums.last_runs.entry(job).or_insert(start.0);
    *last = (*last).max(start.0);
    let given = |column| row.text(column).filter(|text| !text.is_empty());
    let required = |column, most| cut(row.text(column).unwrap_or_default(), most).to_owned();
    let (name, command) = (required("job_name", 100), required("command", TEXT_MAX));
    let texts = ["stdout", "stderr", "http_url", "http_resp", "func_args", "func_result", "error_msg"];
    let bytes: usize = texts.iter().filter_map(|column| row.text(column)).map(str::len).sum();
    let bytes = i64::try_from(200 + name.len() + command.len() + bytes).unwrap_or(i64::MAX);
    sums.bytes = sums.bytes.saturating_add(bytes);
    Some(vec![
        id.into(),
        job.into(),
        0.into(),
        name.into(),
        required("mode", 20).into(),
        command.into(),
        Source::Cron.as_str().into(),
        outcome.as_str().into(),
        start.0.into(),
        start.0.into(),
        end.into(),
        1.into(),
        bytes.into(),
        row.number_or_none("exit_code").into(),
        given("error_msg").map(|text| json!(Text::new(text, text)).to_string()).into(),
        given("http_method").map(|text| cut(text, 200)).into(),
        row.number_or_none("http_status").into(),
        given("http_url").into(),
        given("func_name").map(|text| cut(text, 1_000)).into(),
        given("func_args").into(),
        given("func_result").into(),
        required("stdout", TEXT_MAX).into(),
        required("stderr", TEXT_MAX).into(),
        given("http_resp").into(),
    ])
}

fn outcome(status: Option<&str>) -> Outcome {
    match status.unwrap_or_default().trim().to_lowercase().as_str() {
        "成功" | "success" => Outcome::Success,
        "超时" | "timeout" => Outcome::Timeout,
        "取消" | "已取消" | "cancelled" | "canceled" => Outcome::Cancelled,
        "跳过" | "skipped" => Outcome::Skipped,
        // It was in flight when the older edition ended.
        "中断" | "执行中" | "running" => Outcome::Lost,
        _ => Outcome::Failed,
    }
}
