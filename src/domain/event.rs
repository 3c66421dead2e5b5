//! What the engine tells whoever listens: metrics, notifications, the live console, tests.

use super::job::JobId;
use super::run::{Outcome, RunId};

/// Sent after the change is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    RunStarted {
        run: RunId,
        job: JobId,
    },
    /// Also for runs that never started (skipped, missed).
    RunEnded {
        run: RunId,
        job: JobId,
        outcome: Outcome,
    },
    JobChanged {
        job: JobId,
    },
}
