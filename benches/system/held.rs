//! What it costs to be there: an empty server, one with jobs that are not due, one with many records, and
//! the API over them.

use super::client::{get, post};
use super::fires::{FUNC, asked, now};
use super::server::{Server, cron, job};
use super::{Context, Sample};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor};
use std::path::Path;
use std::time::{Duration, Instant};

/// Long beside what wakes each second.
const IDLE_FOR: Duration = Duration::from_secs(20);
/// As many as the statements of `multiply` say.
const COPIED: usize = 1_000;
/// Not due for years.
const IDLE: [&str; 4] = ["0 0 29 2 1", "30 4 29 2 2", "15 3 29 2 3", "0 12 29 2 4"];

async fn add_idle(server: &Server, jobs: usize) -> Result<(), String> {
    let one = |n| {
        let mut job = job(n, cron(IDLE[n % IDLE.len()]), FUNC.0, FUNC.1);
        job["enabled"] = true.into();
        job
    };
    for from in (0..jobs).step_by(500) {
        let some: Vec<Value> = (from..jobs.min(from + 500)).map(one).collect();
        server.add(&some).await?;
    }
    Ok(())
}

pub async fn empty(ctx: &Context) -> Result<Vec<Sample>, String> {
    let data = ctx.folder("empty");
    // The first start makes the tables.
    Server::start(&ctx.binary, &data, &[]).await?.stop().await?;
    let server = Server::start(&ctx.binary, &data, &[]).await?;
    let start = server.start.as_secs_f64() * 1_000.0;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = server.idle(ctx.long().min(IDLE_FOR)).await;
    let memory = server.memory();
    add_idle(&server, 1_000).await?;
    server.stop().await?;
    let server = Server::start(&ctx.binary, &data, &[]).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let thousand = server.memory();
    server.stop().await?;
    ctx.clean(&data);
    ctx.say(&format!(
        "start {start:.0} ms, {memory:.1} MB, {idle:.3} % of a core; 1,000 jobs {thousand:.1} MB"
    ));
    Ok(vec![("start", start), ("empty_memory", memory), ("empty_idle", idle), ("thousand_memory", thousand)])
}

/// Multiplies the jobs of a stopped server, of which it has `COPIED`, to so many: the database copies their
/// rows, as to send a million takes minutes.
async fn multiply(database: &Path, jobs: usize) -> Result<(), String> {
    let mut db = opened(database).await?;
    let mut run = async |statement| db.execute(statement).await.map_err(|e| format!("{statement}: {e}"));
    run("PRAGMA synchronous = OFF").await?;
    run("BEGIN").await?;
    run("CREATE TEMP TABLE jobs AS SELECT * FROM tj_jobs").await?;
    run("CREATE TEMP TABLE states AS SELECT * FROM tj_job_state").await?;
    for _ in 1..jobs / COPIED {
        run("UPDATE jobs SET id = id + 1000, name = printf('job-%07d', id + 999)").await?;
        run("UPDATE states SET job_id = job_id + 1000").await?;
        run("INSERT INTO tj_jobs SELECT * FROM jobs").await?;
        run("INSERT INTO tj_job_state SELECT * FROM states").await?;
    }
    run("COMMIT").await?;
    db.close().await.map_err(|e| e.to_string())
}

/// A server that was started again with so many jobs that are not due.
struct Again {
    server: Server,
    /// The instant of its start.
    exec: i64,
    /// A job that became due while it was down.
    probe: i64,
}

impl Again {
    async fn start(ctx: &Context, data: &Path, jobs: usize) -> Result<Self, String> {
        let server = Server::start(&ctx.binary, data, &[]).await?;
        add_idle(&server, COPIED).await?;
        let database = server.database();
        server.stop().await?;
        multiply(&database, jobs).await?;
        let server = Server::start(&ctx.binary, data, &[]).await?;
        let mut probe = job(jobs, cron("* * * * * *"), FUNC.0, FUNC.1);
        probe["enabled"] = true.into();
        let probe = server.add(&[probe]).await?;
        server.stop().await?;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let exec = now();
        let server = Server::start(&ctx.binary, data, &[]).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        server.bulk("stop", &probe).await?;
        Ok(Self { server, exec, probe: probe[0] })
    }

