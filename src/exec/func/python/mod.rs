//! The user's own functions, in Python: hot, and outside the server's process. This file owns the way
//! from a folder of files to a generation in force, and from a call to its report. `catalog` knows the
//! files and names, `scan` asks Python what the files hold, `pool` and `worker` run calls, `venv` makes
//! the environment of a requirements.txt, `protocol` is what is said over the wire.

pub mod catalog;
#[cfg(not(unix))]
mod elsewhere;
mod interpreter;
#[cfg(unix)]
mod pool;
#[cfg(unix)]
mod protocol;
#[cfg(unix)]
mod scan;
mod venv;
#[cfg(unix)]
mod worker;

#[cfg(not(unix))]
use elsewhere::{pool, scan};

use crate::clock::Clock;
use crate::domain::Text;
use crate::domain::action::FuncAction;
use crate::domain::run::{FuncReport, Outcome, Report};
use crate::exec::environment::Environment;
use crate::exec::output::Output;
use crate::exec::{Context, process};
use catalog::{Failure, Fingerprint, Function};
use interpreter::Interpreter;
use pool::{Ended, Pool};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks at the folder.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Absolute; empty: there are no user functions.
    pub dir: PathBuf,
    pub watch: bool,
    /// The interpreter, by name or path.
    pub program: String,
    pub workers: usize,
    /// Bytes of address space of each process; 0: no limit.
    pub memory: u64,
    /// Of each file.
    pub import_timeout: Duration,
    /// Where virtual environments are made, absolute.
    pub environments: PathBuf,
    /// What the processes see of the server's variables.
    pub environment: Environment,
}

/// What a reload did.
#[derive(Clone, Debug, Default)]
pub struct Reloaded {
    /// The functions of the files that load now.
    pub loaded: Vec<String>,
    /// Functions that there were before.
    pub removed: Vec<String>,
    pub failed: Vec<Failure>,
}

/// How Python stands.
#[derive(Clone, Debug)]
pub struct Status {
    /// The version, or why there is none.
    pub version: Result<String, Text>,
    /// `making`, `ready` or `failed`, when there is a requirements.txt.
    pub environment: Option<&'static str>,
}

/// Why a reload happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// At the start, by a person, or because a file changed: what failed is tried again.
    Asked,
    /// A virtual environment has been made, or could not be.
    Built,
}

#[derive(Debug)]
pub struct Python {
    settings: Settings,
    watch: AtomicBool,
    pool: Pool,
    interpreter: tokio::sync::Mutex<Option<Result<Interpreter, Text>>>,
    environments: Arc<venv::Environments>,
    /// One reload at a time; the folder as the last one saw it.
    seen: tokio::sync::Mutex<Option<Fingerprint>>,
    failures: Mutex<Vec<Failure>>,
    /// Whether the first load is over: calls wait for it.
    is_loaded: watch::Sender<bool>,
}

impl Python {
    pub fn new(settings: Settings) -> Self {
        Self {
            watch: AtomicBool::new(settings.watch),
            pool: Pool::new(settings.workers),
            interpreter: tokio::sync::Mutex::default(),
            environments: Arc::new(venv::Environments::new(settings.environments.clone())),
            seen: tokio::sync::Mutex::default(),
            failures: Mutex::default(),
            is_loaded: watch::channel(settings.dir.as_os_str().is_empty()).0,
            settings,
        }
    }

    /// Loads the functions, and again whenever the folder changes or an environment is ready. Endless.
    pub async fn tend(&self, clock: &Clock) {
        self.reload(Why::Asked).await;
        loop {
            let why = tokio::select! {
                () = self.environments.built.notified() => Why::Built,
                () = self.change(clock) => Why::Asked,
            };
            self.reload(why).await;
        }
    }

    pub fn set_watch(&self, watch: bool) {
        self.watch.store(watch, Ordering::Relaxed);
    }

