//! The system log: human lines on the terminal, JSON lines in a file a day. Secrets are never
//! logged: settings print redacted, command texts and request bodies are not logged at all.

use crate::config::LogConfig;
use std::io::IsTerminal;
use std::path::Path;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Why the log cannot be written, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(
        "{path}: the log file cannot be written ({source}); set LOG_FILE to a place that this user may write"
    )]
    File { path: String, source: InitError },
    #[error(
        "{path}: the log folder cannot be made ({source}); set LOG_FILE to a place that this user may write"
    )]
    Folder { path: String, source: std::io::Error },
    #[error("the log is already set up")]
    Twice,
}

/// The log of this process; it writes what is left when it is dropped.
#[derive(Debug)]
pub struct Log {
    level: reload::Handle<EnvFilter, Registry>,
    _guard: WorkerGuard,
}

impl Log {
    /// Logs at this level from now on.
    pub fn set_level(&self, level: &str) {
        if let Err(e) = self.level.reload(EnvFilter::new(level)) {
            tracing::error!("the log level cannot be changed: {e}");
        }
    }
}

/// Sets the log up for the whole process.
pub fn init(config: &LogConfig) -> Result<Log, LogError> {
    let (writer, guard) = tracing_appender::non_blocking(appender(config)?);
    let terminal = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let file = fmt::layer().json().flatten_event(true).with_writer(writer);
    let (filter, level) = reload::Layer::new(EnvFilter::new(&config.level));
    tracing_subscriber::registry()
        .with(filter)
        .with(terminal)
        .with(file)
        .try_init()
        .map_err(|_| LogError::Twice)?;
    Ok(Log { level, _guard: guard })
}

/// `app.log` becomes `app.2026-11-22.log`; the newest `days` files stay.
fn appender(config: &LogConfig) -> Result<RollingFileAppender, LogError> {
    let path = &config.file;
    let text =
        |part: Option<&std::ffi::OsStr>| part.map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .map_err(|source| LogError::Folder { path: folder.display().to_string(), source })?;
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(text(path.file_stem()))
        .filename_suffix(text(path.extension()))
        .max_log_files(config.days)
        .build(folder)
        .map_err(|source| LogError::File { path: path.display().to_string(), source })
}
