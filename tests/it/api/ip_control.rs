//! The address lists while the server runs (contract, "IP control").

use super::{code, get, msg, post, send};
use crate::support::TestApp;
use serde_json::{Value, json};

async fn change(app: &TestApp, path: &str, body: Value) -> Value {
    app.post(&format!("/jobs/ip-control/{path}"), body).await
}

#[tokio::test]
async fn entries_come_and_go_and_survive_a_restart() {
    let app = TestApp::start().await;
    let status = app.get("/jobs/ip-control/status").await;
    let want = json!({"enabled": true, "whitelist": ["127.0.0.1", "::1"], "blacklist": []});
    assert_eq!(status["data"], want);
    assert_eq!((&status["whitelist"], &status["blacklist"]), (&want["whitelist"], &want["blacklist"]));
    for (path, ip, says) in [
        ("whitelist/add", "10.1.2.3/8", "10.0.0.0/8 added to whitelist"),
        ("whitelist/add", "2001:db8::/32", "2001:db8::/32 added to whitelist"),
        ("whitelist/remove", "::1", "::1/128 removed from whitelist"),
        ("blacklist/add", "::ffff:10.6.6.6", "10.6.6.6/32 added to blacklist"),
        ("blacklist/add", "10.7.7.7", "added to blacklist"),
        ("blacklist/remove", "10.7.7.7", "removed from blacklist"),
    ] {
        let answer = change(&app, path, json!({"ip": ip})).await;
        assert_eq!(code(&answer), 200, "{answer}");
        assert!(msg(&answer).contains(says), "{answer}");
    }
    let want = json!({"enabled": true, "whitelist": ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"], "blacklist": ["10.6.6.6"]});
    assert_eq!(app.get("/jobs/ip-control/status").await["data"], want);
    let mut stopped = app.shut_down().await;
    // A later change of the configured list still counts.
    stopped.settings.push(("IP_WHITELIST".into(), "127.0.0.1, ::1, 192.168.0.0/16".into()));
    let app = stopped.start_again().await;
    let want = json!(["127.0.0.1", "192.168.0.0/16", "10.0.0.0/8", "2001:db8::/32"]);
    assert_eq!(app.get("/jobs/ip-control/status").await["whitelist"], want);
}

#[tokio::test]
async fn a_change_acts_at_once() {
    let app = TestApp::with(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let from = |ip: &str| get(&app, "/jobs/list").header("X-Forwarded-For", ip.to_owned());
    assert_eq!(send(from("10.0.0.9")).await.0, 403);
    change(&app, "whitelist/add", json!({"ip": "10.0.0.0/24"})).await;
    assert_eq!(send(from("10.0.0.9")).await.0, 200);
    change(&app, "blacklist/add", json!({"ip": "10.0.0.9"})).await;
    assert_eq!(send(from("10.0.0.9")).await.0, 403);
    assert_eq!(send(from("10.0.0.8")).await.0, 200);
}

#[tokio::test]
async fn a_change_that_locks_the_caller_out_or_opens_to_all_must_be_forced() {
    let app = TestApp::with(&[("IP_WHITELIST", "127.0.0.1")]).await;
    for (path, ip, says) in [
        ("blacklist/add", "127.0.0.0/8", "127.0.0.1 could not call any more"),
        ("whitelist/remove", "127.0.0.1", "everybody"),
    ] {
        let request = post(&app, &format!("/jobs/ip-control/{path}")).json(&json!({"ip": ip}));
        let (_, answer) = send(request.header("Accept-Language", "en")).await;
        assert_eq!(code(&answer), 400, "{answer}");
        assert!(msg(&answer).contains(says) && msg(&answer).contains("force=true"), "{answer}");
    }
    assert_eq!(app.get("/jobs/ip-control/status").await["whitelist"], json!(["127.0.0.1"]));
    let forced = change(&app, "blacklist/add", json!({"ip": "127.0.0.1", "force": true})).await;
    assert_eq!(code(&forced), 200, "{forced}");
    assert_eq!(app.status("/jobs/list").await, 403);
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let app = TestApp::start().await;
    for ip in ["", "nonsense", "10.0.0.0/33", "1.2.3", "localhost"] {
        let answer = change(&app, "whitelist/add", json!({"ip": ip})).await;
        assert_eq!((code(&answer), &answer["data"]["errors"][0]["field"]), (422, &json!("ip")), "{answer}");
    }
    assert_eq!(
        code(&change(&app, "whitelist/add", json!({"ip": "127.0.0.1"})).await),
        400,
        "it is there already"
    );
    assert_eq!(
        code(&change(&app, "blacklist/remove", json!({"ip": "127.0.0.1"})).await),
        400,
        "it is not there"
    );
}

#[tokio::test]
async fn the_database_tells_about_itself() {
    let app = TestApp::start().await;
    let info = app.get("/jobs/dbinfo").await;
    let (kind, url) = (info["db_type"].as_str().unwrap(), info["db_url"].as_str().unwrap());
    assert!(!info["version"].as_str().unwrap().is_empty(), "{info}");
    if kind == "sqlite" {
        assert!(url.starts_with("sqlite:////") && info["table_prefix"] == "tj_", "{info}");
        assert_eq!(info["size_bytes"].as_u64().unwrap() % 4096, 0);
    } else {
        assert!(url.starts_with(&format!("{kind}://")) && url.ends_with("/test"), "{info}");
    }
    assert!(info["size_bytes"].as_u64().unwrap() > 0);
}
