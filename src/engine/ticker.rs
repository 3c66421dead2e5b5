//! The engine's loop. A turn: wait for the clock, a request or the end of a run; let `core` decide;
//! commit; act. Whatever comes in while a turn commits goes into the next one, which is the group
//! commit.

use super::commands::{Changes, Command};
use super::core::{Core, Ticket};
use super::recovery::FIRST_PAUSE;
use super::turn::Turn;
use super::{Engine, Error, Health, Parts, Stop, chain, recovery, runner};
use crate::clock::Clock;
use crate::config::{JobsConfig, Retention};
use crate::domain::event::Event;
use crate::domain::job::JobId;
use crate::domain::run::{Outcome, Reason, Report, Source};
use crate::store::{self, JobWrite, Result, Store, System};
use chrono_tz::Tz;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, watch};

/// Requests taken into one turn.
const COMMANDS_PER_TURN: usize = 1_024;
/// About how many bytes of output one turn writes: a batch must stay far below what the database
/// takes in one statement.
const OUTPUT_PER_TURN: usize = 16 << 20;
/// What a cancelled run has beyond its kill grace before its record is closed without it.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What the ticker decides with, and others look at between two steps of it; never held across a wait.
pub(super) type Shared = Arc<Mutex<Core>>;

pub(super) fn lock(core: &Mutex<Core>) -> MutexGuard<'_, Core> {
    core.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Ticker {
    pub core: Shared,
    pub zone: Tz,
    pub store: Store,
    pub clock: Clock,
    pub inbox: mpsc::Receiver<Command>,
    /// Requests that had to wait for the turn before.
    pub backlog: VecDeque<Command>,
    /// What the last turn left to be written.
    pub next: Turn,
    runner: Arc<runner::Runner>,
    events: broadcast::Sender<Event>,
    health: Health,
    pub stop: watch::Receiver<Stop>,
    shutdown_grace: Duration,
    kill_grace: Duration,
    /// How long to leave a failing database alone; grows until a commit succeeds.
    pub pause: Duration,
    /// For the retention task.
    keep: watch::Sender<Retention>,
    /// Memory was rebuilt: what may start now is not waited for.
    rebuilt: bool,
    /// Another server has taken the database over: nothing is written any more.
    lost: Option<store::Error>,
}

impl Ticker {
    /// Loads the jobs and settles what a dead server left.
    pub async fn new(
        engine: &Engine,
        parts: Parts,
        system: &System,
        inbox: mpsc::Receiver<Command>,
        keep: watch::Sender<Retention>,
    ) -> Result<Self> {
        let Parts { store, secrets, exec, clock, zone, jobs, stop } = parts;
        let runner = runner::Runner {
            exec,
            secrets,
            clock: clock.clone(),
            zone,
            instance: system.instance.clone(),
            kill_grace: jobs.kill_grace,
            output_limit: jobs.output_limit,
            commands: engine.commands.downgrade(),
            live: engine.live.clone(),
        };
        let mut ticker = Self {
            core: engine.core.clone(),
            zone,
            store,
            clock,
            inbox,
            backlog: VecDeque::new(),
            next: Turn::default(),
            runner: Arc::new(runner),
            events: engine.events.clone(),
            health: engine.health.clone(),
            stop,
            shutdown_grace: jobs.shutdown_grace,
            kill_grace: jobs.kill_grace,
            pause: FIRST_PAUSE,
            keep,
            rebuilt: false,
            lost: None,
        };
        ticker.recover(system).await?;
        Ok(ticker)
    }

    /// Fires until told to stop, then sees every run to its end. An error: it must not go on.
    pub async fn run(mut self) -> Result<()> {
        while self.lost.is_none() {
            let idle = self.is_idle();
            let full = self.backlog.len() >= COMMANDS_PER_TURN;
            let due = self.core().next_due();
            let commands = tokio::select! {
                biased;
                stop = self.stop.wait_for(|stop| *stop > Stop::No) => {
                    drop(stop);
                    break;
                }
                commands = next_commands(&mut self.inbox, idle), if !full => commands,
                () = std::future::ready(()), if full => Vec::new(),
                () = self.clock.wait_until(due) => Vec::new(),
            };
            self.turn(commands).await;
        }
        self.shut_down().await;
        self.lost.map_or(Ok(()), Err)
    }

