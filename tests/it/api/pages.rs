//! Browsers: which bodies they may send, and pages of other sites that the administrator has named.

use super::v1_jobs::{call, draft};
use super::{FORM, JSON, get, post, send};
use crate::support::TestApp;
use reqwest::{Method, RequestBuilder, Response, header};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse";
const LISTED: &str = "https://app.example.com";

fn a_job(name: &str) -> Value {
    json!({"name": name, "cron_expr": "@daily", "mode": "func", "command": "Test"})
}

#[tokio::test]
async fn a_browser_sends_json_and_a_program_what_it_likes() {
    let app = TestApp::start().await;
    let form = "name=x&cron_expr=%40daily&mode=func&command=Test";
    let json = a_job("y").to_string();
    let browsers: [&[(&str, &str)]; 4] = [
        &[("Origin", &app.url)],
        &[("Sec-Fetch-Site", "same-origin")],
        &[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate")],
        &[("Sec-Fetch-Dest", "document")],
    ];
    let with = |mut request: RequestBuilder, headers: &[(&str, &str)]| {
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request
    };
    for browser in browsers {
        let foreign =
            [FORM, "text/plain", "multipart/form-data; boundary=x", "text/json", "application/x-json", ""];
        for kind in foreign {
            for body in [form, json.as_str()] {
                let mut request = with(post(&app, "/jobs/add"), browser).body(body.to_owned());
                if !kind.is_empty() {
                    request = request.header("Content-Type", kind);
                }
                let (status, answer) = send(request).await;
                assert_eq!((status, &answer["code"]), (415, &json!(415)), "{browser:?} {kind} {answer}");
                assert!(answer["msg"].as_str().unwrap().contains("application/json"), "{answer}");
            }
        }
        let request =
            with(call(&app, Method::POST, "/jobs"), browser).header("Content-Type", FORM).body(form);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 415);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        // Without a body there is nothing to mistake.
        assert_eq!(send(with(post(&app, "/jobs/stopAll"), browser)).await.0, 200);
    }
    assert_eq!(app.get("/jobs/list").await["total"], 0);
    for kind in [JSON, "Application/JSON; charset=utf-8"] {
        let request = with(post(&app, "/jobs/add"), browsers[0]).header("Content-Type", kind);
        let (_, answer) = send(request.body(a_job(kind).to_string())).await;
        assert_eq!(answer["code"], 200, "{answer}");
    }
    let file = with(call(&app, Method::POST, "/jobs/import"), browsers[0]);
    let file = file.header("Content-Type", "application/yaml").body("jobs: []");
    assert_ne!(file.send().await.unwrap().status(), 415, "a file's own type is not a form's");
    // What curl sends.
    let (_, answer) = send(post(&app, "/jobs/add").header("Content-Type", FORM).body(form)).await;
    assert_eq!(answer["code"], 200, "{answer}");
    let (_, answer) = send(post(&app, "/jobs/add").body(json)).await;
    assert_eq!(answer["code"], 200, "{answer}");
}

async fn with_admin(settings: &[(&str, &str)]) -> (TestApp, String) {
    let app = TestApp::with(settings).await;
    let made = json!({"username": "admin", "password": PASSWORD, "role": "admin"});
    let answer = call(&app, Method::POST, "/accounts").json(&made).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let answer = app.post("/admin/login", json!({"username": "admin", "password": PASSWORD})).await;
    (app, answer["data"]["token"].as_str().unwrap().to_owned())
}

fn cors(answer: &Response) -> Vec<(&str, &str)> {
    let headers = answer.headers().iter();
    let of_cors = headers.filter(|(name, _)| name.as_str().starts_with("access-control-"));
    of_cors.map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
}

