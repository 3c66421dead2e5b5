//! Deletes old run records in small batches, so that fires never wait long for the writer. Open
//! runs are never deleted, and a job's last decided instant lives elsewhere.

use super::{Result, RunsOf, Store};
use crate::domain::UtcMs;
use crate::domain::job::JobId;
use crate::domain::run::RunId;
use sqlx::{QueryBuilder, Sqlite};

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
        let mut which = QueryBuilder::new("SELECT id, bytes FROM tj_runs WHERE id < ");
        which.push_bind(RunId::first_at(cutoff).0);
        self.prune(which, i64::MAX).await
    }

    /// Deletes what one job has beyond its `keep` newest runs.
    pub async fn prune_job(&self, job: JobId, keep: u32) -> Result<Pruned> {
        let mut which = QueryBuilder::new("SELECT id, bytes FROM tj_runs WHERE job_id = ");
        which.push_bind(job.0).push(" AND id <= (SELECT id FROM tj_runs WHERE job_id = ").push_bind(job.0);
        which.push(" ORDER BY id DESC LIMIT 1 OFFSET ").push_bind(i64::from(keep)).push(")");
        self.prune(which, i64::MAX).await
    }

    /// Deletes the oldest runs of all, until `excess` bytes are gone.
    pub async fn prune_oldest(&self, excess: i64) -> Result<Pruned> {
        self.prune(QueryBuilder::new("SELECT id, bytes FROM tj_runs WHERE 1 = 1"), excess).await
    }

    /// Deletes runs because somebody asked.
    pub async fn prune_asked(&self, of: RunsOf) -> Result<Pruned> {
        let mut which = QueryBuilder::new("SELECT id, bytes FROM tj_runs WHERE 1 = 1");
        of.push(&mut which);
        self.prune(which, i64::MAX).await
    }

    /// Jobs with a run created since `since`.
    pub async fn jobs_run_since(&self, since: UtcMs) -> Result<Vec<JobId>> {
        let sql = "SELECT DISTINCT job_id FROM tj_runs NOT INDEXED WHERE id >= ?";
        let ids: Vec<i64> =
            sqlx::query_scalar(sql).bind(RunId::first_at(since).0).fetch_all(&self.read).await?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// Jobs that have more than `keep` runs.
    pub async fn jobs_with_more_runs(&self, keep: u32) -> Result<Vec<JobId>> {
        let sql = "SELECT job_id FROM tj_runs GROUP BY job_id HAVING count(*) > ?";
        let ids: Vec<i64> = sqlx::query_scalar(sql).bind(i64::from(keep)).fetch_all(&self.read).await?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// Gives some of the freed pages back to the file system; answers whether there are more.
    pub async fn shrink(&self) -> Result<bool> {
        let before = self.free_pages().await?;
        sqlx::query(VACUUM_PAGES).execute(&self.write).await?;
        let left = self.free_pages().await?;
        // A file that another program made may be set to keep its pages: then they do not grow fewer.
        Ok(left > 0 && left < before)
    }

    async fn free_pages(&self) -> Result<i64> {
        Ok(sqlx::query_scalar("PRAGMA freelist_count").fetch_one(&self.write).await?)
    }

    async fn prune(&self, mut which: QueryBuilder<Sqlite>, enough: i64) -> Result<Pruned> {
        which.push(CLOSED).push("ORDER BY id LIMIT ").push_bind(CHUNK);
        let mut tx = self.write.begin_with("BEGIN IMMEDIATE").await?;
        let found: Vec<(i64, i64)> = which.build_query_as().fetch_all(&mut *tx).await?;
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
            sqlx::query("DELETE FROM tj_runs WHERE id IN (SELECT value FROM json_each(?))")
                .bind(serde_json::Value::from(ids).to_string())
                .execute(&mut *tx)
                .await?;
            sqlx::query("UPDATE tj_system SET log_bytes = max(0, log_bytes - ?)")
                .bind(bytes)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(pruned)
    }
}