    pub fn core(&self) -> MutexGuard<'_, Core> {
        lock(&self.core)
    }

    /// Nothing is left to do but what is still to come.
    fn is_idle(&self) -> bool {
        self.backlog.is_empty() && self.next.is_empty() && !self.rebuilt
    }

    /// One turn.
    async fn turn(&mut self, commands: Vec<Command>) {
        let reading = self.clock.read();
        self.rebuilt = false;
        let mut turn = std::mem::take(&mut self.next);
        turn.batch.now = reading.wall;
        self.core().observe(reading, &mut turn);
        self.core().tick(&mut turn);
        self.backlog.extend(commands);
        self.take_commands(&mut turn).await;
        self.core().fill(&mut turn);
        self.commit(turn).await;
    }

    /// Lets the requests take part, a second change of the same job excepted: it waits a turn. So do
    /// the ends of runs once the turn holds much output.
    async fn take_commands(&mut self, turn: &mut Turn) {
        // Clean-ups are in the turn already.
        let mut changed: HashSet<JobId> = turn.batch.jobs.iter().filter_map(JobWrite::job).collect();
        let mut all_changed = false;
        let mut bytes = 0;
        for command in std::mem::take(&mut self.backlog) {
            let waits = match command.changes() {
                Changes::None => false,
                Changes::One(id) => all_changed || !changed.insert(id),
                Changes::All => std::mem::replace(&mut all_changed, true) || !changed.is_empty(),
            };
            let waits = waits || bytes > OUTPUT_PER_TURN;
            if let Command::Finished(finished) = &command {
                bytes += finished.report.stdout.len() + finished.report.stderr.len();
            }
            if waits {
                self.backlog.push_back(command);
            } else if let Command::Configure(jobs) = command {
                self.configure(&jobs);
            } else if let Command::Reconcile { reply } = command {
                let stored = recovery::load_jobs(&self.store, self.zone).await;
                let answer = stored.map(|stored| self.core().reconcile(stored, turn)).map_err(Error::Store);
                drop(reply.send(answer));
            } else {
                self.core().apply(command, turn);
            }
        }
    }

    fn started(&self, ticket: &Ticket) -> Event {
        let late = self.clock.now().since(ticket.scheduled_at);
        let late = Duration::from_millis(u64::try_from(late).unwrap_or(0));
        let delay = (ticket.source == Source::Cron).then_some(late);
        Event::RunStarted { run: ticket.run, job: ticket.job.id, delay }
    }

    /// Runs in flight keep what they started with.
    fn configure(&mut self, jobs: &JobsConfig) {
        self.core().configure(jobs);
        self.runner = Arc::new(self.runner.with(jobs));
        self.shutdown_grace = jobs.shutdown_grace;
        self.kill_grace = jobs.kill_grace;
        self.keep.send_replace(jobs.retention);
    }

    /// Commits what the turn decided, then lets it happen: nothing starts before its row is durable.
    pub async fn commit(&mut self, mut turn: Turn) {
        if self.lost.is_some() {
            return turn.conclude(false);
        }
        if turn.batch.is_empty() {
            turn.conclude(true);
            self.announce(&mut turn);
            return;
        }
        match self.store.commit(&turn.batch).await {
            Ok(committed) => {
                let starts = lock(&self.core).settle(&mut turn, &committed, &mut self.next);
                for ticket in starts {
                    let started = self.started(&ticket);
                    // Who hears of the start finds the output there.
                    let run = self.runner.clone().run(ticket);
                    self.events.send(started).ok();
                    tokio::spawn(run);
                }
                self.announce(&mut turn);
                self.health.set(None);
                self.pause = FIRST_PAUSE;
            }
            Err(e) => {
                let cause = chain(&e);
                tracing::error!(error = %cause, "the commit failed: nothing of this turn starts");
                self.health.set(Some(cause));
                self.rebuilt = true;
                if self.resync(turn).await {
                    tracing::info!("the database answers again");
                    self.health.set(None);
                }
            }
        }
    }

    /// Ends this engine: whatever it still did would be done twice.
    pub fn give_up(&mut self, cause: store::Error) {
        tracing::error!(error = %cause, "this server ends its runs and stops");
        self.health.set(Some(chain(&cause)));
        self.lost = Some(cause);
    }

    /// Nobody listening is no error.
    fn announce(&self, turn: &mut Turn) {
        for event in turn.events.drain(..) {
            self.events.send(event).ok();
        }
    }

    /// No new claims; what waits is cancelled, what runs gets its grace, then TERM and KILL
    /// (semantics 10).
    async fn shut_down(&mut self) {
        self.core().stopping = true;
        self.next.batch.now = self.clock.now();
        lock(&self.core).cancel_waiting(None, Reason::Shutdown, &mut self.next);
        tracing::info!(runs = self.core().in_flight.len(), "shutting down");
        let grace = if self.lost.is_some() { Duration::ZERO } else { self.shutdown_grace };
        let mut stop = self.stop.clone();
        let enough = async move {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop == Stop::AtOnce) => {}
                () = tokio::time::sleep(grace) => {}
            }
        };
        if self.drain(enough).await {
            return;
        }
        lock(&self.core).cancel(None, Reason::Shutdown, &mut self.next);
        if !self.drain(tokio::time::sleep(self.kill_grace + LAST_WORD)).await {
            self.close_all().await;
        }
    }

    /// Takes the ends of runs until none is in flight and all is written; or until it is `enough`,
    /// and then answers false. A turn is never cut short: what it holds would be lost.
    async fn drain(&mut self, enough: impl Future<Output = ()>) -> bool {
        tokio::pin!(enough);
        self.turn(Vec::new()).await;
        while !self.core().in_flight.is_empty() || !self.next.is_empty() {
            let idle = self.is_idle();
            let commands = tokio::select! {
                biased;
                () = &mut enough => return false,
                commands = next_commands(&mut self.inbox, idle) => commands,
            };
            self.turn(commands).await;
        }
        true
    }

    /// Runs that do not even answer the KILL of their processes: the record says so.
    async fn close_all(&mut self) {
        let mut turn = std::mem::take(&mut self.next);
        turn.batch.now = self.clock.now();
        let in_flight = std::mem::take(&mut self.core().in_flight);
        for (run, in_flight) in in_flight {
            tracing::warn!(%run, job = %in_flight.job, "the run did not end in time");
            let report = Report::new(Outcome::Cancelled);
            let reason = Some(Reason::Shutdown);
            turn.batch.closes.push(crate::store::RunClose {
                run,
                job: in_flight.job,
                end: turn.batch.now,
                reason,
                report,
            });
        }
        if let Err(e) = self.store.commit(&turn.batch).await {
            tracing::error!(error = %chain(&e), "the last records could not be written; the next start decides them");
        }
    }
}

/// Waits for requests; when there is other work left, takes only those that are there.
async fn next_commands(inbox: &mut mpsc::Receiver<Command>, idle: bool) -> Vec<Command> {
    let mut commands = Vec::new();
    if !idle {
        while commands.len() < COMMANDS_PER_TURN {
            let Ok(command) = inbox.try_recv() else { break };
            commands.push(command);
        }
    } else if inbox.recv_many(&mut commands, COMMANDS_PER_TURN).await == 0 {
        // Every handle is gone: only the clock moves us now.
        std::future::pending::<()>().await;
    }
    commands
}

#[cfg(test)]
#[path = "sim_test/mod.rs"]
mod sim_test;
