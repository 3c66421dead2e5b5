//! The supervisor: starts the server, waits for its death, starts it again as `policy` says. It
//! passes signals on and knows nothing of jobs.

use super::pidfile::{self, PidFile};
use super::policy::{Policy, Verdict};
use super::{Health, Paths, ServerFile, background, console, notify};
use crate::clock::Clock;
use crate::config::{DaemonConfig, Flags};
use crate::private;
use crate::signals::{ReloadSignals, StopSignals};
use anyhow::{Context, bail};
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio_util::task::AbortOnDropHandle;

/// How often a starting server is looked at, to tell the service manager that it is ready.
const LOOK: Duration = Duration::from_millis(100);

/// Tells a server how often the supervisor had to start it again.
pub const RESTARTS: &str = "TIMERJOBS_RESTARTS";

/// Runs servers until one ends cleanly, the supervisor is told to stop, or it gives up.
pub async fn supervise(
    paths: &Paths,
    flags: &Flags,
    config: &DaemonConfig,
    in_background: bool,
) -> anyhow::Result<()> {
    // Pid files alone leave a gap between looking and writing; two that start at once meet here.
    let _lock = lock(paths)?;
    pidfile::refuse_second(&paths.daemon_pid(), "a supervisor", "timerjobs stop -f")?;
    pidfile::refuse_second(&paths.job_pid(), "TimerJobs", "timerjobs stop")?;
    let mut signals = Signals {
        stop: StopSignals::listen().context("signals cannot be listened for")?,
        reload: ReloadSignals::listen().context("signals cannot be listened for")?,
    };
    let _pid_file = PidFile::write(paths.daemon_pid())?;
    // Asked once: of a program that was replaced the system names the old file, which has gone.
    let program = std::env::current_exe().context("the own program is not found")?;
    // It tells of this process, so it goes on while no server runs.
    let _watchdog = AbortOnDropHandle::new(tokio::spawn(notify::feed_watchdog()));
    let clock = Clock::System;
    let mut policy = Policy::new(config.restart_delay, config.max_restarts);
    for restarts in 0_u32.. {
        let began = clock.read().elapsed;
        if in_background {
            // A console that cannot be shortened is no reason to have no server.
            let _ = console::shorten(&console::path(paths));
        }
        let end = match start_server(&program, flags, in_background, restarts) {
            Ok(mut child) => watch(&mut child, paths, &mut signals).await?,
            Err(e) => End::ByItself(Err(e)),
        };
        let now = clock.read().elapsed;
        let how = match end {
            End::AsTold => return Ok(()),
            End::ByItself(Ok(status)) if status.success() => {
                eprintln!("supervisor: the server ended cleanly, so it is not started again");
                return Ok(());
            }
            End::ByItself(Ok(status)) => format!("the server died ({status})"),
            End::ByItself(Err(e)) => format!("the server cannot be started ({e})"),
        };
        match policy.server_died(now, now.saturating_sub(began)) {
            Verdict::RestartAfter(delay) => {
                eprintln!("supervisor: {how}; started again in {} s", delay.as_secs());
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = signals.stop.recv() => return Ok(()),
                }
            }
            Verdict::GiveUp => {
                bail!("{how} after {} restarts: given up", config.max_restarts)
            }
        }
    }
    Ok(())
}

/// One supervisor a runtime folder; held as long as the file is open.
fn lock(paths: &Paths) -> anyhow::Result<File> {
    let path = paths.0.join("daemon.lock");
    std::fs::create_dir_all(&paths.0)
        .and_then(|()| private::lock(&path))
        .with_context(|| format!("{} cannot be locked; choose another RUNTIME_DIR", path.display()))?
        .with_context(|| {
            format!("a supervisor is already running on {}; `timerjobs stop -f` ends it", paths.0.display())
        })
}

struct Signals {
    stop: StopSignals,
    reload: ReloadSignals,
}

enum End {
    AsTold,
    /// Also a server that did not begin.
    ByItself(io::Result<ExitStatus>),
}

/// In a process group of its own: Ctrl-C reaches it once, through us, and not twice.
fn start_server(program: &Path, flags: &Flags, in_background: bool, restarts: u32) -> io::Result<Child> {
    let mut command = Command::new(program);
    if restarts > 0 {
        command.env(RESTARTS, restarts.to_string());
    }
    command.arg("start").args(in_background.then_some(background::FLAG)).args(flags.args());
    // The service manager listens to us alone.
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    #[cfg(unix)]
    command.process_group(0);
    command.spawn()
}

/// Waits for the server's end and passes signals on.
async fn watch(child: &mut Child, paths: &Paths, signals: &mut Signals) -> anyhow::Result<End> {
    let mut told = false;
    let mut ready = false;
    let answers = until_it_answers(paths, child.id());
    tokio::pin!(answers);
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.context("the server cannot be waited for")?;
                return Ok(if told { End::AsTold } else { End::ByItself(Ok(status)) });
            }
            () = signals.stop.recv() => {
                told = true;
                notify::tell("STOPPING=1");
                pass_on(child, pidfile::Word::Stop);
            }
            () = signals.reload.recv() => pass_on(child, pidfile::Word::Reload),
            () = &mut answers, if !ready => {
                ready = true;
                notify::tell("READY=1");
            }
        }
    }
}

/// Waits until the server with this pid serves; one that only listens is not ready yet.
async fn until_it_answers(paths: &Paths, pid: Option<u32>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(file) = ServerFile::read(&paths.server_file()).filter(|file| Some(file.pid) == pid) else {
            continue;
        };
        let health = tokio::task::spawn_blocking(move || file.health()).await;
        if matches!(health, Ok(Health::Well | Health::Closed)) {
            return;
        }
    }
}

#[cfg(unix)]
fn pass_on(child: &Child, word: pidfile::Word) {
    if let Some(pid) = child.id() {
        tell(pid, word);
    }
}

/// Signals a child that has not been waited for, so its pid is still its own.
#[cfg(unix)]
pub(super) fn tell(pid: u32, word: pidfile::Word) {
    use rustix::process::{Pid, Signal, kill_process};
    let signal = match word {
        pidfile::Word::Stop => Signal::TERM,
        pidfile::Word::Reload => Signal::HUP,
    };
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

#[cfg(not(unix))]
fn pass_on(child: &mut Child, word: pidfile::Word) {
    if word == pidfile::Word::Stop {
        let _ = child.start_kill();
    }
}
