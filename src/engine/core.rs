//! The jobs in memory, the order in which they are due, and the runs in flight. It decides with
//! `domain::plan` and writes every decision into the turn; it does no I/O and reads no clock.
//!
//! Counters move while a turn is composed; when its commit fails, `recovery` rebuilds them.

use super::forecast::Ahead;
use super::turn::{Effect, Turn};
use crate::clock::Reading;
use crate::config::JobsConfig;
use crate::domain::UtcMs;
use crate::domain::action::limits::Limits;
use crate::domain::job::{Job, JobId, StopReason};
use crate::domain::plan::{self, Jump, Verdict, View};
use crate::domain::run::{Reason, RunId, RunIds, Source};
use crate::store::{JobState, JobWrite};
use chrono_tz::Tz;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Jobs planned in one turn: bounds how long the ones behind them wait for the commit.
const JOBS_PER_TURN: usize = 1_000;

#[derive(Debug)]
pub(super) struct Core {
    pub jobs: BTreeMap<JobId, Entry>,
    /// The ids of `jobs` in their order: lists are cut out of it.
    pub order: Vec<JobId>,
    /// Stored jobs that cannot be scheduled: only the database can list them.
    pub unreadable: usize,
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
#[derive(Debug)]
pub(super) struct Entry {
    pub job: Arc<Job>,
    pub decided: UtcMs,
    pub run_count: u64,
    pub immediate: Option<UtcMs>,
    pub last_run: Option<UtcMs>,
    pub crash_streak: i64,
    /// Runs claimed and not ended, without those in `queue`.
    pub running: usize,
    /// Those of them that are at work.
    pub at_work: usize,
    /// Runs of a queueing job that wait for the one before.
    pub queue: Queue,
    /// Its place in `Core::due`.
    next: Option<UtcMs>,
}

impl Entry {
    /// The job as it is stored, with no run.
    pub fn new(job: Arc<Job>, state: &JobState) -> Self {
        let mut entry = Self {
            job,
            decided: UtcMs(state.decided_ms),
            run_count: state.run_count.unsigned_abs(),
            immediate: state.immediate_ms.map(UtcMs),
            last_run: state.last_run_ms.map(UtcMs),
            crash_streak: state.crash_streak,
            running: 0,
            at_work: 0,
            queue: Queue::default(),
            next: None,
        };
        entry.next = entry.first_due();
        entry
    }

    /// When it is due next, as it stands.
    fn first_due(&self) -> Option<UtcMs> {
        let first = self.job.spec.schedule.next_after(self.decided, self.decided);
        match (self.job.spec.enabled, self.immediate, first) {
            (false, _, _) => None,
            (true, Some(owed), Some(first)) => Some(owed.min(first)),
            (true, owed, first) => owed.or(first),
        }
    }
}

/// Runs in their order. Few jobs ever have one that waits.
#[expect(clippy::box_collection, reason = "it is no more than a pointer until a run waits")]
#[derive(Debug, Default)]
pub(super) struct Queue(Option<Box<VecDeque<RunId>>>);

impl Queue {
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |runs| runs.len())
    }

    pub fn push_back(&mut self, run: RunId) {
        self.0.get_or_insert_default().push_back(run);
    }

    pub fn pop_front(&mut self) -> Option<RunId> {
        self.0.as_mut()?.pop_front()
    }

    pub fn retain(&mut self, keep: impl Fn(&RunId) -> bool) {
        if let Some(runs) = &mut self.0 {
            runs.retain(keep);
        }
    }
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

#[derive(Debug)]
pub(super) struct InFlight {
    pub job: JobId,
    pub started: UtcMs,
    pub cancel: CancellationToken,
    /// Why it was cancelled.
    pub reason: Option<Reason>,
}

impl Core {
    pub fn new(config: &JobsConfig, zone: Tz, newest: RunId, clock_epoch: i64, reading: Reading) -> Self {
        Self {
            jobs: BTreeMap::new(),
            order: Vec::new(),
            unreadable: 0,
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
        let mut entry = Entry::new(job, state);
        if let Some(old) = self.jobs.remove(&id) {
            if let Some(at) = old.next {
                self.due.remove(&(at, id));
            }
            entry.running = old.running;
            entry.at_work = old.at_work;
            entry.queue = old.queue;
        } else if let Err(at) = self.order.binary_search(&id) {
            self.order.insert(at, id);
        }
        self.due.extend(entry.next.map(|at| (at, id)));
        self.jobs.insert(id, entry);
    }

    /// Takes in the jobs of a start, which come in the order of their ids. Built at once the maps are dense:
    /// one by one they would take twice the memory.
    pub fn install_first(&mut self, jobs: Vec<Entry>) {
        self.order = jobs.iter().map(|entry| entry.job.id).collect();
        self.due = jobs.iter().filter_map(|entry| Some((entry.next?, entry.job.id))).collect();
        self.jobs = jobs.into_iter().map(|entry| (entry.job.id, entry)).collect();
    }

    /// Forgets every job, and gives back what waited in their queues; `install` builds all anew.
    pub fn clear_jobs(&mut self) -> HashMap<JobId, Queue> {
        self.due.clear();
        self.order.clear();
        std::mem::take(&mut self.jobs).into_iter().map(|(id, entry)| (id, entry.queue)).collect()
    }

    /// Stops a job for a reason of its own.
    pub fn pause(&mut self, id: JobId, reason: StopReason, turn: &mut Turn) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        let job = Arc::make_mut(&mut entry.job);
        job.spec.enabled = false;
        job.story.stop_reason = Some(reason);
        job.changed(turn.batch.now);
        replace_due(&mut self.due, entry, None);
        turn.write(JobWrite::Stop { id, reason: Some(reason) }, Effect::Nothing);
    }

    pub fn remove(&mut self, id: JobId) {
        let Some(entry) = self.jobs.remove(&id) else { return };
        if let Ok(at) = self.order.binary_search(&id) {
            self.order.remove(at);
        }
        if let Some(at) = entry.next {
            self.due.remove(&(at, id));
        }
    }

    /// Looks up anew when the job is due next.
    fn schedule(&mut self, id: JobId) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        let next = entry.first_due();
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
