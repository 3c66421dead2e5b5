//! What can be asked of the engine's task, and what each request does to the turn it falls into.

use super::core::{Core, Effect, Entry, Turn};
use super::forecast::Ahead;
use super::{Added, Error, Reconciled, Triggered};
use crate::config::JobsConfig;
use crate::domain::job::{Job, JobDraft, JobId, JobSpec, Overlap, Removal};
use crate::domain::run::{Reason, Report, RunId, Source};
use crate::domain::{Text, UtcMs};
use crate::exec::ChildStarted;
use crate::store::{JobWrite, RunStart, StateReset};
use std::sync::Arc;
use tokio::sync::oneshot;

pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

#[derive(Debug)]
pub(super) enum Command {
    /// With `run` it also runs once now.
    Add {
        spec: Box<JobSpec>,
        removal: Removal,
        run: bool,
        reply: Reply<Added>,
    },
    /// With `version` only that version of the job is changed, here and below.
    Edit {
        id: JobId,
        draft: Box<JobDraft>,
        version: Option<i64>,
        reply: Reply<()>,
    },
    Delete {
        id: JobId,
        version: Option<i64>,
        reply: Reply<()>,
    },
    Run {
        id: JobId,
        reply: Reply<Triggered>,
    },
    RunAll {
        reply: Reply<usize>,
    },
    Stop {
        id: JobId,
        reply: Reply<()>,
    },
    /// Answers whether the run was there to be cancelled.
    StopRun {
        run: RunId,
        reply: Reply<bool>,
    },
    StopAll {
        reply: Reply<usize>,
    },
    Restart {
        id: JobId,
        reset_run_count: bool,
        reply: Reply<()>,
    },
    /// Answered by the ticker, which can read the database.
    Reconcile {
        reply: Reply<Reconciled>,
    },
    /// The jobs that are due next, for `forecast`.
    Upcoming {
        until: UtcMs,
        most: usize,
        reply: Reply<Vec<Ahead>>,
    },
    /// New settings, from now on.
    Configure(Box<JobsConfig>),
    Finished(Box<Finished>),
    Child {
        run: RunId,
        attempt: u32,
        child: ChildStarted,
    },
}

/// A run has ended; its record is still to be closed.
#[derive(Debug)]
pub(super) struct Finished {
    pub run: RunId,
    pub job: Arc<Job>,
    pub source: Source,
    pub report: Report,
    /// Why it was cancelled, once that is known.
    pub reason: Option<Reason>,
}

/// The definitions that a request changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changes {
    None,
    One(JobId),
    All,
}

impl Command {
    /// Which definitions this changes: such a request waits when the turn already changes them.
    pub fn changes(&self) -> Changes {
        match self {
            Self::Edit { id, .. }
            | Self::Delete { id, .. }
            | Self::Stop { id, .. }
            | Self::Restart { id, .. } => Changes::One(*id),
            Self::StopAll { .. } => Changes::All,
            _ => Changes::None,
        }
    }

    /// Answers a request that will not be done. Ends of runs have nobody to answer.
    pub fn refuse(self, error: Error) {
        match self {
            Self::Add { reply, .. } => drop(reply.send(Err(error))),
            Self::Run { reply, .. } => drop(reply.send(Err(error))),
            Self::StopRun { reply, .. } => drop(reply.send(Err(error))),
            Self::RunAll { reply } | Self::StopAll { reply } => drop(reply.send(Err(error))),
            Self::Reconcile { reply } => drop(reply.send(Err(error))),
            Self::Upcoming { reply, .. } => drop(reply.send(Err(error))),
            Self::Edit { reply, .. }
            | Self::Delete { reply, .. }
            | Self::Stop { reply, .. }
            | Self::Restart { reply, .. } => drop(reply.send(Err(error))),
            Self::Configure(_) | Self::Finished(_) | Self::Child { .. } => {}
        }
    }
}

