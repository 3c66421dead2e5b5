//! What a report counts: one pass over the runs of its period, cut out of the primary key, and a
//! few rows by their ids. Nothing grows with the runs outside the period.

use super::sql::{Sql, list};
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
        let dialect = self.read.dialect();
        // By the primary key: another index would read every run.
        let not_indexed = dialect.not_indexed();
        let took = format!("{}(end_ms - start_ms, 0)", dialect.greatest());
        let text = format!(
            "SELECT job_id, max(job_name) AS job_name, outcome, reason, count(*) AS runs, {} AS instants, \
             count(start_ms) AS started, count(end_ms - start_ms) AS timed, {} AS total_ms, \
             coalesce(max({took}), 0) AS max_ms, max(id) AS last_id \
             FROM tj_runs{not_indexed} WHERE id >= ? AND id < ? GROUP BY job_id, outcome, reason",
            dialect.sum("coalesce(missed_count, 1)"),
            dialect.sum(&took),
        );
        self.read.fetch(&Sql::new(text).bind(RunId::first_at(from).0).bind(RunId::first_at(to).0)).await
    }

    /// These runs, newest first.
    pub async fn run_failures(&self, ids: &[i64]) -> Result<Vec<RunFailure>> {
        let text = format!(
            "SELECT id, job_id, job_name, outcome, reason, error FROM tj_runs WHERE id IN {} ORDER BY id DESC",
            list(ids.iter().copied())
        );
        self.read.fetch(&Sql { keep: false, ..Sql::new(text) }).await
    }

    /// The first `most` enabled jobs made before `to` that are not among `started`.
    pub async fn enabled_jobs_but(&self, started: &[i64], to: UtcMs, most: i64) -> Result<Vec<JobTimes>> {
        // Nothing is `NOT IN (NULL)`: 0 is no job's number.
        let started = list(started.iter().copied().chain([0]));
        let text = format!(
            "SELECT id, name, trigger_type, cron_expr, interval_seconds, timezone, created_ms FROM tj_jobs \
             WHERE enabled AND created_ms < ? AND id NOT IN {started} ORDER BY id LIMIT ?"
        );
        let sql = Sql { keep: false, ..Sql::new(text) };
        self.read.fetch(&sql.bind(to.0).bind(most)).await
    }
}
