//! Looks at a database without changing it, also while a server runs: is it whole, and whose tables
//! does it hold? Nothing here migrates.

use super::migrate::SQLITE;
use super::open::{OpenError, explain_at};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use std::path::{Path, PathBuf};
use std::time::Duration;

const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// The tables of a database, beside those that this binary makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// No file, or a file without tables of ours.
    Absent,
    Current(i64),
    Older(i64),
    Newer(i64),
}

impl Schema {
    /// The tables after migration `at`; 0: there are none.
    pub(super) fn of(at: i64) -> Self {
        match at.cmp(&newest_schema()) {
            _ if at == 0 => Self::Absent,
            std::cmp::Ordering::Less => Self::Older(at),
            std::cmp::Ordering::Equal => Self::Current(at),
            std::cmp::Ordering::Greater => Self::Newer(at),
        }
    }
}

/// What a look at a database found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    pub schema: Schema,
    /// What SQLite's quick check complains of first.
    pub damage: Option<String>,
}

/// The newest version of the tables that this binary knows.
pub fn newest_schema() -> i64 {
    SQLITE.iter().map(|m| m.version).max().unwrap_or_default()
}

/// Looks at the file; one that cannot be read is an error.
pub async fn inspect(path: &Path) -> Result<Inspection, OpenError> {
    if !path.exists() {
        return Ok(Inspection { schema: Schema::Absent, damage: None });
    }
    look(path).await.map_err(|e| explain_at(path, &e))
}

async fn look(path: &Path) -> Result<Inspection, sqlx::Error> {
    let mut db = connect(path).await?;
    let damage = first_damage(&mut db, "PRAGMA quick_check(1)").await?;
    let schema = schema(&mut db).await?;
    db.close().await?;
    Ok(Inspection { schema, damage })
}

/// Without a write-ahead log beside it nobody has the file open: it is read as if it stood on a
/// read-only disk, so that not even SQLite's own files appear.
pub(super) async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let alone = !PathBuf::from(log).exists();
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(alone);
    options.busy_timeout(BUSY_TIMEOUT).connect().await
}

pub(super) async fn first_damage(
    db: &mut SqliteConnection,
    check: &'static str,
) -> Result<Option<String>, sqlx::Error> {
    let verdict: String = sqlx::query_scalar(check).fetch_one(db).await?;
    Ok(Some(verdict).filter(|verdict| verdict != "ok"))
}

async fn schema(db: &mut SqliteConnection) -> Result<Schema, sqlx::Error> {
    let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'";
    let tables: i64 = sqlx::query_scalar(sql).fetch_one(&mut *db).await?;
    if tables == 0 {
        return Ok(Schema::Absent);
    }
    let sql = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
    let at: i64 = sqlx::query_scalar(sql).fetch_one(db).await?;
    Ok(Schema::of(at))
}
