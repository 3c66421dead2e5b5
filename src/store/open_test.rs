//! Opening the database: how each connection is set, and one line of help for a file that is no good.

use super::*;
use crate::domain::run::{Outcome, Report};
use crate::store::Batch;
use crate::store::sql::Sql;
use crate::store::store_test::{NOW, add, books_balance, close, commit_opens, fresh_file, get, run};
use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions, Connection};
use std::path::PathBuf;
use tempfile::tempdir;

const SHORT: Duration = Duration::from_millis(50);

/// A connection of somebody else.
async fn stranger(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

/// The one line of a database that is refused.
async fn refused(path: &Path) -> String {
    let line = Store::open_within(path, newest_schema(), SHORT).await.expect_err("refused").to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with(&path.display().to_string()) && line.contains("; "), "{line}");
    line
}

#[tokio::test]
async fn every_connection_is_durable() {
    let (store, _dir) = fresh_file().await;
    for pool in [&store.write, &store.read] {
        let mode: Option<(String,)> = pool.first(&Sql::new("PRAGMA journal_mode")).await.unwrap();
        let sync = pool.number(&Sql::new("PRAGMA synchronous")).await.unwrap();
        let busy = pool.number(&Sql::new("PRAGMA busy_timeout")).await.unwrap();
        assert_eq!((mode.unwrap().0.as_str(), sync, busy), ("wal", 2, 2_000), "WAL, FULL, 2 s");
    }
    assert_eq!(store.raw_number("PRAGMA auto_vacuum").await, 2, "incremental: space can be given back");
}

#[tokio::test]
async fn a_new_file_is_made_with_its_folders_and_found_again() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("数据 folder/a'b/timer jobs.db");
    let store = Store::open(&path).await.unwrap();
    let job = add(&store, "kept").await;
    let instance = store.system().await.unwrap().instance;
    assert!(store.place().ends_with("timer jobs.db") && instance.len() == 32);
    store.ping().await.unwrap();
    store.probe_write().await.unwrap();
    store.close().await;
    let again = Store::open(&path).await.unwrap();
    assert_eq!(again.job(job.id).await.unwrap().map(|j| j.name), Some("kept".to_owned()));
    assert_eq!(again.system().await.unwrap().instance, instance, "children are known by it after a restart");
    let other = Store::open(&dir.path().join("other.db")).await.unwrap();
    assert_ne!(other.system().await.unwrap().instance, instance);
}

#[tokio::test]
async fn an_empty_file_is_a_new_database() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("empty.db");
    std::fs::write(&path, "").unwrap();
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.job_counts().await.unwrap().total, 0);
}

/// A server that was killed leaves its write-ahead log: what it had committed is there.
#[tokio::test]
async fn what_was_committed_is_on_disk_before_close() {
    let (store, dir) = fresh_file().await;
    let job = add(&store, "kept").await;
    let copy = tempdir().unwrap();
    for file in std::fs::read_dir(dir.path().parent().unwrap()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let survivor = Store::open(&copy.path().join("jobs.db")).await.unwrap();
    assert_eq!(survivor.job(job.id).await.unwrap().map(|j| j.name), Some("kept".to_owned()));
}

#[tokio::test]
async fn garbage_is_refused() {
    let dir = tempdir().unwrap();
    for (name, bytes) in [
        ("text.db", b"this is no database".repeat(1_000)),
        ("short.db", b"garbage".to_vec()),
        ("head.db", [b"SQLite format 3\0".to_vec(), vec![0xff; 8_000]].concat()),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let line = refused(&path).await;
        assert!(line.contains("damaged or is no database"), "{line}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name}: it is left as it is");
    }
}

/// A closed database of some 400 pages, and its bytes.
async fn filled() -> (PathBuf, Vec<u8>, crate::store::testing::Place) {
    let (store, dir) = fresh_file().await;
    let job = add(&store, &"n".repeat(90)).await;
    for _ in 0..4 {
        commit_opens(&store, (0..1_000).map(|_| run(&job, None)).collect()).await;
    }
    store.close().await;
    let path = dir.path();
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > 100 * 4_096);
    (path, bytes, dir)
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    let (path, whole, _dir) = filled().await;
    let middle = whole.len() / 4_096 / 2 * 4_096;
    let mut torn = whole.clone();
    torn[middle..middle + 4_096].fill(0xa5);
    let mut half_written = whole.clone();
    half_written.drain(middle + 1_000..middle + 4_096);
    for (what, bytes) in [
        ("a page of noise", torn),
        ("a page cut short in the middle", half_written),
        ("the end cut off", whole[..middle].to_vec()),
        ("the end cut off within a page", whole[..middle + 1_000].to_vec()),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let line = refused(&path).await;
        assert!(line.contains("damaged or is no database"), "{what}: {line}");
    }
    std::fs::write(&path, whole).unwrap();
    assert!(Store::open(&path).await.is_ok(), "the whole file was good");
}

