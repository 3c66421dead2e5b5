//! Where runs stand: at work, waiting for a place on the node, or in their job's own queue; and how
//! they come in, move up, end and are cancelled. The other half of `core`.

use super::Triggered;
use super::commands::Finished;
use super::core::{Core, InFlight, Ticket};
use super::turn::{Effect, Turn};
use crate::domain::UtcMs;
use crate::domain::event::Event;
use crate::domain::job::{Job, JobId, Overlap, Removal};
use crate::domain::plan::{Fire, Missed, PARALLEL_MAX, QUEUE_MAX, Verdict};
use crate::domain::run::{Outcome, Reason, Report, RunId, Source};
use crate::store::{JobWrite, NewRun, RunClose, RunStart};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

impl Core {
    pub fn open_fire(&mut self, job: &Arc<Job>, fire: &Fire, turn: &mut Turn) {
        let run = self.ids.next(turn.batch.now);
        let ticket = Ticket {
            run,
            job: job.clone(),
            source: fire.source,
            scheduled_at: fire.at,
            attempt: 1,
            cancel: CancellationToken::new(),
        };
        let (outcome, reason) = self.place(ticket, fire.verdict, turn);
        self.record(job, run, Some(fire.at), fire.source, outcome, reason, turn);
    }

    /// Gives a run its place: at work, waiting, or none.
    fn place(&mut self, ticket: Ticket, verdict: Verdict, turn: &mut Turn) -> (Outcome, Option<Reason>) {
        let (run, id) = (ticket.run, ticket.job.id);
        let entry = self.jobs.get_mut(&id);
        match verdict {
            Verdict::Skip(reason) => return (Outcome::Skipped, Some(reason)),
            Verdict::Wait => {
                if let Some(entry) = entry {
                    entry.queue.push_back(run);
                }
                self.waiting.insert(run, ticket);
                return (Outcome::Waiting, None);
            }
            Verdict::Start => {
                if let Some(entry) = entry {
                    entry.running += 1;
                }
            }
        }
        if self.in_flight.len() < self.max_concurrent && self.node_queue.is_empty() {
            self.launch(ticket, turn);
            (Outcome::Running, None)
        } else {
            self.node_queue.push_back(run);
            self.waiting.insert(run, ticket);
            (Outcome::Waiting, None)
        }
    }

    fn launch(&mut self, ticket: Ticket, turn: &mut Turn) {
        let (id, now) = (ticket.job.id, turn.batch.now);
        turn.batch.cursor(id).last_run = Some(now);
        if let Some(entry) = self.jobs.get_mut(&id) {
            entry.last_run = Some(now);
            entry.at_work += 1;
        }
        let in_flight = InFlight { job: id, started: now, cancel: ticket.cancel.clone(), reason: None };
        self.in_flight.insert(ticket.run, in_flight);
        turn.starts.push(ticket);
    }

    /// Takes a run off those at work.
    pub fn land(&mut self, run: RunId) -> Option<InFlight> {
        let landed = self.in_flight.remove(&run)?;
        if let Some(entry) = self.jobs.get_mut(&landed.job) {
            entry.at_work = entry.at_work.saturating_sub(1);
        }
        Some(landed)
    }

    #[expect(clippy::too_many_arguments, reason = "each is one column of the record")]
    fn record(
        &self,
        job: &Arc<Job>,
        id: RunId,
        fire: Option<UtcMs>,
        source: Source,
        outcome: Outcome,
        reason: Option<Reason>,
        turn: &mut Turn,
    ) {
        let now = turn.batch.now;
        if outcome.is_final() {
            let of = Some(job.clone());
            turn.events.push(Event::RunEnded { run: id, job: job.id, outcome, of, took: None });
        }
        turn.batch.opens.push(NewRun {
            id,
            job: job.clone(),
            fire,
            clock_epoch: self.clock_epoch,
            source,
            outcome,
            reason,
            scheduled_at: fire.unwrap_or(now),
            start: (outcome != Outcome::Waiting).then_some(now),
            missed: None,
        });
    }

    pub fn record_missed(&mut self, job: &Arc<Job>, missed: &Missed, fire: Option<UtcMs>, turn: &mut Turn) {
        let id = self.ids.next(turn.batch.now);
        self.record(job, id, fire, Source::Cron, Outcome::Missed, Some(missed.reason), turn);
        if let Some(record) = turn.batch.opens.last_mut() {
            record.scheduled_at = missed.from;
            record.missed = Some((missed.to, missed.count));
        }
    }

