//! Backups and looks at databases that are whole, old, new, damaged or not there.

use super::*;
use crate::store::inspect::Inspection;
use crate::store::sql::Sql;
use crate::store::store_test::{add, fresh_file};
use crate::store::{Schema, Store, inspect, newest_schema};
use tempfile::tempdir;

#[tokio::test]
async fn a_copy_of_a_database_at_work_holds_what_was_committed() {
    let (store, dir) = fresh_file().await;
    let job = add(&store, "kept").await;
    let to = dir.folder().join("backups/a copy.db");
    let bytes = backup(&dir.path(), &to).await.unwrap();
    assert_eq!(bytes, fs::metadata(&to).unwrap().len());
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&to.metadata().unwrap().permissions()) & 0o777, 0o600);
    add(&store, "later").await;
    let copy = Store::open(&to).await.unwrap();
    assert_eq!(copy.job(job.id).await.unwrap().map(|j| j.name), Some("kept".to_owned()));
    assert_eq!(copy.job_counts().await.unwrap().total, 1);
}

#[tokio::test]
async fn a_backup_never_overwrites_and_leaves_no_draft() {
    let (_store, dir) = fresh_file().await;
    let to = dir.folder().join("taken");
    fs::write(&to, "mine").unwrap();
    let e = backup(&dir.path(), &to).await.unwrap_err();
    assert!(matches!(e, BackupError::Taken(_)), "{e}");
    assert_eq!(fs::read_to_string(&to).unwrap(), "mine");
    assert!(!dir.folder().join("taken.part").exists());

    fs::write(dir.folder().join("other.part"), "").unwrap();
    let e = backup(&dir.path(), &dir.folder().join("other")).await.unwrap_err();
    assert!(matches!(e, BackupError::Draft(_)), "{e}");
    assert!(dir.folder().join("other.part").exists(), "it may be somebody's");

    let e = backup(&dir.folder().join("nothing.db"), &dir.folder().join("x")).await.unwrap_err();
    assert!(matches!(e, BackupError::NoDatabase(_)), "{e}");
    let e = backup(&dir.path(), &to.join("beneath a file")).await.unwrap_err();
    assert!(e.to_string().contains("BACKUP_DIR"), "{e}");
}

#[tokio::test]
async fn looking_tells_and_changes_nothing() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("x.db");
    assert_eq!(inspect(&path).await.unwrap().schema, Schema::Absent);
    assert!(!path.exists(), "a look makes no file");
    let store = Store::open(&path).await.unwrap();
    let newest = newest_schema();
    assert_eq!(inspect(&path).await.unwrap(), Inspection { schema: Schema::Current(newest), damage: None });
    for (version, schema) in [(newest + 1, Schema::Newer(newest + 1)), (1, Schema::Older(1))] {
        let text = "UPDATE _sqlx_migrations SET version = ? WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
        store.write.execute(&Sql::new(text).bind(version)).await.ok();
        let text = "DELETE FROM _sqlx_migrations WHERE version > ?";
        store.write.execute(&Sql::new(text).bind(version)).await.unwrap();
        assert_eq!(inspect(&path).await.unwrap().schema, schema);
    }
    store.close().await;
    let before = fs::read(&path).unwrap();
    inspect(&path).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
    let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files, ["x.db"], "nor a file of SQLite's own");

    let mut damaged = before;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 4_096].fill(0xEE);
    fs::write(&path, damaged).unwrap();
    let seen = inspect(&path).await;
    assert!(seen.is_err() || seen.is_ok_and(|seen| seen.damage.is_some()));
    fs::write(&path, "no database at all, only text that is long enough. ".repeat(100)).unwrap();
    assert!(inspect(&path).await.unwrap_err().to_string().contains("restore a backup"));
}
