//! The system log and the runs' output: reading, switching, clearing, downloads.

use super::Api;
use super::answer::{Answer, Paging};
use super::compat::{self, answer};
use super::extract::{Call, Lang};
use super::views::RunView;
use crate::domain::Text;
use crate::domain::audit::{self, Act};
use crate::domain::job::JobId;
use crate::domain::run::RunId;
use crate::engine::Error;
use crate::store::{RunRecord, RunsOf};
use crate::telemetry::files::{Files, Filter, shaped};
use axum::body::Body;
use chrono::NaiveDate;
use futures_util::stream;
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use tokio_util::io::ReaderStream;

pub(super) const PLAIN: &str = "text/plain; charset=utf-8";
const JSON_LINES: &str = "application/x-ndjson; charset=utf-8";
/// Records read at a time for a download; each may hold megabytes of output.
const DOWNLOAD_STEP: i64 = 16;

pub(super) async fn system_log(api: Arc<Api>, call: Call) -> Answer {
    let filter = Filter {
        day: date(&call),
        levels: Vec::from_iter(call.text("level").map(|level| match level.as_str() {
            "warning" => "WARN".to_owned(),
            level => level.to_ascii_uppercase(),
        })),
        text: call.text("text").filter(|text| !text.is_empty()),
    };
    if let Some(n) = call.int("n") {
        let found =
            with_files(&api, move |files| files.newest(&filter, usize::try_from(n).unwrap_or(0))).await;
        return read(found, |mut lines| {
            lines.reverse();
            Answer::ok("成功", "ok", json!({"lines": lines}))
        });
    }
    let (page, size) = call.page();
    let found = with_files(&api, move |files| files.page(&filter, page, size)).await;
    read(found, |found| {
        let lines: Vec<Value> = found.lines.iter().map(|line| shaped(line)).collect();
        Answer::page(lines, Paging { page, size, total: found.total }).with("complete", !found.cut)
    })
}

pub(super) async fn switch(api: Arc<Api>, _call: Call) -> Answer {
    let on = api.log.is_enabled();
    Answer::ok("成功", "ok", json!({"log_enabled": on, "zapLogSwitch": on}))
}

pub(super) async fn set_switch(api: Arc<Api>, call: Call) -> Answer {
    let on = call.flag("enabled");
    // Said while the log is on, whichever way it goes.
    if !on {
        tracing::warn!(client = %call.client, "the system log is switched off until a restart");
    }
    let entry = api.engine.entry(Act::LogSwitch);
    let told = |on: bool| audit::fields(json!({"enabled": on}));
    api.engine.note(entry.before(told(api.log.is_enabled())).after(told(on))).await;
    api.log.set_enabled(on);
    if on {
        tracing::info!(client = %call.client, "the system log is switched on");
    }
    let data = json!({"log_enabled": on, "zapLogSwitch": on});
    if on {
        Answer::ok("系统日志已开启", "the system log is on", data)
    } else {
        Answer::ok("系统日志已关闭，重启后恢复", "the system log is off until a restart", data)
    }
}

pub(super) async fn clear(api: Arc<Api>, call: Call) -> Answer {
    let cleared = |n: usize| Answer::ok("日志已清理", "logs cleared", json!({"cleared": n}));
    if call.text("type").as_deref() == Some("zap") {
        let day = date(&call);
        let done = with_files(&api, move |files| files.clear(day)).await;
        tracing::info!(client = %call.client, day = ?day, "the system log was cleared");
        let entry = api.engine.entry(Act::LogClear);
        api.engine.note(entry.after(audit::fields(json!({"day": call.text("date")})))).await;
        return read(done, cleared);
    }
    let of = runs_of(&api, &call, None);
    tracing::info!(client = %call.client, job = ?of.job, day = ?call.text("date"), "run records are being cleared");
    let job = of.job;
    let done = api.engine.clear_runs(of).await;
    if let Ok(rows) = &done {
        let entry = api.engine.entry(Act::RunsClear).on_job(job, "");
        let told = json!({"date": call.text("date"), "outcome": call.text("outcome"), "rows": rows});
        api.engine.note(entry.after(audit::fields(told))).await;
    }
    answer(done, cleared)
}

