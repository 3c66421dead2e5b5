//! The supervisor: starts the server, waits for its death, starts it again as `policy` says. It
//! passes signals on and knows nothing of jobs.

use super::pidfile::{self, PidFile};
use super::policy::{Policy, Verdict};
use super::{Health, Paths, ServerFile, notify};
use crate::clock::Clock;
use crate::config::{DaemonConfig, Flags};
use crate::private;
use crate::signals::{ReloadSignals, StopSignals};
use anyhow::{Context, bail};
use std::fs::File;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How often a starting server is looked at, to tell the service manager that it is ready.
const LOOK: Duration = Duration::from_millis(100);

/// Runs servers until one ends cleanly, the supervisor is told to stop, or it gives up.
pub async fn supervise(paths: &Paths, flags: &Flags, config: &DaemonConfig) -> anyhow::Result<()> {
    // Pid files alone leave a gap between looking and writing; two that start at once meet here.
    let _lock = lock(paths)?;
    pidfile::refuse_second(&paths.daemon_pid(), "a supervisor", "timerjobs stop -f")?;
    pidfile::refuse_second(&paths.job_pid(), "TimerJobs", "timerjobs stop")?;
    let mut signals = Signals {
        stop: StopSignals::listen().context("signals cannot be listened for")?,
        reload: ReloadSignals::listen().context("signals cannot be listened for")?,
    };
    let _pid_file = PidFile::write(paths.daemon_pid())?;
    let clock = Clock::System;
    let mut policy = Policy::new(config.restart_delay, config.max_restarts);
    loop {
        let began = clock.read().elapsed;
        let mut child = start_server(flags)?;
        let end = watch(&mut child, paths, &mut signals).await?;
        let now = clock.read().elapsed;
        let how = match end {
            End::AsTold => return Ok(()),
            End::ByItself(status) if status.success() => {
                eprintln!("supervisor: the server ended cleanly, so it is not started again");
                return Ok(());
            }
            End::ByItself(status) => status,
        };
        match policy.server_died(now, now.saturating_sub(began)) {
            Verdict::RestartAfter(delay) => {
                eprintln!("supervisor: the server died ({how}); started again in {} s", delay.as_secs());
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = signals.stop.recv() => return Ok(()),
                }
            }
            Verdict::GiveUp => {
                bail!("the server died ({how}) after {} restarts: given up", config.max_restarts)
            }
        }
    }
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
    ByItself(ExitStatus),
}

/// In a process group of its own: Ctrl-C reaches it once, through us, and not twice.
fn start_server(flags: &Flags) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe().context("the own program is not found")?);
    command.arg("start").args(flags.args());
    // The service manager listens to us alone.
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    #[cfg(unix)]
    command.process_group(0);
    command.spawn().context("the server cannot be started")
}

/// Waits for the server's end and passes signals on.
async fn watch(child: &mut Child, paths: &Paths, signals: &mut Signals) -> anyhow::Result<End> {
    let mut told = false;
    let mut ready = false;
    let answers = until_it_answers(paths, child.id());
    tokio::pin!(answers);
    let watchdog = notify::feed_watchdog();
    tokio::pin!(watchdog);
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.context("the server cannot be waited for")?;
                return Ok(if told { End::AsTold } else { End::ByItself(status) });
            }
            () = signals.stop.recv() => {
                told = true;
                notify::tell("STOPPING=1");
                pass_on(child, pidfile::Word::Stop);
            }
            () = signals.reload.recv() => pass_on(child, pidfile::Word::Reload),
            () = &mut watchdog => {}
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

/// The child has not been waited for, so its pid is still its own.
#[cfg(unix)]
fn pass_on(child: &Child, word: pidfile::Word) {
    use rustix::process::{Pid, Signal, kill_process};
    let signal = match word {
        pidfile::Word::Stop => Signal::TERM,
        pidfile::Word::Reload => Signal::HUP,
    };
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

#[cfg(not(unix))]
fn pass_on(child: &mut Child, word: pidfile::Word) {
    if word == pidfile::Word::Stop {
        let _ = child.start_kill();
    }
}
