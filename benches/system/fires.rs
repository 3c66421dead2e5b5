//! Fires: how many a second come with every record, and how late. All is counted in the database after the
//! server has ended, never in its memory.

use super::client::{Load, load, percentile, target};
use super::server::{Server, cron, job};
use super::{Context, Sample};
use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Func jobs that cost next to nothing.
pub const FUNC: (&str, &str) = ("func", "【name】Time\n【arg】");
const COMMAND: (&str, &str) = ("command", "【command】echo done");
/// The settings of all rows of this file.
pub const SETTINGS: &[(&str, &str)] = &[("JOBS_MAX_CONCURRENT", "2000")];
/// At both ends of a measurement, left out: jobs are being added, runs end.
pub const EDGE: Duration = Duration::from_secs(1);

/// How the fires of a second lie in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// Each job has a moment of its own.
    Even,
    /// All are due at the same instant.
    Aligned,
}

/// What one measurement found.
#[derive(Debug, Default)]
pub struct Found {
    /// Fires that were due.
    pub due: usize,
    /// Records that ended well.
    pub done: usize,
    /// More than a second late.
    pub late: usize,
    /// Milliseconds from the scheduled instant to the end of the work, which is next to nothing: the record's
    /// start is the claim, before it is on disk, and would flatter.
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    /// Processor time of a fire, milliseconds.
    pub cpu: f64,
}

impl Found {
    pub fn is_clean(&self) -> bool {
        self.due > 0 && self.done == self.due && self.late == 0
    }
}

/// `rate` jobs that each fire every second, for so long.
pub async fn fires(
    ctx: &Context,
    rate: usize,
    time: Duration,
    spread: Spread,
    (mode, command): (&str, &str),
) -> Result<Found, String> {
    let data = ctx.folder("fires");
    let server = Server::start(&ctx.binary, &data, SETTINGS).await?;
    every_second(&server, rate, spread, mode, command).await?;
    tokio::time::sleep(EDGE).await;
    let (from, cpu) = (now(), server.cpu());
    tokio::time::sleep(time).await;
    let (to, cpu) = (now(), server.cpu() - cpu);
    tokio::time::sleep(EDGE).await;
    let database = server.database();
    server.stop().await?;
    let mut found = count(&database, from, to, rate).await?;
    // All that was due in that time, also in the parts of seconds at its ends that are not counted.
    found.cpu = cpu.as_secs_f64() * 1_000.0 / (rate as f64 * time.as_secs_f64());
    ctx.clean(&data);
    Ok(found)
}

/// Adds the jobs and starts them.
pub async fn every_second(
    server: &Server,
    rate: usize,
    spread: Spread,
    mode: &str,
    command: &str,
) -> Result<(), String> {
    let trigger = match spread {
        Spread::Even => json!({"type": "interval", "seconds": 1}),
        Spread::Aligned => cron("* * * * * *"),
    };
    let jobs: Vec<Value> = (0..rate).map(|n| job(n, trigger.clone(), mode, command)).collect();
    let mut ids = Vec::new();
    for jobs in jobs.chunks(500) {
        ids.extend(server.add(jobs).await?);
    }
    // An interval counts from the moment at which its job was started: fifty moments make up a second.
    let pause = if spread == Spread::Even { Duration::from_millis(20) } else { Duration::ZERO };
    for ids in ids.chunks(rate.div_ceil(50).min(1_000)) {
        let began = Instant::now();
        server.bulk("start", ids).await?;
        tokio::time::sleep(pause.saturating_sub(began.elapsed())).await;
    }
    Ok(())
}

pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Looks at the records of the whole seconds between two moments: each job has one instant in each.
async fn count(database: &Path, from: i64, to: i64, rate: usize) -> Result<Found, String> {
    let text = |e: sqlx::Error| format!("{}: {e}", database.display());
    let url = format!("sqlite://{}", database.display());
    let mut db = SqliteConnection::connect(&url).await.map_err(text)?;
    let (from, to) = (from - from.rem_euclid(1_000) + 1_000, to - to.rem_euclid(1_000));
    let delays: Vec<(i64,)> = sqlx::query_as(
        "SELECT end_ms - scheduled_ms FROM tj_runs WHERE scheduled_ms >= ? AND scheduled_ms < ? \
         AND source = 'cron' AND outcome = 'success' AND end_ms IS NOT NULL",
    )
    .bind(from)
    .bind(to)
    .fetch_all(&mut db)
    .await
    .map_err(text)?;
    let seconds = usize::try_from((to - from) / 1_000).unwrap_or(0);
    Ok(summed(delays.into_iter().map(|(ms,)| ms).collect(), seconds * rate))
}

pub fn summed(mut delays: Vec<i64>, due: usize) -> Found {
    delays.sort_unstable();
    let at = |part| percentile(&delays, part) as f64;
    Found {
        due,
        done: delays.len(),
        late: delays.iter().filter(|ms| **ms > 1_000).count(),
        p50: at(0.5),
        p99: at(0.99),
        max: at(1.0),
        cpu: 0.0,
    }
}

/// The highest of these rates at which nothing is lost or late: each is tried for a few seconds, then the
/// highest is held for `hold`, as what a few seconds bear need not last. Later runs begin with the rate that
/// the first one held, and all go down where it is not held. `None`: none of them was.
pub async fn highest(
    ctx: &Context,
    row: &'static str,
    rates: &[usize],
    hold: Duration,
    fires: impl AsyncFn(usize, Duration) -> Result<Found, String>,
) -> Result<Option<(usize, Found)>, String> {
    let tried = async |rate, time: Duration| {
        let found = fires(rate, time).await?;
        let Found { due, done, late, p99, .. } = found;
        ctx.say(&format!(
            "{rate} a second for {} s: {done} of {due} done, {late} late, p99 {p99:.0} ms",
            time.as_secs()
        ));
        Ok::<_, String>(found)
    };
    let mut borne = Vec::new();
    let known = ctx.known(row);
    for rate in rates.iter().copied() {
        let worth = match known {
            Some(best) => rate <= best,
            // The machine may have been busy with something else for a moment.
            None => tried(rate, ctx.short()).await?.is_clean() || tried(rate, ctx.short()).await?.is_clean(),
        };
        if !worth {
            break;
        }
        borne.push(rate);
    }
    for rate in borne.into_iter().rev() {
        // What does not last for a moment need not be held for a minute; what lasted in the first run may.
        if hold > ctx.middling() && known != Some(rate) && !tried(rate, ctx.middling()).await?.is_clean() {
            continue;
        }
        let found = tried(rate, hold).await?;
        if found.is_clean() {
            ctx.learn(row, rate);
            if rates.last() == Some(&rate) {
                ctx.top(row);
            }
            return Ok(Some((rate, found)));
        }
    }
    Ok(None)
}

/// A rate that was held, with what a fire cost; 0 when none was.
async fn rate(
    ctx: &Context,
    (rate, cpu): (&'static str, &'static str),
    rates: &[usize],
    hold: Duration,
    work: (&str, &str),
) -> Result<Vec<Sample>, String> {
    let fires = async |rate, time| fires(ctx, rate, time, Spread::Even, work).await;
    Ok(match highest(ctx, rate, rates, hold, fires).await? {
        Some((held, found)) => vec![(rate, held as f64), (cpu, found.cpu)],
        None => vec![(rate, 0.0)],
    })
}

pub async fn func_rate(ctx: &Context) -> Result<Vec<Sample>, String> {
    let rates = [10_000, 15_000, 20_000, 25_000, 30_000, 40_000, 50_000];
    rate(ctx, ("func_rate", "func_cpu"), &rates, ctx.long(), FUNC).await
}

pub async fn http_rate(ctx: &Context) -> Result<Vec<Sample>, String> {
    let url = format!("【url】http://{}/", target().await.map_err(|e| e.to_string())?);
    let rates = [2_000, 4_000, 6_000, 8_000, 10_000, 12_000, 14_000, 16_000];
    rate(ctx, ("http_rate", "http_cpu"), &rates, ctx.middling(), ("http", &url)).await
}