    /// Ends it; seconds from its start to the end of the first run.
    async fn stop(self) -> Result<f64, String> {
        let database = self.server.database();
        self.server.stop().await?;
        let text = "SELECT min(end_ms) FROM tj_runs WHERE job_id = ? AND end_ms >= ?";
        let mut db = opened(&database).await?;
        let first: (Option<i64>,) = sqlx::query_as(text)
            .bind(self.probe)
            .bind(self.exec)
            .fetch_one(&mut db)
            .await
            .map_err(|e| e.to_string())?;
        let first = first.0.ok_or("nothing ran after the restart")?;
        Ok((first - self.exec) as f64 / 1_000.0)
    }
}

async fn opened(database: &Path) -> Result<SqliteConnection, String> {
    let url = format!("sqlite://{}", database.display());
    SqliteConnection::connect(&url).await.map_err(|e| format!("{url}: {e}"))
}

/// How many there are, when a statement counts them.
async fn counted(database: &Path, text: &'static str) -> Result<usize, String> {
    let mut db = opened(database).await?;
    let found: (i64,) = sqlx::query_as(text).fetch_one(&mut db).await.map_err(|e| e.to_string())?;
    usize::try_from(found.0).map_err(|e| e.to_string())
}

/// What is measured are ten entries of so many, not an empty list.
async fn is_page(server: &Server, request: &[u8], total: u64) -> Result<(), String> {
    let page = server.ask(request).await?;
    let entries = page["data"].as_array().map_or(0, Vec::len);
    if (entries, page["total"].as_u64()) == (10, Some(total)) {
        return Ok(());
    }
    Err(format!("10 of {total} were asked for, {entries} of {} came", page["total"]))
}

pub async fn held(ctx: &Context) -> Result<Vec<Sample>, String> {
    let jobs = 100_000;
    let data = ctx.folder("held");
    let again = Again::start(ctx, &data, jobs).await?;
    let server = &again.server;
    let mut samples = vec![("held_memory", server.memory()), ("held_idle", server.idle(ctx.short()).await)];
    let last = i64::try_from(jobs).unwrap_or(i64::MAX);
    let (first, middle) = (get("/jobs/list?page=1&size=10"), get("/jobs/list?page=5000&size=10"));
    for page in [&first, &middle] {
        is_page(server, page, last.unsigned_abs() + 1).await?;
    }
    // As many different jobs as there are, in an order that no cache likes.
    let any = move |n: u64| get(&format!("/jobs/read?id={}", 1 + (n * 7_919) % last.unsigned_abs()));
    for (row, late, load) in [
        ("api_read", "api_read_p99", asked(server, ctx.short(), any).await?),
        ("api_list", "api_list_p99", asked(server, ctx.short(), move |_| first.clone()).await?),
        ("api_middle", "api_middle_p99", asked(server, ctx.short(), move |_| middle.clone()).await?),
    ] {
        ctx.say(&format!(
            "{row}: {:.0} a second, p50 {:.2}, p99 {:.2} ms",
            load.per_second, load.p50, load.p99
        ));
        samples.extend([(row, load.per_second), (late, load.p99)]);
    }
    samples.push(("held_restart", again.stop().await?));
    ctx.say(&format!("{samples:?}"));
    ctx.clean(&data);
    Ok(samples)
}

/// A million jobs.
pub async fn million(ctx: &Context) -> Result<Vec<Sample>, String> {
    let data = ctx.folder("million");
    let again = Again::start(ctx, &data, 1_000_000).await?;
    // What the start needed and nobody holds any more goes back to the system.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (memory, idle) = (again.server.memory(), again.server.idle(ctx.short()).await);
    let restart = again.stop().await?;
    ctx.clean(&data);
    ctx.say(&format!("firing after {restart:.2} s, {memory:.0} MB, {idle:.3} % of a core"));
    Ok(vec![("million_restart", restart), ("million_memory", memory), ("million_idle", idle)])
}

