//! Windows: `cmd /C`, and `taskkill /T` for the tree. There is no TERM, so the grace is not used: a
//! process is ended at once. A process whose parent has already gone is not found, and after a crash
//! of the server nothing is killed.

use tokio::process::{Child, Command};

/// How a process is asked to end; here both mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    Ask,
    Force,
}

/// The platform's shell with `line` to run. The line is passed as written: the quoting that Rust
/// applies to arguments is not the one that `cmd` reads.
pub fn shell(line: &str) -> Command {
    let mut command = Command::new(shell_name());
    command.arg("/C").raw_arg(line);
    command
}

pub fn shell_name() -> &'static str {
    "cmd.exe"
}

/// Not told by this platform.
pub fn start_time(_: u32) -> Option<u64> {
    None
}

/// Does nothing here: a pid alone does not prove whose process it is.
pub fn kill_leftovers(_: &str, _: &[super::Leftover]) -> usize {
    0
}

/// There are no signals here.
pub fn signal(_: std::process::ExitStatus) -> Option<i32> {
    None
}

/// There are no signals here.
pub fn describe_signal(_: std::process::ExitStatus) -> Option<String> {
    None
}

/// The processes of one command.
pub struct Tree {
    pid: u32,
}

impl Tree {
    pub fn of(child: &Child, _runs: &[&str], _instance: &str) -> Option<Self> {
        child.id().map(|pid| Self { pid })
    }

    pub fn disarm(&mut self) {}

    /// Ends the tree; nothing is known to be left afterwards.
    pub async fn kill(&self, _: Kill) -> bool {
        let pid = self.pid.to_string();
        let mut command = Command::new("taskkill.exe");
        command.args(["/T", "/F", "/PID", &pid]).kill_on_drop(true);
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        // It fails when the process has already ended, which is what is wanted.
        let _ = command.status().await;
        false
    }

    pub async fn is_alive(&self) -> bool {
        false
    }

    pub fn hunt_on(&self) {}
}
