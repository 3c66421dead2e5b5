//! The first start on a database of an older edition (the Python one or the Go one): its jobs, admins
//! and execution logs are copied into our tables. Its own tables are only read.
//!
//! Everything happens in one transaction that ends with a marker, the report, in the settings; a start
//! that finds their tables, none of our jobs and no marker imports, so a crash changes nothing.

mod admins;
mod jobs;
mod read;
mod runs;

use super::db::Conn;
use super::sql::{Dialect, Sql};
use super::{Error, Result, Store};
use crate::domain::{Text, UtcMs};
use chrono_tz::Tz;
use read::Table;
use serde::Serialize;

/// The setting that says that the import is done, and what it did.
const MARKER: &str = "import";
/// Lines of the report of each kind; the counts go on.
const LINES_MAX: usize = 100;

/// What the import is not told by the old tables.
#[derive(Clone, Copy, Debug)]
pub struct How {
    pub now: UtcMs,
    /// The server's zone, in which the Python edition wrote its logs' times.
    pub zone: Tz,
    /// Runs of each job that are kept.
    pub keep: u32,
}

/// What an import did. No text in it holds a password.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Imported {
    pub jobs: u64,
    pub admins: u64,
    pub runs: u64,
    /// What was taken otherwise than it stood there, and why; the first hundred.
    pub changed: Vec<Text>,
    pub changed_count: u64,
    /// What was not taken, and why; the first hundred.
    pub not_taken: Vec<Text>,
    pub not_taken_count: u64,
}

impl Imported {
    fn changed(&mut self, what: Text) {
        self.changed_count += 1;
        if self.changed.len() < LINES_MAX {
            self.changed.push(what);
        }
    }

    fn not_taken(&mut self, what: Text) {
        self.not_taken_count += 1;
        if self.not_taken.len() < LINES_MAX {
            self.not_taken.push(what);
        }
    }
}

impl Store {
    /// Takes over what an older edition left in this database, once. `None`: there is nothing to take,
    /// it was taken before, or we have jobs of our own.
    pub async fn import_older(&self, how: &How) -> Result<Option<Imported>> {
        if self.write.dialect() == Dialect::Postgres {
            return Ok(None);
        }
        let mut tx = self.write.begin().await?;
        // Two servers that start at once: the second waits here, and then finds the marker.
        let text = format!("SELECT id FROM tj_system WHERE id = 1{}", tx.dialect().lock());
        tx.number(&Sql::new(text)).await?;
        let untouched = untouched(&mut tx).await?;
        let theirs = Table::find(&mut tx, "xiaohus_jobs").await?;
        let Some(jobs) = theirs.filter(|_| untouched) else {
            tx.commit().await?;
            return Ok(None);
        };
        let mut done = Imported::default();
        let mut greatest = jobs::take(&mut tx, &jobs, how, &mut done).await?;
        if let Some(admins) = Table::find(&mut tx, "xiaohus_admins").await? {
            admins::take(&mut tx, &admins, how, &mut done).await?;
        }
        if let Some(logs) = Table::find(&mut tx, "xiaohus_job_exec_logs").await? {
            greatest = greatest.max(runs::take(&mut tx, &logs, how, &mut done).await?);
        }
        skip_ids(&mut tx, greatest).await?;
        let report = serde_json::to_string(&done).map_err(|e| Error::Data(e.to_string()))?;
        let text = "INSERT INTO tj_settings (name, value) VALUES (?, ?)";
        tx.execute(&Sql::new(text).bind(MARKER).bind(report)).await?;
        tx.commit().await?;
        Ok(Some(done))
    }
}

/// Whether nobody has used our tables yet.
async fn untouched(tx: &mut Conn) -> Result<bool> {
    let text = "SELECT count(*) FROM tj_settings WHERE name = ?";
    let marked = tx.number(&Sql::new(text).bind(MARKER)).await?;
    let jobs = tx.number(&Sql::new("SELECT count(*) FROM (SELECT id FROM tj_jobs LIMIT 1) AS one")).await?;
    let runs = tx.number(&Sql::new("SELECT count(*) FROM (SELECT id FROM tj_runs LIMIT 1) AS one")).await?;
    Ok(marked == 0 && jobs == 0 && runs == 0)
}

/// Job ids go on above `greatest`, which a deleted job may have had: its records are not another's.
async fn skip_ids(tx: &mut Conn, greatest: i64) -> Result<()> {
    let there = tx.number(&Sql::new("SELECT count(*) FROM tj_jobs WHERE id = ?").bind(greatest)).await?;
    if there > 0 || greatest < 1 {
        return Ok(());
    }
    let text = "INSERT INTO tj_jobs (id, name, descr, trigger_type, cron_expr, interval_seconds, timezone, mode, \
                command, enabled, allow_mode, max_run_count, misfire_policy, misfire_window, recovery, \
                remove_task, remove_log, created_ms, updated_ms) \
                VALUES (?, '', '', '', '', 0, '', '', '', ?, 0, 0, '', 0, '', ?, ?, 0, 0)";
    tx.execute(&Sql::new(text).bind(greatest).bind(false).bind(false).bind(false)).await?;
    tx.execute(&Sql::new("DELETE FROM tj_jobs WHERE id = ?").bind(greatest)).await?;
    Ok(())
}

#[cfg(test)]
#[path = "import_test.rs"]
mod import_test;
