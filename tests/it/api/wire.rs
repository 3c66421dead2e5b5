//! Requests that no library would send: every one is refused or means what its path says, and a
//! connection never holds a second request inside the first.

use super::v1_jobs::call;
use super::{post, send};
use crate::support::TestApp;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PASSWORD: &str = "correct horse";

/// Sends these bytes and nothing more; the statuses of all answers, up to the end of the connection.
async fn statuses(app: &TestApp, bytes: &str) -> Vec<u16> {
    let mut stream = TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let read = async { while matches!(stream.read_buf(&mut all).await, Ok(n) if n > 0) {} };
    tokio::time::timeout(Duration::from_secs(30), read).await.expect("the connection ends");
    let text = String::from_utf8_lossy(&all);
    text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
}

/// A server on which everybody logs in, and an admin's token.
async fn guarded() -> (TestApp, String) {
    let app = TestApp::with(&[("CLIENT_TIMEOUT", "1"), ("ALLOWED_HOSTS", "jobs.example.com")]).await;
    let made = json!({"username": "admin", "password": PASSWORD, "role": "admin"});
    assert_eq!(send(call(&app, Method::POST, "/accounts").json(&made)).await.0, 201);
    let answer = app.post("/admin/login", json!({"username": "admin", "password": PASSWORD})).await;
    let token = answer["data"]["token"].as_str().unwrap().to_owned();
    (app, token)
}

