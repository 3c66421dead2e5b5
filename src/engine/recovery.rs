//! Coming back: after a dead server (its open runs are decided, its children killed) and after a
//! database failure (memory is rebuilt from what was really committed).

use super::Stop;
use super::commands::Command;
use super::core::{Core, Entry, Ticket};
use super::ticker::{Ticker, lock};
use super::turn::{Effect, Turn};
use crate::domain::UtcMs;
use crate::domain::event::Event;
use crate::domain::job::{Job, JobId, Recovery, StopReason};
use crate::domain::plan;
use crate::domain::run::{Outcome, Reason, Report, RunId, Source};
use crate::exec::process::{self, Leftover};
use crate::store::{self, JobState, JobWrite, OpenRun, Result, Store, System};
use chrono_tz::Tz;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A job in flight at this many crashes in a row is paused (semantics 9).
const CRASHES_MAX: i64 = 3;
/// Between two looks at a database that is away.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Short: a server that accepts again is to have runs within 5 s.
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// Jobs read from the database at a time.
const PAGE: i64 = 500;

/// What the database holds of jobs.
#[derive(Default)]
pub(super) struct Loaded {
    pub jobs: Vec<(Job, JobState)>,
    /// How many more there are that cannot be scheduled.
    pub unreadable: usize,
}

pub(super) async fn load_jobs(store: &Store, zone: Tz) -> Result<Loaded> {
    let mut jobs = Vec::new();
    let unreadable = each_job(store, zone, |job, state| jobs.push((job, state))).await?;
    Ok(Loaded { jobs, unreadable })
}

/// Hands over every job that can be scheduled, in the order of ids. One that cannot be read is logged and
/// left alone, so that it does not keep the others from running; answers how many there are.
async fn each_job(store: &Store, zone: Tz, mut take: impl FnMut(Job, JobState)) -> Result<usize> {
    let mut unreadable = 0;
    let mut page = store.jobs_after(JobId(0), PAGE).await?;
    while let Some(last) = page.last() {
        // The next page is read while this one is looked at.
        let (store, after) = (store.clone(), JobId(last.id));
        let coming = tokio::spawn(async move { store.jobs_after(after, PAGE).await });
        for record in page {
            let (id, state) = (record.id, record.state);
            match record.into_job(zone) {
                Ok(job) => take(job, state),
                Err(e) => {
                    unreadable += 1;
                    tracing::error!(job = id, "the job cannot be scheduled: {e}");
                }
            }
        }
        page = coming.await.expect("reading a page does not panic")?;
    }
    Ok(unreadable)
}

impl Ticker {
    /// Settles what the last server left: decides its open runs within seconds, before anything fires.
    pub(super) async fn recover(&mut self, system: &System) -> Result<()> {
        let mut jobs = Vec::new();
        let take = |job, state: JobState| jobs.push(Entry::new(Arc::new(job), &state));
        let unreadable = each_job(&self.store, self.zone, take).await?;
        self.core().unreadable = unreadable;
        self.core().install_first(jobs);
        let now = self.clock.now();
        let mut turn = Turn::new(now);
        // The clock may have been set back while we were down.
        let seen = UtcMs(system.last_seen_ms);
        if now < seen {
            self.core().carry_jump(plan::jump(now.since(seen), 0), seen, now, &mut turn);
        }
        let open = self.store.open_runs().await?;
        if !open.is_empty() {
            kill_leftovers(system.instance.clone(), &open).await;
            self.core().decide_open(open, &mut turn);
        }
        let runs = turn.batch.closes.len() + turn.batch.starts.len();
        if runs > 0 {
            tracing::warn!(runs, "runs were in flight when the last server ended; they are decided");
        }
        self.commit(turn).await;
        Ok(())
    }