/// One run's whole output: the part that is asked for, or all that there is.
pub(super) async fn run_output(api: Arc<Api>, call: Call) -> Answer {
    let id = call.text("exec_id").and_then(|id| RunId::parse(id.trim()));
    let found = match id {
        Some(id) => api.engine.run_record(id).await,
        None => Ok(None),
    };
    let run = match found {
        Ok(Some(run)) => run,
        Ok(None) => {
            return Answer::code(404, Text::new("执行记录不存在", "there is no such run record"), ());
        }
        Err(e) => return e.into(),
    };
    let name = format!("job-{}-{}.txt", run.job_id, RunId(run.id));
    Answer::file(PLAIN, &name, Body::from(output(&run, call.text("part").as_deref())))
}

pub(super) fn output(run: &RunRecord, part: Option<&str>) -> String {
    let parts = [
        ("stdout", &run.stdout),
        ("stderr", &run.stderr),
        ("http_resp", &run.http_resp),
        ("func_result", &run.func_result),
    ];
    let mut parts =
        parts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref().filter(|t| !t.is_empty())?)));
    if let Some(wanted) = part {
        return parts.find(|(name, _)| *name == wanted).map_or(String::new(), |(_, text)| text.clone());
    }
    let parts: Vec<_> = parts.collect();
    match parts.as_slice() {
        [(_, only)] => (*only).clone(),
        several => several.iter().map(|(name, text)| format!("===== {name} =====\n{text}\n")).collect(),
    }
}

/// The run records of one day, whole, one JSON object a line, oldest first.
pub(super) async fn runs_of_day(api: Arc<Api>, call: Call) -> Answer {
    let day = date(&call).unwrap_or_else(|| api.files.today());
    let of = runs_of(&api, &call, Some(day));
    let name = match of.job {
        Some(job) => format!("job-{job}-{day}.jsonl"),
        None => format!("jobs-{day}.jsonl"),
    };
    let lang = call.lang;
    let lines = stream::try_unfold(Some(RunId(-1)), move |after| {
        let api = api.clone();
        async move {
            let Some(after) = after else { return Ok::<_, Error>(None) };
            let runs = api.engine.runs_after(of, after, DOWNLOAD_STEP).await?;
            let next = runs.last().map(|run| RunId(run.id)).filter(|_| runs.len() as i64 == DOWNLOAD_STEP);
            Ok(Some((json_lines(runs, &api, lang), next)))
        }
    });
    Answer::file(JSON_LINES, &name, Body::from_stream(lines))
}

fn json_lines(runs: Vec<RunRecord>, api: &Api, lang: Lang) -> String {
    let mut text = String::new();
    for run in runs {
        text += &serde_json::to_string(&RunView::new(run, &api.engine, lang)).unwrap_or_default();
        text.push('\n');
    }
    text
}

/// The system log of one day as it is on disk.
pub(super) async fn system_log_of_day(api: Arc<Api>, call: Call) -> Answer {
    let day = date(&call);
    let shown = day.unwrap_or_else(|| api.files.today());
    let opened = match with_files(&api, move |files| files.of_day(day)).await {
        Ok(Some(path)) => tokio::fs::File::open(path).await,
        Ok(None) => {
            let text = Text::new(format!("{shown} 没有系统日志"), format!("there is no log of {shown}"));
            return Answer::code(404, text, ());
        }
        Err(e) => Err(e),
    };
    read(opened, |file| {
        Answer::file(JSON_LINES, &format!("system-{shown}.log"), Body::from_stream(ReaderStream::new(file)))
    })
}

fn runs_of(api: &Api, call: &Call, day: Option<NaiveDate>) -> RunsOf {
    let day = day.or_else(|| date(call)).and_then(|day| compat::day(day, api.engine.zone()));
    RunsOf { job: call.int("id").map(JobId), day, outcome: None }
}

fn date(call: &Call) -> Option<NaiveDate> {
    call.text("date").and_then(|date| date.parse().ok())
}

pub(super) async fn with_files<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(&Files) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    api.files.run(work).await
}

pub(super) fn read<T>(result: io::Result<T>, shape: impl FnOnce(T) -> Answer) -> Answer {
    result.map_or_else(
        |e| {
            tracing::error!(error = %e, "the log files cannot be read or changed");
            let text = Text::new(
                format!("系统日志文件无法读写（{e}），请检查 LOG_FILE 所在目录的权限"),
                format!(
                    "the log files cannot be read or changed ({e}); check the rights of LOG_FILE's folder"
                ),
            );
            Answer::code(500, text, ())
        },
        shape,
    )
}
