//! The program itself: real processes, real signals, the real clock.

use crate::support::program::{Program, run_in, timerjobs};
use serde_json::json;
use std::fs;

#[test]
fn version_and_help_tell_what_they_should() {
    let out = timerjobs(&["version"], &[]);
    assert_eq!(out.stdout, format!("timerjobs {}\n", env!("CARGO_PKG_VERSION")));
    let help = timerjobs(&["start", "--help"], &[]).stdout;
    for setting in timerjobs::config::SETTINGS {
        assert!(
            help.contains(setting.key) && help.contains(setting.env[0]),
            "{} is in the help",
            setting.key
        );
    }
}

#[test]
fn a_wrong_start_says_why_in_one_line_and_fails() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let garbage = tempfile::tempdir().unwrap();
    let file = garbage.path().join("garbage.db");
    fs::write(&file, "this is no database, it only looks like one from far away. ".repeat(100)).unwrap();
    let garbage_url = format!("sqlite:///{}", file.display());
    let folder_url = format!("sqlite:///{}", garbage.path().display());
    let beneath_file = format!("{}/data", file.display());
    for (args, env, says) in [
        (vec!["start", "-H", "127.0.0.1", "-p", &port], vec![], "choose one with --port"),
        (vec!["start"], vec![("PORT", "http")], "server.port = `http` (from PORT)"),
        (vec!["start", "--config", "nowhere.toml"], vec![], "nowhere.toml"),
        (vec!["start"], vec![("DATABASE_URL", garbage_url.as_str())], "restore a backup"),
        (vec!["start"], vec![("DATABASE_URL", folder_url.as_str())], "is a folder"),
        (vec!["start"], vec![("DATA_DIR", beneath_file.as_str())], "choose another DATA_DIR"),
        (vec!["start"], vec![("LOG_FILE", "/proc/nowhere/app.log")], "set LOG_FILE"),
    ] {
        let out = timerjobs(&args, &env);
        assert_eq!(out.code, Some(1), "{args:?} {env:?}: {}", out.stderr);
        let said: Vec<_> = out.stderr.lines().filter(|l| l.starts_with("timerjobs: ")).collect();
        assert_eq!(said.len(), 1, "{}", out.stderr);
        assert!(said[0].contains(says), "{says}: {}", out.stderr);
        assert!(!out.stderr.contains("panicked"), "{}", out.stderr);
    }
    assert_eq!(timerjobs(&["strat"], &[]).code, Some(2));
}

#[test]
fn of_two_servers_with_one_database_the_second_refuses() {
    let first = Program::start();
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(first.folder().join("data"), elsewhere.path().join("link")).unwrap();
    for way in [first.folder().join("data"), elsewhere.path().join("link")] {
        let url = format!("sqlite:///{}", way.join("timerjobs.db").display());
        let args = ["start", "-H", "127.0.0.1", "-p", "0"];
        let second = run_in(elsewhere.path(), &args, [("DATABASE_URL", url.as_str())]);
        assert_eq!((second.code, second.stderr.lines().count()), (Some(1), 1), "{}", second.stderr);
        assert!(second.stderr.contains("another TimerJobs server is running on this database"));
    }
    assert_eq!(first.get("/health")["status"], "ok");
}

#[test]
fn term_ends_it_with_success() {
    let mut program = Program::start();
    assert_eq!(program.get("/health")["status"], "ok");
    program.signal("TERM");
    assert_eq!(program.wait(), Some(0));
}

#[test]
fn killed_in_the_middle_it_comes_back_and_decides_every_run() {
    let mut program = Program::start();
    let marker = program.folder().join("starts");
    let touch = format!("echo $TJ_EXEC_ID $TJ_ATTEMPT >> {}; exec sleep 300", marker.display());
    let never = program.add(json!({"name": "never", "command": touch}));
    let rerun = program.add(json!({"name": "rerun", "command": touch, "recovery": "rerun"}));
    // A child that drops the marks in its environment is still known by pid and start time.
    let hidden = program.add(json!({"name": "hidden", "command": "exec env -i sleep 301"}));
    for id in [never, rerun, hidden] {
        program.post("/jobs/run", &json!({"id": id}));
    }
    program.until(|p| {
        fs::read_to_string(&marker).is_ok_and(|t| t.lines().count() == 2) && p.children().len() == 3
    });
    // The pids are written a moment after the starts.
    program.until(|p| p.recorded_pids() == 3);
    let orphans = program.children();
    program.signal("KILL");
    program.wait();

    let program = program.start_again();
    program.until(|p| p.run(rerun)["attempt"] == 2 && p.run(rerun)["outcome"] == "running");
    assert_eq!(program.run(never)["outcome"], "lost");
    assert_eq!(program.run(hidden)["outcome"], "lost");
    program.until(|_| orphans.iter().all(|pid| !is_alive(*pid)));
    program.until(|_| fs::read_to_string(&marker).is_ok_and(|t| t.lines().count() == 3));
    let starts = fs::read_to_string(&marker).unwrap();
    let exec_id = program.run(rerun)["exec_id"].as_str().unwrap().to_owned();
    let again: Vec<_> = starts.lines().filter(|line| line.starts_with(&exec_id)).collect();
    assert_eq!(again, [format!("{exec_id} 1"), format!("{exec_id} 2")]);
    program.post("/jobs/stop", &json!({"id": rerun}));
    program.until(|p| p.children().is_empty());
}

