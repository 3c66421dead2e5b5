//! Where jobs and runs are kept. The only place that names the SQL library. It decides nothing:
//! the engine composes a `Batch`, one transaction makes it durable.
//!
//! One connection writes, a few read (WAL lets them work side by side). Group commit happens in
//! the engine's loop: whatever comes in while one batch is being committed goes into the next.

mod accounts;
mod again;
mod at_once;
mod audit;
mod backup;
mod batch;
mod copy;
mod db;
#[cfg(test)]
mod faults;
mod hold;
mod import;
mod inspect;
mod job_list;
mod jobs;
mod link;
mod migrate;
#[cfg(target_os = "linux")]
mod nodelay;
mod open;
mod pool;
mod record;
mod report;
mod retention;
mod run_list;
mod runs;
mod schedules;
mod schema;
mod secrets;
mod server;
mod settings;
mod sql;
mod totals;
mod write_job;

use db::Db;
use sql::{Dialect, Sql};
use std::sync::Arc;
use std::time::Duration;

pub use accounts::{Account, AccountWritten, Accounts, NewToken, Proof, Token};
pub use audit::{AuditList, AuditRow};
pub use backup::backup;
pub use batch::{Batch, Committed, JobWrite, JobWritten, NewRun, RunClose, RunStart, StateReset};
pub use copy::{Copied, Progress};
#[cfg(test)]
pub use faults::{Fault, Faults};
pub use hold::{Held, hold};
pub use import::How;
pub use inspect::{inspect, schema_of};
pub use job_list::{JobList, JobPlace, JobSort};
pub use jobs::{JobFilter, JobRecord, JobState, Page, StateCounts};
pub use open::lock_beside;
pub use report::JobTimes;
pub use retention::{Portion, Pruned};
pub use run_list::RunList;
pub use runs::{OpenRun, RunRecord, RunsOf};
pub use schedules::SameSchedule;
pub use schema::{Schema, Step, newest_schema, steps};
pub use secrets::Sealed;
pub use server::{Server, ServerError, ServerKind, TlsMode, inspect_server};
#[cfg(test)]
pub use testing::{Kept, Place, fresh_file};
pub use totals::SlotCount;

/// A failure of the database. The cause is in the chain; no text in it comes from a user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database does not answer as it should")]
    Database(#[from] sqlx::Error),
    #[error("the database did not answer within {0} s")]
    TimedOut(u64),
    #[error("{0}: the database file was moved, deleted or replaced; put it back, or restart the server")]
    FileGone(String),
    #[error("stored data cannot be read: {0}")]
    Data(String),
    #[error("another TimerJobs server has taken this database over")]
    TakenOver,
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
    read: Db,
    write: Db,
    /// Where it is, for people: a file or an address, without a password.
    place: Arc<str>,
    /// The file of an SQLite database as it was opened.
    file: Option<Arc<open::OpenFile>>,
    /// The server's turn at this database, once `take_over` was called.
    term: Option<i64>,
    #[cfg(test)]
    faults: Faults,
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
    pub table_prefix: String,
    pub version: String,
    pub size_bytes: i64,
}

impl Store {
    pub async fn info(&self) -> Result<DatabaseInfo> {
        let (kind, version, size) = match self.read.dialect() {
            Dialect::Sqlite => {
                let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
                ("sqlite", "SELECT sqlite_version()", size)
            }
            Dialect::MySql => {
                let size = "SELECT CAST(coalesce(sum(data_length + index_length), 0) AS SIGNED) \
                            FROM information_schema.tables WHERE table_schema = database()";
                ("mysql", "SELECT version()", size)
            }
            Dialect::Postgres => {
                let version = "SELECT current_setting('server_version')";
                ("postgres", version, "SELECT pg_database_size(current_database())")
            }
        };
        let found: Option<(String,)> = self.read.first(&Sql::new(version)).await?;
        let size_bytes = self.read.number(&Sql::new(size)).await?;
        let version = found.map(|(version,)| version).unwrap_or_default();
        let (url, table_prefix) = (self.place.to_string(), self.read.prefix().to_owned());
        Ok(DatabaseInfo { kind, url, table_prefix, version, size_bytes })
    }

    pub async fn system(&self) -> Result<System> {
        let sql =
            Sql::new("SELECT instance, clock_epoch, last_seen_ms, log_bytes FROM tj_system WHERE id = 1");
        self.read.first(&sql).await?.ok_or_else(|| Error::Data("tj_system has no row".into()))
    }

    /// Makes this the only store whose commits are accepted. A server that was thought dead, and whose
    /// lock on the database was lost with its connection, can then do no harm: its next commit is refused.
    pub async fn take_over(mut self) -> Result<Self> {
        let mut tx = self.write.begin().await?;
        tx.execute(&Sql::new("UPDATE tj_system SET term = term + 1")).await?;
        self.term = Some(tx.number(&Sql::new("SELECT term FROM tj_system")).await?);
        tx.commit().await?;
        Ok(self)
    }

    /// Asks the database whether it still reads and would write.
    pub async fn ping(&self) -> Result<()> {
        self.still_there()?;
        let alive = Sql::new("SELECT id FROM tj_system WHERE id = 1");
        self.read.conn_within(link::FIRST_PATIENCE).await?.number(&alive).await?;
        Ok(())
    }

    /// SQLite goes on writing to a file that was deleted or replaced, and nobody would find it again.
    fn still_there(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.still_there())
    }

    /// Writes one row as it is: an error while the disk is full, the file locked or the server away. On
    /// a server it also waits for a commit that is still under way there, as each ends with this row.
    pub async fn probe_write(&self) -> Result<()> {
        self.still_there()?;
        #[cfg(test)]
        self.faults.probe()?;
        let limit = self.write.server().map_or(Duration::MAX, |server| server.link.probe_patience());
        let mut conn = self.write.conn_within(limit).await?;
        let touch = Sql::new("UPDATE tj_system SET log_bytes = log_bytes");
        self.only_ours(conn.execute(&self.in_our_term(touch)).await?)?;
        if let Some(server) = self.write.server() {
            server.link.note_life(server.timeout);
        }
        Ok(())
    }

    /// We are stopping, and the database server is away: nobody waits for it any more.
    pub fn hurry(&self) {
        if let Some(server) = self.write.server() {
            server.link.hurry();
        }
    }

    /// Lets a change of `tj_system` pass only while nobody has taken over.
    fn in_our_term(&self, mut sql: Sql) -> Sql {
        if let Some(term) = self.term {
            sql.push_bind(" WHERE term = ?", term);
        }
        sql
    }

    fn only_ours(&self, rows: u64) -> Result<()> {
        if rows == 0 { Err(Error::TakenOver) } else { Ok(()) }
    }

    /// Where the database is, for people.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Ends all connections; the write-ahead log goes back into the file.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

#[cfg(test)]
mod accounts_test;
#[cfg(test)]
mod jobs_test;
#[cfg(test)]
mod report_test;
#[cfg(test)]
mod retention_test;
#[cfg(test)]
mod schedules_test;
#[cfg(test)]
mod store_test;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod totals_test;
