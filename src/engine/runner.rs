//! One run, from its start to its report. The record is already durable when it comes here, and
//! is closed by the ticker with what this hands back.

use super::commands::{Command, Finished};
use super::core::Ticket;
use super::live::{Hub, Opened};
use crate::clock::Clock;
use crate::config::JobsConfig;
use crate::domain::run::{Outcome, Report};
use crate::domain::{FieldError, Text};
use crate::exec::secrets::Secrets;
use crate::exec::{ChildStarted, Context, Executor};
use crate::vault::Vault;
use chrono_tz::Tz;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

pub(super) struct Runner {
    pub exec: Executor,
    pub secrets: Arc<Vault>,
    pub clock: Clock,
    pub zone: Tz,
    pub instance: String,
    pub kill_grace: Duration,
    pub output_limit: usize,
    /// Weak: runs do not keep the engine's inbox open.
    pub commands: mpsc::WeakSender<Command>,
    pub live: Hub,
}

impl Runner {
    /// The same with new settings.
    pub fn with(&self, jobs: &JobsConfig) -> Self {
        Self {
            exec: self.exec.clone(),
            secrets: self.secrets.clone(),
            clock: self.clock.clone(),
            zone: self.zone,
            instance: self.instance.clone(),
            kill_grace: jobs.kill_grace,
            output_limit: jobs.output_limit,
            commands: self.commands.clone(),
            live: self.live.clone(),
        }
    }

    /// The run's output is open to others from this call on, not from the first poll.
    pub fn run(self: Arc<Self>, ticket: Ticket) -> impl Future<Output = ()> + Send {
        let opened = self.live.open(ticket.run);
        async move {
            let (children, started) = mpsc::unbounded_channel();
            let report = match self.secrets.values_for(&ticket.job.spec.command).await {
                Ok(values) => {
                    let context = self.resolve(&ticket, children, &opened, Secrets::new(values));
                    self.execute(&ticket, context, started).await
                }
                Err(why) => Report::failed(why),
            };
            drop(opened);
            let finished = settle(ticket, report);
            self.record(finished).await;
        }
    }

    fn resolve(
        &self,
        ticket: &Ticket,
        children: mpsc::UnboundedSender<ChildStarted>,
        opened: &Opened,
        secrets: Secrets,
    ) -> Context {
        Context {
            exec_id: ticket.run.to_string(),
            job_id: ticket.job.id.0,
            job_name: ticket.job.spec.name.to_string(),
            attempt: ticket.attempt,
            scheduled_at: ticket.scheduled_at,
            now: self.clock.now(),
            zone: ticket.job.spec.timezone.unwrap_or(self.zone),
            cancel: ticket.cancel.clone(),
            instance: self.instance.clone(),
            children,
            kill_grace: self.kill_grace,
            output_limit: self.output_limit,
            live: opened.live.clone(),
            secrets,
        }
    }

    /// Does the work; its child processes are made known meanwhile, so that they can be found after
    /// a crash. A panic in an executor is a failed run, not a dead server.
    async fn execute(
        &self,
        ticket: &Ticket,
        context: Context,
        mut started: mpsc::UnboundedReceiver<ChildStarted>,
    ) -> Report {
        let action = match ticket.job.spec.action() {
            Ok(action) => action,
            Err(errors) => return Report::failed(refused(&errors)),
        };
        let work = AssertUnwindSafe(self.exec.execute(&action, &context)).catch_unwind();
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => {
                    return done.unwrap_or_else(|_| {
                        tracing::error!(run = %ticket.run, job = %ticket.job.id, "the executor panicked");
                        Report::failed(Text::new("内部错误：执行器异常", "internal error: the executor panicked"))
                    });
                }
                Some(child) = started.recv() => {
                    self.send(Command::Child { run: ticket.run, attempt: ticket.attempt, child }).await;
                }
            }
        }
    }

    async fn record(&self, finished: Finished) {
        self.send(Command::Finished(Box::new(finished))).await;
    }

    /// The engine outlives its runs, except when it has given up on them.
    async fn send(&self, command: Command) {
        if let Some(commands) = self.commands.upgrade() {
            commands.send(command).await.ok();
        }
    }
}

/// The rules for commands have changed since the job was added.
fn refused(errors: &[FieldError]) -> Text {
    let all = |text: fn(&FieldError) -> &str| errors.iter().map(text).collect::<Vec<_>>().join("; ");
    Text::new(
        format!("命令文本不再有效：{}", all(|e| &e.message.zh)),
        format!("the command text is no longer valid: {}", all(|e| &e.message.en)),
    )
}

/// What the record will say.
fn settle(ticket: Ticket, report: Report) -> Finished {
    if report.outcome != Outcome::Success {
        let error = report.error.as_ref().map_or("", |e| e.en.as_str());
        tracing::warn!(run = %ticket.run, job = %ticket.job.id, name = &*ticket.job.spec.name,
            outcome = report.outcome.as_str(), error, "the run did not succeed");
    }
    Finished { run: ticket.run, job: ticket.job, source: ticket.source, report, reason: None }
}
