//! The only writer of jobs and runs. A single task (`ticker`) turns the clock, the requests and the
//! ends of runs into one `Batch` a turn; what it decided happens after that batch is committed.
//!
//! - `core` holds the jobs in memory and decides (with `domain::plan`), `places` the runs in flight and
//!   waiting, `settle` what follows a commit, `turn` is what was decided; none of them does I/O. `shown`
//!   is what others see of the jobs.
//! - `ticker` is the loop: wait, compose, commit, act.
//! - `runner` takes one run from its start to its report.
//! - `forecast` says what lies ahead.
//! - `live` lets others look on while a run prints.
//! - `recovery` settles what a dead server left, and comes back after a database failure.
//! - `retention` deletes old run records.

mod audit;
mod commands;
mod core;
mod forecast;
mod live;
mod places;
mod queries;
mod recovery;
mod retention;
mod runner;
mod settle;
mod shown;
mod ticker;
mod turn;

use self::core::Core;
use crate::clock::Clock;
use crate::config::JobsConfig;
use crate::domain::action::limits::Limits;
use crate::domain::audit::{Act, By};
use crate::domain::event::Event;
use crate::domain::job::{JobDraft, JobId, JobSpec, Removal};
use crate::domain::run::{Reason, RunId};
use crate::domain::{FieldError, Text};
use crate::exec::Executor;
use crate::exec::func::Functions;
use crate::store::{Store, chain};
use crate::vault::Vault;
pub use audit::{as_by, as_whom};
use chrono_tz::Tz;
use commands::Command;
pub use forecast::{Load, Upcoming};
pub use live::{Follow, Step};
use serde_json::json;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Requests that may wait for the engine's next turn; more wait in their callers.
const COMMANDS_MAX: usize = 1_024;
/// Events a slow listener may fall behind before it loses the oldest.
const EVENTS_MAX: usize = 8_192;

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no job {0}")]
    NoJob(JobId),
    #[error("the name is taken")]
    NameTaken,
    /// It is no longer the version that was meant.
    #[error("the job was changed meanwhile")]
    Changed,
    #[error("{} invalid field(s)", .0.len())]
    Invalid(Vec<FieldError>),
    #[error("{0}")]
    Refused(Text),
    #[error("the server is shutting down")]
    ShuttingDown,
    #[error("the database cannot be written")]
    Unavailable,
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

/// What became of a manual run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triggered {
    pub run: RunId,
    /// `None`: it starts.
    pub skipped: Option<Reason>,
}

/// What became of a request to stop one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It ends as soon as it can.
    Cancelled,
    /// It had ended already.
    Ended,
    /// There is no record of it.
    Unknown,
}

/// A job that was added, and its run when one was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    pub id: JobId,
    pub triggered: Option<Triggered>,
}

/// What `reconcile` found different between memory and database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    pub added: usize,
    pub removed: usize,
    pub updated: usize,
}

/// How to end: the first word lets runs end, the second does not wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    No,
    Gently,
    AtOnce,
}

/// A handle to the engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<Event>,
    store: Store,
    clock: Clock,
    zone: Tz,
    core: ticker::Shared,
    limits: Limits,
    health: Health,
    functions: Arc<Functions>,
    secrets: Arc<Vault>,
    live: live::Hub,
    counted: forecast::Counted,
}

/// Whether the database takes our writes: the reason when it does not.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Option<String>>>);

impl Health {
    pub fn problem(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, problem: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}

/// The end of the engine. An error: it had to stop by itself.
pub type Ended = JoinHandle<Result<(), crate::store::Error>>;

/// What the engine is built from.
pub struct Parts {
    pub store: Store,
    pub secrets: Arc<Vault>,
    pub exec: Executor,
    pub clock: Clock,
    pub zone: Tz,
    pub jobs: JobsConfig,
    pub stop: watch::Receiver<Stop>,
}

impl Engine {
    /// Settles what a dead server left open, then starts to fire. The task ends after `Parts::stop`
    /// says so and every run has ended.
    pub async fn start(mut parts: Parts) -> Result<(Self, Ended), crate::store::Error> {
        let readers = parts.store.clone();
        parts.store = readers.clone().take_over().await?;
        let system = parts.store.system().await?;
        let newest = parts.store.newest_run().await?;
        let mut core = Core::new(&parts.jobs, parts.zone, newest, system.clock_epoch, parts.clock.read());
        core.limits = parts.exec.command_limits().clone();
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let events = broadcast::channel(EVENTS_MAX).0;
        let engine = Self {
            commands,
            events,
            store: readers,
            clock: parts.clock.clone(),
            zone: parts.zone,
            core: Arc::new(Mutex::new(core)),
            limits: parts.exec.command_limits().clone(),
            health: Health::default(),
            functions: parts.exec.functions().clone(),
            secrets: parts.secrets.clone(),
            live: live::Hub::default(),
            counted: forecast::Counted::default(),
        };
        let (keep, kept) = watch::channel(parts.jobs.retention);
        let ticker = ticker::Ticker::new(&engine, parts, &system, inbox, keep).await?;
        let retention = tokio::spawn(retention::run(engine.store.clone(), engine.clock.clone(), kept));
        let task = tokio::spawn(async move {
            let ended = ticker.run().await;
            retention.abort();
            ended
        });
        Ok((engine, task))
    }