/// Adds and runs; each answer must have its row.
pub async fn writes(ctx: &Context) -> Result<Vec<Sample>, String> {
    let data = ctx.folder("writes");
    let server = Server::start(&ctx.binary, &data, &[("JOBS_MAX_CONCURRENT", "2000")]).await?;
    let add = |n| {
        let job = json!({"name": format!("added-{n}"), "cron_expr": "0 0 29 2 *", "mode": FUNC.0, "command": FUNC.1});
        post("/jobs/add", &job.to_string())
    };
    let added = asked(&server, ctx.short(), add).await?;
    let run =
        asked(&server, ctx.short(), |n| post("/jobs/run", &json!({"id": 1 + n % 1_000}).to_string())).await?;
    ctx.say(&format!("add {:.0} a second, run {:.0} a second", added.per_second, run.per_second));
    let database = server.database();
    server.stop().await?;
    for (answers, text) in [
        (added.asked, "SELECT count(*) FROM tj_jobs"),
        (run.asked, "SELECT count(*) FROM tj_runs WHERE outcome = 'success'"),
    ] {
        let rows = counted(&database, text).await?;
        if rows != answers {
            return Err(format!("{answers} answers, {rows} rows: {text}"));
        }
    }
    ctx.clean(&data);
    Ok(vec![("api_add", added.per_second), ("api_run", run.per_second)])
}

/// One job with five million records and a thousand others with as many thousand, made by the database
/// itself; the newest ten of it and of the others in turn.
pub async fn records(ctx: &Context) -> Result<Vec<Sample>, String> {
    let data = ctx.folder("records");
    let server = Server::start(&ctx.binary, &data, &[]).await?;
    add_idle(&server, 1_001).await?;
    let database = server.database();
    server.stop().await?;
    let began = Instant::now();
    let mut db = opened(&database).await?;
    for statement in RECORDS {
        db.execute(*statement).await.map_err(|e| e.to_string())?;
    }
    db.close().await.map_err(|e| e.to_string())?;
    ctx.say(&format!("6,000,000 records made in {:.0} s", began.elapsed().as_secs_f64()));
    // Retention would take them while we look.
    let server =
        Server::start(&ctx.binary, &data, &[("RETENTION_RUNS", "10000000"), ("RETENTION_DAYS", "36500")])
            .await?;
    let newest = |n| {
        let id = if n % 2 == 0 { 1 } else { 2 + n * 7 % 1_000 };
        post("/jobs/logs", &json!({"id": id, "page": 1, "size": 10}).to_string())
    };
    for (n, total) in [(0, 5_000_000), (1, 1_000)] {
        is_page(&server, &newest(n), total).await?;
    }
    let load = asked(&server, ctx.short(), newest).await?;
    ctx.say(&format!(
        "newest ten: {:.0} a second, p50 {:.2}, p99 {:.2} ms",
        load.per_second, load.p50, load.p99
    ));
    server.stop().await?;
    ctx.clean(&data);
    Ok(vec![("records_p99", load.p99), ("records_rate", load.per_second)])
}

/// Ids are 42 bits of milliseconds and 21 of sequence. The counts and the sum of bytes are kept with the
/// records, so they are made too.
const RECORDS: &[&str] = &[
    "PRAGMA synchronous = OFF",
    "BEGIN",
    "INSERT INTO tj_runs (id, job_id, fire_ms, clock_epoch, job_name, mode, command, source, outcome, scheduled_ms, \
     start_ms, end_ms, attempt, bytes, stdout, stderr) \
     WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 5999999), \
     t(i, at) AS (SELECT i, (unixepoch() - 3600) * 1000 - (5999999 - i) * 700 FROM n) \
     SELECT at << 21, CASE WHEN i % 6 = 0 THEN 2 + i / 6 % 1000 ELSE 1 END, at, 0, 'job', 'func', 'Time', 'cron', \
     CASE WHEN i % 33 = 0 THEN 'failed' ELSE 'success' END, at, at + 3, at + 9, 1, 260, 'done', '' FROM t",
    "INSERT INTO tj_run_counts SELECT 0, (id >> 21) / 900000, outcome, count(*) FROM tj_runs NOT INDEXED GROUP BY 2, 3",
    "INSERT INTO tj_run_counts SELECT 0, -1, outcome, sum(runs) FROM tj_run_counts GROUP BY outcome",
    "INSERT INTO tj_run_counts SELECT job_id, -1, outcome, count(*) FROM tj_runs NOT INDEXED GROUP BY job_id, outcome",
    "UPDATE tj_system SET log_bytes = (SELECT sum(bytes) FROM tj_runs NOT INDEXED)",
    "COMMIT",
];
