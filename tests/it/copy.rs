//! `copy` as a process: who is refused, what is said, and that a server works on what was copied. What
//! a copy holds is tested in the store.

use crate::support::database::Database;
use crate::support::program::{Ended, Program, run_in};
use serde_json::json;
use std::path::{Path, PathBuf};

/// A folder with the database of a server that has ended.
struct Source {
    folder: tempfile::TempDir,
    url: String,
    job: i64,
}

fn url(file: &Path) -> String {
    format!("sqlite:///{}", file.display())
}

impl Source {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = url(&folder.path().join("from.db"));
        let mut program = Program::with(&[("DATABASE_URL", &url)]);
        let job = program.add(json!({"name": "定时 🦀", "command": "echo 🦀 it\\'s here"}));
        program.post("/jobs/run", &json!({"id": job}));
        program.until(|p| p.run(job)["outcome"] == "success");
        program.signal("TERM");
        program.wait();
        Self { folder, url, job }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Ended {
        run_in(self.folder.path(), args, [])
    }

    fn copy(&self, from: &str, to: &str) -> Ended {
        self.run(&["copy", "--from", from, "--to", to])
    }

    /// It fails in one line that holds `part` and no password.
    fn refused(&self, from: &str, to: &str, part: &str) {
        let ended = self.copy(from, to);
        assert_eq!(ended.code, Some(1), "{from} {to}: {}", ended.stderr);
        let last = ended.stderr.lines().last().unwrap();
        assert!(last.starts_with("timerjobs: ") && last.contains(part), "{part}: {}", ended.stderr);
        assert!(!(ended.stdout + &ended.stderr).contains("s3cret"));
    }

    fn sql(&self, name: &str, text: &str) {
        let file = self.file(name);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { Database::of_file(&file).run(&[text]).await });
    }
}

/// To the database that is being tested, with the addresses in the environment.
#[test]
fn a_server_goes_on_with_what_was_copied() {
    let source = Source::new();
    let place = tempfile::tempdir().unwrap();
    let target = Database::new(place.path());
    let mut env = target.settings();
    env.push(("DATABASE_COPY_FROM".into(), source.url.clone()));
    env.push(("DATABASE_COPY_TO".into(), target.url().into()));
    // What a copy takes is not bounded by what a server's statement may take.
    let env: Vec<_> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let copied = run_in(source.folder.path(), &["copy"], env.iter().copied());
    assert_eq!(copied.code, Some(0), "{}", copied.stderr);
    let said: Vec<Vec<_>> = copied.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [["table", "from", "to"].as_slice(), &["jobs", "1", "1", "ok"], &["runs", "1", "1", "ok"]] {
        assert!(said.iter().any(|line| line == row), "{row:?}: {}", copied.stdout);
    }
    assert!(copied.stderr.lines().any(|line| line == "runs: 1 of 1 rows"), "{}", copied.stderr);

    let server = Program::with(&[&env[..], &[("DATABASE_URL", target.url())]].concat());
    assert_eq!(server.get(&format!("/jobs/read?id={}", source.job))["data"]["name"], "定时 🦀");
    assert_eq!(server.run(source.job)["stdout"], "🦀 it's here\n");
    assert_eq!(server.add(json!({"name": "next", "command": "true"})), source.job + 1);
    server.post("/jobs/run", &json!({"id": source.job}));
    server.until(|p| p.get("/jobs/runs?outcome=success")["total"] == 2);
}

