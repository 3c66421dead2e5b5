//! Reading jobs.

use super::sql::{Dialect, Sql};
use super::{Error, Result, Store};
use crate::domain::UtcMs;
use crate::domain::job::{Job, JobDraft, JobId, Removal, StopReason, Story};
use crate::domain::schedule::Schedule;
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer};

/// A job as it is stored, with where it stands.
#[derive(Clone, Debug, sqlx::FromRow, Deserialize)]
pub struct JobRecord {
    pub id: i64,
    pub name: String,
    pub descr: String,
    pub trigger_type: String,
    pub cron_expr: String,
    pub interval_seconds: i64,
    pub timezone: String,
    pub mode: String,
    pub command: String,
    #[serde(deserialize_with = "flag")]
    pub enabled: bool,
    pub allow_mode: i64,
    pub max_run_count: i64,
    pub misfire_policy: String,
    pub misfire_window: i64,
    pub recovery: String,
    #[serde(deserialize_with = "flag")]
    pub remove_task: bool,
    #[serde(deserialize_with = "flag")]
    pub remove_log: bool,
    pub stop_reason: Option<String>,
    pub created_ms: i64,
    pub updated_ms: i64,
    /// Grows with each change.
    pub version: i64,
    #[sqlx(flatten)]
    pub state: JobState,
    /// A run is in flight at this moment.
    #[serde(deserialize_with = "flag")]
    pub running: bool,
    /// Its trigger as the engine has it; a row does not hold it.
    #[sqlx(skip)]
    #[serde(skip)]
    pub schedule: Option<Schedule>,
}

/// Where a job stands; see the migration for the meaning of each.
#[derive(Clone, Copy, Debug, Default, sqlx::FromRow, Deserialize)]
pub struct JobState {
    pub decided_ms: i64,
    pub run_count: i64,
    pub immediate_ms: Option<i64>,
    pub last_run_ms: Option<i64>,
    pub crash_streak: i64,
}

/// SQLite has no booleans.
fn flag<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<bool, D::Error> {
    Ok(i64::deserialize(from)? != 0)
}

impl JobRecord {
    /// The job behind the record; an error when it was written by another version or by hand.
    pub fn into_job(self, server_zone: Tz) -> Result<Job> {
        let id = JobId(self.id);
        let removal = Removal { task: self.remove_task, log: self.remove_log };
        let story = Story {
            created: UtcMs(self.created_ms),
            updated: UtcMs(self.updated_ms),
            version: self.version,
            stop_reason: self.stop_reason.as_deref().and_then(StopReason::parse),
        };
        let name = self.name.clone();
        let spec = self.into_draft().check(server_zone).map_err(|bad| {
            let bad: Vec<_> = bad.iter().map(ToString::to_string).collect();
            Error::Data(format!("job {id} ({name}): {}", bad.join("; ")))
        })?;
        Ok(Job { id, spec, removal, story })
    }

    /// The record that a job in memory has.
    pub fn of(job: &Job, state: JobState, running: bool) -> Self {
        let (spec, story) = (&job.spec, &job.story);
        let (trigger_type, cron_expr, interval_seconds) = spec.trigger.parts();
        Self {
            id: job.id.0,
            name: spec.name.to_string(),
            descr: spec.desc.to_string(),
            trigger_type: trigger_type.into(),
            cron_expr: cron_expr.into(),
            interval_seconds,
            timezone: spec.timezone.map_or("", |zone| zone.name()).into(),
            mode: spec.mode.as_str().into(),
            command: spec.command.to_string(),
            enabled: spec.enabled,
            allow_mode: spec.overlap.code(),
            max_run_count: i64::from(spec.max_run_count),
            misfire_policy: spec.misfire_policy.as_str().into(),
            misfire_window: i64::try_from(spec.misfire_window.as_secs()).unwrap_or(i64::MAX),
            recovery: spec.recovery.as_str().into(),
            remove_task: job.removal.task,
            remove_log: job.removal.log,
            stop_reason: story.stop_reason.map(|reason| reason.as_str().into()),
            created_ms: story.created.0,
            updated_ms: story.updated.0,
            version: story.version,
            state,
            running,
            schedule: Some(spec.schedule.clone()),
        }
    }

    fn into_draft(self) -> JobDraft {
        JobDraft {
            name: Some(self.name),
            desc: Some(self.descr),
            cron_expr: Some(self.cron_expr),
            trigger_type: Some(self.trigger_type),
            interval_seconds: Some(self.interval_seconds),
            timezone: Some(self.timezone),
            mode: Some(self.mode),
            command: Some(self.command),
            state: Some(if self.enabled { 0 } else { 2 }),
            allow_mode: Some(self.allow_mode),
            max_run_count: Some(self.max_run_count),
            misfire_policy: Some(self.misfire_policy),
            misfire_window: Some(self.misfire_window),
            recovery: Some(self.recovery),
            unread: Vec::new(),
        }
    }
}

/// Which jobs a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Part of the name.
    pub name: Option<String>,
    /// 0 waiting, 1 running now, 2 stopped.
    pub state: Option<i64>,
    pub mode: Option<&'static str>,
    /// Only jobs that are scheduled (state 0 or 1).
    pub scheduled: bool,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub total: i64,
}

/// How many jobs there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts {
    pub total: i64,
    pub running: i64,
    pub waiting: i64,
    pub stopped: i64,
}

