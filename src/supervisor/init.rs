//! The first process of a container. The kernel makes it the parent of every process whose own parent
//! has gone, and only its parent takes a dead process away. So as process 1 we run the program once
//! more as a child, pass signals on and take away what dies; a server that waits for its own children
//! beside strangers would take their exit codes from itself.

use crate::config::Flags;
use std::process::ExitCode;

/// Whether this process must be such a first process.
pub fn is_needed() -> bool {
    cfg!(unix) && std::process::id() == 1
}

#[cfg(not(unix))]
pub async fn run(_: &Flags, _: bool) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this platform has no process 1")
}

/// Runs the server or its supervisor as a child, to its end, and ends as it did.
#[cfg(unix)]
pub async fn run(flags: &Flags, supervised: bool) -> anyhow::Result<ExitCode> {
    use super::pidfile::Word;
    use crate::signals::{ReloadSignals, StopSignals};
    use anyhow::Context;
    use std::os::unix::process::CommandExt;
    use tokio::signal::unix::{SignalKind, signal};

    let deaf = "signals cannot be listened for";
    let mut deaths = signal(SignalKind::child()).context(deaf)?;
    let mut stop = StopSignals::listen().context(deaf)?;
    let mut reload = ReloadSignals::listen().context(deaf)?;
    let mut command =
        std::process::Command::new(std::env::current_exe().context("the own program is not found")?);
    command.arg("start").args(supervised.then_some("-f")).args(flags.args());
    // A group of its own: Ctrl-C reaches it once, through us, and not twice.
    let child = command.process_group(0).spawn().context("the program cannot be started")?.id();
    loop {
        tokio::select! {
            _ = deaths.recv() => {
                if let Some(code) = take_away(child)? {
                    return Ok(code);
                }
            }
            () = stop.recv() => super::daemon::tell(child, Word::Stop),
            () = reload.recv() => super::daemon::tell(child, Word::Reload),
        }
    }
}

/// Takes all dead children away; gives the exit code once `child` is among them.
#[cfg(unix)]
fn take_away(child: u32) -> anyhow::Result<Option<ExitCode>> {
    use rustix::io::Errno;
    use rustix::process::{WaitOptions, wait};
    loop {
        let (pid, status) = match wait(WaitOptions::NOHANG) {
            Ok(Some(dead)) => dead,
            Ok(None) | Err(Errno::CHILD) => return Ok(None),
            Err(Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        };
        if u32::try_from(pid.as_raw_nonzero().get()) == Ok(child) {
            // As a shell says it.
            let code = status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal));
            return Ok(Some(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))));
        }
    }
}
