//! `status`: what runs, told to people or to scripts. The exit code is the short form: 0 it works,
//! 3 nothing runs, 4 it runs but does not answer or is not well.

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::UtcMs;
use crate::supervisor::{Health, Paths, ServerFile, pidfile};
use crate::telemetry::files::{Files, Filter};
use serde_json::{Value, json};
use std::process::ExitCode;

const NOTHING_RUNS: u8 = 3;
const NOT_WELL: u8 = 4;

struct Status<'a> {
    config: &'a Config,
    now: UtcMs,
    server: Option<Server>,
    supervisor: Option<u32>,
    last_error: Option<LastError>,
}

struct LastError {
    at: UtcMs,
    text: String,
}

struct Server {
    pid: u32,
    /// Nothing between the first moments of a start and its end.
    file: Option<ServerFile>,
    health: Health,
    /// Total, running, waiting, stopped; nothing when the server does not tell.
    jobs: Option<[u64; 4]>,
}

const JOBS: [&str; 4] = ["total", "running", "waiting", "stopped"];

pub fn run(config: &Config, json: bool) -> ExitCode {
    let status = Status::gather(config);
    if json {
        println!("{:#}", status.json());
    } else {
        status.print();
    }
    match status.server {
        None => NOTHING_RUNS.into(),
        Some(Server { health: Health::Well | Health::Closed, .. }) => ExitCode::SUCCESS,
        Some(_) => NOT_WELL.into(),
    }
}

impl<'a> Status<'a> {
    fn gather(config: &'a Config) -> Self {
        let paths = Paths(config.runtime_dir.clone());
        let now = Clock::System.now();
        let server = pidfile::alive(&paths.job_pid()).map(|process| Server::ask(process.pid, &paths));
        let supervisor = pidfile::alive(&paths.daemon_pid()).map(|process| process.pid);
        Self { config, now, server, supervisor, last_error: last_error(config, now) }
    }

    fn print(&self) {
        match &self.server {
            None => println!("not running"),
            Some(server) => self.print_server(server),
        }
        let supervisor = self.supervisor.map_or("none".to_owned(), |pid| format!("pid {pid}"));
        println!("supervisor: {supervisor}");
        match &self.last_error {
            None => println!("last error: none today"),
            Some(e) => println!(
                "last error: {} {}",
                e.at.local_seconds(self.config.zone),
                e.text.replace('\n', "; ")
            ),
        }
    }

    fn print_server(&self, server: &Server) {
        match &server.health {
            Health::Well | Health::Closed => println!("running, pid {}", server.pid),
            Health::Ill(problem) => println!("running but not well, pid {}: {problem}", server.pid),
            Health::Silent(why) => println!("runs but does not answer, pid {}: {why}", server.pid),
        }
        if let Some(file) = &server.file {
            println!("version: {}", file.version);
            println!("uptime: {}", words(self.uptime(file)));
            println!("url: {}", file.url());
            println!("listens on: {} port {}", file.host, file.port);
        }
        match (server.jobs, &server.health) {
            (Some([total, running, waiting, stopped]), _) => {
                println!("jobs: {total} ({running} running, {waiting} waiting, {stopped} stopped)");
            }
            (None, Health::Closed) => {
                println!("jobs: not told, the server takes no calls from this machine (IP_WHITELIST)");
            }
            (None, Health::Well) => println!("jobs: not told without a login; the console shows them"),
            (None, _) => println!("jobs: not told"),
        }
    }

