//! Pid files that never get a stranger killed. `job.pid` holds the bare pid, for scripts; beside it
//! `job.pid.id` holds the kernel's start time of the process and the id of the boot that this time is
//! counted from, and only a process that matches all three is ours.

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

/// One process, named for ever by pid and start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    start: u64,
}

/// What a process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Stop,
    Reload,
}

impl Process {
    /// This process.
    pub fn me() -> Self {
        let pid = std::process::id();
        Self { pid, start: start_time(pid).unwrap_or(0) }
    }

    pub fn is_alive(self) -> bool {
        start_time(self.pid).is_some_and(|start| start == self.start)
    }

    /// Signals this process and no other: the pidfd is opened first and the start time read after it.
    #[cfg(target_os = "linux")]
    pub fn tell(self, word: Word) -> anyhow::Result<()> {
        use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
        let signal = match word {
            Word::Stop => Signal::TERM,
            Word::Reload => Signal::HUP,
        };
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("no pid")?;
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
        if self.is_alive() {
            pidfd_send_signal(&pidfd, signal)
                .with_context(|| format!("process {} cannot be signalled", self.pid))?;
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    pub fn tell(self, _: Word) -> anyhow::Result<()> {
        bail!("process {} cannot be told on this platform; end it by hand", self.pid)
    }
}

/// What a pid file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    Alive(Process),
    /// The process has gone, whoever has its pid now.
    Stale(u32),
}

/// Reads a pid file and looks whether its process lives.
pub fn look(path: &Path) -> Found {
    let Ok(text) = std::fs::read_to_string(path) else { return Found::Nothing };
    let Ok(pid) = text.trim().parse() else { return Found::Stale(0) };
    let identity = std::fs::read_to_string(identity(path)).unwrap_or_default();
    let mut lines = identity.lines().map(str::trim);
    let is_of_pid = lines.next().is_some_and(|line| line.parse() == Ok(pid));
    let start = lines.next().and_then(|line| line.parse().ok()).filter(|_| is_of_pid);
    let of_this_boot = lines.next().unwrap_or_default() == boot_id();
    match start.map(|start| Process { pid, start }) {
        Some(process) if of_this_boot && process.is_alive() => Found::Alive(process),
        _ => Found::Stale(pid),
    }
}

/// The process of a pid file, when it lives.
pub fn alive(path: &Path) -> Option<Process> {
    match look(path) {
        Found::Alive(process) => Some(process),
        Found::Nothing | Found::Stale(_) => None,
    }
}

/// Removes a stale file and says so; refuses when the process lives.
pub fn refuse_second(path: &Path, what: &str, end_it: &str) -> anyhow::Result<()> {
    match look(path) {
        Found::Alive(p) if p != Process::me() => {
            bail!("{what} is already running, pid {}; `{end_it}` ends it", p.pid)
        }
        Found::Stale(pid) => {
            eprintln!("{}: stale, process {pid} is not ours or has gone; cleaned up", path.display());
            remove(path).with_context(|| format!("{} cannot be removed", path.display()))
        }
        Found::Alive(_) | Found::Nothing => Ok(()),
    }
}

/// A pid file of this process; it goes when this is dropped.
#[derive(Debug)]
pub struct PidFile(PathBuf);

impl PidFile {
    pub fn write(path: PathBuf) -> anyhow::Result<Self> {
        let Process { pid, start } = Process::me();
        // The identity first: a pid without one is nobody's.
        write_whole(&identity(&path), &format!("{pid}\n{start}\n{}\n", boot_id()))?;
        write_whole(&path, &format!("{pid}\n"))?;
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if alive(&self.0) == Some(Process::me()) {
            let _ = remove(&self.0);
        }
    }
}

fn identity(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".id");
    PathBuf::from(name)
}

fn remove(path: &Path) -> std::io::Result<()> {
    let _ = std::fs::remove_file(identity(path));
    std::fs::remove_file(path)
}

/// Nobody ever reads half of it.
pub fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    path.parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(&draft, text))
        .and_then(|()| std::fs::rename(&draft, path))
        .with_context(|| format!("{} cannot be written; choose another RUNTIME_DIR", path.display()))
}

/// The kernel's name for this boot: pids and start times repeat after the next. Empty where it has none.
fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// Field 22 of /proc/PID/stat; `None` for a zombie, which is dead: only its parent has not looked yet.
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so the fields are counted from its end.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(22 - 4)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_pid_start_time_and_boot_together_name_a_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pid");
        assert_eq!(look(&path), Found::Nothing);
        let me = Process::me();
        std::fs::write(&path, format!("{}\n", me.pid)).unwrap();
        assert_eq!(look(&path), Found::Stale(me.pid), "a pid alone is nobody's");
        for (text, found) in [
            (format!("{}\n{}\n{}\n", me.pid, me.start, boot_id()), Found::Alive(me)),
            (format!("{}\n{}\n{}\n", me.pid, me.start + 1, boot_id()), Found::Stale(me.pid)),
            (format!("{}\n{}\n{}\n", me.pid + 1, me.start, boot_id()), Found::Stale(me.pid)),
            (format!("{}\n{}\nanother-boot\n", me.pid, me.start), Found::Stale(me.pid)),
            (format!("{}\n{}\n", me.pid, me.start), Found::Stale(me.pid)),
            (String::new(), Found::Stale(me.pid)),
        ] {
            std::fs::write(identity(&path), text).unwrap();
            assert_eq!(look(&path), found);
        }
        for text in ["nonsense", ""] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(look(&path), Found::Stale(0));
        }
        let file = PidFile::write(path.clone()).unwrap();
        assert_eq!(look(&path), Found::Alive(me));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", me.pid), "kill $(cat job.pid) must hit nobody else");
        drop(file);
        assert_eq!((look(&path), identity(&path).exists()), (Found::Nothing, false));
    }
}
