//! The page at `/`: what a browser is told about it, and that nothing beside it can be reached. A server
//! that was built without Node says how to build the page; the tests hold both ways.

use super::{get, send};
use crate::support::TestApp;
use reqwest::Response;
use serde_json::json;

const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

async fn page(app: &TestApp, lang: &str) -> Response {
    get(app, "/").header("Accept-Language", lang).send().await.unwrap()
}

/// The page and the paths of the files that it names; no paths: it was not built.
async fn assets(app: &TestApp) -> (String, Vec<String>) {
    let html = page(app, "zh").await.text().await.unwrap();
    let paths =
        html.split(['"', '\'']).filter(|part| part.starts_with("/assets/") || *part == "/favicon.svg");
    let paths = paths.map(str::to_owned).collect();
    (html, paths)
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

fn is_guarded(answer: &Response) {
    assert_eq!(header(answer, "content-security-policy"), POLICY, "{}", answer.url());
    assert_eq!(header(answer, "x-content-type-options"), "nosniff", "{}", answer.url());
    assert_eq!(header(answer, "referrer-policy"), "no-referrer", "{}", answer.url());
}

#[tokio::test]
async fn a_browser_gets_a_page_in_either_case() {
    let app = TestApp::start().await;
    for lang in ["zh-CN", "en"] {
        let answer = page(&app, lang).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8");
        assert_eq!(header(&answer, "cache-control"), "no-cache");
        is_guarded(&answer);
        let html = answer.text().await.unwrap();
        assert!(html.contains("<title>TimerJobs</title>"), "{html}");
        assert!(!html.contains("://"), "it loads nothing from elsewhere: {html}");
        if !html.contains("id=\"app\"") {
            assert!(html.contains("make console") && html.contains("/docs/"), "{html}");
        }
    }
    let head = app.http.head(format!("{}/", app.url)).send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(&head, "content-type")), (200, "text/html; charset=utf-8"));
    is_guarded(&head);
    assert!(head.text().await.unwrap().is_empty());
}

/// The policy refuses both, and a page that needs them would be blank.
#[tokio::test]
async fn no_script_and_no_style_is_written_into_the_page() {
    let app = TestApp::start().await;
    let (html, _) = assets(&app).await;
    assert!(!html.contains("<style") && !html.contains(" style="), "{html}");
    assert!(
        html.split("<script").skip(1).all(|tag| tag.split('>').next().unwrap().contains("src=\"/")),
        "{html}"
    );
}

#[tokio::test]
async fn assets_are_kept_for_good_and_the_rest_is_asked_about() {
    let app = TestApp::start().await;
    let (_, paths) = assets(&app).await;
    for path in paths.iter().map(String::as_str).chain(["/"]) {
        let answer = get(&app, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        is_guarded(&answer);
        let lasting = path.starts_with("/assets/");
        let kept = if lasting { "public, max-age=31536000, immutable" } else { "no-cache" };
        assert_eq!(header(&answer, "cache-control"), kept, "{path}");
        let etag = header(&answer, "etag").to_owned();
        if etag.is_empty() {
            assert!(paths.is_empty(), "{path} has no ETag");
            continue;
        }
        for (tag, status) in [(etag.as_str(), 304), ("\"another\"", 200)] {
            let again = get(&app, path).header("If-None-Match", tag).send().await.unwrap();
            assert_eq!((again.status().as_u16(), header(&again, "etag")), (status, etag.as_str()), "{path}");
            is_guarded(&again);
            assert_eq!(again.bytes().await.unwrap().is_empty(), status == 304, "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_packed_is_the_same_file() {
    let app = TestApp::start().await;
    let (_, paths) = assets(&app).await;
    for path in paths {
        let answer = get(&app, &path).header("Accept-Encoding", "gzip").send().await.unwrap();
        let plain = get(&app, &path).header("Accept-Encoding", "identity").send().await.unwrap();
        assert_eq!(header(&plain, "content-encoding"), "", "{path}");
        if header(&answer, "content-encoding") == "gzip" {
            assert_eq!(header(&answer, "vary").to_lowercase(), "accept-encoding", "{path}");
            assert_eq!(header(&plain, "vary").to_lowercase(), "accept-encoding", "{path}");
            let (packed, plain) = (answer.bytes().await.unwrap(), plain.bytes().await.unwrap());
            assert!(packed.starts_with(&[0x1f, 0x8b]) && packed.len() < plain.len(), "{path}");
        }
    }
}

#[tokio::test]
async fn nothing_beside_the_page_can_be_reached() {
    let app = TestApp::start().await;
    for path in [
        "/assets",
        "/assets/",
        "/assets/nothing-1a2b.js",
        "/assets/../index.html",
        "/assets/%2e%2e/index.html",
        "/assets/..%2f..%2fCargo.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/index.html.gz",
        "/.vite/manifest.json",
        "/assets/%00",
        "/assets/\\..\\x",
    ] {
        // The client would tidy the path up; a hand-written request is sent as it is.
        let said = raw(&app, path).await;
        assert!(said.starts_with("HTTP/1.1 404 "), "{path}: {said}");
        assert!(said.contains("\"code\":404"), "{path}: {said}");
    }
}

async fn raw(app: &TestApp, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let host = app.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn the_page_is_only_read() {
    let app = TestApp::start().await;
    let (status, answer) = send(app.http.post(format!("{}/", app.url)).json(&json!({}))).await;
    assert_eq!((status, &answer["code"]), (405, &json!(405)));
}
