//! The settings: file < environment < flag, checked once at start. `list.rs` is the one list
//! of what there is; this file turns it into typed values.

mod check;
mod clients;
mod database;
mod limits;
mod list;
pub mod reload;
mod services;
mod settings;
mod suggest;

use crate::domain::access::IpRules;
use crate::domain::action::limits::Limits;
use crate::domain::egress;
use crate::domain::service::{Database, Sms, Smtp};
use chrono_tz::Tz;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use settings::Values;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use check::{Checked, Given, check};
pub use clients::{ClientsConfig, Rate};
pub use database::{DatabaseConfig, DatabaseUrl, ServerKind, ServerUrl};
pub use list::{SETTINGS, Setting};

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
    pub clients: ClientsConfig,
    pub database: DatabaseConfig,
    pub data_dir: PathBuf,
    /// The key of the secrets of jobs.
    pub secrets_key: PathBuf,
    pub runtime_dir: PathBuf,
    /// Where backups of the database go that name no file.
    pub backup_dir: PathBuf,
    pub log: LogConfig,
    /// The server's zone: jobs without one of their own, and local times in answers.
    pub zone: Tz,
    pub ip: IpRules,
    pub auth: AuthMode,
    pub egress: EgressConfig,
    pub jobs: JobsConfig,
    /// What a command may use, and as whom every one runs.
    pub commands: Limits,
    /// The variables that a command inherits; none: all but secrets.
    pub commands_environment: Vec<String>,
    pub functions: FunctionsConfig,
    pub daemon: DaemonConfig,
    /// The texts all this was read from, to tell later what has changed. Not for showing: there may
    /// be a password among them.
    texts: Texts,
    /// Where each was read, in the order of the list.
    origins: Vec<String>,
}

/// A setting as it is, for people.
#[derive(Clone, Debug)]
pub struct Described {
    pub setting: &'static Setting,
    /// What may hold a password is not shown.
    pub value: String,
    /// `default`, a file with its line, a variable of the environment, or a flag.
    pub origin: String,
}

/// Who must log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    #[default]
    /// Nobody as long as there is no account, then everybody.
    Auto,
    Required,
    /// Nobody ever.
    Off,
}

impl AuthMode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Required => "required",
            Self::Off => "off",
        }
    }
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
    /// error, warn, info, debug or trace.
    pub level: String,
    /// JSON lines of today go here.
    pub file: PathBuf,
    /// Days kept, today's too.
    pub days: usize,
}

/// When a dead server is started again.
#[derive(Clone, Debug)]
pub struct DaemonConfig {
    pub max_restarts: usize,
    pub restart_delay: Duration,
}

/// Where requests of jobs may go.
#[derive(Clone, Debug)]
pub struct EgressConfig {
    pub mode: egress::Mode,
    pub allow: egress::Allow,
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

/// Where functions may work, and with whom.
#[derive(Clone, Debug)]
pub struct FunctionsConfig {
    /// The folder of the function File, absolute.
    pub file_root: PathBuf,
    /// The folders in which the function Cleanup may delete.
    pub cleanup_roots: Vec<PathBuf>,
    pub databases: Vec<Database>,
    pub smtp: Option<Smtp>,
    pub sms: Option<Sms>,
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
    /// Of the audit log.
    pub audit: Duration,
    pub audit_rows: i64,
}

/// What the command line says beside the file and the environment: the flags that choose a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
pub struct Flags {
    /// Settings file; config.toml in this folder is read when it is there.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to listen on.
    #[arg(short = 'H', long)]
    pub host: Option<String>,
    /// Port to listen on.
    #[arg(short, long)]
    pub port: Option<u16>,
}

impl Flags {
    /// As they are written on a command line.
    pub fn args(&self) -> Vec<OsString> {
        let mut args = Vec::new();
        if let Some(config) = &self.config {
            args.extend(["--config".into(), config.into()]);
        }
        if let Some(host) = &self.host {
            args.extend(["--host".into(), host.into()]);
        }
        if let Some(port) = self.port {
            args.extend(["--port".into(), port.to_string().into()]);
        }
        args
    }

    /// These where they say something, `older` where they do not.
    pub fn or(self, older: Self) -> Self {
        let (config, host) = (self.config.or(older.config), self.host.or(older.host));
        Self { config, host, port: self.port.or(older.port) }
    }

    /// The settings file that is read, if any.
    pub fn file(&self) -> Option<PathBuf> {
        match &self.config {
            Some(path) => Some(path.clone()),
            None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
        }
    }
}

impl Config {
    /// Reads the settings. `env` is the environment, as an argument so that tests bring their own.
    pub fn load(flags: &Flags, env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Self::from_values(&Values::read(flags, env))
    }