pub async fn command_rate(ctx: &Context) -> Result<Vec<Sample>, String> {
    let rates = [500, 1_000, 1_500, 2_000, 2_500, 3_000];
    rate(ctx, ("command_rate", "command_cpu"), &rates, ctx.middling(), COMMAND).await
}

/// p50, p99 and maximum of fires that lie evenly in the second.
pub async fn lateness(ctx: &Context) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    for (rate, [p50, p99, max]) in [
        (100, ["late_100_p50", "late_100", "late_100_max"]),
        (1_000, ["late_1000_p50", "late_1000", "late_1000_max"]),
        (5_000, ["late_5000_p50", "late_5000", "late_5000_max"]),
    ] {
        let found = complete(ctx, rate, Spread::Even).await?;
        samples.extend([(p50, found.p50), (p99, found.p99), (max, found.max)]);
    }
    Ok(samples)
}

/// p99 of as many fires that are due at one instant.
pub async fn aligned(ctx: &Context) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    for (rate, p99) in [(100, "aligned_100"), (1_000, "aligned_1000"), (5_000, "aligned_5000")] {
        samples.push((p99, complete(ctx, rate, Spread::Aligned).await?.p99));
    }
    Ok(samples)
}

/// Lateness means nothing where fires are missing.
async fn complete(ctx: &Context, rate: usize, spread: Spread) -> Result<Found, String> {
    let found = fires(ctx, rate, ctx.short(), spread, FUNC).await?;
    let Found { due, done, p50, p99, max, .. } = found;
    ctx.say(&format!("{rate} a second, {spread:?}: p50 {p50:.0}, p99 {p99:.0}, max {max:.0} ms"));
    if done == due { Ok(found) } else { Err(format!("{done} of {due} fires have their records")) }
}

/// Ten thousand jobs at one instant, with fifty thousand others that are not due; the settings are the
/// defaults.
pub async fn herd(ctx: &Context) -> Result<Vec<Sample>, String> {
    const DUE: usize = 10_000;
    const IDLE: usize = 50_000;
    let data = ctx.folder("herd");
    let server = Server::start(&ctx.binary, &data, &[]).await?;
    let idle: Vec<Value> = (0..IDLE).map(|n| job(n, cron("0 0 29 2 *"), FUNC.0, FUNC.1)).collect();
    for jobs in idle.chunks(500) {
        let ids = server.add(jobs).await?;
        server.bulk("start", &ids).await?;
    }
    // One instant some seconds ahead, and then not for a year.
    let at =
        chrono::DateTime::from_timestamp_millis(now()).unwrap_or_default() + chrono::Duration::seconds(15);
    let expression = at.format("%S %M %H %d %m *").to_string();
    let trigger = json!({"type": "cron", "cron": expression, "timezone": "UTC"});
    let jobs: Vec<Value> = (0..DUE).map(|n| job(IDLE + n, trigger.clone(), FUNC.0, FUNC.1)).collect();
    for jobs in jobs.chunks(500) {
        let ids = server.add(jobs).await?;
        server.bulk("start", &ids).await?;
    }
    let due = at.timestamp() * 1_000;
    if now() > due {
        return Err("the jobs were not added in time".into());
    }
    tokio::time::sleep(Duration::from_millis((due - now()).unsigned_abs()) + EDGE * 4).await;
    let database = server.database();
    server.stop().await?;
    let found = count(&database, due - 1_000, due + 1_000, DUE).await?;
    if found.done != DUE {
        return Err(format!("{} of {DUE} jobs ran", found.done));
    }
    ctx.say(&format!("first half within {:.0} ms, all within {:.0} ms", found.p50, found.max));
    ctx.clean(&data);
    Ok(vec![("herd", found.max)])
}

/// A loop over one request.
pub async fn asked(
    server: &Server,
    time: Duration,
    request: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
) -> Result<Load, String> {
    load(server.address, 16, time, request).await
}
