//! Ending (semantics 10): no new claims, runs get their time, what is left is cancelled.

use super::{Gate, column, gated};
use crate::support::TestApp;
use serde_json::json;
use timerjobs::app::Stop;

#[tokio::test]
async fn a_run_in_flight_may_end_in_its_grace() {
    let mut app = TestApp::start().await;
    let gate = Gate::new(&app, "gate");
    let id = app.add(gated(&gate, json!({"cron_expr": "* * * * * *", "allow_mode": 2}))).await;
    app.started(id).await;
    app.advance(1);
    app.settled().await;
    app.tell(Stop::Gently);
    // The waiting run is cancelled at once; nothing new is claimed; a manual run is refused.
    app.until(async |app| column(&app.runs(id).await, "outcome") == ["running", "cancelled"]).await;
    app.advance(5);
    let refused = app.post("/jobs/run", json!({"id": id})).await;
    assert_eq!(refused["code"], 400, "{refused}");
    assert_eq!(app.get("/health").await["status"], "ok", "people can still look");
    gate.open();
    let app = app.served().await.start_again().await;
    app.post("/jobs/stop", json!({"id": id})).await;
    let runs = app.runs(id).await;
    assert_eq!(column(&runs[..2], "outcome"), ["success", "cancelled"]);
    assert_eq!(runs[1]["reason"], "shutdown");
}

#[tokio::test]
async fn a_second_word_ends_the_runs() {
    let mut app = TestApp::with(&[("JOBS_KILL_GRACE", "1")]).await;
    let gate = Gate::new(&app, "never opened");
    let id = app.add(gated(&gate, json!({"cron_expr": "0 0 1 1 *"}))).await;
    app.post("/jobs/run", json!({"id": id})).await;
    app.started(id).await;
    app.tell(Stop::Gently);
    app.tell(Stop::AtOnce);
    let app = app.served().await.start_again().await;
    let runs = app.runs(id).await;
    assert_eq!((column(&runs, "outcome"), column(&runs, "reason")), (vec!["cancelled"], vec!["shutdown"]));
}

#[tokio::test]
async fn when_the_grace_is_over_the_runs_are_ended() {
    let mut app = TestApp::with(&[("JOBS_SHUTDOWN_GRACE", "0"), ("JOBS_KILL_GRACE", "1")]).await;
    // It ignores TERM: only KILL ends it.
    let command = "【command】trap '' TERM; while true; do sleep 0.05; done\n【timeout】60";
    let id = app.add(json!({"cron_expr": "0 0 1 1 *", "mode": "command", "command": command})).await;
    app.post("/jobs/run", json!({"id": id})).await;
    app.started(id).await;
    let app = app.shut_down().await.start_again().await;
    assert_eq!(column(&app.runs(id).await, "outcome"), ["cancelled"]);
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let app = TestApp::start().await;
    let refused = app.second().await.unwrap_err();
    assert!(refused.contains("another TimerJobs server is running"), "{refused}");
    let app = app.shut_down().await.start_again().await;
    assert_eq!(app.get("/health").await["status"], "ok", "a lock that nobody holds does not stop a start");
}
