//! Where jobs and runs are kept. The only place that names the SQL library. It decides nothing:
//! the engine composes a `Batch`, one transaction makes it durable.
//!
//! One connection writes, a few read (WAL lets them work side by side). Group commit happens in
//! the engine's loop: whatever comes in while one batch is being committed goes into the next.

mod backup;
mod batch;
mod inspect;
mod jobs;
mod open;
mod report;
mod retention;
mod runs;
mod settings;
mod write_job;

use sqlx::sqlite::SqlitePool;
use std::path::PathBuf;

pub use backup::backup;
pub use batch::{Batch, Committed, JobWrite, JobWritten, NewRun, RunClose, RunStart, StateReset};
pub use inspect::{Schema, inspect, newest_schema};
pub use jobs::{JobFilter, JobRecord, JobState, Page, StateCounts};
pub use open::lock_beside;
pub use report::JobTimes;
pub use retention::Pruned;
pub use runs::{OpenRun, RunFilter, RunRecord, RunsOf};

/// A failure of the database. The cause is in the chain; no text in it comes from a user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database does not answer as it should")]
    Database(#[from] sqlx::Error),
    #[error("stored data cannot be read: {0}")]
    Data(String),
}

pub type Result<T> = std::result::Result<T, Error>;

/// The error and its causes in one line, each said once.
pub fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut source = e.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// A handle to the database; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    read: SqlitePool,
    write: SqlitePool,
    path: PathBuf,
}

/// The one row that belongs to no job.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct System {
    pub instance: String,
    pub clock_epoch: i64,
    pub last_seen_ms: i64,
    pub log_bytes: i64,
}

/// What people may know of the database; the URL holds no password.
#[derive(Clone, Debug)]
pub struct DatabaseInfo {
    pub kind: &'static str,
    pub url: String,
    pub table_prefix: &'static str,
    pub version: String,
    pub size_bytes: i64,
}

impl Store {
    pub async fn info(&self) -> Result<DatabaseInfo> {
        let version = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&self.read).await?;
        let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let size_bytes = sqlx::query_scalar(sql).fetch_one(&self.read).await?;
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        let url = format!("sqlite:///{}", path.display());
        Ok(DatabaseInfo { kind: "sqlite", url, table_prefix: "tj_", version, size_bytes })
    }

    pub async fn system(&self) -> Result<System> {
        let sql = "SELECT instance, clock_epoch, last_seen_ms, log_bytes FROM tj_system WHERE id = 1";
        Ok(sqlx::query_as(sql).fetch_one(&self.read).await?)
    }

    /// Asks the database whether it still reads and would write.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT id FROM tj_system WHERE id = 1").fetch_one(&self.read).await?;
        Ok(())
    }

    /// Writes one row as it is: an error while the disk is full or the file locked.
    pub async fn probe_write(&self) -> Result<()> {
        sqlx::query("UPDATE tj_system SET log_bytes = log_bytes").execute(&self.write).await?;
        Ok(())
    }

    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Ends all connections; the write-ahead log goes back into the file.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

#[cfg(test)]
mod jobs_test;
#[cfg(test)]
mod report_test;
#[cfg(test)]
mod retention_test;
#[cfg(test)]
mod store_test;
