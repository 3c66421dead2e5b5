//! The jobs in memory, the order in which they are due, and the runs in flight. It decides with
//! `domain::plan` and writes every decision into the turn; it does no I/O and reads no clock.
//!
//! Counters move while a turn is composed; when its commit fails, `recovery` rebuilds them.

use super::commands::Reply;
use super::forecast::Ahead;
use super::{Added, Error};
use crate::clock::Reading;
use crate::config::JobsConfig;
use crate::domain::UtcMs;
use crate::domain::action::limits::Limits;
use crate::domain::audit::{self, Act, By};
use crate::domain::event::Event;
use crate::domain::job::{Job, JobId, JobSpec, Removal, StopReason};
use crate::domain::plan::{self, Jump, Verdict, View};
use crate::domain::run::{Reason, RunId, RunIds, Source};
use crate::store::{Batch, JobState, JobWrite, StateReset};
use chrono_tz::Tz;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Jobs planned in one turn: bounds how long the ones behind them wait for the commit.
const JOBS_PER_TURN: usize = 1_000;

pub(super) struct Core {
    pub jobs: HashMap<JobId, Entry>,
    due: BTreeSet<(UtcMs, JobId)>,
    /// Runs that are claimed and wait for a place.
    pub waiting: HashMap<RunId, Ticket>,
    pub node_queue: VecDeque<RunId>,
    pub in_flight: HashMap<RunId, InFlight>,
    pub ids: RunIds,
    pub clock_epoch: i64,
    last_reading: Reading,
    pub max_concurrent: usize,
    pub max_waiting: usize,
    pub manual_allow_concurrent: bool,
    pub zone: Tz,
    /// What a job's command may ask for.
    pub limits: Limits,
    /// No new claims any more.
    pub stopping: bool,
}

/// A job and where it stands.
pub(super) struct Entry {
    pub job: Arc<Job>,
    pub decided: UtcMs,
    pub run_count: u64,
    pub immediate: Option<UtcMs>,
    pub crash_streak: i64,
    /// Runs claimed and not ended, without those in `queue`.
    pub running: usize,
    /// Runs of a queueing job that wait for the one before.
    pub queue: VecDeque<RunId>,
    /// Its place in `Core::due`.
    next: Option<UtcMs>,
}

/// The right to start a run.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    pub run: RunId,
    pub job: Arc<Job>,
    pub source: Source,
    pub scheduled_at: UtcMs,
    pub attempt: u32,
    pub cancel: CancellationToken,
}

pub(super) struct InFlight {
    pub job: JobId,
    pub started: UtcMs,
    pub cancel: CancellationToken,
    /// Why it was cancelled.
    pub reason: Option<Reason>,
}

/// What follows once a job's change is committed.
pub(super) enum Effect {
    Add {
        spec: Box<JobSpec>,
        removal: Removal,
        immediate: bool,
        run: bool,
        reply: Reply<Added>,
    },
    Edit {
        id: JobId,
        spec: Box<JobSpec>,
        reset: Option<StateReset>,
        reply: Reply<()>,
    },
    Enable {
        id: JobId,
        reset: StateReset,
        reply: Reply<()>,
    },
    Stop {
        id: JobId,
        reply: Reply<()>,
    },
    StopAll {
        reply: Reply<usize>,
    },
    Delete {
        id: JobId,
        reply: Option<Reply<()>>,
    },
    /// Already done in memory.
    Nothing,
}

/// One round of the engine: everything it decided, to be committed together.
#[derive(Default)]
pub(super) struct Turn {
    pub batch: Batch,
    /// One for each of `batch.jobs`.
    pub effects: Vec<Effect>,
    /// Runs to start after the commit.
    pub starts: Vec<Ticket>,
    pub events: Vec<Event>,
    /// A jump of the wall clock that this turn carried into the jobs.
    pub jump: Option<(Jump, UtcMs, UtcMs)>,
    answers: Vec<Box<dyn FnOnce(bool) + Send>>,
}

impl Turn {
    pub fn new(now: UtcMs) -> Self {
        Self { batch: Batch { now, ..Batch::default() }, ..Self::default() }
    }

    pub fn write(&mut self, write: JobWrite, effect: Effect) {
        self.batch.jobs.push(write);
        self.effects.push(effect);
    }

    /// A row of the audit log, of this turn.
    pub fn entry(&self, by: Arc<By>, act: Act) -> audit::Entry {
        audit::Entry::new(self.batch.now, by, act)
    }

    /// A change that somebody asked for: it is told of when it is made.
    pub fn write_for(&mut self, entry: audit::Entry, write: JobWrite, effect: Effect) {
        self.batch.audit.push((Some(self.batch.jobs.len()), entry));
        self.write(write, effect);
    }

    /// Tells of what this turn does.
    pub fn note(&mut self, entry: audit::Entry) {
        self.batch.audit.push((None, entry));
    }

