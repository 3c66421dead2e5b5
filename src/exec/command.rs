//! Runs a shell command: its environment, its deadline, its output and the end of its process tree.
//! What is left running on purpose after the command has ended by itself (`nohup … &`) is let be.

use super::environment::Environment;
use super::limited::{self, Complaints};
use super::output::{Output, Sink};
use super::process::{self, Kill, Tree};
use super::{ChildStarted, Context, cancelled, timed_out};
use crate::domain::Text;
use crate::domain::action::CommandAction;
use crate::domain::action::limits::Limits;
use crate::domain::run::{Outcome, Report};
use std::convert::Infallible;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::{sleep, timeout};

/// How long the output of a command that has ended is still read, when a background child of it
/// holds the pipe open.
pub(super) const LINGER: Duration = Duration::from_millis(500);
/// How long KILL is repeated. With `REAP` it stays below the second that a run may take on top of
/// its timeout and the grace.
const FORCE_LIMIT: Duration = Duration::from_millis(700);
pub(super) const REAP: Duration = Duration::from_millis(200);
/// Between two looks at a dying tree, doubled each time: each look reads all of /proc.
const FIRST_POLL: Duration = Duration::from_millis(10);
const LAST_POLL: Duration = Duration::from_millis(160);
pub(super) const READ_BUFFER: usize = 16 * 1024;

/// Runs the command once. Its output goes to `output`, all else into the report.
pub async fn run(
    action: &CommandAction,
    ctx: &Context,
    settings: &limited::Settings,
    output: &mut Output,
) -> Report {
    let limits = match limited::limits(action, &settings.limits) {
        Ok(limits) => limits,
        Err(refused) => return Report::failed(refused),
    };
    let (mut child, complaints) = match start(action, ctx, settings, &limits) {
        Ok(started) => started,
        Err(error) => return Report::failed(not_started(action, &error)),
    };
    // Declared after the child, hence dropped before it: the group is killed before its leader can
    // be reaped.
    let mut tree = Tree::of(&child, &[&ctx.exec_id], &ctx.instance);
    announce(&child, ctx);
    let mut pipes = Pipes::of(&mut child);
    let ended = tokio::select! {
        biased;
        () = ctx.cancel.cancelled() => Err(cancelled()),
        () = sleep(action.timeout) => Err(timed_out(action.timeout)),
        status = pipes.read_during(child.wait(), output) => Ok(status),
    };
    match ended {
        Ok(Ok(status)) => {
            if let Some(tree) = &mut tree {
                tree.disarm();
            }
            // Running out of this time is not worth a word: the command itself is done.
            let _ = timeout(LINGER, pipes.drain(output)).await;
            match complaints.read().await {
                Some(why) => Report::failed(why),
                None => report(status, &limits),
            }
        }
        Ok(Err(error)) => Report::failed(Text::new(
            format!("无法等待命令结束：{error}"),
            format!("the end of the command could not be awaited: {error}"),
        )),
        Err(report) => {
            if let Some(tree) = &mut tree {
                pipes.read_during(end_tree(tree, ctx.kill_grace), output).await;
                if pipes.read_during(timeout(REAP, child.wait()), output).await.is_ok() {
                    tree.disarm();
                }
            }
            report
        }
    }
}

/// TERM, the grace, then KILL until nothing of the tree is left; without a grace KILL at once.
pub(super) async fn end_tree(tree: &Tree, grace: Duration) {
    let ask = async {
        let mut alive = tree.kill(Kill::Ask).await;
        let mut poll = FIRST_POLL;
        while alive {
            sleep(poll).await;
            poll = LAST_POLL.min(poll * 2);
            alive = tree.is_alive().await;
        }
    };
    if !grace.is_zero() && timeout(grace, ask).await.is_ok() {
        return;
    }
    let force = async {
        while tree.kill(Kill::Force).await {
            sleep(FIRST_POLL).await;
        }
    };
    // What survives even this hangs in the kernel, or the machine is too busy to find it; the run ends all the same.
    if timeout(FORCE_LIMIT, force).await.is_err() {
        tree.hunt_on();
    }
}

/// Starts the command: directly, which is what a machine can do most often, or under its limits.
fn start(
    action: &CommandAction,
    ctx: &Context,
    settings: &limited::Settings,
    limits: &Limits,
) -> io::Result<(Child, Complaints)> {
    if limits.is_none() {
        let mut command = process::shell(&action.command);
        command.stdin(Stdio::null());
        if let Some(dir) = &action.workdir {
            command.current_dir(dir);
        }
        prepare(&mut command, action, "", ctx, &settings.environment);
        return Ok((command.spawn()?, Complaints::default()));
    }
    let (mut command, complaints) = limited::command(settings, limits, action)?;
    prepare(&mut command, action, limited::VARIABLE, ctx, &settings.environment);
    // The command holds the other end of the pipe; with it gone, the pipe ends with the child's.
    Ok((command.spawn()?, complaints))
}