/// The first condition is the partial index's own: without it SQLite reads every run of the job.
const RUNNING: &str = "EXISTS (SELECT 1 FROM tj_runs r WHERE r.job_id = j.id \
    AND r.outcome IN ('waiting', 'running') AND r.outcome = 'running')";

/// The jobs that have a run in flight.
pub(super) const RUNNING_IDS: &str = "SELECT r.job_id FROM tj_runs r \
    WHERE r.outcome IN ('waiting', 'running') AND r.outcome = 'running'";

/// Jobs in all, scheduled, and scheduled with a run in flight.
pub(super) const COUNTS: &str = "SELECT count(*) AS total, count(CASE WHEN enabled THEN 1 END) AS enabled, \
    (SELECT count(DISTINCT r.job_id) FROM tj_runs r JOIN tj_jobs k ON k.id = r.job_id \
     WHERE r.outcome IN ('waiting', 'running') AND r.outcome = 'running' AND k.enabled) AS running FROM tj_jobs";

const COLUMNS: &str = "SELECT j.id, j.name, j.descr, j.trigger_type, j.cron_expr, j.interval_seconds, j.timezone, \
    j.mode, j.command, j.enabled, j.allow_mode, j.max_run_count, j.misfire_policy, j.misfire_window, j.recovery, \
    j.remove_task, j.remove_log, j.stop_reason, j.created_ms, j.updated_ms, j.version, s.decided_ms, s.run_count, \
    s.immediate_ms, s.last_run_ms, s.crash_streak, ";

/// Around `COLUMNS`: the fields of `JobRecord` in their order.
const PACKED: &str = "SELECT json_group_array(json_array(id, name, descr, trigger_type, cron_expr, interval_seconds, \
    timezone, mode, command, enabled, allow_mode, max_run_count, misfire_policy, misfire_window, recovery, \
    remove_task, remove_log, stop_reason, created_ms, updated_ms, version, \
    json_array(decided_ms, run_count, immediate_ms, last_run_ms, crash_streak), running)) FROM (";

impl Store {
    pub async fn job(&self, id: JobId) -> Result<Option<JobRecord>> {
        let mut sql = select();
        sql.push_bind(" WHERE j.id = ?", id.0);
        self.read.first(&sql).await
    }

    /// Every job with an id above `after`, in the order of ids, at most `limit`. Whether one is running
    /// is not looked up: the engine, which asks, knows.
    pub async fn jobs_after(&self, after: JobId, limit: i64) -> Result<Vec<JobRecord>> {
        let mut sql = select_with("1 = 0");
        sql.push_bind(" WHERE j.id > ?", after.0).push_bind(" ORDER BY j.id LIMIT ?", limit);
        if self.read.dialect() == Dialect::Sqlite {
            self.packed(sql).await
        } else {
            self.read.fetch(&sql).await
        }
    }

    /// The records as one text: a start reads a million of them, and each value of a row that comes by itself
    /// is copied twice and handed from SQLite's thread to ours.
    async fn packed(&self, mut select: Sql) -> Result<Vec<JobRecord>> {
        select.wrap(PACKED, ")");
        let text: Option<(String,)> = self.read.first(&select).await?;
        let (text,) = text.unwrap_or_default();
        serde_json::from_str(&text).map_err(|e| Error::Data(format!("tj_jobs: {e}")))
    }

    /// A page of jobs, newest first; `page` counts from 1.
    pub async fn jobs_page(&self, filter: &JobFilter, page: i64, size: i64) -> Result<Page<JobRecord>> {
        let dialect = self.read.dialect();
        let mut count = Sql::new("SELECT count(*) FROM tj_jobs j");
        push_filter(&mut count, filter, dialect);
        let total = self.read.number(&count).await?;
        let mut sql = select();
        push_filter(&mut sql, filter, dialect);
        sql.push_bind(" ORDER BY j.id DESC LIMIT ?", size);
        sql.push_bind(" OFFSET ?", (page - 1).saturating_mul(size));
        Ok(Page { items: self.read.fetch(&sql).await?, total })
    }

    pub async fn job_counts(&self) -> Result<StateCounts> {
        let counts: Option<(i64, i64, i64)> = self.read.first(&Sql::new(COUNTS)).await?;
        let (total, enabled, running) = counts.unwrap_or_default();
        Ok(StateCounts { total, running, waiting: enabled - running, stopped: total - enabled })
    }
}

pub(super) fn select() -> Sql {
    select_with(RUNNING)
}

fn select_with(running: &str) -> Sql {
    Sql::new(format!("{COLUMNS}{running} AS running FROM tj_jobs j JOIN tj_job_state s ON s.job_id = j.id"))
}

fn push_filter(sql: &mut Sql, filter: &JobFilter, dialect: Dialect) {
    sql.push(" WHERE 1 = 1");
    if let Some(name) = &filter.name {
        let text = format!(" AND {}(lower(j.name), lower(?)) > 0", dialect.position());
        sql.push_bind(&text, name.as_str());
    }
    if let Some(mode) = filter.mode {
        sql.push_bind(" AND j.mode = ?", mode);
    }
    if filter.scheduled {
        sql.push(" AND j.enabled");
    }
    match filter.state {
        Some(0) => sql.push(" AND j.enabled AND NOT ").push(RUNNING),
        Some(1) => sql.push(" AND j.enabled AND ").push(RUNNING),
        Some(2) => sql.push(" AND NOT j.enabled"),
        _ => sql,
    };
}
