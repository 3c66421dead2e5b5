//! Imports from databases made in the older editions' schemas, with what people leave in them. On
//! SQLite, and on MySQL (a database of its own each) with `TEST_STORE=mysql`.

use super::super::testing::server;
use super::super::{Server, ServerKind};
use super::*;
use crate::domain::run::RunId;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, raw_sql};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// 2026-01-05T08:00:00Z.
const NOW: UtcMs = UtcMs(1_767_600_000_000);
const HOW: How = How { now: NOW, zone: Tz::Asia__Shanghai, keep: 1_000 };
const JOBS: &[&str] =
    &["id", "name", "desc", "cron_expr", "mode", "command", "state", "created_at", "updated_at"];
const LOGS: &[&str] = &["id", "time", "end_time", "job_id", "status", "stdout", "created_at"];
const BCRYPT: &str = "$2b$12$abcdefghijklmnopqrstuuAbCdEfGhIjKlMnOpQrStUvWxYz01234";

const PYTHON: &str = "
CREATE TABLE xiaohus_jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(100) NOT NULL, `desc` TEXT,
    cron_expr VARCHAR(100) NOT NULL, mode VARCHAR(20) NOT NULL, command TEXT NOT NULL, state INTEGER,
    allow_mode INTEGER, max_run_count INTEGER, run_count INTEGER, created_at DATETIME(6), updated_at DATETIME(6),
    trigger_type VARCHAR(20), interval_seconds INTEGER);
CREATE TABLE xiaohus_admins (id INTEGER PRIMARY KEY AUTOINCREMENT, username VARCHAR(50) NOT NULL UNIQUE,
    password VARCHAR(100) NOT NULL, email VARCHAR(100), role VARCHAR(20), status INTEGER, is_active BOOLEAN,
    last_login DATETIME, created_at DATETIME, updated_at DATETIME);
CREATE TABLE xiaohus_job_exec_logs (id INTEGER PRIMARY KEY AUTOINCREMENT, time VARCHAR(50) NOT NULL,
    end_time VARCHAR(50), job_id INTEGER, job_name VARCHAR(100), status VARCHAR(20), duration_ms INTEGER,
    mode VARCHAR(20), command TEXT, exit_code INTEGER, stdout TEXT, stderr TEXT, http_url VARCHAR(500),
    http_method VARCHAR(10), http_status INTEGER, http_resp TEXT, func_name VARCHAR(100), func_args TEXT,
    func_result TEXT, error_msg TEXT, created_at DATETIME, updated_at DATETIME);";

const GO: &str = "
CREATE TABLE xiaohus_jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(100), `desc` VARCHAR(500),
    cron_expr VARCHAR(100), mode VARCHAR(20), command TEXT, state TINYINT, allow_mode TINYINT,
    max_run_count BIGINT, run_count BIGINT, created_at TIMESTAMP NULL, updated_at TIMESTAMP NULL);
CREATE TABLE xiaohus_admins (id INTEGER PRIMARY KEY AUTOINCREMENT, username VARCHAR(50), password VARCHAR(100),
    email VARCHAR(100), role VARCHAR(20), status TINYINT, last_login TIMESTAMP NULL, created_at TIMESTAMP NULL,
    updated_at TIMESTAMP NULL);";

/// A database of an older edition; it is gone when this is dropped.
struct Old {
    dir: TempDir,
    server: Option<Server>,
}

impl Old {
    async fn new(schema: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::tempdir().unwrap();
        let mut old = Self { dir, server: None };
        if std::env::var("TEST_STORE").as_deref() == Ok("mysql") {
            let name = format!("tjimp_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let mut server = Server { prefix: "tj_".into(), ..server(ServerKind::MySql) };
            let create = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4");
            raw_sql(AssertSqlSafe(create)).execute(&mut connect(&server).await).await.unwrap();
            server.database = name;
            old.server = Some(server);
        }
        let schema = if old.server.is_some() {
            let schema = schema.replace("AUTOINCREMENT", "AUTO_INCREMENT");
            // As GORM made it.
            if schema.contains("TINYINT") {
                schema.replace("id INTEGER", "id BIGINT UNSIGNED").replace(" BIGINT,", " BIGINT UNSIGNED,")
            } else {
                schema
            }
        } else {
            schema.to_owned()
        };
        old.run(&schema).await;
        old
    }

    async fn run(&self, text: &str) {
        let text = AssertSqlSafe(text.to_owned());
        match &self.server {
            Some(server) => drop(raw_sql(text).execute(&mut connect(server).await).await.unwrap()),
            None => {
                let options = SqliteConnectOptions::new().filename(self.path()).create_if_missing(true);
                let mut conn: SqliteConnection = options.connect().await.unwrap();
                raw_sql(text).execute(&mut conn).await.unwrap();
            }
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("old.db")
    }

    async fn open(&self) -> Store {
        match &self.server {
            None => Store::open(&self.path()).await.unwrap(),
            Some(server) => Store::open_server(server).await.unwrap(),
        }
    }
}

impl Drop for Old {
    fn drop(&mut self) {
        let Some(server) = self.server.take() else { return };
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let text = format!("DROP DATABASE {}", server.database);
                raw_sql(AssertSqlSafe(text)).execute(&mut connect(&server).await).await.unwrap();
            });
        });
        dropped.join().unwrap();
    }
}

