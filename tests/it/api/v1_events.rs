//! What happens on the server, as server-sent events over real connections.

use super::v1_jobs::{add, call, draft};
use super::{ask, send};
use crate::support::TestApp;
use crate::support::sse::Events;
use reqwest::Method;
use serde_json::{Value, json};

const EVENTS: &str = "/api/v1/events";

async fn next(events: &mut Events) -> (String, Value) {
    events.next().await.expect("the stream goes on")
}

fn id(job: &Value) -> i64 {
    job["id"].as_i64().unwrap()
}

#[tokio::test]
async fn jobs_and_runs_are_told_of_as_they_change() {
    let app = TestApp::start().await;
    let mut events = Events::at(&app, EVENTS).await;
    let job = id(&add(&app, json!({"mode": "func", "command": "Echo hi"})).await);
    let (status, asked) = send(call(&app, Method::POST, &format!("/jobs/{job}/run"))).await;
    assert_eq!(status, 202, "{asked}");
    let changed = json!({"job": job});
    assert_eq!(next(&mut events).await, ("job_changed".into(), changed.clone()));
    let started = json!({"run": asked["run"], "job": job, "delay_ms": null});
    assert_eq!(next(&mut events).await, ("run_started".into(), started));
    let ended = json!({"run": asked["run"], "job": job, "outcome": "success", "duration_ms": 0});
    assert_eq!(next(&mut events).await, ("run_ended".into(), ended));
    call(&app, Method::DELETE, &format!("/jobs/{job}")).header("If-Match", "*").send().await.unwrap();
    assert_eq!(next(&mut events).await, ("job_deleted".into(), changed));
}

#[tokio::test]
async fn a_flood_is_one_event_that_says_how_much_it_was() {
    let app = TestApp::start().await;
    let jobs: Vec<_> = (0..300).map(|n| draft(json!({"name": format!("job {n}")}))).collect();
    let file = json!({"jobs": jobs}).to_string();
    let request =
        call(&app, Method::POST, "/jobs/import").header("Content-Type", "application/json").body(file);
    assert_eq!(ask(request).await["added"].as_array().unwrap().len(), 300);
    app.settled().await;
    let mut events = Events::at(&app, EVENTS).await;
    assert_eq!(app.post("/jobs/stopAll", json!({})).await["data"]["stopped"], 300);
    assert_eq!(next(&mut events).await, ("lagged".into(), json!({"missed": 300})));
    let job = id(&add(&app, json!({"name": "after"})).await);
    assert_eq!(next(&mut events).await, ("job_changed".into(), json!({"job": job})), "it goes on");
}

#[tokio::test]
async fn an_open_stream_does_not_hold_up_the_servers_end() {
    let mut app = TestApp::start().await;
    let (mut silent, mut busy) = (Events::at(&app, EVENTS).await, Events::at(&app, EVENTS).await);
    let job = id(&add(&app, json!({})).await);
    assert_eq!(next(&mut busy).await.0, "job_changed");
    call(&app, Method::POST, &format!("/jobs/{job}/run")).send().await.unwrap();
    app.ended(job, 1).await;
    app.tell(timerjobs::app::Stop::Gently);
    // They end as streams should: a connection that is cut would be an error here.
    while silent.next().await.is_some() {}
    let mut seen = Vec::new();
    while let Some((name, _)) = busy.next().await {
        seen.push(name);
    }
    assert_eq!(seen, ["run_started", "run_ended"], "what happened last is still told");
    app.served().await;
}

#[tokio::test]
async fn streams_are_bounded_and_those_that_were_left_make_room() {
    let app = TestApp::start().await;
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(Events::at(&app, EVENTS).await);
    }
    for path in ["/events", "/logs/live"] {
        let (status, problem) = send(call(&app, Method::GET, path)).await;
        assert_eq!(status, 503, "{problem}");
        assert!(problem["title"].as_str().unwrap().contains("256"), "{problem}");
    }
    assert_eq!(app.status("/api/v1/jobs").await, 200, "other calls are not concerned");
    open.pop();
    app.until(async |app| app.status(EVENTS).await == 200).await;
}