    /// Answers a request once the turn is committed.
    pub fn answer<T: Send + 'static>(&mut self, reply: Reply<T>, value: T) {
        self.answers.push(Box::new(move |committed| {
            drop(reply.send(if committed { Ok(value) } else { Err(Error::Unavailable) }));
        }));
    }

    /// Takes out the deletions that nobody waits for: they stay owed when the commit fails.
    pub fn take_clean_ups(&mut self) -> Vec<(JobWrite, Effect)> {
        let writes = std::mem::take(&mut self.batch.jobs).into_iter().zip(std::mem::take(&mut self.effects));
        let (owed, others): (Vec<_>, Vec<_>) = writes.partition(|(write, effect)| match effect {
            Effect::Delete { reply, .. } => reply.is_none(),
            _ => matches!(write, JobWrite::DeleteRun { .. }),
        });
        self.effects = others.into_iter().map(|(_, effect)| effect).collect();
        owed
    }

    /// Nothing to write and nobody to answer.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.answers.is_empty() && self.events.is_empty()
    }

    /// Tells everybody who waits on this turn how it ended.
    pub fn conclude(&mut self, committed: bool) {
        for answer in self.answers.drain(..) {
            answer(committed);
        }
        if !committed {
            for effect in self.effects.drain(..) {
                effect.refuse();
            }
        }
    }
}

impl Effect {
    fn refuse(self) {
        match self {
            Self::Add { reply, .. } => drop(reply.send(Err(Error::Unavailable))),
            Self::StopAll { reply } => drop(reply.send(Err(Error::Unavailable))),
            Self::Edit { reply, .. } | Self::Enable { reply, .. } | Self::Stop { reply, .. } => {
                drop(reply.send(Err(Error::Unavailable)));
            }
            Self::Delete { reply: Some(reply), .. } => drop(reply.send(Err(Error::Unavailable))),
            Self::Delete { reply: None, .. } | Self::Nothing => {}
        }
    }
}

impl Core {
    pub fn new(config: &JobsConfig, zone: Tz, newest: RunId, clock_epoch: i64, reading: Reading) -> Self {
        Self {
            jobs: HashMap::new(),
            due: BTreeSet::new(),
            waiting: HashMap::new(),
            node_queue: VecDeque::new(),
            in_flight: HashMap::new(),
            ids: RunIds::after(newest),
            clock_epoch,
            last_reading: reading,
            max_concurrent: config.max_concurrent,
            max_waiting: config.max_waiting,
            manual_allow_concurrent: config.manual_allow_concurrent,
            zone,
            limits: Limits::default(),
            stopping: false,
        }
    }

    pub fn configure(&mut self, config: &JobsConfig) {
        self.max_concurrent = config.max_concurrent;
        self.max_waiting = config.max_waiting;
        self.manual_allow_concurrent = config.manual_allow_concurrent;
    }

    /// When to wake: `None` while nothing is scheduled.
    pub fn next_due(&self) -> Option<UtcMs> {
        if self.stopping { None } else { self.due.first().map(|(at, _)| *at) }
    }

    /// The first `most` jobs that are due by `until`, in the order in which they are due. It is asked
    /// between fires, so it copies this much and no more; `forecast` does the rest elsewhere.
    pub fn ahead(&self, until: UtcMs, most: usize) -> Vec<Ahead> {
        let due = self.due.iter().take_while(|(at, _)| *at <= until).take(most);
        let entries = due.filter_map(|(_, id)| self.jobs.get(id));
        entries
            .map(|entry| Ahead {
                job: entry.job.clone(),
                decided: entry.decided,
                immediate: entry.immediate,
                run_count: entry.run_count,
            })
            .collect()
    }

    /// Puts a job, or its new definition, into the order of what is due.
    pub fn install(&mut self, job: Arc<Job>, state: &JobState) {
        let id = job.id;
        let (running, queue) = self.jobs.remove(&id).map_or((0, VecDeque::new()), |old| {
            if let Some(at) = old.next {
                self.due.remove(&(at, id));
            }
            (old.running, old.queue)
        });
        let entry = Entry {
            job,
            decided: UtcMs(state.decided_ms),
            run_count: state.run_count.unsigned_abs(),
            immediate: state.immediate_ms.map(UtcMs),
            crash_streak: state.crash_streak,
            running,
            queue,
            next: None,
        };
        self.jobs.insert(id, entry);
        self.schedule(id);
    }

    /// Forgets every place in the order of what is due; `install` builds it anew.
    pub fn clear_due(&mut self) {
        self.due.clear();
    }

