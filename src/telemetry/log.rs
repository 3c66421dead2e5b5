//! The system log: human lines on the terminal, JSON lines in a file a day. Secrets are never
//! logged: settings print redacted, command texts and request bodies are not logged at all.

use crate::config::LogConfig;
use crate::domain::UtcMs;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
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

/// What was last logged as an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    pub at: UtcMs,
    pub text: String,
}

/// The newest error in the log file of this day. The files change at midnight UTC.
pub fn last_error(config: &LogConfig, now: UtcMs) -> Option<LastError> {
    let part = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let (stem, suffix) = (part(config.file.file_stem()), part(config.file.extension()));
    let dot = if suffix.is_empty() { "" } else { "." };
    let name = format!("{stem}.{}{dot}{suffix}", now.to_utc().format("%Y-%m-%d"));
    let mut file = BufReader::new(File::open(config.file.with_file_name(name)).ok()?);
    let (mut line, mut last) = (Vec::new(), None);
    while file.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        // Most lines are no errors: they are not worth a parser.
        if line.windows(5).any(|five| five == b"ERROR") {
            last = error_in(&line).or(last);
        }
        line.clear();
    }
    last
}

fn error_in(line: &[u8]) -> Option<LastError> {
    let line: serde_json::Value = serde_json::from_slice(line).ok()?;
    let at = chrono::DateTime::parse_from_rfc3339(line["timestamp"].as_str()?).ok()?;
    let text = line["message"].as_str().unwrap_or_default().to_owned();
    (line["level"] == "ERROR").then(|| LastError { at: UtcMs::from_utc(at.to_utc()), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_the_newest_of_today() {
        let dir = tempfile::tempdir().unwrap();
        let config = LogConfig { level: "info".into(), file: dir.path().join("app.log"), days: 1 };
        let now = UtcMs::from_utc("2026-11-22T12:00:00Z".parse().unwrap());
        assert_eq!(last_error(&config, now), None);
        let line = |level: &str, text: &str| {
            format!(
                "{{\"timestamp\":\"2026-11-22T11:00:00.5Z\",\"level\":\"{level}\",\"message\":\"{text}\"}}\n"
            )
        };
        let text = line("ERROR", "first") + &line("ERROR", "second") + &line("INFO", "no ERROR") + "{\"ERROR";
        std::fs::write(dir.path().join("app.2026-11-22.log"), text).unwrap();
        std::fs::write(dir.path().join("app.2026-11-21.log"), line("ERROR", "yesterday")).unwrap();
        let at = UtcMs::from_utc("2026-11-22T11:00:00.5Z".parse().unwrap());
        assert_eq!(last_error(&config, now), Some(LastError { at, text: "second".into() }));
    }
}
