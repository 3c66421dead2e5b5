//! Decides what becomes of one job's due instants: start, wait, skip or missed. Pure: the caller
//! brings the time and the job's situation, and carries the decision out (`engine/core.rs`).
//!
//! The rules are semantics 3 (lateness), 4 (misfire), 5 (overlap), 6 (limit) and 8 (clock jumps).

use super::UtcMs;
use super::job::{MisfirePolicy, Overlap};
use super::run::{Reason, Source};
use super::schedule::Schedule;
use std::time::Duration;

/// Up to this long after its instant a fire is late; beyond it is a misfire.
pub const LATENESS: Duration = Duration::from_secs(60);
/// Runs of one parallel job that may be in flight.
pub const PARALLEL_MAX: usize = 64;
/// Fires of one job that may wait for its own runs.
pub const QUEUE_MAX: usize = 100;
/// Missed fires that `fire_all` makes up for.
pub const FIRE_ALL_MAX: usize = 100;
/// A smaller step of the wall clock is ordinary adjustment, not a jump.
const JUMP_MIN_MS: i64 = 1_000;
/// A larger jump is a correction of a clock that was wrong.
const JUMP_MAX_MS: i64 = 3 * 3_600_000;

/// A job's situation at the moment of planning.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub schedule: &'a Schedule,
    pub overlap: Overlap,
    pub misfire_policy: MisfirePolicy,
    pub misfire_window: Duration,
    /// The last decided instant: everything up to it is settled for ever.
    pub decided: UtcMs,
    /// The instant of a run that is owed because the job was added, enabled or restarted.
    pub immediate: Option<UtcMs>,
    /// Starts left before `max_run_count`; `None`: no limit.
    pub remaining: Option<u64>,
    /// Runs claimed and not ended, those that wait for their turn apart.
    pub running: usize,
    pub waiting: usize,
    /// Runs that the node can still take in, at work or waiting.
    pub room: usize,
}

/// What becomes of one fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Start,
    /// Starts when the runs before it have ended.
    Wait,
    Skip(Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fire {
    pub at: UtcMs,
    pub source: Source,
    pub verdict: Verdict,
}

/// Fires that did not run, summed up in one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    pub from: UtcMs,
    pub to: UtcMs,
    pub count: u64,
    pub reason: Reason,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Oldest first.
    pub fires: Vec<Fire>,
    pub missed: Vec<Missed>,
    /// The new last decided instant.
    pub decided: UtcMs,
    /// The last start allowed by `max_run_count` is among `fires`.
    pub exhausted: bool,
    /// When to look at the job again.
    pub next: Option<UtcMs>,
}

/// Decides every instant of the job up to `now`.
pub fn plan(view: &View<'_>, now: UtcMs) -> Decision {
    let mut desk = Desk { view, running: view.running, waiting: view.waiting, out: Decision::default() };
    desk.out.decided = view.decided;
    if view.remaining == Some(0) {
        desk.out.exhausted = true;
        return desk.out;
    }
    if let Some(owed) = view.immediate {
        desk.immediate(owed, now);
    }
    let edge = UtcMs(now.minus(LATENESS).0 - 1);
    if !desk.out.exhausted {
        desk.misfires(edge, now);
    }
    if !desk.out.exhausted {
        desk.late_and_on_time(edge, now);
    }
    let mut out = desk.out;
    out.next = if out.exhausted { None } else { view.schedule.next_after(out.decided, out.decided.max(now)) };
    out
}

/// The decision in the making.
struct Desk<'a> {
    view: &'a View<'a>,
    running: usize,
    waiting: usize,
    out: Decision,
}

