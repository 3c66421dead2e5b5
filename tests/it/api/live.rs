//! A run's output as it is printed: server-sent events over a real connection.

use super::{get, keys, post, send};
use crate::engine::{Gate, column, gated};
use crate::support::TestApp;
use crate::support::sse::Events;
use serde_json::{Value, json};
use timerjobs::Outcome;
use timerjobs::app::Stop;

async fn start(app: &TestApp, id: i64) -> String {
    let answer = app.post("/jobs/run", json!({"id": id})).await;
    answer["data"]["exec_id"].as_str().unwrap().to_owned()
}

/// A job that prints, waits at the gate, and prints again.
async fn add(app: &TestApp, gate: &Gate) -> i64 {
    let (wait, timeout) = gate.command().split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let wait = wait.trim_start_matches("【command】").to_owned();
    let command = format!("【command】echo before; {wait}; echo after 后\n{timeout}");
    app.add(json!({"mode": "command", "command": command, "cron_expr": "0 0 1 1 *"})).await
}

#[tokio::test]
async fn output_is_shown_as_it_is_printed_and_again_when_the_run_has_ended() {
    let mut app = TestApp::start().await;
    let gate = Gate::new(&app, "gate");
    let id = add(&app, &gate).await;
    let run = start(&app, id).await;
    let mut first = Events::of(&app, &run).await;
    assert_eq!(first.text().await, "before\n");
    let mut late = Events::of(&app, &run).await;
    assert_eq!(late.text().await, "before\n");
    gate.open();
    for events in [&mut first, &mut late] {
        assert_eq!(events.text().await, "after 后\n");
        let end = events.ended().await;
        assert_eq!((&end["id"], &end["outcome"]), (&json!(run), &json!("success")));
        assert_eq!(end["scheduled"], "2026-01-05T08:00:00.000Z", "the run as it is shown elsewhere");
    }
    app.ended(id, 1).await;
    let mut after = Events::of(&app, &run).await;
    assert_eq!(after.text().await, "before\nafter 后\n");
    assert_eq!(after.ended().await["outcome"], "success");
}

#[tokio::test]
async fn a_run_that_waits_is_shown_once_it_starts() {
    let mut app = TestApp::with(&[("JOBS_MAX_CONCURRENT", "1")]).await;
    let gate = Gate::new(&app, "gate");
    let busy = app.add(gated(&gate, json!({"name": "busy", "cron_expr": "0 0 1 1 *"}))).await;
    start(&app, busy).await;
    app.started(busy).await;
    let id = app.add(json!({"mode": "func", "command": "Echo hi", "cron_expr": "0 0 1 1 *"})).await;
    let run = start(&app, id).await;
    let mut events = Events::of(&app, &run).await;
    gate.open();
    assert_eq!(events.text().await, "hi");
    assert_eq!(events.ended().await["outcome"], "success");
}

#[tokio::test]
async fn a_client_that_does_not_read_slows_nothing_and_is_told_what_it_missed() {
    let mut app = TestApp::start().await;
    let gate = Gate::new(&app, "gate");
    let wait = gate.command().replace("\n【timeout】60", "").replace("【command】", "");
    let command =
        format!("【command】echo first; {wait}; head -c 67108864 /dev/zero | tr '\\0' x; echo last");
    let id = app.add(json!({"mode": "command", "command": command, "cron_expr": "0 0 1 1 *"})).await;
    let run = start(&app, id).await;
    let mut events = Events::of(&app, &run).await;
    assert_eq!(events.text().await, "first\n");
    gate.open();
    assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
    let (mut missed, mut seen, mut end) = (0, String::new(), Value::Null);
    while let Some((name, data)) = events.next().await {
        match name.as_str() {
            "output" => seen += data["text"].as_str().unwrap(),
            "lagged" => missed += data["missed"].as_u64().unwrap(),
            _ => end = data,
        }
    }
    assert!(missed > 0 && seen.ends_with("xlast\n"), "{missed}");
    assert_eq!(seen.len() as u64 + missed, 67_108_864 + 5);
    assert_eq!(end["outcome"], "success");
}

#[tokio::test]
async fn a_stopped_server_ends_the_stream() {
    let app = TestApp::with(&[("JOBS_KILL_GRACE", "1")]).await;
    let gate = Gate::new(&app, "never opened");
    let id = add(&app, &gate).await;
    let mut events = Events::of(&app, &start(&app, id).await).await;
    assert_eq!(events.text().await, "before\n");
    app.tell(Stop::Gently);
    app.tell(Stop::AtOnce);
    assert_eq!(events.ended().await["outcome"], "cancelled");
    app.served().await;
}

#[tokio::test]
async fn an_unknown_run_and_a_foreign_page_are_refused() {
    let app = TestApp::start().await;
    for run in ["0123456789abcdef", "nonsense"] {
        let answer = get(&app, &format!("/api/v1/runs/{run}/live")).send().await.unwrap();
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    for path in ["/api/v1/runs/0123456789abcdef/live", "/api/v1/runs/test"] {
        let foreign = get(&app, path).header("Origin", "https://example.com").send().await.unwrap();
        assert_eq!(foreign.status(), 403);
        let host = get(&app, path).header("Host", "example.com").send().await.unwrap();
        assert_eq!(host.status(), 403);
    }
}

#[tokio::test]
async fn a_draft_is_tried_without_a_job_being_kept() {
    let app = TestApp::start().await;
    app.add(json!({"name": "mine"})).await;
    let gate = Gate::new(&app, "gate");
    let draft = json!({"name": "mine", "mode": "command", "command": gate.command(), "trigger": {"type": "cron", "cron": "* * * * * *"}});
    let mut tried = Vec::new();
    for _ in 0..2 {
        let (status, answer) = send(post(&app, "/api/v1/runs/test").json(&draft)).await;
        assert_eq!((status, keys(&answer)), (202, vec!["run", "job"]), "{answer}");
        tried.push((answer["job"].as_i64().unwrap(), answer["run"].as_str().unwrap().to_owned()));
    }
    // It does not fire by itself.
    app.advance(86_400 * 400);
    app.settled().await;
    gate.open();
    for (id, run) in tried {
        assert_eq!(Events::of(&app, &run).await.ended().await["outcome"], "success");
        app.until(async |app| app.get(&format!("/jobs/read?id={id}")).await["code"] == 404).await;
        assert_eq!(column(&app.runs(id).await, "exec_id"), [run.as_str()], "the record stays");
    }
    let draft = json!({"name": "x", "mode": "http", "command": "", "trigger": {"timezone": "Nowhere"}});
    let (status, answer) = send(post(&app, "/api/v1/runs/test").json(&draft)).await;
    assert_eq!(status, 422);
    let fields: Vec<_> = answer["errors"].as_array().unwrap().iter().map(|e| &e["field"]).collect();
    assert_eq!(fields, ["trigger.timezone", "command"], "{answer}");
    let (status, _) = send(post(&app, "/api/v1/runs/test").body("{")).await;
    assert_eq!(status, 400);
}
