use super::super::testing::{call, call_in, context};
use super::*;
use std::io::Read;
use std::os::unix::fs::symlink;

fn go(source: &Path, target: &Path) -> Result<Output, Text> {
    call(&BUILTIN, &format!("{},{}", source.display(), target.display()))
}

/// Every entry as "kind path content-or-link".
fn unpacked(archive: &Path) -> Vec<String> {
    let mut tar = tar::Archive::new(zstd::stream::read::Decoder::new(File::open(archive).unwrap()).unwrap());
    let entries = tar.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let link = entry.link_name().unwrap().map(|l| l.display().to_string()).unwrap_or_default();
            format!("{:?} {} {text}{link}", entry.header().entry_type(), entry.path().unwrap().display())
        })
        .collect()
}

#[test]
fn packs_a_folder_with_links_but_not_itself() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let data = root.join("data");
    std::fs::create_dir_all(data.join("sub/empty")).unwrap();
    std::fs::write(data.join("a"), "one").unwrap();
    std::fs::write(data.join("sub/b"), "").unwrap();
    symlink("../gone", data.join("link")).unwrap();
    let long = "n".repeat(150);
    std::fs::write(data.join(&long), "long").unwrap();
    let target = data.join("backups");
    for stem in ["data-20060103-060405", "data-20060103-060405-2"] {
        let output = go(&data, &target).unwrap();
        let archive = target.join(format!("{stem}.tar.zst"));
        assert!(
            output.result.starts_with(&format!("{}: 7 entries, 7 bytes, ", archive.display())),
            "{output:?}"
        );
        assert!(output.result.contains("1 left out"));
        assert_eq!(
            unpacked(&archive),
            [
                "Directory data/ ".to_owned(),
                "Regular data/a one".into(),
                "Symlink data/link ../gone".into(),
                format!("Regular data/{long} long"),
                "Directory data/sub/ ".into(),
                "Regular data/sub/b ".into(),
                "Directory data/sub/empty/ ".into(),
            ]
        );
    }
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 2, "no draft is left");
}

#[test]
fn packs_a_single_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "text").unwrap();
    go(&dir.path().join("f"), &dir.path().join("out")).unwrap();
    assert_eq!(unpacked(&dir.path().join("out/f-20060103-060405.tar.zst")), ["Regular f text"]);
}

#[test]
fn a_cancelled_run_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "text").unwrap();
    let ctx = context();
    ctx.cancel.cancel();
    let raw = format!("{0}/f,{0}/out", dir.path().display());
    call_in(&BUILTIN, &raw, &ctx).unwrap_err();
    assert_eq!(std::fs::read_dir(dir.path().join("out")).unwrap().count(), 0);
}

#[test]
fn a_bad_call_is_told_the_mend() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().display();
    for (raw, part) in [
        (String::new(), "needs a source and a target"),
        ("relative,/x".into(), "write the whole path"),
        (format!("{here}/none,{here}/out"), "does not exist"),
        (format!("{here},{here}"), "choose another folder"),
        (format!("/,{here}"), "whole disk"),
    ] {
        let en = call(&BUILTIN, &raw).unwrap_err().en;
        assert!(en.contains(part), "{raw}: {en}");
    }
    assert!(!dir.path().join("out").exists());
}

#[test]
fn damage_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "text").unwrap();
    let (draft, stop) = (dir.path().join("draft"), context().cancel);
    let packed = pack::pack(&dir.path().join("f"), Path::new("/none"), &draft, &[], &stop).unwrap();
    assert_eq!(pack::read_back(&draft, &stop).unwrap(), packed.seal);
    let mut bytes = std::fs::read(&draft).unwrap();
    bytes.truncate(bytes.len() - 4);
    std::fs::write(&draft, bytes).unwrap();
    assert!(pack::read_back(&draft, &stop).is_err());
}

#[test]
fn nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "text").unwrap();
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    // A name that is taken by a link to nowhere does not "exist", and is still not ours.
    symlink("nowhere", out.join("f-20060103-060405.tar.zst")).unwrap();
    std::fs::write(out.join("f-20060103-060405-2.tar.zst"), "theirs").unwrap();
    go(&dir.path().join("f"), &out).unwrap();
    assert_eq!(unpacked(&out.join("f-20060103-060405-3.tar.zst")), ["Regular f text"]);
    assert_eq!(std::fs::read_to_string(out.join("f-20060103-060405-2.tar.zst")).unwrap(), "theirs");
    assert!(!out.join("nowhere").exists());
}

