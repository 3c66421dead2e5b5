//! A run to look at while it runs: server-sent events of what it prints, and its record at the end.

use super::runs::{no_run, run_id};
use super::streams::{named, sse};
use super::views::RunView;
use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::extract::{Call, Lang};
use crate::engine::{Follow, Step};
use crate::exec::live::Piece;
use axum::response::sse::Event;
use futures_util::stream;
use serde_json::json;
use std::sync::Arc;

pub(super) async fn live(api: Arc<Api>, call: Call) -> Answer {
    let found = match run_id(&call) {
        Some(run) => api.engine.follow(run).await,
        None => Ok(None),
    };
    match found {
        Ok(Some(follow)) => {
            let lang = call.lang;
            sse(&api, &call.identity, stream::unfold(follow, move |follow| next(follow, lang)))
        }
        Ok(None) => no_run(),
        Err(e) => e.into(),
    }
}

async fn next(mut follow: Follow, lang: Lang) -> Option<(Event, Follow)> {
    match follow.next().await {
        Ok(step) => step.map(|step| (event(step, lang), follow)),
        Err(e) => {
            // The client asks again, and is told what is wrong if it still is.
            tracing::error!(error = %e, "a run can no longer be followed");
            None
        }
    }
}

fn event(step: Step, lang: Lang) -> Event {
    let (name, data) = match step {
        Step::Printed(Piece::Text { stream, text }) => {
            ("output", json!({"stream": stream.as_str(), "text": text}))
        }
        Step::Printed(Piece::Missed { stream, bytes }) => {
            ("lagged", json!({"stream": stream.as_str(), "missed": bytes}))
        }
        Step::Ended(record) => ("ended", json!(RunView::new(*record, lang))),
    };
    named(name, &data)
}
