//! What is measured: the rows of the page, with their goals, and what needs no server.

use super::{Context, Sample};
use std::time::Instant;
use timerjobs::inside;

/// What is asked of a row.
#[derive(Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// It is there to compare with.
    None,
}

pub struct Row {
    pub id: &'static str,
    pub what: &'static str,
    pub unit: &'static str,
    pub goal: Goal,
    /// Rows of peers beside it.
    pub peers: &'static [&'static str],
    /// The row of what the machine allows.
    pub limit: Option<&'static str>,
}

const fn row(id: &'static str, what: &'static str, unit: &'static str, goal: Goal) -> Row {
    Row { id, what, unit, goal, peers: &[], limit: None }
}

const fn beside(row: Row, peers: &'static [&'static str], limit: Option<&'static str>) -> Row {
    Row { peers, limit, ..row }
}

use Goal::{AtLeast, AtMost, None as Free};

pub const ROWS: &[Row] = &[
    beside(
        row(
            "func_rate",
            "func fires, each with its durable record, none missed, none over 1 s late",
            "/s",
            AtLeast(20_000.0),
        ),
        &["apscheduler_rate", "bullmq_rate"],
        Some("limit_batch"),
    ),
    row("func_cpu", "processor time of a func fire at that rate", "ms", Free),
    row("late_100", "lateness at 100 fires a second, p99", "ms", AtMost(10.0)),
    row("late_100_p50", "its median", "ms", Free),
    row("late_100_max", "its maximum", "ms", Free),
    beside(
        row("late_1000", "lateness at 1,000 fires a second, p99", "ms", AtMost(20.0)),
        &["apscheduler_late", "bullmq_late"],
        None,
    ),
    row("late_1000_p50", "its median", "ms", Free),
    row("late_1000_max", "its maximum", "ms", Free),
    row("late_5000", "lateness at 5,000 fires a second, p99", "ms", AtMost(100.0)),
    row("late_5000_p50", "its median", "ms", Free),
    row("late_5000_max", "its maximum", "ms", Free),
    row("aligned_100", "lateness, p99, when all 100 are due at one instant", "ms", Free),
    row("aligned_1000", "lateness, p99, when all 1,000 are due at one instant", "ms", Free),
    row("aligned_5000", "lateness, p99, when all 5,000 are due at one instant", "ms", Free),
    beside(
        row("http_rate", "http fires with records", "/s", AtLeast(8_000.0)),
        &["bullmq_http"],
        Some("limit_http"),
    ),
    row("http_cpu", "processor time of an http fire at that rate", "ms", Free),
    beside(
        row("command_rate", "command fires, output captured", "/s", AtLeast(1_500.0)),
        &["apscheduler_command", "cron_rate"],
        Some("limit_spawn"),
    ),
    row("command_cpu", "processor time of a command fire, with its children", "ms", AtMost(0.7)),
    row(
        "herd",
        "10,000 func jobs due at one instant beside 50,000 idle ones, default settings: the last starts after",
        "ms",
        AtMost(1_000.0),
    ),
    row("held_memory", "100,000 jobs, none due: memory", "MB", AtMost(80.0)),
    row("held_restart", "100,000 jobs: from exec to firing", "s", AtMost(1.0)),
    row("held_idle", "100,000 jobs, none due: part of one core", "%", AtMost(0.5)),
    row("million_memory", "1,000,000 jobs, none due: memory", "MB", AtMost(500.0)),
    row("million_restart", "1,000,000 jobs: from exec to firing", "s", AtMost(6.0)),
    row("million_idle", "1,000,000 jobs, none due: part of one core", "%", AtMost(0.5)),
    row("start", "empty: from exec to healthy", "ms", AtMost(50.0)),
    row("empty_memory", "empty: memory", "MB", AtMost(15.0)),
    row("empty_idle", "empty: part of one core", "%", AtMost(0.05)),
    row("thousand_memory", "1,000 jobs: memory", "MB", AtMost(20.0)),
    beside(row("api_read", "read one job of 100,000, any", "/s", AtLeast(25_000.0)), &[], Some("limit_http")),
    row("api_read_p99", "its p99", "ms", AtMost(10.0)),
    beside(
        row("api_list", "list 10 of 100,000 jobs, first page", "/s", AtLeast(15_000.0)),
        &[],
        Some("limit_http"),
    ),
    row("api_list_p99", "its p99", "ms", AtMost(10.0)),
    beside(
        row("api_middle", "list 10 of 100,000 jobs, page 5,000", "/s", AtLeast(15_000.0)),
        &[],
        Some("limit_http"),
    ),
    row("api_middle_p99", "its p99", "ms", AtMost(10.0)),
    beside(
        row("api_add", "add a job, durable before the answer", "/s", AtLeast(3_000.0)),
        &[],
        Some("limit_insert"),
    ),
    beside(
        row("api_run", "run a job, its record durable before the answer", "/s", AtLeast(6_000.0)),
        &[],
        Some("limit_insert"),
    ),
    row(
        "records_p99",
        "newest 10 records of a job with 5,000,000, and of others beside it, p99",
        "ms",
        AtMost(10.0),
    ),
    row("records_rate", "the same, a second", "/s", Free),
    row("console", "console, first load, gzipped", "kB", AtMost(350.0)),
    row("binary", "release binary", "MB", AtMost(35.0)),
    row("instants", "next instants of a mix of 12 expressions, one core", "/s", AtLeast(500_000.0)),
    beside(
        row("mariadb_rate", "func fires on MariaDB, as above", "/s", AtLeast(3_000.0)),
        &["apscheduler_rate", "bullmq_rate"],
        None,
    ),
    beside(
        row("postgres_rate", "func fires on PostgreSQL, as above", "/s", AtLeast(3_000.0)),
        &["apscheduler_rate", "bullmq_rate"],
        None,
    ),
    row("apscheduler_rate", "peer: APScheduler, in memory, no history: calls", "/s", Free),
    row("apscheduler_command", "peer: APScheduler, commands, output captured, no history", "/s", Free),
    row("apscheduler_late", "peer: APScheduler, lateness at 1,000 a second, p99", "ms", Free),
    row("bullmq_rate", "peer: BullMQ on Redis, delayed jobs with history", "/s", Free),
    row("bullmq_http", "peer: BullMQ on Redis, each fetches a URL", "/s", Free),
    row("bullmq_late", "peer: BullMQ, lateness at 1,000 a second, p99", "ms", Free),
    row("cron_rate", "peer: Debian's cron, 3,000 commands due at one minute, no history", "/s", Free),
    row("cron_herd", "peer: Debian's cron, the last of them is done after", "ms", Free),
    row("limit_http", "machine: a bare GET, 16 connections", "/s", Free),
    row("limit_insert", "machine: SQLite, one durable row a transaction", "/s", Free),
    row("limit_batch", "machine: SQLite, 1,000 durable rows a transaction", "/s", Free),
    row("limit_spawn", "machine: start /bin/true and wait for it, four at a time", "/s", Free),
];

