//! Does the work of a run: one HTTP call, one shell command or one function, under a deadline, a
//! cancel token and bounded output. It knows neither store nor engine, and a job's failure is a
//! `Report`, never an error.

pub mod command;
pub mod func;
pub mod http;
pub mod output;
pub mod process;

use crate::domain::UtcMs;
use crate::domain::action::Action;
use crate::domain::run::{Outcome, Report};
use chrono_tz::Tz;
use tokio_util::sync::CancellationToken;

/// What one execution is given besides the action.
#[derive(Clone, Debug)]
pub struct Context {
    pub exec_id: String,
    pub job_id: i64,
    pub job_name: String,
    /// 1 for the first start of the run.
    pub attempt: u32,
    pub scheduled_at: UtcMs,
    /// When this attempt started.
    pub now: UtcMs,
    /// The job's zone.
    pub zone: Tz,
    /// Ends the work at once; the report is then `Cancelled`.
    pub cancel: CancellationToken,
    /// Marks the processes of this installation, in their environment as `TJ_INSTANCE`.
    pub instance: String,
    /// Told of each child process right after its start.
    pub children: tokio::sync::mpsc::UnboundedSender<ChildStarted>,
    /// How long a cancelled or timed-out process tree has between TERM and KILL.
    pub kill_grace: std::time::Duration,
    /// Bytes of output kept for the whole run.
    pub output_limit: usize,
}
