//! The state of the whole server in one answer.

use super::send;
use super::v1_jobs::{add, call};
use crate::engine::{Gate, gated};
use crate::support::TestApp;
use reqwest::Method;
use serde_json::{Value, json};

async fn overview(app: &TestApp) -> Value {
    let (status, seen) = send(call(app, Method::GET, "/overview")).await;
    assert_eq!(status, 200, "{seen}");
    seen
}

#[tokio::test]
async fn an_empty_server_has_an_overview() {
    let app = TestApp::start().await;
    let seen = overview(&app).await;
    assert_eq!(seen["now"], "2026-01-05T08:00:00.000Z");
    assert_eq!(seen["jobs"], json!({"total": 0, "scheduled": 0, "running": 0, "stopped": 0}));
    for list in ["running", "upcoming", "failures"] {
        assert_eq!(seen[list], json!([]), "{list}");
    }
    assert_eq!((&seen["day"]["runs"], &seen["day"]["rate"]), (&json!(0), &Value::Null));
    let hours = seen["day"]["per_hour"].as_array().unwrap();
    assert_eq!((hours.len(), &hours[23]["at"]), (24, &json!("2026-01-05T08:00:00.000Z")));
    assert_eq!(seen["load"].as_array().unwrap().len(), 96);
    assert_eq!((&seen["health"]["database"], &seen["health"]["scheduler"]), (&json!("ok"), &json!("ok")));
}

#[tokio::test]
async fn it_shows_what_runs_what_comes_and_what_failed() {
    let mut app = TestApp::start().await;
    let hourly = json!({"name": "hourly", "trigger": {"cron": "0 30 * * * *"}});
    let hourly = add(&app, hourly).await["id"].as_i64().unwrap();
    let bad = json!({"name": "bad", "mode": "command", "command": "echo no >&2; exit 3"});
    let bad = add(&app, bad).await["id"].as_i64().unwrap();
    add(&app, json!({"name": "stopped", "enabled": false})).await;
    for (id, times) in [(bad, 1), (hourly, 3)] {
        for _ in 0..times {
            send(call(&app, Method::POST, &format!("/jobs/{id}/run"))).await;
            app.ended(id, 1).await;
        }
    }
    let gate = Gate::new(&app, "gate");
    let busy = app.add(gated(&gate, json!({"name": "busy", "cron_expr": "0 0 1 1 *"}))).await;
    send(call(&app, Method::POST, &format!("/jobs/{busy}/run"))).await;
    app.started(busy).await;
    let seen = overview(&app).await;
    assert_eq!(seen["jobs"], json!({"total": 4, "scheduled": 2, "running": 1, "stopped": 1}));
    let running = seen["running"].as_array().unwrap();
    assert_eq!((running.len(), &running[0]["job_name"]), (1, &json!("busy")));
    assert_eq!(
        seen["upcoming"],
        json!([{"job": hourly, "name": "hourly", "at": "2026-01-05T08:30:00.000Z"}])
    );
    let failures = seen["failures"].as_array().unwrap();
    assert_eq!(
        (failures.len(), &failures[0]["job_id"], &failures[0]["exit_code"]),
        (1, &json!(bad), &json!(3))
    );
    let day = &seen["day"];
    assert_eq!(
        (&day["runs"], &day["success"], &day["failed"], &day["rate"]),
        (&json!(4), &json!(3), &json!(1), &json!(0.75))
    );
    assert_eq!(
        day["per_hour"][23],
        json!({"at": "2026-01-05T08:00:00.000Z", "success": 3, "failed": 1, "other": 0})
    );
    let fires: u64 =
        seen["load"].as_array().unwrap().iter().map(|slot| slot["fires"].as_u64().unwrap()).sum();
    assert_eq!((fires, &seen["load"][2]["fires"]), (24, &json!(1)));
    let minutes = seen["hour"].as_array().unwrap();
    assert_eq!((minutes.len(), &minutes[30]["fires"], &minutes[31]["fires"]), (60, &json!(1), &json!(0)));
    gate.open();
    app.ended(busy, 1).await;
    // A day later the failure is history.
    app.advance(86_400 + 3_600);
    app.ended(hourly, 1).await;
    let seen = overview(&app).await;
    assert_eq!((&seen["failures"], &seen["day"]["failed"]), (&json!([]), &json!(0)));
}
