//! The system log in the modern API: read back in pages, and followed.

use super::v1_jobs::{call, named};
use super::{keys, send};
use crate::support::program::Program;
use crate::support::sse::Events;
use crate::support::{TestApp, client};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;

const LIVE: &str = "/api/v1/logs/live";

fn line(level: &str, message: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-01-05T08:00:00.000+00:00","level":"{level}","message":"{message}","job":7,"target":"timerjobs::x","filename":"src/x.rs","line_number":7}}"#
    ) + "\n"
}

/// Puts lines into one of the server's log files; its clock stands at 2026-01-05.
fn append(app: &TestApp, name: &str, text: &str) {
    let folder = app.folder().join("runtime/log");
    fs::create_dir_all(&folder).unwrap();
    let file = fs::File::options().create(true).append(true).open(folder.join(name));
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

async fn list(app: &TestApp, query: &str) -> Value {
    let (status, list) = send(call(app, Method::GET, &format!("/logs?{query}"))).await;
    assert_eq!((status, keys(&list)), (200, vec!["items", "next"]), "{list}");
    list
}

fn messages(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lines_are_listed_newest_first_and_filtered() {
    let app = TestApp::start().await;
    append(&app, "timerjobs.2026-01-04.log", &line("ERROR", "yesterday"));
    append(&app, "timerjobs.log", &(line("INFO", "one") + "no JSON\n" + &line("WARN", "two")));
    let all = list(&app, "").await;
    assert_eq!((messages(&all), &all["next"]), (vec!["two", "no JSON", "one", "yesterday"], &Value::Null));
    let two = json!({"time": "2026-01-05T08:00:00.000+00:00", "level": "warn", "message": "two",
        "target": "timerjobs::x", "place": "src/x.rs:7", "fields": {"job": 7}});
    assert_eq!(all["items"][0], two);
    let other =
        json!({"time": "", "level": "", "message": "no JSON", "target": null, "place": null, "fields": {}});
    assert_eq!(all["items"][1], other);
    for (query, wanted) in [
        ("level=warn", vec!["two", "yesterday"]),
        ("level=error", vec!["yesterday"]),
        ("level=info", vec!["two", "one", "yesterday"]),
        ("q=YESTER", vec!["yesterday"]),
        ("day=2026-01-05&level=info", vec!["two", "one"]),
        ("day=2026-01-05&level=info&q=w", vec!["two"]),
        ("day=2026-01-03", vec![]),
        ("level=&q=&day=", vec!["two", "no JSON", "one", "yesterday"]),
    ] {
        assert_eq!(messages(&list(&app, query).await), wanted, "{query}");
    }
}

#[tokio::test]
async fn pages_stay_where_they_are_while_lines_are_written() {
    let app = TestApp::start().await;
    let write = |of: std::ops::Range<usize>| {
        append(&app, "timerjobs.log", &of.map(|n| line("INFO", &n.to_string())).collect::<String>());
    };
    write(0..50);
    let (mut seen, mut cursor, mut written) = (Vec::new(), String::new(), 50);
    loop {
        let page = list(&app, &format!("limit=7&cursor={cursor}")).await;
        seen.extend(messages(&page).iter().map(|n| n.parse::<usize>().unwrap()));
        write(written..written + 10);
        written += 10;
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, (0..50).rev().collect::<Vec<_>>());
    app.post("/jobs/logs/clear", json!({"type": "zap"})).await;
    for cursor in [cursor.as_str(), "nonsense"] {
        let (status, problem) = send(call(&app, Method::GET, &format!("/logs?cursor={cursor}"))).await;
        assert_eq!((status, named(&problem)), (422, vec!["cursor"]), "{problem}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_said() {
    let app = TestApp::start().await;
    let (status, problem) = send(call(&app, Method::GET, "/logs?level=loud&limit=0&day=x&n=3")).await;
    assert_eq!((status, named(&problem)), (422, vec!["level", "day", "limit", "n"]), "{problem}");
}

#[tokio::test]
async fn new_lines_are_told_and_too_many_are_counted() {
    let app = TestApp::start().await;
    let mut log = app.log.tee(std::io::sink());
    log.write_all(line("INFO", "before").as_bytes()).unwrap();
    let (mut one, mut two) = (Events::at(&app, LIVE).await, Events::at(&app, LIVE).await);
    log.write_all(line("WARN", "hello").as_bytes()).unwrap();
    for events in [&mut one, &mut two] {
        let (name, told) = events.next().await.unwrap();
        assert_eq!(name, "line");
        assert_eq!(
            (&told["message"], &told["level"], &told["fields"]),
            (&json!("hello"), &json!("warn"), &json!({"job": 7}))
        );
    }
    // More than is kept for a listener: the one who logs does not wait.
    for n in 0..5_000 {
        log.write_all(line("INFO", &n.to_string()).as_bytes()).unwrap();
    }
    for events in [&mut one, &mut two] {
        assert_eq!(events.next().await.unwrap(), ("lagged".into(), json!({"missed": 5_000})));
    }
    app.tell(timerjobs::app::Stop::Gently);
    assert_eq!(one.next().await, None);
    app.served().await;
}

/// Needs a real process: only that writes the system log.
#[tokio::test]
async fn a_servers_own_lines_are_told_as_they_are_written() {
    let server = Program::start();
    let url = format!("http://127.0.0.1:{}{LIVE}", server.port());
    let mut lines = Events::from(client().get(url)).await;
    server.post("/jobs/reload-config", &json!({}));
    let mut told = lines.next().await.unwrap();
    while told.1["message"] != "settings read again" {
        told = lines.next().await.unwrap();
    }
    assert_eq!((told.0.as_str(), &told.1["level"]), ("line", &json!("info")));
    assert!(told.1["place"].as_str().unwrap().starts_with("src/app.rs:"), "{told:?}");
    // It is in the file by then.
    let listed = server.get("/api/v1/logs?q=settings%20read%20again");
    assert_eq!(listed["items"][0], told.1);
}
