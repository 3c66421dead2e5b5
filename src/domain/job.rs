//! A job: what to run and when. `JobDraft` (in `job/draft.rs`) is what a client sends; its `check`
//! is the only way to get a `JobSpec`, so every stored job has passed it.

mod draft;

use super::action::{Action, Mode, text as command_text};
use super::run::text_enum;
use super::schedule::Schedule;
use super::{FieldError, Text, UtcMs};
use chrono_tz::Tz;
use std::time::Duration;

pub use draft::JobDraft;

/// A job's number; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub i64);

impl std::fmt::Display for JobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Characters of a name.
pub const NAME_MAX: usize = 100;
/// Characters of a description.
pub const DESC_MAX: usize = 2_000;
/// Seven days, the longest a single misfire may be made up for (semantics 4), in seconds.
pub const MISFIRE_WINDOW_MAX: i64 = 7 * 86_400;
/// Seconds.
pub const MISFIRE_WINDOW_DEFAULT: i64 = 300;

/// `allow_mode`: what happens when a fire comes while a run of the same job is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// 0: they run side by side.
    Parallel,
    /// 1: the fire is recorded as skipped.
    Serial,
    /// 2: the fire waits; such a job also runs once as soon as it is added, enabled or restarted.
    Immediate,
}

impl Overlap {
    pub fn code(self) -> i64 {
        match self {
            Self::Parallel => 0,
            Self::Serial => 1,
            Self::Immediate => 2,
        }
    }

    pub const ALL: [Self; 3] = [Self::Parallel, Self::Serial, Self::Immediate];

    /// As the modern API calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parallel => "allow",
            Self::Serial => "skip",
            Self::Immediate => "queue",
        }
    }

    pub fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::Parallel),
            1 => Some(Self::Serial),
            2 => Some(Self::Immediate),
            _ => None,
        }
    }
}

text_enum! {
    /// What happens to a fire that could not start within 60 s of its instant (semantics 4).
    MisfirePolicy { FireOnce = "fire_once", Skip = "skip", FireAll = "fire_all" }
}

text_enum! {
    /// What happens to a run that was in flight when the server died (semantics 2).
    Recovery { Never = "never", Rerun = "rerun" }
}

text_enum! {
    /// Why a job is in state 2 although nobody asked for it.
    StopReason { Limit = "limit", Crash = "crash" }
}

impl StopReason {
    pub fn text(self) -> Text {
        match self {
            Self::Limit => Text::new("已达到最大执行次数", "max_run_count was reached"),
            Self::Crash => Text::new(
                "服务连续三次在该任务执行过程中异常退出，任务已暂停",
                "the job was in flight at three server crashes in a row and has been paused",
            ),
        }
    }
}

/// What is done with an `addAndRun` job when its first run has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    pub task: bool,
    pub log: bool,
}

/// The rule that says when a job fires, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    Cron(Box<str>),
    Interval(u32),
}

impl Trigger {
    /// As clients and rows have it: its kind, the cron expression, the seconds between two fires.
    pub fn parts(&self) -> (&'static str, &str, i64) {
        match self {
            Self::Cron(expr) => ("cron", expr, 0),
            Self::Interval(seconds) => ("interval", "", i64::from(*seconds)),
        }
    }
}

/// A checked job, without identity. A million of them are held in memory, so it is small: what its command
/// means is read when it runs.
#[derive(Clone, Debug)]
pub struct JobSpec {
    pub name: Box<str>,
    pub desc: Box<str>,
    pub trigger: Trigger,
    /// `None`: the server's zone.
    pub timezone: Option<Tz>,
    pub schedule: Schedule,
    pub mode: Mode,
    /// The command text as written.
    pub command: Box<str>,
    pub enabled: bool,
    pub overlap: Overlap,
    /// 0: no limit.
    pub max_run_count: u32,
    pub misfire_policy: MisfirePolicy,
    pub misfire_window: Duration,
    pub recovery: Recovery,
}

impl JobSpec {
    /// What the command text says to do.
    ///
    /// # Errors
    /// As the check of a draft, which a spec has passed: never, unless the rules were others then.
    pub fn action(&self) -> Result<Action, Vec<FieldError>> {
        command_text::parse(self.mode, &self.command)
    }
}

/// A stored job.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: JobId,
    pub spec: JobSpec,
    pub removal: Removal,
    pub story: Story,
}

/// What became of a job's definition so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Story {
    pub created: UtcMs,
    pub updated: UtcMs,
    /// Grows with each change.
    pub version: i64,
    /// Why the system stopped it; an enabled job has none.
    pub stop_reason: Option<StopReason>,
}

impl Job {
    /// Its definition was changed at `now`.
    pub fn changed(&mut self, now: UtcMs) {
        self.story.updated = now;
        self.story.version += 1;
    }
}
