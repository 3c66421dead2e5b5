//! Tables that this program cannot work with, in the database that `TEST_STORE` names: every command
//! refuses them in one line and changes nothing.

use crate::admin::finding;
use crate::support::TestApp;
use crate::support::program::run_in;

#[tokio::test]
async fn newer_and_interrupted_tables_are_refused_by_every_command() {
    let stopped = TestApp::start().await.shut_down().await;
    let (folder, database) = (stopped.folder.path(), &stopped.database);
    let settings = database.settings();
    let data = folder.join("data").display().to_string();
    let env = || {
        let own = [("DATA_DIR", data.as_str()), ("PORT", "0"), ("HOST", "127.0.0.1")];
        own.into_iter().chain(settings.iter().map(|(k, v)| (k.as_str(), v.as_str())))
    };
    let history = if settings.is_empty() { "_sqlx_migrations" } else { "tj_migrations" };
    let columns = "description, success, checksum, execution_time";
    let copy = format!(
        "INSERT INTO {history} (version, {columns}) SELECT 9999, {columns} FROM {history} WHERE version = 1"
    );
    let begun = format!("UPDATE {history} SET success = false WHERE version = 9998");
    let moved = format!("UPDATE {history} SET version = 9998 WHERE version = 9999");
    let half = format!("DELETE FROM {history} WHERE version = 9998");
    let last = format!("UPDATE {history} SET success = false WHERE version = 4");
    for (changes, what, mend) in [
        (vec![copy.as_str()], "made by a newer version of TimerJobs", "start that version"),
        (vec![&moved, &begun], "its tables are of version 9998", "start that version"),
        (vec![&half, &last], "an upgrade was interrupted", "restore the backup"),
    ] {
        database.run(&changes).await;
        for args in [["start"].as_slice(), &["migrate"], &["migrate", "--dry-run"], &["db", "init"]] {
            let refused = run_in(folder, args, env());
            let lines = refused.stderr.lines().count();
            assert_eq!((refused.code, lines), (Some(1), 1), "{args:?}: {}", refused.stderr);
            assert!(refused.stderr.contains(what) && refused.stderr.contains(mend), "{}", refused.stderr);
        }
        let doctor = run_in(folder, &["doctor"], env());
        let line = finding(&doctor, "database");
        assert!(doctor.code == Some(1) && line.starts_with("FAIL  ") && line.contains(what), "{line}");
    }
    assert!(!folder.join("backups").exists());
    // What was put in is all that was wrong.
    database.run(&[&format!("UPDATE {history} SET success = true")]).await;
    assert!(run_in(folder, &["migrate"], env()).stdout.contains("is up to date"));
    drop(stopped.start_again().await);
}

/// Of a database on a server nobody makes a backup, and `migrate` says what does.
#[tokio::test]
async fn migrate_says_which_tool_backs_up_a_server() {
    let stopped = TestApp::start().await.shut_down().await;
    let settings = stopped.database.settings();
    if settings.is_empty() {
        return;
    }
    // As version 10 made it: with a newer migration this is to undo that one. This one can run again.
    let statements = ["DELETE FROM tj_migrations WHERE version = 11"];
    stopped.database.run(&statements).await;
    let run = |args: &[&str]| {
        run_in(stopped.folder.path(), args, settings.iter().map(|(k, v)| (k.as_str(), v.as_str()))).stdout
    };
    let plan = run(&["migrate", "--dry-run"]);
    assert!(
        plan.contains("version 10, would be brought to 11") && plan.contains("0011 fire_key: would run"),
        "{plan}"
    );
    let tool = |said: &str| said.contains("mysqldump") || said.contains("pg_dump");
    assert!(tool(&plan) && plan.ends_with("nothing was changed\n"), "{plan}");
    let done = run(&["migrate"]);
    assert!(
        tool(&done) && done.contains("0011 fire_key: done\n") && done.contains("from version 10 to 11"),
        "{done}"
    );
}
