//! Which tables a database has, beside those that this binary makes, and in one line why some are not
//! touched. Start, `migrate` and `doctor` refuse the same with the same words.

use super::chain;
use super::migrate::{self, SQLITE};
use super::sql::Dialect;
use sqlx::migrate::MigrateError;
use std::cmp::Ordering;
use std::fmt;

/// The tables of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// No file, or one without tables; on a server: without tables of ours.
    Absent,
    /// An SQLite file with tables, none of them ours: an older edition's, most likely.
    Others,
    Current(i64),
    Older(i64),
    Newer(i64),
    /// This migration was begun and did not end. Only MySQL, which commits each change of a table,
    /// leaves one so.
    Interrupted(i64),
    /// This migration ran from another text than this binary's.
    Changed(i64),
}

/// One migration, as people name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub version: i64,
    name: String,
}

/// Why a database's tables stay as they are, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {mend}")]
pub struct Refusal {
    pub(super) what: String,
    pub(super) mend: &'static str,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04} {}", self.version, self.name)
    }
}

/// The newest version of the tables that this binary knows.
pub fn newest_schema() -> i64 {
    SQLITE.iter().map(|m| m.version).max().unwrap_or_default()
}

/// What leads from version `at` to version `to`, in its order.
pub fn steps(at: i64, to: i64) -> Vec<Step> {
    let between = SQLITE.iter().filter(|m| at < m.version && m.version <= to);
    // The file's name has no blanks.
    between.map(|m| Step { version: m.version, name: m.description.replace(' ', "_") }).collect()
}

/// A row of the table of migrations: version, whether it ended, the checksum of its file.
pub(super) type Done = (i64, bool, Vec<u8>);

pub(super) const DONE: &str = "SELECT version, success, checksum FROM ";

impl Schema {
    pub(super) fn of(dialect: Dialect, done: &[Done]) -> Self {
        let at = done.iter().map(|(version, ..)| *version).max().unwrap_or_default();
        if at > newest_schema() {
            return Self::Newer(at);
        }
        let own = |version, checksum: &[u8]| {
            migrate::of(dialect).iter().any(|m| m.version == version && *m.checksum == *checksum)
        };
        for (version, ended, checksum) in done {
            if !ended {
                return Self::Interrupted(*version);
            }
            if !own(*version, checksum) {
                return Self::Changed(*version);
            }
        }
        match at.cmp(&newest_schema()) {
            _ if at == 0 => Self::Absent,
            Ordering::Less => Self::Older(at),
            _ => Self::Current(at),
        }
    }

    /// The version of tables that we can work with, 0: there are none yet.
    pub fn usable(self) -> Result<i64, Refusal> {
        let (what, mend) = match self {
            Self::Absent | Self::Others => return Ok(0),
            Self::Current(version) | Self::Older(version) => return Ok(version),
            Self::Newer(version) => (
                format!(
                    "the database was made by a newer version of TimerJobs (its tables are of version {version}, \
                     this program knows {})",
                    newest_schema()
                ),
                "start that version, or restore the backup from before the upgrade",
            ),
            Self::Interrupted(1) => (
                "the making of the tables was interrupted (migration 1)".to_owned(),
                "nothing is in them yet: drop them, with the table of migrations, and start again",
            ),
            Self::Interrupted(version) => (
                format!("an upgrade was interrupted in the middle (migration {version})"),
                "restore the backup from before the upgrade and start again",
            ),
            Self::Changed(version) => (
                format!("migration {version} of this database is not the one that this program has"),
                "start the build that made it, or restore a backup that a release made",
            ),
        };
        Err(Refusal { what, mend })
    }
}

/// What an error of the library means, where it came of migrations.
pub(super) fn refusal(dialect: Dialect, e: &sqlx::Error) -> Option<Refusal> {
    let sqlx::Error::Migrate(e) = e else { return None };
    let schema = match &**e {
        MigrateError::VersionMissing(version) => Schema::Newer(*version),
        MigrateError::Dirty(version) if *version > newest_schema() => Schema::Newer(*version),
        MigrateError::Dirty(version) => Schema::Interrupted(*version),
        MigrateError::VersionMismatch(version) => Schema::Changed(*version),
        MigrateError::ExecuteMigration(cause, version) => {
            let what = format!("migration {version} failed ({})", chain(cause));
            let mend = match dialect {
                Dialect::MySql => {
                    "mend the cause, restore the backup from before the upgrade and start again"
                }
                Dialect::Sqlite | Dialect::Postgres => {
                    "it was undone, nothing is lost: mend the cause and start again"
                }
            };
            return Some(Refusal { what, mend });
        }
        _ => return None,
    };
    schema.usable().err()
}

#[cfg(test)]
#[path = "schema_test.rs"]
mod schema_test;
