//! What lies ahead: the next fires of all jobs, and how many there will be. It slows no fire: of the
//! engine's memory it copies a few entries, and everything else is worked out by whoever asks.
//!
//! It is a forecast: a fire may still be skipped, or its job changed.

use super::ticker::lock;
use super::{Engine, Error};
use crate::domain::UtcMs;
use crate::domain::job::{Job, JobId};
use crate::domain::schedule::Schedule;
use crate::store::SameSchedule;
use chrono_tz::Tz;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinError;

/// The most fires that are told at once.
pub const UPCOMING_MAX: usize = 1_000;
/// The most slots of a load.
pub const SLOTS_MAX: usize = 1_000;
/// Triggers that a load counts; a server has fewer, unless a program made them all different.
const SCHEDULES_MAX: usize = 20_000;
/// How long a load is told again before it is counted anew.
const FRESH: Duration = Duration::from_secs(60);

/// A fire to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upcoming {
    pub job: JobId,
    pub name: String,
    pub at: UtcMs,
}

/// How many fires fall into each of equal slots of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// When the first slot begins.
    pub from: UtcMs,
    pub slots: Vec<u64>,
    /// False: there are more different triggers than are counted, or some that cannot be read.
    pub complete: bool,
}

/// A job that is due, as the engine knows it: enough to go on from there without the engine.
#[derive(Debug)]
pub(super) struct Ahead {
    pub job: Arc<Job>,
    pub decided: UtcMs,
    pub immediate: Option<UtcMs>,
    pub run_count: u64,
}

/// Loads that are kept, the latest last: of an hour and of a day, for now.
const KEPT: usize = 4;

/// The last loads that were counted. The lock is held while one is being counted, so that many who ask
/// at once cost one count.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted(Arc<Mutex<Vec<Answer>>>);

#[derive(Debug)]
struct Answer {
    question: Question,
    /// The clock's elapsed time.
    at: Duration,
    load: Load,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Question {
    from: UtcMs,
    slot_ms: i64,
    slots: usize,
}

impl Engine {
    /// The next fires of all enabled jobs up to `until`, earliest first, at most `most` (and at most
    /// [`UPCOMING_MAX`]). A job that is overdue or owes a run counts at the instant of that, which may be
    /// past, and then from now on.
    pub fn upcoming(&self, until: UtcMs, most: usize) -> Vec<Upcoming> {
        let most = most.min(UPCOMING_MAX);
        let ahead = lock(&self.core).ahead(until, most);
        walk(&ahead, self.clock.now(), until, most)
    }

    /// How many fires of enabled jobs fall into each of `slots` slots (at most [`SLOTS_MAX`]) of this
    /// length from `from` on, for a heat map. `from` is moved back to a whole multiple of `slot` since
    /// 1970, so that the same slots are asked for again and again: the answer is up to 60 s old.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn load(&self, from: UtcMs, slot: Duration, slots: usize) -> Result<Load, Error> {
        let slot_ms = i64::try_from(slot.as_millis()).unwrap_or(i64::MAX).max(1);
        let from = UtcMs(from.0.div_euclid(slot_ms).saturating_mul(slot_ms));
        let question = Question { from, slot_ms, slots: slots.min(SLOTS_MAX) };
        let engine = self.clone();
        // A task of its own: a client that goes away must not leave a count whose answer nobody keeps.
        joined(tokio::spawn(async move { engine.answer(question).await }).await)?
    }

    async fn answer(&self, question: Question) -> Result<Load, Error> {
        let mut kept = self.counted.0.lock().await;
        let now = self.clock.read().elapsed;
        kept.retain(|answer| now.saturating_sub(answer.at) < FRESH);
        if let Some(answer) = kept.iter().find(|answer| answer.question == question) {
            return Ok(answer.load.clone());
        }
        // One more than is counted: it shows that there are more.
        let mut groups = self.store.schedules(SCHEDULES_MAX as i64 + 1).await?;
        let all = groups.len() <= SCHEDULES_MAX;
        groups.truncate(SCHEDULES_MAX);
        let zone = self.zone;
        let load = joined(tokio::task::spawn_blocking(move || count(&groups, zone, question)).await)?;
        let load = Load { complete: load.complete && all, ..load };
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push(Answer { question, at: now, load: load.clone() });
        Ok(load)
    }
}

/// A task that was cancelled is one whose runtime ends; a panic goes on in who waits for it.
fn joined<T>(done: Result<T, JoinError>) -> Result<T, Error> {
    done.map_err(|e| match e.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Error::ShuttingDown,
    })
}

