use super::super::tests::{SOON, stopwatch};
use super::*;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Processes that a dead server might have left, with the pids that they have told. They are this
/// test's children, so that a killed one stays a zombie, which counts as dead.
struct Orphans {
    leader: Child,
    pids: Vec<u32>,
}

impl Orphans {
    /// Starts `line` as the leader of a group and waits until it has told `count` pids.
    fn start(line: &str, marks: &[(&str, &str)], count: usize) -> Self {
        let mut leader = Command::new("/bin/sh")
            .args(["-c", line])
            .envs(marks.iter().copied())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh");
        let out = BufReader::new(leader.stdout.take().expect("its output"));
        let told = out.lines().take(count).map(|line| line.expect("a line").parse().expect("a pid"));
        let pids = told.collect();
        Self { leader, pids }
    }

    fn alive(&self) -> Vec<u32> {
        self.pids.iter().copied().filter(|pid| is_alive(*pid)).collect()
    }

    /// Its group leader is dead and reaped, as after the end of a run's shell.
    fn reap(&mut self) {
        self.leader.wait().expect("the leader ends");
    }
}

impl Drop for Orphans {
    fn drop(&mut self) {
        for pid in self.alive() {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        let _ = self.leader.kill();
        let _ = self.leader.wait();
    }
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// An installation of its own for each test, since all of them run on one machine.
fn instance() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("leftovers-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn leftover(exec_id: &str, pid: u32, start: u64) -> Leftover {
    Leftover { exec_id: exec_id.into(), pid, start }
}

#[test]
fn start_times_tell_processes_apart() {
    let me = std::process::id();
    assert!(start_time(me).is_some_and(|start| start > 0));
    let orphans = Orphans::start("echo $$; exec sleep 1000", &[], 1);
    let field =
        Command::new("cut").args(["-d ", "-f22", &format!("/proc/{}/stat", orphans.pids[0])]).output();
    let field = String::from_utf8(field.expect("cut").stdout).expect("text");
    assert_eq!(start_time(orphans.pids[0]), field.trim().parse().ok());
    assert_eq!(start_time(u32::MAX), None);
}

#[test]
fn a_leader_without_marks_is_known_by_pid_and_start_time() {
    let orphans = Orphans::start("echo $$; exec env -i sleep 1000", &[], 1);
    let pid = orphans.pids[0];
    let start = start_time(pid).expect("it runs");
    // A stranger that was given the pid later, and a record that does not know the start.
    assert_eq!(kill_leftovers(&instance(), &[leftover("e1", pid, start + 1)]), 0);
    assert_eq!(kill_leftovers(&instance(), &[leftover("e1", pid, 0)]), 0);
    assert_eq!(orphans.alive(), [pid]);
    assert_eq!(kill_leftovers(&instance(), &[leftover("e1", pid, start)]), 1);
    assert!(orphans.alive().is_empty());
}

#[test]
fn the_whole_group_of_a_known_leader_goes() {
    let line = "env -i sleep 1000 & echo $!; echo $$; wait";
    let orphans = Orphans::start(line, &[], 2);
    let leader = orphans.leader.id();
    let start = start_time(leader).expect("it runs");
    assert_eq!(kill_leftovers(&instance(), &[leftover("e1", leader, start)]), 2);
    assert!(orphans.alive().is_empty());
}

#[test]
fn marked_processes_are_found_wherever_they_went() {
    let instance = instance();
    let marks = [(EXEC_ID, "e1"), (INSTANCE, instance.as_str())];
    // One left the group; one stayed in it without marks, beside one with marks; the leader is gone.
    let line =
        "(setsid sh -c 'echo $$; exec sleep 1000' &); env -i sleep 1000 & echo $!; sleep 1000 & echo $!";
    let mut orphans = Orphans::start(line, &marks, 3);
    orphans.reap();
    assert_eq!(orphans.alive().len(), 3);
    let pid = orphans.leader.id();
    assert_eq!(kill_leftovers("another", &[leftover("e1", pid, 1)]), 0);
    assert_eq!(kill_leftovers(&instance, &[leftover("e2", pid, 1)]), 0);
    assert_eq!(kill_leftovers(&instance, &[]), 0);
    assert_eq!(orphans.alive().len(), 3);
    assert_eq!(kill_leftovers(&instance, &[leftover("e0", 0, 0), leftover("e1", pid, 1)]), 3);
    assert!(orphans.alive().is_empty());
}

#[test]
fn one_that_ignores_term_is_killed_after_the_grace() {
    let instance = instance();
    let marks = [(EXEC_ID, "e1"), (INSTANCE, instance.as_str())];
    let orphans = Orphans::start("trap '' TERM; echo $$; while :; do sleep 0.05; done", &marks, 1);
    let started = stopwatch();
    assert!(kill_leftovers(&instance, &[leftover("e1", 0, 0)]) >= 1);
    assert!(orphans.alive().is_empty());
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(2) && took < SOON, "{took:?}");
}

#[tokio::test]
async fn looks_that_are_asked_for_at_once_are_shared() {
    let looks = super::linux::Looks::default();
    let all = futures_util::future::join_all((0..50).map(|_| looks.look())).await;
    // Those who ask while the first is made cannot take it: it may have passed what they want to see.
    assert!(!std::sync::Arc::ptr_eq(&all[0], &all[1]));
    assert!(all[2..].iter().all(|census| std::sync::Arc::ptr_eq(census, &all[1])));
    let orphans = Orphans::start("echo $$; exec sleep 1000", &[], 1);
    assert!(looks.look().await.has(orphans.pids[0]));
}
