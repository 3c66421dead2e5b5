//! The only reader of the time. Everything else receives a `Clock`, so that tests drive the time
//! and never sleep.

use crate::domain::UtcMs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The wall clock is looked at again at least this often (semantics 8), so that a jump is seen.
const RECHECK: Duration = Duration::from_secs(1);

/// Where the time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    /// Stands still until it is told to move.
    Settable(Arc<Settable>),
}

/// One look at both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock, which people and NTP set.
    pub wall: UtcMs,
    /// Time that has really passed since some fixed moment; it goes on while the machine sleeps.
    pub elapsed: Duration,
}

impl Clock {
    pub fn read(&self) -> Reading {
        match self {
            Self::System => Reading { wall: system_wall(), elapsed: system_elapsed() },
            Self::Settable(s) => *s.reading.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    pub fn now(&self) -> UtcMs {
        self.read().wall
    }

    /// Waits until the wall clock may have reached `at`, or until it is time to look at it again.
    /// The caller reads the clock afterwards: waking is no proof that `at` has come.
    pub async fn wait_until(&self, at: Option<UtcMs>) {
        match self {
            Self::System => {
                let left = at.map_or(RECHECK, |at| millis(at.since(system_wall())).min(RECHECK));
                tokio::time::sleep(left).await;
            }
            Self::Settable(s) => {
                let mut changed = s.changed.subscribe();
                if at.is_none_or(|at| self.now() < at) {
                    // The sender lives in `s`, which outlives this wait.
                    let _ = changed.changed().await;
                }
            }
        }
    }
}

/// A clock that tests set.
#[derive(Debug)]
pub struct Settable {
    reading: Mutex<Reading>,
    changed: watch::Sender<()>,
}

impl Settable {
    pub fn new(wall: UtcMs) -> Arc<Self> {
        let reading = Mutex::new(Reading { wall, elapsed: Duration::from_secs(1_000) });
        Arc::new(Self { reading, changed: watch::channel(()).0 })
    }

    /// Lets time pass: both clocks move.
    pub fn advance(&self, by: Duration) {
        self.change(|r| {
            r.wall = r.wall.plus(by);
            r.elapsed += by;
        });
    }

    /// Somebody sets the wall clock: no time passes.
    pub fn set_wall(&self, wall: UtcMs) {
        self.change(|r| r.wall = wall);
    }

    fn change(&self, f: impl FnOnce(&mut Reading)) {
        f(&mut self.reading.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_replace(());
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[expect(clippy::disallowed_methods, reason = "this file is the one reader of the clock")]
fn system_wall() -> UtcMs {
    UtcMs::from_utc(chrono::Utc::now())
}

/// CLOCK_BOOTTIME: a suspended laptop has been away, its clock did not jump.
#[cfg(target_os = "linux")]
fn system_elapsed() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this file is the one reader of the clock")]
fn system_elapsed() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}