/// A database with a table `t` of `rows` rows, in WAL mode, with all of them still in the WAL.
async fn live(path: &Path, rows: u32) -> sqlx::SqliteConnection {
    use sqlx::ConnectOptions;
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let mut db = options.pragma("wal_autocheckpoint", "0").connect().await.unwrap();
    sqlx::query("CREATE TABLE t (n INTEGER, text TEXT)").execute(&mut db).await.unwrap();
    sqlx::query(
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?) \
         INSERT INTO t SELECT n, hex(randomblob(500)) FROM c",
    )
    .bind(rows)
    .execute(&mut db)
    .await
    .unwrap();
    db
}

/// The rows of the database in an archive.
async fn restored(archive: &Path) -> i64 {
    use sqlx::ConnectOptions;
    let plain = archive.with_extension("");
    let bytes = zstd::decode_all(File::open(archive).unwrap()).unwrap();
    std::fs::write(&plain, bytes).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&plain).read_only(true);
    let mut db = options.connect().await.unwrap();
    sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&mut db).await.unwrap()
}

#[tokio::test]
async fn a_database_in_use_is_copied_whole() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("shop.db");
    let mut db = live(&source, 3_000).await;
    // A writer in the middle of a transaction is neither waited for nor seen.
    sqlx::query("BEGIN IMMEDIATE").execute(&mut db).await.unwrap();
    sqlx::query("DELETE FROM t").execute(&mut db).await.unwrap();
    let out = dir.path().join("out");
    let output = go(&source, &out).unwrap();
    sqlx::query("COMMIT").execute(&mut db).await.unwrap();
    let archive = out.join("shop-20060103-060405.db.zst");
    assert!(output.result.starts_with(&format!("{}: SQLite database, ", archive.display())), "{output:?}");
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1, "no draft is left");
    assert_eq!(restored(&archive).await, 3_000);
}

#[tokio::test]
async fn the_word_database_is_our_own() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("timerjobs.db");
    let _db = live(&own, 5).await;
    let settings = crate::exec::func::Settings { own_database: own, ..Default::default() };
    let raw = format!("database,{}/out", dir.path().display());
    super::super::testing::call_with(&BUILTIN, &raw, &context(), &settings).unwrap();
    assert_eq!(restored(&dir.path().join("out/timerjobs-20060103-060405.db.zst")).await, 5);
    assert!(call(&BUILTIN, &raw).unwrap_err().en.contains("is no file"));
}

#[tokio::test]
async fn a_damaged_database_is_not_called_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("bad.db");
    sqlx::Connection::close(live(&source, 500).await).await.unwrap();
    let mut bytes = std::fs::read(&source).unwrap();
    let at = bytes.len() / 2 / 4096 * 4096;
    bytes[at..at + 4096].fill(0xff);
    std::fs::write(&source, bytes).unwrap();
    let en = go(&source, &dir.path().join("out")).unwrap_err().en;
    assert!(en.contains("cannot be backed up"), "{en}");
    assert_eq!(std::fs::read_dir(dir.path().join("out")).unwrap().count(), 0);
}

/// A writer commits all the time, each time to both tables: a copy of one instant has as much in one
/// as in the other, and the writer has not waited for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_of_one_instant_while_others_write() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (dir.path().join("busy.db"), dir.path().join("out"));
    let mut db = live(&source, 5_000).await;
    sqlx::query("CREATE TABLE u AS SELECT * FROM t").execute(&mut db).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let backup = {
        let (source, out, done) = (source.clone(), out.clone(), done.clone());
        tokio::task::spawn_blocking(move || {
            let output = go(&source, &out);
            done.store(true, Ordering::Release);
            output
        })
    };
    let mut written = 0;
    while !done.load(Ordering::Acquire) {
        let sql =
            "BEGIN; INSERT INTO t VALUES (0, hex(randomblob(2000))); INSERT INTO u VALUES (0, 'x'); COMMIT";
        sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
        written += 1;
    }
    backup.await.unwrap().unwrap();
    let archive = out.join("busy-20060103-060405.db.zst");
    let in_t = restored(&archive).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(archive.with_extension(""));
    let mut copy = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let in_u: i64 = sqlx::query_scalar("SELECT count(*) FROM u").fetch_one(&mut copy).await.unwrap();
    assert_eq!(in_t, in_u);
    assert!(written > 0 && (5_000..=5_000 + written).contains(&in_t), "{in_t} of {written}");
}

