//! The columns of a run record, as a batch writes them when the run is opened and when it is closed.

use super::batch::{NewRun, RunClose};
use super::sql::{Arg, Kind};
use crate::domain::run::{FuncReport, HttpReport, Reason, Report};
use serde_json::json;

pub(super) const OPENED: &[(&str, Kind)] = &[
    ("id", Kind::Int),
    ("job_id", Kind::Int),
    ("fire_ms", Kind::Int),
    ("clock_epoch", Kind::Int),
    ("job_name", Kind::Text),
    ("mode", Kind::Text),
    ("command", Kind::Text),
    ("source", Kind::Text),
    ("outcome", Kind::Text),
    ("reason", Kind::Text),
    ("scheduled_ms", Kind::Int),
    ("start_ms", Kind::Int),
    ("end_ms", Kind::Int),
    ("attempt", Kind::Int),
    ("missed_to_ms", Kind::Int),
    ("missed_count", Kind::Int),
    ("bytes", Kind::Int),
];

pub(super) fn open_row(run: &NewRun) -> Vec<Arg> {
    let spec = &run.job.spec;
    // A record that is final from the start ends when it is made.
    let end = run.outcome.is_final().then(|| run.start.unwrap_or(run.scheduled_at).0);
    vec![
        run.id.0.into(),
        run.job.id.0.into(),
        run.fire.map(|t| t.0).into(),
        run.clock_epoch.into(),
        (&*spec.name).into(),
        spec.mode.as_str().into(),
        (&*spec.command).into(),
        run.source.as_str().into(),
        run.outcome.as_str().into(),
        run.reason.map(Reason::as_str).into(),
        run.scheduled_at.0.into(),
        run.start.map(|t| t.0).into(),
        end.into(),
        1.into(),
        run.missed.map(|(to, _)| to.0).into(),
        run.missed.map(|(_, count)| i64::try_from(count).unwrap_or(i64::MAX)).into(),
        run.bytes().into(),
    ]
}

pub(super) const CLOSED: &[(&str, Kind)] = &[
    ("id", Kind::Int),
    ("outcome", Kind::Text),
    ("reason", Kind::Text),
    ("end_ms", Kind::Int),
    ("bytes", Kind::Int),
    ("exit_code", Kind::Int),
    ("error", Kind::Text),
    ("result", Kind::Text),
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

pub(super) fn close_row(close: &RunClose) -> Vec<Arg> {
    let r = &close.report;
    let http = |text: fn(&HttpReport) -> &str| r.http.as_ref().map(text).into();
    let func = |text: fn(&FuncReport) -> &str| r.func.as_ref().map(text).into();
    vec![
        close.run.0.into(),
        r.outcome.as_str().into(),
        close.reason.map(Reason::as_str).into(),
        close.end.0.into(),
        report_bytes(r).into(),
        r.exit_code.map(i64::from).into(),
        r.error.as_ref().map(|e| json!(e).to_string()).into(),
        r.result.as_deref().into(),
        http(|h| &h.method),
        r.http.as_ref().and_then(|h| h.status).map(i64::from).into(),
        http(|h| &h.url),
        func(|f| &f.name),
        func(|f| &f.args),
        func(|f| &f.result),
        r.stdout.as_str().into(),
        r.stderr.as_str().into(),
        http(|h| &h.response),
    ]
}

pub(super) fn report_bytes(r: &Report) -> i64 {
    let http = r.http.as_ref().map_or(0, |h| h.response.len() + h.url.len());
    let func = r.func.as_ref().map_or(0, |f| f.args.len() + f.result.len());
    let text = r.stdout.len() + r.stderr.len() + r.result.as_ref().map_or(0, String::len);
    i64::try_from(text + http + func).unwrap_or(i64::MAX)
}
