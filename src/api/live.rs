//! A run to look at while it runs: `GET /api/v1/runs/{id}/live`, server-sent events of what it prints,
//! and `POST /api/v1/runs/test`, a draft that is run once and kept as no job.

use super::Api;
use super::extract::{Lang, lang};
use crate::domain::job::JobDraft;
use crate::domain::run::RunId;
use crate::domain::{FieldError, Text};
use crate::engine::{Error, Follow, Step};
use crate::exec::live::Piece;
use crate::store::RunRecord;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Between two signs of life; proxies close what is silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Tells nginx to hand on what comes as it comes.
const BUFFERING: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

pub(super) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/api/v1/runs/{id}/live", get(live))
        .route("/api/v1/runs/test", post(test))
        .with_state(api)
}

async fn live(State(api): State<Arc<Api>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let found = match RunId::parse(&id) {
        Some(run) => api.engine.follow(run).await,
        None => Ok(None),
    };
    match found {
        Ok(Some(follow)) => {
            let events = stream::unfold(follow, next);
            let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
            ([BUFFERING], events).into_response()
        }
        Ok(None) => {
            let title = Text::new("执行记录不存在", "there is no such run record");
            problem(StatusCode::NOT_FOUND, &title, &[], lang(&headers))
        }
        Err(e) => refused(&e, lang(&headers)),
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

/// What of a job's draft a single run needs; its schedule does not matter.
#[derive(Debug, Deserialize)]
struct Draft {
    name: Option<String>,
    mode: Option<String>,
    command: Option<String>,
    timezone: Option<String>,
}

async fn test(State(api): State<Arc<Api>>, headers: HeaderMap, body: Bytes) -> Response {
    let lang = lang(&headers);
    let Draft { name, mode, command, timezone } = match serde_json::from_slice(&body) {
        Ok(draft) => draft,
        Err(e) => {
            let title =
                Text::new(format!("请求体不是有效的任务：{e}"), format!("the body is no job's draft: {e}"));
            return problem(StatusCode::BAD_REQUEST, &title, &[], lang);
        }
    };
    match api.engine.try_out(JobDraft { name, mode, command, timezone, ..JobDraft::default() }).await {
        Ok(added) => {
            let run = added.triggered.map(|triggered| triggered.run.to_string());
            let body = json!({"run": run, "job": added.id.0}).to_string();
            (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body)
                .into_response()
        }
        Err(e) => refused(&e, lang),
    }
}

fn refused(e: &Error, lang: Lang) -> Response {
    if let Error::Invalid(errors) = e {
        let title = Text::new("参数错误", "invalid input");
        return problem(StatusCode::UNPROCESSABLE_ENTITY, &title, errors, lang);
    }
    tracing::error!(error = %e, "a request could not be answered");
    let title =
        Text::new("服务正在关闭或数据库不可用", "the server is shutting down, or the database is away");
    problem(StatusCode::SERVICE_UNAVAILABLE, &title, &[], lang)
}

/// RFC 9457.
fn problem(status: StatusCode, title: &Text, errors: &[FieldError], lang: Lang) -> Response {
    let named = |e: &FieldError| json!({"field": e.field, "message": lang.pick(&e.message)});
    let errors: Vec<Value> = errors.iter().map(named).collect();
    let body = json!({
        "type": "about:blank", "title": lang.pick(title), "status": status.as_u16(), "errors": errors,
    });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
