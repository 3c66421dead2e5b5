//! Linux: finds the processes of a run in /proc, also those that left its group by setsid or a
//! double fork, and signals each through a pidfd after a second look, so that a pid that was given
//! to a stranger in between is never hit.

use super::unix::Kill;
use super::{EXEC_ID, INSTANCE, Leftover};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// Between TERM and KILL after a crash; recovery has 20 s in all.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);
const ROUND: Duration = Duration::from_millis(20);
/// KILL rounds after a crash: a tree that forks faster than it dies must not hold up the start.
const KILL_ROUNDS: u32 = 100;

/// What /proc/<pid>/stat tells.
#[derive(Clone, Copy, Debug)]
struct Stat {
    state: u8,
    parent: u32,
    group: u32,
    start: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        // The name, field 2, may itself hold spaces and brackets: the fields count from the last one.
        let end = stat.iter().rposition(|b| *b == b')')?;
        let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
        let mut fields = rest.split(' ');
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let start = fields.nth(22 - 6)?.parse().ok()?;
        Some(Self { state, parent, group, start })
    }

    fn is_alive(self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

pub fn start_time(pid: u32) -> Option<u64> {
    Stat::read(pid).map(|stat| stat.start)
}

/// A living process that is ours.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pid: u32,
    start: u64,
    pub group: u32,
}

impl Found {
    /// Signals this process and no other: the pidfd is opened first and the start time read after
    /// it, so that when both agree the pidfd cannot belong to anyone else.
    pub fn strike(&self, signal: Signal) {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return };
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        if start_time(self.pid) == Some(self.start) {
            // It may have ended by itself in the meantime.
            let _ = pidfd_send_signal(&pidfd, signal);
        }
    }
}

/// All processes but this one at one time, and what their environments say of us.
#[derive(Debug, Default)]
pub struct Census {
    all: HashMap<u32, Stat>,
    /// The marks that a process carries. The environment of another user's process cannot be read, and a process
    /// may have overwritten its own: descent and group find those.
    marks: HashMap<u32, Vec<Vec<u8>>>,
}

impl Census {
    fn take() -> Self {
        let Ok(entries) = std::fs::read_dir("/proc") else { return Self::default() };
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let (mut census, me) = (Self::default(), std::process::id());
        for pid in pids.filter(|pid| *pid != me) {
            let Some(stat) = Stat::read(pid) else { continue };
            census.all.insert(pid, stat);
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let is_mark =
                |entry: &&[u8]| [EXEC_ID, INSTANCE].iter().any(|key| entry.starts_with(key.as_bytes()));
            let marks: Vec<_> = environ.split(|b| *b == 0).filter(is_mark).map(<[u8]>::to_vec).collect();
            if !marks.is_empty() {
                census.marks.insert(pid, marks);
            }
        }
        census
    }

    #[cfg(test)]
    pub fn has(&self, pid: u32) -> bool {
        self.all.contains_key(&pid)
    }
}

/// Looks at all processes for whoever wants to know. A look reads all of /proc, so those who ask while one is made
/// share the next: many trees that end at once cost no more looks than one.
#[derive(Default)]
pub struct Looks {
    begun: AtomicU64,
    /// The last one, and how many had begun with it.
    last: Mutex<(u64, Arc<Census>)>,
}

/// There is one /proc.
pub static LOOKS: std::sync::LazyLock<Looks> = std::sync::LazyLock::new(Looks::default);

impl Looks {
    /// All processes at a time after the call.
    pub async fn look(&self) -> Arc<Census> {
        let before = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if last.0 <= before {
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            // It takes milliseconds on a busy machine: not on a worker of the runtime.
            let census = tokio::task::spawn_blocking(Census::take).await.unwrap_or_default();
            *last = (number, Arc::new(census));
        }
        last.1.clone()
    }
}

/// The search for the processes of some runs, over several rounds.
#[derive(Debug)]
pub struct Hunt {
    instance: Vec<u8>,
    runs: HashSet<Vec<u8>>,
    /// Groups that are ours for certain, while our own unreaped child is their leader.
    groups: HashSet<u32>,
    /// Processes that proved to be ours, by pid and start time.
    known: HashMap<u32, u64>,
    /// Pids of the dead server: their groups are ours as soon as a member proves to be.
    suspects: HashSet<u32>,
}

