//! What follows a commit: changed jobs are installed, requests answered, lost claims taken back.

use super::core::{Core, Ticket};
use super::recovery::Loaded;
use super::turn::{Effect, Turn};
use super::{Added, Error, Reconciled};
use crate::domain::UtcMs;
use crate::domain::event::Event;
use crate::domain::job::{Job, JobDraft, JobId, JobSpec, Story};
use crate::domain::run::{Reason, Source};
use crate::store::{Committed, JobState, JobWritten, StateReset};
use std::collections::HashSet;
use std::sync::Arc;

impl Core {
    /// Carries out what the committed turn decided. Gives back the runs to start; what follows from
    /// it (cancelled waiting runs) goes into `next`.
    pub fn settle(&mut self, turn: &mut Turn, committed: &Committed, next: &mut Turn) -> Vec<Ticket> {
        let now = turn.batch.now;
        next.batch.now = now;
        for (effect, written) in std::mem::take(&mut turn.effects).into_iter().zip(&committed.jobs) {
            self.carry_out(effect, *written, now, next);
        }
        turn.conclude(true);
        let mut starts = std::mem::take(&mut turn.starts);
        for run in committed.lost_races.iter().chain(&committed.over_limit) {
            tracing::warn!(%run, "the fire was claimed elsewhere or is over the limit");
            starts.retain(|ticket| ticket.run != *run);
            self.give_back(*run);
        }
        starts
    }

    fn carry_out(&mut self, effect: Effect, written: JobWritten, now: UtcMs, next: &mut Turn) {
        match (effect, written) {
            (Effect::Add { reply, .. }, JobWritten::NameTaken) => drop(reply.send(Err(Error::NameTaken))),
            (Effect::Edit { reply, .. }, JobWritten::NameTaken) => drop(reply.send(Err(Error::NameTaken))),
            // A new job has no version that could be meant.
            (Effect::Add { reply, .. }, JobWritten::Changed) => drop(reply.send(Err(Error::Changed))),
            (Effect::Edit { reply, .. }, JobWritten::Changed) => drop(reply.send(Err(Error::Changed))),
            (Effect::Delete { reply: Some(reply), .. }, JobWritten::Changed) => {
                drop(reply.send(Err(Error::Changed)));
            }
            (Effect::Add { spec, removal, immediate, run, reply }, JobWritten::Done(id)) => {
                let state = JobState {
                    decided_ms: now.0,
                    immediate_ms: immediate.then_some(now.0),
                    ..JobState::default()
                };
                let story = Story { created: now, updated: now, version: 1, stop_reason: None };
                let job = Job { id, spec: *spec, removal, story };
                self.install(Arc::new(job), &state);
                next.events.push(Event::JobChanged { job: id });
                if run {
                    let triggered = self.trigger(id, Source::Api, next);
                    next.answer(reply, Added { id, triggered });
                } else {
                    drop(reply.send(Ok(Added { id, triggered: None })));
                }
            }
            (Effect::Edit { id, spec, reset, reply }, _) => {
                let stopping = !spec.enabled && self.jobs.get(&id).is_some_and(|e| e.job.spec.enabled);
                self.redefine(id, reset, now, |job| {
                    job.story.stop_reason = job.story.stop_reason.filter(|_| !spec.enabled);
                    job.spec = *spec;
                });
                if stopping {
                    self.cancel(Some(id), Reason::Stopped, next);
                }
                next.events.push(Event::JobChanged { job: id });
                drop(reply.send(Ok(())));
            }
            (Effect::Enable { id, reset, reply }, _) => {
                self.redefine(id, Some(reset), now, |job| enable(job, true));
                next.events.push(Event::JobChanged { job: id });
                drop(reply.send(Ok(())));
            }
            (Effect::Stop { id, reply }, _) => {
                self.redefine(id, None, now, |job| enable(job, false));
                self.cancel(Some(id), Reason::Stopped, next);
                next.events.push(Event::JobChanged { job: id });
                drop(reply.send(Ok(())));
            }
            (Effect::StopAll { reply }, _) => {
                let ids: Vec<_> =
                    self.jobs.values().filter(|e| e.job.spec.enabled).map(|e| e.job.id).collect();
                for id in &ids {
                    self.redefine(*id, None, now, |job| enable(job, false));
                    next.events.push(Event::JobChanged { job: *id });
                }
                self.cancel(None, Reason::Stopped, next);
                drop(reply.send(Ok(ids.len())));
            }
            (Effect::Delete { id, reply }, _) => {
                self.remove(id);
                self.cancel(Some(id), Reason::Deleted, next);
                next.events.push(Event::JobDeleted { job: id });
                if let Some(reply) = reply {
                    drop(reply.send(Ok(())));
                }
            }
            (Effect::Nothing, _) => {}
        }
    }

    /// Installs a changed definition, and where the job stands from now on.
    fn redefine(&mut self, id: JobId, reset: Option<StateReset>, now: UtcMs, change: impl FnOnce(&mut Job)) {
        let Some(entry) = self.jobs.get(&id) else { return };
        let mut job = (*entry.job).clone();
        change(&mut job);
        job.changed(now);
        let mut state = entry.state();
        if let Some(reset) = reset {
            state.decided_ms = reset.decided.0;
            state.immediate_ms = reset.immediate.map(|t| t.0);
            state.crash_streak = 0;
            if reset.run_count {
                state.run_count = 0;
            }
        }
        self.install(Arc::new(job), &state);
    }

    /// Brings memory in line with what the database holds. Runs in flight are not touched, unless their
    /// job is gone.
    pub fn reconcile(&mut self, stored: Loaded, turn: &mut Turn) -> Reconciled {
        let mut found = Reconciled::default();
        self.unreadable = stored.unreadable;
        let stored = stored.jobs;
        let ids: HashSet<JobId> = stored.iter().map(|(job, _)| job.id).collect();
        let gone: Vec<JobId> = self.jobs.keys().filter(|id| !ids.contains(id)).copied().collect();
        found.removed = gone.len();
        for id in gone {
            self.remove(id);
            turn.events.push(Event::JobDeleted { job: id });
        }
        for (job, state) in stored {
            match self.jobs.get_mut(&job.id) {
                None => found.added += 1,
                Some(entry) if same_definition(&entry.job.spec, &job.spec) => {
                    // Its state in memory is the newer one: the database is written from it.
                    if entry.job.story != job.story {
                        Arc::make_mut(&mut entry.job).story = job.story;
                    }
                    continue;
                }
                Some(_) => found.updated += 1,
            }
            self.install(Arc::new(job), &state);
        }
        self.cancel_orphans(turn);
        found
    }
}

fn enable(job: &mut Job, on: bool) {
    job.spec.enabled = on;
    job.story.stop_reason = None;
}

fn same_definition(a: &JobSpec, b: &JobSpec) -> bool {
    JobDraft::of(a) == JobDraft::of(b)
}
