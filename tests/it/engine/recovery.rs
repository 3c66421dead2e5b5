//! After a server that died: every run it left open is decided (semantics 2 and 9). The death is
//! made by putting back what a dead server leaves in the database; `cli.rs` kills a real one.

use super::column;
use crate::support::{Stopped, TestApp};
use serde_json::json;
use timerjobs::Outcome;

/// Runs that had ended are in flight again, as if the server had died before it wrote their ends.
async fn died_in_flight(stopped: &Stopped) {
    stopped.database.run(&["UPDATE tj_runs SET outcome = 'running', end_ms = NULL"]).await;
}

async fn one_run(app: &mut TestApp, fields: serde_json::Value) -> i64 {
    let id = app.add(fields).await;
    app.advance(60);
    app.ended(id, 1).await;
    id
}

#[tokio::test]
async fn by_default_a_run_in_flight_is_lost_and_not_repeated() {
    let mut app = TestApp::start().await;
    let id = one_run(&mut app, json!({})).await;
    let stopped = app.shut_down().await;
    died_in_flight(&stopped).await;
    let app = stopped.start_again().await;
    app.settled().await;
    let runs = app.runs(id).await;
    assert_eq!(column(&runs, "outcome"), ["lost"]);
    assert_eq!((&runs[0]["status"], &runs[0]["reason"]), (&json!("中断"), &json!("crash")));
    assert_eq!(runs[0]["attempt"], 1);
}

#[tokio::test]
async fn with_rerun_the_same_run_starts_again() {
    let mut app = TestApp::start().await;
    let fields = json!({"recovery": "rerun", "mode": "command", "command": "echo $TJ_EXEC_ID $TJ_ATTEMPT $TJ_SCHEDULED_AT"});
    let id = one_run(&mut app, fields).await;
    let before = app.runs(id).await[0].clone();
    let stopped = app.shut_down().await;
    died_in_flight(&stopped).await;
    let app = stopped.start_again().await;
    app.until(async |app| app.runs(id).await[0]["outcome"] == "success").await;
    let runs = app.runs(id).await;
    assert_eq!((runs.len(), &runs[0]["attempt"]), (1, &json!(2)));
    assert_eq!(runs[0]["exec_id"], before["exec_id"]);
    let out = runs[0]["stdout"].as_str().unwrap();
    assert_eq!(out, format!("{} 2 2026-01-05T08:01:00.000Z\n", before["exec_id"].as_str().unwrap()));
    assert_eq!(app.job(id).await["run_count"], 1, "a repeat is no further start");
}

#[tokio::test]
async fn reruns_of_a_queueing_job_still_run_one_after_the_other() {
    let mut app = TestApp::start().await;
    let out = app.folder().join("out");
    // A start that finds another at work writes "overlap".
    let command = format!(
        "【command】mkdir '{0}.d' || echo overlap >> '{0}'; echo start >> '{0}'; rmdir '{0}.d'",
        out.display()
    );
    let fields = json!({"allow_mode": 2, "recovery": "rerun", "mode": "command", "command": command});
    let id = app.add(fields).await;
    app.ended(id, 1).await;
    for _ in 0..9 {
        app.advance(60);
        app.ended(id, 1).await;
    }
    let stopped = app.shut_down().await;
    died_in_flight(&stopped).await;
    let app = stopped.start_again().await;
    app.until(async |app| app.runs(id).await.iter().all(|r| r["outcome"] == "success")).await;
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "start\n".repeat(20));
}

#[tokio::test]
async fn three_crashes_in_a_row_pause_the_job() {
    let mut app = TestApp::start().await;
    let id = one_run(&mut app, json!({"recovery": "rerun"})).await;
    for crash in 1..=3 {
        let stopped = app.shut_down().await;
        // The streak is what a server that died every time has left.
        let streak = format!("UPDATE tj_job_state SET crash_streak = {}", crash - 1);
        stopped.database.run(&[&streak]).await;
        died_in_flight(&stopped).await;
        app = stopped.start_again().await;
        let wanted = if crash < 3 { "success" } else { "lost" };
        app.until(async |app| app.runs(id).await[0]["outcome"] == wanted).await;
    }
    let job = app.job(id).await;
    assert_eq!(job["state"], 2);
    assert!(job["stop_reason"].as_str().unwrap().contains("三次"), "{job}");
    app.post("/jobs/restart", json!({"id": id})).await;
    assert_eq!(app.job(id).await["stop_reason"], json!(null));
    app.advance(60);
    assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
}

#[tokio::test]
async fn a_run_that_ends_forgets_the_crashes_before_it() {
    let mut app = TestApp::start().await;
    let id = one_run(&mut app, json!({})).await;
    for _ in 0..4 {
        let stopped = app.shut_down().await;
        // MySQL does not read the table that it updates, unless it is read first.
        let newest = "(SELECT newest FROM (SELECT max(id) AS newest FROM tj_runs) AS n)";
        let sql = format!("UPDATE tj_runs SET outcome = 'running', end_ms = NULL WHERE id = {newest}");
        stopped.database.run(&[&sql]).await;
        app = stopped.start_again().await;
        app.settled().await;
        app.advance(60);
        app.ended(id, 1).await;
    }
    assert_eq!(app.job(id).await["state"], 0);
    let runs = app.runs(id).await;
    assert_eq!(column(&runs, "outcome"), ["lost", "lost", "lost", "lost", "success"]);
}

#[tokio::test]
async fn a_fire_decided_before_the_crash_is_not_decided_again() {
    let mut app = TestApp::start().await;
    let id = one_run(&mut app, json!({})).await;
    let stopped = app.shut_down().await;
    // Even without its record: the job itself remembers its last decided instant.
    stopped.database.run(&["DELETE FROM tj_runs"]).await;
    let app = stopped.start_again().await;
    app.settled().await;
    assert!(app.runs(id).await.is_empty());
}
