//! Who gets in: address lists, proxies, Host and Origin. The tests' socket is always 127.0.0.1.

use super::{code, form, get, keys, msg, post, send};
use crate::support::TestApp;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

fn a_job() -> Value {
    json!({"name": "x", "cron_expr": "@daily", "mode": "func", "command": "Test"})
}

/// The request is refused with 403 in the envelope, in the language asked for.
async fn refused(request: RequestBuilder, words: &str) {
    let (status, answer) = send(request).await;
    assert_eq!((status, code(&answer)), (403, 403), "{answer}");
    assert_eq!(keys(&answer), ["code", "msg", "data"]);
    assert_eq!(answer["data"], Value::Null);
    assert!(msg(&answer).contains(words), "{answer}");
}

async fn passes(request: RequestBuilder) {
    let (status, answer) = send(request).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn by_default_this_machine_is_let_in() {
    passes(get(&TestApp::start().await, "/jobs/list")).await;
}

#[tokio::test]
async fn an_address_off_the_whitelist_gets_nothing_at_all() {
    let app = TestApp::with(&[("IP_WHITELIST", "10.0.0.0/8")]).await;
    for path in [
        "/",
        "/health",
        "/jobs/list",
        "/jobs/health",
        "/docs",
        "/docs/",
        "/docs/swagger-ui.css",
        "/openapi.json",
        "/nothing",
    ] {
        refused(get(&app, path), "地址 127.0.0.1 不允许访问").await;
        refused(get(&app, path).header("Accept-Language", "en"), "127.0.0.1 is not allowed").await;
    }
    for path in ["/jobs/add", "/jobs/stopAll", "/jobs/list", "/nothing"] {
        refused(post(&app, path).json(&a_job()), "IP_WHITELIST").await;
    }
}

#[tokio::test]
async fn address_lists_decide() {
    for (white, black, enabled, passing) in [
        ("127.0.0.0/8", "", "true", true),
        ("::ffff:127.0.0.1", "", "true", true),
        ("10.0.0.0/8, 127.0.0.1", "", "true", true),
        ("::1", "", "true", false),
        ("", "", "true", true),
        ("", "127.0.0.1", "true", false),
        ("127.0.0.1", "127.0.0.1", "true", false),
        ("127.0.0.1", "127.0.0.0/8", "true", false),
        ("127.0.0.1", "::ffff:127.0.0.0/104", "true", false),
        ("127.0.0.1", "10.0.0.0/8", "true", true),
        ("10.0.0.1", "127.0.0.1", "false", true),
    ] {
        let lists = [("IP_WHITELIST", white), ("IP_BLACKLIST", black), ("IP_CONTROL_ENABLED", enabled)];
        let app = TestApp::with(&lists).await;
        let (status, answer) = send(get(&app, "/jobs/list")).await;
        assert_eq!(status, if passing { 200 } else { 403 }, "{lists:?}");
        if !passing {
            let list = if black.is_empty() { "IP_WHITELIST" } else { "黑名单" };
            assert!(answer["msg"].as_str().unwrap().contains(list), "{answer}");
        }
    }
}

#[tokio::test]
async fn forwarded_for_is_not_believed() {
    let app = TestApp::with(&[("IP_WHITELIST", "10.0.0.0/8")]).await;
    for name in ["X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "True-Client-IP"] {
        refused(get(&app, "/jobs/list").header(name, "10.0.0.1"), "127.0.0.1").await;
    }
    let lists = [("IP_BLACKLIST", "9.9.9.9"), ("AUTH", "off")];
    let app = TestApp::with(&lists).await;
    // Nobody logs in: what a proxy brings that nobody announced could be from anywhere.
    for name in ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-Host", "Via"] {
        let (status, answer) = send(get(&app, "/jobs/list").header(name, "9.9.9.9")).await;
        assert_eq!(status, 403, "{name}");
        assert!(answer["msg"].as_str().unwrap().contains("TRUSTED_PROXIES"), "{answer}");
    }
    let lists = [("TRUSTED_PROXIES", "127.0.0.1"), ("IP_WHITELIST", "127.0.0.1,10.0.0.0/8")];
    let app = TestApp::with(&lists).await;
    passes(get(&app, "/jobs/list").header("X-Forwarded-For", "10.1.2.3")).await;
}

#[tokio::test]
async fn no_page_frames_an_answer_and_nobody_keeps_it() {
    let app = TestApp::with(&[]).await;
    for path in ["/jobs/list", "/docs/", "/redoc", "/health", "/no/such/path", "/api/v1/jobs"] {
        let answer = get(&app, path).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert!(answer.headers().contains_key("cache-control"), "{path}");
    }
}