async fn connect(server: &Server) -> MySqlConnection {
    let options = MySqlConnectOptions::new().host(&server.host).port(server.port).username(&server.user);
    options.database(&server.database).charset("utf8mb4").connect().await.unwrap()
}

/// All that the old tables hold.
async fn theirs(store: &Store) -> String {
    let mut tx = store.write.begin().await.unwrap();
    let mut all = String::new();
    for (name, columns) in [
        ("xiaohus_jobs", JOBS),
        ("xiaohus_admins", &["id", "username", "password"]),
        ("xiaohus_job_exec_logs", LOGS),
    ] {
        if let Some(table) = Table::find(&mut tx, name).await.unwrap() {
            let rows = table.after(&mut tx, columns, i64::MIN, 100_000, 100_000).await.unwrap();
            all = format!("{all}{table:?}{rows:?}");
        }
    }
    tx.commit().await.unwrap();
    all
}

async fn job(store: &Store, id: i64) -> crate::store::JobRecord {
    let record = store.job(crate::domain::job::JobId(id)).await.unwrap().expect("the job is there");
    record.clone().into_job(Tz::UTC).expect("an imported job passes the check");
    record
}

async fn texts(store: &Store, sql: &str) -> Vec<String> {
    let rows: Vec<(String,)> = store.read.fetch(&Sql::new(sql)).await.unwrap();
    rows.into_iter().map(|(text,)| text).collect()
}

fn says(lines: &[Text], part: &str) -> bool {
    lines.iter().any(|line| line.en.contains(part))
}

const JOB: &str = "INSERT INTO xiaohus_jobs (id, name, `desc`, cron_expr, mode, command, state, allow_mode, \
                   max_run_count, run_count, created_at, updated_at, trigger_type, interval_seconds) VALUES ";