#[test]
fn what_is_no_move_is_refused_and_nothing_is_touched() {
    let source = Source::new();
    let there = url(&source.file("to.db"));
    let from = source.url.as_str();
    std::os::unix::fs::symlink(source.file("from.db"), source.file("link.db")).unwrap();
    source.refused(from, &url(&source.file("link.db")), "is both --from and --to");
    source.refused(&url(&source.file("none.db")), &there, "none.db: there is no database of TimerJobs");
    assert!(!source.file("none.db").exists() && !source.file("to.db").exists());
    source.refused("sqlite", &there, "--from: use sqlite:///");
    for (to, part) in [
        ("mysql://root:s3cret@127.0.0.1:1/test", "nobody answers at this address"),
        ("postgres://root:s3cret@127.0.0.1:1/test", "nobody answers at this address"),
        ("oracle://root:s3cret@127.0.0.1/test", "--to: `oracle` is no database"),
        ("mysql://root:s3cret@127.0.0.1/test?ssl=1", "--to: what follows `?` is not read"),
    ] {
        source.refused(from, to, part);
    }
    let prefixed = source.run(&["copy", "--from", from, "--to", &there, "--to-prefix", "x_"]);
    assert!(prefixed.stderr.contains("--to: a database file is one installation's"), "{}", prefixed.stderr);

    // A server on the one side, then on the other.
    let running = Program::start();
    let theirs = url(&running.folder().join("data/timerjobs.db"));
    source.refused(&theirs, &there, "another TimerJobs server is running on this database");
    source.refused(from, &theirs, "another TimerJobs server is running on this database");
    drop(running);

    assert_eq!(source.copy(from, &there).code, Some(0));
    source.refused(from, &there, "to.db: holds jobs already, and a copy never mixes");
    source.refused(&there, from, "from.db: holds jobs already, and a copy never mixes");

    let newest = "(SELECT max(version) FROM _sqlx_migrations)";
    source.sql("to.db", &format!("DELETE FROM _sqlx_migrations WHERE version = {newest}"));
    let empty = url(&source.file("empty.db"));
    source.refused(&there, &empty, "run `timerjobs migrate` with DATABASE_URL set to it first");
    source.refused(from, &there, "run `timerjobs migrate` with DATABASE_URL set to it first");
    source.sql("to.db", &format!("UPDATE _sqlx_migrations SET version = 9999 WHERE version = {newest}"));
    source.refused(&there, &empty, "was made by a newer version of TimerJobs");
    source.refused(from, &there, "was made by a newer version of TimerJobs");
}

#[test]
fn half_a_copy_is_no_system() {
    let source = Source::new();
    let there = url(&source.file("to.db"));
    let to = [("DATABASE_URL", there.as_str())];
    assert_eq!(run_in(source.folder.path(), &["db", "init"], to).code, Some(0));
    source.sql(
        "to.db",
        "CREATE TRIGGER full BEFORE INSERT ON tj_runs BEGIN SELECT RAISE(ABORT, 'disk is full'); END",
    );
    let part = "to.db: the copy broke off; mend the cause and run it again, it starts over: ";
    source.refused(&source.url, &there, part);
    let start = || run_in(source.folder.path(), &["start", "-H", "127.0.0.1", "-p", "0"], to);
    let refused = start();
    let said: Vec<_> = refused.stderr.lines().filter(|line| line.starts_with("timerjobs: ")).collect();
    assert_eq!((refused.code, said.len()), (Some(1), 1), "{}", refused.stderr);
    assert!(said[0].contains("a copy into it broke off; run `timerjobs copy` again"), "{}", said[0]);
    source.refused(&there, &source.url, "a copy into it broke off, so it is no whole system");

    // What arrives as something else is found.
    source.sql("to.db", "DROP TRIGGER full");
    source.sql(
        "to.db",
        "CREATE TRIGGER less AFTER INSERT ON tj_runs BEGIN UPDATE tj_runs SET stdout = ''; END",
    );
    let ended = source.copy(&source.url, &there);
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    assert!(ended.stdout.contains("DIFFERS in stdout"), "{}", ended.stdout);
    assert!(ended.stderr.lines().last().unwrap().contains("to.db: runs is not as in sqlite:///"));
    assert_eq!(start().code, Some(1));

    source.sql("to.db", "DROP TRIGGER less");
    let ended = source.copy(&source.url, &there);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(Program::with(&to).run(source.job)["outcome"], "success");
}
