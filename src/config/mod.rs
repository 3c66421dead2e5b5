//! The settings: file < environment < flag, checked once at start. `settings.rs` is the one list
//! of what there is; this file turns it into typed values.

mod database;
mod settings;

use crate::domain::access::IpRules;
use chrono_tz::Tz;
use ipnet::IpNet;
use settings::Values;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use database::DatabaseUrl;
pub use settings::{SETTINGS, Setting};

/// The file that is read when it exists and no `--config` names another.
pub const DEFAULT_FILE: &str = "config.toml";

/// What went wrong with the settings: each line names the setting and the mend.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

#[derive(Clone, Debug)]
pub struct Config {
    pub host: String,
    pub port: u16,
    pub allowed_hosts: Vec<String>,
    pub trusted_proxies: Vec<IpNet>,
    pub database: DatabaseUrl,
    pub data_dir: PathBuf,
    pub runtime_dir: PathBuf,
    pub log: LogConfig,
    /// The server's zone: jobs without one of their own, and local times in answers.
    pub zone: Tz,
    pub ip: IpRules,
    pub jobs: JobsConfig,
    pub functions: FunctionsConfig,
    pub daemon: DaemonConfig,
    /// The texts all this was read from, to tell later what has changed. Not for showing: there may
    /// be a password among them.
    texts: Texts,
}

#[derive(Clone, PartialEq, Eq)]
struct Texts(Vec<String>);

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

#[derive(Clone, Debug)]
pub struct LogConfig {
    /// A filter as tracing reads it, usually one level.
    pub level: String,
    /// JSON lines go here, a file a day; `None`: `log/timerjobs.log` beneath the runtime folder.
    pub file: PathBuf,
    pub days: usize,
}

/// When a dead server is started again.
#[derive(Clone, Debug)]
pub struct DaemonConfig {
    pub max_restarts: usize,
    pub restart_delay: Duration,
}

#[derive(Clone, Debug)]
pub struct JobsConfig {
    pub max_concurrent: usize,
    pub max_waiting: usize,
    pub manual_allow_concurrent: bool,
    pub shutdown_grace: Duration,
    pub kill_grace: Duration,
    pub output_limit: usize,
    pub retention: Retention,
}

/// Where functions may work.
#[derive(Clone, Debug)]
pub struct FunctionsConfig {
    /// The folder of the function File, absolute.
    pub file_root: PathBuf,
    /// The folders in which the function Cleanup may delete.
    pub cleanup_roots: Vec<PathBuf>,
    /// The folder of the user's own functions, absolute.
    pub dir: PathBuf,
    pub watch: bool,
    pub python: String,
    pub python_workers: usize,
    /// Bytes; 0: no limit.
    pub python_memory: u64,
    pub python_import_timeout: Duration,
}

/// What is kept of the runs (semantics 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Newest runs of each job.
    pub runs: u32,
    pub age: Duration,
    /// Of all runs together.
    pub bytes: u64,
}

/// What the command line says beside the file and the environment.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub config: Option<PathBuf>,
    pub host: Option<String>,
    pub port: Option<u16>,
}

impl Config {
    /// Reads the settings. `env` is the environment, as an argument so that tests bring their own.
    pub fn load(flags: &Flags, env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let file = match &flags.config {
            Some(path) => Some(path.clone()),
            None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
        };
        let mut values = Values::default();
        if let Some(path) = file {
            values.read_file(&path)?;
        }
        values.read_env(env);
        if let Some(host) = &flags.host {
            values.set("server.host", host.clone(), "--host");
        }
        if let Some(port) = flags.port {
            values.set("server.port", port.to_string(), "--port");
        }
        Self::from_values(&values)
    }