pub async fn binary(ctx: &Context) -> Result<Vec<Sample>, String> {
    let bytes = std::fs::metadata(&ctx.binary).map_err(|e| e.to_string())?.len();
    Ok(vec![("binary", bytes as f64 / 1e6)])
}

/// What a browser loads for the first page, as it comes over the wire.
pub async fn console(ctx: &Context) -> Result<Vec<Sample>, String> {
    let data = ctx.folder("console");
    let server = super::server::Server::start(&ctx.binary, &data, &[]).await?;
    let page = fetched(&server, "/").await?;
    let first = String::from_utf8_lossy(&page).into_owned();
    let mut bytes = packed(&server, "/").await?;
    // The page names all that its first view imports; the rest comes with the other views.
    for path in first.split('"').filter(|part| part.starts_with("/assets/")) {
        bytes += packed(&server, path).await?;
    }
    server.stop().await?;
    ctx.clean(&data);
    if bytes < 10_000 {
        return Err("the binary has no console inside: make console first".into());
    }
    ctx.say(&format!("first load {:.0} kB", bytes as f64 / 1e3));
    Ok(vec![("console", bytes as f64 / 1e3)])
}

async fn fetched(server: &super::server::Server, path: &str) -> Result<Vec<u8>, String> {
    let answer = server.client().await?.ask(&super::client::get(path)).await.map_err(|e| e.to_string())?;
    Ok(answer.body)
}

/// Bytes that a browser takes over the wire.
async fn packed(server: &super::server::Server, path: &str) -> Result<usize, String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n\r\n");
    let answer = server.client().await?.ask(request.as_bytes()).await.map_err(|e| e.to_string())?;
    Ok(answer.body.len())
}

/// The mix that operations people write, from every second to a leap day.
pub async fn instants(ctx: &Context) -> Result<Vec<Sample>, String> {
    let time = ctx.short();
    let began = Instant::now();
    let done = move || inside::next_instants(|| began.elapsed() < time);
    let done = tokio::task::spawn_blocking(done).await.map_err(|e| e.to_string())?;
    let rate = f64::from(done) / began.elapsed().as_secs_f64();
    ctx.say(&format!("{rate:.0} instants a second"));
    Ok(vec![("instants", rate)])
}
