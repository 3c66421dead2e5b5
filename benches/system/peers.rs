//! What a user might take instead, beside us in the same hour: APScheduler from PyPI, BullMQ from npm with a
//! Redis of its own, cron from Debian. They are installed into the bench's own folder; one that cannot be
//! had is named on the page, with the reason, and the bench goes on.

use super::client::target;
use super::fires::{Found, highest, now};
use super::{Context, Sample};
use serde_json::Value;
use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// A program that goes when nobody waits for it any more.
fn tool(program: impl AsRef<OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a program to its end; what it printed, or why it failed.
async fn run(mut command: Command) -> Result<String, String> {
    let shown = command.as_std().get_program().to_string_lossy().into_owned();
    let out = command.output().await.map_err(|e| format!("{shown}: {e}"))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(3)..].join(" / ");
    Err(format!("{shown}: {}: {last}", out.status))
}

/// The folder of a peer, which these steps fill once; what a failed attempt left goes before the next.
async fn installed(
    ctx: &Context,
    name: &str,
    steps: impl IntoIterator<Item = Command>,
) -> Result<PathBuf, String> {
    let home = ctx.tools.join(name);
    let mark = home.join("installed");
    if !mark.exists() {
        std::fs::remove_dir_all(&home).ok();
        std::fs::create_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))?;
        for mut step in steps {
            step.current_dir(&home);
            run(step).await?;
        }
        std::fs::write(&mark, "").map_err(|e| format!("{}: {e}", mark.display()))?;
    }
    Ok(home)
}

/// The version that a program says it is.
async fn version(program: impl AsRef<OsStr>, args: &[&str]) -> Result<String, String> {
    Ok(run(tool(program, args)).await?.trim().to_owned())
}

/// What a peer's script printed about its fires.
async fn measured(script: Command) -> Result<Found, String> {
    let text = run(script).await?;
    let line = text.lines().last().unwrap_or_default();
    let value: Value = serde_json::from_str(line).map_err(|e| format!("{e}: {line}"))?;
    let count = |name: &str| {
        value[name].as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| format!("no {name}: {line}"))
    };
    Ok(Found {
        due: count("due")?,
        done: count("done")?,
        late: count("over")?,
        p99: value["p99"].as_f64().unwrap_or(f64::NAN),
        ..Found::default()
    })
}

/// The highest rate that a peer holds, as ours are found.
async fn rate(
    ctx: &Context,
    row: &'static str,
    rates: &[usize],
    fires: impl AsyncFn(usize, Duration) -> Result<Found, String>,
) -> Result<Sample, String> {
    let held = highest(ctx, row, rates, ctx.middling(), fires).await?;
    Ok((row, held.map_or(0.0, |(rate, _)| rate as f64)))
}

pub async fn apscheduler(ctx: &Context) -> Result<Vec<Sample>, String> {
    let steps =
        [tool("python3", &["-m", "venv", "."]), tool("bin/pip", &["install", "--quiet", "apscheduler<4"])];
    let home = installed(ctx, "apscheduler", steps).await?;
    let asked = "import apscheduler; print(apscheduler.version, 'on Python', __import__('platform').python_version())";
    ctx.met(format!("APScheduler {}", version(home.join("bin/python"), &["-c", asked]).await?));
    let fires = async |rate: usize, time: Duration, kind: &str| {
        let mut script = tool(home.join("bin/python"), &[]);
        script.arg(ctx.peers.join("in_memory.py"));
        script.args([&rate.to_string(), &time.as_secs().to_string(), kind]);
        measured(script).await
    };
    let late = fires(1_000, ctx.short(), "call").await?;
    let calls = async |rate, time| fires(rate, time, "call").await;
    let commands = async |rate, time| fires(rate, time, "command").await;
    Ok(vec![
        ("apscheduler_late", late.p99),
        rate(ctx, "apscheduler_rate", &[4_000, 8_000, 12_000, 16_000], calls).await?,
        rate(ctx, "apscheduler_command", &[400, 800, 1_200, 1_600], commands).await?,
    ])
}

