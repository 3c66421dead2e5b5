//! What a function may ask about past runs: plain numbers, and a trait so that `exec` needs to know
//! neither store nor engine. `app` brings the one that reads the database.

use crate::domain::run::{Outcome, Reason};
use crate::domain::{Text, UtcMs};
use futures_util::future::BoxFuture;

/// Reads the records of runs.
pub trait History: Send + Sync + std::fmt::Debug {
    /// The runs created in `[from, to)`.
    fn summary(&self, from: UtcMs, to: UtcMs) -> BoxFuture<'_, Result<Summary, Text>>;
}

#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The runs, counted by job, outcome and reason.
    pub groups: Vec<Group>,
    /// The newest failure of each of the jobs that failed last, newest first.
    pub failures: Vec<FailedRun>,
    /// Enabled jobs that were due and did not start once, in the order of their ids.
    pub never: Vec<Never>,
}

#[derive(Clone, Debug)]
pub struct Group {
    pub job: i64,
    pub name: String,
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub runs: u64,
    /// Instants that the runs stand for: a record of missed fires may hold many.
    pub instants: u64,
    /// Runs with a duration, its sum and its greatest.
    pub timed: u64,
    pub total_ms: u64,
    pub max_ms: u64,
}

#[derive(Clone, Debug)]
pub struct FailedRun {
    pub job: i64,
    pub name: String,
    pub at: UtcMs,
    pub outcome: Outcome,
    pub error: Option<Text>,
}

#[derive(Clone, Debug)]
pub struct Never {
    pub job: i64,
    pub name: String,
    /// How often it should have started.
    pub due: u64,
}
