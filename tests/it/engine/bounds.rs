//! Nothing grows without bound, and what does not fit is recorded (semantics 13 and 14).

use super::{Gate, column, gated};
use crate::support::TestApp;
use serde_json::json;
use timerjobs::Outcome;

#[tokio::test]
async fn runs_beyond_the_nodes_places_wait_and_then_are_skipped() {
    let mut app = TestApp::with(&[("JOBS_MAX_CONCURRENT", "1"), ("JOBS_MAX_WAITING", "2")]).await;
    let gate = Gate::new(&app, "gate");
    let id = app.add(gated(&gate, json!({"cron_expr": "* * * * * *"}))).await;
    for _ in 0..4 {
        app.advance(1);
        app.settled().await;
    }
    assert_eq!(app.ended(id, 1).await, [Outcome::Skipped]);
    let runs = app.runs(id).await;
    assert_eq!(column(&runs, "outcome"), ["running", "waiting", "waiting", "skipped"]);
    assert_eq!(runs[3]["reason"], "queue_full");
    let manual = app.post("/jobs/run", json!({"id": id})).await;
    assert_eq!(manual["data"]["reason"], "queue_full");
    gate.open();
    assert_eq!(app.ended(id, 4).await.last(), Some(&Outcome::Success));
    assert_eq!(app.runs(id).await.iter().filter(|r| r["outcome"] == "success").count(), 3);
}

#[tokio::test]
async fn add_and_run_cleans_up_also_when_there_was_no_place() {
    let mut app = TestApp::with(&[("JOBS_MAX_CONCURRENT", "1"), ("JOBS_MAX_WAITING", "0")]).await;
    let gate = Gate::new(&app, "gate");
    let busy = app.add(gated(&gate, json!({"cron_expr": "0 0 1 1 *"}))).await;
    app.post("/jobs/run", json!({"id": busy})).await;
    app.started(busy).await;
    let job = json!({"name": "once", "cron_expr": "0 0 * * *", "mode": "func", "command": "Echo hi", "remove_task": true});
    let answer = app.post("/jobs/addAndRun", job).await;
    let id = answer["data"]["job_id"].as_i64().unwrap();
    app.settled().await;
    assert_eq!(app.get(&format!("/jobs/read?id={id}")).await["code"], 404);
    assert_eq!(column(&app.runs(id).await, "outcome"), ["skipped"]);
    gate.open();
}

#[tokio::test]
async fn run_all_runs_every_scheduled_job_once() {
    let mut app = TestApp::with(&[("JOBS_MAX_CONCURRENT", "2")]).await;
    let mut ids = Vec::new();
    for i in 0..5 {
        ids.push(app.add(json!({"name": format!("job {i}"), "cron_expr": "0 0 1 1 *"})).await);
    }
    let stopped = app.add(json!({"name": "stopped", "state": 2})).await;
    let answer = app.post("/jobs/runAll", json!({})).await;
    assert_eq!(answer["data"]["triggered"], 5);
    for _ in 0..5 {
        app.event(|e| matches!(e, timerjobs::Event::RunEnded { .. }).then_some(())).await;
    }
    for id in ids {
        assert_eq!(column(&app.runs(id).await, "outcome"), ["success"]);
    }
    assert!(app.runs(stopped).await.is_empty());
}

#[tokio::test]
async fn the_newest_runs_of_a_job_are_kept() {
    let mut app = TestApp::with(&[("RETENTION_RUNS", "3")]).await;
    let id = app.add(json!({"cron_expr": "0 0 1 1 *"})).await;
    for _ in 0..10 {
        app.advance(1);
        app.post("/jobs/run", json!({"id": id})).await;
        app.ended(id, 1).await;
    }
    app.advance(61);
    app.until(async |app| app.runs(id).await.len() == 3).await;
    let runs = app.runs(id).await;
    assert_eq!(runs[2]["time"], "2026-01-05 08:00:10.000", "the newest stay");
}

#[tokio::test]
async fn old_runs_go_and_a_changed_setting_applies_to_old_data() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"cron_expr": "0 0 1 1 *"})).await;
    for _ in 0..5 {
        app.post("/jobs/run", json!({"id": id})).await;
        app.ended(id, 1).await;
    }
    let mut stopped = app.shut_down().await;
    stopped.settings.push(("RETENTION_RUNS".into(), "2".into()));
    let app = stopped.start_again().await;
    app.until(async |app| app.runs(id).await.len() == 2).await;
    app.advance(31 * 86_400);
    app.until(async |app| app.runs(id).await.is_empty()).await;
}

#[tokio::test]
async fn records_in_all_stay_within_their_bytes() {
    let settings = [("RETENTION_TOTAL_MB", "1"), ("JOBS_OUTPUT_LIMIT_KB", "256")];
    let mut app = TestApp::with(&settings).await;
    let id = app.add(json!({"cron_expr": "0 0 1 1 *", "mode": "command", "command": "head -c 200000 /dev/zero | tr '\\0' x"})).await;
    for _ in 0..8 {
        app.post("/jobs/run", json!({"id": id})).await;
        app.ended(id, 1).await;
    }
    assert_eq!(app.runs(id).await.len(), 8);
    app.advance(61);
    app.until(async |app| app.runs(id).await.len() <= 5).await;
    assert_eq!(app.runs(id).await.len(), 5, "only as many of the oldest go as must");
}

#[tokio::test]
async fn output_is_kept_with_its_first_and_last_part() {
    let mut app = TestApp::with(&[("JOBS_OUTPUT_LIMIT_KB", "8")]).await;
    let command = "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last; echo wrong >&2";
    let id = app.add(json!({"mode": "command", "command": command})).await;
    app.post("/jobs/run", json!({"id": id})).await;
    assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
    let run = &app.runs(id).await[0];
    let out = run["stdout"].as_str().unwrap();
    assert!(out.starts_with("first\n") && out.ends_with("last\n"), "{}", &out[out.len() - 50..]);
    assert!(out.len() <= 8 * 1024, "{}", out.len());
    assert_eq!(run["stderr"], "wrong\n");
}
