//! The checks themselves: first what the settings name, then the machine.

use super::Finding;
use crate::app;
use crate::clock::Clock;
use crate::config::{Config, DatabaseUrl, shown};
use crate::domain::UtcMs;
#[cfg(unix)]
use crate::rights;
use crate::store::{self, Schema, Server, newest_schema};
use crate::supervisor::{Paths, ServerFile, pidfile};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Below this SQLite soon cannot commit.
const DISK_FAIL_BYTES: u64 = 64 << 20;
const DISK_WARN_BYTES: u64 = 1 << 30;
/// A run takes up to six: three pipes, a socket or two, its files.
#[cfg(unix)]
const DESCRIPTORS_A_RUN: u64 = 6;
/// 2026-01-01: whoever sees an earlier date has no clock.
const CLOCK_MIN: UtcMs = UtcMs(1_767_225_600_000);
/// 2100-01-01.
const CLOCK_MAX: UtcMs = UtcMs(4_102_444_800_000);

pub async fn all(config: &Config) -> Vec<Finding> {
    let mut findings = vec![
        writable("data folder", &config.data_dir, "DATA_DIR"),
        writable("runtime folder", &config.runtime_dir, "RUNTIME_DIR"),
        writable("log folder", config.log.file.parent().unwrap_or(Path::new(".")), "LOG_FILE"),
    ];
    findings.extend(disk(&config.data_dir));
    findings.push(port(config));
    findings.push(database(config).await);
    findings.push(whitelist(config));
    findings.push(zone(config));
    findings.extend(descriptors(config.jobs.max_concurrent as u64));
    findings.extend(machine(&config.functions.python));
    findings.extend(run_as(config));
    findings
}

/// What does not depend on the settings.
pub fn machine(python_program: &str) -> Vec<Finding> {
    let mut findings = vec![clock(Clock::System.now())];
    findings.extend(clock_service());
    findings.extend(shell());
    findings.push(python(python_program));
    findings.extend(user());
    findings
}

fn writable(name: &'static str, folder: &Path, setting: &str) -> Finding {
    let (place, will_be_made) = nearest(folder);
    let probe = place.join(format!(".timerjobs-doctor-{}", std::process::id()));
    let written = fs::write(&probe, "");
    let _ = fs::remove_file(&probe);
    match written {
        Ok(()) if will_be_made => Finding::ok(name, format!("{}, made at the first start", shown(folder))),
        Ok(()) => Finding::ok(name, shown(folder)),
        Err(e) => {
            let mend = format!("give this user write access, or choose another {setting}");
            Finding::fail(name, format!("{} cannot be written ({e})", shown(folder)), mend)
        }
    }
}

/// The folder, or the one above it in which it would be made.
fn nearest(folder: &Path) -> (PathBuf, bool) {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let there = whole.ancestors().find(|path| path.exists()).unwrap_or(&whole).to_owned();
    let will_be_made = there != whole;
    (there, will_be_made)
}

#[cfg(unix)]
fn disk(folder: &Path) -> Option<Finding> {
    let disk = rustix::fs::statvfs(nearest(folder).0).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let text = format!("{} MiB free for {}", free >> 20, shown(folder));
    let mend = "free some, or lower RETENTION_TOTAL_MB";
    Some(if free < DISK_FAIL_BYTES {
        Finding::fail("disk", text, mend)
    } else if free < DISK_WARN_BYTES {
        Finding::warn("disk", text, mend)
    } else {
        Finding::ok("disk", text)
    })
}

#[cfg(not(unix))]
fn disk(_: &Path) -> Option<Finding> {
    None
}

