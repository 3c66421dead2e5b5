//! The system log: human lines on the terminal, JSON lines in a file a day (`daily`). Secrets are
//! never logged: settings print redacted, command texts and request bodies are not logged at all.

use super::daily::{Daily, Place};
use super::tail::{Tail, Tee};
use crate::clock::Clock;
use crate::config::{Config, LogConfig};
use chrono_tz::Tz;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Why the log cannot be written, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{path}: the log cannot be written ({source}); set LOG_FILE to a place that this user may write")]
    File { path: String, source: std::io::Error },
    #[error("the log is already set up")]
    Twice,
}

/// What the terminal gets of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    Lines,
    /// It is a file that nobody puts away.
    Silent,
}

/// Lines that may wait for the disk; their places are 32 bytes each, taken at the start.
const LINES_MAX: usize = 16_384;

/// Sets the log up for the whole process. It writes what is left when the guard is dropped.
pub fn init(config: &Config, clock: Clock, terminal: Terminal) -> Result<(Control, WorkerGuard), LogError> {
    let LogConfig { level, days, .. } = &config.log;
    let place = Place::new(&config.log);
    let path = crate::config::shown(place.current());
    let daily = Daily::open(place, *days, config.zone, clock.clone());
    let tail = Tail::default();
    let daily = tail.tee(daily.map_err(|source| LogError::File { path, source })?);
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(LINES_MAX).finish(daily);
    let time = LocalTime { zone: config.zone, clock };
    let terminal = (terminal == Terminal::Lines).then(|| {
        fmt::layer()
            .with_timer(time.clone())
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
    });
    let file = fmt::layer()
        .json()
        .flatten_event(true)
        .with_timer(time)
        .with_file(true)
        .with_line_number(true)
        .with_writer(writer);
    let (filter, handle) = reload::Layer::new(EnvFilter::new(level));
    tracing_subscriber::registry()
        .with(filter)
        .with(terminal)
        .with(file)
        .try_init()
        .map_err(|_| LogError::Twice)?;
    Ok((Control::new(level, Some(handle), tail), guard))
}

/// What can be changed of the log while it is written. A clone controls the same log.
#[derive(Clone, Debug)]
pub struct Control {
    state: Arc<Mutex<State>>,
    tail: Tail,
}

#[derive(Debug)]
struct State {
    level: String,
    enabled: bool,
    /// `None` in a process whose log is not ours.
    handle: Option<reload::Handle<EnvFilter, Registry>>,
}

impl Control {
    fn new(level: &str, handle: Option<reload::Handle<EnvFilter, Registry>>, tail: Tail) -> Self {
        let state = State { level: level.to_owned(), enabled: true, handle };
        Self { state: Arc::new(Mutex::new(state)), tail }
    }

    /// Of a process that set up a log of its own.
    pub fn detached() -> Self {
        Self::new("info", None, Tail::default())
    }

    /// The lines that are written from now on.
    pub fn lines(&self) -> broadcast::Receiver<Arc<str>> {
        self.tail.listen()
    }

    /// A writer of lines that those who listen are told of: for a process with a log of its own.
    pub fn tee<W: Write>(&self, inner: W) -> Tee<W> {
        self.tail.tee(inner)
    }

    /// Logs at this level from now on, or once the log is on again.
    pub fn set_level(&self, level: &str) {
        self.change(|state| level.clone_into(&mut state.level));
    }

    /// Switches the log off or on. A restart switches it on again.
    pub fn set_enabled(&self, enabled: bool) {
        self.change(|state| state.enabled = enabled);
    }

    pub fn is_enabled(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).enabled
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let filter = EnvFilter::new(if state.enabled { &state.level } else { "off" });
        if let Some(Err(e)) = state.handle.as_ref().map(|handle| handle.reload(filter)) {
            tracing::error!("the log cannot be changed: {e}");
        }
    }
}

/// The server's local time with its offset, so that a line and a job's schedule compare by eye.
#[derive(Clone, Debug)]
struct LocalTime {
    zone: Tz,
    clock: Clock,
}

impl FormatTime for LocalTime {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        w.write_str(&self.clock.now().rfc3339(self.zone))
    }
}
