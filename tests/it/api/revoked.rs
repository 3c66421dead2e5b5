//! What was open when a session or token ended, ends too.

use super::v1_jobs::call;
use super::{get, post, send};
use crate::support::TestApp;
use crate::support::sse::Events;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse";

async fn login(app: &TestApp, username: &str) -> String {
    let answer = app.post("/admin/login", json!({"username": username, "password": PASSWORD})).await;
    answer["data"]["token"].as_str().unwrap().to_owned()
}

async fn account(app: &TestApp, by: Option<&str>, username: &str, role: &str) -> String {
    let made = json!({"username": username, "password": PASSWORD, "role": role});
    let request = call(app, Method::POST, "/accounts").json(&made);
    let request = if let Some(by) = by { request.bearer_auth(by) } else { request };
    assert_eq!(send(request).await.0, 201);
    login(app, username).await
}

/// Opens both kinds of streams that do not end by themselves.
async fn open(app: &TestApp, with: impl Fn(RequestBuilder) -> RequestBuilder) -> [Events; 2] {
    let of = |path| Events::from(with(get(app, path)));
    [of("/api/v1/events").await, of("/api/v1/logs/live").await]
}

async fn end(streams: [Events; 2]) {
    for mut stream in streams {
        while stream.next().await.is_some() {}
    }
}

#[tokio::test]
async fn what_a_session_had_open_ends_with_it_and_others_go_on() {
    let app = TestApp::start().await;
    let admin = account(&app, None, "admin", "admin").await;
    let operator = account(&app, Some(&admin), "operator", "operator").await;
    let as_admin = |request: RequestBuilder| request.bearer_auth(&admin);
    let [mut mine, _log] = open(&app, as_admin).await;
    let (_, all) = send(as_admin(call(&app, Method::GET, "/accounts"))).await;
    let items = all["items"].as_array().unwrap();
    let id = items.iter().find(|a| a["username"] == "operator").unwrap()["id"].clone();
    let change = async |body: Value| {
        let request = as_admin(call(&app, Method::PATCH, &format!("/accounts/{id}")));
        assert_eq!(send(request.json(&body)).await.0, 200);
    };

    // Logging out.
    let streams = open(&app, |request| request.bearer_auth(&operator)).await;
    let out = call(&app, Method::DELETE, "/session").bearer_auth(&operator);
    assert_eq!(out.send().await.unwrap().status(), 204);
    end(streams).await;

    // A token that is taken back.
    let made = as_admin(call(&app, Method::POST, "/tokens")).json(&json!({"name": "x", "role": "operator"}));
    let (_, made) = send(made).await;
    let streams = open(&app, |request| request.bearer_auth(made["token"].as_str().unwrap())).await;
    let revoked = as_admin(call(&app, Method::DELETE, &format!("/tokens/{}", made["id"])));
    assert_eq!(revoked.send().await.unwrap().status(), 204);
    end(streams).await;

    // Another role; a disabled account; a cookie's session.
    let operator = login(&app, "operator").await;
    let streams = open(&app, |request| request.bearer_auth(&operator)).await;
    change(json!({"role": "viewer"})).await;
    end(streams).await;
    change(json!({"role": "operator"})).await;
    let streams = open(&app, |request| request.header("Cookie", format!("tj_session={operator}"))).await;
    change(json!({"enabled": false})).await;
    end(streams).await;
    change(json!({"enabled": true})).await;

    // A new password.
    let operator = login(&app, "operator").await;
    let streams = open(&app, |request| request.bearer_auth(&operator)).await;
    let new = json!({"password": PASSWORD, "new_password": "another horse"});
    let new = call(&app, Method::POST, "/session/password").bearer_auth(&operator).json(&new);
    assert_eq!(send(new).await.0, 200);
    end(streams).await;

    // The admin's own has been open all the time.
    let job = json!({"name": "x", "cron_expr": "@daily", "mode": "func", "command": "Test"});
    assert_eq!(send(as_admin(post(&app, "/jobs/add")).json(&job)).await.0, 200);
    assert_eq!(mine.next().await.unwrap().0, "job_changed");
}

#[tokio::test]
async fn a_token_that_expires_ends_what_it_had_open() {
    let app = TestApp::start().await;
    let admin = account(&app, None, "admin", "admin").await;
    let made = json!({"name": "x", "role": "operator", "days": 1});
    let (_, made) = send(call(&app, Method::POST, "/tokens").bearer_auth(&admin).json(&made)).await;
    let streams = open(&app, |request| request.bearer_auth(made["token"].as_str().unwrap())).await;
    app.advance(86_400);
    end(streams).await;
}

#[tokio::test]
async fn the_first_account_ends_what_was_open_without_one() {
    let app = TestApp::start().await;
    let streams = open(&app, |request| request).await;
    account(&app, None, "admin", "admin").await;
    end(streams).await;
}
