//! The administrator's commands: `status`, `config check`, `doctor`, `db`. Real processes.

use crate::support::program::{Ended, Program, run_in, timerjobs};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("{e}: {}", ended.stdout))
}

#[test]
fn status_tells_people_and_scripts_what_runs() {
    let mut program = Program::start();
    program.add(json!({"name": "waits", "command": "true"}));
    program.add(json!({"name": "stopped", "command": "true", "state": 2}));
    let said = program.command(&["status"]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    let (pid, port) = (program.pid(), program.port());
    for line in [
        &format!("running, pid {pid}"),
        &format!("url: http://127.0.0.1:{port}"),
        &format!("listens on: 127.0.0.1 port {port}"),
        &format!("version: {}", env!("CARGO_PKG_VERSION")),
        "jobs: 2 (0 running, 1 waiting, 1 stopped)",
        "supervisor: none",
        "last error: none today",
    ] {
        assert!(said.stdout.lines().any(|l| l == line), "{line}: {}", said.stdout);
    }
    assert!(said.stdout.contains("\nuptime: "), "{}", said.stdout);
    let status = json_of(&program.command(&["status", "--json"]));
    assert_eq!(
        (&status["state"], &status["pid"], &status["port"]),
        (&json!("running"), &json!(pid), &json!(port))
    );
    assert_eq!(status["jobs"], json!({"running": 0, "stopped": 1, "total": 2, "waiting": 1}));
    assert_eq!((&status["supervisor_pid"], &status["last_error"]), (&Value::Null, &Value::Null));

    // A reload that is refused is an error of today.
    fs::write(program.folder().join("config.toml"), "[jobs]\nmax_concurrent = 0\n").unwrap();
    program.signal("HUP");
    program.until(|p| p.said().contains("the settings stay as they are"));
    fs::remove_file(program.folder().join("config.toml")).unwrap();
    let said = |p: &Program| p.command(&["status"]).stdout;
    program.until(|p| said(p).contains("the settings stay as they are"));

    program.signal("TERM");
    program.wait();
    let said = program.command(&["status"]);
    assert_eq!(said.code, Some(3));
    assert!(said.stdout.starts_with("not running\n"), "{}", said.stdout);
    let status = program.command(&["status", "--json"]);
    assert_eq!((status.code, &json_of(&status)["state"]), (Some(3), &json!("not running")));
}

#[test]
fn status_knows_a_server_that_lives_but_does_not_answer() {
    let program = Program::start();
    // The place where it says it listens is one where nobody does.
    let path = program.folder().join("runtime/server.json");
    let mut file: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    file["host"] = "127.0.0.2".into();
    fs::write(&path, file.to_string()).unwrap();
    let said = program.command(&["status"]);
    assert_eq!(said.code, Some(4), "{}", said.stdout);
    let first = format!("runs but does not answer, pid {}: ", program.pid());
    assert!(said.stdout.starts_with(&first), "{}", said.stdout);
    let said = program.command(&["status", "--json"]);
    assert_eq!((said.code, &json_of(&said)["state"]), (Some(4), &json!("no answer")));
}

#[test]
fn a_server_that_is_closed_to_this_machine_runs_all_the_same() {
    let program = Program::with(&[("IP_WHITELIST", "192.168.1.0/24")]);
    let said = program.command(&["status"]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    assert!(
        said.stdout.contains("jobs: not told") && said.stdout.contains("IP_WHITELIST"),
        "{}",
        said.stdout
    );
}

#[test]
fn config_check_names_what_is_set_or_all_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let none = run_in(folder.path(), &["config", "check"], []);
    assert_eq!(
        (none.code, none.stdout.lines().next()),
        (Some(0), Some("ok, no file: there is no config.toml in this folder"))
    );

    let file = folder.path().join("mine.toml");
    fs::write(
        &file,
        "[server]\nport = 9000\nhost = \"0.0.0.0\"\n[database]\nurl = \"sqlite:///./secret.db\"\n",
    )
    .unwrap();
    let args = ["config", "check", "--config", "mine.toml", "-H", "::1"];
    let good = run_in(folder.path(), &args, [("LOG_LEVEL", "debug")]);
    assert_eq!(good.code, Some(0), "{}", good.stderr);
    let lines: Vec<_> = good.stdout.lines().map(|l| l.replace(&file.display().to_string(), "FILE")).collect();
    assert_eq!(
        lines,
        [
            "ok, FILE",
            "server.host = ::1 (--host)",
            "server.port = 9000 (FILE:2)",
            "database.url = *** (FILE:5)",
            "log.level = debug (LOG_LEVEL)",
            // The test harness sets it.
            "jobs.timezone = UTC (TZ)",
        ]
    );

    fs::write(&file, "[server]\nprot = 9000\nport = 99999\n\n[jbos]\nmax_concurrent = 1\n").unwrap();
    let bad = run_in(folder.path(), &args, [("LOG_DAYS", "many")]);
    assert_eq!((bad.code, bad.stdout.as_str()), (Some(1), ""));
    let lines: Vec<_> = bad.stderr.lines().map(|l| l.replace(&file.display().to_string(), "FILE")).collect();
    assert_eq!(
        lines,
        [
            "FILE:2: unknown setting `server.prot`; did you mean `server.port`?",
            "FILE:6: unknown setting `jbos.max_concurrent`; did you mean `jobs.max_concurrent`?",
            "server.port = `99999` (from FILE:3): use a whole number from 0 to 65535",
            "log.days = `many` (from LOG_DAYS): use a whole number from 1 to 3650",
        ]
    );
    fs::write(&file, "[server]\nport = \n").unwrap();
    let bad = run_in(folder.path(), &args, []);
    assert!(bad.stderr.starts_with(&format!("{}:2: ", file.display())), "{}", bad.stderr);
}

/// One line of `doctor`.
pub fn finding(ended: &Ended, name: &str) -> String {
    let is_it = |l: &&str| l.get(6..).is_some_and(|rest| rest.starts_with(&format!("{name}: ")));
    ended.stdout.lines().find(is_it).unwrap_or_else(|| panic!("{name}: {}", ended.stdout)).to_owned()
}

pub fn listing(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn doctor_finds_a_good_place_good_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("PORT", "0"), ("HOST", "127.0.0.1")];
    let fresh = run_in(folder.path(), &["doctor"], env);
    assert_eq!(fresh.code, Some(0), "{}", fresh.stdout);
    assert!(listing(folder.path()).is_empty(), "{:?}", listing(folder.path()));
    for name in ["version", "settings", "data folder", "port", "database", "shell", "clock", "time zone"] {
        assert!(finding(&fresh, name).starts_with("ok    "), "{}", fresh.stdout);
    }
    let program = Program::start();
    let with = json_of(&program.command(&["doctor", "--json", "-p", &program.port().to_string()]));
    assert_eq!(with["ok"], true, "{with:#}");
    let text = |name: &str| {
        let checks = with["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["check"] == name).unwrap();
        check["text"].as_str().unwrap().to_owned()
    };
    assert!(text("port").contains("this server's"), "{with:#}");
    assert!(text("database").contains("whole, version"), "{with:#}");
    let open = program.command(&["doctor", "-p", "0"]);
    assert!(finding(&open, "who may call").starts_with("ok    "));
    let open = run_in(program.folder(), &["doctor", "-p", "0"], [("IP_WHITELIST", "")]);
    assert!(finding(&open, "who may call").starts_with("warn  "));
}

#[test]
fn doctor_fails_where_a_server_would() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let file = folder.path().join("a file");
    fs::write(&file, "no database, only text that is long enough to look like one. ".repeat(100)).unwrap();
    let beneath = file.join("data");
    let (beneath, url) = (beneath.to_str().unwrap(), format!("sqlite:///{}", file.display()));
    for (env, name, says) in [
        (("DATA_DIR", beneath), "data folder", "choose another DATA_DIR"),
        (("RUNTIME_DIR", beneath), "runtime folder", "choose another RUNTIME_DIR"),
        (("DATABASE_URL", url.as_str()), "database", "restore a backup"),
        (("PORT", port.as_str()), "port", "choose another PORT"),
        (("LOG_DAYS", "x"), "settings", "use a whole number"),
    ] {
        let out = run_in(folder.path(), &["doctor", "-H", "127.0.0.1"], [("PORT", "0"), env]);
        assert_eq!(out.code, Some(1), "{env:?}: {}", out.stdout);
        let line = finding(&out, name);
        assert!(line.starts_with("FAIL  ") && line.contains(says), "{line}");
    }
    assert_eq!(listing(folder.path()), ["a file"]);
}