impl Hunt {
    /// Of a child of this process that leads a group and is not reaped during the hunt.
    pub fn of_child(instance: &str, runs: &[&str], pid: u32) -> Self {
        Self { groups: HashSet::from([pid]), ..Self::of_runs(instance, runs.iter().copied()) }
    }

    fn of_runs<'a>(instance: &str, runs: impl IntoIterator<Item = &'a str>) -> Self {
        let marker = |key: &str, value: &str| format!("{key}={value}").into_bytes();
        Self {
            instance: marker(INSTANCE, instance),
            runs: runs.into_iter().map(|id| marker(EXEC_ID, id)).collect(),
            groups: HashSet::new(),
            known: HashMap::new(),
            suspects: HashSet::new(),
        }
    }

    /// What is known so far, and no group: for after their leader was reaped.
    pub fn without_groups(&self) -> Self {
        Self {
            instance: self.instance.clone(),
            runs: self.runs.clone(),
            groups: HashSet::new(),
            known: self.known.clone(),
            suspects: HashSet::new(),
        }
    }

    /// Our living processes. Each is remembered, so that it is still known after its parent died.
    pub fn find(&mut self, census: &Census) -> Vec<Found> {
        let all = &census.all;
        self.known.retain(|pid, start| all.get(pid).is_some_and(|stat| stat.start == *start));
        for (pid, stat) in all {
            if self.groups.contains(&stat.group)
                || census.marks.get(pid).is_some_and(|marks| self.owns(marks))
            {
                self.known.insert(*pid, stat.start);
            }
        }
        // A child of ours is ours, and so is the group of a dead run when a member is: until nothing
        // new is found, for a grandchild may be seen before its parent.
        loop {
            let before = self.known.len();
            let groups: HashSet<u32> =
                self.known.keys().filter_map(|pid| all.get(pid)).map(|stat| stat.group).collect();
            for (pid, stat) in all {
                let kin = self.known.contains_key(&stat.parent);
                let peer = self.suspects.contains(&stat.group) && groups.contains(&stat.group);
                if kin || peer {
                    self.known.insert(*pid, stat.start);
                }
            }
            if self.known.len() == before {
                break;
            }
        }
        let known = self.known.keys().filter_map(|pid| Some((*pid, all.get(pid)?)));
        let alive = known.filter(|(_, stat)| stat.is_alive());
        alive.map(|(pid, stat)| Found { pid, start: stat.start, group: stat.group }).collect()
    }

    fn owns(&self, marks: &[Vec<u8>]) -> bool {
        marks.contains(&self.instance) && marks.iter().any(|mark| self.runs.contains(mark))
    }
}

/// See `unix::kill_leftovers`.
pub fn kill_leftovers(instance: &str, runs: &[Leftover]) -> usize {
    if runs.is_empty() {
        return 0;
    }
    let mut hunt = Hunt::of_runs(instance, runs.iter().map(|run| run.exec_id.as_str()));
    for run in runs.iter().filter(|run| run.pid > 1) {
        hunt.suspects.insert(run.pid);
        if run.start != 0 {
            // Forgotten in the first round when the process with this pid started at another time.
            hunt.known.insert(run.pid, run.start);
        }
    }
    let mut seen = HashSet::new();
    let mut round = |signal| {
        let found = hunt.find(&Census::take());
        for one in &found {
            // One TERM each: a handler that cleans up must not be entered again.
            if seen.insert((one.pid, one.start)) || signal == Signal::KILL {
                one.strike(signal);
            }
        }
        found.is_empty()
    };
    let grace = LEFTOVER_GRACE.as_millis() / ROUND.as_millis();
    for _ in 0..grace {
        if round(Kill::Ask.signal()) {
            return seen.len();
        }
        std::thread::sleep(ROUND);
    }
    for _ in 0..KILL_ROUNDS {
        if round(Kill::Force.signal()) {
            break;
        }
        std::thread::sleep(ROUND);
    }
    seen.len()
}
