//! The database server goes away while we run: refused, silent, cut in the middle of a commit. Nothing
//! starts without its row, nothing starts twice, and it goes on by itself.

use crate::engine::column;
use crate::support::database::{Database, Kind};
use crate::support::program::run_in;
use crate::support::proxy::{Network, Proxy};
use crate::support::servers::DatabaseServer;
use crate::support::{START, TestApp};
use serde_json::json;
use timerjobs::clock::Settable;

macro_rules! on_servers {
    ($($test:ident),* $(,)?) => {
        mod on_servers {
            $(mod $test {
                use crate::support::database::Kind;

                #[tokio::test]
                async fn mysql() {
                    super::super::$test(Kind::MySql).await;
                }

                #[tokio::test]
                async fn postgres() {
                    super::super::$test(Kind::Postgres).await;
                }
            })*
        }
    };
}

on_servers! {
    a_server_that_is_down,
    a_network_that_drops_everything,
    connections_that_were_forgotten,
    a_commit_whose_answer_was_lost,
    readers_that_wait_keep_no_fire,
    whoever_was_taken_over_ends,
    a_server_that_is_killed,
    certificates_are_checked_as_far_as_asked,
}

async fn behind_proxy(kind: Kind) -> (TestApp, Proxy) {
    let proxy = Proxy::before(kind.port()).await;
    let app = TestApp::on(Database::on(kind, Some(proxy.port)), &Settable::new(START)).await;
    (app, proxy)
}

const EVERY_MINUTE: &str = "0 * * * * *";

/// Takes the database away while a fire comes due, and gives it back.
async fn away(kind: Kind, how: Network) {
    let (mut app, proxy) = behind_proxy(kind).await;
    let id = app.add(json!({"cron_expr": EVERY_MINUTE})).await;
    app.advance(60);
    app.ended(id, 1).await;
    proxy.turn(how);
    app.advance(60);
    app.until(async |app| app.status("/health").await == 503).await;
    // Refused at once, whether the database says no or says nothing.
    let refused = app.post("/jobs/run", json!({"id": id})).await;
    assert_eq!(refused["code"], 500, "{refused}");
    proxy.turn(Network::Well);
    app.ended(id, 1).await;
    app.until(async |app| app.status("/health").await == 200).await;
    // Half an hour of it: what was missed is recorded as such.
    proxy.turn(how);
    app.advance(1_800);
    app.until(async |app| app.status("/health").await == 503).await;
    proxy.turn(Network::Well);
    // The newest one missed, and the two that are at most a minute late.
    app.ended(id, 3).await;
    let runs = app.runs(id).await;
    let expected = ["success", "success", "missed", "success", "success", "success"];
    assert_eq!(column(&runs, "outcome"), expected, "{runs:?}");
    assert_eq!(runs[2]["missed_count"], 27, "{runs:?}");
    assert_eq!(app.job(id).await["run_count"], 5);
}

async fn a_server_that_is_down(kind: Kind) {
    away(kind, Network::Down).await;
}

async fn a_network_that_drops_everything(kind: Kind) {
    away(kind, Network::Silent).await;
}

/// A firewall that forgot our connections: the database still holds the locks of what was under way.
async fn connections_that_were_forgotten(kind: Kind) {
    let (mut app, proxy) = behind_proxy(kind).await;
    let id = app.add(json!({"cron_expr": EVERY_MINUTE})).await;
    app.settled().await;
    proxy.turn(Network::Forgetful);
    app.advance(60);
    app.ended(id, 1).await;
    proxy.turn(Network::Forgetful);
    app.advance(60);
    app.ended(id, 1).await;
    let runs = app.runs(id).await;
    assert_eq!(column(&runs, "outcome"), ["success", "success"], "{runs:?}");
}

async fn a_commit_whose_answer_was_lost(kind: Kind) {
    let (mut app, proxy) = behind_proxy(kind).await;
    let id = app.add(json!({"cron_expr": EVERY_MINUTE, "max_run_count": 3})).await;
    app.settled().await;
    for _ in 0..3 {
        proxy.turn(Network::CutAfterCommit);
        app.advance(60);
        proxy.becomes(Network::Well).await;
        app.ended(id, 1).await;
    }
    let runs = app.runs(id).await;
    assert_eq!(column(&runs, "outcome"), ["success"; 3], "{runs:?}");
    let instants = ["2026-01-05T08:01:00.000Z", "2026-01-05T08:02:00.000Z", "2026-01-05T08:03:00.000Z"];
    assert_eq!(column(&runs, "scheduled_at"), instants);
    let job = app.job(id).await;
    assert_eq!((&job["run_count"], &job["state"]), (&json!(3), &json!(2)), "{job}");
}