    /// The settings that differ in `new`.
    pub fn changed(&self, new: &Self) -> Vec<&'static Setting> {
        let differs = self.texts.0.iter().zip(&new.texts.0).map(|(old, new)| old != new);
        SETTINGS.iter().zip(differs).filter(|(_, differs)| *differs).map(|(setting, _)| setting).collect()
    }

    fn from_values(values: &Values) -> Result<Self, ConfigError> {
        let mut read = values.reader();
        let data_dir = PathBuf::from(read.text("paths.data_dir"));
        let runtime_dir = PathBuf::from(read.text("paths.runtime_dir"));
        let log_file = read.text("log.file");
        let config = Self {
            host: read.text("server.host"),
            port: read.number("server.port", 0, 65_535) as u16,
            allowed_hosts: read.list("server.allowed_hosts"),
            trusted_proxies: read.nets("server.trusted_proxies"),
            database: database::choose(&mut read, &data_dir),
            log: LogConfig {
                level: read.checked("log.level", |text| {
                    let filter = tracing_subscriber::EnvFilter::builder().parse(text.to_lowercase());
                    filter
                        .map(|_| text.to_lowercase())
                        .map_err(|_| "use error, warn, info, debug or trace".into())
                }),
                file: if log_file.is_empty() {
                    runtime_dir.join("log").join("timerjobs.log")
                } else {
                    PathBuf::from(log_file)
                },
                days: read.number("log.days", 1, 3_650) as usize,
            },
            zone: read.checked("jobs.timezone", |text| match text {
                "" => Ok(system_zone()),
                name => name.parse().map_err(|_| "use an IANA name such as Asia/Shanghai".into()),
            }),
            ip: IpRules {
                enabled: read.flag("ip_control.enabled"),
                whitelist: read.nets("ip_control.whitelist"),
                blacklist: read.nets("ip_control.blacklist"),
            },
            jobs: JobsConfig {
                max_concurrent: read.number("jobs.max_concurrent", 1, 10_000) as usize,
                max_waiting: read.number("jobs.max_waiting", 0, 1_000_000) as usize,
                manual_allow_concurrent: read.flag("jobs.manual_allow_concurrent"),
                shutdown_grace: Duration::from_secs(read.number("jobs.shutdown_grace", 0, 3_600)),
                kill_grace: Duration::from_secs(read.number("jobs.kill_grace", 0, 60)),
                output_limit: read.number("jobs.output_limit_kb", 1, 16_384) as usize * 1_024,
                retention: Retention {
                    runs: read.number("retention.runs", 1, 10_000_000) as u32,
                    age: Duration::from_secs(read.number("retention.days", 1, 36_500) * 86_400),
                    bytes: read.number("retention.total_mb", 1, 100_000_000) * 1_048_576,
                },
            },
            functions: FunctionsConfig {
                file_root: read.checked("functions.file_root", whole_path),
                cleanup_roots: read.checked("functions.cleanup_roots", folders),
                dir: read.checked("functions.dir", whole_path),
                watch: read.flag("functions.watch"),
                python: read.text("functions.python"),
                python_workers: read.number("functions.python_workers", 1, 1_000) as usize,
                python_memory: read.number("functions.python_memory_mb", 0, 1 << 20) << 20,
                python_import_timeout: Duration::from_secs(read.number(
                    "functions.python_import_seconds",
                    1,
                    600,
                )),
            },
            daemon: DaemonConfig {
                max_restarts: read.number("daemon.max_restarts", 0, 1_000) as usize,
                restart_delay: Duration::from_secs(read.number("daemon.restart_delay", 0, 60)),
            },
            data_dir,
            runtime_dir,
            texts: Texts(values.resolved()),
        };
        read.finish()?;
        Ok(config)
    }
}

fn whole_path(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|e| format!("use the path of a folder ({e})"))
}

/// Absolute folders with commas between them; a path may hold spaces.
fn folders(text: &str) -> Result<Vec<PathBuf>, String> {
    let paths = text.split(',').map(str::trim).filter(|path| !path.is_empty());
    paths
        .map(|path| match Path::new(path) {
            folder if !folder.is_absolute() => Err(format!("`{path}` is not absolute; write the whole path")),
            folder if folder.parent().is_none() => Err("a whole disk is too much; name a folder".into()),
            folder => Ok(folder.to_owned()),
        })
        .collect()
}

/// The machine's zone; UTC where it cannot be told.
fn system_zone() -> Tz {
    iana_time_zone::get_timezone().ok().and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC)
}

/// One block of text that lists every setting, for the command line's help.
pub fn help_text() -> String {
    let mut out = String::from("Settings (config.toml key, environment variable, default):\n");
    for s in SETTINGS {
        let default = if s.default.is_empty() { "-" } else { s.default };
        out += &format!("  {:32} {}\n      {} [{default}]\n", s.key, s.env.join(", "), s.doc);
    }
    out
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key)
    }
}

/// Makes a path that the settings give relative absolute, for messages.
pub fn shown(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

#[cfg(test)]
mod tests;