#[test]
fn the_database_is_made_updated_and_backed_up_by_command() {
    let folder = tempfile::tempdir().unwrap();
    let db = |args: &[&str]| run_in(folder.path(), &[&["db"], args].concat(), []);
    let missing = db(&["migrate"]);
    assert!(missing.code == Some(1) && missing.stderr.contains("db init"), "{}", missing.stderr);
    assert!(db(&["backup"]).stderr.contains("there is no database yet"));
    assert!(listing(folder.path()).is_empty() || !folder.path().join("data").exists());
    let made = db(&["init"]);
    assert!(made.code == Some(0) && made.stdout.contains("made, version"), "{}{}", made.stdout, made.stderr);
    assert!(db(&["init"]).stdout.contains("is there already"));
    assert!(db(&["migrate"]).stdout.contains("is up to date"));
    let copied = db(&["backup", "copy.db"]);
    assert!(copied.code == Some(0) && copied.stdout.contains("bytes, checked"), "{}", copied.stderr);
    let again = db(&["backup", "copy.db"]);
    assert!(again.code == Some(1) && again.stderr.contains("never overwrites"), "{}", again.stderr);
}

#[test]
fn a_backup_of_a_running_server_starts_as_one() {
    let program = Program::start();
    let id = program.add(json!({"name": "kept", "command": "echo kept"}));
    let copied = program.command(&["db", "backup"]);
    assert_eq!(copied.code, Some(0), "{}", copied.stderr);
    let names = listing(&program.folder().join("backups"));
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].starts_with("timerjobs-") && names[0].ends_with(".db"), "{names:?}");
    let update = program.command(&["db", "migrate"]);
    assert!(update.stdout.contains("is up to date"), "nothing to do needs no lock: {}", update.stderr);
    let url = format!("sqlite:///{}", program.folder().join("backups").join(&names[0]).display());
    let restored = Program::with(&[("DATABASE_URL", &url)]);
    assert_eq!(restored.get(&format!("/jobs/read?id={id}"))["data"]["name"], "kept");
}

