//! The system log and the runs' output, read, cleared and downloaded over HTTP.

use super::{ask, bad_fields, code, get, keys, msg};
use crate::support::TestApp;
use crate::support::program::Program;
use serde_json::json;
use std::fs;

/// Puts a log of two days beside the server; its clock stands at 2026-01-05.
fn write_log(app: &TestApp) {
    let folder = app.folder().join("runtime/log");
    fs::create_dir_all(&folder).unwrap();
    let line = |level: &str, message: &str| {
        format!(
            r#"{{"timestamp":"2026-01-05T08:00:00.000+00:00","level":"{level}","message":"{message}","filename":"src/x.rs","line_number":7}}"#
        ) + "\n"
    };
    fs::write(folder.join("timerjobs.2026-01-04.log"), line("ERROR", "yesterday")).unwrap();
    fs::write(
        folder.join("timerjobs.log"),
        line("INFO", "one") + &line("WARN", "two") + &line("INFO", "three"),
    )
    .unwrap();
}

async fn messages(app: &TestApp, query: &str) -> Vec<String> {
    let answer = app.get(&format!("/jobs/zapLogs{query}")).await;
    let lines = answer["data"].as_array().unwrap_or_else(|| panic!("{answer}"));
    lines.iter().map(|line| line["msg"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_system_log_is_read_in_pages_newest_first() {
    let app = TestApp::start().await;
    write_log(&app);
    let answer = app.get("/jobs/zapLogs?page=1&size=2").await;
    assert_eq!(
        (&answer["total"], &answer["pages_total"], &answer["complete"]),
        (&json!(4), &json!(2), &json!(true))
    );
    let line = &answer["data"][1];
    assert_eq!(keys(line), ["level", "time", "caller", "msg"]);
    assert_eq!(
        (&line["level"], &line["caller"], &line["msg"]),
        (&json!("warn"), &json!("src/x.rs:7"), &json!("two"))
    );
    assert_eq!(messages(&app, "?page=2&size=2").await, ["one", "yesterday"]);
    assert_eq!(messages(&app, "?date=2026-01-04").await, ["yesterday"]);
    assert_eq!(messages(&app, "?level=warning").await, ["two"]);
    assert_eq!(messages(&app, "?text=THREE").await, ["three"]);
    let last = app.get("/jobs/zapLogs?n=2").await["data"]["lines"].clone();
    assert!(
        last[0].as_str().unwrap().contains("two") && last[1].as_str().unwrap().contains("three"),
        "{last}"
    );
    assert_eq!(bad_fields(&app.get("/jobs/zapLogs?level=loud&n=0&date=x").await), ["date", "level", "n"]);
}

#[tokio::test]
async fn a_server_without_a_log_file_has_an_empty_log() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/jobs/zapLogs").await["total"], 0);
    assert_eq!(code(&app.get("/jobs/zapLogs/download").await), 404);
}

#[tokio::test]
async fn a_day_of_the_system_log_is_a_download() {
    let app = TestApp::start().await;
    write_log(&app);
    let answer = get(&app, "/jobs/zapLogs/download?date=2026-01-04").send().await.unwrap();
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"system-2026-01-04.log\"");
    assert!(answer.text().await.unwrap().contains("yesterday"));
    let today = get(&app, "/jobs/zapLogs/download").send().await.unwrap().text().await.unwrap();
    assert_eq!(today.lines().count(), 3);
}

#[tokio::test]
async fn the_system_log_is_cleared_by_day() {
    let app = TestApp::start().await;
    write_log(&app);
    let clear = |body| app.post("/jobs/logs/clear", body);
    assert_eq!(clear(json!({"type": "zap", "date": "2026-01-04"})).await["data"]["cleared"], 1);
    assert_eq!(messages(&app, "").await, ["three", "two", "one"]);
    assert_eq!(clear(json!({"type": "zap"})).await["data"]["cleared"], 3);
    assert_eq!(messages(&app, "").await, [""; 0]);
}

#[tokio::test]
async fn what_is_to_be_cleared_must_be_said() {
    let app = TestApp::start().await;
    assert_eq!(bad_fields(&app.post("/jobs/logs/clear", json!({})).await), ["type"]);
    assert_eq!(
        bad_fields(&app.post("/jobs/logs/clear", json!({"type": "all", "id": 0})).await),
        ["id", "type"]
    );
}

#[tokio::test]
async fn run_records_are_cleared_by_job_and_day() {
    let mut app = TestApp::start().await;
    let (a, b) = (app.add(json!({"name": "a"})).await, app.add(json!({"name": "b"})).await);
    for id in [a, a, b] {
        app.post("/jobs/run", json!({"id": id})).await;
        app.ended(id, 1).await;
    }
    let clear = |body| app.post("/jobs/logs/clear", body);
    assert_eq!(clear(json!({"type": "job", "date": "2026-01-04"})).await["data"]["cleared"], 0);
    assert_eq!(clear(json!({"type": "job", "id": a, "date": "2026-01-05"})).await["data"]["cleared"], 2);
    assert_eq!((app.runs(a).await.len(), app.runs(b).await.len()), (0, 1));
    let answer = clear(json!({"type": "job"})).await;
    assert_eq!((msg(&answer), &answer["data"]["cleared"]), ("日志已清理", &json!(1)));
    assert_eq!(app.job(a).await["state"], 0, "the job itself stays");
}

#[tokio::test]
async fn a_runs_output_is_a_download() {
    let mut app = TestApp::start().await;
    let command = "echo out; echo 错误 >&2";
    let id = app.add(json!({"mode": "command", "command": command})).await;
    let run = app.post("/jobs/run", json!({"id": id})).await["data"]["exec_id"].as_str().unwrap().to_owned();
    app.ended(id, 1).await;
    let output = async |part: &str| {
        get(&app, &format!("/jobs/execs/download?exec_id={run}{part}")).send().await.unwrap()
    };
    let whole = output("").await;
    assert_eq!(
        whole.headers()["content-disposition"].to_str().unwrap(),
        format!("attachment; filename=\"job-{id}-{run}.txt\"")
    );
    assert_eq!(whole.headers()["x-content-type-options"], "nosniff");
    assert_eq!(whole.text().await.unwrap(), "===== stdout =====\nout\n\n===== stderr =====\n错误\n\n");
    assert_eq!(output("&part=stderr").await.text().await.unwrap(), "错误\n");
    assert_eq!(output("&part=http_resp").await.text().await.unwrap(), "");
    assert_eq!(code(&ask(get(&app, "/jobs/execs/download?exec_id=nothing")).await), 404);
    // The record is found by its own id alone; without any there is nothing to look for.
    assert_eq!(app.get(&format!("/jobs/execs?exec_id={run}")).await["data"]["job_id"], id);
    assert_eq!(bad_fields(&app.get("/jobs/execs").await), ["id"]);
}

#[tokio::test]
async fn a_days_records_are_a_download_of_lines() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({})).await;
    // More than are read in one step.
    for _ in 0..40 {
        app.post("/jobs/run", json!({"id": id})).await;
        app.ended(id, 1).await;
    }
    let lines = async |query: &str| {
        let answer = get(&app, &format!("/jobs/logs/download{query}")).send().await.unwrap();
        let text = answer.text().await.unwrap();
        text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()).collect::<Vec<_>>()
    };
    let runs = app.runs(id).await;
    assert_eq!(lines("").await, runs);
    assert_eq!(lines(&format!("?id={id}&date=2026-01-05")).await.len(), 40);
    assert_eq!(lines(&format!("?id={}", id + 1)).await.len(), 0);
    assert_eq!(lines("?date=2026-01-06").await.len(), 0);
}