/// Those who look may all wait for the database; those who fire have connections of their own.
async fn readers_that_wait_keep_no_fire(kind: Kind) {
    let (mut app, proxy) = behind_proxy(kind).await;
    let id = app.add(json!({"cron_expr": EVERY_MINUTE})).await;
    app.settled().await;
    let before = proxy.made();
    let blocker = app.database().block_table("tj_jobs").await;
    let (http, url) = (app.http.clone(), format!("{}/jobs/list?name=any", app.url));
    let readers: Vec<_> = (0..30).map(|_| tokio::spawn(http.get(&url).send())).collect();
    // As many as there are connections for readers wait now, some of them on those that were there.
    app.until(async |_| proxy.made() >= before + 5).await;
    app.advance(60);
    app.ended(id, 1).await;
    blocker.close().await;
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap().status(), 200);
    }
}

/// A server that was cut off comes back when another one has its database: it starts nothing more.
async fn whoever_was_taken_over_ends(kind: Kind) {
    let (mut first, proxy) = behind_proxy(kind).await;
    let id = first.add(json!({"cron_expr": EVERY_MINUTE})).await;
    first.settled().await;
    proxy.turn(Network::Down);
    first.advance(60);
    first.until(async |app| app.status("/health").await == 503).await;
    let mut second = TestApp::on(first.database().borrow(), &first.clock).await;
    second.ended(id, 1).await;
    proxy.turn(Network::Well);
    let why = format!("{:#}", first.ended_with().await.unwrap_err());
    assert!(why.contains("another TimerJobs server has taken this database over"), "{why}");
    second.advance(60);
    second.ended(id, 1).await;
    let runs = second.runs(id).await;
    assert_eq!(column(&runs, "outcome"), ["success", "success"], "{runs:?}");
    second.shut_down().await;
}

async fn a_server_that_is_killed(kind: Kind) {
    let mut server = DatabaseServer::with_tls(kind);
    let mut app = TestApp::on(Database::at(kind, server.port), &Settable::new(START)).await;
    let id = app.add(json!({"cron_expr": EVERY_MINUTE})).await;
    for minute in 1..=3 {
        app.advance(60);
        app.ended(id, 1).await;
        server.kill();
        app.advance(60);
        app.until(async |app| app.status("/health").await == 503).await;
        server.start_again();
        app.ended(id, 1).await;
        app.until(async |app| app.status("/health").await == 200).await;
        let runs = app.runs(id).await;
        assert_eq!(column(&runs, "outcome"), vec!["success"; minute * 2], "{runs:?}");
    }
}

/// The server takes only encrypted connections, and its certificate is for `localhost`.
async fn certificates_are_checked_as_far_as_asked(kind: Kind) {
    let (server, stranger) = (DatabaseServer::with_tls(kind), DatabaseServer::with_tls(kind));
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (server.authority(), stranger.authority());
    let (ours, other) = (ours.to_str().unwrap(), other.to_str().unwrap());
    let cases = [
        ("disable", "localhost", "", false),
        ("prefer", "127.0.0.1", "", true),
        ("require", "127.0.0.1", "", true),
        ("verify-ca", "127.0.0.1", ours, true),
        ("verify-ca", "127.0.0.1", other, false),
        ("verify-ca", "localhost", "", false),
        ("verify-full", "localhost", ours, true),
        ("verify-full", "127.0.0.1", ours, false),
        ("verify-full", "localhost", other, false),
        ("verify-full", "localhost", "/no/such/file", false),
    ];
    for (mode, host, authority, accepted) in cases {
        // PostgreSQL trusts here whatever password comes; MariaDB's root has none.
        let password = if matches!(kind, Kind::Postgres) { ":s3cret@" } else { "@" };
        let url = kind.url(host, server.port).replace('@', password);
        let env = [("DATABASE_URL", url.as_str()), ("DATABASE_TLS", mode), ("DATABASE_CA_FILE", authority)];
        let ended = run_in(folder.path(), &["db", "init"], env);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code == Some(0), accepted, "{mode} {host} {authority}: {said}");
        assert!(!said.contains("s3cret") && said.trim().lines().count() == 1, "{said}");
        let why = ["encrypted connection", "refuses this account", "cannot be read", "cannot be used"];
        assert!(accepted || why.iter().any(|why| said.contains(why)), "{mode} {host}: {said}");
    }
}
