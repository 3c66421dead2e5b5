//! What the engine tells whoever listens: metrics, notifications, the live console, tests.

use super::job::{Job, JobId};
use super::run::{Outcome, RunId};
use std::sync::Arc;
use std::time::Duration;

/// Sent after the change is committed.
#[derive(Clone, Debug)]
pub enum Event {
    RunStarted {
        run: RunId,
        job: JobId,
        /// From the scheduled instant to now; only for scheduled runs.
        delay: Option<Duration>,
    },
    /// Also for runs that never started (skipped, missed).
    RunEnded {
        run: RunId,
        job: JobId,
        outcome: Outcome,
        /// The job as it was when the run was claimed; `None`: it is gone.
        of: Option<Arc<Job>>,
        /// From start to end; `None`: it never started, or nobody saw it end.
        took: Option<Duration>,
    },
    JobChanged {
        job: JobId,
    },
    JobDeleted {
        job: JobId,
    },
}
