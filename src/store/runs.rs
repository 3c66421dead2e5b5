//! Reading run records.

use super::sql::{Dialect, Sql, list};
use super::{Page, Result, Store};
use crate::domain::UtcMs;
use crate::domain::job::JobId;
use crate::domain::run::{Outcome, RunId};

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

/// Runs of one job or all, of one stretch of time or all, with one outcome or any.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunsOf {
    pub job: Option<JobId>,
    /// Created in `[from, to)`.
    pub day: Option<(UtcMs, UtcMs)>,
    pub outcome: Option<Outcome>,
}

impl RunsOf {
    /// Adds itself to a statement that ends in a condition.
    pub(super) fn push(&self, sql: &mut Sql) {
        if let Some(job) = self.job {
            sql.push_bind(" AND job_id = ?", job.0);
        }
        // Ids carry the time of creation, so a day is a range of the index.
        if let Some((from, to)) = self.day {
            sql.push_bind(" AND id >= ?", RunId::first_at(from).0);
            sql.push_bind(" AND id < ?", RunId::first_at(to).0);
        }
        match self.outcome {
            // The words of the partial index: it serves each of them.
            Some(outcome) if FAILED.contains(&outcome) => {
                sql.push(" AND outcome IN ('failed', 'timeout', 'lost')");
                sql.push_bind(" AND outcome = ?", outcome.as_str());
            }
            Some(outcome) => drop(sql.push_bind(" AND outcome = ?", outcome.as_str())),
            None => {}
        }
    }
}

/// What the index of migration 4 holds.
const FAILED: [Outcome; 3] = [Outcome::Failed, Outcome::Timeout, Outcome::Lost];

const COLUMNS: &str = "SELECT id, job_id, job_name, mode, command, source, outcome, reason, scheduled_ms, start_ms, \
    end_ms, attempt, missed_to_ms, missed_count, exit_code, error, result, http_method, http_status, http_url, \
    func_name, func_args, func_result";

/// What a job printed or was answered may be long: a page holds about so many characters of each of
/// these columns, shared by its records, and cuts what is longer. One record alone is whole.
const LONG_COLUMNS: [&str; 3] = ["stdout", "stderr", "http_resp"];
const PAGE_CHARS: i64 = 16 << 20;
const LONG_MIN: i64 = 16 << 10;

impl Store {
    /// A page of runs; `page` counts from 1. Long output is cut, see `LONG_COLUMNS`.
    pub async fn runs_page(
        &self,
        of: RunsOf,
        newest_first: bool,
        page: i64,
        size: i64,
    ) -> Result<Page<RunRecord>> {
        let mut count = Sql::new("SELECT count(*) FROM tj_runs WHERE 1 = 1");
        of.push(&mut count);
        let total = self.read.number(&count).await?;
        let mut sql = Sql::new(COLUMNS);
        let most = (PAGE_CHARS / size.max(1)).max(LONG_MIN);
        let length = self.read.dialect().length();
        for name in LONG_COLUMNS {
            sql.push(&format!(
                ", CASE WHEN {length}({name}) > {most} THEN concat(substr({name}, 1, {most}), '…') ELSE {name} END AS {name}"
            ));
        }
        sql.push(" FROM tj_runs WHERE 1 = 1");
        of.push(&mut sql);
        sql.push(if newest_first { " ORDER BY id DESC" } else { " ORDER BY id" });
        sql.push_bind(" LIMIT ?", size).push_bind(" OFFSET ?", (page - 1).saturating_mul(size));
        Ok(Page { items: self.read.fetch(&sql).await?, total })
    }

    pub async fn run(&self, id: RunId) -> Result<Option<RunRecord>> {
        let mut sql = Sql::new(COLUMNS);
        sql.push_bind(", stdout, stderr, http_resp FROM tj_runs WHERE id = ?", id.0);
        self.read.first(&sql).await
    }

    /// At most `most` whole records after the run `after`, oldest first.
    pub async fn runs_after(&self, of: RunsOf, after: RunId, most: i64) -> Result<Vec<RunRecord>> {
        let mut sql = Sql::new(COLUMNS);
        sql.push_bind(", stdout, stderr, http_resp FROM tj_runs WHERE id > ?", after.0);
        of.push(&mut sql);
        sql.push_bind(" ORDER BY id LIMIT ?", most);
        self.read.fetch(&sql).await
    }

    /// The greatest run id, 0 when there is none.
    pub async fn newest_run(&self) -> Result<RunId> {
        let sql = Sql::new("SELECT coalesce(max(id), 0) FROM tj_runs");
        Ok(RunId(self.read.number(&sql).await?))
    }

    /// Every run that is waiting or running, oldest first.
    pub async fn open_runs(&self) -> Result<Vec<OpenRun>> {
        self.read.fetch(&Sql::new(open_runs(self.read.dialect()))).await
    }

    /// Which of these runs exist.
    pub async fn existing_runs(&self, ids: &[RunId]) -> Result<Vec<RunId>> {
        let text = format!("SELECT id FROM tj_runs WHERE id IN {}", list(ids.iter().map(|id| id.0)));
        let found: Vec<(i64,)> = self.read.fetch(&Sql { keep: false, ..Sql::new(text) }).await?;
        Ok(found.into_iter().map(|(id,)| RunId(id)).collect())
    }
}

pub(super) fn open_runs(dialect: Dialect) -> String {
    format!(
        "SELECT id, job_id, outcome, source, scheduled_ms, attempt, pid, pid_start FROM tj_runs{} \
         WHERE outcome IN ('waiting', 'running') ORDER BY id",
        dialect.indexed_by("tj_runs_open")
    )
}
