//! What happens when a fire comes while a run is in flight (semantics 5).

use super::{Gate, column, gated};
use crate::support::TestApp;
use serde_json::json;
use timerjobs::Outcome;

#[tokio::test]
async fn a_serial_job_skips_and_says_so() {
    let mut app = TestApp::start().await;
    let gate = Gate::new(&app, "gate");
    let id = app.add(gated(&gate, json!({"cron_expr": "* * * * * *", "allow_mode": 1}))).await;
    app.advance(1);
    app.started(id).await;
    assert_eq!(app.job(id).await["state"], 1);
    app.advance(2);
    assert_eq!(app.ended(id, 2).await, [Outcome::Skipped; 2]);
    gate.open();
    assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
    app.advance(1);
    assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
    let runs = app.runs(id).await;
    assert_eq!(column(&runs, "outcome"), ["success", "skipped", "skipped", "success"]);
    assert_eq!(runs[1]["reason"], "overlap");
    assert!(runs[1]["error_msg"].as_str().unwrap().contains("串行"), "{}", runs[1]);
    assert_eq!(app.job(id).await["run_count"], 2, "a skipped fire is no start");
}

#[tokio::test]
async fn a_parallel_job_overlaps_up_to_64() {
    let mut app = TestApp::with(&[("JOBS_MAX_CONCURRENT", "100")]).await;
    let gate = Gate::new(&app, "gate");
    let id = app.add(gated(&gate, json!({"cron_expr": "0 0 1 1 *"}))).await;
    for _ in 0..64 {
        assert_eq!(app.post("/jobs/run", json!({"id": id})).await["data"]["skipped"], false);
    }
    let refused = app.post("/jobs/run", json!({"id": id})).await;
    assert_eq!((&refused["code"], &refused["data"]["reason"]), (&json!(200), &json!("parallel_limit")));
    assert_eq!(app.ended(id, 1).await, [Outcome::Skipped]);
    gate.open();
    assert_eq!(app.ended(id, 64).await, [Outcome::Success; 64]);
}

#[tokio::test]
async fn a_queueing_job_lets_fires_wait_in_order_up_to_100() {
    let mut app = TestApp::start().await;
    let gate = Gate::new(&app, "gate");
    let id = app.add(gated(&gate, json!({"cron_expr": "* * * * * *", "allow_mode": 2}))).await;
    app.started(id).await;
    for _ in 0..3 {
        app.advance(34);
        app.settled().await;
    }
    // 102 fires came meanwhile: 100 wait, two are skipped.
    assert_eq!(app.ended(id, 2).await, [Outcome::Skipped; 2]);
    let runs = app.runs(id).await;
    assert_eq!(runs.iter().filter(|r| r["outcome"] == "waiting").count(), 100);
    assert_eq!(runs[102]["reason"], "queue_full");
    gate.open();
    assert_eq!(app.ended(id, 101).await, [Outcome::Success; 101]);
    let runs = app.runs(id).await;
    let mut starts = column(&runs[..101], "scheduled_at");
    let in_order = starts.clone();
    starts.sort_unstable();
    assert_eq!(starts, in_order);
}

#[tokio::test]
async fn a_manual_run_overlaps_unless_the_setting_forbids_it() {
    for (allowed, serial_skips) in [("true", false), ("false", true)] {
        let mut app = TestApp::with(&[("JOBS_MANUAL_ALLOW_CONCURRENT", allowed)]).await;
        let gate = Gate::new(&app, "gate");
        let serial =
            app.add(gated(&gate, json!({"name": "s", "cron_expr": "0 0 1 1 *", "allow_mode": 1}))).await;
        app.post("/jobs/run", json!({"id": serial})).await;
        app.started(serial).await;
        let second = app.post("/jobs/run", json!({"id": serial})).await;
        assert_eq!(second["data"]["skipped"], serial_skips, "{allowed}: {second}");
        if serial_skips {
            assert_eq!(second["data"]["reason"], "overlap");
            let queueing =
                app.add(gated(&gate, json!({"name": "q", "cron_expr": "0 0 1 1 *", "allow_mode": 2}))).await;
            app.started(queueing).await;
            let waits = app.post("/jobs/run", json!({"id": queueing})).await;
            assert_eq!(waits["data"]["skipped"], false, "{waits}");
            assert_eq!(column(&app.runs(queueing).await, "outcome"), ["running", "waiting"]);
        }
        gate.open();
    }
}

#[tokio::test]
async fn stop_cancels_what_runs_and_what_waits() {
    let mut app = TestApp::start().await;
    let gate = Gate::new(&app, "never opened");
    let id = app.add(gated(&gate, json!({"cron_expr": "* * * * * *", "allow_mode": 2}))).await;
    app.started(id).await;
    app.advance(2);
    app.settled().await;
    let stopped = app.post("/jobs/stop", json!({"id": id})).await;
    assert!(stopped["msg"].as_str().unwrap().contains("任务已停止"));
    assert_eq!(app.ended(id, 3).await, [Outcome::Cancelled; 3]);
    let runs = app.runs(id).await;
    assert_eq!(column(&runs, "status"), ["取消"; 3]);
    assert_eq!(column(&runs, "reason"), ["stopped"; 3]);
    assert_eq!(column(&runs[1..], "end_time"), ["2026-01-05 08:00:02.000"; 2]);
    assert_eq!(app.job(id).await["state"], 2);
    app.advance(5);
    app.settled().await;
    assert_eq!(app.runs(id).await.len(), 3, "no more fires");
}

#[tokio::test]
async fn delete_cancels_and_keeps_the_records() {
    let mut app = TestApp::start().await;
    let gate = Gate::new(&app, "never opened");
    let id = app.add(gated(&gate, json!({"cron_expr": "0 0 1 1 *"}))).await;
    app.post("/jobs/run", json!({"id": id})).await;
    app.started(id).await;
    app.post("/jobs/del", json!({"id": id})).await;
    assert_eq!(app.ended(id, 1).await, [Outcome::Cancelled]);
    assert_eq!(column(&app.runs(id).await, "reason"), ["deleted"]);
    let again = app.add(json!({})).await;
    assert!(again > id, "a number is never used twice");
}