fn python_jobs() -> String {
    let at = "'2025-06-27 17:46:10.123456', '2025-06-28 00:00:00'";
    format!(
        "{JOB}
        (1, 'backup', 'nightly', '0 2 * * *', 'command', '【command】echo hi', 1, 1, 0, 42, {at}, 'cron', NULL),
        (2, 'backup', NULL, '0 3 * * *', 'func', 'Hello', 2, 0, 0, 0, {at}, 'cron', NULL),
        (3, 'backup (2)', '', '*/5 * * * * *', 'http', '【url】http://example.com/', 0, 0, 0, 0, {at}, 'cron', NULL),
        (5, 'odd mode', 'mine', '0 2 * * *', 'python', 'print(1)', 0, 0, 0, 7, {at}, 'cron', NULL),
        (6, 'bad cron', NULL, '99 * * * *', 'command', 'ls', 1, 0, 0, 0, {at}, 'cron', NULL),
        (7, 'nulls', NULL, '0 2 * * *', 'function', 'Hello', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (8, 'spent', NULL, '0 2 * * *', 'command', 'ls', 0, 0, 5, 5, {at}, 'cron', NULL),
        (9, 'empty', NULL, '0 2 * * *', 'command', '', 0, 0, 0, 0, {at}, 'cron', NULL),
        (10, 'every', NULL, '', 'command', 'ls', 0, 2, 0, 0, {at}, 'interval', 30),
        (11, '', NULL, '0 2 * * *', 'command', 'ls', 9, 8, -1, -4, {at}, 'date', NULL),
        (0, 'zero', NULL, '0 2 * * *', 'command', 'ls', 0, 0, 0, 0, {at}, 'cron', NULL);"
    )
    .replace("(0, 'zero'", "(-1, 'zero'")
}

#[tokio::test]
async fn a_python_database_with_odd_rows_is_taken_over() {
    let old = Old::new(PYTHON).await;
    old.run(&python_jobs()).await;
    old.run(&format!(
        "INSERT INTO xiaohus_admins (id, username, password, role, status, is_active, last_login) VALUES
        (1, 'admin', '密码 123', 'admin', 1, 1, '2025-06-27 17:46:10'), (2, 'hashed', '{BCRYPT}', NULL, NULL, NULL, NULL),
        (3, 'off', 'x', 'user', 0, 1, NULL), (4, 'nopass', '', 'user', 1, 1, NULL), (5, ' ', 'x', NULL, 1, 1, NULL);
        INSERT INTO xiaohus_job_exec_logs (id, time, end_time, job_id, job_name, status, duration_ms, mode, command,
        exit_code, stdout, stderr, error_msg, created_at) VALUES
        (1, '2025-06-27 17:46:10.123', '2025-06-27 17:46:11.000', 1, 'backup', '成功', 877, 'command', 'echo hi', 0, 'hi 你好', '', NULL, NULL),
        (2, '2025-06-27 17:46:10.123', NULL, 1, 'backup', '失败', 5, 'command', 'ls', 2, NULL, 'no', 'exit 2', NULL),
        (3, 'gibberish', NULL, 99, NULL, '超时', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2025-06-27 10:00:00'),
        (4, 'gibberish', NULL, 1, NULL, '成功', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (5, '2025-06-27 17:46:10', NULL, NULL, NULL, '成功', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (6, '2099-01-01 00:00:00', NULL, 2, 'backup', 'what', NULL, 'func', 'Hello', NULL, NULL, NULL, NULL, NULL);"
    ))
    .await;
    let store = old.open().await;
    let before = theirs(&store).await;
    let done = store.import_older(&HOW).await.unwrap().expect("an import");
    assert_eq!((done.jobs, done.admins, done.runs), (10, 4, 4), "{done:#?}");

    let first = job(&store, 1).await;
    assert_eq!((first.name.as_str(), first.descr.as_str(), first.enabled), ("backup", "nightly", true));
    assert_eq!((first.state.run_count, first.allow_mode, first.state.decided_ms), (42, 1, NOW.0));
    assert_eq!((first.created_ms, first.state.immediate_ms), (1_751_046_370_123, None));
    let second = job(&store, 2).await;
    assert_eq!((second.name.as_str(), second.enabled), ("backup (3)", false), "theirs is `backup (2)`");
    assert_eq!(job(&store, 3).await.name, "backup (2)");
    let odd = job(&store, 5).await;
    assert_eq!((odd.enabled, odd.mode.as_str(), odd.state.run_count), (false, "command", 7));
    for part in ["mine\n", "mode = python", "command = print(1)", "导入时已停止"] {
        assert!(odd.descr.contains(part), "{}", odd.descr);
    }
    let cron = job(&store, 6).await;
    assert!(
        !cron.enabled && cron.command == "ls" && cron.descr.contains("cron_expr = 99 * * * *"),
        "{cron:?}"
    );
    let nulls = job(&store, 7).await;
    assert_eq!((nulls.enabled, nulls.mode.as_str(), nulls.created_ms), (true, "func", NOW.0));
    let spent = job(&store, 8).await;
    assert_eq!((spent.enabled, spent.stop_reason.as_deref()), (false, Some("limit")));
    assert!(!job(&store, 9).await.enabled);
    let every = job(&store, 10).await;
    assert_eq!((every.trigger_type.as_str(), every.interval_seconds, every.enabled), ("interval", 30, true));
    let nameless = job(&store, 11).await;
    assert_eq!((nameless.name.as_str(), nameless.enabled, nameless.state.run_count), ("job 11", false, 0));
    for part in
        ["job -1: its id", "admin 5", "1 execution logs: no time", "1 execution logs: they name no job"]
    {
        assert!(says(&done.not_taken, part), "{part}: {:#?}", done.not_taken);
    }
    for part in
        ["now \"backup (3)\"", "job 6 \"bad cron\": stopped: cron_expr", "\"nopass\": has no password"]
    {
        assert!(says(&done.changed, part), "{part}: {:#?}", done.changed);
    }

    let hashes = texts(&store, "SELECT password_hash FROM tj_admins ORDER BY id").await;
    assert!(hashes[0].starts_with("$argon2id$") && hashes[2].starts_with("$argon2id$"), "{hashes:?}");
    let parsed = argon2::password_hash::phc::PasswordHash::new(&hashes[0]).unwrap();
    argon2::PasswordVerifier::verify_password(&argon2::Argon2::default(), "密码 123".as_bytes(), &parsed)
        .unwrap();
    assert_eq!((hashes[1].as_str(), hashes[3].as_str()), (BCRYPT, ""));
    let enabled = texts(&store, "SELECT username FROM tj_admins WHERE enabled ORDER BY id").await;
    assert_eq!(enabled, ["admin", "hashed"]);

    let outcomes = texts(&store, "SELECT outcome FROM tj_runs ORDER BY id").await;
    assert_eq!(outcomes, ["success", "failed", "timeout", "failed"]);
    let start = store.raw_number("SELECT min(start_ms) FROM tj_runs").await;
    assert_eq!(start, 1_751_017_570_123, "the log's time is Shanghai's");
    assert_eq!(first.state.last_run_ms, Some(start));
    let newest = RunId(store.raw_number("SELECT max(id) FROM tj_runs").await);
    assert!(newest < RunId::first_at(NOW), "no run is of the future");
    super::super::store_test::books_balance(&store).await;

    let saved = store.setting("import").await.unwrap();
    assert_eq!(saved["jobs"], 10);
    assert!(!saved.to_string().contains("密码 123"));
    assert_eq!(theirs(&store).await, before, "the old tables stay as they were");
    assert_eq!(store.import_older(&HOW).await.unwrap(), None, "once");
    store.raw("DELETE FROM tj_jobs").await;
    store.raw("DELETE FROM tj_runs").await;
    assert_eq!(store.import_older(&HOW).await.unwrap(), None, "also when everything was deleted since");
    store.close().await;
}

#[tokio::test]
async fn a_go_database_is_taken_over() {
    let old = Old::new(GO).await;
    // The Go driver writes offsets into a file; a server keeps the instant.
    let (at, created) = if old.server.is_some() {
        ("'2024-06-25 12:00:00'", None)
    } else {
        ("'2024-06-25 12:00:00+08:00'", Some(1_719_288_000_000))
    };
    old.run(&format!(
        "INSERT INTO xiaohus_jobs VALUES
        (7, '任务', '说明', '0 0 2 * * *', 'http', '【url】http://example.com/', 1, 2, 10, 3, {at}, {at}),
        (8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
        INSERT INTO xiaohus_admins VALUES (1, 'root', 'pw', NULL, 'admin', 1, {at}, {at}, {at});"
    ))
    .await;
    let store = old.open().await;
    let before = theirs(&store).await;
    let done = store.import_older(&HOW).await.unwrap().expect("an import");
    assert_eq!((done.jobs, done.admins, done.runs), (2, 1, 0), "{done:#?}");
    let first = job(&store, 7).await;
    assert_eq!((first.name.as_str(), first.max_run_count, first.state.run_count), ("任务", 10, 3));
    assert!(first.enabled && created.is_none_or(|created| created == first.created_ms), "{first:?}");
    assert!(first.created_ms < NOW.0);
    assert!(!job(&store, 8).await.enabled, "a row of NULLs");
    assert_eq!(theirs(&store).await, before);
    store.close().await;
}

#[tokio::test]
async fn an_import_that_a_crash_cut_short_happens_at_the_next_start() {
    let old = Old::new(PYTHON).await;
    old.run(&python_jobs()).await;
    // Our tables were made, the import was not committed.
    let store = old.open().await;
    let mut tx = store.write.begin().await.unwrap();
    let table = Table::find(&mut tx, "xiaohus_jobs").await.unwrap().unwrap();
    jobs::take(&mut tx, &table, &HOW, &mut Imported::default()).await.unwrap();
    drop(tx);
    store.close().await;
    let store = old.open().await;
    assert_eq!(store.import_older(&HOW).await.unwrap().expect("an import").jobs, 10);
    store.close().await;
    let store = old.open().await;
    assert_eq!(store.import_older(&HOW).await.unwrap(), None);
    store.close().await;
}

#[tokio::test]
async fn jobs_of_our_own_keep_the_old_tables_out() {
    let old = Old::new(PYTHON).await;
    let store = old.open().await;
    super::super::store_test::add(&store, "ours").await;
    old.run(&python_jobs()).await;
    assert_eq!(store.import_older(&HOW).await.unwrap(), None);
    assert_eq!(store.raw_number("SELECT count(*) FROM tj_jobs").await, 1);
    store.close().await;
}

#[tokio::test]
async fn of_many_logs_the_newest_of_each_job_are_taken_and_ids_go_on_above() {
    let old = Old::new(PYTHON).await;
    old.run(&format!(
        "{JOB} (3, 'a', NULL, '0 2 * * *', 'command', 'ls', 0, 0, 0, 0, NULL, NULL, NULL, NULL);"
    ))
    .await;
    for page in 0..20_i64 {
        // Job 50 was deleted in the older edition; its logs stayed.
        let row = |i: i64| {
            let (id, job) = (page * 1_000 + i + 1, if i % 2 == 0 { 3 } else { 50 });
            let (day, hour, minute, second) = (1 + page, i / 60 % 24, i % 60, i % 60);
            format!("({id}, '2025-06-{day:02} {hour:02}:{minute:02}:{second:02}', {job}, 'a', '成功', 'out')")
        };
        let rows: Vec<_> = (0..1_000).map(row).collect();
        let text = "INSERT INTO xiaohus_job_exec_logs (id, time, job_id, job_name, status, stdout) VALUES ";
        old.run(&format!("{text}{}", rows.join(","))).await;
    }
    let store = old.open().await;
    let done = store.import_older(&HOW).await.unwrap().expect("an import");
    assert_eq!((done.jobs, done.runs), (1, 2_000));
    assert!(says(&done.not_taken, "18000 execution logs"), "{:#?}", done.not_taken);
    assert_eq!(store.raw_number("SELECT count(*) FROM tj_runs WHERE job_id = 3").await, 1_000);
    let oldest = UtcMs(store.raw_number("SELECT min(start_ms) FROM tj_runs").await);
    assert_eq!(oldest.local_seconds(HOW.zone), "2025-06-19 00:00:00");
    super::super::store_test::books_balance(&store).await;
    let next = super::super::store_test::add(&store, "next").await;
    assert_eq!(next.id.0, 51, "not the number of a job that was deleted");
    store.close().await;
}

#[tokio::test]
async fn a_database_without_old_tables_has_nothing_to_import() {
    let (store, _place) = super::super::testing::fresh().await;
    assert_eq!(store.import_older(&HOW).await.unwrap(), None);
    assert!(store.setting("import").await.unwrap().is_null());
}

/// What a column cannot hold on MySQL.
#[tokio::test]
async fn a_file_may_hold_anything_anywhere() {
    if std::env::var("TEST_STORE").as_deref() == Ok("mysql") {
        return;
    }
    let old = Old::new("CREATE TABLE xiaohus_jobs (id INTEGER PRIMARY KEY, name, cron_expr, mode, command, run_count, max_run_count);").await;
    let long = "长".repeat(150);
    old.run(&format!(
        "INSERT INTO xiaohus_jobs VALUES (1, '{long}', '0 2 * * *', 'command', 'ls', 'many', 'few'),
        (2, '{long}', '0 2 * * *', 'command', 'ls', 2.0, 3.0), (3, x'ff61', '0 2 * * *', 'command', 'ls', 0, 0),
        (4, 'a' || char(10) || 'b', '0 2 * * *', ' HTTP ', 'no url', 0, 0),
        (9223372036854775807, 'last', '0 2 * * *', 'command', 'ls', 0, 0);"
    ))
    .await;
    let store = old.open().await;
    let done = store.import_older(&HOW).await.unwrap().expect("an import");
    assert_eq!((done.jobs, done.not_taken_count), (4, 1), "{done:#?}");
    let (first, second) = (job(&store, 1).await, job(&store, 2).await);
    assert_eq!((first.name.chars().count(), second.name.chars().count()), (100, 100));
    assert!(second.name.ends_with(" (2)") && !second.enabled);
    assert_eq!((second.state.run_count, second.max_run_count), (2, 3));
    assert_eq!(job(&store, 3).await.name, "\u{fffd}a");
    assert_eq!(job(&store, 4).await.name, "a b");
    let next = super::super::store_test::add(&store, "next").await;
    assert_eq!(next.id.0, 5);
}
