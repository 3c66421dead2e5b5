//! Statements on real databases: an SQLite file here, PostgreSQL and MariaDB of this machine in
//! `on_servers`. Tables have names of their own and are dropped.

use super::super::testing::{context, run_with};
use super::*;
use crate::domain::run::{Outcome, Report};
use crate::domain::service::Secret;
use crate::exec::Context;
use crate::exec::func::Settings;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection};
use std::path::{Path, PathBuf};

#[path = "database_servers_test.rs"]
mod on_servers;

fn connection(name: &str, kind: DatabaseKind, url: &str) -> Database {
    Database { name: name.into(), kind, url: Secret(url.into()) }
}

fn postgres_url() -> String {
    std::env::var("TEST_POSTGRES_URL").unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/test".into())
}

fn mysql_url() -> String {
    std::env::var("TEST_MYSQL_URL").unwrap_or_else(|_| "mysql://root@127.0.0.1:3306/test".into())
}

fn pg() -> Settings {
    let databases = vec![connection("pg", DatabaseKind::Postgres, &postgres_url())];
    Settings { databases, ..Settings::default() }
}

fn my() -> Settings {
    let databases = vec![connection("my", DatabaseKind::MySql, &mysql_url())];
    Settings { databases, ..Settings::default() }
}

fn lite(path: &Path) -> Settings {
    let databases = vec![connection("lite", DatabaseKind::Sqlite, path.to_str().unwrap())];
    Settings { databases, ..Settings::default() }
}

/// A table name that no other test and no other process uses.
fn unique(test: &str) -> String {
    format!("fn_{test}_{}", std::process::id())
}

async fn go_in(settings: &Settings, raw: &str, ctx: &Context) -> Report {
    run_with(&BUILTIN, raw, ctx, settings.clone()).await
}

async fn go(settings: &Settings, raw: &str) -> Report {
    go_in(settings, raw, &context()).await
}

async fn done(settings: &Settings, raw: &str) -> String {
    let report = go(settings, raw).await;
    assert_eq!(report.outcome, Outcome::Success, "{raw}: {:?}", report.error);
    report.result.unwrap()
}

async fn rows(settings: &Settings, raw: &str) -> Value {
    let report = go(settings, raw).await;
    assert_eq!(report.outcome, Outcome::Success, "{raw}: {:?}", report.error);
    serde_json::from_str(&report.stdout).unwrap()
}

async fn error(settings: &Settings, raw: &str) -> String {
    let report = go(settings, raw).await;
    assert_eq!(report.outcome, Outcome::Failed, "{raw}: {report:?}");
    report.error.unwrap().en
}

