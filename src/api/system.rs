//! What the server says about itself.

use super::answer::Answer;
use super::compat::answer;
use super::extract::Call;
use super::{Api, reference};
use crate::domain::Text;
use crate::engine::as_whom;
use crate::telemetry::metrics;
use axum::http::StatusCode;
use serde_json::json;
use std::sync::{Arc, PoisonError};

pub(super) async fn health(api: Arc<Api>, _call: Call) -> Answer {
    let uptime = uptime_seconds(&api);
    match api.engine.problem().await {
        None => {
            let body = json!({"status": "ok", "database": "ok", "scheduler": "ok",
                "version": env!("CARGO_PKG_VERSION"), "uptime": uptime, "auth": api.auth.mode().as_str()});
            Answer::bare(StatusCode::OK, body)
        }
        Some(problem) => {
            let body = json!({"status": "error", "database": problem, "scheduler": "waiting for the database",
                "version": env!("CARGO_PKG_VERSION"), "uptime": uptime, "auth": api.auth.mode().as_str()});
            Answer::bare(StatusCode::SERVICE_UNAVAILABLE, body)
        }
    }
}

pub(super) async fn database(api: Arc<Api>, _call: Call) -> Answer {
    match api.engine.database().await {
        Ok(info) => {
            let body = json!({"db_type": info.kind, "db_url": info.url, "table_prefix": info.table_prefix,
                "version": info.version, "size_bytes": info.size_bytes});
            Answer::bare(StatusCode::OK, body)
        }
        Err(e) => e.into(),
    }
}

pub(super) async fn process(api: Arc<Api>, call: Call) -> Answer {
    let (resident, virtual_size) = memory();
    let data = json!({
        "app_name": "TimerJobs",
        "app_version": env!("CARGO_PKG_VERSION"),
        "server_port": call.port,
        "timestamp": api.engine.now().rfc3339(api.engine.zone()),
        "uptime": uptime_seconds(&api),
        "memory": {"alloc": resident, "sys": virtual_size},
        "goroutines": tokio::runtime::Handle::current().metrics().num_alive_tasks(),
    });
    Answer::ok("成功", "ok", data)
}

/// The settings in force.
pub(super) async fn settings(api: Arc<Api>, _call: Call) -> Answer {
    let settings = api.settings.read().unwrap_or_else(PoisonError::into_inner).0.clone();
    Answer::ok("成功", "ok", settings)
}

pub(super) async fn reload_settings(api: Arc<Api>, _call: Call) -> Answer {
    match api.reloads.reload(as_whom()).await {
        Ok(done) => {
            let data = json!({"changed": done.changed, "needs_restart": done.needs_restart});
            Answer::ok("配置已热重载", "settings reloaded", data)
        }
        Err(e) => {
            let text = Text::new(
                format!("配置有误，未作任何更改：{e}"),
                format!("the settings are wrong, nothing was changed: {e}"),
            );
            Answer::code(400, text, json!({"errors": e.0}))
        }
    }
}

pub(super) async fn metrics(api: Arc<Api>, _call: Call) -> Answer {
    answer(api.engine.counts().await, |c| {
        let now = metrics::Now {
            running: c.running,
            waiting: c.waiting,
            stopped: c.stopped,
            resident: i64::try_from(memory().0).unwrap_or(i64::MAX),
            uptime: uptime_seconds(&api),
        };
        Answer::text(metrics::MEDIA_TYPE, api.metrics.text(now))
    })
}

/// The API as one page to read.
pub(super) async fn reference(_api: Arc<Api>, _call: Call) -> Answer {
    Answer::text("text/html; charset=utf-8", reference::page())
}

/// Elapsed by the wall clock; a clock that was set back counts as none.
pub(super) fn uptime_seconds(api: &Api) -> i64 {
    (api.engine.now().since(api.started) / 1_000).max(0)
}

/// Bytes of this process: resident and virtual.
pub(super) fn memory() -> (u64, u64) {
    use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};
    let Ok(pid) = sysinfo::get_current_pid() else { return (0, 0) };
    let Ok(mut system) = System::new() else { return (0, 0) };
    let only = ProcessesToUpdate::Some(&[pid]);
    system.refresh_processes_specifics(only, false, ProcessRefreshKind::nothing().with_memory());
    system.process(pid).map_or((0, 0), |p| (p.memory(), p.virtual_memory()))
}