impl Desk<'_> {
    /// The owed run is made up for within the job's window, whatever the schedule says.
    fn immediate(&mut self, owed: UtcMs, now: UtcMs) {
        if now.since(owed) <= as_ms(LATENESS) {
            self.fire(owed, Source::Cron);
        } else if self.view.misfire_policy != MisfirePolicy::Skip && now.since(owed) <= self.window() {
            self.fire(owed, Source::Catchup);
        } else {
            self.miss(owed, owed, 1, self.missed_reason());
        }
        // It is no instant of the schedule: it settles none, and an interval does not count from it.
        // (The two differ when the clock was set back since the run became owed.)
        self.out.decided = self.view.decided;
    }

    /// What lies up to `edge` came too late for an ordinary start.
    fn misfires(&mut self, edge: UtcMs, now: UtcMs) {
        let View { schedule, decided, misfire_policy, .. } = *self.view;
        let Some(newest) = schedule.last_between(decided, decided, edge) else { return };
        let Some(oldest) = schedule.next_after(decided, decided) else { return };
        match misfire_policy {
            MisfirePolicy::Skip => self.miss_between(decided, oldest, newest),
            MisfirePolicy::FireOnce if now.since(newest) <= self.window() => {
                if let Some(before) = schedule.last_between(decided, decided, UtcMs(newest.0 - 1)) {
                    self.miss_between(decided, oldest, before);
                }
                self.fire(newest, Source::Catchup);
            }
            MisfirePolicy::FireOnce => self.miss_between(decided, oldest, newest),
            MisfirePolicy::FireAll => {
                let mut at = Some(oldest);
                for _ in 0..FIRE_ALL_MAX {
                    let Some(due) = at.filter(|at| *at <= newest) else { break };
                    self.fire(due, Source::Catchup);
                    if self.out.exhausted {
                        return;
                    }
                    at = schedule.next_after(decided, due);
                }
                if let Some(rest) = at.filter(|at| *at <= newest) {
                    self.miss_between(self.out.decided, rest, newest);
                }
            }
        }
        if !self.out.exhausted {
            self.out.decided = newest;
        }
    }

    fn late_and_on_time(&mut self, edge: UtcMs, now: UtcMs) {
        let View { schedule, decided, .. } = *self.view;
        let mut after = self.out.decided.max(edge);
        while let Some(at) = schedule.next_after(decided, after).filter(|at| *at <= now) {
            self.fire(at, Source::Cron);
            if self.out.exhausted {
                return;
            }
            after = at;
        }
    }

    /// Gives one fire its verdict.
    fn fire(&mut self, at: UtcMs, source: Source) {
        let started = self.started();
        let verdict = match self.view.overlap {
            // A burst that is made up for waits its turn; what comes too fast day in, day out, does not.
            Overlap::Parallel if self.running >= PARALLEL_MAX && self.may_wait(source) => Verdict::Wait,
            Overlap::Parallel if self.running >= PARALLEL_MAX => Verdict::Skip(Reason::ParallelLimit),
            Overlap::Serial if self.running > 0 => Verdict::Skip(Reason::Overlap),
            Overlap::Immediate if self.running + self.waiting > 0 => {
                if self.waiting >= QUEUE_MAX {
                    Verdict::Skip(Reason::QueueFull)
                } else {
                    Verdict::Wait
                }
            }
            _ => Verdict::Start,
        };
        let taken = !matches!(verdict, Verdict::Skip(_));
        let verdict =
            if taken && started >= self.view.room { Verdict::Skip(Reason::QueueFull) } else { verdict };
        match verdict {
            Verdict::Start => self.running += 1,
            Verdict::Wait => self.waiting += 1,
            Verdict::Skip(_) => {}
        }
        self.out.fires.push(Fire { at, source, verdict });
        self.out.decided = self.out.decided.max(at);
        self.out.exhausted = self.view.remaining.is_some_and(|left| self.started() as u64 >= left);
    }

    fn may_wait(&self, source: Source) -> bool {
        let catching_up =
            source == Source::Catchup || self.out.fires.iter().any(|f| f.source == Source::Catchup);
        catching_up && self.waiting < QUEUE_MAX
    }

    fn started(&self) -> usize {
        self.out.fires.iter().filter(|f| !matches!(f.verdict, Verdict::Skip(_))).count()
    }

    /// Records the instants from `from` to `to` as missed; `phase` is an instant before them.
    fn miss_between(&mut self, phase: UtcMs, from: UtcMs, to: UtcMs) {
        let count = self.view.schedule.count_between(phase, UtcMs(from.0 - 1), to);
        self.miss(from, to, count, self.missed_reason());
    }

    fn miss(&mut self, from: UtcMs, to: UtcMs, count: u64, reason: Reason) {
        self.out.missed.push(Missed { from, to, count, reason });
    }

    fn missed_reason(&self) -> Reason {
        match self.view.misfire_policy {
            MisfirePolicy::Skip => Reason::Policy,
            _ => Reason::Misfire,
        }
    }

    fn window(&self) -> i64 {
        as_ms(self.view.misfire_window.max(LATENESS))
    }
}

/// What the wall clock did between two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// It went on, or went forward by up to three hours: instants in between are due or misfires.
    None,
    /// It was set back by this many milliseconds, up to three hours.
    Back(i64),
    /// It was wrong by more than three hours; negative: set back.
    Correction(i64),
}

/// Compares how far the wall clock moved with how much time has passed, both in milliseconds.
pub fn jump(wall_moved: i64, elapsed: i64) -> Jump {
    match wall_moved.saturating_sub(elapsed) {
        by if by.abs() > JUMP_MAX_MS => Jump::Correction(by),
        by if by <= -JUMP_MIN_MS => Jump::Back(-by),
        _ => Jump::None,
    }
}

/// The last decided instant of a job after a jump, and the record that explains it, if any.
///
/// `before` and `after` are the wall clock's readings around the jump.
pub fn after_jump(
    jump: Jump,
    schedule: &Schedule,
    decided: UtcMs,
    before: UtcMs,
    after: UtcMs,
) -> (UtcMs, Option<Missed>) {
    let interval = matches!(schedule, Schedule::Interval(_));
    match jump {
        Jump::None => (decided, None),
        // An interval counts elapsed time: its whole cadence moves with the clock.
        Jump::Back(by) if interval => (UtcMs(decided.0.saturating_sub(by)), None),
        Jump::Correction(by) if interval => (UtcMs(decided.0.saturating_add(by)), None),
        Jump::Back(_) if schedule.is_fixed_time() => (decided, None),
        Jump::Back(_) => (decided.min(after), None),
        Jump::Correction(_) => {
            let count = schedule.count_between(decided, decided, after);
            let record = Missed { from: before, to: after, count, reason: Reason::ClockCorrection };
            // Forward without an instant in between there is nothing to tell.
            (after, (count > 0 || after < before).then_some(record))
        }
    }
}

fn as_ms(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "jump_test.rs"]
mod jump_test;
#[cfg(test)]
#[path = "plan_property_test.rs"]
mod plan_property_test;
#[cfg(test)]
#[path = "plan_test.rs"]
mod plan_test;
