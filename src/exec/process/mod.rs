//! Processes and the ways to be rid of them: the platform's shell, the process group of a command,
//! and the sweep for descendants that left it. What differs by platform is in `unix.rs` (with
//! `linux.rs` for what only /proc can answer) and `windows.rs`. It decides nothing about a run.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

pub(super) use platform::{Kill, Tree};
pub use platform::{describe_signal, kill_leftovers, shell, shell_name, signal, start_time};

/// Names the run in a child's environment. Every descendant inherits it.
pub const EXEC_ID: &str = "TJ_EXEC_ID";
/// Names the installation in a child's environment, so that two servers on a machine never take
/// each other's children for their own.
pub const INSTANCE: &str = "TJ_INSTANCE";

/// A run of a server that died: what the run record knows of its first process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    pub exec_id: String,
    pub pid: u32,
    /// As in `ChildStarted`; 0 means unknown, and then the pid proves nothing.
    pub start: u64,
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