    /// After a failed commit: waits for the database, then rebuilds memory from it. Requests are
    /// refused meanwhile, ends of runs are kept. A server that is told to stop does not wait. Answers
    /// whether the database is back.
    pub(super) async fn resync(&mut self, mut turn: Turn) -> bool {
        self.next.batch.closes.append(&mut turn.batch.closes);
        // What became of claims that never happened is told when they are decided again.
        let closed: HashSet<RunId> = self.next.batch.closes.iter().map(|close| close.run).collect();
        let of_close = |e: &Event| matches!(e, Event::RunEnded { run, .. } if closed.contains(run));
        self.next.events.extend(std::mem::take(&mut turn.events).into_iter().filter(of_close));
        for (write, effect) in turn.take_clean_ups() {
            self.next.write(write, effect);
        }
        turn.conclude(false);
        let claimed: Vec<RunId> = turn.batch.opens.iter().map(|run| run.id).collect();
        let (store, zone) = (self.store.clone(), self.zone);
        loop {
            // Also before the first look: a database that takes a small write may refuse the batch again.
            let stopping = *self.stop.borrow() > Stop::No;
            if stopping {
                // One more look, and a short one: the runs' grace has begun.
                self.store.hurry();
            }
            let pause = if stopping { FIRST_PAUSE } else { self.pause };
            self.refuse_while(tokio::time::sleep(pause)).await;
            self.pause = (self.pause * 2).min(LAST_PAUSE);
            match self.refuse_while(read_back(&store, zone, &claimed)).await {
                Some(Ok((system, loaded, existing))) => {
                    lock(&self.core).rebuild(turn, loaded, &existing, system.clock_epoch, &mut self.next);
                    return true;
                }
                Some(Err(e @ store::Error::TakenOver)) => {
                    self.give_up(e);
                    self.core().abandon(turn);
                    return false;
                }
                Some(Err(e)) => tracing::error!(error = %super::chain(&e), "the database is still away"),
                None => {}
            }
            if stopping {
                self.core().abandon(turn);
                return false;
            }
        }
    }

    /// Refuses requests until the work is done, or until the server is told to stop (`None`).
    async fn refuse_while<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let stopping = *self.stop.borrow() > Stop::No;
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                changed = self.stop.changed(), if !stopping => {
                    // The last sender is gone only when the process ends.
                    changed.ok();
                    return None;
                }
                Some(command) = self.inbox.recv() => match command {
                    kept @ (Command::Finished(_) | Command::Child { .. } | Command::Configure(_)) => {
                        self.backlog.push_back(kept);
                    }
                    other => other.refuse(super::Error::Unavailable),
                }
            }
        }
    }
}

type ReadBack = (System, Loaded, HashSet<RunId>);

async fn read_back(store: &Store, zone: Tz, claimed: &[RunId]) -> Result<ReadBack> {
    // Reading works on a full disk: only a write shows that writing works again.
    store.probe_write().await?;
    let existing = store.existing_runs(claimed).await?.into_iter().collect();
    Ok((store.system().await?, load_jobs(store, zone).await?, existing))
}

impl Core {
    /// Decides the runs that were open when the server died (semantics 2 and 9).
    fn decide_open(&mut self, open: Vec<OpenRun>, turn: &mut Turn) {
        let mut struck = HashSet::new();
        for run in &open {
            let id = JobId(run.job_id);
            let was_running = Outcome::parse(&run.outcome) == Some(Outcome::Running);
            if let Some(entry) = self.jobs.get_mut(&id).filter(|_| was_running && struck.insert(id)) {
                entry.crash_streak += 1;
                turn.batch.cursor(id).crash_streak = Some(entry.crash_streak);
            }
        }
        for id in struck {
            if self.jobs.get(&id).is_some_and(|e| e.crash_streak >= CRASHES_MAX && e.job.spec.enabled) {
                tracing::error!(job = %id, "in flight at {CRASHES_MAX} crashes in a row: the job is paused");
                self.pause(id, StopReason::Crash, turn);
            }
        }
        for run in open {
            self.decide_one(&run, turn);
        }
    }

