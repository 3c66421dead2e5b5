//! Does the work of a run: HTTP calls, shell commands and functions, under a deadline, a cancel
//! token and bounded output, repeated as the action says. It knows neither store nor engine, and a
//! job's failure is a `Report`, never an error.

pub mod command;
pub mod egress;
pub mod environment;
pub mod func;
pub mod http;
pub mod limited;
pub mod live;
pub mod output;
pub mod process;
pub mod secrets;

use crate::domain::action::limits::Limits;
use crate::domain::action::{Action, Mode};
use crate::domain::run::{Outcome, Report};
use crate::domain::{Text, UtcMs};
use chrono_tz::Tz;
use egress::Egress;
use live::Live;
use output::Output;
use secrets::Secrets;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What one execution is given besides the action.
#[derive(Clone, Debug)]
pub struct Context {
    pub exec_id: String,
    pub job_id: i64,
    pub job_name: String,
    /// 1 for the first start of the run.
    pub attempt: u32,
    pub scheduled_at: UtcMs,
    /// When this attempt started.
    pub now: UtcMs,
    /// The job's zone.
    pub zone: Tz,
    /// Ends the work at once; the report is then `Cancelled`.
    pub cancel: CancellationToken,
    /// Marks the processes of this installation, in their environment as `TJ_INSTANCE`.
    pub instance: String,
    /// Told of each child process right after its start.
    pub children: tokio::sync::mpsc::UnboundedSender<ChildStarted>,
    /// How long a cancelled or timed-out process tree has between TERM and KILL.
    pub kill_grace: Duration,
    /// Bytes of output kept for the whole run.
    pub output_limit: usize,
    /// Where others can look on while the run prints.
    pub live: Arc<Live>,
    /// What the action's secrets are.
    pub secrets: Secrets,
}

/// A child process of a run: what crash recovery must know to find it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildStarted {
    pub pid: u32,
    /// The kernel's start time of the pid (field 22 of /proc/pid/stat), 0 where it is not told.
    pub start: u64,
}

/// What the executor can be set up with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of a decompressed response body that are read; a longer one fails the run.
    pub http_body_limit: u64,
    pub functions: func::Settings,
    pub commands: limited::Settings,
    /// Where requests of jobs may go.
    pub egress: Arc<Egress>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            http_body_limit: 64 << 20,
            functions: func::Settings::default(),
            commands: limited::Settings::default(),
            egress: Arc::default(),
        }
    }
}

/// Why the executor could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the HTTP client cannot be set up: {0}")]
    Http(#[from] reqwest::Error),
}

/// Executes actions. A clone shares the HTTP clients and their connections.
#[derive(Clone)]
pub struct Executor {
    http: Arc<http::Http>,
    functions: Arc<func::Functions>,
    commands: Arc<limited::Settings>,
}

impl Executor {
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            http: Arc::new(http::Http::new(settings.http_body_limit, settings.egress)?),
            functions: Arc::new(func::Functions::new(settings.functions)),
            commands: Arc::new(settings.commands),
        })
    }

    /// Does the work, as often as its repeat says, and reports how it went.
    pub async fn execute(&self, action: &Action, ctx: &Context) -> Report {
        let Some(values) = ctx.secrets.values() else { return self.series(action, ctx).await };
        let mut report = match action.with_secrets(values) {
            Ok(action) => self.series(&action, ctx).await,
            Err(error) => Report::failed(error),
        };
        ctx.secrets.hide_in(&mut report);
        report
    }

    async fn series(&self, action: &Action, ctx: &Context) -> Report {
        let repeat = action.repeat();
        let mut series = Series::new(action.mode(), repeat.times.max(1), ctx);
        for turn in 1..=series.times {
            if turn > 1 {
                pause(repeat.interval, &ctx.cancel).await;
            }
            let report = if ctx.cancel.is_cancelled() {
                cancelled()
            } else {
                series.begin(turn);
                self.once(action, ctx, &mut series).await
            };
            let over = matches!(report.outcome, Outcome::Timeout | Outcome::Cancelled);
            series.add(report);
            if over {
                break;
            }
        }
        series.finish()
    }

    pub fn functions(&self) -> &Arc<func::Functions> {
        &self.functions
    }

    /// What the server allows a command.
    pub fn command_limits(&self) -> &Limits {
        &self.commands.limits
    }

    fn tools(&self, keep: usize) -> func::Tools<'_> {
        func::Tools { http: &self.http, keep, functions: &self.functions }
    }

    async fn once(&self, action: &Action, ctx: &Context, series: &mut Series) -> Report {
        match action {
            Action::Http(action) => self.http.run(action, ctx, series.body_limit).await,
            Action::Command(action) => command::run(action, ctx, &self.commands, &mut series.output).await,
            Action::Func(action) => {
                func::run(action, ctx, &self.tools(series.body_limit), &mut series.output).await
            }
        }
    }
}

