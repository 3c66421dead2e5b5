//! One round of the engine: what it decided, which is committed together, and what follows the commit.

use super::commands::Reply;
use super::core::Ticket;
use super::{Added, Error};
use crate::domain::UtcMs;
use crate::domain::audit::{self, Act, By};
use crate::domain::event::Event;
use crate::domain::job::{JobId, JobSpec, Removal};
use crate::domain::plan::Jump;
use crate::store::{Batch, JobWrite, StateReset};
use std::sync::Arc;

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