pub async fn bullmq(ctx: &Context) -> Result<Vec<Sample>, String> {
    let install = ["install", "--silent", "--no-audit", "--no-fund", "bullmq", "ioredis"];
    let home = installed(ctx, "bullmq", [tool("npm", &install)]).await?;
    let asked =
        "console.log(require('./node_modules/bullmq/package.json').version, 'on Node', process.version)";
    let mut of = tool("node", &["-e", asked]);
    of.current_dir(&home);
    ctx.met(format!("BullMQ {}", run(of).await?.trim()));
    // Modules are looked for beside the script.
    let script = home.join("bullmq.mjs");
    std::fs::copy(ctx.peers.join("bullmq.mjs"), &script).map_err(|e| e.to_string())?;
    let redis = Redis::start(&ctx.folder("redis")).await?;
    ctx.met(
        version("redis-server", &["--version"]).await?.split(" sha=").next().unwrap_or_default().to_owned(),
    );
    let url = format!("http://{}/", target().await.map_err(|e| e.to_string())?);
    let fires = async |rate: usize, time: Duration, url: Option<&str>| {
        let mut node = tool("node", &[]);
        let numbers = [rate.to_string(), time.as_secs().to_string(), redis.port.to_string()];
        node.arg(&script).args(numbers).args(url);
        measured(node).await
    };
    let late = fires(1_000, ctx.short(), None).await?;
    let calls = async |rate, time| fires(rate, time, None).await;
    let http = async |rate, time| fires(rate, time, Some(&url)).await;
    Ok(vec![
        ("bullmq_late", late.p99),
        rate(ctx, "bullmq_rate", &[2_000, 4_000, 8_000, 12_000], calls).await?,
        rate(ctx, "bullmq_http", &[1_000, 2_000, 4_000, 8_000], http).await?,
    ])
}

/// A Redis that keeps its data on disk, as a history should be.
struct Redis {
    _child: Child,
    port: u16,
}

impl Redis {
    async fn start(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.map_err(|e| e.to_string())?.port();
        let mut command = tool("redis-server", &["--bind", "127.0.0.1", "--appendonly", "yes", "--save", ""]);
        command.arg("--port").arg(port.to_string()).arg("--dir").arg(folder);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let redis = Self { _child: child.map_err(|e| format!("redis-server: {e}"))?, port };
        let began = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            if began.elapsed() > Duration::from_secs(10) {
                return Err("redis-server does not answer".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(redis)
    }
}

/// cron has minutes only, no history and no output: so many commands due at one minute, until the last is
/// done.
pub async fn cron(ctx: &Context) -> Result<Vec<Sample>, String> {
    const JOBS: u64 = 3_000;
    let steps = [tool("apt-get", &["download", "-qq", "cron"]), tool("sh", &["-c", "dpkg -x cron_*.deb ."])];
    let home = installed(ctx, "cron", steps).await?;
    let mut asked = tool("sh", &["-c", "dpkg-deb --field cron_*.deb Version"]);
    asked.current_dir(&home);
    ctx.met(format!("Debian's cron {}", run(asked).await?.trim()));
    let data = ctx.folder("cron");
    let (spool, out) = (data.join("crontabs"), data.join("out"));
    std::fs::create_dir_all(&spool).map_err(|e| e.to_string())?;
    let line = format!("* * * * * echo >> {}\n", out.display());
    std::fs::write(spool.join("root"), line.repeat(JOBS as usize)).map_err(|e| e.to_string())?;
    run(tool("chmod", &["600", &spool.join("root").to_string_lossy()])).await?;
    // Its folder of crontabs and its lock are compiled in: in a mount namespace of our own ours lie over
    // them. A process namespace of our own ends with all that is in it.
    let script = format!(
        "set -e; mount -t tmpfs tmpfs /var/spool; mkdir /var/spool/cron; mount --bind {} /var/spool/cron; \
         mount -t tmpfs tmpfs /run; exec {}/usr/sbin/cron -f",
        data.display(),
        home.display(),
    );
    let mut command = tool("unshare", &["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", &script]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.map_err(|e| format!("unshare: {e}"))?;
    let began = Instant::now();
    // Each command adds one byte.
    let (mut done, mut minute) = (0, None);
    while done < JOBS {
        if child.try_wait().is_ok_and(|end| end.is_some()) {
            return Err("cron ended at once; it needs root and a mount namespace".into());
        }
        if began.elapsed() > Duration::from_secs(120) {
            return Err(format!("{done} of {JOBS} commands ran"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        done = std::fs::metadata(&out).map_or(0, |file| file.len());
        if done > 0 {
            minute.get_or_insert(now() / 60_000 * 60_000);
        }
    }
    let took = (now() - minute.unwrap_or_default()) as f64 / 1_000.0;
    child.kill().await.map_err(|e| e.to_string())?;
    ctx.clean(&data);
    ctx.say(&format!("{JOBS} commands within {took:.2} s of the minute"));
    Ok(vec![("cron_rate", JOBS as f64 / took), ("cron_herd", took * 1_000.0)])
}