/// The repeats of one run, on their way to its one report.
struct Series {
    mode: Mode,
    times: u32,
    succeeded: u32,
    output: Output,
    /// What is left of the output limit for the body of an HTTP response.
    body_limit: usize,
    sum: Option<Report>,
}

impl Series {
    fn new(mode: Mode, times: u32, ctx: &Context) -> Self {
        let limit = ctx.output_limit;
        // Repeated requests leave one line each beside the last body; a single one leaves none.
        let body_limit = if times > 1 { limit - limit / 4 } else { limit };
        let output_limit = if mode == Mode::Http && times > 1 { limit / 4 } else { limit };
        let output = Output::new(&ctx.live, output_limit, &ctx.secrets);
        Self { mode, times, succeeded: 0, output, body_limit, sum: None }
    }

    fn begin(&mut self, turn: u32) {
        if self.times > 1 {
            self.output.section(turn, self.times);
        }
    }

    fn add(&mut self, mut report: Report) {
        self.output.stdout.push(std::mem::take(&mut report.stdout).as_bytes());
        self.output.stderr.push(std::mem::take(&mut report.stderr).as_bytes());
        if self.times > 1 && self.mode == Mode::Http {
            self.output.stdout.push(summary_line(&report).as_bytes());
        }
        self.succeeded += u32::from(report.outcome == Outcome::Success);
        self.sum = Some(match self.sum.take() {
            None => report,
            Some(earlier) => merge(earlier, report),
        });
    }

    fn finish(self) -> Report {
        let mut report = self.sum.unwrap_or_else(|| Report::new(Outcome::Success));
        if self.times > 1 {
            report.result = Some(format!("{}/{}", self.succeeded, self.times));
        }
        (report.stdout, report.stderr) = self.output.finish();
        report
    }
}

/// The first failure decides the outcome; requests and values are those of the last repeat. Only a
/// cancel overrides an earlier failure: the run was ended from outside, and what follows a failure
/// (a retry, an alarm) must not follow that.
fn merge(earlier: Report, last: Report) -> Report {
    let (http, func) = (last.http.or(earlier.http), last.func.or(earlier.func));
    if earlier.outcome == Outcome::Success || last.outcome == Outcome::Cancelled {
        Report { http, func, ..last }
    } else {
        Report { http, func, ..earlier }
    }
}

fn summary_line(report: &Report) -> String {
    match (&report.result, &report.error) {
        (Some(result), Some(error)) => format!("{result}: {error}\n"),
        (Some(result), None) => format!("{result}\n"),
        (None, Some(error)) => format!("{error}\n"),
        (None, None) => String::new(),
    }
}

/// Waits between two repeats; a cancel ends the wait.
async fn pause(interval: Duration, cancel: &CancellationToken) {
    if interval.is_zero() {
        // Repeats that never wait would otherwise hold a worker of the runtime.
        tokio::task::yield_now().await;
        return;
    }
    tokio::select! {
        () = cancel.cancelled() => (),
        () = tokio::time::sleep(interval) => (),
    }
}

/// The report of work that was ended from outside. Who ended it, and why, the caller knows.
pub(crate) fn cancelled() -> Report {
    Report {
        error: Some(Text::new("执行被取消", "the run was cancelled")),
        ..Report::new(Outcome::Cancelled)
    }
}

/// The report of work that did not end in time.
pub(crate) fn timed_out(timeout: Duration) -> Report {
    let seconds = timeout.as_secs_f64();
    let error = Text::new(format!("执行超时（{seconds} 秒）"), format!("timed out after {seconds} s"));
    Report { error: Some(error), ..Report::new(Outcome::Timeout) }
}

#[cfg(test)]
#[path = "exec_test.rs"]
mod tests;
