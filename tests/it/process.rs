//! The supervisor and the commands that talk to a running server: real processes, real signals.

#![expect(
    clippy::disallowed_methods,
    reason = "real processes live in real time: this bounds how long a test waits"
)]

use std::fs;
use std::io::{BufRead, BufReader};
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
    // Under a supervisor, which goes on trying, the reason is told all the same and at once.
    let failed = run(folder.path(), &["start", "-d", "-f", "-p", &port]);
    assert_eq!(failed.status.code(), Some(1), "{}", said(&failed));
    let why = said(&failed);
    assert!(why.contains("choose one with --port") && why.contains("goes on trying"), "{why}");
    assert_eq!(run(folder.path(), &["stop", "-f"]).status.code(), Some(0));

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
        let console = fs::read_to_string(folder.path().join("runtime/log/console.log")).unwrap();
        assert!(!console.contains("TimerJobs is running"), "the log has it: {console}");
        assert!(console.contains("choose one with --port"), "what a failed start said stays: {console}");
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

/// A service manager that hears nothing for its time kills the supervisor.
#[cfg(target_os = "linux")]
#[test]
fn the_watchdog_is_fed_while_no_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut child = command(folder.path(), &["start", "-f", "-p", &port]);
    child.envs([("DAEMON_RESTART_DELAY", "60"), ("WATCHDOG_USEC", "100000")]).env("NOTIFY_SOCKET", &socket);
    let mut supervised = Supervised(child.stderr(Stdio::piped()).spawn().unwrap(), folder);
    let lines = BufReader::new(supervised.0.stderr.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("started again in 60 s")));
    // More than can lie in the socket from before.
    manager.set_nonblocking(true).unwrap();
    let mut word = [0; 64];
    while manager.recv(&mut word).is_ok() {}
    manager.set_nonblocking(false).unwrap();
    for _ in 0..3 {
        let n = manager.recv(&mut word).expect("it is said while the supervisor waits");
        assert_eq!(&word[..n], b"WATCHDOG=1");
    }
    assert!(Command::new("kill").arg(supervised.0.id().to_string()).status().unwrap().success());
    assert_eq!(ended(&mut supervised.0), Some(0));
}

/// As an installation does it: the old file goes, and after a moment the new one is there.
#[test]
fn the_supervisor_survives_that_its_program_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    fs::copy(env!("CARGO_BIN_EXE_timerjobs"), &program).unwrap();
    let template = command(folder.path(), &["start", "-f"]);
    let mut own = Command::new(&program);
    own.current_dir(folder.path()).args(["start", "-f"]).stdout(Stdio::null()).stderr(Stdio::piped());
    for (name, value) in template.get_envs() {
        match value {
            Some(value) => own.env(name, value),
            None => own.env_remove(name),
        };
    }
    let child = own.env("DAEMON_RESTART_DELAY", "1").spawn().unwrap();
    let mut supervised = Supervised(child, folder);
    let path = supervised.1.path().to_owned();
    until("the server is up", || up(&path));
    let first = pid(&path, "job.pid").unwrap();
    fs::rename(&program, path.join("aside")).unwrap();
    fs::copy(path.join("aside"), path.join("new")).unwrap();
    fs::remove_file(path.join("aside")).unwrap();
    assert!(Command::new("kill").args(["-9", &first.to_string()]).status().unwrap().success());
    let mut lines = BufReader::new(supervised.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let failed = lines.find(|line| line.contains("the server cannot be started")).expect("it is said");
    assert!(failed.contains("started again in 2 s"), "{failed}");
    fs::rename(path.join("new"), &program).unwrap();
    let reading = std::thread::spawn(move || lines.count());
    until("it is restarted", || pid(&path, "job.pid").filter(|pid| *pid != first && is_alive(*pid)));
    until("the new server is up", || up(&path));
    assert_eq!(run(&path, &["stop", "-f"]).status.code(), Some(0));
    assert_eq!(ended(&mut supervised.0), Some(0));
    reading.join().unwrap();
}

/// In a pid namespace of its own it is process 1, as in a container. Says so where that is not allowed.
#[cfg(target_os = "linux")]
#[test]
fn as_the_first_process_it_takes_orphans_away_and_knows_how_its_jobs_end() {
    let unshare = |args: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).args(args);
        unshare
    };
    if !unshare(&["true"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        eprintln!("not tested: this user may not make a pid namespace");
        return;
    }
    for args in [&["start"][..], &["start", "-d", "-f"]] {
        let folder = tempfile::tempdir().unwrap();
        let template = command(folder.path(), &[]);
        let mut inside = unshare(&[&[env!("CARGO_BIN_EXE_timerjobs")], args].concat());
        inside.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        for (name, value) in template.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        let mut outside = Outside(inside.spawn().unwrap());
        let path = folder.path().to_owned();
        let port = until("it says where it is", || {
            let text = fs::read_to_string(path.join("runtime/server.json")).ok()?;
            serde_json::from_str::<serde_json::Value>(&text).ok()?["port"].as_u64()
        });
        let ask = |what: &str, body: Option<serde_json::Value>| {
            let mut curl = Command::new("curl");
            curl.args(["-s", "-m", "20", &format!("http://127.0.0.1:{port}{what}")]);
            if let Some(body) = body {
                curl.args(["-H", "Content-Type: application/json", "-d", &body.to_string()]);
            }
            serde_json::from_slice::<serde_json::Value>(&curl.output().unwrap().stdout).unwrap_or_default()
        };
        until("it answers", || (ask("/health", None)["status"] == "ok").then_some(()));
        // Leaves orphans behind, in a session of their own, and ends with a code of its own.
        let orphans = "for i in 1 2 3 4 5 6; do (setsid sh -c 'exit 5' &); done; exit 7";
        for i in 0..5 {
            let job = serde_json::json!({"name": format!("orphans {i}"), "cron_expr": "0 0 1 1 *",
                "mode": "command", "command": orphans});
            let answer = ask("/jobs/add", Some(job));
            let id = answer["data"]["id"].as_i64().unwrap_or_else(|| panic!("{answer}"));
            ask("/jobs/run", Some(serde_json::json!({"id": id})));
            let run = until("it ends", || {
                let run = ask(&format!("/jobs/execs?id={id}"), None)["data"].clone();
                (run["outcome"] == "failed").then_some(run)
            });
            assert_eq!(run["exit_code"], 7, "{run}");
        }
        // Of the host's processes, those in the namespace: descendants of unshare.
        until("no zombie is left", || zombies_beneath(outside.0.id()).is_empty().then_some(()));
        // unshare passes no signals on: process 1 is its child.
        let first = children(outside.0.id())[0];
        assert!(Command::new("kill").args(["-TERM", &first.to_string()]).status().unwrap().success());
        assert_eq!(ended(&mut outside.0), Some(0), "{args:?}");
    }
}

/// Ends the namespace that a failed test left. The pids in its pid files are strangers' out here.
#[cfg(target_os = "linux")]
struct Outside(Child);

#[cfg(target_os = "linux")]
impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(target_os = "linux")]
fn children(of: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[cfg(target_os = "linux")]
fn zombies_beneath(of: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for pid in children(of) {
        if !is_alive(pid) {
            found.push(pid);
        }
        found.extend(zombies_beneath(pid));
    }
    found
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
