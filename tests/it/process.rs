//! The supervisor and the commands that talk to a running server: real processes, real signals.

#![expect(
    clippy::disallowed_methods,
    reason = "real processes live in real time: this bounds how long a test waits"
)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(40);

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timerjobs"));
    command.current_dir(folder).args(args).stderr(Stdio::null()).stdout(Stdio::null());
    for name in ["DATABASE_URL", "PORT", "HOST", "NOTIFY_SOCKET", "INVOCATION_ID"] {
        command.env_remove(name);
    }
    command.envs([("HOST", "127.0.0.1"), ("PORT", "0"), ("DAEMON_RESTART_DELAY", "0")]);
    command
}

fn run(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

fn until<T>(what: &str, mut so: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = so() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

/// The pid in a pid file, once it is there.
fn pid(folder: &Path, file: &str) -> Option<u32> {
    fs::read_to_string(folder.join("runtime").join(file)).ok()?.lines().next()?.parse().ok()
}

/// What `status` says, once the server answers.
fn up(folder: &Path) -> Option<Output> {
    Some(run(folder, &["status"])).filter(|out| out.status.code() == Some(0))
}

fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

fn ended(child: &mut Child) -> Option<i32> {
    until("the process ends", || child.try_wait().unwrap()).code()
}

/// Kills what a failed test left.
struct Supervised(Child, tempfile::TempDir);

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        if let Some(pid) = pid(self.1.path(), "job.pid").filter(|pid| is_alive(*pid)) {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
    }
}

#[test]
fn the_supervisor_restarts_a_dead_server_and_stop_f_ends_both() {
    let folder = tempfile::tempdir().unwrap();
    let child = command(folder.path(), &["start", "-f"]).spawn().unwrap();
    let mut supervised = Supervised(child, folder);
    let path = supervised.1.path().to_owned();
    let said_up = said(&until("the server is up", || up(&path)));
    assert!(said_up.contains(&format!("supervisor: pid {}", supervised.0.id())), "{said_up}");
    let first = pid(&path, "job.pid").unwrap();

    let second = run(&path, &["start"]);
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(said(&second).lines().count(), 1, "{}", said(&second));

    assert!(Command::new("kill").args(["-9", &first.to_string()]).status().unwrap().success());
    let again =
        until("it is restarted", || pid(&path, "job.pid").filter(|pid| *pid != first && is_alive(*pid)));
    until("the new server is up", || up(&path));
    assert_eq!(run(&path, &["reload"]).status.code(), Some(0));

    let stopped = run(&path, &["stop", "-f"]);
    assert_eq!(stopped.status.code(), Some(0), "{}", said(&stopped));
    assert_eq!(ended(&mut supervised.0), Some(0));
    assert!(!is_alive(again));
    assert_eq!(run(&path, &["status"]).status.code(), Some(3));
}

#[test]
fn in_the_background_it_says_where_it_is_or_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let failed = run(folder.path(), &["start", "-d", "-p", &port]);
    assert_eq!(failed.status.code(), Some(1), "{}", said(&failed));
    assert!(said(&failed).contains("choose one with --port"), "{}", said(&failed));

    for (args, stop) in [(&["start", "-d"][..], &["stop"][..]), (&["start", "-d", "-f"], &["stop", "-f"])] {
        let started = run(folder.path(), args);
        let server = pid(folder.path(), "job.pid").unwrap();
        assert_eq!(started.status.code(), Some(0), "{}", said(&started));
        assert!(
            said(&started).contains(&format!("started, pid {server}, http://127.0.0.1:")),
            "{}",
            said(&started)
        );
        assert!(up(folder.path()).is_some());
        assert_eq!(run(folder.path(), args).status.code(), Some(1), "one at a time");
        let restarted = run(folder.path(), &["restart"]);
        assert_eq!(restarted.status.code(), Some(0), "{}", said(&restarted));
        let server = pid(folder.path(), "job.pid").filter(|pid| *pid != server).expect("a new server");
        assert_eq!(pid(folder.path(), "daemon.pid").is_some(), args.contains(&"-f"), "in the mode it had");
        assert_eq!(run(folder.path(), stop).status.code(), Some(0));
        until("it is gone", || (!is_alive(server)).then_some(()));
    }
}

