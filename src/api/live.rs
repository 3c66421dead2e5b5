//! A run to look at while it runs: `GET /api/v1/runs/{id}/live`, server-sent events of what it prints,
//! and `POST /api/v1/runs/test`, a draft that is run once and kept as no job.

use super::Api;
use super::answer::Answer;
use super::extract::Call;
use crate::domain::Text;
use crate::domain::job::JobDraft;
use crate::domain::run::RunId;
use crate::engine::{Follow, Step};
use crate::exec::live::Piece;
use crate::store::RunRecord;
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Between two signs of life; proxies close what is silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Tells nginx to hand on what comes as it comes.
const BUFFERING: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

pub(super) async fn live(api: Arc<Api>, call: Call) -> Answer {
    let run = call.text("id").and_then(|id| RunId::parse(&id));
    let found = match run {
        Some(run) => api.engine.follow(run).await,
        None => Ok(None),
    };
    match found {
        Ok(Some(follow)) => {
            let events = stream::unfold(follow, next);
            let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
            Answer::Ready(Box::new(([BUFFERING], events).into_response()))
        }
        Ok(None) => Answer::code(404, Text::new("执行记录不存在", "there is no such run record"), ()),
        Err(e) => e.into(),
    }
}

async fn next(mut follow: Follow) -> Option<(Result<Event, Infallible>, Follow)> {
    match follow.next().await {
        Ok(step) => step.map(|step| (Ok(event(step)), follow)),
        Err(e) => {
            // The client asks again, and is told what is wrong if it still is.
            tracing::error!(error = %e, "a run can no longer be followed");
            None
        }
    }
}

fn event(step: Step) -> Event {
    let (name, data) = match step {
        Step::Printed(Piece::Text { stream, text }) => {
            ("output", json!({"stream": stream.as_str(), "text": text}))
        }
        Step::Printed(Piece::Missed { stream, bytes }) => {
            ("lagged", json!({"stream": stream.as_str(), "missed": bytes}))
        }
        Step::Ended(record) => ("ended", ended(&record)),
    };
    Event::default().event(name).data(data.to_string())
}

fn ended(record: &RunRecord) -> Value {
    let took = record.start_ms.zip(record.end_ms).map(|(start, end)| end - start);
    json!({"id": RunId(record.id).to_string(), "outcome": record.outcome, "duration_ms": took})
}

/// Of a job's draft only what a single run needs: its schedule does not matter.
pub(super) async fn test(api: Arc<Api>, call: Call) -> Answer {
    let field = |name| call.text(name);
    let draft = JobDraft {
        name: field("name"),
        mode: field("mode"),
        command: field("command"),
        timezone: field("timezone"),
        unread: call.unread.clone(),
        ..JobDraft::default()
    };
    match api.engine.try_out(draft).await {
        Ok(added) => {
            let run = added.triggered.map(|triggered| triggered.run.to_string());
            Answer::bare(StatusCode::ACCEPTED, json!({"run": run, "job": added.id.0}))
        }
        Err(e) => e.into(),
    }
}