    /// Where a server with these settings keeps its files, also while other settings are wrong: it can
    /// be found and stopped all the same.
    pub fn runtime_dir(flags: &Flags, env: impl Fn(&str) -> Option<String>) -> PathBuf {
        PathBuf::from(Values::read(flags, env).reader().text("paths.runtime_dir"))
    }

    /// The settings that differ in `new`.
    pub fn changed(&self, new: &Self) -> Vec<&'static Setting> {
        let differs = self.texts.0.iter().zip(&new.texts.0).map(|(old, new)| old != new);
        SETTINGS.iter().zip(differs).filter(|(_, differs)| *differs).map(|(setting, _)| setting).collect()
    }

    /// What is in force after `new` was read: its live settings, and the others as they are.
    pub fn in_force_after(&self, mut new: Self) -> Self {
        for (at, setting) in SETTINGS.iter().enumerate() {
            if !setting.live {
                new.texts.0[at].clone_from(&self.texts.0[at]);
                new.origins[at].clone_from(&self.origins[at]);
            }
        }
        new
    }

    /// Every setting by section and name; what may hold a password is not shown.
    pub fn snapshot(&self) -> Value {
        let mut sections = Map::new();
        for (setting, text) in SETTINGS.iter().zip(&self.texts.0) {
            let shown = match text.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "" => "".into(),
                _ if setting.secret => "***".into(),
                text => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
            };
            let (section, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
            let section = sections.entry(section).or_insert_with(|| Map::new().into());
            if let Some(section) = section.as_object_mut() {
                section.insert(name.into(), shown);
            }
        }
        sections.into()
    }

    /// Every setting in the order of the list; what may hold a password is not shown.
    pub fn described(&self) -> Vec<Described> {
        let given = SETTINGS.iter().zip(&self.texts.0).zip(&self.origins);
        let described = given.map(|((setting, text), origin)| Described {
            setting,
            value: if setting.secret && !text.is_empty() { "***".to_owned() } else { text.clone() },
            origin: origin.clone(),
        });
        described.collect()
    }

    fn from_values(values: &Values) -> Result<Self, ConfigError> {
        let mut read = values.reader();
        let data_dir = PathBuf::from(read.text("paths.data_dir"));
        let runtime_dir = PathBuf::from(read.text("paths.runtime_dir"));
        let backup_dir = PathBuf::from(read.text("paths.backup_dir"));
        let log_file = read.text("log.file");
        let config = Self {
            host: read.text("server.host"),
            port: read.number("server.port", 0, 65_535) as u16,
            allowed_hosts: read.list("server.allowed_hosts"),
            trusted_proxies: read.nets("server.trusted_proxies"),
            clients: clients::read(&mut read),
            database: database::read(&mut read, &data_dir),
            log: LogConfig {
                level: read.checked("log.level", |text| match text.to_ascii_lowercase().as_str() {
                    "warning" => Ok("warn".into()),
                    level @ ("error" | "warn" | "info" | "debug" | "trace") => Ok(level.into()),
                    _ => Err("use error, warn, info, debug or trace".into()),
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
            auth: read.checked("auth.mode", |text| match text {
                "auto" => Ok(AuthMode::Auto),
                "required" => Ok(AuthMode::Required),
                "off" => Ok(AuthMode::Off),
                _ => Err("use auto, required or off".into()),
            }),
            ip: IpRules {
                enabled: read.flag("ip_control.enabled"),
                whitelist: read.nets("ip_control.whitelist"),
                blacklist: read.nets("ip_control.blacklist"),
            },
            egress: EgressConfig {
                mode: read.checked("egress.mode", |text| {
                    egress::Mode::parse(text)
                        .ok_or_else(|| "use standard, public-only, allow-list or off".into())
                }),
                allow: read.checked("egress.allow", egress::Allow::parse),
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
                    audit: Duration::from_secs(read.number("retention.audit_days", 1, 36_500) * 86_400),
                    audit_rows: read.number("retention.audit_rows", 1, 1_000_000_000) as i64,
                },
            },
            commands: limits::read(&mut read),
            commands_environment: read.list("commands.environment"),
            functions: FunctionsConfig {
                file_root: read.checked("functions.file_root", whole_path),
                cleanup_roots: read.checked("functions.cleanup_roots", folders),
                databases: read.checked("functions.databases", services::databases),
                smtp: services::smtp(&mut read),
                sms: services::sms(&mut read),
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
            secrets_key: match read.text("secrets.key_file").as_str() {
                "" => data_dir.join("secrets.key"),
                file => PathBuf::from(file),
            },
            data_dir,
            runtime_dir,
            backup_dir,
            texts: Texts(values.resolved()),
            origins: values.origins(),
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
