//! Clients that are slow on purpose: none keeps others out, each is sent away in its time. The ends of
//! waits are generous; what is asserted is that they come.

use super::{get, send};
use crate::support::TestApp;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);
const QUICK: (&str, &str) = ("CLIENT_TIMEOUT", "1");

async fn connect(app: &TestApp) -> TcpStream {
    TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap()
}

/// All that comes until the server closes the connection.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A reset is an end too.
    let read = async { while matches!(stream.read_buf(&mut all).await, Ok(n) if n > 0) {} };
    tokio::time::timeout(PATIENCE, read).await.expect("the server closes the connection");
    String::from_utf8_lossy(&all).into_owned()
}

/// Sends the head of a request, and then a byte now and then, until the server has enough of it.
async fn drip(stream: &mut TcpStream, head: &str, byte: &str) -> String {
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let dripping = async {
        loop {
            tokio::select! {
                read = stream.read_buf(&mut all) => if !matches!(read, Ok(n) if n > 0) { break },
                () = tokio::time::sleep(Duration::from_millis(100)) => {
                    stream.write_all(byte.as_bytes()).await.ok();
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.expect("the server closes the connection");
    String::from_utf8_lossy(&all).into_owned()
}

const HEAD: &str = "POST /jobs/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n";

#[tokio::test]
async fn each_kind_of_slow_client_is_sent_away() {
    let app = TestApp::with(&[QUICK]).await;
    let (mut silent, mut head, mut body, mut pause) =
        tokio::join!(connect(&app), connect(&app), connect(&app), connect(&app));
    let whole_head = format!("{HEAD}\r\n");
    let (silent, head, body, pause) = tokio::join!(
        until_closed(&mut silent),
        drip(&mut head, HEAD, "x"),
        drip(&mut body, &whole_head, " "),
        async {
            pause.write_all(format!("{HEAD}\r\n{{").as_bytes()).await.unwrap();
            until_closed(&mut pause).await
        },
    );
    assert_eq!(silent, "", "who has asked nothing is told nothing");
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    for body in [body, pause] {
        assert!(body.starts_with("HTTP/1.1 408 ") && body.contains("\"code\":408"), "{body}");
        assert!(body.contains("CLIENT_TIMEOUT") && body.contains("connection: close"), "{body}");
    }
}

#[tokio::test]
async fn a_connection_serves_many_requests_and_ends_when_nothing_more_comes() {
    let app = TestApp::with(&[QUICK]).await;
    let mut stream = connect(&app).await;
    for _ in 0..3 {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
        // Longer than a head may take: between requests a client may rest.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_and_one_that_takes_a_little_is_not() {
    let app = TestApp::with(&[QUICK]).await;
    let whole =
        app.http.get(format!("{}/openapi.json", app.url)).send().await.unwrap().bytes().await.unwrap();
    let ask = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
    let (mut slow, mut stuck) = tokio::join!(connect(&app), connect(&app));
    for stream in [&mut slow, &mut stuck] {
        stream.write_all(ask.as_bytes()).await.unwrap();
    }
    // The slow one reads on and on for longer than the stuck one may stand still, then the rest.
    let mut taken = 0;
    let mut piece = vec![0; whole.len() / 4];
    for _ in 0..50 {
        taken += slow.read_exact(&mut piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let rest = 200 * whole.len() - taken;
    let mut all = Vec::with_capacity(rest);
    while all.len() < rest {
        assert!(slow.read_buf(&mut all).await.unwrap() > 0, "it was cut off");
    }
    let got = until_closed(&mut stuck).await;
    assert!(got.len() < 200 * whole.len(), "it got {} bytes, all of them", got.len());
}

#[tokio::test]
async fn live_streams_outlive_every_limit() {
    let app = TestApp::with(&[QUICK]).await;
    let id = app.add(json!({})).await;
    let mut events = crate::support::sse::Events::at(&app, "/api/v1/events").await;
    // Longer than an idle connection, a stuck reader or a body has.
    tokio::time::sleep(Duration::from_secs(10)).await;
    app.post("/jobs/stop", json!({"id": id})).await;
    assert_eq!(events.next().await.unwrap().0, "job_changed");
}

#[tokio::test]
async fn hundreds_of_slow_clients_keep_nobody_out() {
    let app = TestApp::with(&[QUICK, ("MAX_CONNECTIONS", "64")]).await;
    let mut clients = JoinSet::new();
    for n in 0..320 {
        let mut stream = connect(&app).await;
        clients.spawn(async move {
            match n % 4 {
                0 => until_closed(&mut stream).await,
                1 => drip(&mut stream, HEAD, "x").await,
                2 => drip(&mut stream, &format!("{HEAD}\r\n"), " ").await,
                _ => {
                    // Asks and asks, and takes nothing.
                    let ask = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
                    stream.write_all(ask.as_bytes()).await.ok();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    until_closed(&mut stream).await
                }
            };
        });
        if n % 8 == 0 {
            let (status, health) = send(get(&app, "/health")).await;
            assert_eq!((status, &health["status"]), (200, &json!("ok")), "after {n}");
        }
    }
    let ended = async { while clients.join_next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("all of them are sent away");
    assert_eq!(app.get("/health").await["status"], "ok");
}

#[tokio::test]
async fn a_head_has_its_size() {
    let app = TestApp::start().await;
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "y".repeat(40_000));
    for (headers, status) in [(many, 431), (long, 431), ("X-Some: y\r\n".repeat(50), 200)] {
        let mut stream = connect(&app).await;
        let ask = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(ask.as_bytes()).await.ok();
        let answer = until_closed(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[tokio::test]
async fn an_end_waits_for_answers_and_for_no_silent_client() {
    let app = TestApp::start().await;
    let mut silent = connect(&app).await;
    let mut half = connect(&app).await;
    half.write_all(HEAD.as_bytes()).await.unwrap();
    app.get("/health").await;
    app.shut_down().await;
    assert_eq!(until_closed(&mut silent).await, "");
    until_closed(&mut half).await;
}

/// Puts these lines of the section `server` in force.
async fn configure(app: &TestApp, server: &str) {
    std::fs::write(app.folder().join("config.toml"), format!("[server]\n{server}")).unwrap();
    let answer = app.post("/jobs/reload-config", json!({})).await;
    assert_eq!(answer["code"], 200, "{answer}");
}

#[tokio::test]
async fn one_address_asks_so_often_and_no_more() {
    let app = TestApp::start().await;
    let proxy = "trusted_proxies = [\"127.0.0.1\"]\n";
    configure(&app, &format!("{proxy}rate_limit = 2\nrate_burst = 3\n")).await;
    let from = |ip: &str, path: &str| get(&app, path).header("X-Forwarded-For", ip.to_owned());
    let ask = async |ip: &str, path: &str| from(ip, path).send().await.unwrap().status().as_u16();
    for _ in 0..3 {
        assert_eq!(ask("::1", "/jobs/list").await, 200);
    }
    let refused = from("::1", "/jobs/list").header("Accept-Language", "en").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    let envelope: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(envelope["code"], 429);
    assert!(envelope["msg"].as_str().unwrap().contains("RATE_LIMIT"), "{envelope}");
    let problem = from("::1", "/api/v1/jobs").send().await.unwrap();
    assert_eq!(problem.status().as_u16(), 429);
    assert_eq!(problem.headers()["content-type"], "application/problem+json");
    assert_eq!(problem.headers()["retry-after"], "1");
    for path in ["/health", "/", "/nothing", "/docs/"] {
        assert_eq!(ask("::1", path).await, 429, "{path}");
    }
    assert_eq!(ask("127.0.0.3", "/health").await, 403, "others are not held up, whatever they are told");
    assert_eq!(ask("127.0.0.1", "/health").await, 200);
    app.advance(1);
    assert_eq!([ask("::1", "/health").await, ask("::1", "/health").await], [200, 200]);
    assert_eq!(ask("::1", "/health").await, 429);
    configure(&app, proxy).await;
    for _ in 0..10 {
        assert_eq!(ask("::1", "/health").await, 200);
    }
}

/// Whoever opens more connections than the system lets us have files pushes out connections, not the
/// server.
#[cfg(target_os = "linux")]
#[test]
fn a_server_without_files_left_goes_on_answering() {
    use crate::support::program::Program;
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let app = Program::start();
    let pid = Pid::from_raw(app.pid().cast_signed());
    let few = Rlimit { current: Some(100), maximum: Some(100) };
    prlimit(pid, Resource::Nofile, few).unwrap();
    let address = ("127.0.0.1", app.port());
    let silent: Vec<_> = (0..200).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    for _ in 0..5 {
        assert_eq!(app.get("/health")["status"], "ok");
    }
    drop(silent);
    // A run needs files of its own.
    let id = app.add(json!({"name": "x", "command": "echo well"}));
    app.post("/jobs/run", &json!({"id": id}));
    app.until(|app| app.run(id)["outcome"] == "success");
}
