//! Jobs: lists, one, and what is done with one.

use super::cursor;
use super::draft::{draft, refused};
use super::runs::{asked, bad_cursor};
use super::views::{Fire, Fires, JobView, List};
use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::extract::Call;
use crate::domain::job::JobId;
use crate::domain::{FieldError, Text};
use crate::engine::Error;
use crate::store::{JobList, JobRecord, JobSort};
use axum::http::{StatusCode, header};
use serde_json::Value;
use std::sync::Arc;

const SORTS: [(&str, JobSort); 4] = [
    ("id", JobSort::Id),
    ("name", JobSort::Name),
    ("updated", JobSort::Updated),
    ("last_run", JobSort::LastRun),
];

pub(super) async fn list(api: Arc<Api>, call: Call) -> Answer {
    let word = call.text("sort").unwrap_or_else(|| "-id".to_owned());
    let (descending, name) = word.strip_prefix('-').map_or((false, word.as_str()), |name| (true, name));
    let sort = SORTS.iter().find(|(word, _)| *word == name).map_or(JobSort::Id, |(_, sort)| *sort);
    let after = match call
        .text("cursor")
        .filter(|text| !text.is_empty())
        .map(|text| cursor::read(&text, &word, sort))
    {
        Some(None) => return bad_cursor(),
        after => after.flatten(),
    };
    let state = call.text("state");
    let of = JobList {
        text: call.text("q").filter(|text| !text.trim().is_empty()),
        enabled: state.as_deref().map(|state| state != "stopped"),
        running: match state.as_deref() {
            Some("running") => Some(true),
            Some("scheduled") => Some(false),
            _ => None,
        },
        mode: call.text("mode"),
        ids: None,
        sort,
        descending,
        after,
        limit: call.int("limit").unwrap_or(20),
    };
    match api.engine.job_list(&of).await {
        Ok(found) => {
            let more = found.items.len() as i64 == of.limit;
            let last = found.items.last().filter(|_| more);
            let next = last.map(|job| cursor::write(&word, &sort.place(job)));
            let view = |job| JobView::new(job, &api.engine, call.lang);
            let items = found.items.into_iter().map(view).collect();
            Answer::bare(StatusCode::OK, List::<JobView> { items, next, total: found.total })
        }
        Err(e) => e.into(),
    }
}

pub(super) async fn add(api: Arc<Api>, call: Call) -> Answer {
    match api.engine.add(draft(&call.fields)).await {
        Ok(id) => {
            let answer = shown(&api, &call, id, StatusCode::CREATED).await;
            answer.header(header::LOCATION, &format!("/api/v1/jobs/{id}"))
        }
        Err(e) => refused(e),
    }
}

pub(super) async fn one(api: Arc<Api>, call: Call) -> Answer {
    shown(&api, &call, JobId(call.id()), StatusCode::OK).await
}

pub(super) async fn edit(api: Arc<Api>, call: Call) -> Answer {
    let id = JobId(call.id());
    let version = match version(&call) {
        Ok(version) => version,
        Err(answer) => return answer,
    };
    match api.engine.edit(id, draft(&call.fields), version).await {
        Ok(()) => shown(&api, &call, id, StatusCode::OK).await,
        Err(e) => refused(e),
    }
}

pub(super) async fn delete(api: Arc<Api>, call: Call) -> Answer {
    let version = match version(&call) {
        Ok(version) => version,
        Err(answer) => return answer,
    };
    match api.engine.delete(JobId(call.id()), version).await {
        Ok(()) => Answer::bare(StatusCode::NO_CONTENT, ()),
        Err(e) => e.into(),
    }
}

pub(super) async fn run(api: Arc<Api>, call: Call) -> Answer {
    match api.engine.run(JobId(call.id())).await {
        Ok(triggered) => asked(triggered, call.lang),
        Err(e) => e.into(),
    }
}

pub(super) async fn stop(api: Arc<Api>, call: Call) -> Answer {
    let id = JobId(call.id());
    match api.engine.stop(id).await {
        Ok(()) => shown(&api, &call, id, StatusCode::OK).await,
        Err(e) => e.into(),
    }
}

pub(super) async fn start(api: Arc<Api>, call: Call) -> Answer {
    let id = JobId(call.id());
    match api.engine.restart(id, call.flag("reset_run_count")).await {
        Ok(()) => shown(&api, &call, id, StatusCode::OK).await,
        Err(e) => e.into(),
    }
}

/// The next instants at which the job fires.
pub(super) async fn fires(api: Arc<Api>, call: Call) -> Answer {
    let most = usize::try_from(call.int("limit").unwrap_or(10)).unwrap_or(0);
    match job(&api, JobId(call.id())).await {
        Ok(job) => {
            let (zone, fires) = api.engine.fires(&job, most);
            let items = fires.into_iter().map(|at| Fire::new(at, zone)).collect();
            Answer::bare(StatusCode::OK, Fires { items })
        }
        Err(e) => e.into(),
    }
}

async fn job(api: &Api, id: JobId) -> Result<JobRecord, Error> {
    api.engine.job(id).await?.ok_or(Error::NoJob(id))
}

/// The job as it is now, with its version.
async fn shown(api: &Api, call: &Call, id: JobId, status: StatusCode) -> Answer {
    match job(api, id).await {
        Ok(job) => {
            let tag = format!("\"{}\"", job.version);
            Answer::bare(status, JobView::new(job, &api.engine, call.lang)).header(header::ETAG, &tag)
        }
        Err(e) => e.into(),
    }
}

/// The version that the client means; `None`: whichever it is.
fn version(call: &Call) -> Result<Option<i64>, Answer> {
    let Some(given) = call.if_match.as_deref().map(str::trim) else {
        let text = Text::new(
            "缺少 If-Match：请带上读取任务时得到的 ETag（或 version），以免覆盖他人的修改；\"*\" 表示不检查",
            "If-Match is missing: send the ETag (or version) that the job was read with, so that nobody else's \
             change is overwritten; * changes any version",
        );
        return Err(Answer::code(428, text, ()));
    };
    if given == "*" {
        return Ok(None);
    }
    given.trim_matches('"').parse().map(Some).map_err(|_| {
        let text = Text::new("须为一个版本号，例如 \"3\"，或 *", "must be one version such as \"3\", or *");
        Answer::Invalid(vec![FieldError::new("If-Match", text, Value::from(given))])
    })
}
