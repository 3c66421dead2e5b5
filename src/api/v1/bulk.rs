//! One thing done with many jobs. Each job's answer is its own: what cannot be done with one does not
//! keep the others from it.

use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::auth::Needs;
use crate::api::extract::{Call, Lang};
use crate::api::problem::Problem;
use crate::domain::Text;
use crate::domain::job::JobId;
use crate::domain::run::Reason;
use crate::engine::{Engine, Error};
use axum::http::StatusCode;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

pub(super) const ACTIONS: &[&str] = &["start", "stop", "run", "delete"];
/// Asked of the engine together, so that one commit serves many.
const TOGETHER: usize = 256;

/// What became of each job.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BulkResult {
    /// In the order of the ids.
    results: Vec<BulkEntry>,
}

/// What became of one job.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BulkEntry {
    id: i64,
    ok: bool,
    problem: Option<Problem>,
}

pub(super) async fn bulk(api: Arc<Api>, call: Call) -> Answer {
    let action = call.text("action").unwrap_or_default();
    if action == "delete"
        && let Err(refusal) = call.identity.may(Needs::Admin)
    {
        return refusal;
    }
    let ids: Vec<i64> = call.fields.list("ids").filter_map(Value::as_i64).collect();
    tracing::info!(client = %call.client, action, jobs = ids.len(), "many jobs are changed at once");
    let (engine, action, lang) = (&api.engine, action.as_str(), call.lang);
    let each = move |id: i64| async move { entry(id, act(engine, action, JobId(id)).await, lang) };
    let results = stream::iter(ids).map(each).buffered(TOGETHER).collect().await;
    Answer::bare(StatusCode::OK, BulkResult { results })
}

async fn act(engine: &Engine, action: &str, job: JobId) -> Result<Option<Reason>, Error> {
    match action {
        "start" => engine.restart(job, false).await.map(|()| None),
        "stop" => engine.stop(job).await.map(|()| None),
        "run" => engine.run(job).await.map(|triggered| triggered.skipped),
        _ => engine.delete(job, None).await.map(|()| None),
    }
}

fn entry(id: i64, done: Result<Option<Reason>, Error>, lang: Lang) -> BulkEntry {
    let problem = match done {
        Ok(None) => None,
        Ok(Some(reason)) => {
            let why = reason.text();
            let text = Text::new(format!("被跳过：{}", why.zh), format!("skipped: {}", why.en));
            Some(Problem::new(StatusCode::CONFLICT, &text, &[], lang))
        }
        Err(e) => Answer::from(e).problem(lang).ok(),
    };
    BulkEntry { id, ok: problem.is_none(), problem }
}