#[tokio::test]
async fn a_database_with_a_rollback_journal_is_copied_too() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("old");
    let mut db = live(&source, 10).await;
    sqlx::query("PRAGMA journal_mode = DELETE").execute(&mut db).await.unwrap();
    go(&source, &dir.path().join("out")).unwrap();
    assert_eq!(restored(&dir.path().join("out/old-20060103-060405.db.zst")).await, 10);
    let ctx = context();
    ctx.cancel.cancel();
    let raw = format!("{},{}", source.display(), dir.path().join("none").display());
    call_in(&BUILTIN, &raw, &ctx).unwrap_err();
    assert_eq!(std::fs::read_dir(dir.path().join("none")).unwrap().count(), 0);
}

/// The system drops a process's locks on a file when it closes any file of that inode; then the next
/// program that comes takes the write-ahead log for abandoned, and deletes it.
#[tokio::test]
async fn a_database_at_work_keeps_its_locks() {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
    use sqlx::{ConnectOptions, Connection};
    let folder = tempfile::tempdir().unwrap();
    let (data, target) = (folder.path().join("data"), folder.path().join("target"));
    std::fs::create_dir(&data).unwrap();
    let path = data.join("own.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut db: SqliteConnection = options.journal_mode(SqliteJournalMode::Wal).connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (n); INSERT INTO t VALUES (1)").execute(&mut db).await.unwrap();
    let settings = crate::exec::func::Settings {
        own_database: path.clone(),
        file_root: data.clone(),
        ..crate::exec::func::Settings::default()
    };
    let target = target.display();
    for raw in [format!("database,{target}"), format!("{},{target}", data.display())] {
        super::super::testing::call_with(&BUILTIN, &raw, &context(), &settings).unwrap();
    }
    for raw in ["read,own.db", "read,own.db-wal", "append,own.db-shm,x", "write,own.db,x", "delete,own.db"] {
        let refused =
            super::super::testing::call_with(&super::super::file::BUILTIN, raw, &context(), &settings);
        assert!(refused.unwrap_err().en.contains("the server's own database"), "{raw}");
    }
    // Another process comes and goes: what is committed after it must still be found.
    let script = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('SELECT * FROM t').fetchall(); d.close()";
    let other = std::process::Command::new("python3").args(["-c", script]).arg(&path).status().unwrap();
    assert!(other.success());
    sqlx::raw_sql("INSERT INTO t VALUES (2)").execute(&mut db).await.unwrap();
    let count = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM t').fetchone()[0])";
    let seen = std::process::Command::new("python3").args(["-c", count]).arg(&path).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&seen.stdout).trim(), "2");
    db.close().await.unwrap();
}