#[test]
fn under_systemd_it_stays_in_the_foreground() {
    let folder = tempfile::tempdir().unwrap();
    let child = command(folder.path(), &["start", "-d", "-f"]).env("INVOCATION_ID", "1").spawn().unwrap();
    let mut supervised = Supervised(child, folder);
    let path = supervised.1.path().to_owned();
    until("the server is up", || up(&path));
    assert_eq!(pid(&path, "daemon.pid"), Some(supervised.0.id()), "the process itself is the supervisor");
    assert_eq!(run(&path, &["stop", "-f"]).status.code(), Some(0));
    assert_eq!(ended(&mut supervised.0), Some(0));
}

#[test]
fn a_clean_exit_is_not_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let child = command(folder.path(), &["daemon"]).spawn().unwrap();
    let mut supervised = Supervised(child, folder);
    let path = supervised.1.path().to_owned();
    until("the server is up", || up(&path));
    assert_eq!(run(&path, &["stop"]).status.code(), Some(0));
    assert_eq!(ended(&mut supervised.0), Some(0));
}

#[test]
fn a_server_that_dies_at_every_start_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut child = command(folder.path(), &["start", "-f", "-p", &port])
        .env("DAEMON_MAX_RESTARTS", "1")
        .spawn()
        .unwrap();
    let code = ended(&mut child);
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
}

#[test]
fn of_two_supervisors_that_start_at_once_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let start = || command(&path, &["start", "-f"]).spawn().unwrap();
    let (mut a, mut b) = (start(), start());
    let (loser, winner) = until("one gives way", || {
        let (a_ended, b_ended) = (a.try_wait().unwrap(), b.try_wait().unwrap());
        assert!(a_ended.is_none() || b_ended.is_none(), "both gave way");
        a_ended.map(|code| (code, false)).or(b_ended.map(|code| (code, true)))
    });
    let mut supervised = Supervised(if winner { a } else { b }, folder);
    assert_eq!(loser.code(), Some(1));
    until("the server is up", || up(&path));
    assert_eq!(pid(&path, "daemon.pid"), Some(supervised.0.id()));
    // The lock holds even where the pid file is lost.
    fs::remove_file(path.join("runtime/daemon.pid")).unwrap();
    let third = run(&path, &["daemon"]);
    assert_eq!(third.status.code(), Some(1));
    assert!(said(&third).contains("a supervisor is already running"), "{}", said(&third));
    assert_eq!(run(&path, &["stop"]).status.code(), Some(0));
    assert_eq!(ended(&mut supervised.0), Some(0));
    assert!(!path.join("runtime/server.json").exists(), "a clean exit leaves no word of itself");
}

/// A service manager that hears READY sends requests at once.
#[cfg(target_os = "linux")]
#[test]
fn the_supervisor_is_ready_when_the_server_answers() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let child = command(folder.path(), &["start", "-f"]).env("NOTIFY_SOCKET", &socket).spawn().unwrap();
    let mut supervised = Supervised(child, folder);
    let mut word = [0; 64];
    let n = manager.recv(&mut word).unwrap();
    assert_eq!(&word[..n], b"READY=1");
    let path = supervised.1.path().to_owned();
    assert!(up(&path).is_some());
    assert_eq!(run(&path, &["stop", "-f"]).status.code(), Some(0));
    assert_eq!(ended(&mut supervised.0), Some(0));
}

#[test]
fn a_stale_pid_file_gets_no_stranger_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut stranger = Command::new("sleep").arg("300").spawn().unwrap();
    fs::create_dir_all(folder.path().join("runtime")).unwrap();
    fs::write(folder.path().join("runtime/job.pid"), format!("{}\n12345\n", stranger.id())).unwrap();
    for args in [&["status"][..], &["stop"], &["stop", "-f"], &["reload"]] {
        run(folder.path(), args);
        assert!(stranger.try_wait().unwrap().is_none(), "{args:?} killed a stranger");
    }
    assert_eq!(run(folder.path(), &["status"]).status.code(), Some(3));
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}