impl Core {
    /// Lets one request take part in the turn.
    pub fn apply(&mut self, command: Command, turn: &mut Turn) {
        // What was due before a job is changed is decided first: a change loses no fire.
        if let Changes::One(id) = command.changes() {
            self.decide_if_due(id, turn);
        }
        match command {
            Command::Finished(finished) => self.finish(*finished, turn),
            Command::Child { run, attempt, child } => {
                let child = Some((child.pid, child.start));
                let at = self.started_at(run).unwrap_or(turn.batch.now);
                turn.batch.starts.push(RunStart { run, at, attempt, child });
            }
            other if self.stopping => other.refuse(Error::ShuttingDown),
            Command::Add { spec, removal, run, reply } => {
                let immediate = spec.enabled && spec.overlap == Overlap::Immediate;
                let write = JobWrite::Insert { spec: spec.clone(), removal, immediate };
                turn.write(write, Effect::Add { spec, removal, immediate, run, reply });
            }
            Command::Edit { id, draft, version, reply } => {
                match self.edit(id, *draft, version, turn.batch.now) {
                    Ok((write, effect)) => turn.write(write, effect(reply)),
                    Err(e) => drop(reply.send(Err(e))),
                }
            }
            Command::Delete { id, version, reply } => {
                if self.jobs.contains_key(&id) {
                    turn.write(
                        JobWrite::Delete { id, with_runs: false, version },
                        Effect::Delete { id, reply: Some(reply) },
                    );
                } else {
                    drop(reply.send(Err(Error::NoJob(id))));
                }
            }
            Command::Run { id, reply } => match self.trigger(id, Source::Manual, turn) {
                Some(triggered) => turn.answer(reply, triggered),
                None => drop(reply.send(Err(Error::NoJob(id)))),
            },
            Command::RunAll { reply } => {
                let mut ids: Vec<_> =
                    self.jobs.values().filter(|e| e.job.spec.enabled).map(|e| e.job.id).collect();
                ids.sort_unstable();
                for id in &ids {
                    self.trigger(*id, Source::Manual, turn);
                }
                turn.answer(reply, ids.len());
            }
            Command::Stop { id, reply } => {
                if self.jobs.contains_key(&id) {
                    turn.write(JobWrite::Stop { id, reason: None }, Effect::Stop { id, reply });
                } else {
                    drop(reply.send(Err(Error::NoJob(id))));
                }
            }
            Command::StopRun { run, reply } => {
                let found = self.cancel_run(run, Reason::RunStopped, turn);
                turn.answer(reply, found);
            }
            Command::StopAll { reply } => turn.write(JobWrite::StopAll, Effect::StopAll { reply }),
            Command::Restart { id, reset_run_count, reply } => {
                match self.restart(id, reset_run_count, turn.batch.now) {
                    Ok(reset) => {
                        turn.write(JobWrite::Enable { id, reset }, Effect::Enable { id, reset, reply })
                    }
                    Err(e) => drop(reply.send(Err(e))),
                }
            }
            Command::Upcoming { until, most, reply } => drop(reply.send(Ok(self.ahead(until, most)))),
            // The ticker takes these out before it comes here.
            Command::Reconcile { reply } => drop(reply.send(Err(Error::Unavailable))),
            Command::Configure(_) => {}
        }
    }

    fn restart(&self, id: JobId, run_count: bool, now: UtcMs) -> Result<StateReset, Error> {
        let entry = self.jobs.get(&id).ok_or(Error::NoJob(id))?;
        if !run_count {
            refuse_exhausted(&entry.job.spec, entry.run_count)?;
        }
        Ok(entry.reset(now, entry.job.spec.overlap == Overlap::Immediate, run_count))
    }

    fn edit(
        &self,
        id: JobId,
        draft: JobDraft,
        version: Option<i64>,
        now: UtcMs,
    ) -> Result<(JobWrite, impl FnOnce(Reply<()>) -> Effect + use<>), Error> {
        let entry = self.jobs.get(&id).ok_or(Error::NoJob(id))?;
        let old = &entry.job.spec;
        let spec = Box::new(draft.over(JobDraft::of(old)).check(self.zone).map_err(Error::Invalid)?);
        // A limit that the server got later must not keep a job from being renamed.
        if spec.action != old.action {
            spec.action.within(&self.limits).map_err(Error::Invalid)?;
        }
        let enabling = spec.enabled && !old.enabled;
        if enabling {
            refuse_exhausted(&spec, entry.run_count)?;
        }
        let moved = spec.trigger != old.trigger || spec.timezone != old.timezone;
        let immediate = enabling && spec.overlap == Overlap::Immediate;
        let reset = (enabling || moved).then(|| entry.reset(now, immediate, false));
        let write = JobWrite::Update { id, spec: spec.clone(), reset, version };
        Ok((write, move |reply| Effect::Edit { id, spec, reset, reply }))
    }
}

/// A fire decided this close ahead of now was decided just now, before a small step of the clock;
/// one further ahead belongs to an earlier clock epoch.
const RESTART_GUARD_MS: i64 = 2_000;

impl Entry {
    /// Nothing from before `now` is owed any more. The instant of an owed run must be one that no
    /// fire had yet: a job may be restarted in the millisecond of one.
    fn reset(&self, now: UtcMs, immediate: bool, run_count: bool) -> StateReset {
        let same_moment = (0..RESTART_GUARD_MS).contains(&self.decided.since(now));
        let owed = if same_moment { UtcMs(self.decided.0 + 1) } else { now };
        StateReset { decided: now, immediate: immediate.then_some(owed), run_count }
    }
}

/// A job that has used up its runs would be enabled and never fire: say so instead.
fn refuse_exhausted(spec: &JobSpec, run_count: u64) -> Result<(), Error> {
    let max = u64::from(spec.max_run_count);
    if max == 0 || run_count < max {
        return Ok(());
    }
    Err(Error::Refused(Text::new(
        format!(
            "任务已执行 {run_count} 次，达到最大执行次数 {max}；请在重启时加 reset_run_count=true，或调大 max_run_count"
        ),
        format!(
            "the job has run {run_count} of max_run_count {max} times; restart it with reset_run_count=true or raise max_run_count"
        ),
    )))
}
