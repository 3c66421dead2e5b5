//! The workers: how many there may be, which waits for work, and what becomes of one after a call. It
//! owns the generation in force; it does not know how a generation is made.
//!
//! A worker is started when a call finds none that waits, so a server without calls has none. One of
//! an older generation ends its call and is not used again, so that a reload fails no call.

use super::Settings;
use super::catalog::{Function, Generation};
use super::protocol::{Answer, Marks, Order};
use super::worker::Worker;
use crate::domain::action::FuncAction;
use crate::domain::run::Outcome;
use crate::exec::output::Output;
use crate::exec::{Context, process};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// How a call ended.
#[derive(Debug)]
pub enum Ended {
    Answer(Answer),
    /// The worker died of it.
    Died(Option<ExitStatus>),
    NotStarted(std::io::Error),
    /// Timeout or cancel, in the call.
    Stopped(Outcome),
    /// Timeout or cancel, before there was a place for it.
    Waited(Outcome),
}

#[derive(Debug)]
pub struct Pool {
    places: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    current: Arc<Generation>,
    idle: Vec<Worker>,
    is_closed: bool,
}

impl Pool {
    pub fn new(workers: usize) -> Self {
        Self { places: Semaphore::new(workers.max(1)), state: Mutex::default() }
    }

    pub fn current(&self) -> Arc<Generation> {
        self.state().current.clone()
    }

    /// Puts a generation in force. Workers of the one before that have no call end now.
    pub fn install(&self, generation: Generation) {
        let old = {
            let mut state = self.state();
            state.current = Arc::new(generation);
            std::mem::take(&mut state.idle)
        };
        // Dropped outside the lock: each is killed by that.
        drop(old);
    }

    /// Ends the workers; calls in flight keep theirs.
    pub async fn close(&self) {
        let idle = {
            let mut state = self.state();
            state.is_closed = true;
            std::mem::take(&mut state.idle)
        };
        for worker in idle {
            worker.close().await;
        }
    }

    /// Calls the function, in its turn; `stopped` ends the wait as well as the call.
    pub async fn call(
        &self,
        function: (Arc<Generation>, Function),
        action: &FuncAction,
        ctx: &Context,
        settings: &Settings,
        mut stopped: Pin<&mut impl Future<Output = Outcome>>,
        output: &mut Output,
    ) -> Ended {
        let place = tokio::select! {
            biased;
            why = &mut stopped => return Ended::Waited(why),
            place = self.places.acquire() => place,
        };
        let (generation, function) = self.newest(function);
        let mut worker = match self.take(&generation) {
            Some(worker) => worker,
            None => match Worker::start(&generation, &ctx.instance, &settings.environment) {
                Ok(worker) => worker,
                Err(e) => return Ended::NotStarted(e),
            },
        };
        // Declared after the worker, hence dropped before it: the group is killed before its leader
        // can be reaped.
        let mut tree = worker.tree(&ctx.exec_id, &ctx.instance);
        // Nobody listens when the engine is already gone; the run goes on.
        let _ = ctx.children.send(worker.started);
        let marks = Marks::new();
        let order = Order {
            file: &function.file,
            name: &function.name,
            args: &action.args,
            env: environment(ctx),
            begin: &marks.begin,
            end: &marks.end,
            limit: ctx.output_limit,
        };
        let work = async {
            worker.make_ready(&generation, &settings.dir, settings.memory).await?;
            worker.call(&order, &marks, output).await
        };
        let ended = tokio::select! {
            biased;
            why = &mut stopped => Err(why),
            done = work => Ok(done),
        };
        match ended {
            Ok(Ok(answer)) => {
                if let Some(tree) = &mut tree {
                    tree.disarm();
                }
                if !matches!(answer, Answer::Raised { retire: true, .. }) {
                    self.give_back(worker);
                }
                drop(place);
                Ended::Answer(answer)
            }
            Ok(Err(_)) => Ended::Died(worker.end(tree, output).await),
            Err(why) => {
                worker.end(tree, output).await;
                Ended::Stopped(why)
            }
        }
    }

    /// The function as it is by now; one that a reload took away meanwhile is called as it was.
    fn newest(&self, (generation, function): (Arc<Generation>, Function)) -> (Arc<Generation>, Function) {
        let current = self.current();
        match current.find(&function.name) {
            Some(newer) if newer.name == function.name => {
                let newer = newer.clone();
                (current, newer)
            }
            _ => (generation, function),
        }
    }

    /// The worker that had a call last: under a light load few are ever started.
    fn take(&self, generation: &Generation) -> Option<Worker> {
        let mut state = self.state();
        if state.current.id != generation.id {
            return None;
        }
        while let Some(mut worker) = state.idle.pop() {
            if worker.is_alive() {
                return Some(worker);
            }
        }
        None
    }

    fn give_back(&self, worker: Worker) {
        let mut state = self.state();
        if state.current.id == worker.generation && !state.is_closed {
            state.idle.push(worker);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a command finds in its environment too.
fn environment(ctx: &Context) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        (process::EXEC_ID, ctx.exec_id.clone()),
        (process::INSTANCE, ctx.instance.clone()),
        ("TJ_JOB_ID", ctx.job_id.to_string()),
        // An environment cannot hold a NUL.
        ("TJ_JOB_NAME", ctx.job_name.replace('\0', "")),
        ("TJ_ATTEMPT", ctx.attempt.to_string()),
        ("TJ_SCHEDULED_AT", ctx.scheduled_at.rfc3339(chrono_tz::Tz::UTC)),
    ])
}