/// A zombie is dead: only its parent has not looked yet.
fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

#[test]
fn an_acknowledged_job_survives_a_kill() {
    let program = Program::start();
    let ids: Vec<i64> =
        (0..20).map(|i| program.add(json!({"name": format!("job {i}"), "command": "true"}))).collect();
    let program = program.kill_and_start_again();
    let list = program.get("/jobs/list?size=100");
    assert_eq!(list["total"], ids.len());
}

#[test]
fn the_environment_of_a_command_has_no_secret_of_the_server() {
    let program = Program::with(&[("DATABASE_MYSQL_PASSWORD", "hunter2"), ("TIMERJOBS_SECRET", "hunter2")]);
    let id = program.add(json!({"name": "env", "command": "env"}));
    program.post("/jobs/run", &json!({"id": id}));
    program.until(|p| p.run(id)["outcome"] == "success");
    let out = program.run(id)["stdout"].as_str().unwrap().to_owned();
    assert!(out.contains("TJ_EXEC_ID=") && !out.contains("hunter2"), "{out}");
}

/// What the server had open, also from whoever started it, and what its own environment holds.
#[test]
fn a_command_finds_no_file_of_the_server_and_cannot_look_into_it() {
    let program = Program::with(&[("SMTP_PASSWORD", "hunter2"), ("COMMANDS_ENVIRONMENT", "PATH, HO*")]);
    for limits in ["", "\n【files】64"] {
        let look = "【command】ls /proc/self/fd | wc -l; readlink /proc/self/fd/0; env | grep -c LOGNAME; echo $HOME; \
                    stat -c %U /proc/$PPID/environ /proc/$PPID/mem; umask";
        let id = program
            .add(json!({"name": format!("look {}", limits.len()), "command": format!("{look}{limits}")}));
        program.post("/jobs/run", &json!({"id": id}));
        program.until(|p| p.run(id)["outcome"] == "success");
        let run = program.run(id);
        let home = std::env::var("HOME").unwrap();
        let wanted = format!("4\n/dev/null\n0\n{home}\nroot\nroot\n");
        let out = run["stdout"].as_str().unwrap();
        assert!(out.starts_with(&wanted), "0, 1, 2 and the folder itself: {run}");
    }
}

#[test]
fn hangup_reads_the_settings_again_whole_or_not_at_all() {
    let program = Program::start();
    let from_elsewhere = |p: &Program| p.get_with_host("/health", "jobs.example.com")["status"] == "ok";
    assert!(!from_elsewhere(&program));
    let file = program.folder().join("config.toml");
    fs::write(
        &file,
        "[server]\nallowed_hosts = \"jobs.example.com\"\nport = 1\n[jobs]\nmax_concurrent = 0\n",
    )
    .unwrap();
    program.signal("HUP");
    program.until(|p| p.said().contains("config.toml:5): use a whole number from 1 to 10000"));
    assert!(!from_elsewhere(&program), "one bad value and nothing changes");
    fs::write(&file, "[server]\nallowed_hosts = \"jobs.example.com\"\n[log]\nlevel = \"debug\"\ndays = 7\n")
        .unwrap();
    program.signal("HUP");
    program.until(from_elsewhere);
    program.until(|p| {
        p.said().contains(r#"changed=["server.allowed_hosts", "log.level"] needs_restart=["log.days"]"#)
    });
}

/// What the README shows is what happens: its curl commands are run as written, on another port.
#[test]
fn the_readme_examples_print_what_the_readme_says() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let blocks: Vec<&str> = readme.split("```").skip(1).step_by(2).collect();
    let program = Program::start();
    let mut shown = 0;
    for pair in blocks.windows(2) {
        let (Some(command), Some(wanted)) = (pair[0].strip_prefix("bash\n"), pair[1].strip_prefix("json\n"))
        else {
            continue;
        };
        // Before, and not after: the last one makes an account, and then nobody is told without a login.
        program.until(|p| p.get("/jobs/jobStatus")["running"] == 0);
        let printed = program.shell(command);
        assert_eq!(masked(&printed), masked(wanted), "{command}");
        shown += 1;
    }
    assert!(shown >= 6, "{shown} examples");
    for setting in timerjobs::config::SETTINGS {
        let names: Vec<_> = setting.env.iter().map(|name| format!("`{name}`")).collect();
        let row = format!("| `{}` | {} |", setting.key, names.join(", "));
        assert!(readme.contains(&row), "the table of settings lacks {row}");
    }
}

/// Without white space, and with what differs each time taken out: digits in ids, times, counts.
fn masked(json: &str) -> String {
    let text: String = json.split_whitespace().collect();
    let mut out = String::new();
    let mut digits = false;
    for c in text.replace("localhost:8000", "HOST").chars() {
        let hex = c.is_ascii_digit() || (digits && c.is_ascii_hexdigit() && !c.is_ascii_uppercase());
        if !hex {
            out.push(c);
        } else if !digits {
            out.push('N');
        }
        digits = hex;
    }
    out
}
