//! From the clock to the record: what is due runs, once, at its instant.

use super::column;
use crate::support::TestApp;
use serde_json::json;
use timerjobs::Outcome;

#[tokio::test]
async fn a_due_job_runs_at_its_instant_and_leaves_a_record() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"cron_expr": "0 * * * * *", "command": "Math +,10,5"})).await;
    app.advance(59);
    app.settled().await;
    assert!(app.runs(id).await.is_empty(), "never before its instant");
    app.advance(1);
    assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
    let runs = app.runs(id).await;
    assert_eq!(runs.len(), 1);
    let run = &runs[0];
    assert_eq!(run["scheduled_at"], "2026-01-05T08:01:00.000Z");
    assert_eq!(run["time"], "2026-01-05 08:01:00.000");
    assert_eq!(
        (&run["source"], &run["outcome"], &run["status"]),
        (&json!("cron"), &json!("success"), &json!("成功"))
    );
    assert_eq!(run["func_result"], "15");
    let job = app.job(id).await;
    assert_eq!((&job["run_count"], &job["state"]), (&json!(1), &json!(0)));
    assert_eq!(job["next_run"], "2026-01-05T08:02:00.000Z");
    assert_eq!(job["prev_run"], "2026-01-05T08:01:00.000Z");
}

#[tokio::test]
async fn late_fires_up_to_a_minute_all_run() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"cron_expr": "*/20 * * * * *"})).await;
    app.advance(60);
    app.ended(id, 3).await;
    let runs = app.runs(id).await;
    let due = ["2026-01-05T08:00:20.000Z", "2026-01-05T08:00:40.000Z", "2026-01-05T08:01:00.000Z"];
    assert_eq!(column(&runs, "scheduled_at"), due);
    assert_eq!(column(&runs, "source"), ["cron"; 3]);
}

#[tokio::test]
async fn an_interval_counts_from_the_moment_it_was_added() {
    let mut app = TestApp::start().await;
    app.advance(7);
    let id = app.add(json!({"cron_expr": "", "trigger_type": "interval", "interval_seconds": 30})).await;
    app.advance(30);
    app.ended(id, 1).await;
    app.advance(30);
    app.ended(id, 1).await;
    let due = ["2026-01-05T08:00:37.000Z", "2026-01-05T08:01:07.000Z"];
    assert_eq!(column(&app.runs(id).await, "scheduled_at"), due);
}

#[tokio::test]
async fn the_jobs_own_zone_decides_its_instants() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"cron_expr": "30 16 * * *", "timezone": "Asia/Shanghai"})).await;
    assert_eq!(app.job(id).await["next_run"], "2026-01-05T08:30:00.000Z");
    app.advance(1800);
    app.ended(id, 1).await;
}

#[tokio::test]
async fn an_immediate_job_runs_when_added_enabled_and_restarted() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"cron_expr": "0 0 1 * *", "allow_mode": 2})).await;
    app.ended(id, 1).await;
    app.advance(1);
    app.post("/jobs/stop", json!({"id": id})).await;
    app.post("/jobs/restart", json!({"id": id})).await;
    app.ended(id, 1).await;
    app.advance(1);
    app.post("/jobs/edit", json!({"id": id, "state": 2})).await;
    app.post("/jobs/edit", json!({"id": id, "state": 0})).await;
    app.ended(id, 1).await;
    app.post("/jobs/edit", json!({"id": id, "desc": "an edit that enables nothing"})).await;
    app.settled().await;
    let runs = app.runs(id).await;
    assert_eq!(column(&runs, "source"), ["cron"; 3]);
    assert_eq!(app.job(id).await["run_count"], 3);
}

#[tokio::test]
async fn the_limit_stops_the_job_and_manual_runs_do_not_count() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"cron_expr": "* * * * * *", "max_run_count": 3})).await;
    app.post("/jobs/run", json!({"id": id})).await;
    app.ended(id, 1).await;
    app.advance(30);
    app.ended(id, 3).await;
    app.advance(30);
    app.settled().await;
    let runs = app.runs(id).await;
    assert_eq!(column(&runs, "source"), ["manual", "cron", "cron", "cron"]);
    let job = app.job(id).await;
    assert_eq!((&job["run_count"], &job["state"], &job["next_run"]), (&json!(3), &json!(2), &json!(null)));
    assert!(job["stop_reason"].as_str().unwrap().contains("最大执行次数"), "{job}");
    app.post("/jobs/run", json!({"id": id})).await;
    app.ended(id, 1).await;

    let refused = app.post("/jobs/restart", json!({"id": id})).await;
    assert_eq!(refused["code"], 400, "{refused}");
    app.post("/jobs/restart", json!({"id": id, "reset_run_count": true})).await;
    app.advance(2);
    app.ended(id, 2).await;
    assert_eq!(app.job(id).await["run_count"], 2);
}

#[tokio::test]
async fn what_was_due_while_a_job_was_stopped_is_not_owed() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"cron_expr": "0 * * * * *"})).await;
    app.post("/jobs/stop", json!({"id": id})).await;
    app.advance(600);
    app.settled().await;
    app.post("/jobs/restart", json!({"id": id})).await;
    app.settled().await;
    assert!(app.runs(id).await.is_empty());
    app.advance(60);
    app.ended(id, 1).await;
    assert_eq!(column(&app.runs(id).await, "scheduled_at"), ["2026-01-05T08:11:00.000Z"]);
}

#[tokio::test]
async fn an_edit_moves_the_next_fire_and_decides_what_was_due_before_it() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"cron_expr": "0 * * * * *"})).await;
    app.advance(60);
    app.ended(id, 1).await;
    let edited = app.post("/jobs/edit", json!({"id": id, "cron_expr": "30 * * * * *"})).await;
    assert_eq!(edited["code"], 200);
    assert_eq!(app.job(id).await["next_run"], "2026-01-05T08:01:30.000Z");
    app.advance(30);
    app.ended(id, 1).await;
    assert_eq!(app.runs(id).await.len(), 2);
}

#[tokio::test]
async fn add_and_run_cleans_up_after_its_run() {
    let mut app = TestApp::start().await;
    let job = json!({"name": "once", "cron_expr": "0 0 * * *", "mode": "func", "command": "Echo hi"});
    let with = |remove_task: bool, remove_log: bool| {
        let mut job = job.clone();
        job["remove_task"] = json!(remove_task);
        job["remove_log"] = json!(remove_log);
        job
    };
    for (task, log) in [(true, false), (true, true), (false, true)] {
        let answer = app.post("/jobs/addAndRun", with(task, log)).await;
        let id = answer["data"]["job_id"].as_i64().unwrap();
        app.ended(id, 1).await;
        app.settled().await;
        let job = app.get(&format!("/jobs/read?id={id}")).await;
        assert_eq!(job["code"], if task { 404 } else { 200 }, "remove_task={task}");
        let exec = answer["data"]["exec_id"].as_str().unwrap();
        let run = app.get(&format!("/jobs/execs?id={id}&exec_id={exec}")).await;
        assert_eq!(run["data"].is_null(), log, "remove_log={log}: {run}");
    }
}