/// A database in a packed folder is there as SQLite copies it, with what its log still held, and the
/// archive is for nobody else to read.
#[tokio::test]
async fn a_packed_folder_holds_whole_databases() {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
    use sqlx::{ConnectOptions, Connection};
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (data, target) = (folder.path().join("data"), folder.path().join("target"));
    std::fs::create_dir(&data).unwrap();
    let options = SqliteConnectOptions::new().filename(data.join("shop.db")).create_if_missing(true);
    let mut db: SqliteConnection = options.journal_mode(SqliteJournalMode::Wal).connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (n); INSERT INTO t VALUES (7)").execute(&mut db).await.unwrap();
    assert!(data.join("shop.db-wal").exists());
    call(&BUILTIN, &format!("{},{}", data.display(), target.display())).unwrap();
    db.close().await.unwrap();
    let archive = std::fs::read_dir(&target).unwrap().next().unwrap().unwrap().path();
    assert_eq!(archive.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let unpacked = folder.path().join("unpacked");
    let packed = zstd::stream::read::Decoder::new(std::fs::File::open(&archive).unwrap()).unwrap();
    tar::Archive::new(packed).unpack(&unpacked).unwrap();
    let names: Vec<_> =
        std::fs::read_dir(unpacked.join("data")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["shop.db"]);
    let options = SqliteConnectOptions::new().filename(unpacked.join("data/shop.db"));
    let mut copy: SqliteConnection = options.connect().await.unwrap();
    let n: i64 = sqlx::query_scalar("SELECT n FROM t").fetch_one(&mut copy).await.unwrap();
    assert_eq!(n, 7);
}

/// The locks of this process on a file, as the kernel lists them.
#[cfg(target_os = "linux")]
fn locks(path: &Path) -> usize {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{} ", path.metadata().unwrap().ino());
    let own = format!(" {} ", std::process::id());
    let all = std::fs::read_to_string("/proc/locks").unwrap();
    all.lines().filter(|line| line.contains("POSIX") && line.contains(&inode) && line.contains(&own)).count()
}

/// Whatever of a database is named, and by whatever name.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_backup_takes_a_lock_off() {
    use crate::domain::service::{Database, DatabaseKind, Secret};
    let dir = tempfile::tempdir().unwrap();
    let [data, links, other, out] = ["data", "links", "other.db", "out"].map(|name| dir.path().join(name));
    std::fs::create_dir(&data).unwrap();
    std::fs::create_dir(&links).unwrap();
    let (own, shm) = (data.join("own.db"), data.join("own.db-shm"));
    let (_db, _other) = (live(&own, 5).await, live(&other, 5).await);
    std::fs::hard_link(&own, links.join("a")).unwrap();
    std::fs::hard_link(&shm, links.join("b")).unwrap();
    let url = Secret(other.to_str().unwrap().to_owned());
    let settings = crate::exec::func::Settings {
        own_database: own.clone(),
        databases: vec![Database { name: "other".into(), kind: DatabaseKind::Sqlite, url }],
        file_root: dir.path().to_owned(),
        ..Default::default()
    };
    let held = [&own, &shm, &other].map(|path| locks(path));
    assert!(held.iter().all(|n| *n > 0), "{held:?}");
    let (wal, other_shm) = (data.join("own.db-wal"), dir.path().join("other.db-shm"));
    for source in [&data, &links, &own, &shm, &wal, &other, &other_shm] {
        let raw = format!("{},{}", source.display(), out.display());
        let done = super::super::testing::call_with(&BUILTIN, &raw, &context(), &settings);
        assert_eq!([&own, &shm, &other].map(|path| locks(path)), held, "{raw}");
        let beside = source.to_str().unwrap().contains(".db-");
        assert_eq!(done.is_err(), beside, "{raw}: {done:?}");
    }
    for path in ["other.db", "other.db-shm", "links/a", "links/b"] {
        let raw = format!("read,{path}");
        super::super::testing::call_with(&super::super::file::BUILTIN, &raw, &context(), &settings)
            .unwrap_err();
        assert_eq!([&own, &shm, &other].map(|path| locks(path)), held, "{raw}");
    }
}

/// One file that SQLite cannot read does not cost the backup of all the others.
#[tokio::test]
async fn a_damaged_database_in_a_folder_is_packed_as_it_lies_there() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    std::fs::create_dir(&data).unwrap();
    let bad = data.join("bad.db");
    sqlx::Connection::close(live(&bad, 500).await).await.unwrap();
    let mut bytes = std::fs::read(&bad).unwrap();
    let at = bytes.len() / 2 / 4096 * 4096;
    bytes[at..at + 4096].fill(0xff);
    std::fs::write(&bad, &bytes).unwrap();
    for (name, text) in [("bad.db-journal", "needed"), ("empty", ""), ("notes-wal", "no database")] {
        std::fs::write(data.join(name), text).unwrap();
    }
    let output = go(&data, &out).unwrap();
    assert!(output.result.contains(", 1 databases as they lie there"), "{output:?}");
    let unpacked = dir.path().join("unpacked");
    let packed = File::open(out.join("data-20060103-060405.tar.zst")).unwrap();
    tar::Archive::new(zstd::stream::read::Decoder::new(packed).unwrap()).unpack(&unpacked).unwrap();
    assert!(std::fs::read(unpacked.join("data/bad.db")).unwrap() == bytes);
    for (name, text) in [("bad.db-journal", "needed"), ("empty", ""), ("notes-wal", "no database")] {
        assert_eq!(std::fs::read_to_string(unpacked.join("data").join(name)).unwrap(), text);
    }
}