    /// Runs a job now because somebody asked; `None`: there is no such job.
    pub fn trigger(&mut self, id: JobId, source: Source, turn: &mut Turn) -> Option<Triggered> {
        let entry = self.jobs.get(&id)?;
        let verdict = match entry.job.spec.overlap {
            _ if self.room() == 0 => Verdict::Skip(Reason::QueueFull),
            Overlap::Parallel if entry.running >= PARALLEL_MAX => Verdict::Skip(Reason::ParallelLimit),
            _ if self.manual_allow_concurrent => Verdict::Start,
            Overlap::Serial if entry.running > 0 => Verdict::Skip(Reason::Overlap),
            Overlap::Immediate if entry.queue.len() >= QUEUE_MAX => Verdict::Skip(Reason::QueueFull),
            Overlap::Immediate if entry.running + entry.queue.len() > 0 => Verdict::Wait,
            _ => Verdict::Start,
        };
        let job = entry.job.clone();
        let run = self.ids.next(turn.batch.now);
        let cancel = CancellationToken::new();
        let scheduled_at = turn.batch.now;
        let ticket = Ticket { run, job: job.clone(), source, scheduled_at, attempt: 1, cancel };
        let (outcome, reason) = self.place(ticket, verdict, turn);
        self.record(&job, run, None, source, outcome, reason, turn);
        if reason.is_some() && source == Source::Api {
            self.clean_up(run, &job, turn);
        }
        Some(Triggered { run, skipped: reason })
    }

    /// Takes a run that a dead server left open back to work (semantics 2, `recovery: rerun`).
    pub fn rerun(&mut self, ticket: Ticket, turn: &mut Turn) {
        let (run, attempt) = (ticket.run, ticket.attempt);
        let at_work = self.jobs.get(&ticket.job.id).map_or(0, |entry| entry.running);
        let verdict = if at_work < at_once(&ticket.job) { Verdict::Start } else { Verdict::Wait };
        if let (Outcome::Running, _) = self.place(ticket, verdict, turn) {
            turn.batch.starts.push(RunStart { run, at: turn.batch.now, attempt, child: None });
        }
    }

    /// Closes the record of a run that has ended, and lets those behind it move up.
    pub fn finish(&mut self, mut finished: Finished, turn: &mut Turn) {
        let id = finished.job.id;
        let mut took = None;
        if let Some(in_flight) = self.land(finished.run) {
            if finished.report.outcome == Outcome::Cancelled {
                finished.reason = in_flight.reason;
            }
            let ms = turn.batch.now.since(in_flight.started);
            took = Some(Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
            self.leave(id);
        }
        self.close(&finished, took, turn);
    }

    fn close(&mut self, finished: &Finished, took: Option<Duration>, turn: &mut Turn) {
        let Finished { run, job, source, report, reason } = finished;
        let id = job.id;
        turn.batch.closes.push(RunClose {
            run: *run,
            job: id,
            end: turn.batch.now,
            reason: *reason,
            report: report.clone(),
        });
        let (outcome, of) = (report.outcome, Some(job.clone()));
        turn.events.push(Event::RunEnded { run: *run, job: id, outcome, of, took });
        if let Some(entry) = self.jobs.get_mut(&id).filter(|e| e.crash_streak > 0) {
            entry.crash_streak = 0;
            turn.batch.cursor(id).crash_streak = Some(0);
        }
        if *source == Source::Api {
            self.clean_up(*run, job, turn);
        }
    }

    /// `addAndRun` asked for the job or the run's record to go after the run.
    fn clean_up(&self, run: RunId, job: &Job, turn: &mut Turn) {
        if job.removal == Removal::default() {
            return;
        }
        if job.removal.task {
            let write = JobWrite::Delete { id: job.id, with_runs: job.removal.log, version: None };
            turn.write(write, Effect::Delete { id: job.id, reply: None });
        } else {
            turn.write(JobWrite::DeleteRun { run }, Effect::Nothing);
        }
    }

    /// One run of the job less: the next in its queue moves up.
    pub fn leave(&mut self, id: JobId) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        entry.running = entry.running.saturating_sub(1);
        if entry.running < at_once(&entry.job)
            && let Some(run) = entry.queue.pop_front()
        {
            entry.running += 1;
            self.node_queue.push_back(run);
        }
    }

    /// Starts waiting runs as far as there are places.
    pub fn fill(&mut self, turn: &mut Turn) {
        while self.in_flight.len() < self.max_concurrent {
            let Some(run) = self.node_queue.pop_front() else { return };
            let Some(ticket) = self.waiting.remove(&run) else { continue };
            turn.batch.starts.push(RunStart {
                run,
                at: turn.batch.now,
                attempt: ticket.attempt,
                child: None,
            });
            self.launch(ticket, turn);
        }
    }

    /// Cancels what the job has in flight and what waits, for `reason`; `None`: of all jobs.
    pub fn cancel(&mut self, job: Option<JobId>, reason: Reason, turn: &mut Turn) {
        let of_job = |id: JobId| job.is_none_or(|job| job == id);
        for in_flight in self.in_flight.values_mut().filter(|f| of_job(f.job)) {
            in_flight.reason.get_or_insert(reason);
            in_flight.cancel.cancel();
        }
        self.cancel_waiting(job, reason, turn);
    }

