//! Deletes old run records in small batches, so that fires never wait long for the writer. Open
//! runs are never deleted, and a job's last decided instant lives elsewhere.

use super::sql::{Dialect, Sql, list};
use super::{Result, RunsOf, Store};
use crate::domain::UtcMs;
use crate::domain::job::JobId;
use crate::domain::run::RunId;

/// At most this many rows are deleted in one transaction.
const CHUNK: i64 = 500;
/// And about this many bytes of output: freeing overflow pages is what takes the time.
const CHUNK_BYTES: i64 = 8 << 20;
/// Pages handed back to the file system at a time.
const VACUUM_PAGES: &str = "PRAGMA incremental_vacuum(2000)";
const CLOSED: &str = " AND outcome NOT IN ('waiting', 'running') ";

/// What one batch of deletions did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub rows: usize,
    /// The batch was full: there may be more to delete.
    pub more: bool,
}

impl Store {
    /// Deletes runs created before `cutoff`.
    pub async fn prune_older(&self, cutoff: UtcMs) -> Result<Pruned> {
        let text = "SELECT id, bytes FROM tj_runs WHERE id < ?";
        self.prune(Sql::new(text).bind(RunId::first_at(cutoff).0), i64::MAX).await
    }

    /// Deletes what one job has beyond its `keep` newest runs.
    pub async fn prune_job(&self, job: JobId, keep: u32) -> Result<Pruned> {
        let newest = "SELECT id FROM tj_runs WHERE job_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?";
        let newest = Sql::new(newest).bind(job.0).bind(i64::from(keep));
        let Some((last,)) = self.write.first::<(i64,)>(&newest).await? else { return Ok(Pruned::default()) };
        let text = "SELECT id, bytes FROM tj_runs WHERE job_id = ? AND id <= ?";
        self.prune(Sql::new(text).bind(job.0).bind(last), i64::MAX).await
    }

    /// Deletes the oldest runs of all, until `excess` bytes are gone.
    pub async fn prune_oldest(&self, excess: i64) -> Result<Pruned> {
        self.prune(Sql::new("SELECT id, bytes FROM tj_runs WHERE 1 = 1"), excess).await
    }

    /// Deletes runs because somebody asked.
    pub async fn prune_asked(&self, of: RunsOf) -> Result<Pruned> {
        let mut which = Sql::new("SELECT id, bytes FROM tj_runs WHERE 1 = 1");
        of.push(&mut which);
        self.prune(which, i64::MAX).await
    }

    /// Jobs with a run created since `since`.
    pub async fn jobs_run_since(&self, since: UtcMs) -> Result<Vec<JobId>> {
        // By the primary key: the other index would read every run.
        let not_indexed = if self.read.dialect() == Dialect::Sqlite { " NOT INDEXED" } else { "" };
        let text = format!("SELECT DISTINCT job_id FROM tj_runs{not_indexed} WHERE id >= ?");
        self.job_ids(Sql::new(text).bind(RunId::first_at(since).0)).await
    }

    /// Jobs that have more than `keep` runs.
    pub async fn jobs_with_more_runs(&self, keep: u32) -> Result<Vec<JobId>> {
        let text = "SELECT job_id FROM tj_runs GROUP BY job_id HAVING count(*) > ?";
        self.job_ids(Sql::new(text).bind(i64::from(keep))).await
    }

    async fn job_ids(&self, sql: Sql) -> Result<Vec<JobId>> {
        let ids: Vec<(i64,)> = self.read.fetch(&sql).await?;
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

    async fn prune(&self, mut which: Sql, enough: i64) -> Result<Pruned> {
        which.push(CLOSED).push_bind("ORDER BY id LIMIT ?", CHUNK);
        let mut tx = self.write.begin().await?;
        let found: Vec<(i64, i64)> = tx.fetch(&which).await?;
        let (mut bytes, mut ids) = (0, Vec::new());
        for (id, size) in &found {
            if bytes >= CHUNK_BYTES.min(enough) {
                break;
            }
            ids.push(*id);
            bytes += size;
        }
        let pruned = Pruned { rows: ids.len(), more: ids.len() < found.len() || found.len() as i64 == CHUNK };
        if pruned.rows > 0 {
            let text = format!("DELETE FROM tj_runs WHERE id IN {}", list(ids));
            tx.execute(&Sql { keep: false, ..Sql::new(text) }).await?;
            let greatest = tx.dialect().greatest();
            let text = format!("UPDATE tj_system SET log_bytes = {greatest}(0, log_bytes - ?)");
            tx.execute(&Sql::new(text).bind(bytes)).await?;
        }
        tx.commit().await?;
        Ok(pruned)
    }
}
