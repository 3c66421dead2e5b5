//! What the machine allows: the same work without a scheduler, measured in the same hour.

use super::client::{get, load, target};
use super::{Context, Sample};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub async fn limits(ctx: &Context) -> Result<Vec<Sample>, String> {
    let bare = load(target().await.map_err(|e| e.to_string())?, 16, ctx.short(), |_| get("/")).await?;
    let (single, batched) = inserts(ctx).await.map_err(|e| e.to_string())?;
    let time = ctx.short();
    let spawned = tokio::task::spawn_blocking(move || spawns(time)).await.map_err(|e| e.to_string())?;
    ctx.say(&format!(
        "GET {:.0}, single inserts {single:.0}, batched {batched:.0}, spawns {spawned:.0} a second",
        bare.per_second
    ));
    Ok(vec![
        ("limit_http", bare.per_second),
        ("limit_insert", single),
        ("limit_batch", batched),
        ("limit_spawn", spawned),
    ])
}

/// Durable rows a second, one a transaction and a thousand a transaction, with the same care as the
/// server's: write-ahead log, each commit synced.
async fn inserts(ctx: &Context) -> Result<(f64, f64), sqlx::Error> {
    let folder = ctx.folder("machine");
    std::fs::create_dir_all(&folder).map_err(sqlx::Error::Io)?;
    let options = SqliteConnectOptions::new()
        .filename(folder.join("rows.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut db = options.connect().await?;
    db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, job INTEGER, at INTEGER, text TEXT)").await?;
    let single = rows_a_second(&mut db, ctx.short(), 1).await?;
    let batched = rows_a_second(&mut db, ctx.short(), 1_000).await?;
    db.close().await?;
    ctx.clean(&folder);
    Ok((single, batched))
}

async fn rows_a_second(db: &mut SqliteConnection, time: Duration, batch: usize) -> Result<f64, sqlx::Error> {
    let row = "(7, 1767600000000, 'as long as a short command, its name and its outcome may be, two hundred bytes')";
    let text = format!("INSERT INTO rows (job, at, text) VALUES {}", vec![row; batch].join(", "));
    let (began, mut rows) = (Instant::now(), 0);
    while began.elapsed() < time {
        sqlx::query(AssertSqlSafe(text.clone())).execute(&mut *db).await?;
        rows += batch;
    }
    Ok(rows as f64 / began.elapsed().as_secs_f64())
}

/// Processes that are started and waited for, four at a time.
fn spawns(time: Duration) -> f64 {
    let began = Instant::now();
    let one = move || {
        let mut spawned = 0;
        while began.elapsed() < time {
            let done = Command::new("/bin/true").stdin(Stdio::null()).status();
            spawned += usize::from(done.is_ok_and(|status| status.success()));
        }
        spawned
    };
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(one)).collect();
    let spawned: usize = threads.into_iter().filter_map(|thread| thread.join().ok()).sum();
    spawned as f64 / began.elapsed().as_secs_f64()
}

/// A text of the page about the machine: cores, memory, kernel, processor.
pub fn described(data: &Path) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let memory: f64 = memory.trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{cores} cores ({}), {:.0} GB of memory, Linux {}, database files on {}",
        field(&read("/proc/cpuinfo"), "model name"),
        memory * 1.024 / 1e6,
        read("/proc/sys/kernel/osrelease").trim(),
        filesystem(data),
    )
}

fn filesystem(folder: &Path) -> String {
    let asked = Command::new("df").arg("--output=fstype").arg(folder).output();
    let text = asked.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    text.lines().nth(1).map_or("an unknown file system", str::trim).to_owned()
}
