//! Looks at a database without changing it, also while a server runs: is it whole, and whose tables
//! does it hold? Nothing here migrates.

use super::open::{OpenError, explain_at};
use super::schema::{DONE, Done, Schema};
use super::sql::Dialect;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::path::{Path, PathBuf};
use std::time::Duration;

const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// The library's table of migrations.
const HISTORY: &str = "_sqlx_migrations";

/// What a look at a database found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    pub schema: Schema,
    /// What SQLite's quick check complains of first.
    pub damage: Option<String>,
}

/// Looks at the file; one that cannot be read is an error.
pub async fn inspect(path: &Path) -> Result<Inspection, OpenError> {
    if !path.exists() {
        return Ok(Inspection { schema: Schema::Absent, damage: None });
    }
    look(path).await.map_err(|e| explain_at(path, &e))
}

/// Only whose tables the file holds: quick, whatever its size.
pub async fn schema_of(path: &Path) -> Result<Schema, OpenError> {
    // Opening a folder says what is wrong with it.
    if !path.exists() || path.is_dir() {
        return Ok(Schema::Absent);
    }
    let look = async {
        let mut db = connect(path).await?;
        let schema = schema(&mut db).await?;
        db.close().await.map(|()| schema)
    };
    look.await.map_err(|e| explain_at(path, &e))
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
    let sql =
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *db).await?;
    let done: Vec<Done> = if tables.iter().any(|name| name == HISTORY) {
        sqlx::query_as(AssertSqlSafe(format!("{DONE}{HISTORY}"))).fetch_all(db).await?
    } else {
        Vec::new()
    };
    let others = done.is_empty() && tables.iter().any(|name| name != HISTORY);
    Ok(if others { Schema::Others } else { Schema::of(Dialect::Sqlite, &done) })
}
