//! Run records in the modern API: lists, one run, stopping it, running it again.

use super::send;
use super::v1_jobs::{add, call, named};
use crate::engine::{Gate, gated};
use crate::support::TestApp;
use reqwest::Method;
use serde_json::{Value, json};
use timerjobs::Outcome;

async fn list(app: &TestApp, query: &str) -> Value {
    let (status, list) = send(call(app, Method::GET, &format!("/runs?{query}"))).await;
    assert_eq!(status, 200, "{list}");
    list
}

fn jobs(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|run| run["job_name"].as_str().unwrap()).collect()
}

async fn run(app: &TestApp, id: i64) -> String {
    let (status, asked) = send(call(app, Method::POST, &format!("/jobs/{id}/run"))).await;
    assert_eq!(status, 202, "{asked}");
    asked["run"].as_str().unwrap().to_owned()
}

async fn id_of(app: &TestApp, fields: Value) -> i64 {
    add(app, fields).await["id"].as_i64().unwrap()
}

#[tokio::test]
async fn runs_are_listed_newest_first_and_filtered() {
    let mut app = TestApp::start().await;
    let good = id_of(&app, json!({"name": "good"})).await;
    let bad = id_of(&app, json!({"name": "bad", "mode": "command", "command": "exit 3"})).await;
    for n in 0..12 {
        for id in [good, bad] {
            run(&app, id).await;
            app.ended(id, 1).await;
        }
        // Over the ends of quarters of an hour, in which runs are counted.
        app.advance(if n % 2 == 0 { 700 } else { 61 });
    }
    let all = list(&app, "").await;
    assert_eq!((&all["total"], jobs(&all).len()), (&json!(24), 20));
    assert_eq!(jobs(&all)[..2], ["bad", "good"]);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = list(&app, &format!("limit=5&cursor={cursor}")).await;
        let ids = page["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned());
        seen.extend(ids);
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 24);
    assert!(seen.windows(2).all(|two| two[0] > two[1]), "{seen:?}");
    for (query, total) in [
        (format!("job={good}"), 12),
        ("outcome=failed".to_owned(), 12),
        ("outcome=failed,success".to_owned(), 24),
        ("outcome=success,success".to_owned(), 12),
        ("outcome=timeout,lost".to_owned(), 0),
        (format!("job={bad}&outcome=success,failed"), 12),
        ("from=2026-01-05T08:00:00Z&to=2026-01-05T08:11:40Z".to_owned(), 2),
        ("from=2026-01-05T08:11:40Z".to_owned(), 22),
        ("from=2026-01-05T08:11:40Z&to=2026-01-05T08:59:00Z&outcome=failed".to_owned(), 8),
        ("to=2026-01-05T16:11:40%2B08:00".to_owned(), 2),
        ("from=2027-01-01T00:00:00Z".to_owned(), 0),
        ("from=2026-01-05T09:00:00Z&to=2026-01-05T08:00:00Z".to_owned(), 0),
    ] {
        let found = list(&app, &format!("{query}&limit=200")).await;
        assert_eq!((&found["total"], jobs(&found).len()), (&json!(total), total), "{query}");
    }
    for (query, wrong) in [
        ("outcome=good", "outcome"),
        ("from=yesterday", "from"),
        ("cursor=zz", "cursor"),
        ("limit=201", "limit"),
    ] {
        let (status, problem) = send(call(&app, Method::GET, &format!("/runs?{query}"))).await;
        assert_eq!((status, named(&problem)), (422, vec![wrong]), "{query}");
    }
}

