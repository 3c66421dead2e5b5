//! The request, its answer and its body, against a server of a few lines.

use super::super::tests::{context, execute, http};
use super::super::{Executor, Settings};
use super::*;
use crate::domain::action::{Action, Repeat};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A request as a server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: String,
    pub body: String,
}

impl Seen {
    pub fn has(&self, line: &str) -> bool {
        self.head.lines().any(|l| l == line)
    }
}

/// A server that answers each request with the bytes that `answer` gives, then closes; `None`
/// leaves the connection open and silent.
pub async fn serve(
    answer: impl Fn(&Seen) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (SocketAddr, UnboundedReceiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (tell, seen) = unbounded_channel();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (answer, tell) = (answer.clone(), tell.clone());
            tokio::spawn(async move { converse(stream, &*answer, |seen| drop(tell.send(seen))).await });
        }
    });
    (address, seen)
}

pub async fn converse(
    mut stream: TcpStream,
    answer: &impl Fn(&Seen) -> Option<Vec<u8>>,
    tell: impl Fn(Seen),
) {
    let Some(seen) = read_request(&mut stream).await else { return };
    tell(seen.clone());
    match answer(&seen) {
        Some(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        None => while matches!(stream.read(&mut [0; 64]).await, Ok(n) if n > 0) {},
    }
}

pub async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0usize) {
                return Some(Seen { head: head.into(), body: body.into() });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

pub fn ok(content_type: &str, body: &[u8]) -> Option<Vec<u8>> {
    answer("200 OK", &format!("Content-Type: {content_type}\r\n"), body)
}

pub fn answer(status: &str, headers: &str, body: &[u8]) -> Option<Vec<u8>> {
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    Some([head.as_bytes(), body].concat())
}

pub async fn get(address: SocketAddr) -> Report {
    run(http(&format!("http://{address}/"))).await
}

pub async fn run(action: HttpAction) -> Report {
    execute(Action::Http(Box::new(action)), &context().0).await
}

pub fn response(report: &Report) -> &str {
    &report.http.as_ref().expect("a request").response
}

pub fn error(report: &Report) -> &str {
    &report.error.as_ref().expect("an error").en
}

#[tokio::test]
async fn the_request_is_sent_as_written() {
    let (address, mut seen) = serve(|_| ok("text/plain", b"fine")).await;
    let action = HttpAction {
        method: "PATCH".into(),
        headers: vec![
            ("X-Two".into(), "second".into()),
            ("X-One".into(), "a".into()),
            ("X-One".into(), "中文".into()),
            ("Cookie".into(), "a=1".into()),
            ("Content-Length".into(), "9999".into()),
        ],
        data: Some("{\"k\": [1,\n2]}".into()),
        cookies: Some("b=2; c=3".into()),
        ..http(&format!("http://us%20er:p%40ss@{address}/path?q=%E4%B8%AD"))
    };
    let report = run(action).await;
    let seen = seen.recv().await.expect("a request");
    assert_eq!(report.outcome, Outcome::Success, "{:?}", report.error);
    assert!(seen.head.starts_with("PATCH /path?q=%E4%B8%AD HTTP/1.1\r\n"), "{}", seen.head);
    let order: Vec<&str> = seen.head.lines().filter(|l| l.starts_with("x-")).collect();
    assert_eq!(order, ["x-two: second", "x-one: a", "x-one: 中文"]);
    for line in [
        "cookie: a=1; b=2; c=3",
        "content-type: application/json",
        "authorization: Basic dXMgZXI6cEBzcw==",
        concat!("user-agent: TimerJobs/", env!("CARGO_PKG_VERSION")),
        "content-length: 13",
    ] {
        assert!(seen.has(line), "{line} in {}", seen.head);
    }
    assert_eq!(seen.body, "{\"k\": [1,\n2]}");
    let http = report.http.expect("a request");
    assert_eq!((http.method.as_str(), http.status, http.response.as_str()), ("PATCH", Some(200), "fine"));
    assert_eq!(http.url, format!("http://{address}/path?q=%E4%B8%AD"));
    assert_eq!(report.result.as_deref(), Some("HTTP 200, 4 bytes"));
}

#[tokio::test]
async fn headers_of_the_job_win_over_the_defaults() {
    let (address, mut seen) = serve(|_| ok("text/plain", b"")).await;
    let mut action = http(&format!("http://a:b@{address}/"));
    action.method = "POST".into();
    action.data = Some("[1]".into());
    for (name, value) in
        [("content-type", "text/x-mine"), ("User-Agent", "mine/1"), ("Authorization", "Bearer t")]
    {
        action.headers.push((name.into(), value.into()));
    }
    run(action).await;
    let seen = seen.recv().await.expect("a request");
    for (name, line) in [
        ("content-type", "content-type: text/x-mine"),
        ("user-agent", "user-agent: mine/1"),
        ("authorization", "authorization: Bearer t"),
    ] {
        let lines: Vec<&str> = seen.head.lines().filter(|l| l.starts_with(name)).collect();
        assert_eq!(lines, [line]);
    }
}

#[test]
fn data_without_a_type_is_json_or_a_form() {
    for (data, json) in
        [("{\"a\":1}", true), (" [1, 2]", true), ("a=1&b=2", false), ("{a}", false), ("17", false)]
    {
        assert_eq!(content_type(data) == "application/json", json, "{data}");
    }
}

#[tokio::test]
async fn bad_headers_are_named_and_their_values_not_shown() {
    let mut action = http("http://127.0.0.1:9/");
    action.headers = vec![("X-Good".into(), "1".into()), ("X Bad".into(), "1".into())];
    let report = run(action.clone()).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(error(&report).contains("X Bad"), "{}", error(&report));
    action.headers = vec![("X-Key".into(), "s3cret\nx".into())];
    let report = run(action.clone()).await;
    assert!(error(&report).contains("X-Key") && !error(&report).contains("s3cret"), "{}", error(&report));
    action.headers.clear();
    action.method = "GE T".into();
    assert!(error(&run(action).await).contains("GE T"));
}

#[tokio::test]
async fn the_status_decides_unless_a_text_is_expected() {
    let (address, _seen) = serve(|seen| match &seen.head {
        head if head.contains("/created") => answer("201 Created", "", b"state=READY!"),
        _ => answer("500 Oops", "", b"state=READY!"),
    })
    .await;
    let at = |path: &str, result: Option<&str>| HttpAction {
        result: result.map(str::to_owned),
        ..http(&format!("http://{address}/{path}"))
    };
    assert_eq!(run(at("created", None)).await.outcome, Outcome::Success);
    let failed = run(at("oops", None)).await;
    assert_eq!(failed.error, Some(Text::new("HTTP 状态码 500", "HTTP status 500")));
    assert_eq!(failed.result.as_deref(), Some("HTTP 500, 12 bytes"));
    assert_eq!(response(&failed), "state=READY!");
    assert_eq!(run(at("oops", Some("READY"))).await.outcome, Outcome::Success);
    let missing = run(at("created", Some("ready"))).await;
    assert_eq!(missing.outcome, Outcome::Failed);
    assert!(error(&missing).contains("does not contain the expected text: ready"), "{}", error(&missing));
}

#[tokio::test]
async fn redirects_are_followed_ten_times() {
    let (address, mut seen) = serve(|seen| {
        let hop: u32 = seen.head.split(['/', ' ']).nth(2)?.parse().ok()?;
        match hop {
            10 => ok("text/plain", b"there"),
            _ => answer("302 Found", &format!("Location: /{}\r\n", hop + 1), b""),
        }
    })
    .await;
    let mut action = http(&format!("http://{address}/0"));
    (action.method, action.data) = ("POST".into(), Some("a=1".into()));
    let report = run(action).await;
    assert_eq!(response(&report), "there", "{:?}", report.error);
    assert!(report.http.expect("a request").url.ends_with("/10"));
    assert!(seen.recv().await.expect("a request").head.starts_with("POST /0 "));
    assert!(seen.recv().await.expect("a request").head.starts_with("GET /1 "));
    let report = run(http(&format!("http://{address}/11"))).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(error(&report).starts_with("more than 10 redirects"), "{}", error(&report));
}

#[tokio::test]
async fn charsets_are_decoded() {
    let gbk = encoding_rs::GBK.encode("计划任务 ok").0.into_owned();
    let page = |meta: &str| [meta.as_bytes(), gbk.as_slice()].concat();
    for (content_type, body) in [
        ("text/plain; charset=GBK", gbk.clone()),
        ("text/html; x=\"y\"; charset = \"gb2312\"", gbk.clone()),
        ("text/html", page("<html><META charset='gbk'>")),
        ("text/html", page("<meta http-equiv=Content-Type content=\"text/html; charset=gb2312\">")),
        ("text/html; charset=nonsense", page("<meta charset=gbk>")),
        ("text/plain; charset=GBK", [b"\xef\xbb\xbf".as_slice(), "计划任务 ok".as_bytes()].concat()),
        ("application/json", "计划任务 ok".into()),
    ] {
        let (address, _seen) = serve(move |_| ok(content_type, &body)).await;
        let mut action = http(&format!("http://{address}/"));
        action.result = Some("计划任务 ok".into());
        let report = run(action).await;
        assert_eq!(report.outcome, Outcome::Success, "{content_type}: {}", response(&report));
        assert!(response(&report).ends_with("计划任务 ok"));
    }
    // A text that only quotes a page is no page.
    let json = r#"{"html": "<meta charset=gbk>", "text": "计划"}"#;
    let (address, _seen) = serve(move |_| ok("application/json", json.as_bytes())).await;
    assert_eq!(response(&get(address).await), json);
}

#[tokio::test]
async fn compressed_bodies_are_unpacked() {
    let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcbH\xcd\xc9\xc9\x07\0\x86\xa6\x106\x05\0\0\0";
    let deflate = b"x\x9c\xcbH\xcd\xc9\xc9\x07\0\x06,\x02\x15";
    let brotli = b"\x0b\x02\x80hello\x03";
    for (name, body) in [("gzip", gzip.as_slice()), ("deflate", deflate), ("br", brotli)] {
        let (address, mut seen) =
            serve(move |_| answer("200 OK", &format!("Content-Encoding: {name}\r\n"), body)).await;
        let report = get(address).await;
        assert_eq!(response(&report), "hello", "{name}: {:?}", report.error);
        assert_eq!(report.result.as_deref(), Some("HTTP 200, 5 bytes"));
        let head = seen.recv().await.expect("a request").head;
        assert!(head.lines().any(|l| l.starts_with("accept-encoding:") && l.contains(name)), "{head}");
    }
    let gzip_head =
        |_: &Seen| Some(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25\r\n\r\n".to_vec());
    let (address, _seen) = serve(gzip_head).await;
    let report = run(HttpAction { method: "HEAD".into(), ..http(&format!("http://{address}/")) }).await;
    assert_eq!(report.outcome, Outcome::Success, "{:?}", report.error);
    // Promised and not delivered.
    let (address, _seen) = serve(gzip_head).await;
    let report = get(address).await;
    assert!(error(&report).starts_with("the response body could not be read"), "{}", error(&report));
}

/// One chunk of the transfer encoding for each part.
fn chunked(parts: &[&[u8]]) -> Option<Vec<u8>> {
    let mut all = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".to_vec();
    for part in parts.iter().chain([&b"".as_slice()]) {
        all.extend([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
    }
    Some(all)
}

#[tokio::test]
async fn the_expected_text_is_found_across_chunks_and_beyond_what_is_kept() {
    let gbk = encoding_rs::GBK.encode("状态：成功").0.into_owned();
    let filler = vec![b'.'; 300_000];
    let (address, _seen) = serve(move |_| {
        let mut parts: Vec<&[u8]> = vec![b"<meta charset=gbk>", &filler];
        parts.extend(gbk.chunks(1));
        parts.push(&filler);
        chunked(&parts)
    })
    .await;
    let (mut ctx, _told) = context();
    ctx.output_limit = 4096;
    for (text, outcome) in [("状态：成功", Outcome::Success), ("状态：失败", Outcome::Failed)] {
        let mut action = http(&format!("http://{address}/"));
        action.result = Some(text.into());
        let report = execute(Action::Http(Box::new(action)), &ctx).await;
        assert_eq!(report.outcome, outcome, "{text}");
        assert!(response(&report).len() <= 4096 && response(&report).contains(" bytes cut "));
        assert!(!response(&report).contains('状'));
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_fails_and_says_so() {
    let (address, _seen) = serve(|_| ok("text/plain", &vec![b'x'; 3_000_000])).await;
    let executor =
        Executor::new(Settings { http_body_limit: 1_000_000, ..Settings::default() }).expect("an executor");
    let (ctx, _told) = context();
    let report = executor.execute(&Action::Http(Box::new(http(&format!("http://{address}/")))), &ctx).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(error(&report).contains("longer than the limit of 1000000 bytes"), "{}", error(&report));
    // Within the default limit, but more than is kept.
    let report = get(address).await;
    assert_eq!(report.outcome, Outcome::Success);
    assert_eq!(report.result.as_deref(), Some("HTTP 200, 3000000 bytes"));
    assert!(response(&report).len() <= 1 << 20 && response(&report).len() > (1 << 20) - 300);
}

#[tokio::test]
async fn the_timeout_covers_the_silence_and_the_body() {
    let (silent, _seen) = serve(|_| None).await;
    let mut action = http(&format!("http://{silent}/"));
    action.timeout = Duration::from_millis(200);
    let report = run(action).await;
    assert_eq!(report.outcome, Outcome::Timeout);
    assert_eq!(error(&report), "timed out after 0.2 s");
    assert_eq!(report.http.expect("a request").status, None);

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut action = http(&format!("http://{}/", listener.local_addr().expect("an address")));
    action.timeout = Duration::from_millis(500);
    let stall = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        read_request(&mut stream).await.expect("a request");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart").await.expect("sent");
        while matches!(stream.read(&mut [0; 64]).await, Ok(n) if n > 0) {}
    };
    // The stall ends when the client lets go of the connection.
    let (report, ()) = tokio::join!(run(action), stall);
    assert_eq!(report.outcome, Outcome::Timeout);
    assert_eq!((response(&report), report.result.as_deref()), ("part", Some("HTTP 200, 4 bytes")));
}

#[tokio::test]
async fn a_cancel_ends_the_request() {
    let (silent, mut seen) = serve(|_| None).await;
    let (ctx, _told) = context();
    let cancel = ctx.cancel.clone();
    let action = Action::Http(Box::new(http(&format!("http://{silent}/"))));
    let running = tokio::spawn(async move { execute(action, &ctx).await });
    seen.recv().await.expect("a request");
    cancel.cancel();
    assert_eq!(running.await.expect("no panic").outcome, Outcome::Cancelled);
}

#[tokio::test]
async fn repeated_requests_leave_a_line_each() {
    let (address, mut seen) = serve(|_| answer("503 Busy", "", b"busy")).await;
    let mut action = http(&format!("http://{address}/"));
    action.repeat = Repeat { times: 2, interval: Duration::from_millis(1) };
    let report = run(action).await;
    assert_eq!((report.outcome, report.result.as_deref()), (Outcome::Failed, Some("0/2")));
    let line = "HTTP 503, 4 bytes: HTTP status 503\n";
    assert_eq!(report.stdout, format!("--- 1/2 ---\n{line}--- 2/2 ---\n{line}"));
    assert_eq!(response(&report), "busy");
    assert!(seen.recv().await.is_some() && seen.recv().await.is_some());
}

/// Speaks to the world; for a look by hand at the machine's certificates.
#[tokio::test]
#[ignore = "needs a network: TJ_TEST_URL"]
async fn a_real_https_server() {
    let Ok(url) = std::env::var("TJ_TEST_URL") else { return };
    println!("{:?}", run(http(&url)).await);
}