    fn decide_one(&mut self, open: &OpenRun, turn: &mut Turn) {
        let run = RunId(open.id);
        let source = Source::parse(&open.source).unwrap_or(Source::Cron);
        let entry = self.jobs.get(&JobId(open.job_id)).filter(|e| e.crash_streak < CRASHES_MAX);
        match entry {
            // A job that was stopped a moment before the crash stays stopped.
            Some(entry)
                if entry.job.spec.recovery == Recovery::Rerun
                    && (entry.job.spec.enabled || source != Source::Cron) =>
            {
                let ticket = Ticket {
                    run,
                    job: entry.job.clone(),
                    source,
                    scheduled_at: UtcMs(open.scheduled_ms),
                    attempt: u32::try_from(open.attempt).unwrap_or(1).saturating_add(1),
                    cancel: CancellationToken::new(),
                };
                self.rerun(ticket, turn);
            }
            _ => {
                let report = Report::new(Outcome::Lost);
                self.close_lost(run, JobId(open.job_id), source, report, turn);
            }
        }
    }

    fn close_lost(&mut self, run: RunId, id: JobId, source: Source, report: Report, turn: &mut Turn) {
        let close =
            crate::store::RunClose { run, job: id, end: turn.batch.now, reason: Some(Reason::Crash), report };
        turn.batch.closes.push(close);
        let of = self.jobs.get(&id).map(|e| e.job.clone());
        turn.events.push(Event::RunEnded {
            run,
            job: id,
            outcome: Outcome::Lost,
            of: of.clone(),
            took: None,
        });
        if let Some(job) = of
            && source == Source::Api
            && job.removal.task
        {
            // The run it was made for is over; its record says how.
            turn.write(
                JobWrite::Delete { id, with_runs: false, version: None },
                Effect::Delete { id, reply: None },
            );
        }
    }

    /// Rebuilds jobs and counters after a failed commit. Of the turn's claims those that exist after
    /// all (only the answer was lost) go on; the rest never happened.
    fn rebuild(
        &mut self,
        mut turn: Turn,
        loaded: Loaded,
        existing: &HashSet<RunId>,
        clock_epoch: i64,
        next: &mut Turn,
    ) {
        let claimed: HashSet<RunId> = turn.batch.opens.iter().map(|run| run.id).collect();
        let happened = |run: &RunId| !claimed.contains(run) || existing.contains(run);
        for ticket in turn.starts.drain(..) {
            self.land(ticket.run);
            if happened(&ticket.run) {
                self.requeue_first(ticket);
            }
        }
        self.forget_waiting(&claimed, existing);
        let mut queues = self.clear_jobs();
        self.unreadable = loaded.unreadable;
        for (job, state) in loaded.jobs {
            let id = job.id;
            self.install(Arc::new(job), &state);
            if let (Some(entry), Some(mut queue)) = (self.jobs.get_mut(&id), queues.remove(&id)) {
                queue.retain(happened);
                entry.queue = queue;
            }
        }
        self.recount();
        next.batch.now = turn.batch.now;
        self.cancel_orphans(next);
        if let Some((jump, before, after)) = turn.jump.filter(|_| clock_epoch < self.clock_epoch) {
            self.clock_epoch = clock_epoch;
            self.carry_jump(jump, before, after, next);
        }
    }

    /// Gives a failed turn's claims up: we are stopping, and nothing of it has started. Should its
    /// commit have gone through after all, the next start finds the open rows and decides them.
    fn abandon(&mut self, turn: Turn) {
        for ticket in turn.starts {
            self.land(ticket.run);
        }
    }
}

async fn kill_leftovers(instance: String, open: &[OpenRun]) {
    let leftovers: Vec<Leftover> = open
        .iter()
        .map(|run| Leftover {
            exec_id: RunId(run.id).to_string(),
            // Unknown is 0: then only the mark in its environment can find the process.
            pid: run.pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0),
            start: run.pid_start.and_then(|start| u64::try_from(start).ok()).unwrap_or(0),
        })
        .collect();
    match tokio::task::spawn_blocking(move || process::kill_leftovers(&instance, &leftovers)).await {
        Ok(0) => {}
        Ok(killed) => {
            tracing::warn!(killed, "processes of the last server were still running; they are killed")
        }
        Err(e) => tracing::error!("leftover processes could not be looked for: {e}"),
    }
}
