//! What happens on the server, as it happens: server-sent events about jobs and runs.

use super::streams::{collected, named, sse};
use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::extract::Call;
use crate::domain::event::Event;
use axum::response::sse;
use serde_json::json;
use std::sync::Arc;

pub(super) async fn events(api: Arc<Api>, call: Call) -> Answer {
    sse(&api, &call.identity, collected(&api, api.engine.subscribe(), event))
}

fn event(event: Event) -> sse::Event {
    match event {
        Event::RunStarted { run, job, delay } => {
            let delay_ms = delay.map(|delay| delay.as_millis() as u64);
            named("run_started", &json!({"run": run.to_string(), "job": job.0, "delay_ms": delay_ms}))
        }
        Event::RunEnded { run, job, outcome, of: _, took } => {
            let (outcome, duration_ms) = (outcome.as_str(), took.map(|took| took.as_millis() as u64));
            let data =
                json!({"run": run.to_string(), "job": job.0, "outcome": outcome, "duration_ms": duration_ms});
            named("run_ended", &data)
        }
        Event::JobChanged { job } => named("job_changed", &json!({"job": job.0})),
        Event::JobDeleted { job } => named("job_deleted", &json!({"job": job.0})),
    }
}