/// The first `most` fires up to `until` of the jobs that are due first.
///
/// The first `most` jobs in the order of what is due suffice for the first `most` fires: a job behind
/// them has as many jobs before it that each fire no later than it does. Only a job whose
/// `max_run_count` is used up makes an exception, as it is due and fires no more; then a list may end
/// early.
fn walk(ahead: &[Ahead], now: UtcMs, until: UtcMs, most: usize) -> Vec<Upcoming> {
    let mut left: Vec<u64> = ahead.iter().map(starts_left).collect();
    let mut heap = BinaryHeap::new();
    for (n, Ahead { job, decided, immediate, .. }) in ahead.iter().enumerate() {
        let first = job.spec.schedule.next_after(*decided, *decided);
        let fires = [(first, false), (*immediate, true)];
        heap.extend(fires.into_iter().filter_map(|(at, owed)| Some(Reverse((at?, job.id, n, owed)))));
    }
    let mut upcoming = Vec::new();
    while upcoming.len() < most
        && let Some(Reverse((at, id, n, owed))) = heap.pop()
        && at <= until
    {
        if left[n] == 0 {
            continue;
        }
        left[n] -= 1;
        let Ahead { job, decided, .. } = &ahead[n];
        upcoming.push(Upcoming { job: id, name: job.spec.name.to_string(), at });
        if !owed {
            // Of what is overdue one fire is told: what becomes of the rest is the engine's to decide.
            let after = at.max(UtcMs(now.0 - 1));
            let next = job.spec.schedule.next_after(*decided, after);
            heap.extend(next.map(|at| Reverse((at, id, n, false))));
        }
    }
    upcoming
}

fn starts_left(ahead: &Ahead) -> u64 {
    match ahead.job.spec.max_run_count {
        0 => u64::MAX,
        max => u64::from(max).saturating_sub(ahead.run_count),
    }
}

fn count(groups: &[SameSchedule], zone: Tz, question: Question) -> Load {
    let mut load = Load { from: question.from, slots: vec![0; question.slots], complete: true };
    for group in groups {
        let SameSchedule { trigger_type, cron_expr, interval_seconds, timezone, jobs } = group;
        let jobs = jobs.unsigned_abs();
        match Schedule::stored(trigger_type, cron_expr, *interval_seconds, timezone, zone) {
            Some(Schedule::Interval(s)) => add_evenly(&mut load.slots, question, jobs, s.seconds()),
            Some(schedule) => add_counted(&mut load.slots, question, jobs, &schedule),
            None => load.complete = false,
        }
    }
    load
}

/// The phase of an interval does not matter here: that of one job is somewhere within its period, and
/// jobs with the same period are taken to be spread evenly over it. Counted from one phase, all jobs of
/// once an hour would seem to fire together.
fn add_evenly(slots: &mut [u64], question: Question, jobs: u64, seconds: u32) {
    let per_slot = u128::from(jobs) * u128::from(question.slot_ms.unsigned_abs());
    let until = |slot: usize| slot as u128 * per_slot / (u128::from(seconds) * 1000);
    for (n, sum) in slots.iter_mut().enumerate() {
        *sum = sum.saturating_add(u64::try_from(until(n + 1) - until(n)).unwrap_or(u64::MAX));
    }
}

fn add_counted(slots: &mut [u64], Question { from, slot_ms, .. }: Question, jobs: u64, schedule: &Schedule) {
    // A slot holds its first millisecond and not its end; a count is the other way round.
    let before = |slot: usize| {
        let ms = slot_ms.saturating_mul(i64::try_from(slot).unwrap_or(i64::MAX));
        UtcMs(from.0.saturating_add(ms).saturating_sub(1))
    };
    let (start, end) = (before(0), before(slots.len()));
    let total = schedule.count_between(start, start, end);
    if total > slots.len() as u64 {
        for (n, sum) in slots.iter_mut().enumerate() {
            let fires = schedule.count_between(start, before(n), before(n + 1));
            *sum = sum.saturating_add(fires.saturating_mul(jobs));
        }
        return;
    }
    // Fewer fires than slots, as most jobs have: each is looked up.
    let mut at = start;
    for _ in 0..total {
        let Some(next) = schedule.next_after(start, at) else { return };
        let slot = next.since(from).div_euclid(slot_ms);
        if let Some(sum) = usize::try_from(slot).ok().and_then(|slot| slots.get_mut(slot)) {
            *sum = sum.saturating_add(jobs);
        }
        at = next;
    }
}

#[cfg(test)]
#[path = "forecast_test.rs"]
mod forecast_test;