#[test]
fn the_commands_find_a_server_by_its_settings_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("elsewhere.toml");
    let place = folder.path().join("place");
    let text = format!(
        "[server]\nhost = \"127.0.0.1\"\nport = 0\n[paths]\ndata_dir = \"{0}\"\nruntime_dir = \"{0}\"\n",
        place.display()
    );
    fs::write(&config, text).unwrap();
    let run = |args: &[&str]| timerjobs(&[args, &["--config", config.to_str().unwrap()]].concat(), &[]);
    let started = run(&["start", "-d"]);
    assert_eq!(started.code, Some(0), "{}", started.stderr);
    assert_eq!(timerjobs(&["status"], &[]).code, Some(3), "other settings, another server");
    let before = json_of(&run(&["status", "--json"]));
    assert_eq!(run(&["reload"]).code, Some(0));
    let restarted = run(&["restart", "-H", "127.0.0.3"]);
    assert_eq!(restarted.code, Some(0), "{}", restarted.stderr);
    let after = json_of(&run(&["status", "--json"]));
    let stopped = run(&["stop"]);
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert_ne!(before["pid"], after["pid"]);
    assert!(after["url"].as_str().unwrap().starts_with("http://127.0.0.3:"), "{after:#}");
    assert!(!place.join("server.json").exists());
}
