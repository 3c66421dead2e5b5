//! What a report counts: one pass over the runs of its period, cut out of the primary key, and a
//! few rows by their ids. Nothing grows with the runs outside the period.

use super::{Result, Store};
use crate::domain::UtcMs;
use crate::domain::run::RunId;

/// Runs of one job with one outcome and reason.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RunGroup {
    pub job_id: i64,
    pub job_name: String,
    pub outcome: String,
    pub reason: Option<String>,
    pub runs: i64,
    pub instants: i64,
    pub started: i64,
    pub timed: i64,
    pub total_ms: i64,
    pub max_ms: i64,
    /// The newest of them.
    pub last_id: i64,
}

/// What a failed run left.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RunFailure {
    pub id: i64,
    pub job_id: i64,
    pub job_name: String,
    pub outcome: String,
    pub reason: Option<String>,
    pub error: Option<String>,
}

/// When an enabled job is due.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct JobTimes {
    pub id: i64,
    pub name: String,
    pub trigger_type: String,
    pub cron_expr: String,
    pub interval_seconds: i64,
    pub timezone: String,
    pub created_ms: i64,
}

impl Store {
    /// The runs created in `[from, to)`. A clock that runs backwards leaves nothing negative behind.
    pub async fn run_groups(&self, from: UtcMs, to: UtcMs) -> Result<Vec<RunGroup>> {
        let sql = "SELECT job_id, max(job_name) AS job_name, outcome, reason, count(*) AS runs, \
            sum(coalesce(missed_count, 1)) AS instants, count(start_ms) AS started, \
            count(end_ms - start_ms) AS timed, coalesce(sum(max(end_ms - start_ms, 0)), 0) AS total_ms, \
            coalesce(max(max(end_ms - start_ms, 0)), 0) AS max_ms, max(id) AS last_id \
            FROM tj_runs NOT INDEXED WHERE id >= ? AND id < ? GROUP BY job_id, outcome, reason";
        let (from, to) = (RunId::first_at(from).0, RunId::first_at(to).0);
        Ok(sqlx::query_as(sql).bind(from).bind(to).fetch_all(&self.read).await?)
    }

    /// These runs, newest first.
    pub async fn run_failures(&self, ids: &[i64]) -> Result<Vec<RunFailure>> {
        let sql = "SELECT id, job_id, job_name, outcome, reason, error FROM tj_runs \
            WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id DESC";
        Ok(sqlx::query_as(sql).bind(serde_json::Value::from(ids).to_string()).fetch_all(&self.read).await?)
    }

    /// The first `most` enabled jobs made before `to` that are not among `started`.
    pub async fn enabled_jobs_but(&self, started: &[i64], to: UtcMs, most: i64) -> Result<Vec<JobTimes>> {
        let sql = "SELECT id, name, trigger_type, cron_expr, interval_seconds, timezone, created_ms \
            FROM tj_jobs WHERE enabled = 1 AND created_ms < ? \
            AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?";
        let started = serde_json::Value::from(started).to_string();
        Ok(sqlx::query_as(sql).bind(to.0).bind(started).bind(most).fetch_all(&self.read).await?)
    }
}
