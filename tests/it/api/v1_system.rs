//! The server itself and its address lists, in the modern API.

use super::send;
use super::v1_jobs::{call, named};
use crate::support::TestApp;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn the_server_tells_of_itself_and_of_no_password() {
    let app = TestApp::with(&[("SMTP_PASSWORD", "hunter2"), ("JOBS_MAX_CONCURRENT", "7")]).await;
    let (status, seen) = send(call(&app, Method::GET, "/system")).await;
    assert_eq!(status, 200);
    assert!(!seen.to_string().contains("hunter2"));
    assert_eq!((&seen["scheduler"]["running"], &seen["scheduler"]["problem"]), (&json!(true), &Value::Null));
    assert!(seen["database"]["size_bytes"].as_i64().unwrap() > 0, "{}", seen["database"]);
    let setting = |key: &str| {
        let settings = seen["settings"].as_array().unwrap();
        settings.iter().find(|s| s["key"] == key).unwrap_or_else(|| panic!("no {key}")).clone()
    };
    let most = setting("jobs.max_concurrent");
    let shown = json!({"env": "JOBS_MAX_CONCURRENT", "value": "7", "source": "JOBS_MAX_CONCURRENT",
        "changed": true, "live": true});
    for (name, value) in shown.as_object().unwrap() {
        assert_eq!(&most[name], value, "{name}");
    }
    assert_eq!(setting("smtp.password")["value"], "***");
    assert_eq!(setting("server.port")["live"], false);
    let grace = setting("jobs.kill_grace");
    assert_eq!((&grace["changed"], &grace["source"]), (&json!(false), &json!("default")));
}

#[tokio::test]
async fn the_settings_are_read_again_and_the_scheduler_is_brought_in_line() {
    let app = TestApp::start().await;
    let (status, done) = send(call(&app, Method::POST, "/system/reload")).await;
    assert_eq!((status, done), (200, json!({"changed": [], "needs_restart": []})));
    let (status, done) = send(call(&app, Method::POST, "/system/reconcile")).await;
    assert_eq!((status, done), (200, json!({"added": 0, "removed": 0, "updated": 0})));
}

#[tokio::test]
async fn an_address_list_is_changed_and_nobody_locks_himself_out_unasked() {
    let app = TestApp::start().await;
    let access = async |method, path: &str, body: Value| {
        let request = call(&app, method, &format!("/access{path}"));
        send(if body.is_null() { request } else { request.json(&body) }).await
    };
    let (_, lists) = access(Method::GET, "", Value::Null).await;
    assert_eq!(
        lists,
        json!({"enabled": true, "you": "127.0.0.1", "whitelist": ["127.0.0.1", "::1"], "blacklist": []})
    );
    let (status, lists) = access(Method::POST, "/whitelist", json!({"entry": "10.20.0.0/16"})).await;
    assert_eq!((status, &lists["whitelist"]), (201, &json!(["127.0.0.1", "::1", "10.20.0.0/16"])));
    assert_eq!(access(Method::POST, "/whitelist", json!({"entry": "10.20.9.9/16"})).await.0, 409);
    let (status, lists) = access(Method::DELETE, "/whitelist/10.20.0.0%2F16", Value::Null).await;
    assert_eq!((status, &lists["whitelist"]), (200, &json!(["127.0.0.1", "::1"])));
    assert_eq!(access(Method::DELETE, "/whitelist/10.20.0.0%2F16", Value::Null).await.0, 404);
    let (status, problem) = access(Method::DELETE, "/whitelist/127.0.0.1", Value::Null).await;
    assert_eq!((status, named(&problem)), (409, vec!["force"]));
    assert!(problem["title"].as_str().unwrap().contains("force=true"), "{problem}");
    for (method, path, body, wrong) in [
        (Method::POST, "/whitelist", json!({"entry": "localhost"}), "entry"),
        (Method::POST, "/whitelist", json!({"address": "::1"}), "entry"),
        (Method::POST, "/greylist", json!({"entry": "::1"}), "list"),
        (Method::DELETE, "/blacklist/nobody", Value::Null, "entry"),
    ] {
        let (status, problem) = access(method, path, body).await;
        assert_eq!((status, named(&problem)[0]), (422, wrong), "{problem}");
    }
    // Meant so: the next call is refused, as a problem.
    assert_eq!(access(Method::DELETE, "/whitelist/127.0.0.1?force=true", Value::Null).await.0, 200);
    let (status, problem) = access(Method::GET, "", Value::Null).await;
    assert_eq!((status, &problem["status"]), (403, &json!(403)));
}