#[tokio::test]
async fn one_run_is_shown_whole() {
    let mut app = TestApp::start().await;
    let id = id_of(&app, json!({"mode": "command", "command": "echo out; echo err >&2; exit 3"})).await;
    let run = run(&app, id).await;
    app.ended(id, 1).await;
    let (status, one) = send(call(&app, Method::GET, &format!("/runs/{run}"))).await;
    let shown = json!({"id": run, "job_id": id, "mode": "command", "source": "manual", "outcome": "failed",
        "exit_code": 3, "stdout": "out\n", "stderr": "err\n", "http": null, "func": null, "reason": null,
        "missed": null, "scheduled": "2026-01-05T08:00:00.000Z", "delay_ms": 0, "attempt": 1});
    assert_eq!(status, 200);
    for (name, value) in shown.as_object().unwrap() {
        assert_eq!(&one[name], value, "{name}");
    }
    assert!(one["error"].as_str().unwrap().contains('3'), "{one}");
    let found = list(&app, "").await;
    for long in ["stdout", "stderr", "command", "http_body"] {
        assert!(found["items"][0].get(long).is_none(), "{long} is left out of lists");
    }
    let text = async |query: &str| {
        let answer = call(&app, Method::GET, &format!("/runs/{run}/output?{query}")).send().await.unwrap();
        (answer.headers().contains_key("content-disposition"), answer.text().await.unwrap())
    };
    assert_eq!(text("").await, (false, "===== stdout =====\nout\n\n===== stderr =====\nerr\n\n".to_owned()));
    assert_eq!(text("part=stderr&download=1").await, (true, "err\n".to_owned()));
    for path in ["/runs/0123456789abcdef", "/runs/nonsense", "/runs/nonsense/output"] {
        assert_eq!(send(call(&app, Method::GET, path)).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn a_missed_fire_and_a_skipped_one_say_why() {
    let mut app = TestApp::with(&[("JOBS_MANUAL_ALLOW_CONCURRENT", "false")]).await;
    let minutely = json!({"trigger": {"cron": "0 * * * * *"}, "misfire_policy": "skip"});
    let id = id_of(&app, minutely).await;
    app.advance(600);
    app.ended(id, 1).await;
    let found = list(&app, "outcome=missed").await;
    let run = &found["items"][0];
    assert_eq!(
        (&run["reason"], &run["missed"]["from"]),
        (&json!("policy"), &json!("2026-01-05T08:01:00.000Z")),
        "{run}"
    );
    assert_eq!(
        (&run["started"], &run["duration_ms"], &run["delay_ms"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert!(run["reason_text"].as_str().unwrap().contains("misfire_policy"), "{run}");
    let gate = Gate::new(&app, "gate");
    let serial = json!({"name": "serial", "allow_mode": 1, "cron_expr": "0 0 1 1 *"});
    let id = app.add(gated(&gate, serial)).await;
    let (_, first) = send(call(&app, Method::POST, &format!("/jobs/{id}/run"))).await;
    let (status, second) = send(call(&app, Method::POST, &format!("/jobs/{id}/run"))).await;
    assert_eq!((status, &first["skipped"]), (202, &Value::Null));
    assert!(second["skipped"].as_str().unwrap().contains("still in flight"), "{second}");
    gate.open();
    assert_eq!(app.ended(id, 2).await, [Outcome::Skipped, Outcome::Success]);
}

#[tokio::test]
async fn one_run_is_stopped_and_its_job_goes_on() {
    let mut app = TestApp::with(&[("JOBS_MAX_CONCURRENT", "1")]).await;
    let gate = Gate::new(&app, "never opened");
    let id = app.add(gated(&gate, json!({"name": "gated", "cron_expr": "0 0 1 1 *"}))).await;
    let (at_work, waiting) = (run(&app, id).await, run(&app, id).await);
    app.started(id).await;
    for run in [waiting, at_work] {
        let (status, asked) = send(call(&app, Method::POST, &format!("/runs/{run}/stop"))).await;
        assert_eq!((status, asked["run"].as_str()), (202, Some(run.as_str())), "{asked}");
        assert_eq!(app.ended(id, 1).await, [Outcome::Cancelled]);
        let (_, one) = send(call(&app, Method::GET, &format!("/runs/{run}"))).await;
        assert_eq!((&one["outcome"], &one["reason"]), (&json!("cancelled"), &json!("run_stopped")));
        let (status, problem) = send(call(&app, Method::POST, &format!("/runs/{run}/stop"))).await;
        assert_eq!((status, problem["title"].as_str()), (409, Some("the run has ended already")));
    }
    assert_eq!(app.job(id).await["state"], 0, "its job is as it was");
    for run in ["0123456789abcdef", "nonsense"] {
        assert_eq!(send(call(&app, Method::POST, &format!("/runs/{run}/stop"))).await.0, 404);
    }
}

#[tokio::test]
async fn a_run_is_done_once_more() {
    let mut app = TestApp::start().await;
    let id = id_of(&app, json!({})).await;
    let first = run(&app, id).await;
    app.ended(id, 1).await;
    let again = format!("/runs/{first}/again");
    let (status, asked) = send(call(&app, Method::POST, &again)).await;
    assert_eq!(status, 202);
    assert_ne!(asked["run"], json!(first));
    assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
    let gone = call(&app, Method::DELETE, &format!("/jobs/{id}")).header("If-Match", "*");
    assert_eq!(gone.send().await.unwrap().status(), 204);
    assert_eq!(send(call(&app, Method::POST, &again)).await.0, 409);
    assert_eq!(send(call(&app, Method::POST, "/runs/0123456789abcdef/again")).await.0, 404);
}
