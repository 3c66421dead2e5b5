//! Statements on real servers: a SQLite file, PostgreSQL and MariaDB of this machine. Tables have
//! names of their own and are dropped; a server that cannot be reached fails the test.

use super::super::testing::{context, run_with};
use super::*;
use crate::domain::run::{Outcome, Report};
use crate::domain::service::Secret;
use crate::exec::Context;
use crate::exec::func::Settings;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection};
use std::path::{Path, PathBuf};

#[path = "database_broken_test.rs"]
mod broken;

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
async fn postgres_conforms() {
    conforms(&pg(), &unique("conform"), ["$1", "$2"]).await;
}

#[tokio::test]
async fn mysql_conforms() {
    conforms(&my(), &unique("conform"), ["?", "?"]).await;
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

#[tokio::test]
async fn values_of_postgres() {
    let sql = r#"query,SELECT NULL AS a, 9007199254740993 AS b, 1.5::float8 AS c, 12345678901234567890.000000000123::numeric AS d,
        true AS e, '2026-01-02 03:04:05.678'::timestamp AS f, '2026-01-02 03:04:05+08'::timestamptz AS g,
        '2026-01-02'::date AS h, '\x00ff'::bytea AS i, 'NaN'::float8 AS j, ARRAY[1,2] AS k, '{"x": 1}'::jsonb AS l,
        '1 day'::interval AS m, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS n, '10.0.0.1'::inet AS o, 0.1::float4 AS p"#;
    assert_eq!(
        rows(&pg(), sql).await,
        json!([{"a": null, "b": 9_007_199_254_740_993_i64, "c": 1.5, "d": "12345678901234567890.000000000123",
                "e": true, "f": "2026-01-02T03:04:05.678", "g": "2026-01-01T19:04:05+00", "h": "2026-01-02",
                "i": "AP8=", "j": "NaN", "k": "{1,2}", "l": "{\"x\": 1}", "m": "1 day",
                "n": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "o": "10.0.0.1", "p": 0.1}])
    );
    let raw = json!([
        "query",
        "SELECT $1::timestamptz AS t, $2::int AS n, $3::bool AS b, $4::text AS x, $5::numeric AS d",
        ["2026-01-02T00:00:00Z", 7, true, null, 1.25]
    ]);
    assert_eq!(
        rows(&pg(), &raw.to_string()).await,
        json!([{"t": "2026-01-02T00:00:00+00", "n": 7, "b": true, "x": null, "d": "1.25"}])
    );
}

#[tokio::test]
async fn values_of_mysql() {
    let table = unique("values");
    let my = my();
    done(
        &my,
        &format!(
            "execute,CREATE TABLE {table} (a INT, b BIGINT UNSIGNED, c FLOAT, d DECIMAL(30,10), e BOOLEAN, f DATETIME(3), \
             g DATE, h TIME, i BLOB, j DOUBLE, k YEAR, l TEXT, m DATETIME, n ENUM('x','y'), o BIT(4), p VARBINARY(4))"
        ),
    )
    .await;
    done(
        &my,
        &format!(
            "execute,INSERT INTO {table} VALUES (NULL, 18446744073709551615, 0.1, 12345678901234567890.1234567891, TRUE, \
             '2026-01-02 03:04:05.678', '2026-01-02', '-26:00:01', x'00ff', 1.5, 2026, '中', '2026-01-02', 'y', b'101', x'ff')"
        ),
    )
    .await;
    assert_eq!(
        rows(&my, &format!("query,SELECT * FROM {table}")).await,
        json!([{"a": null, "b": u64::MAX, "c": 0.1, "d": "12345678901234567890.1234567891", "e": true,
                "f": "2026-01-02T03:04:05.678000", "g": "2026-01-02", "h": "-26:00:01", "i": "AP8=", "j": 1.5,
                "k": 2026, "l": "中", "m": "2026-01-02T00:00:00", "n": "y", "o": 5, "p": "/w=="}])
    );
    done(&my, &format!("execute,DROP TABLE {table}")).await;
}

#[tokio::test]
async fn what_is_cut_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let lite = lite(&file(dir.path()).await);
    let series = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000000000) SELECT n FROM c";
    for (settings, sql) in [
        (&lite, series.to_owned()),
        (&pg(), "SELECT generate_series(1, 1000000000) AS n".into()),
        (&my(), "SELECT seq AS n FROM seq_1_to_1000000000".into()),
    ] {
        let report = go(settings, &format!("query,{sql}")).await;
        assert_eq!(report.result.as_deref(), Some("1000 rows, cut: there are more"), "{:?}", report.error);
        let (array, mark) = report.stdout.rsplit_once('\n').unwrap();
        assert_eq!(serde_json::from_str::<Value>(array).unwrap()[999], json!({"n": 1000}));
        assert!(mark.contains("more rows than these 1000"), "{mark}");
    }
    assert_eq!(done(&lite, "query,SELECT 1 WHERE 0").await, "0 rows");
    let ctx = Context { output_limit: 1_000, ..context() };
    let report = go_in(&lite, &format!("query,{series}"), &ctx).await;
    assert!(report.stdout.len() <= 1_000 && report.stdout.contains("--- cut"), "{}", report.stdout);
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

