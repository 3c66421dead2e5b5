//! A job's life through the API: what each call changes, and what it leaves alone.

use super::{bad_fields, code, keys, msg};
use crate::support::TestApp;
use serde_json::{Value, json};
use timerjobs::Outcome;

#[tokio::test]
async fn a_job_is_given_back_as_it_was_sent_with_the_contracts_fields() {
    let app = TestApp::start().await;
    let sent = json!({
        "name": "备份", "desc": "每日\n备份", "cron_expr": "0 30 9 * * *", "mode": "command",
        "command": "【command】true\n【timeout】5", "allow_mode": 1, "max_run_count": 10, "timezone": "Asia/Shanghai",
        "misfire_policy": "skip", "misfire_window": 0, "recovery": "rerun",
    });
    let id = app.add(sent.clone()).await;
    let job = app.job(id).await;
    for (name, value) in sent.as_object().unwrap() {
        assert_eq!(job[name], *value, "{name}");
    }
    assert_eq!(
        keys(&job),
        [
            "id",
            "name",
            "desc",
            "cron_expr",
            "mode",
            "command",
            "state",
            "allow_mode",
            "max_run_count",
            "run_count",
            "trigger_type",
            "interval_seconds",
            "timezone",
            "misfire_policy",
            "misfire_window",
            "recovery",
            "next_run",
            "prev_run",
            "stop_reason",
            "created_at",
            "updated_at",
        ]
    );
    assert_eq!((&job["id"], &job["state"], &job["run_count"]), (&json!(id), &json!(0), &json!(0)));
    assert_eq!((&job["trigger_type"], &job["interval_seconds"]), (&json!("cron"), &json!(0)));
    // 09:30 in Shanghai is 01:30 UTC, gone for today.
    assert_eq!(job["next_run"], "2026-01-06T01:30:00.000Z");
    assert_eq!((&job["prev_run"], &job["stop_reason"]), (&Value::Null, &Value::Null));
    assert_eq!(job["created_at"], "2026-01-05T08:00:00.000Z");
    assert_eq!(job["updated_at"], job["created_at"]);
}