/// Needs a real process: only that writes the system log.
#[test]
fn the_system_log_is_switched_off_and_on() {
    let server = Program::start();
    let switch = |on: bool| server.post("/jobs/switchState", &json!({"enabled": on}));
    let said = |what: &str| server.get(&format!("/jobs/zapLogs?text={what}"))["total"].as_i64().unwrap();
    let state = |on: bool| json!({"log_enabled": on, "zapLogSwitch": on});
    assert_eq!(server.get("/jobs/switchState")["data"], state(true));
    assert_eq!(switch(false)["data"], state(false));
    server.until(|_| said("switched%20off") == 1);
    // Both would leave a line: a reload, and a failing run.
    server.post("/jobs/reload-config", &json!({}));
    assert_eq!(switch(true)["data"], state(true));
    server.until(|_| said("switched%20on") == 1);
    assert_eq!(said("settings%20read%20again"), 0);
    server.post("/jobs/reload-config", &json!({}));
    server.until(|_| said("settings%20read%20again") == 1);
    let line = server.get("/jobs/zapLogs?text=settings%20read%20again")["data"][0].clone();
    assert_eq!(keys(&line)[..4], ["level", "time", "caller", "msg"]);
    assert!(line["caller"].as_str().unwrap().starts_with("src/app.rs:"), "{line}");
    assert_eq!(bad_fields(&server.post("/jobs/switchState", &json!({}))), ["enabled"]);
}