    /// What happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// What is wrong with a draft, or the job that it is.
    pub fn check(&self, draft: JobDraft) -> Result<JobSpec, Vec<FieldError>> {
        let spec = draft.check(self.zone)?;
        spec.action()?.within(&self.limits)?;
        Ok(spec)
    }

    /// Adds a job.
    pub async fn add(&self, draft: JobDraft) -> Result<JobId, Error> {
        let spec = Box::new(self.check(draft).map_err(Error::Invalid)?);
        let removal = Removal::default();
        let act = Act::JobAdd;
        Ok(self.ask(|reply, by| Command::Add { spec, removal, run: false, act, by, reply }).await?.id)
    }

    /// Adds a job and runs it once now; `removal` says what goes when that run has ended.
    pub async fn add_and_run(&self, draft: JobDraft, removal: Removal) -> Result<Added, Error> {
        self.add_to_run(draft, removal, Act::JobAdd).await
    }

    async fn add_to_run(&self, draft: JobDraft, removal: Removal, act: Act) -> Result<Added, Error> {
        let spec = Box::new(self.check(draft).map_err(Error::Invalid)?);
        self.ask(|reply, by| Command::Add { spec, removal, run: true, act, by, reply }).await
    }

    /// Runs a draft once. The job that this takes goes when its run has ended; the record stays.
    pub async fn try_out(&self, draft: JobDraft) -> Result<Added, Error> {
        let removal = Removal { task: true, log: false };
        // Its keys come from the system's randomness.
        let number = RandomState::new().build_hasher().finish();
        self.add_to_run(draft.once(number), removal, Act::RunTest).await
    }

    /// Lays the draft's fields over the job's. To state 2 it stops the job, as `stop` does. With
    /// `version` only when the job still is that version.
    pub async fn edit(&self, id: JobId, draft: JobDraft, version: Option<i64>) -> Result<(), Error> {
        self.ask(|reply, by| Command::Edit { id, draft: Box::new(draft), version, by, reply }).await
    }

    /// Deletes a job and cancels its runs in flight; its records stay until retention takes them. With
    /// `version` only when the job still is that version.
    pub async fn delete(&self, id: JobId, version: Option<i64>) -> Result<(), Error> {
        self.ask(|reply, by| Command::Delete { id, version, by, reply }).await
    }

    /// Runs a job now, also a stopped one. It does not wait for the run.
    pub async fn run(&self, id: JobId) -> Result<Triggered, Error> {
        self.ask(|reply, by| Command::Run { id, by, reply }).await
    }

    /// Runs every scheduled job once now; answers how many.
    pub async fn run_all(&self) -> Result<usize, Error> {
        self.ask(|reply, by| Command::RunAll { by, reply }).await
    }

    /// No more fires; runs in flight are cancelled.
    pub async fn stop(&self, id: JobId) -> Result<(), Error> {
        self.ask(|reply, by| Command::Stop { id, by, reply }).await
    }

    /// Cancels one run, whether it is at work or waits. Its job stays as it is.
    pub async fn stop_run(&self, run: RunId) -> Result<Stopped, Error> {
        if self.ask(|reply, by| Command::StopRun { run, by, reply }).await? {
            return Ok(Stopped::Cancelled);
        }
        Ok(if self.run_record(run).await?.is_some() { Stopped::Ended } else { Stopped::Unknown })
    }

    /// Stops every scheduled job; answers how many.
    pub async fn stop_all(&self) -> Result<usize, Error> {
        self.ask(|reply, by| Command::StopAll { by, reply }).await
    }

    /// Puts a job back on its schedule, from now on.
    pub async fn restart(&self, id: JobId, reset_run_count: bool) -> Result<(), Error> {
        self.ask(|reply, by| Command::Restart { id, reset_run_count, by, reply }).await
    }

    /// Reads the jobs from the database again; nothing in flight is disturbed.
    pub async fn reconcile(&self) -> Result<Reconciled, Error> {
        let found = self.ask(|reply, _| Command::Reconcile { reply }).await?;
        let told = json!({"added": found.added, "removed": found.removed, "updated": found.updated});
        self.note(self.entry(Act::Reconcile).after(crate::domain::audit::fields(told))).await;
        Ok(found)
    }

    /// Applies new settings to what is decided and started from now on.
    pub async fn configure(&self, jobs: JobsConfig) -> Result<(), Error> {
        let command = Command::Configure(Box::new(jobs));
        self.commands.send(command).await.map_err(|_| Error::ShuttingDown)
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, Error>>, Arc<By>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply, audit::as_whom())).await.map_err(|_| Error::ShuttingDown)?;
        answer.await.map_err(|_| Error::ShuttingDown)?
    }
}