#[tokio::test]
async fn times_carry_the_offset_of_the_servers_zone() {
    let app = TestApp::with(&[("TZ", "Asia/Shanghai")]).await;
    let id = app.add(json!({"cron_expr": "0 0 2 * * *"})).await;
    let job = app.job(id).await;
    assert_eq!(job["created_at"], "2026-01-05T16:00:00.000+08:00");
    assert_eq!(job["next_run"], "2026-01-06T02:00:00.000+08:00");
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_nothing_else() {
    let app = TestApp::start().await;
    let id = app.add(json!({"desc": "old", "max_run_count": 5})).await;
    let mut wanted = app.job(id).await;
    app.advance(7);
    let answer = app.post("/jobs/edit", json!({"id": id, "desc": "new"})).await;
    assert_eq!(code(&answer), 200, "{answer}");
    wanted["desc"] = json!("new");
    wanted["updated_at"] = json!("2026-01-05T08:00:07.000Z");
    assert_eq!(app.job(id).await, wanted);
    app.post("/jobs/edit", json!({"id": id, "desc": ""})).await;
    assert_eq!(app.job(id).await["desc"], "", "an empty text empties");
    app.post("/jobs/edit", json!({"id": id, "cron_expr": "0 0 9 * * *"})).await;
    assert_eq!(app.job(id).await["next_run"], "2026-01-05T09:00:00.000Z");
}

#[tokio::test]
async fn an_edit_can_change_the_kind_of_trigger() {
    let app = TestApp::start().await;
    let id = app.add(json!({"cron_expr": "0 0 9 * * *"})).await;
    for (fields, kind, next) in [
        (json!({"interval_seconds": 60}), "interval", "2026-01-05T08:01:00.000Z"),
        (json!({"cron_expr": "0 0 10 * * *"}), "cron", "2026-01-05T10:00:00.000Z"),
        (json!({"trigger_type": "interval", "interval_seconds": 30}), "interval", "2026-01-05T08:00:30.000Z"),
        (json!({"trigger_type": "cron", "cron_expr": "@daily"}), "cron", "2026-01-06T00:00:00.000Z"),
    ] {
        let mut body = fields.clone();
        body["id"] = json!(id);
        assert_eq!(code(&app.post("/jobs/edit", body).await), 200, "{fields}");
        let job = app.job(id).await;
        assert_eq!((&job["trigger_type"], &job["next_run"]), (&json!(kind), &json!(next)), "{fields}");
    }
}

#[tokio::test]
async fn mode_function_means_func() {
    let mut app = TestApp::start().await;
    for (name, mode) in [("a", "function"), ("b", "FUNC"), ("c", " Function ")] {
        let id = app.add(json!({"name": name, "mode": mode, "command": "Echo hi"})).await;
        assert_eq!(app.job(id).await["mode"], "func", "{mode}");
        app.post("/jobs/run", json!({"id": id})).await;
        assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
    }
}

#[tokio::test]
async fn a_job_can_be_added_running_or_stopped() {
    let mut app = TestApp::start().await;
    for (state, shown) in [(0, 0), (1, 0), (2, 2)] {
        let id = app.add(json!({"name": format!("state {state}"), "state": state})).await;
        let job = app.job(id).await;
        assert_eq!((&job["state"], job["next_run"].is_null()), (&json!(shown), state == 2), "{state}");
    }
    app.advance(60);
    app.ended(1, 1).await;
    app.ended(2, 1).await;
    app.settled().await;
    assert_eq!(app.runs(3).await, [] as [Value; 0], "a stopped job does not fire");
    assert_eq!(app.job(3).await["prev_run"], Value::Null);
}

#[tokio::test]
async fn an_edit_to_state_2_stops_and_back_to_0_schedules_again() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({})).await;
    app.post("/jobs/edit", json!({"id": id, "state": 2})).await;
    let job = app.job(id).await;
    assert_eq!((&job["state"], &job["next_run"]), (&json!(2), &Value::Null));
    app.advance(150);
    app.settled().await;
    assert_eq!(app.runs(id).await.len(), 0);
    app.post("/jobs/edit", json!({"id": id, "state": 1})).await;
    let job = app.job(id).await;
    assert_eq!((&job["state"], &job["next_run"]), (&json!(0), &json!("2026-01-05T08:03:00.000Z")));
    app.advance(30);
    assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
    assert_eq!(app.runs(id).await.len(), 1, "what was missed while it was stopped is not made up for");
}

#[tokio::test]
async fn a_stopped_job_runs_when_asked_to_and_stays_stopped() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"max_run_count": 1})).await;
    app.post("/jobs/stop", json!({"id": id})).await;
    assert_eq!(code(&app.post("/jobs/stop", json!({"id": id})).await), 200, "stopping twice is no error");
    for _ in 0..3 {
        let answer = app.post("/jobs/run", json!({"id": id})).await;
        assert_eq!((code(&answer), &answer["data"]["skipped"]), (200, &json!(false)));
        assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
    }
    let job = app.job(id).await;
    assert_eq!((&job["state"], &job["run_count"]), (&json!(2), &json!(0)), "manual runs do not count");
    assert_eq!(job["prev_run"], "2026-01-05T08:00:00.000Z");
    assert_eq!(app.runs(id).await[0]["source"], "manual");
    app.post("/jobs/restart", json!({"id": id})).await;
    assert_eq!(app.job(id).await["state"], 0);
}

#[tokio::test]
async fn stop_cancels_the_run_in_flight() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"mode": "command", "command": "sleep 60"})).await;
    let triggered = app.post("/jobs/run", json!({"id": id})).await;
    app.started(id).await;
    assert_eq!(app.job(id).await["state"], 1);
    let run = app.runs(id).await.remove(0);
    assert_eq!(
        (&run["outcome"], &run["status"], &run["end_time"]),
        (&json!("running"), &json!("执行中"), &Value::Null)
    );
    app.post("/jobs/stop", json!({"id": id})).await;
    assert_eq!(app.ended(id, 1).await, [Outcome::Cancelled]);
    let run = app.runs(id).await.remove(0);
    assert_eq!(run["exec_id"], triggered["data"]["exec_id"]);
    assert_eq!((&run["status"], &run["reason"]), (&json!("取消"), &json!("stopped")));
    assert_eq!(app.job(id).await["state"], 2);
}

