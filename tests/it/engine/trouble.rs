//! The database fails while the server runs: nothing starts without its row, nothing is lost, and
//! it goes on without a restart.

use super::column;
use crate::support::TestApp;
use serde_json::json;

#[tokio::test]
async fn what_is_due_while_the_database_is_locked_runs_when_it_is_free() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"cron_expr": "0 * * * * *", "max_run_count": 2})).await;
    app.settled().await;
    let blocker = app.database().block().await;
    app.advance(60);
    app.until(async |app| app.status("/health").await == 503).await;
    let health = app.body("/health").await;
    let why = health["database"].as_str().unwrap();
    assert!(why.contains("locked") || why.contains("did not answer"), "{health}");
    let refused = app.post("/jobs/run", json!({"id": id})).await;
    assert_eq!(refused["code"], 500, "{refused}");
    assert!(app.runs(id).await.is_empty(), "no run without its row");
    blocker.close().await;
    app.ended(id, 1).await;
    app.until(async |app| app.status("/health").await == 200).await;
    app.advance(60);
    app.ended(id, 1).await;
    let runs = app.runs(id).await;
    assert_eq!(column(&runs, "scheduled_at"), ["2026-01-05T08:01:00.000Z", "2026-01-05T08:02:00.000Z"]);
    let job = app.job(id).await;
    assert_eq!((&job["run_count"], &job["state"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn the_end_of_a_run_is_recorded_when_the_database_is_back() {
    let mut app = TestApp::start().await;
    let gate = super::Gate::new(&app, "gate");
    let id = app.add(super::gated(&gate, json!({"cron_expr": "0 0 1 1 *"}))).await;
    app.post("/jobs/run", json!({"id": id})).await;
    app.started(id).await;
    app.settled().await;
    let blocker = app.database().block().await;
    gate.open();
    app.until(async |app| app.status("/health").await == 503).await;
    assert_eq!(column(&app.runs(id).await, "outcome"), ["running"]);
    blocker.close().await;
    app.ended(id, 1).await;
    assert_eq!(column(&app.runs(id).await, "outcome"), ["success"]);
}

#[tokio::test]
async fn a_server_whose_database_is_away_still_stops() {
    let settings = [("JOBS_SHUTDOWN_GRACE", "1"), ("JOBS_KILL_GRACE", "0")];
    let mut app = TestApp::with(&settings).await;
    let gate = super::Gate::new(&app, "gate");
    let id = app.add(super::gated(&gate, json!({"cron_expr": "0 * * * * *", "allow_mode": 1}))).await;
    app.post("/jobs/run", json!({"id": id})).await;
    app.started(id).await;
    let blocker = app.database().block().await;
    gate.open();
    app.until(async |app| app.status("/health").await == 503).await;
    app.tell(timerjobs::app::Stop::Gently);
    let stopped = app.served().await;
    blocker.close().await;
    let app = stopped.start_again().await;
    app.settled().await;
    assert_eq!(column(&app.runs(id).await, "outcome"), ["lost"], "its end could not be written");
}

#[tokio::test]
async fn check_job_takes_in_what_was_changed_behind_our_back() {
    let app = TestApp::start().await;
    let kept = app.add(json!({"name": "kept"})).await;
    let gone = app.add(json!({"name": "gone"})).await;
    let changed = app.add(json!({"name": "changed", "cron_expr": "0 0 1 1 *"})).await;
    let statements = [
        "DELETE FROM tj_jobs WHERE name = 'gone'",
        "UPDATE tj_jobs SET cron_expr = '30 * * * * *' WHERE name = 'changed'",
        "INSERT INTO tj_jobs SELECT 100, 'added', descr, trigger_type, cron_expr, interval_seconds, timezone, mode, command, \
         enabled, allow_mode, max_run_count, misfire_policy, misfire_window, recovery, remove_task, remove_log, stop_reason, \
         created_ms, updated_ms, version FROM tj_jobs WHERE name = 'kept'",
        "INSERT INTO tj_job_state SELECT 100, decided_ms, 0, NULL, NULL, 0 FROM tj_job_state LIMIT 1",
    ];
    app.database().run(&statements).await;
    let answer = app.post("/jobs/checkJob", json!({})).await;
    assert_eq!(answer["data"], json!({"added": 1, "removed": 1, "updated": 1}), "{answer}");
    assert!(answer["msg"].as_str().unwrap().contains("任务调度器已校准"));
    app.advance(60);
    app.until(async |app| app.runs(changed).await.len() == 1 && app.runs(100).await.len() == 1).await;
    assert_eq!(app.runs(kept).await.len(), 1);
    assert_eq!(app.post("/jobs/logs", json!({"id": gone})).await["code"], 404);
}
