//! Opens an SQLite file at start: settings of each connection, migrations, and a first line of help
//! for everything that can be wrong with the file.

#[cfg(test)]
use super::Faults;
use super::db::{Db, Pool};
use super::schema::{newest_schema, refusal};
use super::sql::Dialect;
use super::{Error, Store, chain, migrate};
use crate::private;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a writer waits for a lock that another process holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Above this size the whole-file check at start would take seconds.
const CHECK_MAX_BYTES: u64 = 64 << 20;
const READERS: u32 = 4;

/// Why the database cannot be used, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}; {mend}")]
pub struct OpenError {
    path: String,
    what: String,
    mend: &'static str,
}

impl OpenError {
    fn new(path: &Path, what: String, mend: &'static str) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
        Self { path, what, mend }
    }
}

/// Which file a path led to when it was opened.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl OpenFile {
    fn look(path: &Path) -> std::io::Result<Self> {
        let path = std::path::absolute(path)?;
        Ok(Self { identity: identity(&path)?, path })
    }

    pub fn still_there(&self) -> Result<(), Error> {
        match identity(&self.path) {
            Ok(found) if found == self.identity => Ok(()),
            _ => Err(Error::FileGone(self.path.display().to_string())),
        }
    }
}

/// Device and inode.
#[cfg(unix)]
fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|_| (0, 0))
}

impl Store {
    /// Opens the file, makes it when there is none, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_at(path, newest_schema()).await
    }

    /// Brings the tables to this version only.
    pub async fn open_at(path: &Path, version: i64) -> Result<Self, OpenError> {
        Self::open_within(path, version, BUSY_TIMEOUT).await
    }

    async fn open_within(path: &Path, version: i64, busy: Duration) -> Result<Self, OpenError> {
        let fail = |what: String, mend| OpenError::new(path, what, mend);
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            private::make_folder(folder).map_err(|e| {
                fail(format!("the folder cannot be made: {e}"), "choose another DATA_DIR or mend its rights")
            })?;
        }
        if path.is_dir() {
            return Err(fail("is a folder".into(), "name a file in DATABASE_URL"));
        }
        // Before SQLite makes it for everybody; the files beside it get its rights.
        drop(make_file(path));
        Self::connect(path, version, busy).await.map_err(|e| explain_at(path, &e))
    }

    async fn connect(path: &Path, version: i64, busy: Duration) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(busy)
            .foreign_keys(false);
        // Connections are never closed for being idle or old: reopening costs more than keeping.
        let pool = || SqlitePoolOptions::new().idle_timeout(None).max_lifetime(None);
        let write: SqlitePool = pool().max_connections(1).connect_with(options).await?;
        if std::fs::metadata(path).is_ok_and(|m| m.len() <= CHECK_MAX_BYTES) {
            let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&write).await?;
            if verdict != "ok" {
                return Err(sqlx::Error::Protocol(format!("database disk image is malformed ({verdict})")));
            }
        }
        let migrator = migrate::migrator(Dialect::Sqlite, "tj_");
        migrator.run_to(version, &write).await.map_err(|e| sqlx::Error::Migrate(Box::new(e)))?;
        // A write that changes nothing: a file that cannot be written is found now, not at the first fire.
        sqlx::query("UPDATE tj_system SET id = id").execute(&write).await?;
        // Readers set nothing that would need the write lock, and are all there from the start: while
        // somebody holds that lock, people can still look.
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(busy);
        let read = pool().min_connections(1).max_connections(READERS).connect_with(options).await?;
        let db = |pool| Db::new(Pool::Sqlite(pool), "tj_", None);
        let place =
            format!("sqlite:///{}", std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display());
        Ok(Self {
            read: db(read),
            write: db(write),
            place: place.into(),
            file: Some(Arc::new(OpenFile::look(path).map_err(sqlx::Error::Io)?)),
            term: None,
            #[cfg(test)]
            faults: Faults::default(),
        })
    }
}

/// Locks the database for one server by a file beside it, `None`: another has it. Whatever the way to
/// it, through links or not, it is one lock.
pub fn lock_beside(path: &Path) -> io::Result<Option<File>> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    private::make_folder(folder)?;
    make_file(path)?;
    let mut name = path.canonicalize()?.into_os_string();
    name.push(".lock");
    private::lock(Path::new(&name))
}

/// Makes the file where there is none, also where a link leads to none. One that is there is not even
/// opened: closing it would drop SQLite's locks on it.
fn make_file(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    private::options().create(true).append(true).open(path).map(drop)
}

/// What an error of the library means for the file.
pub(super) fn explain_at(path: &Path, e: &sqlx::Error) -> OpenError {
    let fail = |what: String, mend| OpenError::new(path, what, mend);
    if let Some(refusal) = refusal(Dialect::Sqlite, e) {
        return fail(refusal.what, refusal.mend);
    }
    let text = chain(e);
    let has = |part: &str| text.contains(part);
    if has("not a database") || has("malformed") {
        fail(
            "the database file is damaged or is no database".into(),
            "restore a backup, or move the file away to start with an empty one",
        )
    } else if has("locked") || has("busy") {
        fail(
            "another program holds the database locked".into(),
            "stop that program (a second server? an open sqlite3 shell?) and start again",
        )
    } else if has("readonly") || has("read-only") || has("unable to open") || has("ermission denied") {
        fail(
            "the database cannot be opened for writing".into(),
            "give this user write access to the file and its folder, or choose another DATA_DIR",
        )
    } else if has("disk is full") || has("No space left") {
        fail("the disk is full".into(), "free some space and start again")
    } else {
        fail(format!("the database cannot be opened ({text})"), "see the cause in brackets")
    }
}

#[cfg(test)]
#[path = "open_test.rs"]
mod open_test;
