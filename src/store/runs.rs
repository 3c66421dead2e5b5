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
    /// Selects the ids, newest or oldest first.
    pub(super) fn push_ids(&self, sql: &mut Sql, dialect: Dialect, newest_first: bool) {
        sql.push("SELECT id FROM ").push(&self.table(dialect)).push(" WHERE 1 = 1");
        self.push(sql);
        sql.push(if newest_first { " ORDER BY id DESC" } else { " ORDER BY id" });
    }

    /// The table with the index that holds these runs in the order of their ids, whatever the planner
    /// makes of its figures: MariaDB reads all that succeeded for a day of them, SQLite has no figures.
    pub(super) fn table(&self, dialect: Dialect) -> String {
        let mysql = dialect == Dialect::MySql;
        let index = match (self.outcome, self.job) {
            (None | Some(Outcome::Success), Some(_)) => "tj_runs_job",
            (None | Some(Outcome::Success), None) if mysql => "PRIMARY",
            (None | Some(Outcome::Success), None) => return format!("tj_runs{}", dialect.not_indexed()),
            (Some(Outcome::Waiting | Outcome::Running), _) => "tj_runs_open",
            (Some(_), Some(_)) if mysql => "tj_runs_open",
            (Some(_), Some(_)) => "tj_runs_unusual_job",
            (Some(_), None) if mysql => "tj_runs_failed",
            (Some(_), None) => "tj_runs_unusual",
        };
        format!("tj_runs{}", dialect.indexed_by(index))
    }

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
        if let Some(outcome) = self.outcome {
            sql.push_bind(" AND outcome = ?", outcome.as_str());
            // The words of a partial index: it serves each of them. They come last, or SQLite goes through
            // them all and sorts what it finds.
            match outcome {
                Outcome::Success => {}
                Outcome::Waiting | Outcome::Running => drop(sql.push(" AND ").push(OPEN_RUNS)),
                _ => drop(sql.push(" AND ").push(UNUSUAL_RUNS)),
            }
        }
    }
}

/// What the index tj_runs_open holds.
pub(super) const OPEN_RUNS: &str = "outcome IN ('waiting', 'running')";
/// What the indexes tj_runs_unusual and tj_runs_unusual_job hold.
pub(super) const UNUSUAL_RUNS: &str =
    "outcome IN ('failed', 'timeout', 'lost', 'skipped', 'missed', 'cancelled')";

pub(super) const COLUMNS: &str = "SELECT id, job_id, job_name, mode, command, source, outcome, reason, scheduled_ms, start_ms, \
    end_ms, attempt, missed_to_ms, missed_count, exit_code, error, result, http_method, http_status, http_url, \
    func_name, func_args, func_result";

/// What a job printed or was answered may be long: a page holds about so many characters of each of
/// these columns, shared by its records, and cuts what is longer. One record alone is whole.
const LONG_COLUMNS: [&str; 3] = ["stdout", "stderr", "http_resp"];
const PAGE_CHARS: i64 = 16 << 20;
const LONG_MIN: i64 = 16 << 10;

impl Store {
    /// A page of runs; `page` counts from 1. Long output is cut, see `LONG_COLUMNS`. The ids of a page are
    /// found in an index, from the nearer end of the list, before any record is read.
    pub async fn runs_page(
        &self,
        of: RunsOf,
        newest_first: bool,
        page: i64,
        size: i64,
    ) -> Result<Page<RunRecord>> {
        let total = self.total(of).await?;
        let offset = (page - 1).saturating_mul(size);
        let here = size.min(total - offset);
        if here <= 0 {
            return Ok(Page { items: Vec::new(), total });
        }
        let behind = total - offset - here;
        let from_end = behind < offset;
        let (first, skip) = (newest_first != from_end, if from_end { behind } else { offset });
        let mut sql = Sql::new(COLUMNS);
        let most = (PAGE_CHARS / size.max(1)).max(LONG_MIN);
        let length = self.read.dialect().length();
        for name in LONG_COLUMNS {
            sql.push(&format!(
                ", CASE WHEN {length}({name}) > {most} THEN concat(substr({name}, 1, {most}), '…') ELSE {name} END AS {name}"
            ));
        }
        let mut ids = Sql::new("");
        of.push_ids(&mut ids, self.read.dialect(), first);
        ids.push_bind(" LIMIT ?", if from_end { here } else { size }).push_bind(" OFFSET ?", skip);
        // No join: to plan one, PostgreSQL reads past all that retention left at the ends of the index.
        let ids: Vec<(i64,)> = self.read.fetch(&ids).await?;
        sql.push(&format!(" FROM tj_runs WHERE id IN {}", list(ids.into_iter().map(|(id,)| id))));
        sql.keep = false;
        let mut items: Vec<RunRecord> = self.read.fetch(&sql).await?;
        items.sort_unstable_by_key(|run| if newest_first { -run.id } else { run.id });
        Ok(Page { items, total })
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
         WHERE {OPEN_RUNS} ORDER BY id",
        dialect.indexed_by("tj_runs_open")
    )
}
