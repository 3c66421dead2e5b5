//! Deletes old run records in small batches, so that fires never wait long for the writer. Open
//! runs are never deleted, and a job's last decided instant lives elsewhere.

use super::runs::OPEN_RUNS;
use super::sql::{Dialect, Sql, list};
use super::totals::Counted;
use super::{Result, RunsOf, Store};
use crate::domain::UtcMs;
use crate::domain::job::JobId;
use crate::domain::run::RunId;

/// At most about this many bytes of output go in one batch: freeing overflow pages is what takes the time.
const CHUNK_BYTES: i64 = 8 << 20;
/// Pages handed back to the file system at a time.
const VACUUM_PAGES: &str = "PRAGMA incremental_vacuum(2000)";
const WHICH: &str = "SELECT id, bytes, job_id, outcome FROM tj_runs WHERE 1 = 1";
const CLOSED: &str = " AND outcome NOT IN ('waiting', 'running') ";

/// What one batch of deletions did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub rows: usize,
    /// The batch was full: there may be more to delete after this run. Before it are only the remains of
    /// what went, which a server would read again and again until it has swept them up.
    pub more: Option<RunId>,
}

/// Which part of the runs to look at.
#[derive(Clone, Copy, Debug)]
pub struct Portion {
    /// Only runs behind this one.
    pub after: RunId,
    /// Rows that one transaction deletes at most.
    pub most: i64,
}

impl Store {
    /// Deletes runs created before `cutoff`.
    pub async fn prune_older(&self, cutoff: UtcMs, portion: Portion) -> Result<Pruned> {
        let mut which = Sql::new(WHICH);
        which.push_bind(" AND id < ?", RunId::first_at(cutoff).0);
        self.prune(which, portion, i64::MAX).await
    }

    /// The oldest and the newest run that a job has beyond its `keep` newest. Without the oldest,
    /// PostgreSQL looks for the next of a busy job from the first run of all.
    pub async fn surplus(&self, job: JobId, keep: u32) -> Result<Option<(RunId, RunId)>> {
        let text = "SELECT id FROM tj_runs WHERE job_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?";
        let newest: Option<(i64,)> =
            self.read.first(&Sql::new(text).bind(job.0).bind(i64::from(keep))).await?;
        let Some((newest,)) = newest else { return Ok(None) };
        let oldest = Sql::new("SELECT id FROM tj_runs WHERE job_id = ? ORDER BY id LIMIT 1").bind(job.0);
        Ok(Some((RunId(self.read.number(&oldest).await?), RunId(newest))))
    }

    /// Deletes runs of one job, up to `last`.
    pub async fn prune_job(&self, job: JobId, last: RunId, portion: Portion) -> Result<Pruned> {
        let mut which = Sql::new(WHICH);
        which.push_bind(" AND job_id = ?", job.0).push_bind(" AND id <= ?", last.0);
        self.prune(which, portion, i64::MAX).await
    }

    /// Deletes the oldest runs of all, until `excess` bytes are gone.
    pub async fn prune_oldest(&self, excess: i64, portion: Portion) -> Result<Pruned> {
        self.prune(Sql::new(WHICH), portion, excess).await
    }

    /// Deletes runs because somebody asked.
    pub async fn prune_asked(&self, of: RunsOf, portion: Portion) -> Result<Pruned> {
        let mut which = Sql::new(WHICH);
        of.push(&mut which);
        self.prune(which, portion, i64::MAX).await
    }

    /// Jobs that have more than `keep` runs.
    pub async fn jobs_with_more_runs(&self, keep: u32) -> Result<Vec<JobId>> {
        let dialect = self.read.dialect();
        let text = format!(
            "SELECT c.job_id FROM (SELECT job_id, {} AS runs FROM tj_run_counts \
             WHERE job_id > 0 GROUP BY job_id) AS c \
             LEFT JOIN (SELECT job_id, count(*) AS runs FROM tj_runs{} WHERE {OPEN_RUNS} GROUP BY job_id) AS o \
             ON o.job_id = c.job_id WHERE c.runs + coalesce(o.runs, 0) > ?",
            dialect.sum("runs"),
            dialect.indexed_by("tj_runs_open"),
        );
        let ids: Vec<(i64,)> = self.read.fetch(&Sql::new(text).bind(i64::from(keep))).await?;
        Ok(ids.into_iter().map(|(id,)| JobId(id)).collect())
    }

    /// Gives some of the freed pages back to the file system; answers whether there are more. A server
    /// uses the freed room again by itself.
    pub async fn shrink(&self) -> Result<bool> {
        if self.write.dialect() != Dialect::Sqlite {
            return Ok(false);
        }
        let before = self.free_pages().await?;
        self.write.execute(&Sql::new(VACUUM_PAGES)).await?;
        let left = self.free_pages().await?;
        // A file that another program made may be set to keep its pages: then they do not grow fewer.
        Ok(left > 0 && left < before)
    }

    async fn free_pages(&self) -> Result<i64> {
        self.write.number(&Sql::new("PRAGMA freelist_count")).await
    }

    async fn prune(&self, mut which: Sql, portion: Portion, enough: i64) -> Result<Pruned> {
        let Portion { after, most } = portion;
        which.push(CLOSED).push_bind("AND id > ?", after.0).push_bind(" ORDER BY id LIMIT ?", most);
        let mut tx = self.write.begin().await?;
        let found: Vec<(i64, i64, i64, String)> = tx.fetch(&which).await?;
        let (mut bytes, mut ids, mut counted) = (0, Vec::new(), Counted::default());
        for (id, size, job, outcome) in &found {
            if bytes >= CHUNK_BYTES.min(enough) {
                break;
            }
            ids.push(*id);
            bytes += size;
            counted.add(*job, RunId(*id), outcome.clone(), -1);
        }
        let rows = ids.len();
        let full = rows < found.len() || found.len() as i64 == most;
        let last = ids.last().copied().map(RunId).filter(|_| full);
        if rows > 0 {
            let text = format!("DELETE FROM tj_runs WHERE id IN {}", list(ids));
            if tx.execute(&Sql { keep: false, ..Sql::new(text) }).await? < rows as u64 {
                // Somebody deleted some of them meanwhile: the books are theirs to change. Look again.
                return Ok(Pruned { rows: 0, more: Some(after) });
            }
            let greatest = tx.dialect().greatest();
            let text = format!("UPDATE tj_system SET log_bytes = {greatest}(0, log_bytes - ?)");
            tx.execute(&Sql::new(text).bind(bytes)).await?;
            counted.save(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(Pruned { rows, more: last })
    }
}