    fn json(&self) -> Value {
        let server = self.server.as_ref();
        let file = server.and_then(|server| server.file.as_ref());
        let (state, problem) = match server.map(|server| &server.health) {
            None => ("not running", None),
            Some(Health::Well | Health::Closed) => ("running", None),
            Some(Health::Ill(problem)) => ("not well", Some(problem)),
            Some(Health::Silent(why)) => ("no answer", Some(why)),
        };
        let jobs = server.and_then(|server| server.jobs);
        let jobs = jobs.map(|jobs| JOBS.into_iter().zip(jobs).collect::<std::collections::BTreeMap<_, _>>());
        let last_error = self.last_error.as_ref();
        json!({
            "state": state,
            "problem": problem,
            "pid": server.map(|server| server.pid),
            "version": file.map(|file| &file.version),
            "uptime": file.map(|file| self.uptime(file)),
            "url": file.map(ServerFile::url),
            "host": file.map(|file| &file.host),
            "port": file.map(|file| file.port),
            "jobs": jobs,
            "supervisor_pid": self.supervisor,
            "last_error": last_error
                .map(|e| json!({"time": e.at.rfc3339(self.config.zone), "text": e.text})),
        })
    }

    /// Seconds by the wall clock; a clock that was set back counts as none.
    fn uptime(&self, file: &ServerFile) -> u64 {
        u64::try_from(self.now.since(file.started) / 1_000).unwrap_or(0)
    }
}

impl Server {
    fn ask(pid: u32, paths: &Paths) -> Self {
        let file = ServerFile::read(&paths.server_file()).filter(|file| file.pid == pid);
        let health = match &file {
            Some(file) => file.health(),
            None => Health::Silent("it has not said yet where it listens".into()),
        };
        let jobs = file.as_ref().filter(|_| health == Health::Well).and_then(jobs);
        Self { pid, file, health, jobs }
    }
}

fn jobs(file: &ServerFile) -> Option<[u64; 4]> {
    let (_, body) = file.get("/jobs/jobStatus").ok()?;
    let mut counts = [0; 4];
    for (count, name) in counts.iter_mut().zip(JOBS) {
        *count = body[name].as_u64()?;
    }
    Some(counts)
}

/// The newest error of today.
fn last_error(config: &Config, now: UtcMs) -> Option<LastError> {
    let files = Files::new(config, Clock::System);
    let filter = Filter { day: Some(files.today()), levels: vec!["ERROR".into()], text: None };
    let line = files.newest(&filter, 1).ok()?.pop()?;
    let line: Value = serde_json::from_str(&line).ok()?;
    let at = chrono::DateTime::parse_from_rfc3339(line["timestamp"].as_str()?).ok()?;
    let error = LastError { at: UtcMs::from_utc(at.to_utc()), text: line["message"].as_str()?.to_owned() };
    // While no server runs, nobody puts yesterday's file away.
    let day = |at: UtcMs| at.to_zone(config.zone).date_naive();
    Some(error).filter(|error| day(error.at) == day(now))
}

/// `3d 4h 5m`; seconds only while they matter.
fn words(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h {minutes}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_the_newest_of_today() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("app.log");
        let config = Config::load(&crate::config::Flags::default(), |name| match name {
            "LOG_FILE" => Some(file.display().to_string()),
            "TZ" => Some("UTC".into()),
            _ => None,
        })
        .unwrap();
        let now = Clock::System.now();
        let found = || last_error(&config, now).map(|e| (e.at, e.text));
        assert_eq!(found(), None);
        let line = |at: UtcMs, level: &str, text: &str| {
            let at = at.rfc3339(config.zone);
            json!({"timestamp": at, "level": level, "message": text}).to_string() + "\n"
        };
        let yesterday = now.minus(std::time::Duration::from_secs(86_400));
        std::fs::write(&file, line(yesterday, "ERROR", "yesterday")).unwrap();
        assert_eq!(found(), None);
        let text =
            line(now, "ERROR", "first") + &line(now, "ERROR", "second") + &line(now, "INFO", "no ERROR");
        std::fs::write(&file, text).unwrap();
        assert_eq!(found(), Some((now, "second".to_owned())));
    }

    #[test]
    fn an_uptime_is_as_long_as_it_matters() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3_660, "1h 1m"), (90_000, "1d 1h 0m")]
        {
            assert_eq!(words(seconds), text);
        }
    }
}
