//! What only a database server does.

use super::super::batch::Batch;
use super::super::sql::Sql;
use super::super::store_test::{add, get, run};
use super::super::testing::{fresh_of, server};
use super::*;
use crate::store::{Error, hold};

const KINDS: [ServerKind; 2] = [ServerKind::MySql, ServerKind::Postgres];

#[tokio::test]
async fn a_database_has_one_server_at_a_time() {
    for kind in KINDS {
        let (one, other) = (server(kind), server(kind));
        let held = hold(&one).await.unwrap();
        let refused = hold(&one).await.unwrap_err().to_string();
        assert!(
            refused.contains("another TimerJobs server is running on this database; stop it"),
            "{refused}"
        );
        // Other tables are another installation.
        hold(&other).await.unwrap();
        drop(held);
        // The server hears of the closed connection a moment later.
        while hold(&one).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_server_is_told_in_one_line_without_the_password() {
    for kind in KINDS {
        let right = server(kind);
        let (user, password) = ("nobody".to_owned(), "s3cret".to_owned());
        for (wrong, part) in [
            (Server { port: 1, ..right.clone() }, "nobody answers"),
            (Server { database: "tj_missing".into(), ..right.clone() }, "no such database"),
            (Server { user: user.clone(), password: password.clone(), ..right.clone() }, "account"),
            (Server { tls: TlsMode::VerifyFull, ..right.clone() }, "encrypted connection"),
        ] {
            // PostgreSQL on this machine trusts whoever comes: an unknown role is refused all the same.
            let line = Store::open_server(&wrong).await.unwrap_err().to_string();
            assert!(line.contains(part) || line.contains("cannot be"), "{kind:?} {part}: {line}");
            assert!(!line.contains("s3cret") && line.lines().count() == 1, "{line}");
        }
    }
}

/// A stranger and a commit each hold what the other one wants.
#[tokio::test]
async fn a_commit_that_loses_a_deadlock_is_tried_again() {
    for kind in KINDS {
        let (store, _place) = fresh_of(Some(kind)).await;
        let job = add(&store, "a").await;
        let mut stranger = store.write.begin().await.unwrap();
        // The one with less to undo is the victim on MySQL, the one that waits first on PostgreSQL.
        let many = match kind {
            ServerKind::MySql => "SELECT concat('n', seq), '1' FROM seq_1_to_1000",
            ServerKind::Postgres => "SELECT 'n' || n, '1' FROM generate_series(1, 1000) n",
        };
        let many = format!("INSERT INTO tj_settings (name, value) {many}");
        stranger.execute(&Sql::new(many)).await.unwrap();
        if kind == ServerKind::Postgres {
            stranger.execute(&Sql::new("SET LOCAL deadlock_timeout = '1min'")).await.unwrap();
        }
        stranger.execute(&Sql::new("UPDATE tj_system SET log_bytes = log_bytes")).await.unwrap();
        let (committing, opened) = (store.clone(), run(&job, Some(0)));
        let id = opened.id;
        let commit = tokio::spawn(async move {
            let mut batch = Batch { opens: vec![opened], ..Batch::default() };
            batch.cursor(job.id).last_run = Some(batch.now);
            committing.commit(&batch).await
        });
        while store.read.number(&Sql::new(waiters(kind))).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
        // It has moved the cursor and waits for the system row: from here on they block each other.
        stranger.execute(&Sql::new("UPDATE tj_job_state SET last_run_ms = 1")).await.unwrap();
        stranger.commit().await.unwrap();
        commit.await.unwrap().unwrap();
        assert_eq!(get(&store, id).await.outcome, "running", "{kind:?}");
    }
}

/// How many statements wait for the tables of this test.
fn waiters(kind: ServerKind) -> &'static str {
    match kind {
        ServerKind::MySql => {
            // That the statement is there is enough: only the stranger's lock keeps it.
            "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'UPDATE tj_system SET last_seen%'"
        }
        ServerKind::Postgres => {
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%tj_system%'"
        }
    }
}

/// After a failover the old primary may live on, read only: its connections are worth nothing.
#[tokio::test]
async fn a_connection_to_a_database_that_became_read_only_is_not_kept() {
    let (store, place) = fresh_of(Some(ServerKind::Postgres)).await;
    let name = format!("{}role", store.write.prefix());
    let run_as = |sql: String| async {
        store.write.execute(&Sql { keep: false, ..Sql::new(sql) }).await.unwrap();
    };
    run_as(format!("CREATE ROLE {name} SUPERUSER LOGIN")).await;
    let server = Server { user: name.clone(), ..place.server().clone() };
    let ours = Store::open_server(&server).await.unwrap();
    run_as(format!("ALTER ROLE {name} SET default_transaction_read_only = on")).await;
    let empty = Batch::default();
    let refused = ours.commit(&empty).await.unwrap_err();
    assert!(chain(&refused).contains("read-only transaction"), "{refused}");
    run_as(format!("ALTER ROLE {name} RESET default_transaction_read_only")).await;
    // The connection of before would still say no.
    ours.commit(&empty).await.unwrap();
    ours.close().await;
    run_as(format!("DROP OWNED BY {name}")).await;
    run_as(format!("DROP ROLE {name}")).await;
}

#[tokio::test]
async fn the_commit_of_a_server_that_was_taken_over_is_refused() {
    for kind in KINDS {
        let (first, place) = fresh_of(Some(kind)).await;
        let first = first.take_over().await.unwrap();
        let job = add(&first, "a").await;
        let second = place.open().await.take_over().await.unwrap();
        let late = run(&job, Some(0));
        let refused =
            first.commit(&Batch { opens: vec![late.clone()], ..Batch::default() }).await.unwrap_err();
        assert!(matches!(refused, Error::TakenOver), "{refused}");
        assert!(matches!(first.probe_write().await.unwrap_err(), Error::TakenOver));
        assert!(second.run(late.id).await.unwrap().is_none(), "nothing of it is there");
        second.commit(&Batch { opens: vec![late], ..Batch::default() }).await.unwrap();
    }
}