#[tokio::test]
async fn a_listed_page_calls_with_a_token_and_never_with_a_cookie() {
    let (app, token) = with_admin(&[("CORS_ORIGINS", LISTED)]).await;
    let from =
        |request: RequestBuilder| request.header("Origin", LISTED).header("Sec-Fetch-Site", "cross-site");
    let answer = from(get(&app, "/api/v1/jobs")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let exposed = "etag, location, retry-after, content-disposition";
    let told = [("access-control-allow-origin", LISTED), ("access-control-expose-headers", exposed)];
    assert_eq!(cors(&answer), told);
    assert_eq!(answer.headers()["vary"], "Origin");
    let made = from(call(&app, Method::POST, "/jobs")).bearer_auth(&token).json(&draft(json!({})));
    assert_eq!(made.send().await.unwrap().status(), 201);
    let form = from(post(&app, "/jobs/add")).bearer_auth(&token).header("Content-Type", FORM).body("name=x");
    assert_eq!(form.send().await.unwrap().status(), 415, "a listed page is a browser too");
    // The same session as a cookie: another port of this machine is the same site for a browser.
    for cookie in [format!("tj_session={token}"), String::new()] {
        let answer = from(get(&app, "/api/v1/jobs")).header("Cookie", cookie).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert_eq!(cors(&answer), told, "a page may read why it is refused");
    }
    // It logs in like anybody else.
    let login = json!({"username": "admin", "password": PASSWORD});
    let (status, answer) = send(from(post(&app, "/admin/login")).json(&login)).await;
    assert_eq!((status, &answer["code"]), (200, &json!(200)));
    for origin in [
        "https://app.example.com.evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "null",
    ] {
        let answer = get(&app, "/health").header("Origin", origin).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{origin}");
        assert_eq!(cors(&answer), [], "{origin}");
        assert_eq!(answer.headers()["vary"], "Origin", "caches learn that answers differ");
    }
    let own = get(&app, "/health").header("Origin", &app.url).send().await.unwrap();
    assert_eq!((own.status().as_u16(), cors(&own)), (200, vec![]));
}

#[tokio::test]
async fn a_listed_page_is_never_the_owner() {
    for mode in ["auto", "off"] {
        let app = TestApp::with(&[("CORS_ORIGINS", LISTED), ("AUTH", mode)]).await;
        assert_eq!(get(&app, "/jobs/list").send().await.unwrap().status(), 200);
        let from = |request: RequestBuilder| request.header("Origin", LISTED);
        for request in
            [get(&app, "/jobs/list"), post(&app, "/jobs/add").json(&a_job("x")), get(&app, "/metrics")]
        {
            assert_eq!(from(request).send().await.unwrap().status(), 401, "{mode}");
        }
        let nonsense = from(get(&app, "/jobs/list")).bearer_auth("tjs_nonsense");
        assert_eq!(nonsense.send().await.unwrap().status(), 401);
        assert_eq!(from(get(&app, "/health")).send().await.unwrap().status(), 200);
        let made = json!({"username": "me", "password": PASSWORD, "role": "admin"});
        let made = from(call(&app, Method::POST, "/accounts")).json(&made);
        assert_eq!(made.send().await.unwrap().status(), 401);
    }
}

#[tokio::test]
async fn a_browser_that_asks_first_is_told() {
    let app = TestApp::with(&[("CORS_ORIGINS", "https://app.example.com, http://localhost:3000")]).await;
    let ask = |origin: &str, path: &str| {
        let request = app.http.request(Method::OPTIONS, format!("{}{path}", app.url));
        let request = request.header("Access-Control-Request-Headers", "authorization,if-match");
        request.header("Origin", origin.to_owned()).header("Access-Control-Request-Method", "PATCH")
    };
    for origin in [LISTED, "http://localhost:3000"] {
        for path in ["/api/v1/jobs/1", "/jobs/add"] {
            let answer = ask(origin, path).send().await.unwrap();
            assert_eq!(answer.status(), 204);
            let headers = answer.headers();
            assert_eq!(headers["access-control-allow-origin"], origin);
            assert_eq!(headers["access-control-allow-methods"], "GET, HEAD, POST, PUT, PATCH, DELETE");
            let allowed = headers["access-control-allow-headers"].to_str().unwrap();
            for name in ["authorization", "if-match", "content-type", "accept-language"] {
                assert!(allowed.contains(name), "{allowed}");
            }
            assert_eq!(headers["access-control-max-age"], "600");
            assert!(!headers.contains_key("access-control-allow-credentials"));
            assert_eq!(headers["vary"], "Origin");
        }
    }
    let foreign = ask("https://evil.example", "/jobs/add").send().await.unwrap();
    assert_eq!((foreign.status().as_u16(), cors(&foreign)), (403, vec![]));
    // The list is read again.
    let set = TestApp::start().await;
    std::fs::write(set.folder().join("config.toml"), format!("[server]\ncors_origins = [\"{LISTED}\"]"))
        .unwrap();
    assert_eq!(get(&set, "/health").header("Origin", LISTED).send().await.unwrap().status(), 403);
    set.post("/jobs/reload-config", json!({})).await;
    assert_eq!(get(&set, "/health").header("Origin", LISTED).send().await.unwrap().status(), 200);
    std::fs::write(set.folder().join("config.toml"), "[server]\ncors_origins = [\"*\"]").unwrap();
    let refused = set.post("/jobs/reload-config", json!({})).await;
    assert!(refused["msg"].as_str().unwrap().contains("every page on the web"), "{refused}");
}

#[tokio::test]
async fn the_cookie_is_secure_when_a_trusted_proxy_says_that_the_line_is() {
    for (proxies, proto, secure) in [
        ("127.0.0.1", Some("https"), true),
        ("127.0.0.1", Some("HTTPS"), true),
        ("127.0.0.1", Some("http, https"), true),
        ("127.0.0.1", Some("https, http"), false),
        ("127.0.0.1", Some("http"), false),
        ("127.0.0.1", None, false),
        ("10.0.0.1", Some("https"), false),
        ("", Some("https"), false),
    ] {
        let (app, token) = with_admin(&[("TRUSTED_PROXIES", proxies)]).await;
        let through = |request: RequestBuilder| match proto {
            Some(proto) => request.header("X-Forwarded-Proto", proto),
            None => request,
        };
        let login = json!({"username": "admin", "password": PASSWORD});
        let began = through(call(&app, Method::POST, "/session")).json(&login).send().await.unwrap();
        let ended = through(call(&app, Method::DELETE, "/session")).bearer_auth(&token).send().await.unwrap();
        for answer in [began, ended] {
            let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
            assert_eq!(cookie.contains("; Secure"), secure, "{proxies} {proto:?} {cookie}");
            assert!(cookie.contains("HttpOnly; SameSite=Strict"));
        }
    }
}