#[tokio::test]
async fn forwarded_for_of_a_trusted_proxy_is_believed_from_the_right() {
    let app = TestApp::with(&[("IP_WHITELIST", "10.0.0.0/8"), ("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let with = |xff: &str| get(&app, "/jobs/list").header("X-Forwarded-For", xff.to_owned());
    passes(with("10.1.2.3")).await;
    passes(with("8.8.8.8, 10.1.2.3")).await;
    refused(with("10.1.2.3, 8.8.8.8"), "8.8.8.8").await;
    refused(with("10.1.2.3").header("X-Forwarded-For", "8.8.8.8"), "8.8.8.8").await;
    refused(with("10.1.2.3, nonsense"), "127.0.0.1").await;
    refused(with(""), "127.0.0.1").await;
    refused(get(&app, "/jobs/list"), "127.0.0.1").await;
}

#[tokio::test]
async fn a_foreign_host_is_refused() {
    let app = TestApp::with(&[("ALLOWED_HOSTS", "jobs.example.com, other.example")]).await;
    for host in ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example"] {
        refused(get(&app, "/jobs/list").header("Host", host), "ALLOWED_HOSTS").await;
        refused(post(&app, "/jobs/add").header("Host", host).json(&a_job()), "ALLOWED_HOSTS").await;
        refused(get(&app, "/docs/").header("Host", host), "ALLOWED_HOSTS").await;
    }
    for host in [
        "localhost",
        "localhost:8000",
        "127.0.0.1",
        "[::1]:8000",
        "192.168.1.5",
        "Jobs.Example.com:80",
        "other.example",
    ] {
        passes(get(&app, "/jobs/list").header("Host", host)).await;
    }
    assert_eq!(app.get("/jobs/list").await["total"], 0, "nothing was changed");
}

#[tokio::test]
async fn a_foreign_page_changes_nothing() {
    let app = TestApp::start().await;
    let id = app.add(json!({})).await;
    let port = app.url.rsplit(':').next().unwrap();
    let foreign = [
        "null".to_owned(),
        "http://evil.example".to_owned(),
        "https://127.0.0.1".to_owned(),
        "http://127.0.0.1:1".to_owned(),
        format!("http://localhost.evil.example:{port}"),
        format!("http://evil.example:{port}"),
        "file://".to_owned(),
        String::new(),
    ];
    for origin in foreign {
        let with = |request: RequestBuilder| request.header("Origin", origin.clone());
        refused(with(post(&app, "/jobs/add").json(&a_job())), "网站").await;
        refused(with(form(post(&app, "/jobs/del"), [("id", id.to_string())])), "网站").await;
        refused(with(post(&app, "/jobs/stopAll")), "网站").await;
        refused(with(get(&app, "/jobs/list")).header("Accept-Language", "en"), "another site").await;
    }
    let jobs = app.get("/jobs/list").await;
    assert_eq!((&jobs["total"], &jobs["data"][0]["state"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn our_own_page_passes() {
    let app = TestApp::with(&[("ALLOWED_HOSTS", "jobs.example.com")]).await;
    passes(post(&app, "/jobs/add").header("Origin", &app.url).json(&a_job())).await;
    let behind_tls = get(&app, "/jobs/list").header("Host", "jobs.example.com");
    passes(behind_tls.header("Origin", "https://jobs.example.com")).await;
    let port = app.url.rsplit(':').next().unwrap().to_owned();
    let by_name = post(&app, "/jobs/stopAll").header("Host", format!("localhost:{port}"));
    passes(by_name.header("Origin", format!("http://localhost:{port}"))).await;
}

#[tokio::test]
async fn fetch_metadata_tells_a_foreign_page_that_sends_no_origin() {
    let app = TestApp::start().await;
    for site in ["cross-site", "same-site"] {
        let from = |request: RequestBuilder, mode: &str| {
            request.header("Sec-Fetch-Site", site).header("Sec-Fetch-Mode", mode.to_owned())
        };
        refused(from(post(&app, "/jobs/stopAll"), "no-cors"), "网站").await;
        refused(from(post(&app, "/jobs/add").json(&a_job()), "navigate"), "网站").await;
        refused(from(get(&app, "/jobs/list"), "no-cors"), "网站").await;
        passes(from(get(&app, "/jobs/list"), "navigate")).await;
    }
    for site in ["same-origin", "none"] {
        passes(post(&app, "/jobs/stopAll").header("Sec-Fetch-Site", site)).await;
    }
    assert_eq!(app.get("/jobs/list").await["total"], 0);
}

#[tokio::test]
async fn no_answer_lets_a_foreign_page_read_it() {
    let app = TestApp::start().await;
    let answer = get(&app, "/jobs/list").header("Origin", &app.url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("access-control-")));
    let preflight = app.http.request(reqwest::Method::OPTIONS, format!("{}/jobs/add", app.url));
    refused(preflight.header("Origin", "http://evil.example"), "网站").await;
}