    /// Stops a job for a reason of its own.
    pub fn pause(&mut self, id: JobId, reason: StopReason, turn: &mut Turn) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        Arc::make_mut(&mut entry.job).spec.enabled = false;
        replace_due(&mut self.due, entry, None);
        turn.write(JobWrite::Stop { id, reason: Some(reason) }, Effect::Nothing);
    }

    pub fn remove(&mut self, id: JobId) {
        if let Some(Entry { next: Some(at), .. }) = self.jobs.remove(&id) {
            self.due.remove(&(at, id));
        }
    }

    /// Looks up anew when the job is due next.
    fn schedule(&mut self, id: JobId) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        let first = entry.job.spec.schedule.next_after(entry.decided, entry.decided);
        let next = match (entry.job.spec.enabled, entry.immediate, first) {
            (false, _, _) => None,
            (true, Some(owed), Some(first)) => Some(owed.min(first)),
            (true, owed, first) => owed.or(first),
        };
        replace_due(&mut self.due, entry, next);
    }

    /// Compares the clocks with the last look and carries a jump of the wall clock into every job
    /// (semantics 8).
    pub fn observe(&mut self, reading: Reading, turn: &mut Turn) {
        let before = std::mem::replace(&mut self.last_reading, reading);
        let elapsed = reading.elapsed.saturating_sub(before.elapsed);
        let jump = plan::jump(
            reading.wall.since(before.wall),
            i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX),
        );
        self.carry_jump(jump, before.wall, reading.wall, turn);
    }

    pub fn carry_jump(&mut self, jump: Jump, before: UtcMs, after: UtcMs, turn: &mut Turn) {
        if jump == Jump::None {
            return;
        }
        turn.jump = Some((jump, before, after));
        tracing::warn!(?jump, before = before.0, after = after.0, "the wall clock was set");
        self.clock_epoch += 1;
        turn.batch.clock_epoch = Some(self.clock_epoch);
        // Stopped jobs too: one that is restarted must not wait for a time that was never right.
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in ids {
            let Some(entry) = self.jobs.get_mut(&id) else { continue };
            let (decided, missed) =
                plan::after_jump(jump, &entry.job.spec.schedule, entry.decided, before, after);
            entry.decided = decided;
            turn.batch.cursor(id).decided = Some(decided);
            let job = entry.job.clone();
            if let Some(missed) = missed.filter(|_| job.spec.enabled) {
                self.record_missed(&job, &missed, None, turn);
            }
            self.schedule(id);
        }
    }

    /// Decides every job that is due, as far as one turn goes.
    pub fn tick(&mut self, turn: &mut Turn) {
        let now = turn.batch.now;
        for _ in 0..JOBS_PER_TURN {
            match self.due.first() {
                Some(&(at, id)) if at <= now && !self.stopping => self.decide(id, now, turn),
                _ => return,
            }
        }
    }

    /// Decides one job out of turn, if it is due.
    pub fn decide_if_due(&mut self, id: JobId, turn: &mut Turn) {
        let now = turn.batch.now;
        if !self.stopping && self.jobs.get(&id).is_some_and(|e| e.next.is_some_and(|at| at <= now)) {
            self.decide(id, now, turn);
        }
    }

    fn decide(&mut self, id: JobId, now: UtcMs, turn: &mut Turn) {
        let room = self.room();
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        let job = entry.job.clone();
        let spec = &job.spec;
        let view = View {
            schedule: &spec.schedule,
            overlap: spec.overlap,
            misfire_policy: spec.misfire_policy,
            misfire_window: spec.misfire_window,
            decided: entry.decided,
            immediate: entry.immediate,
            remaining: (spec.max_run_count > 0)
                .then(|| u64::from(spec.max_run_count).saturating_sub(entry.run_count)),
            running: entry.running,
            waiting: entry.queue.len(),
            room,
        };
        let decision = plan::plan(&view, now);
        let starts = decision.fires.iter().filter(|f| !matches!(f.verdict, Verdict::Skip(_))).count();
        entry.decided = decision.decided;
        entry.run_count += starts as u64;
        let cursor = turn.batch.cursor(id);
        cursor.decided = Some(decision.decided);
        cursor.starts += u32::try_from(starts).unwrap_or(u32::MAX);
        cursor.max_run_count = spec.max_run_count;
        cursor.immediate_done |= entry.immediate.take().is_some();
        replace_due(&mut self.due, entry, decision.next);
        if decision.exhausted {
            self.pause(id, StopReason::Limit, turn);
        }
        for missed in &decision.missed {
            self.record_missed(&job, missed, Some(missed.from), turn);
        }
        for fire in &decision.fires {
            self.open_fire(&job, fire, turn);
        }
    }
}

fn replace_due(due: &mut BTreeSet<(UtcMs, JobId)>, entry: &mut Entry, next: Option<UtcMs>) {
    if let Some(at) = entry.next {
        due.remove(&(at, entry.job.id));
    }
    if let Some(at) = next {
        due.insert((at, entry.job.id));
    }
    entry.next = next;
}
