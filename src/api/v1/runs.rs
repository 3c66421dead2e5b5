//! Run records: lists, one, its output; stopping a run, running its job again, running a draft.

use super::draft::{draft, refused};
use super::views::{Asked, List, RunDetail, RunView, TestRun};
use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::compat::answer;
use crate::api::extract::{Call, Lang};
use crate::api::logs::{PLAIN, output};
use crate::domain::job::JobId;
use crate::domain::run::{Outcome, RunId};
use crate::domain::{FieldError, Text, UtcMs};
use crate::engine::{Error, Stopped, Triggered};
use crate::store::{RunList, RunRecord};
use axum::body::Body;
use axum::http::StatusCode;
use serde_json::Value;
use std::sync::Arc;

pub(super) async fn list(api: Arc<Api>, call: Call) -> Answer {
    let cursor = call.text("cursor").filter(|text| !text.is_empty());
    let before = cursor.as_deref().map(RunId::parse);
    if before == Some(None) {
        return bad_cursor();
    }
    let outcomes = call.fields.list("outcome").filter_map(|word| Outcome::parse(word.as_str()?));
    let instant = |name| call.int(name).map(UtcMs);
    let of = RunList {
        job: call.int("job").map(JobId),
        outcomes: outcomes.collect(),
        from: instant("from"),
        to: instant("to"),
        before: before.flatten(),
        limit: call.int("limit").unwrap_or(20),
    };
    let lang = call.lang;
    answer(api.engine.run_list(&of).await, |found| {
        let more = found.items.len() as i64 == of.limit;
        let next = found.items.last().filter(|_| more).map(|run| RunId(run.id).to_string());
        let items = found.items.into_iter().map(|run| RunView::new(run, lang)).collect();
        Answer::bare(StatusCode::OK, List::<RunView> { items, next, total: found.total })
    })
}

pub(super) async fn one(api: Arc<Api>, call: Call) -> Answer {
    with_run(&api, &call, |run| Answer::bare(StatusCode::OK, RunDetail::new(run, call.lang))).await
}

/// What the run printed and was answered, as text.
pub(super) async fn text(api: Arc<Api>, call: Call) -> Answer {
    with_run(&api, &call, |run| {
        let name = format!("job-{}-{}.txt", run.job_id, RunId(run.id));
        let text = output(&run, call.text("part").as_deref());
        if call.flag("download") {
            Answer::file(PLAIN, &name, Body::from(text))
        } else {
            Answer::text(PLAIN, text)
        }
    })
    .await
}

pub(super) async fn stop(api: Arc<Api>, call: Call) -> Answer {
    let Some(run) = run_id(&call) else { return no_run() };
    match api.engine.stop_run(run).await {
        Ok(Stopped::Cancelled) => {
            Answer::bare(StatusCode::ACCEPTED, Asked { run: Some(run.to_string()), skipped: None })
        }
        Ok(Stopped::Ended) => {
            Answer::code(409, Text::new("该次执行已经结束", "the run has ended already"), ())
        }
        Ok(Stopped::Unknown) => no_run(),
        Err(e) => e.into(),
    }
}

/// Runs the job of a run as it is now.
pub(super) async fn again(api: Arc<Api>, call: Call) -> Answer {
    let found = match run_id(&call) {
        Some(run) => api.engine.run_record(run).await,
        None => Ok(None),
    };
    let run = match found {
        Ok(Some(run)) => run,
        Ok(None) => return no_run(),
        Err(e) => return e.into(),
    };
    match api.engine.run(JobId(run.job_id)).await {
        Ok(triggered) => asked(triggered, call.lang),
        Err(Error::NoJob(_)) => {
            Answer::code(409, Text::new("任务已被删除，无法再次执行", "its job was deleted"), ())
        }
        Err(e) => e.into(),
    }
}

/// Of a job's draft only what a single run needs: its schedule does not matter.
pub(super) async fn test(api: Arc<Api>, call: Call) -> Answer {
    match api.engine.try_out(draft(&call.fields)).await {
        Ok(added) => {
            let run = added.triggered.map(|triggered| triggered.run.to_string());
            Answer::bare(StatusCode::ACCEPTED, TestRun { run, job: added.id.0 })
        }
        Err(e) => refused(e),
    }
}

pub(super) fn asked(triggered: Triggered, lang: Lang) -> Answer {
    let skipped = triggered.skipped.map(|reason| lang.pick(&reason.text()).to_owned());
    Answer::bare(StatusCode::ACCEPTED, Asked { run: Some(triggered.run.to_string()), skipped })
}

async fn with_run(api: &Api, call: &Call, shape: impl FnOnce(RunRecord) -> Answer) -> Answer {
    let found = match run_id(call) {
        Some(run) => api.engine.run_record(run).await,
        None => Ok(None),
    };
    answer(found, |found| found.map_or_else(no_run, shape))
}

pub(super) fn run_id(call: &Call) -> Option<RunId> {
    call.text("id").and_then(|id| RunId::parse(&id))
}

pub(super) fn no_run() -> Answer {
    Answer::code(404, Text::new("执行记录不存在", "there is no such run record"), ())
}

pub(super) fn bad_cursor() -> Answer {
    let text = Text::new(
        "不是本列表给出的游标，请从第一页重新开始",
        "no cursor that this list gave; start again without one",
    );
    Answer::Invalid(vec![FieldError::new("cursor", text, Value::Null)])
}