fn port(config: &Config) -> Finding {
    let paths = Paths(config.runtime_dir.clone());
    let ours = pidfile::alive(&paths.job_pid());
    let file = ServerFile::read(&paths.server_file());
    if let Some((process, file)) = ours.zip(file).filter(|(process, file)| process.pid == file.pid)
        && (file.port == config.port || config.port == 0)
    {
        return Finding::ok("port", format!("{}, this server's, pid {}", file.port, process.pid));
    }
    let (host, port) = (config.host.as_str(), config.port);
    match TcpListener::bind((host, port)) {
        Ok(_) => Finding::ok("port", format!("{port} is free on {host}")),
        Err(e) => {
            let mend = "end the program that has it, or choose another PORT or HOST";
            Finding::fail("port", format!("{host} port {port} cannot be listened on ({e})"), mend)
        }
    }
}

async fn database(config: &Config) -> Finding {
    let name = "database";
    let path = match &config.database.url {
        DatabaseUrl::Sqlite(path) => path,
        DatabaseUrl::Server(url) => return server(&app::database::server(config, url)).await,
    };
    let seen = match store::inspect(path).await {
        Ok(seen) => seen,
        Err(e) => return refused(&e.to_string()),
    };
    let file = shown(path);
    if let Some(damage) = seen.damage {
        return Finding::fail(name, format!("{file} is damaged ({damage})"), "restore a backup");
    }
    if let Some(e) = fs::OpenOptions::new().write(true).open(path).err().filter(|_| path.exists()) {
        return Finding::fail(name, format!("{file} cannot be written ({e})"), "give this user write access");
    }
    if seen.schema == Schema::Absent {
        let place = writable(name, path.parent().unwrap_or(Path::new(".")), "DATABASE_URL");
        let text = format!("{file}, made at the first start");
        return if place.verdict == super::Verdict::Ok { Finding::ok(name, text) } else { place };
    }
    if matches!(seen.schema, Schema::Older(_) | Schema::Others) {
        // Without a backup the start changes no tables.
        let backups = writable(name, &config.backup_dir, "BACKUP_DIR");
        if backups.verdict != super::Verdict::Ok {
            return backups;
        }
    }
    tables(&format!("{file}, whole"), seen.schema)
}

async fn server(server: &Server) -> Finding {
    match store::inspect_server(server).await {
        Ok(schema) => tables(&server.to_string(), schema),
        Err(e) => refused(&e.to_string()),
    }
}

/// It says itself what to do.
fn refused(error: &str) -> Finding {
    let (text, mend) = error.rsplit_once("; ").unwrap_or((error, "see the cause"));
    Finding::fail("database", text, mend)
}

fn tables(place: &str, schema: Schema) -> Finding {
    let (name, newest) = ("database", newest_schema());
    match schema.usable() {
        Err(refusal) => refused(&format!("{place}: {refusal}")),
        Ok(0) => Finding::ok(name, format!("{place}, tables are made at the first start")),
        Ok(version) if version == newest => Finding::ok(name, format!("{place}, version {version}")),
        Ok(version) => {
            let mend = "the next start, or `timerjobs migrate`, updates it; back up a database server first";
            Finding::warn(name, format!("{place}, version {version} of {newest}"), mend)
        }
    }
}

fn whitelist(config: &Config) -> Finding {
    let name = "who may call";
    if config.ip.enabled && !config.ip.whitelist.is_empty() {
        return Finding::ok(name, format!("{} addresses or blocks", config.ip.whitelist.len()));
    }
    let text = "everybody who reaches the port may run commands";
    Finding::warn(name, text, "set IP_WHITELIST unless something else guards the port")
}

fn zone(config: &Config) -> Finding {
    if std::env::var_os("TZ").is_none() && iana_time_zone::get_timezone().is_err() {
        return Finding::warn("time zone", "the machine does not tell its own, UTC is taken", "set TZ");
    }
    Finding::ok("time zone", config.zone.name())
}

fn clock(now: UtcMs) -> Finding {
    let text = format!("{}Z", now.to_utc().format("%Y-%m-%dT%H:%M:%S"));
    if (CLOCK_MIN..CLOCK_MAX).contains(&now) {
        return Finding::ok("clock", text);
    }
    Finding::fail("clock", format!("{text} cannot be"), "set the clock; jobs would fire at wrong times")
}