/// `before` stands before the names of the job's own variables, where what is started first is not the
/// command.
fn prepare(
    command: &mut Command,
    action: &CommandAction,
    before: &str,
    ctx: &Context,
    environment: &Environment,
) {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    for name in environment.hidden() {
        command.env_remove(name);
    }
    command.envs(action.env.iter().map(|(name, value)| (format!("{before}{name}"), value)));
    // Last, so that a job cannot take the marks off its processes.
    command
        .env(process::EXEC_ID, &ctx.exec_id)
        .env(process::INSTANCE, &ctx.instance)
        .env("TJ_JOB_ID", ctx.job_id.to_string())
        .env("TJ_JOB_NAME", &ctx.job_name)
        .env("TJ_ATTEMPT", ctx.attempt.to_string())
        .env("TJ_SCHEDULED_AT", ctx.scheduled_at.rfc3339(chrono_tz::Tz::UTC));
}

fn announce(child: &Child, ctx: &Context) {
    if let Some(pid) = child.id() {
        let start = process::start_time(pid).unwrap_or(0);
        // Nobody listens when the engine is already gone; the run goes on.
        let _ = ctx.children.send(ChildStarted { pid, start });
    }
}

fn report(status: ExitStatus, limits: &Limits) -> Report {
    let Some(code) = status.code() else {
        let signal = process::describe_signal(status).unwrap_or_else(|| status.to_string());
        let error = Text::new(format!("被信号 {signal} 终止"), format!("killed by {signal}"));
        return Report::failed(remarked(error, limits, process::signal(status)));
    };
    let report = if code == 0 {
        Report::new(Outcome::Success)
    } else {
        let error = Text::new(format!("退出码 {code}"), format!("exit code {code}"));
        // So a shell says that a signal ended what it ran.
        Report::failed(remarked(error, limits, (code > 128).then(|| code - 128)))
    };
    Report { exit_code: Some(code), ..report }
}

fn remarked(error: Text, limits: &Limits, signal: Option<i32>) -> Text {
    match signal.and_then(|signal| limited::remark(limits, signal)) {
        Some(remark) => {
            Text::new(format!("{}：{}", error.zh, remark.zh), format!("{}: {}", error.en, remark.en))
        }
        None => error,
    }
}

/// Why a command could not be started, in words. The system's error does not say whether it means
/// the shell or the directory, so both are looked at.
fn not_started(action: &CommandAction, error: &io::Error) -> Text {
    if let Some(dir) = &action.workdir {
        match std::fs::metadata(dir) {
            Err(cause) => {
                return Text::new(
                    format!("工作目录 {dir} 无法使用：{cause}"),
                    format!("the working directory {dir} cannot be used: {cause}"),
                );
            }
            Ok(found) if !found.is_dir() => {
                return Text::new(
                    format!("工作目录 {dir} 不是目录"),
                    format!("the working directory {dir} is not a directory"),
                );
            }
            Ok(_) => (),
        }
    }
    let shell = process::shell_name();
    if error.kind() == io::ErrorKind::NotFound {
        return Text::new(
            format!("找不到命令解释器 {shell}：{error}"),
            format!("the shell {shell} was not found: {error}"),
        );
    }
    let place = action.workdir.as_deref().map(|dir| format!(" ({dir})")).unwrap_or_default();
    Text::new(
        format!("命令无法启动{place}：{error}"),
        format!("the command could not be started{place}: {error}"),
    )
}

/// Both ends of a command's output.
struct Pipes {
    out: Pipe<ChildStdout>,
    err: Pipe<ChildStderr>,
}

impl Pipes {
    fn of(child: &mut Child) -> Self {
        Self { out: Pipe::new(child.stdout.take()), err: Pipe::new(child.stderr.take()) }
    }

    /// Reads until both pipes are at their end.
    async fn drain(&mut self, output: &mut Output) {
        tokio::join!(self.out.drain(&mut output.stdout), self.err.drain(&mut output.stderr));
    }

    /// Reads for as long as `work` takes: a child stands still when its pipe is full.
    async fn read_during<T>(&mut self, work: impl Future<Output = T>, output: &mut Output) -> T {
        let forever = async {
            self.drain(output).await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            done = work => done,
            never = forever => match never {},
        }
    }
}

struct Pipe<R> {
    /// `None` when it is at its end.
    reader: Option<R>,
    buf: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Pipe<R> {
    fn new(reader: Option<R>) -> Self {
        Self { reader, buf: Vec::new() }
    }

    async fn drain(&mut self, sink: &mut Sink) {
        while let Some(reader) = &mut self.reader {
            self.buf.resize(READ_BUFFER, 0);
            match reader.read(&mut self.buf).await {
                Ok(n) if n > 0 => sink.push(&self.buf[..n]),
                _ => self.reader = None,
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
#[path = "command_test.rs"]
mod tests;