#[tokio::test]
async fn a_cancelled_statement_stops_in_postgres() {
    let mark = unique("endless");
    let ctx = context();
    let mut db = sqlx::PgConnection::connect(&postgres_url()).await.unwrap();
    let raw = format!("query,SELECT pg_sleep(3000) AS {mark}");
    // Asleep, and not only being parsed: until then there is nothing to stop.
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%{mark}%'"
    );
    let count = async |db: &mut sqlx::PgConnection, wanted: i64| {
        while sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql.clone())).fetch_one(&mut *db).await.unwrap()
            != wanted
        {
            tokio::task::yield_now().await;
        }
    };
    let watch = async {
        count(&mut db, 1).await;
        ctx.cancel.cancel();
    };
    let settings = pg();
    let (report, ()) = tokio::join!(go_in(&settings, &raw, &ctx), watch);
    assert_eq!(report.outcome, Outcome::Cancelled);
    count(&mut db, 0).await;
}

#[tokio::test]
async fn a_cancelled_statement_stops_in_mysql() {
    let mark = unique("endless");
    let ctx = context();
    let mut db = sqlx::MySqlConnection::connect(&mysql_url()).await.unwrap();
    let raw = format!("query,SELECT SLEEP(3000) AS {mark}");
    let sql = format!(
        "SELECT count(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info LIKE '%{mark}%'"
    );
    let count = async |db: &mut sqlx::MySqlConnection, wanted: i64| {
        while sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql.clone())).fetch_one(&mut *db).await.unwrap()
            != wanted
        {
            tokio::task::yield_now().await;
        }
    };
    let watch = async {
        count(&mut db, 1).await;
        ctx.cancel.cancel();
    };
    let settings = my();
    let (report, ()) = tokio::join!(go_in(&settings, &raw, &ctx), watch);
    assert_eq!(report.outcome, Outcome::Cancelled);
    count(&mut db, 0).await;
}

#[tokio::test]
async fn connections_are_chosen_by_name_and_passwords_stay_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path()).await;
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let databases = vec![
        connection("lite", DatabaseKind::Sqlite, path.to_str().unwrap()),
        connection("dead", DatabaseKind::Postgres, &format!("postgres://u:hunter2@{dead}/x")),
        connection("wrong", DatabaseKind::MySql, "mysql://nobody:hunter2@127.0.0.1:3306/test"),
        connection("none", DatabaseKind::Sqlite, "/no/such/file.db"),
    ];
    let settings = Settings { databases, ..Settings::default() };
    assert_eq!(rows(&settings, "query@lite,SELECT 1 AS n").await, json!([{"n": 1}]));
    assert_eq!(rows(&settings, "query,SELECT 1 AS n").await, json!([{"n": 1}]));
    for (raw, part) in [
        ("query@dead,SELECT 1", "check functions.databases"),
        ("query@wrong,SELECT 1", "Access denied"),
        ("query@none,SELECT 1", "unable to open"),
        ("query@shop,SELECT 1", "functions.databases has lite, dead, wrong, none"),
        ("select,SELECT 1", "neither query nor execute"),
        ("query", "argument 2"),
        (r#"["query","SELECT 1",5]"#, "must be an array"),
    ] {
        let en = error(&settings, raw).await;
        assert!(en.contains(part) && !en.contains("hunter2"), "{raw}: {en}");
    }
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(error(&Settings::default(), "query,SELECT 1").await.contains("set functions.databases"));
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
