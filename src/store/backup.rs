//! A consistent copy of the database while everybody works on. The copy is checked before it gets
//! its name, so whatever bears the name of a backup is one.

use super::chain;
use super::inspect::{connect, first_damage};
use super::open::{OpenError, explain_at};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A server at work holds its locks for milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no backup, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{}: there is no database yet; start the server or run `timerjobs db init`", .0.display())]
    NoDatabase(PathBuf),
    #[error("{}: is there already, and a backup never overwrites; name another file", .0.display())]
    Taken(PathBuf),
    #[error("{}: another backup is being written, or one died; delete this file if none is", .0.display())]
    Draft(PathBuf),
    #[error("{}: the backup cannot be written ({source}); choose another BACKUP_DIR", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: the disk is full; free some space, or choose another BACKUP_DIR", .0.display())]
    Full(PathBuf),
    #[error(transparent)]
    Database(#[from] OpenError),
    #[error("{}: the copy failed its check ({damage}) and was deleted; check the disk and the database", .path.display())]
    Damaged { path: PathBuf, damage: String },
}

/// Copies the database `from` into the new file `to`; gives the bytes of the copy.
pub async fn backup(from: &Path, to: &Path) -> Result<u64, BackupError> {
    if !from.exists() {
        return Err(BackupError::NoDatabase(from.to_owned()));
    }
    let draft = Draft::create(to)?;
    copy(from, &draft.0).await.map_err(|e| match chain(&e).contains("disk is full") {
        // Of the two files only the copy grows.
        true => BackupError::Full(to.to_owned()),
        false => explain_at(from, &e).into(),
    })?;
    if let Some(damage) = check(&draft.0).await.map_err(|e| explain_at(&draft.0, &e))? {
        return Err(BackupError::Damaged { path: to.to_owned(), damage });
    }
    draft.becomes(to).map_err(|source| BackupError::File { path: to.to_owned(), source })
}

/// Reads in one transaction, so the copy is of one moment; writers go on.
async fn copy(from: &Path, to: &Path) -> Result<(), sqlx::Error> {
    let mut db = SqliteConnectOptions::new().filename(from).busy_timeout(BUSY_TIMEOUT).connect().await?;
    let name = to.to_str().ok_or_else(|| sqlx::Error::Protocol("the name of the copy is no UTF-8".into()))?;
    let copied = sqlx::query("VACUUM INTO ?").bind(name).execute(&mut db).await;
    db.close().await?;
    copied.map(drop)
}

async fn check(copy: &Path) -> Result<Option<String>, sqlx::Error> {
    let mut db = connect(copy).await?;
    let damage = first_damage(&mut db, "PRAGMA integrity_check(1)").await?;
    db.close().await?;
    Ok(damage)
}

/// A backup that is being written; deleted unless it gets its name.
struct Draft(PathBuf);

impl Draft {
    /// Creating it is the lock: of two backups with one name, the second stops here or finds the name
    /// taken.
    fn create(to: &Path) -> Result<Self, BackupError> {
        let fail = |source| BackupError::File { path: to.to_owned(), source };
        if let Some(folder) = to.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(fail)?;
        }
        let mut name = to.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let mut options = OpenOptions::new();
        options.create_new(true).write(true);
        // It holds what the database holds.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(BackupError::Draft(path)),
            Err(e) => return Err(fail(e)),
        }
        let draft = Self(path);
        if to.symlink_metadata().is_ok() { Err(BackupError::Taken(to.to_owned())) } else { Ok(draft) }
    }

    fn becomes(self, to: &Path) -> io::Result<u64> {
        let file = File::open(&self.0)?;
        file.sync_all()?;
        fs::rename(&self.0, to)?;
        Ok(file.metadata()?.len())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
#[path = "backup_test.rs"]
mod backup_test;
