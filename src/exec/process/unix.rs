//! Unix: `/bin/sh`, process groups and signals. Outside Linux there is no sweep for processes that
//! left their group, and no start time, so nothing is killed after a crash.

#[cfg(target_os = "linux")]
use super::linux;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// How long a kill waits for the look at the tree, on a machine that is too busy for it.
#[cfg(target_os = "linux")]
const LOOK: std::time::Duration = std::time::Duration::from_millis(600);
/// How often, and how far apart, what outlived its run's end is looked for: 10 s in all.
#[cfg(target_os = "linux")]
const HUNTS: u32 = 50;
#[cfg(target_os = "linux")]
const BETWEEN_HUNTS: std::time::Duration = std::time::Duration::from_millis(200);

/// How a process is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    Ask,
    Force,
}

impl Kill {
    pub(super) fn signal(self) -> Signal {
        match self {
            Self::Ask => Signal::TERM,
            Self::Force => Signal::KILL,
        }
    }
}

/// The platform's shell with `line` to run, as the leader of a new process group.
///
/// The shell is named by its path: with a bare name and a `PATH` of the job's own, std would give up
/// posix_spawn for fork, whose cost grows with the server's memory. `pre_exec`, uid and gid would too.
pub fn shell(line: &str) -> Command {
    let mut command = Command::new(shell_name());
    command.arg("-c").arg(line).process_group(0);
    command
}

pub fn shell_name() -> &'static str {
    "/bin/sh"
}

/// The kernel's start time of a process: with the pid it names one process for ever. `None` when
/// there is no such process or the platform does not tell.
pub fn start_time(pid: u32) -> Option<u64> {
    #[cfg(target_os = "linux")]
    return linux::start_time(pid);
    #[cfg(not(target_os = "linux"))]
    return {
        let _ = pid;
        None
    };
}

/// Ends what a dead server's runs left behind and returns how many processes that were. Found by the
/// markers in their environment, by pid and start time (never by pid alone), by their group and by
/// descent; each has 2 s between TERM and KILL. Blocking. Does nothing outside Linux.
pub fn kill_leftovers(instance: &str, runs: &[super::Leftover]) -> usize {
    #[cfg(target_os = "linux")]
    return linux::kill_leftovers(instance, runs);
    #[cfg(not(target_os = "linux"))]
    return {
        let _ = (instance, runs);
        0
    };
}

/// The number of the signal that ended a process.
pub fn signal(status: std::process::ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

/// The signal that ended a process, with its number.
pub fn describe_signal(status: std::process::ExitStatus) -> Option<String> {
    const NAMES: [(Signal, &str); 16] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
    ];
    let number = signal(status)?;
    let name = NAMES.iter().find(|(s, _)| s.as_raw() == number).map(|(_, name)| *name);
    Some(name.map_or_else(|| format!("signal {number}"), |name| format!("{name} ({number})")))
}

/// The processes of one command. The leader must not be reaped while the tree is in use: its pid,
/// also as a zombie, is what keeps the number of the group from being given to a stranger.
pub struct Tree {
    pid: u32,
    #[cfg(target_os = "linux")]
    hunt: std::sync::Mutex<linux::Hunt>,
    /// Cleared when the leader is reaped or the tree is gone.
    armed: bool,
}

impl Tree {
    /// The tree of a child that leads a group of its own. Processes in it carry one of the `runs` as their
    /// `TJ_EXEC_ID`.
    pub fn of(child: &Child, runs: &[&str], instance: &str) -> Option<Self> {
        let pid = child.id()?;
        #[cfg(not(target_os = "linux"))]
        let _ = (runs, instance);
        Some(Self {
            pid,
            #[cfg(target_os = "linux")]
            hunt: std::sync::Mutex::new(linux::Hunt::of_child(instance, runs, pid)),
            armed: true,
        })
    }

    /// The leader was reaped: its number may be anybody's from now on.
    pub fn disarm(&mut self) {
        self.armed = false;
    }

    /// Signals the group and everything that left it; returns whether something was still alive.
    ///
    /// The look at the tree comes first: a parent that dies of the signal takes with it the proof
    /// that a descendant outside the group is one.
    #[cfg(target_os = "linux")]
    pub async fn kill(&self, kill: Kill) -> bool {
        let found = tokio::time::timeout(LOOK, self.find()).await;
        self.kill_group(kill);
        let Ok(found) = found else { return true };
        // Members of the group got theirs with the group; a second TERM would enter a handler that
        // cleans up again.
        for one in found.iter().filter(|one| one.group != self.pid) {
            one.strike(kill.signal());
        }
        !found.is_empty()
    }

    /// Goes on killing what is found for some seconds, apart from the run. The leader may be reaped meanwhile, so
    /// nothing is known by its group any more.
    #[cfg(target_os = "linux")]
    pub fn hunt_on(&self) {
        let mut hunt = self.hunt().without_groups();
        tokio::spawn(async move {
            for _ in 0..HUNTS {
                tokio::time::sleep(BETWEEN_HUNTS).await;
                let found = hunt.find(&*linux::LOOKS.look().await);
                for one in &found {
                    one.strike(Signal::KILL);
                }
                if found.is_empty() {
                    break;
                }
            }
        });
    }

    #[cfg(not(target_os = "linux"))]
    pub fn hunt_on(&self) {}

    #[cfg(target_os = "linux")]
    fn hunt(&self) -> std::sync::MutexGuard<'_, linux::Hunt> {
        self.hunt.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether a process of the tree is alive.
    #[cfg(target_os = "linux")]
    pub async fn is_alive(&self) -> bool {
        !self.find().await.is_empty()
    }

    #[cfg(target_os = "linux")]
    async fn find(&self) -> Vec<linux::Found> {
        let census = linux::LOOKS.look().await;
        self.hunt().find(&census)
    }

    #[cfg(not(target_os = "linux"))]
    pub async fn kill(&self, kill: Kill) -> bool {
        let alive = self.is_alive().await;
        self.kill_group(kill);
        alive
    }

    #[cfg(not(target_os = "linux"))]
    pub async fn is_alive(&self) -> bool {
        self.group().is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok())
    }

    /// Stops the whole group where it stands, so that one that forks without end grows no further while
    /// it is looked at. It is to be killed next.
    pub fn freeze(&self) {
        if let Some(group) = self.group().filter(|_| self.armed) {
            let _ = kill_process_group(group, Signal::STOP);
        }
    }

    fn kill_group(&self, kill: Kill) {
        if let Some(group) = self.group().filter(|_| self.armed) {
            // The one error there is to expect is that nobody is left, which is what is wanted.
            let _ = kill_process_group(group, kill.signal());
        }
    }

    fn group(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.pid).ok()?)
    }
}

/// The future of a run may be dropped at any await; its processes must not outlive it.
impl Drop for Tree {
    fn drop(&mut self) {
        self.kill_group(Kill::Force);
    }
}
