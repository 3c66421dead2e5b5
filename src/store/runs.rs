//! Reading run records.

use super::{Page, Result, Store};
use crate::domain::UtcMs;
use crate::domain::job::JobId;
use crate::domain::run::RunId;
use sqlx::{QueryBuilder, Sqlite};

/// A run record as it is stored; the migration says what each column means.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RunRecord {
    pub id: i64,
    pub job_id: i64,
    pub job_name: String,
    pub mode: String,
    pub command: String,
    pub source: String,
    pub outcome: String,
    pub reason: Option<String>,
    pub scheduled_ms: i64,
    pub start_ms: Option<i64>,
    pub end_ms: Option<i64>,
    pub attempt: i64,
    pub missed_to_ms: Option<i64>,
    pub missed_count: Option<i64>,
    pub exit_code: Option<i64>,
    pub error: Option<String>,
    pub result: Option<String>,
    pub http_method: Option<String>,
    pub http_status: Option<i64>,
    pub http_url: Option<String>,
    pub func_name: Option<String>,
    pub func_args: Option<String>,
    pub func_result: Option<String>,
    pub stdout: Option<String>,
    pub stderr: Option<String>,
    pub http_resp: Option<String>,
}

/// A run that a dead server left open.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct OpenRun {
    pub id: i64,
    pub job_id: i64,
    pub outcome: String,
    pub source: String,
    pub scheduled_ms: i64,
    pub attempt: i64,
    pub pid: Option<i64>,
    pub pid_start: Option<i64>,
}

/// Which runs a list shows.
#[derive(Clone, Copy, Debug)]
pub struct RunFilter {
    pub job: JobId,
    /// Runs created in `[from, to)`.
    pub day: Option<(UtcMs, UtcMs)>,
    pub newest_first: bool,
}

/// Runs of one job or all, of one stretch of time or all.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunsOf {
    pub job: Option<JobId>,
    /// Created in `[from, to)`.
    pub day: Option<(UtcMs, UtcMs)>,
}

impl RunsOf {
    /// Adds itself to a statement that ends in a condition.
    pub(super) fn push(&self, sql: &mut QueryBuilder<Sqlite>) {
        if let Some(job) = self.job {
            sql.push(" AND job_id = ").push_bind(job.0);
        }
        if let Some((from, to)) = self.day {
            sql.push(" AND id >= ").push_bind(RunId::first_at(from).0);
            sql.push(" AND id < ").push_bind(RunId::first_at(to).0);
        }
    }
}

const COLUMNS: &str = "SELECT id, job_id, job_name, mode, command, source, outcome, reason, scheduled_ms, start_ms, \
    end_ms, attempt, missed_to_ms, missed_count, exit_code, error, result, http_method, http_status, http_url, \
    func_name, func_args, func_result";

pub(super) const OPEN_RUNS: &str = "SELECT id, job_id, outcome, source, scheduled_ms, attempt, pid, pid_start \
    FROM tj_runs INDEXED BY tj_runs_open WHERE outcome IN ('waiting', 'running') ORDER BY id";

/// What a job printed or was answered may be long: a page holds about so many characters of each of
/// these columns, shared by its records, and cuts what is longer. One record alone is whole.
const LONG_COLUMNS: [&str; 3] = ["stdout", "stderr", "http_resp"];
const PAGE_CHARS: i64 = 16 << 20;
const LONG_MIN: i64 = 16 << 10;

impl Store {
    /// A page of one job's runs; `page` counts from 1. Long output is cut, see `LONG_COLUMNS`.
    pub async fn runs_page(&self, filter: &RunFilter, page: i64, size: i64) -> Result<Page<RunRecord>> {
        let mut count = QueryBuilder::new("SELECT count(*) FROM tj_runs");
        push_filter(&mut count, filter);
        let total: i64 = count.build_query_scalar().fetch_one(&self.read).await?;
        let mut sql = QueryBuilder::new(COLUMNS);
        let most = (PAGE_CHARS / size.max(1)).max(LONG_MIN);
        for name in LONG_COLUMNS {
            sql.push(", CASE WHEN length(").push(name).push(") > ");
            sql.push_bind(most).push(" THEN substr(").push(name).push(", 1, ").push_bind(most);
            sql.push(") || '…' ELSE ").push(name).push(" END AS ").push(name);
        }
        sql.push(" FROM tj_runs");
        push_filter(&mut sql, filter);
        sql.push(if filter.newest_first { " ORDER BY id DESC" } else { " ORDER BY id" });
        sql.push(" LIMIT ").push_bind(size).push(" OFFSET ").push_bind((page - 1).saturating_mul(size));
        Ok(Page { items: sql.build_query_as().fetch_all(&self.read).await?, total })
    }

    pub async fn run(&self, id: RunId) -> Result<Option<RunRecord>> {
        let mut sql = QueryBuilder::new(COLUMNS);
        sql.push(", stdout, stderr, http_resp FROM tj_runs WHERE id = ").push_bind(id.0);
        Ok(sql.build_query_as().fetch_optional(&self.read).await?)
    }

    /// At most `most` whole records after the run `after`, oldest first.
    pub async fn runs_after(&self, of: RunsOf, after: RunId, most: i64) -> Result<Vec<RunRecord>> {
        let mut sql = QueryBuilder::new(COLUMNS);
        sql.push(", stdout, stderr, http_resp FROM tj_runs WHERE id > ").push_bind(after.0);
        of.push(&mut sql);
        sql.push(" ORDER BY id LIMIT ").push_bind(most);
        Ok(sql.build_query_as().fetch_all(&self.read).await?)
    }

    /// The greatest run id, 0 when there is none.
    pub async fn newest_run(&self) -> Result<RunId> {
        let id: Option<i64> = sqlx::query_scalar("SELECT max(id) FROM tj_runs").fetch_one(&self.read).await?;
        Ok(RunId(id.unwrap_or(0)))
    }

    /// Every run that is waiting or running, oldest first.
    pub async fn open_runs(&self) -> Result<Vec<OpenRun>> {
        Ok(sqlx::query_as(OPEN_RUNS).fetch_all(&self.read).await?)
    }

    /// Which of these runs exist.
    pub async fn existing_runs(&self, ids: &[RunId]) -> Result<Vec<RunId>> {
        let ids = serde_json::Value::from(ids.iter().map(|id| id.0).collect::<Vec<_>>()).to_string();
        let sql = "SELECT id FROM tj_runs WHERE id IN (SELECT value FROM json_each(?))";
        let found: Vec<i64> = sqlx::query_scalar(sql).bind(ids).fetch_all(&self.read).await?;
        Ok(found.into_iter().map(RunId).collect())
    }
}

fn push_filter(sql: &mut QueryBuilder<Sqlite>, filter: &RunFilter) {
    sql.push(" WHERE job_id = ").push_bind(filter.job.0);
    if let Some((from, to)) = filter.day {
        // Ids carry the time of creation, so a day is a range of the index.
        sql.push(" AND id >= ").push_bind(RunId::first_at(from).0);
        sql.push(" AND id < ").push_bind(RunId::first_at(to).0);
    }
}