#[tokio::test]
async fn no_header_and_no_target_names_another_request() {
    let (app, token) = guarded().await;
    let viewer = json!({"username": "viewer", "password": PASSWORD, "role": "viewer"});
    assert_eq!(send(call(&app, Method::POST, "/accounts").bearer_auth(&token).json(&viewer)).await.0, 201);
    let login = app.post("/admin/login", json!({"username": "viewer", "password": PASSWORD})).await;
    let viewer = login["data"]["token"].as_str().unwrap().to_owned();
    let headers = [
        "X-HTTP-Method-Override: POST",
        "X-HTTP-Method: POST",
        "X-Method-Override: POST",
        "X-Original-URL: /jobs/stopAll",
        "X-Rewrite-URL: /jobs/stopAll",
        "X-Original-Method: POST",
        "X-Forwarded-Prefix: /jobs/stopAll",
        "X-Forwarded-Host: localhost",
        "X-Forwarded-For: 127.0.0.1",
        "X-Remote-User: admin",
        "Authorization: Basic YWRtaW46Y29ycmVjdCBob3JzZQ==",
        "Authorization: Bearer",
        "Cookie: tj_session=",
        "Cookie: TJ_SESSION=nonsense; tj_session",
    ];
    for header in headers {
        for target in ["/jobs/list", "/jobs/list?_method=POST", "/api/v1/jobs"] {
            let ask =
                format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n\r\n");
            assert_eq!(statuses(&app, &ask).await, [401], "{header} {target}");
        }
        let ask = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n\r\n");
        assert_eq!(statuses(&app, &ask).await, [200], "{header}");
    }
    // What a viewer may not do, in every way of writing it.
    let targets = [
        "/jobs/stopAll",
        "/JOBS/STOPALL",
        "/jobs\\stopAll",
        "/jobs/..;/jobs/stopAll",
        "/jobs/list/../stopAll",
        "/jobs/list/..%2fstopAll",
        "/jobs/%2e%2e/jobs/stopAll",
        "/jobs/%2573topAll",
        "/jobs%252fstopAll",
        "/jobs/stopAll%20",
        "/jobs/stopAll/",
        "/jobs/stopAll;role=admin",
        "/jobs/stopAll%3frole=admin",
        "/%2fjobs/stopAll",
        "///jobs/stopAll",
        "http://localhost/jobs/stopAll",
        "https://localhost:443/jobs/stopAll",
        "http://localhost//jobs/stopAll",
        "*",
        "jobs/stopAll",
        "localhost:443",
    ];
    for target in targets {
        for method in
            ["POST", "post", "PosT", "HEAD", "GET", "PUT", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"]
        {
            let ask = format!(
                "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 Authorization: Bearer {viewer}\r\nContent-Length: 0\r\n\r\n"
            );
            let got = statuses(&app, &ask).await;
            let [got] = got[..] else { panic!("{method} {target}: {got:?}") };
            assert!([400, 403, 404, 405].contains(&got), "{method} {target}: {got}");
        }
    }
}

#[tokio::test]
async fn the_host_is_one_name_of_ours() {
    let app = TestApp::with(&[("ALLOWED_HOSTS", "jobs.example.com")]).await;
    for (hosts, target, wanted) in [
        ("Host: localhost", "/health", 200),
        ("Host: jobs.example.com:443", "/health", 200),
        ("Host: evil.example", "http://localhost/health", 200),
        ("Host: localhost", "http://evil.example/health", 403),
        ("Host: localhost", "http://localhost@evil.example/health", 403),
        ("Host: localhost", "http://localhost:80@evil.example/health", 403),
        ("Host: localhost\r\nHost: evil.example", "/health", 400),
        ("Host: evil.example\r\nHost: localhost", "/health", 400),
        ("Host: localhost\r\nHost: localhost", "/health", 400),
        ("Host: localhost, evil.example", "/health", 403),
        ("Host: localhost@evil.example", "/health", 403),
        ("Host: localhost:80@evil.example", "/health", 403),
        ("Host: me:localhost@evil.example", "/health", 403),
        ("Host: [::1]evil.example", "/health", 403),
        ("Host:", "/health", 403),
        ("X-Forwarded-Host: localhost", "/health", 403),
    ] {
        let ask = format!("GET {target} HTTP/1.1\r\n{hosts}\r\nConnection: close\r\n\r\n");
        let got = statuses(&app, &ask).await;
        // What the parser of targets does not take is a 400.
        assert!(got == [wanted] || (wanted == 403 && got == [400]), "{hosts} {target}: {got:?}");
    }
}

/// A proxy in front and we must agree where a request ends. Each of these is two requests for somebody
/// who reads it the other way: the second one asks for what only an admin may do.
#[tokio::test]
async fn no_request_is_smuggled_inside_another() {
    let (app, token) = guarded().await;
    let id = app_job(&app, &token).await;
    let inner = format!(
        "POST /jobs/del?id={id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let n = inner.len();
    let all = n + 5;
    for (framing, body) in [
        // Chunked counts, the length is a lie: the rest after the last chunk must not be read as a request.
        (format!("Content-Length: {all}\r\nTransfer-Encoding: chunked"), format!("0\r\n\r\n{inner}")),
        (format!("Transfer-Encoding: chunked\r\nContent-Length: {all}"), format!("0\r\n\r\n{inner}")),
        (format!("Content-Length: {n}\r\nContent-Length: 0"), inner.clone()),
        (format!("Content-Length: 0\r\nContent-Length: {n}"), inner.clone()),
        (format!("Content-Length: 0, {n}"), inner.clone()),
        (format!("Content-Length: +{n}"), inner.clone()),
        (format!("Content-Length: -{n}"), inner.clone()),
        (format!("Content-Length: 0x{n:x}"), inner.clone()),
        (format!("Content-Length : {n}"), inner.clone()),
        ("Transfer-Encoding: chunked, identity".to_owned(), format!("0\r\n\r\n{inner}")),
        ("Transfer-Encoding: xchunked".to_owned(), format!("0\r\n\r\n{inner}")),
        ("Transfer-Encoding : chunked".to_owned(), format!("0\r\n\r\n{inner}")),
        ("Transfer-Encoding:\u{b}chunked".to_owned(), format!("0\r\n\r\n{inner}")),
        ("X: y\r\n Transfer-Encoding: chunked".to_owned(), format!("0\r\n\r\n{inner}")),
        ("Transfer-Encoding: chunked".to_owned(), format!("-1\r\n{inner}")),
        ("Transfer-Encoding: chunked".to_owned(), format!("ffffffffffffffffff\r\n{inner}")),
        ("Transfer-Encoding: chunked".to_owned(), format!("g\r\n{inner}")),
    ] {
        let ask = format!("POST /admin/login HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n{body}");
        let got = statuses(&app, &ask).await;
        assert!(got == [400] || got == [200], "{framing}: {got:?}");
        let jobs = super::get(&app, "/jobs/list").bearer_auth(&token);
        assert_eq!(send(jobs).await.1["total"], 1, "{framing}: the inner request was done");
    }
}

async fn app_job(app: &TestApp, token: &str) -> i64 {
    let job = json!({"name": "x", "cron_expr": "@daily", "mode": "func", "command": "Test"});
    let (_, made) = send(post(app, "/jobs/add").bearer_auth(token).json(&job)).await;
    made["data"]["id"].as_i64().unwrap()
}