/// A new SQLite file, in WAL mode.
async fn file(dir: &Path) -> PathBuf {
    use sqlx::ConnectOptions;
    let path = dir.join("shop.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let db = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Wal).connect().await.unwrap();
    db.close().await.unwrap();
    path
}

/// What every server must do, in the words that all of them read.
async fn conforms(settings: &Settings, table: &str, marks: [&str; 2]) {
    done(settings, &format!("execute,CREATE TABLE {table} (id INTEGER PRIMARY KEY, name VARCHAR(100))"))
        .await;
    let insert = format!("execute,INSERT INTO {table} (id, name) VALUES (1, 'a, \"b\"'), (2, NULL)");
    assert_eq!(done(settings, &insert).await, "2 rows affected");
    assert_eq!(
        rows(settings, &format!("query,SELECT id, name FROM {table} ORDER BY id")).await,
        json!([{"id": 1, "name": "a, \"b\""}, {"id": 2, "name": null}])
    );
    let report = go(settings, &format!("query,SELECT name, id FROM {table} WHERE id = 1;")).await;
    assert_eq!(report.stdout, r#"[{"name":"a, \"b\"","id":1}]"#, "{:?}", report.error);
    assert_eq!(report.result.as_deref(), Some("1 rows"));
    // Values are bound, not pasted.
    let nasty = r"x'; DROP TABLE t; -- \ 中";
    let raw = json!([
        "execute",
        format!("INSERT INTO {table} (id, name) VALUES ({}, {})", marks[0], marks[1]),
        [3, nasty]
    ]);
    assert_eq!(done(settings, &raw.to_string()).await, "1 rows affected");
    let raw = json!([
        "query",
        format!("SELECT name FROM {table} WHERE id = {} AND name = {}", marks[0], marks[1]),
        [3, nasty]
    ]);
    assert_eq!(rows(settings, &raw.to_string()).await, json!([{"name": nasty}]));
    // A query changes nothing, in whatever way it is written.
    error(settings, &format!("query,DELETE FROM {table}")).await;
    error(settings, &format!("query,DROP TABLE {table}")).await;
    // A statement that fails midway leaves nothing.
    error(settings, &format!("execute,INSERT INTO {table} (id, name) VALUES (9, 'x'), (1, 'twice')")).await;
    assert_eq!(rows(settings, &format!("query,SELECT count(*) AS n FROM {table}")).await, json!([{"n": 3}]));
    // One statement, and none of ours.
    for (sql, part) in [
        (format!("SELECT 1; DROP TABLE {table}"), "exactly one"),
        ("SELECT * FROM \"TJ_Jobs\"".into(), "a table of this server"),
        ("COMMIT".into(), "commit is refused"),
    ] {
        for op in ["query", "execute"] {
            let en = error(settings, &format!("{op},{sql}")).await;
            assert!(en.contains(part), "{sql}: {en}");
        }
    }
    assert!(error(settings, "query,SELECT * FROM fn_no_such_table").await.contains("says: "));
    done(settings, &format!("execute,DROP TABLE {table}")).await;
}

#[tokio::test]
async fn sqlite_conforms() {
    let dir = tempfile::tempdir().unwrap();
    conforms(&lite(&file(dir.path()).await), "t", ["?", "?"]).await;
}

#[tokio::test]
async fn values_of_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let sql = "query,SELECT NULL AS a, 9007199254740993 AS b, 1.5 AS c, '中' AS d, x'00ff' AS e, zeroblob(9999) AS f, \
               9e999 AS g, 1 AS x, 2 AS x";
    assert_eq!(
        rows(&lite(&file(dir.path()).await), sql).await,
        json!([{"a": null, "b": 9_007_199_254_740_993_i64, "c": 1.5, "d": "中", "e": "AP8=", "f": "<9999 bytes>",
                "g": "inf", "x": 1, "x_2": 2}])
    );
}

#[cfg(unix)]
#[tokio::test]
async fn our_own_file_is_refused_by_whatever_name() {
    let dir = tempfile::tempdir().unwrap();
    let own = file(dir.path()).await;
    let (soft, hard) = (dir.path().join("soft.db"), dir.path().join("hard.db"));
    std::os::unix::fs::symlink(&own, &soft).unwrap();
    std::fs::hard_link(&own, &hard).unwrap();
    for path in [&own, &soft, &hard, &dir.path().join("./shop.db")] {
        let settings = Settings { own_database: own.clone(), ..lite(path) };
        let en = error(&settings, "query,SELECT 1").await;
        assert!(en.contains("the server's own database"), "{en}");
    }
    let en = error(&lite(&own), &format!("query,ATTACH '{}' AS x", own.display())).await;
    assert!(en.contains("attach is refused"), "{en}");
}

#[tokio::test]
async fn a_cancelled_statement_stops_in_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path()).await;
    let lite = lite(&path);
    done(&lite, "execute,CREATE TABLE t (n INTEGER)").await;
    // It never ends by itself, and holds the write lock while it runs.
    let endless = "execute,INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) \
                   SELECT max(n) FROM c";
    let ctx = context();
    let stop = ctx.cancel.clone();
    let mut other: sqlx::SqliteConnection = options(&path, 0).await;
    let watch = async {
        // The lock tells that the statement is at work.
        while sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.is_ok() {
            sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (report, ()) = tokio::join!(go_in(&lite, endless, &ctx), watch);
    assert_eq!(report.outcome, Outcome::Cancelled);
    // Only a statement that has stopped lets the next writer in.
    let mut next = options(&path, 60).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut next).await.unwrap();
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&mut next).await.unwrap();
    assert_eq!(count, 0);
}

async fn options(path: &Path, busy: u64) -> sqlx::SqliteConnection {
    use sqlx::ConnectOptions;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    options.busy_timeout(std::time::Duration::from_secs(busy)).connect().await.unwrap()
}

/// SQLite reads `$1(')` as one variable: a guard that reads the text itself sees a string begin.
#[tokio::test]
async fn what_only_sqlite_can_see_is_refused_by_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("t.db"), folder.path().join("other.db"));
    let settings = &lite(&path);
    create(&path).await;
    for sql in [
        "SELECT $1('); INSERT INTO t VALUES(99); SELECT '3'".to_owned(),
        format!("SELECT $1('); ATTACH '{}' AS y; SELECT '3'", other.display()),
        format!("SELECT $1('); COMMIT; VACUUM INTO '{}'; SELECT '3'", other.display()),
        "SELECT $1('); COMMIT; DELETE FROM t; SELECT '3'".to_owned(),
        "SELECT $0".to_owned(),
        "PRAGMA journal_mode = DELETE".to_owned(),
        "PRAGMA user_version = 7".to_owned(),
        "PRAGMA page_size(512)".to_owned(),
        "SELECT load_extension('x')".to_owned(),
    ] {
        for op in ["query", "execute"] {
            let report = go(settings, &format!("{op},{sql}")).await;
            assert_eq!(report.outcome, Outcome::Failed, "{op},{sql}: {report:?}");
        }
    }
    assert!(!other.exists());
    let left = go(settings, "query,SELECT count(*) AS n FROM t").await;
    assert!(left.stdout.contains(r#"{"n":1}"#), "{left:?}");
    for good in [
        "query,PRAGMA table_info(t)",
        "query,PRAGMA user_version",
        "query,SELECT 1; -- a comment",
        "query,SELECT ';'",
        // SQLite's full text search asks pragmas of its own.
        "execute,CREATE VIRTUAL TABLE f USING fts5(words)",
        "execute,INSERT INTO f VALUES ('one two')",
        "query,SELECT * FROM f WHERE words MATCH 'two'",
    ] {
        let report = go(settings, good).await;
        assert_eq!(report.outcome, Outcome::Success, "{good}: {report:?}");
    }
}

async fn create(path: &Path) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut db = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)").execute(&mut db).await.unwrap();
    db.close().await.unwrap();
}