#[tokio::test]
async fn a_deleted_job_is_gone_and_its_records_stay() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"name": "gone", "mode": "command", "command": "sleep 60"})).await;
    let answer = app.post("/jobs/run", json!({"id": id})).await;
    app.started(id).await;
    assert_eq!(code(&app.post("/jobs/del", json!({"id": id})).await), 200);
    assert_eq!(app.ended(id, 1).await, [Outcome::Cancelled]);
    assert_eq!(code(&app.get(&format!("/jobs/read?id={id}")).await), 404);
    for path in ["/jobs/del", "/jobs/run", "/jobs/stop", "/jobs/restart", "/jobs/edit"] {
        assert_eq!(code(&app.post(path, json!({"id": id})).await), 404, "{path}");
    }
    let runs = app.runs(id).await;
    assert_eq!(runs.len(), 1);
    assert_eq!((&runs[0]["job_name"], &runs[0]["reason"]), (&json!("gone"), &json!("deleted")));
    let exec_id = answer["data"]["exec_id"].as_str().unwrap();
    assert_eq!(app.get(&format!("/jobs/execs?id={id}&exec_id={exec_id}")).await["data"], runs[0]);
    let next = app.add(json!({"name": "gone"})).await;
    assert_ne!(next, id, "a number is never used twice");
}

#[tokio::test]
async fn a_job_that_used_up_its_runs_is_not_restarted_without_a_reset() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"max_run_count": 1})).await;
    app.advance(60);
    app.ended(id, 1).await;
    app.settled().await;
    let job = app.job(id).await;
    assert_eq!((&job["state"], &job["run_count"], &job["next_run"]), (&json!(2), &json!(1), &Value::Null));
    assert_eq!(job["stop_reason"], "已达到最大执行次数");
    for (path, body) in [
        ("/jobs/restart", json!({"id": id})),
        ("/jobs/restart", json!({"id": id, "reset_run_count": false})),
        ("/jobs/edit", json!({"id": id, "state": 0})),
    ] {
        let answer = app.post(path, body).await;
        assert_eq!(code(&answer), 400, "{path}: {answer}");
        assert!(msg(&answer).contains("reset_run_count=true"), "it says how: {answer}");
        assert_eq!(app.job(id).await, job, "{path}");
    }
    let raised = app.post("/jobs/edit", json!({"id": id, "state": 0, "max_run_count": 2})).await;
    assert_eq!(code(&raised), 200, "{raised}");
    app.post("/jobs/stop", json!({"id": id})).await;
    let answer = app.post("/jobs/restart", json!({"id": id, "reset_run_count": "true"})).await;
    assert_eq!(code(&answer), 200, "{answer}");
    let job = app.job(id).await;
    assert_eq!((&job["state"], &job["run_count"], &job["stop_reason"]), (&json!(0), &json!(0), &Value::Null));
    assert_eq!(job["next_run"], "2026-01-05T08:02:00.000Z");
}

#[tokio::test]
async fn an_immediate_job_runs_at_once_when_added_enabled_or_restarted() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"allow_mode": 2, "cron_expr": "@yearly", "state": 2})).await;
    app.settled().await;
    assert_eq!(app.runs(id).await.len(), 0, "not while it is stopped");
    // No instant is decided twice: between two of its runs time passes.
    app.advance(1);
    app.post("/jobs/edit", json!({"id": id, "state": 0})).await;
    app.ended(id, 1).await;
    app.advance(1);
    app.post("/jobs/restart", json!({"id": id})).await;
    app.ended(id, 1).await;
    app.settled().await;
    assert_eq!(app.runs(id).await.len(), 2);
    let added = app.add(json!({"name": "added", "allow_mode": 2, "cron_expr": "@yearly"})).await;
    app.ended(added, 1).await;
    assert_eq!(app.runs(added).await.len(), 1);
}

#[tokio::test]
async fn run_all_runs_every_scheduled_job_once() {
    let mut app = TestApp::start().await;
    let stopped = app.add(json!({"name": "stopped", "state": 2})).await;
    let a = app.add(json!({"name": "a"})).await;
    let b = app.add(json!({"name": "b"})).await;
    assert_eq!(app.post("/jobs/runAll", json!({})).await["data"]["triggered"], 2);
    // The ends may come in either order.
    let mut ends = std::collections::BTreeSet::new();
    while ends.len() < 2 {
        ends.insert(
            app.event(|e| match e {
                timerjobs::Event::RunEnded { job, .. } => Some(job.0),
                _ => None,
            })
            .await,
        );
    }
    app.settled().await;
    for (id, n) in [(a, 1), (b, 1), (stopped, 0)] {
        assert_eq!(app.runs(id).await.len(), n, "{id}");
    }
    assert_eq!(app.post("/jobs/stopAll", json!({})).await["data"]["stopped"], 2);
    assert_eq!(app.get("/jobs/list?state=2").await["total"], 3);
    assert_eq!(app.post("/jobs/runAll", json!({})).await["data"]["triggered"], 0);
}

