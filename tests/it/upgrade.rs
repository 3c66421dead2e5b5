//! An SQLite file of another version, through the program: `migrate`, `start`, `doctor`, and what is
//! kept of it before its tables are changed.

use crate::admin::{finding, listing};
use crate::support::program::{Ended, Program, run_in};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder whose database is of an older version.
struct Old(TempDir);

impl Old {
    /// As version `version` made it, with a job.
    async fn at(version: i64) -> Self {
        let old = Self(tempfile::tempdir().unwrap());
        fs::create_dir(old.path("data")).unwrap();
        let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
        let mut db = old.connect().await;
        Migrator::new(migrations).await.unwrap().run_to(version, &mut db).await.unwrap();
        db.close().await.unwrap();
        old.sql("INSERT INTO tj_settings VALUES ('kept', '1')").await;
        old
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.path("data/timerjobs.db")
    }

    async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.file()).create_if_missing(true);
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    async fn sql(&self, text: &str) {
        let mut db = self.connect().await;
        db.execute(AssertSqlSafe(text.to_owned())).await.unwrap();
        db.close().await.unwrap();
    }

    fn run(&self, args: &[&str]) -> Ended {
        run_in(self.0.path(), args, [("PORT", "0"), ("HOST", "127.0.0.1")])
    }

    /// Runs what must fail in one line.
    fn refused(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(
            (ended.code, ended.stderr.lines().count()),
            (Some(1), 1),
            "{}{}",
            ended.stdout,
            ended.stderr
        );
        ended.stderr
    }

    fn backups(&self) -> Vec<String> {
        if self.path("backups").exists() { listing(&self.path("backups")) } else { Vec::new() }
    }
}

/// The version of the file's tables and how many settings it holds.
async fn inside(file: &Path) -> (i64, i64) {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    let sql = "SELECT (SELECT max(version) FROM _sqlx_migrations), (SELECT count(*) FROM tj_settings)";
    let row = db.fetch_one(sql).await.unwrap();
    (row.get(0), row.get(1))
}

#[tokio::test]
async fn migrate_goes_to_a_version_and_keeps_a_backup_of_each_before() {
    let old = Old::at(2).await;
    let before = fs::read(old.file()).unwrap();
    let plan = old.run(&["migrate", "--dry-run", "--to", "4"]);
    let lines: Vec<_> = plan.stdout.lines().collect();
    let file = old.file().display().to_string();
    let backup = old.path("backups/timerjobs-v2-before-v4-<time>.db");
    assert_eq!(
        lines,
        [
            &*format!("{file}: version 2, would be brought to 4"),
            &*format!("backup: first, {}", backup.display()),
            "0003 admins: would run",
            "0004 failed_runs: would run",
            "nothing was changed",
        ],
        "{}",
        plan.stderr
    );
    assert_eq!(fs::read(old.file()).unwrap(), before);
    assert_eq!(
        (listing(old.0.path()), listing(&old.path("data"))),
        (vec!["data".to_owned()], vec!["timerjobs.db".to_owned()])
    );

    for (args, says) in [
        (["migrate", "--to", "1"], "migrations only go forward; to go back to 1, restore the backup"),
        (["migrate", "--to", "9999"], "there is no such version; this program knows 1 to "),
        (["migrate", "--to", "0"], "there is no such version; this program knows 1 to "),
    ] {
        assert!(old.refused(&args).contains(says), "{args:?}");
    }
    assert!(old.run(&["migrate", "--to", "2"]).stdout.contains("is at version 2 already"));
    assert_eq!(old.backups(), Vec::<String>::new());

    let third = old.run(&["migrate", "--to", "3"]);
    let lines: Vec<_> = third.stdout.lines().collect();
    assert!(lines[0].ends_with(".db: backup, checked"), "{}{}", third.stdout, third.stderr);
    assert_eq!(lines[1..], ["0003 admins: done", &*format!("{file}: from version 2 to 3")]);
    assert_eq!(inside(&old.file()).await, (3, 1));

    // The old name of the command does the same.
    let fourth = old.run(&["db", "migrate", "--to", "4"]);
    assert!(fourth.stdout.contains("0004 failed_runs: done\n"), "{}{}", fourth.stdout, fourth.stderr);
    assert_eq!(inside(&old.file()).await, (4, 1));
    assert!(old.refused(&["migrate", "--to", "3"]).contains("only go forward"));

    let names = old.backups();
    assert_eq!(names.len(), 2, "{names:?}");
    for (name, version) in names.iter().zip([2, 3]) {
        assert!(name.starts_with(&format!("timerjobs-v{version}-before-v{}-", version + 1)), "{names:?}");
        let path = old.path("backups").join(name);
        assert_eq!(inside(&path).await, (version, 1));
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777,
            0o600
        );
    }
    assert!(old.run(&["migrate"]).code == Some(0));
    assert!(old.run(&["migrate"]).stdout.contains("is up to date, version "));
}

