//! Processes: pid files, the supervisor that restarts a dead server, and the commands that talk to a
//! running one. It knows nothing of jobs.

pub mod background;
pub mod console;
mod daemon;
pub mod init;
pub mod notify;
pub mod pidfile;
mod policy;
mod server_file;

use anyhow::{Context, bail};
use pidfile::{Process, Word};
use std::path::PathBuf;
use std::time::Duration;

pub use daemon::{RESTARTS, supervise};
pub use server_file::{Health, ServerFile};

/// The files of a running server, all in the runtime folder.
#[derive(Clone, Debug)]
pub struct Paths(pub PathBuf);

impl Paths {
    pub fn job_pid(&self) -> PathBuf {
        self.0.join("job.pid")
    }
    pub fn daemon_pid(&self) -> PathBuf {
        self.0.join("daemon.pid")
    }
    pub fn server_file(&self) -> PathBuf {
        self.0.join("server.json")
    }
}

/// Between two looks at a process that is ending.
const LOOK: Duration = Duration::from_millis(50);

/// Ends the server; its supervisor, if any, does not restart a clean exit. With `all` the supervisor too.
pub fn stop(paths: &Paths, all: bool) -> anyhow::Result<()> {
    let server = pidfile::alive(&paths.job_pid());
    let supervisor = pidfile::alive(&paths.daemon_pid());
    let told = match (server, supervisor) {
        (None, None) => {
            println!("not running");
            return Ok(());
        }
        (_, Some(supervisor)) if all => supervisor,
        (Some(server), _) => server,
        (None, Some(p)) => bail!("no server runs, but supervisor {} may start one: use stop -f", p.pid),
    };
    told.tell(Word::Stop)?;
    if (0..20).all(|_| {
        std::thread::sleep(LOOK);
        told.is_alive()
    }) {
        println!("waiting for runs to end; stop again to hurry them");
    }
    for process in [server, supervisor].into_iter().flatten() {
        wait_for_end(process)?;
        println!("stopped, pid {}", process.pid);
    }
    Ok(())
}

fn wait_for_end(process: Process) -> anyhow::Result<()> {
    for _ in 0..1_200 {
        if !process.is_alive() {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
    bail!("process {} still waits for its runs; stop again to hurry it", process.pid)
}

/// Makes the server read its settings again.
pub fn reload(paths: &Paths) -> anyhow::Result<()> {
    let server = pidfile::alive(&paths.job_pid()).context("not running")?;
    server.tell(Word::Reload)?;
    println!("told, pid {}; its log says what changed and what waits for a restart", server.pid);
    Ok(())
}
