//! What can be asked of the engine's task, and what each request does to the turn it falls into.

use super::core::{Core, Entry};
use super::turn::{Effect, Turn};
use super::{Added, Error, Reconciled, Triggered};
use crate::config::JobsConfig;
use crate::domain::audit::{self, Act, By, Fields};
use crate::domain::job::{Job, JobDraft, JobId, JobSpec, Overlap, Removal};
use crate::domain::run::{Reason, Report, RunId, Source};
use crate::domain::{Text, UtcMs};
use crate::exec::ChildStarted;
use crate::store::{JobWrite, RunStart, StateReset};
use serde_json::json;
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
        /// JobAdd, or RunTest for one that goes after its run.
        act: Act,
        by: Arc<By>,
        reply: Reply<Added>,
    },
    /// With `version` only that version of the job is changed, here and below.
    Edit {
        id: JobId,
        draft: Box<JobDraft>,
        version: Option<i64>,
        by: Arc<By>,
        reply: Reply<()>,
    },
    Delete {
        id: JobId,
        version: Option<i64>,
        by: Arc<By>,
        reply: Reply<()>,
    },
    Run {
        id: JobId,
        by: Arc<By>,
        reply: Reply<Triggered>,
    },
    RunAll {
        by: Arc<By>,
        reply: Reply<usize>,
    },
    Stop {
        id: JobId,
        by: Arc<By>,
        reply: Reply<()>,
    },
    /// Answers whether the run was there to be cancelled.
    StopRun {
        run: RunId,
        by: Arc<By>,
        reply: Reply<bool>,
    },
    StopAll {
        by: Arc<By>,
        reply: Reply<usize>,
    },
    Restart {
        id: JobId,
        reset_run_count: bool,
        by: Arc<By>,
        reply: Reply<()>,
    },
    /// Answered by the ticker, which can read the database.
    Reconcile {
        reply: Reply<Reconciled>,
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
            Self::RunAll { reply, .. } | Self::StopAll { reply, .. } => drop(reply.send(Err(error))),
            Self::Reconcile { reply } => drop(reply.send(Err(error))),
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
            Command::Add { spec, removal, run, act, by, reply } => {
                let immediate = spec.enabled && spec.overlap == Overlap::Immediate;
                let entry = turn.entry(by, act).on_job(None, &spec.name).after(audit::job(&spec));
                let write = JobWrite::Insert { spec: spec.clone(), removal, immediate };
                turn.write_for(entry, write, Effect::Add { spec, removal, immediate, run, reply });
            }
            Command::Edit { id, draft, version, by, reply } => {
                match self.edit(id, *draft, version, turn.batch.now) {
                    Ok((write, effect)) => {
                        let entry = turn.entry(by, Act::JobEdit);
                        turn.write_for(self.told_change(entry, id, &write), write, effect(reply));
                    }
                    Err(e) => drop(reply.send(Err(e))),
                }
            }
            Command::Delete { id, version, by, reply } => match self.jobs.get(&id) {
                Some(Entry { job, .. }) => {
                    let entry = turn.entry(by, Act::JobDelete).on_job(Some(id), &job.spec.name);
                    turn.write_for(
                        entry.before(audit::job(&job.spec)),
                        JobWrite::Delete { id, with_runs: false, version },
                        Effect::Delete { id, reply: Some(reply) },
                    );
                }
                None => drop(reply.send(Err(Error::NoJob(id)))),
            },
            Command::Run { id, by, reply } => match self.trigger(id, Source::Manual, turn) {
                Some(triggered) => {
                    let name = self.jobs.get(&id).map_or("", |entry| &entry.job.spec.name);
                    let Triggered { run, skipped } = triggered;
                    let after = json!({"run": run.to_string(), "skipped": skipped.map(Reason::as_str)});
                    let entry = turn.entry(by, Act::JobRun).on_job(Some(id), name);
                    turn.note(entry.after(audit::fields(after)));
                    turn.answer(reply, triggered);
                }
                None => drop(reply.send(Err(Error::NoJob(id)))),
            },
            Command::RunAll { by, reply } => {
                let mut ids: Vec<_> =
                    self.jobs.values().filter(|e| e.job.spec.enabled).map(|e| e.job.id).collect();
                ids.sort_unstable();
                for id in &ids {
                    self.trigger(*id, Source::Manual, turn);
                }
                let entry = turn.entry(by, Act::JobRunAll);
                turn.note(entry.after(audit::fields(json!({"jobs": ids.len()}))));
                turn.answer(reply, ids.len());
            }
            Command::Stop { id, by, reply } => match self.jobs.get(&id) {
                Some(Entry { job, .. }) => {
                    let entry = turn.entry(by, Act::JobStop).on_job(Some(id), &job.spec.name);
                    let entry = entry.before(enabled(job.spec.enabled)).after(enabled(false));
                    let write = JobWrite::Stop { id, reason: None };
                    turn.write_for(entry, write, Effect::Stop { id, reply });
                }
                None => drop(reply.send(Err(Error::NoJob(id)))),
            },
            Command::StopRun { run, by, reply } => {
                let found = self.cancel_run(run, Reason::RunStopped, turn);
                if found {
                    let entry = turn.entry(by, Act::RunStop);
                    turn.note(entry.on("run", run, ""));
                }
                turn.answer(reply, found);
            }
            Command::StopAll { by, reply } => {
                let jobs = self.jobs.values().filter(|entry| entry.job.spec.enabled).count();
                let entry = turn.entry(by, Act::JobStopAll).after(audit::fields(json!({"jobs": jobs})));
                turn.write_for(entry, JobWrite::StopAll, Effect::StopAll { reply });
            }
            Command::Restart { id, reset_run_count, by, reply } => {
                match self.restart(id, reset_run_count, turn.batch.now) {
                    Ok((before, reset)) => {
                        let entry = turn.entry(by, Act::JobStart).on_job(Some(id), &before.spec.name);
                        let after = json!({"enabled": true, "reset_run_count": reset_run_count});
                        let entry = entry.before(enabled(before.spec.enabled)).after(audit::fields(after));
                        let write = JobWrite::Enable { id, reset };
                        turn.write_for(entry, write, Effect::Enable { id, reset, reply });
                    }
                    Err(e) => drop(reply.send(Err(e))),
                }
            }
            // The ticker takes these out before it comes here.
            Command::Reconcile { reply } => drop(reply.send(Err(Error::Unavailable))),
            Command::Configure(_) => {}
        }
    }

    fn restart(&self, id: JobId, run_count: bool, now: UtcMs) -> Result<(Arc<Job>, StateReset), Error> {
        let entry = self.jobs.get(&id).ok_or(Error::NoJob(id))?;
        if !run_count {
            refuse_exhausted(&entry.job.spec, entry.run_count)?;
        }
        let reset = entry.reset(now, entry.job.spec.overlap == Overlap::Immediate, run_count);
        Ok((entry.job.clone(), reset))
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
        if (spec.mode, &spec.command) != (old.mode, &old.command) {
            spec.action().and_then(|action| action.within(&self.limits)).map_err(Error::Invalid)?;
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

    /// How the job was and will be.
    fn told_change(&self, entry: audit::Entry, id: JobId, write: &JobWrite) -> audit::Entry {
        let (Some(Entry { job, .. }), JobWrite::Update { spec, .. }) = (self.jobs.get(&id), write) else {
            return entry;
        };
        entry.on_job(Some(id), &job.spec.name).changed(audit::job(&job.spec), audit::job(spec))
    }
}

fn enabled(is: bool) -> Fields {
    audit::fields(json!({"enabled": is}))
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