#[tokio::test]
async fn a_start_keeps_a_backup_and_without_one_changes_nothing() {
    let old = Old::at(2).await;
    let before = fs::read(old.file()).unwrap();
    // What the folder of the backups would be is a file.
    fs::write(old.path("backups"), "").unwrap();
    for args in [["start"].as_slice(), &["migrate"]] {
        let line = old.refused(args);
        assert!(
            line.contains("the tables stay at version 2, as they are not changed without a backup: "),
            "{line}"
        );
        assert!(
            line.contains("the backup cannot be written") && line.contains("choose another BACKUP_DIR"),
            "{line}"
        );
        assert_eq!(fs::read(old.file()).unwrap(), before, "{args:?}");
    }
    let line = finding(&old.run(&["doctor"]), "database");
    assert!(line.starts_with("FAIL  ") && line.contains("choose another BACKUP_DIR"), "{line}");
    fs::remove_file(old.path("backups")).unwrap();

    let url = format!("sqlite:///{}", old.file().display());
    let backups = old.path("backups").display().to_string();
    let mut program = Program::with(&[("DATABASE_URL", &url), ("BACKUP_DIR", &backups)]);
    let names = old.backups();
    assert!(names.len() == 1 && program.said().contains(&names[0]), "{names:?}: {}", program.said());
    assert!(program.said().contains("from=2 to="), "{}", program.said());
    assert_eq!(inside(&old.path("backups").join(&names[0])).await, (2, 1));
    program.signal("TERM");
    program.wait();
    let again = program.start_again();
    assert_eq!((old.backups(), again.get("/health")["status"].as_str()), (names, Some("ok")));
}

#[tokio::test]
async fn a_file_of_others_is_backed_up_before_our_tables_come_in() {
    let old = Old(tempfile::tempdir().unwrap());
    fs::create_dir(old.path("data")).unwrap();
    old.sql("CREATE TABLE theirs (id INTEGER)").await;
    assert!(old.refused(&["migrate"]).contains("has no tables of TimerJobs; `timerjobs db init` makes them"));
    assert_eq!(old.backups(), Vec::<String>::new());
    let made = old.run(&["db", "init"]);
    assert!(made.stdout.contains("backup, checked\n"), "{}{}", made.stdout, made.stderr);
    let names = old.backups();
    assert!(names.len() == 1 && names[0].starts_with("timerjobs-v0-before-v"), "{names:?}");
    let fresh = Old(tempfile::tempdir().unwrap());
    assert!(fresh.run(&["db", "init"]).stdout.contains("made, version "));
    assert_eq!(fresh.backups(), Vec::<String>::new(), "there was nothing to lose");
}

#[tokio::test]
async fn migrate_waits_for_no_server_and_doctor_tells_older_tables() {
    let old = Old::at(2).await;
    let line = finding(&old.run(&["doctor"]), "database");
    assert!(line.starts_with("warn  ") && line.contains("version 2 of "), "{line}");
    assert!(old.run(&["db", "init"]).stdout.contains("`timerjobs migrate` updates it"));
    let lock = fs::File::create(old.path("data/timerjobs.lock")).unwrap();
    lock.lock().unwrap();
    assert!(old.refused(&["migrate"]).contains("stop it first"));
    assert_eq!(old.run(&["migrate", "--dry-run"]).code, Some(0), "a look needs no lock");
    drop(lock);
    // The same file by another way, with a data folder of its own.
    std::os::unix::fs::symlink(old.path("data"), old.path("link")).unwrap();
    let url = format!("sqlite:///{}", old.path("link/timerjobs.db").display());
    let lock = fs::File::create(old.path("data/timerjobs.db.lock")).unwrap();
    lock.lock().unwrap();
    let refused = run_in(old.0.path(), &["migrate"], [("DATA_DIR", "own"), ("DATABASE_URL", url.as_str())]);
    assert!(refused.code == Some(1) && refused.stderr.contains("on this database"), "{}", refused.stderr);
    assert_eq!(old.backups(), Vec::<String>::new());
}