    /// Reads the folder and puts what loads in force. Calls in flight and waiting are not disturbed.
    pub async fn reload(&self, why: Why) -> Reloaded {
        let mut seen = self.seen.lock().await;
        let dir = self.settings.dir.clone();
        let folder = match tokio::task::spawn_blocking(move || catalog::read(&dir)).await {
            Ok(Ok(folder)) => folder,
            Ok(Err(failure)) => return self.unchanged(failure),
            Err(e) => return self.unchanged(Failure::new("", None, Text::new(e.to_string(), e.to_string()))),
        };
        let before = self.pool.current();
        let mut failed = folder.failures;
        let mut loaded = Vec::new();
        let mut python = before.python.clone();
        if !folder.sources.is_empty() {
            match self.interpreter(why == Why::Asked).await {
                Ok(base) => {
                    let requirements = folder.requirements.as_deref();
                    let retry = why == Why::Asked;
                    let (chosen, failure) =
                        self.environments.choose(&base, &self.settings.dir, requirements, retry);
                    python = chosen;
                    // A file that hangs does not hold up the others.
                    let so_far = |good| {
                        self.pool.install(before.next(python.clone(), &folder.present, good).0);
                        // Calls of what is there now need not wait any longer.
                        self.is_loaded.send_modify(|_| ());
                    };
                    let (good, bad) = scan::scan(&python, &folder.sources, &self.settings, so_far).await;
                    loaded = good;
                    failed.extend(failure.into_iter().chain(bad));
                }
                Err(reason) => {
                    failed.extend(folder.sources.iter().map(|s| Failure::new(&s.file, None, reason.clone())));
                }
            }
        }
        let fresh: Vec<String> = loaded.iter().map(|one| one.source.file.clone()).collect();
        let (next, taken) = before.next(python, &folder.present, loaded);
        failed.extend(taken);
        failed.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        let name = |function: &&Function| function.name.clone();
        let done = Reloaded {
            loaded: next.functions().iter().filter(|f| fresh.contains(&f.file)).map(name).collect(),
            removed: before
                .functions()
                .iter()
                .filter(|f| next.find(&f.name).is_none_or(|found| found.name != f.name))
                .map(name)
                .collect(),
            failed: failed.clone(),
        };
        self.pool.install(next);
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner) = failed;
        *seen = Some(folder.fingerprint);
        self.is_loaded.send_replace(true);
        log(&done);
        done
    }

    /// The folder cannot be read: everything stays as it is.
    fn unchanged(&self, failure: Failure) -> Reloaded {
        let done = Reloaded { failed: vec![failure], ..Reloaded::default() };
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner) = done.failed.clone();
        self.is_loaded.send_replace(true);
        log(&done);
        done
    }

    pub fn functions(&self) -> Vec<Function> {
        self.pool.current().functions().into_iter().cloned().collect()
    }

    /// The function of this name with its code, of which there is at most `most` bytes.
    pub fn find(&self, name: &str, most: usize) -> Option<(Function, Option<String>)> {
        let current = self.pool.current();
        let function = current.find(name)?;
        Some((function.clone(), current.code(function, most)))
    }

    pub fn failures(&self) -> Vec<Failure> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub async fn status(&self) -> Status {
        let version = self.interpreter(false).await.map(|python| python.version);
        Status { version, environment: self.environments.status() }
    }

    /// Why user functions cannot be had, when they are wanted at all.
    pub async fn reason(&self) -> Option<Text> {
        if self.settings.dir.as_os_str().is_empty() {
            return None;
        }
        self.status().await.version.err()
    }

    /// Ends every process that has no call.
    pub async fn close(&self) {
        self.environments.close();
        self.pool.close().await;
    }

    /// Calls the action's function once; what it prints goes to `output` as it comes. `None`: there is
    /// none of that name.
    pub async fn run(&self, action: &FuncAction, ctx: &Context, output: &mut Output) -> Option<Report> {
        let stopped = async {
            tokio::select! {
                biased;
                () = ctx.cancel.cancelled() => Outcome::Cancelled,
                () = tokio::time::sleep(action.timeout) => Outcome::Timeout,
            }
        };
        tokio::pin!(stopped);
        let mut is_loaded = self.is_loaded.subscribe();
        // What is there already need not wait for the rest.
        let waited = tokio::select! {
            biased;
            why = &mut stopped => Err(why),
            _ = is_loaded.wait_for(|is_loaded| *is_loaded || self.pool.current().find(&action.name).is_some()) => Ok(()),
        };
        let (ended, function) = match waited {
            Err(why) => (Ended::Waited(why), None),
            Ok(()) => {
                let generation = self.pool.current();
                let function = generation.find(&action.name)?.clone();
                let target = (generation, function.clone());
                let ended = self.pool.call(target, action, ctx, &self.settings, stopped, output).await;
                (ended, Some(function))
            }
        };
        let name = function.as_ref().map_or(&action.name, |f| &f.name).clone();
        let signature = function.map(|f| f.signature).unwrap_or_default();
        let mut report = report(ended, &signature, action);
        let result = report.result.clone().unwrap_or_default();
        report.func = Some(FuncReport { name, args: action.raw_args.clone(), result });
        Some(report)
    }

    /// The interpreter; what was found is remembered, and asked for again when it was not there.
    async fn interpreter(&self, again: bool) -> Result<Interpreter, Text> {
        if cfg!(not(unix)) {
            return Err(Text::new(
                "此平台暂不支持 Python 函数",
                "Python functions need Linux or another Unix; they are not supported on this platform",
            ));
        }
        let mut known = self.interpreter.lock().await;
        match &*known {
            Some(Ok(found)) if found.path.exists() => return Ok(found.clone()),
            Some(Err(reason)) if !again => return Err(reason.clone()),
            _ => {}
        }
        let found = interpreter::probe(&self.settings.program).await;
        *known = Some(found.clone());
        found
    }

    /// Waits until the folder looks different.
    async fn change(&self, clock: &Clock) {
        let mut due = clock.read().elapsed + LOOK_INTERVAL;
        loop {
            let reading = clock.read();
            if reading.elapsed < due {
                clock.wait_until(Some(reading.wall.plus(due - reading.elapsed))).await;
                continue;
            }
            due = reading.elapsed + LOOK_INTERVAL;
            if self.watch.load(Ordering::Relaxed) {
                let dir = self.settings.dir.clone();
                let now = tokio::task::spawn_blocking(move || catalog::look(&dir)).await;
                // A folder that cannot be looked at has not changed.
                let Ok(Ok(now)) = now else { continue };
                if self.seen.lock().await.as_ref() != Some(&now) {
                    return;
                }
            }
        }
    }
}