    /// Cancels the runs of jobs that are no longer there.
    pub fn cancel_orphans(&mut self, turn: &mut Turn) {
        let at_work = self.in_flight.values().map(|f| f.job);
        let waiting = self.waiting.values().map(|t| t.job.id);
        let gone: HashSet<JobId> = at_work.chain(waiting).filter(|id| !self.jobs.contains_key(id)).collect();
        for id in gone {
            self.cancel(Some(id), Reason::Deleted, turn);
        }
    }

    pub fn cancel_waiting(&mut self, job: Option<JobId>, reason: Reason, turn: &mut Turn) {
        let of_job = |id: JobId| job.is_none_or(|job| job == id);
        let mut runs: Vec<RunId> =
            self.waiting.values().filter(|t| of_job(t.job.id)).map(|t| t.run).collect();
        runs.sort_unstable();
        for run in runs {
            self.cancel_one_waiting(run, reason, turn);
        }
    }

    /// Whether the run was waiting.
    fn cancel_one_waiting(&mut self, run: RunId, reason: Reason, turn: &mut Turn) -> bool {
        let Some(ticket) = self.waiting.remove(&run) else { return false };
        self.unplace(run, ticket.job.id);
        let report = Report::new(Outcome::Cancelled);
        let Ticket { job, source, .. } = ticket;
        self.close(&Finished { run, job, source, report, reason: Some(reason) }, None, turn);
        true
    }

    /// Cancels one run; whether it was there.
    pub fn cancel_run(&mut self, run: RunId, reason: Reason, turn: &mut Turn) -> bool {
        if let Some(in_flight) = self.in_flight.get_mut(&run) {
            in_flight.reason.get_or_insert(reason);
            in_flight.cancel.cancel();
            return true;
        }
        self.cancel_one_waiting(run, reason, turn)
    }

    /// Frees the place of a run that was claimed in vain.
    pub fn give_back(&mut self, run: RunId) {
        if let Some(in_flight) = self.land(run) {
            self.leave(in_flight.job);
        } else if let Some(ticket) = self.waiting.remove(&run) {
            let id = ticket.job.id;
            if let Some(at) = self.node_queue.iter().position(|r| *r == run) {
                self.node_queue.remove(at);
                self.leave(id);
            } else if let Some(entry) = self.jobs.get_mut(&id) {
                entry.queue.retain(|r| *r != run);
            }
        }
    }

    /// Takes a waiting run out of the queue it stands in.
    pub fn unplace(&mut self, run: RunId, id: JobId) {
        let in_node_queue = self.node_queue.iter().position(|r| *r == run);
        if let Some(at) = in_node_queue {
            self.node_queue.remove(at);
        }
        if let Some(entry) = self.jobs.get_mut(&id) {
            if in_node_queue.is_some() {
                entry.running = entry.running.saturating_sub(1);
            } else {
                entry.queue.retain(|r| *r != run);
            }
        }
    }

    pub fn started_at(&self, run: RunId) -> Option<UtcMs> {
        self.in_flight.get(&run).map(|f| f.started)
    }

    /// Runs that the node can still take in.
    pub fn room(&self) -> usize {
        let free = self.max_concurrent.saturating_sub(self.in_flight.len());
        free + self.max_waiting.saturating_sub(self.waiting.len())
    }
    /// Puts a run that must start again in front of all that wait.
    pub fn requeue_first(&mut self, ticket: Ticket) {
        self.node_queue.push_front(ticket.run);
        self.waiting.insert(ticket.run, ticket);
    }

    /// Drops the waiting runs that were claimed in vain.
    pub fn forget_waiting(&mut self, claimed: &HashSet<RunId>, existing: &HashSet<RunId>) {
        let in_vain = |run: &RunId| claimed.contains(run) && !existing.contains(run);
        self.waiting.retain(|run, _| !in_vain(run));
        self.node_queue.retain(|run| !in_vain(run));
    }

    /// Counts anew what each job has at work.
    pub fn recount(&mut self) {
        let queued = self.node_queue.iter().filter_map(|run| self.waiting.get(run)).map(|t| t.job.id);
        for id in queued.collect::<Vec<_>>() {
            if let Some(entry) = self.jobs.get_mut(&id) {
                entry.running += 1;
            }
        }
        for in_flight in self.in_flight.values() {
            if let Some(entry) = self.jobs.get_mut(&in_flight.job) {
                entry.running += 1;
                entry.at_work += 1;
            }
        }
    }
}

/// How many runs of the job may be at work together.
fn at_once(job: &Job) -> usize {
    if job.spec.overlap == Overlap::Parallel { PARALLEL_MAX } else { 1 }
}
