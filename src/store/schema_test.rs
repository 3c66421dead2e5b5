//! Older, newer, edited and interrupted tables, in the database that `TEST_STORE` names.

use super::*;
use crate::store::Store;
use crate::store::sql::Sql;
use crate::store::store_test::{add, commit_opens, fresh, get, run};
use crate::store::testing::place;

/// The table of migrations.
fn history(store: &Store) -> &'static str {
    if store.dialect() == Dialect::Sqlite { "_sqlx_migrations" } else { "tj_migrations" }
}

async fn versions(store: &Store) -> Vec<(i64,)> {
    let sql = format!("SELECT version FROM {} ORDER BY version", history(store));
    store.write.fetch(&Sql::new(sql)).await.unwrap()
}

#[tokio::test]
async fn older_tables_are_brought_up_step_by_step_and_keep_their_rows() {
    let place = place();
    assert_eq!(place.look().await, Schema::Absent);
    let store = place.try_open(2).await.unwrap();
    let job = add(&store, "kept").await;
    let open = run(&job, Some(0));
    commit_opens(&store, vec![open.clone()]).await;
    store.close().await;
    assert_eq!(place.look().await, Schema::Older(2));

    place.try_open(3).await.unwrap().close().await;
    assert_eq!(place.look().await, Schema::Older(3), "to 3 is not to the newest");

    let store = place.open().await;
    assert_eq!(place.look().await, Schema::Current(newest_schema()));
    assert_eq!(store.job(job.id).await.unwrap().map(|j| j.name), Some("kept".to_owned()));
    assert_eq!(get(&store, open.id).await.outcome, "running");
    assert_eq!(store.raw_number("SELECT count(*) FROM tj_admins").await, 0);
}

#[tokio::test]
async fn tables_that_we_cannot_work_with_are_refused_in_one_line_and_stay() {
    let (store, place) = fresh().await;
    let (table, newest) = (history(&store), newest_schema());
    let columns = "description, success, checksum, execution_time";
    let copy = |to: i64| {
        format!(
            "INSERT INTO {table} (version, {columns}) SELECT {to}, {columns} FROM {table} WHERE version = 1"
        )
    };
    let delete = |version: i64| format!("DELETE FROM {table} WHERE version = {version}");
    let begun = |version: i64| format!("UPDATE {table} SET success = false WHERE version = {version}");
    store.raw(&format!("CREATE TABLE tj_kept AS SELECT * FROM {table}")).await;
    for (changes, schema, what, mend) in [
        (vec![copy(9999)], Schema::Newer(9999), "made by a newer version of TimerJobs", "start that version"),
        (
            vec![copy(9999), begun(9999)],
            Schema::Newer(9999),
            "(its tables are of version 9999",
            "restore the backup",
        ),
        (
            vec![begun(newest)],
            Schema::Interrupted(newest),
            "was interrupted in the middle",
            "restore the backup",
        ),
        (
            vec![delete(2), copy(2)],
            Schema::Changed(2),
            "migration 2 of this database is not the one",
            "a release made",
        ),
    ] {
        for change in &changes {
            store.raw(change).await;
        }
        let before = versions(&store).await;
        assert_eq!(place.look().await, schema);
        let refusal = schema.usable().unwrap_err().to_string();
        let line = place.try_open(newest).await.unwrap_err();
        assert!(
            line.contains(what) && line.contains(mend) && line.lines().count() == 1,
            "{schema:?}: {line}"
        );
        assert!(line.ends_with(&refusal), "whoever looks first says the same: {line}: {refusal}");
        assert_eq!(versions(&store).await, before);
        for undo in [format!("DELETE FROM {table}"), format!("INSERT INTO {table} SELECT * FROM tj_kept")] {
            store.raw(&undo).await;
        }
    }
    assert_eq!(place.look().await, Schema::Current(newest));
    store.raw("DROP TABLE tj_kept").await;
}

#[tokio::test]
async fn a_migration_that_fails_says_so_and_loses_nothing() {
    let place = place();
    let store = place.try_open(3).await.unwrap();
    add(&store, "kept").await;
    // What migration 4 makes is there already.
    store.raw("CREATE INDEX tj_runs_failed ON tj_runs (id)").await;
    let line = place.try_open(4).await.unwrap_err();
    assert!(line.contains("migration 4 failed (") && line.lines().count() == 1, "{line}");
    let mysql = store.dialect() == Dialect::MySql;
    if mysql {
        assert!(line.contains("restore the backup"), "{line}");
        assert_eq!(place.look().await, Schema::Interrupted(4));
        store.raw("DELETE FROM tj_migrations WHERE version = 4").await;
    } else {
        assert!(line.contains("it was undone"), "{line}");
        assert_eq!(place.look().await, Schema::Older(3));
    }
    store.raw(if mysql { "DROP INDEX tj_runs_failed ON tj_runs" } else { "DROP INDEX tj_runs_failed" }).await;
    let again = place.try_open(4).await.unwrap();
    let kept = Sql::new("SELECT count(*) FROM tj_jobs WHERE name = 'kept'");
    assert_eq!(again.read.number(&kept).await.unwrap(), 1);
}

#[test]
fn each_step_has_its_number_and_name() {
    let told = |at, to| steps(at, to).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told(1, 3), ["0002 settings", "0003 admins"]);
    assert_eq!(told(3, 3), Vec::<String>::new());
    assert_eq!(told(3, 4), ["0004 failed_runs"]);
}