fn log(done: &Reloaded) {
    if !done.loaded.is_empty() || !done.removed.is_empty() {
        tracing::info!(loaded = ?done.loaded, removed = ?done.removed, "Python functions loaded");
    }
    for failure in &done.failed {
        let Failure { file, line, error } = failure;
        tracing::warn!(file, line, %error, "not loaded; if it had functions, they stay as they were");
    }
}

fn report(ended: Ended, signature: &str, action: &FuncAction) -> Report {
    match ended {
        #[cfg(unix)]
        Ended::Answer(answer) => answered(answer, signature),
        Ended::Died(status) => {
            let how = how_it_ended(status);
            let error = Text::new(
                format!("函数执行中进程终止：{}", how.zh),
                format!("the function's process ended: {}", how.en),
            );
            Report { exit_code: status.and_then(|s| s.code()), ..Report::failed(error) }
        }
        Ended::NotStarted(e) => Report::failed(Text::new(
            format!("Python 进程无法启动：{e}"),
            format!("the Python process cannot be started: {e}"),
        )),
        Ended::Waited(Outcome::Timeout) => {
            let (name, seconds) = (&action.name, action.timeout.as_secs_f64());
            let error = Text::new(
                format!(
                    "函数 {name} 等待空闲的 Python 进程超过 {seconds} 秒；可调大 functions.python_workers"
                ),
                format!(
                    "function {name} found no free Python process within {seconds} s; functions.python_workers allows more"
                ),
            );
            Report { error: Some(error), ..Report::new(Outcome::Timeout) }
        }
        Ended::Stopped(outcome) | Ended::Waited(outcome) => {
            Report { error: Some(super::interrupted(outcome, action)), ..Report::new(outcome) }
        }
    }
}

#[cfg(unix)]
fn answered(answer: protocol::Answer, signature: &str) -> Report {
    use protocol::Answer;
    match answer {
        Answer::Value { value } => {
            // PostgreSQL and many readers refuse a NUL.
            let value = value.replace('\0', "\u{fffd}");
            Report { result: Some(value), ..Report::new(Outcome::Success) }
        }
        Answer::Raised { error, file: Some(file), line: Some(line), .. } => Report::failed(Text::new(
            format!("{error}（{file} 第 {line} 行）"),
            format!("{error} ({file}, line {line})"),
        )),
        Answer::Raised { error, .. } => Report::failed(Text::new(error.clone(), error)),
        Answer::Arguments { error } => Report::failed(Text::new(
            format!("参数不符：{error}；函数定义：{signature}"),
            format!("the arguments do not fit: {error}; the function is {signature}"),
        )),
        Answer::Exit { error, code } => {
            let text = Text::new(
                format!("函数调用了 sys.exit({error})"),
                format!("the function called sys.exit({error})"),
            );
            Report { exit_code: Some(code), ..Report::failed(text) }
        }
    }
}

/// The end of a process that nobody wanted to end, in words.
fn how_it_ended(status: Option<ExitStatus>) -> Text {
    let Some(status) = status else { return Text::new("原因不明", "it is not known how") };
    if let Some(code) = status.code() {
        return Text::new(format!("退出码 {code}"), format!("exit code {code}"));
    }
    let signal = process::describe_signal(status).unwrap_or_else(|| status.to_string());
    Text::new(format!("被信号 {signal} 终止"), format!("killed by {signal}"))
}