/// Only where systemd can tell.
fn clock_service() -> Option<Finding> {
    let name = "clock service";
    match said("timedatectl", &["show", "--property=NTPSynchronized", "--value"])?.as_str() {
        "yes" => Some(Finding::ok(name, "the clock is synchronised")),
        "no" => {
            Some(Finding::warn(name, "the clock is not synchronised", "turn it on: timedatectl set-ntp true"))
        }
        _ => None,
    }
}

#[cfg(unix)]
fn shell() -> Option<Finding> {
    Some(match said("/bin/sh", &["-c", "echo works"]).as_deref() {
        Some("works") => Finding::ok("shell", "/bin/sh"),
        _ => Finding::fail("shell", "/bin/sh does not work", "install a shell; command jobs need it"),
    })
}

#[cfg(not(unix))]
fn shell() -> Option<Finding> {
    None
}

fn python(program: &str) -> Finding {
    match said(program, &["--version"]) {
        Some(version) => Finding::ok("python", format!("{program}, {version}")),
        None => Finding::warn(
            "python",
            format!("{program} is not there"),
            "install it if user functions are wanted",
        ),
    }
}

/// The first line that a program prints; nothing when it is not there or fails.
fn said(program: &str, args: &[&str]) -> Option<String> {
    let out = Command::new(program).args(args).output().ok().filter(|out| out.status.success())?;
    String::from_utf8_lossy(&out.stdout).lines().next().map(|line| line.trim().to_owned())
}

#[cfg(unix)]
fn descriptors(runs: u64) -> Option<Finding> {
    use rustix::process::{Resource, getrlimit};
    let name = "file descriptors";
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return Some(Finding::ok(name, "no limit"));
    };
    let wanted = 256 + runs * DESCRIPTORS_A_RUN;
    if limit >= wanted {
        return Some(Finding::ok(name, format!("{limit}")));
    }
    let text = format!("{limit}, and {runs} runs at once may need {wanted}");
    Some(Finding::warn(name, text, "raise it (ulimit -n, LimitNOFILE=) or lower JOBS_MAX_CONCURRENT"))
}

#[cfg(not(unix))]
fn descriptors(_: u64) -> Option<Finding> {
    None
}

#[cfg(unix)]
fn user() -> Option<Finding> {
    let id = rustix::process::geteuid();
    if !id.is_root() {
        return Some(Finding::ok("user", format!("uid {}", id.as_raw())));
    }
    if !rights::is_root_of_the_machine() {
        return Some(Finding::ok("user", "root of a container"));
    }
    Some(Finding::warn(
        "user",
        "root, and every job with it",
        "run it as a user of its own (make install-service), or set COMMANDS_RUN_AS",
    ))
}

/// What would fail every command.
#[cfg(unix)]
fn run_as(config: &Config) -> Option<Finding> {
    use nix::unistd::{Uid, User};
    let name = config.commands.user.as_deref()?;
    let by_name = User::from_name(name).ok().flatten();
    let found = by_name.or_else(|| User::from_uid(Uid::from_raw(name.parse().ok()?)).ok().flatten());
    Some(match found {
        None => Finding::fail(
            "commands' user",
            format!("there is no user {name}, and every command would fail"),
            "make it, or change COMMANDS_RUN_AS",
        ),
        Some(user) if user.uid != Uid::effective() && !Uid::effective().is_root() => Finding::fail(
            "commands' user",
            format!("commands cannot run as {name}: this is not root"),
            "start the server as root, or leave COMMANDS_RUN_AS empty",
        ),
        Some(user) => Finding::ok("commands' user", format!("{} (uid {})", user.name, user.uid)),
    })
}

#[cfg(not(unix))]
fn run_as(_: &Config) -> Option<Finding> {
    None
}

#[cfg(not(unix))]
fn user() -> Option<Finding> {
    None
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_clock_without_a_battery_is_seen() {
        for (at, sane) in [(UtcMs(0), false), (CLOCK_MIN, true), (CLOCK_MAX, false)] {
            assert_eq!(clock(at).verdict == Verdict::Ok, sane, "{at:?}");
        }
    }
}