#[tokio::test]
async fn a_folder_is_refused() {
    let dir = tempdir().unwrap();
    let line = refused(dir.path()).await;
    assert!(line.contains("is a folder; name a file"), "{line}");
}

#[tokio::test]
async fn a_path_below_a_file_is_refused() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [file.join("jobs.db"), file.join("deeper/jobs.db")] {
        let line = refused(&path).await;
        assert!(line.contains("the folder cannot be made"), "{line}");
    }
}

#[tokio::test]
async fn a_locked_database_is_refused() {
    let dir = tempdir().unwrap();
    // One that was never opened by us, and one of ours in WAL mode.
    let (new, ours) = (dir.path().join("new.db"), dir.path().join("ours.db"));
    Store::open(&ours).await.unwrap().close().await;
    for path in [new, ours] {
        let mut other = stranger(&path).await;
        sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
        let line = refused(&path).await;
        assert!(line.contains("holds the database locked"), "{line}");
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        assert!(Store::open_within(&path, newest_schema(), SHORT).await.is_ok(), "once it is free it opens");
    }
}

#[tokio::test]
async fn a_file_that_was_deleted_or_replaced_takes_no_more_writes() {
    let (store, dir) = fresh_file().await;
    let job = add(&store, "kept").await;
    let aside = dir.path().with_extension("aside");
    std::fs::rename(dir.path(), &aside).unwrap();
    let batch = || crate::store::Batch { opens: vec![run(&job, None)], ..crate::store::Batch::default() };
    for _ in 0..2 {
        let error = store.commit(&batch()).await.unwrap_err().to_string();
        assert!(error.contains("was moved, deleted or replaced"), "{error}");
        assert!(store.ping().await.is_err() && store.probe_write().await.is_err());
        // Another file in its place is not ours either.
        std::fs::write(dir.path(), "").unwrap();
    }
    std::fs::rename(&aside, dir.path()).unwrap();
    store.commit(&batch()).await.unwrap();
    store.ping().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn what_we_make_is_read_by_us_alone_and_what_is_there_keeps_its_rights() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempdir().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let path = dir.path().join("data/new.db");
    let store = Store::open(&path).await.unwrap();
    store.probe_write().await.unwrap();
    assert_eq!(mode(&dir.path().join("data")), 0o700);
    for name in ["new.db", "new.db-wal", "new.db-shm"] {
        assert_eq!(mode(&dir.path().join("data").join(name)), 0o600, "{name}");
    }
    let path = dir.path().join("there.db");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o664)).unwrap();
    Store::open(&path).await.unwrap();
    assert_eq!(mode(&path), 0o664);
}

#[cfg(unix)]
#[test]
fn a_database_has_one_lock_whatever_the_way_to_it() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a/x.db");
    let (link, folder) = (dir.path().join("link.db"), dir.path().join("b"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    std::os::unix::fs::symlink(dir.path().join("a"), &folder).unwrap();
    std::fs::create_dir(dir.path().join("a")).unwrap();
    // The link comes first: it leads to a file that is not there yet.
    let held = lock_beside(&link).unwrap().expect("free");
    for way in [&path, &link, &folder.join("x.db"), &dir.path().join("a/../b/x.db")] {
        assert!(lock_beside(way).unwrap().is_none(), "{}", way.display());
    }
    drop(held);
    assert!(lock_beside(&path).unwrap().is_some());
}

/// SQLite ends the transaction itself when the disk is full: the connection must not be used as if it
/// were still open.
#[tokio::test]
async fn a_full_disk_is_over_when_there_is_room_again() {
    let (store, _dir) = fresh_file().await;
    let job = add(&store, "a").await;
    let open = run(&job, None);
    commit_opens(&store, vec![open.clone()]).await;
    // This connection may not make the file larger; a new one may.
    store.raw_number("PRAGMA max_page_count = 1").await;
    let big = Report { stdout: "x".repeat(1 << 20), ..Report::new(Outcome::Success) };
    let batch = Batch { now: NOW, closes: vec![close(&open, big)], ..Batch::default() };
    let error = chain(&store.commit(&batch).await.unwrap_err());
    assert!(error.contains("full"), "{error}");
    store.commit(&batch).await.unwrap();
    assert_eq!(get(&store, open.id).await.outcome, "success");
    books_balance(&store).await;
}
