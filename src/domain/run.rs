//! A run: its identity, where it came from, how it ended, and the report that execution hands back.

use super::{Text, UtcMs};
use std::fmt;

/// A run's identity: 42 bits of milliseconds, 21 bits of sequence, so ids sort by the time of
/// creation and retention can cut by age on the primary key alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub i64);

const SEQUENCE_BITS: u32 = 21;

impl RunId {
    /// The smallest id of a run created at `at`.
    pub fn first_at(at: UtcMs) -> Self {
        Self(at.0.clamp(0, i64::MAX >> SEQUENCE_BITS) << SEQUENCE_BITS)
    }

    /// When the run was created.
    pub fn created_at(self) -> UtcMs {
        UtcMs(self.0 >> SEQUENCE_BITS)
    }

    /// Reads the text form back; `None` for anything else.
    pub fn parse(s: &str) -> Option<Self> {
        (s.len() == 16 && s.bytes().all(|b| b.is_ascii_hexdigit()))
            .then(|| i64::from_str_radix(s, 16).ok().map(Self))
            .flatten()
    }
}

/// `exec_id`: sixteen hexadecimal digits.
impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Hands out rising run ids, also when the clock goes back.
#[derive(Debug)]
pub struct RunIds {
    last: i64,
}

impl RunIds {
    /// `newest` is the greatest id ever stored.
    pub fn after(newest: RunId) -> Self {
        Self { last: newest.0 }
    }

    pub fn next(&mut self, now: UtcMs) -> RunId {
        self.last = (self.last + 1).max(RunId::first_at(now).0);
        RunId(self.last)
    }
}

/// Declares a closed set that is stored and shown as text.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            pub fn parse(s: &str) -> Option<Self> {
                match s { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use text_enum;

text_enum! {
    /// Who asked for a run.
    Source {
        Cron = "cron",
        Manual = "manual",
        /// A misfire that is made up for.
        Catchup = "catchup",
        /// `POST /jobs/addAndRun`.
        Api = "api",
    }
}

text_enum! {
    /// Where a run is in its life, and how it ended. The last seven are final.
    Outcome {
        Waiting = "waiting",
        Running = "running",
        Success = "success",
        Failed = "failed",
        Timeout = "timeout",
        Cancelled = "cancelled",
        Skipped = "skipped",
        Missed = "missed",
        /// The server died while the run was in flight.
        Lost = "lost",
    }
}

impl Outcome {
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }

    /// The contract's `status`.
    pub fn status(self) -> Text {
        let (zh, en) = match self {
            Self::Waiting => ("等待", "waiting"),
            Self::Running => ("执行中", "running"),
            Self::Success => ("成功", "success"),
            Self::Failed => ("失败", "failed"),
            Self::Timeout => ("超时", "timeout"),
            Self::Cancelled => ("取消", "cancelled"),
            Self::Skipped => ("跳过", "skipped"),
            Self::Missed => ("错过", "missed"),
            Self::Lost => ("中断", "lost"),
        };
        Text::new(zh, en)
    }
}

text_enum! {
    /// Why a run did not start, or was ended from outside.
    Reason {
        /// A serial job was still running.
        Overlap = "overlap",
        /// A parallel job already had its 64 runs in flight.
        ParallelLimit = "parallel_limit",
        /// The job's queue or the node's queue was full.
        QueueFull = "queue_full",
        /// `misfire_policy: skip`.
        Policy = "policy",
        /// Older than the job's misfire window, or more than the policy makes up for.
        Misfire = "misfire",
        /// The wall clock was set by more than three hours.
        ClockCorrection = "clock_correction",
        /// `POST /jobs/stop` or an edit to state 2.
        Stopped = "stopped",
        /// Somebody stopped this run alone.
        RunStopped = "run_stopped",
        /// The job was deleted.
        Deleted = "deleted",
        /// The server was told to stop.
        Shutdown = "shutdown",
        /// The server died.
        Crash = "crash",
        /// `max_run_count` was reached while the fire was being decided.
        Limit = "limit",
    }
}

impl Reason {
    /// The reason in words, for the run record's `error_msg`.
    pub fn text(self) -> Text {
        let (zh, en) = match self {
            Self::Overlap => {
                ("上一次执行尚未结束（串行）", "the previous run was still in flight (serial job)")
            }
            Self::ParallelLimit => ("该任务同时执行数已达上限 64", "the job already had 64 runs in flight"),
            Self::QueueFull => ("等待队列已满", "the waiting queue was full"),
            Self::Policy => {
                ("错过触发时间，策略为 skip", "the fire was missed and the job's misfire_policy is skip")
            }
            Self::Misfire => (
                "错过触发时间，超出补跑范围",
                "the fire was missed and lies outside what the misfire policy makes up for",
            ),
            Self::ClockCorrection => {
                ("系统时钟被大幅校正", "the wall clock was corrected by more than three hours")
            }
            Self::Stopped => ("任务被停止", "the job was stopped"),
            Self::RunStopped => ("本次执行被手动停止", "this run was stopped by hand"),
            Self::Deleted => ("任务被删除", "the job was deleted"),
            Self::Shutdown => ("服务关闭", "the server was shutting down"),
            Self::Crash => ("执行过程中服务异常退出", "the server died while the run was in flight"),
            Self::Limit => ("已达到最大执行次数", "max_run_count was reached"),
        };
        Text::new(zh, en)
    }
}

/// What execution hands back. A job that fails is a report, never an error.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// `Success`, `Failed`, `Timeout` or `Cancelled`.
    pub outcome: Outcome,
    pub error: Option<Text>,
    /// One line that sums the run up: a count of repeats, a function's value.
    pub result: Option<String>,
    pub exit_code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub http: Option<HttpReport>,
    pub func: Option<FuncReport>,
}

impl Report {
    pub fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            error: None,
            result: None,
            exit_code: None,
            stdout: String::new(),
            stderr: String::new(),
            http: None,
            func: None,
        }
    }

    pub fn failed(error: Text) -> Self {
        Self { error: Some(error), ..Self::new(Outcome::Failed) }
    }
}

/// The last request of an http run.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpReport {
    /// The final URL, after redirects; its password is masked.
    pub url: String,
    pub method: String,
    pub status: Option<u16>,
    /// The decoded body, bounded.
    pub response: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FuncReport {
    pub name: String,
    pub args: String,
    pub result: String,
}

#[cfg(test)]
#[path = "run_test.rs"]
mod run_test;