#[tokio::test]
async fn add_and_run_leaves_what_it_is_not_told_to_remove() {
    let mut app = TestApp::start().await;
    for (task, log) in [(false, false), (false, true), (true, false), (true, true)] {
        let body = json!({
            "name": format!("{task} {log}"), "cron_expr": "@yearly", "mode": "func", "command": "Echo once",
            "remove_task": task, "remove_log": log,
        });
        let answer = app.post("/jobs/addAndRun", body).await;
        assert_eq!(code(&answer), 200, "{answer}");
        let (id, exec_id) = (answer["data"]["job_id"].as_i64().unwrap(), answer["data"]["exec_id"].clone());
        assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
        app.settled().await;
        let read = app.get(&format!("/jobs/read?id={id}")).await;
        assert_eq!(code(&read), if task { 404 } else { 200 }, "{task} {log}");
        let logs = app.post("/jobs/logs", json!({"id": id})).await;
        match (task, log) {
            (true, true) => assert_eq!(code(&logs), 404),
            (false, true) => assert_eq!(logs["data"], json!([])),
            (_, false) => {
                assert_eq!(logs["data"][0]["exec_id"], exec_id);
                assert_eq!((&logs["data"][0]["source"], &logs["total"]), (&json!("api"), &json!(1)));
            }
        }
    }
    let bad = json!({"name": "x", "cron_expr": "no", "mode": "func", "command": "Test", "remove_task": true});
    assert_eq!(bad_fields(&app.post("/jobs/addAndRun", bad).await), ["cron_expr"]);
    assert_eq!(app.get("/jobs/list").await["total"], 2);
}

#[tokio::test]
async fn a_serial_job_says_that_a_manual_run_was_skipped() {
    let mut app = TestApp::with(&[("JOBS_MANUAL_ALLOW_CONCURRENT", "false")]).await;
    let id = app.add(json!({"allow_mode": 1, "mode": "command", "command": "sleep 60"})).await;
    app.post("/jobs/run", json!({"id": id})).await;
    app.started(id).await;
    let answer = app.post("/jobs/run", json!({"id": id})).await;
    assert_eq!(
        (code(&answer), &answer["data"]["skipped"], &answer["data"]["reason"]),
        (200, &json!(true), &json!("overlap"))
    );
    assert!(msg(&answer).contains("任务已手动触发") && msg(&answer).contains("跳过"), "{answer}");
    let record = app
        .get(&format!("/jobs/execs?id={id}&exec_id={}", answer["data"]["exec_id"].as_str().unwrap()))
        .await;
    assert_eq!((&record["data"]["status"], &record["data"]["outcome"]), (&json!("跳过"), &json!("skipped")));
    app.post("/jobs/stop", json!({"id": id})).await;
}

#[tokio::test]
async fn check_job_takes_in_what_was_changed_behind_the_servers_back() {
    let app = TestApp::start().await;
    let kept = app.add(json!({"name": "kept"})).await;
    let gone = app.add(json!({"name": "gone"})).await;
    let later = format!("UPDATE tj_jobs SET cron_expr = '0 0 12 * * *' WHERE id = {kept}");
    let delete = format!("DELETE FROM tj_jobs WHERE id = {gone}");
    app.database().run(&[&later, &delete]).await;
    let answer = app.post("/jobs/checkJob", json!({})).await;
    assert_eq!(answer["data"], json!({"added": 0, "removed": 1, "updated": 1}));
    assert_eq!(app.job(kept).await["next_run"], "2026-01-05T12:00:00.000Z");
    assert_eq!(code(&app.post("/jobs/run", json!({"id": gone})).await), 404);
    let again = app.post("/jobs/checkJob", json!({})).await;
    assert_eq!(again["data"], json!({"added": 0, "removed": 0, "updated": 0}));
}
