//! The server itself: version, database, scheduler, settings; reading the settings again, and bringing
//! the scheduler in line with the database.

use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::compat::answer;
use crate::api::extract::Call;
use crate::api::system::{memory, uptime_seconds};
use crate::config::Described;
use crate::domain::{FieldError, Text};
use crate::engine::as_whom;
use crate::store::DatabaseInfo;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use std::sync::{Arc, PoisonError};
use utoipa::ToSchema;

/// The server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = System)]
pub(super) struct SystemView {
    version: String,
    uptime_seconds: i64,
    memory_bytes: u64,
    port: u16,
    /// Null while it cannot be asked.
    database: Option<DatabaseView>,
    scheduler: SchedulerView,
    settings: Vec<SettingView>,
}

/// The database; its address holds no password.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DatabaseState)]
pub(super) struct DatabaseView {
    /// sqlite, mysql or postgres.
    kind: String,
    url: String,
    version: String,
    size_bytes: i64,
    table_prefix: String,
}

/// The scheduler.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SchedulerState)]
pub(super) struct SchedulerView {
    /// Whether fires are being decided.
    running: bool,
    /// What keeps it from working; null: nothing.
    problem: Option<String>,
    /// The zone of jobs without one of their own.
    timezone: String,
    /// Jobs on their schedule; null while the database is away.
    jobs: Option<i64>,
}

/// A setting.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Setting)]
pub(super) struct SettingView {
    /// section.name in the file.
    key: String,
    /// The variable of the environment.
    env: String,
    /// *** stands for what may hold a password.
    value: String,
    default: String,
    doc: String,
    /// default, a file with its line, a variable of the environment, or a flag.
    source: String,
    /// Whether it differs from the default.
    changed: bool,
    /// Whether a reload applies it; the others wait for a restart.
    live: bool,
}

/// What a reload changed, by the settings' keys.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SettingsReloaded {
    changed: Vec<&'static str>,
    /// Settings that differ but are read only at start.
    needs_restart: Vec<&'static str>,
}

/// Jobs that differed between the scheduler and the database.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reconciled {
    added: usize,
    removed: usize,
    updated: usize,
}

pub(super) async fn system(api: Arc<Api>, call: Call) -> Answer {
    let problem = api.engine.problem().await;
    let database = api.engine.database().await.ok();
    let counts = api.engine.counts().await.ok();
    let settings = api.settings.read().unwrap_or_else(PoisonError::into_inner).1.clone();
    let view = SystemView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: uptime_seconds(&api),
        memory_bytes: memory().0,
        port: call.port,
        database: database.map(DatabaseView::new),
        scheduler: SchedulerView {
            running: api.engine.is_running(),
            problem,
            timezone: api.engine.zone().name().to_owned(),
            jobs: counts.map(|counts| counts.waiting + counts.running),
        },
        settings: settings.into_iter().map(SettingView::new).collect(),
    };
    Answer::bare(StatusCode::OK, view)
}

impl DatabaseView {
    fn new(info: DatabaseInfo) -> Self {
        Self {
            kind: info.kind.to_owned(),
            url: info.url,
            version: info.version,
            size_bytes: info.size_bytes,
            table_prefix: info.table_prefix,
        }
    }
}

impl SettingView {
    fn new(described: Described) -> Self {
        let Described { setting, value, origin } = described;
        Self {
            key: setting.key.to_owned(),
            env: setting.env.first().copied().unwrap_or_default().to_owned(),
            changed: value != setting.default,
            value,
            default: setting.default.to_owned(),
            doc: setting.doc.to_owned(),
            source: origin,
            live: setting.live,
        }
    }
}

pub(super) async fn reload(api: Arc<Api>, _call: Call) -> Answer {
    match api.reloads.reload(as_whom()).await {
        Ok(done) => {
            let view = SettingsReloaded { changed: done.changed, needs_restart: done.needs_restart };
            Answer::bare(StatusCode::OK, view)
        }
        Err(e) => {
            let wrong = e.0.into_iter().map(|line| {
                let text = Text::new(line.clone(), line);
                FieldError::new("settings", text, Value::Null)
            });
            Answer::Invalid(wrong.collect())
        }
    }
}

pub(super) async fn reconcile(api: Arc<Api>, _call: Call) -> Answer {
    answer(api.engine.reconcile().await, |done| {
        let view = Reconciled { added: done.added, removed: done.removed, updated: done.updated };
        Answer::bare(StatusCode::OK, view)
    })
}
