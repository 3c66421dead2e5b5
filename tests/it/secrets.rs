//! Secrets against the program itself: what a run is given, and that no file, log or answer of the
//! server holds what they are.

use crate::support::program::Program;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

/// A value that shells, URLs and JSON would trip over, and the part that every trace of it has.
const VALUE: &str = "Tr0ub4dor&3 '$HOME' \"q\"/%41";
const PART: &str = "Tr0ub4dor";

/// Answers each request with the request itself, and tells of it.
fn mirror() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut seen, mut buf) = (Vec::new(), [0; 4096]);
            while !seen.ends_with(b"END") {
                match stream.read(&mut buf).unwrap() {
                    0 => break,
                    n => seen.extend_from_slice(&buf[..n]),
                }
            }
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", seen.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&seen).unwrap();
            if tell.send(String::from_utf8(seen).unwrap()).is_err() {
                break;
            }
        }
    });
    (port, told)
}

fn start(env: &[(&str, &str)]) -> Program {
    let server = Program::with(env);
    let made = server.put("/api/v1/secrets/KEY", &json!({"value": VALUE, "description": "a key"}));
    assert_eq!((made["name"].as_str(), made["jobs"].as_i64()), (Some("KEY"), Some(0)), "{made}");
    server
}

/// The record of one run of this text.
fn run(server: &Program, mode: &str, text: &str) -> Value {
    let name = format!("{mode} {}", text.len());
    let id = server.add(json!({"name": name, "mode": mode, "command": text}));
    server.post("/jobs/run", &json!({"id": id}));
    server.until(|server| server.run(id)["end_time"].is_string());
    server.run(id)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Every file of the server's that holds a part of the value.
fn leaks(folder: &Path) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(PART.len()).any(|window| window == PART.as_bytes())
    };
    files(folder).into_iter().filter(holds).collect()
}

#[test]
fn runs_get_a_secret_and_leave_no_trace_of_it() {
    let functions = tempfile::tempdir().unwrap();
    let code = "def tell(key):\n    print('told', key, flush=True)\n    if len(key) > 3:\n        raise ValueError('bad key ' + key)\n";
    std::fs::write(functions.path().join("own.py"), code).unwrap();
    let server = start(&[("LOG_LEVEL", "trace"), ("FUNC_DIR", functions.path().to_str().unwrap())]);
    let (port, told) = mirror();

    let length = VALUE.len();
    let text = format!(
        "test \"${{#TJ_SECRET_KEY}}\" = {length} && echo \"got ${{secret:KEY}}\"; printf '%s' 'err ${{secret:KEY}}' >&2; \
         printf '%s' \"${{secret:KEY}}\" > mine; tr '\\0' ' ' < /proc/$$/cmdline"
    );
    let place = tempfile::tempdir().unwrap();
    let record = run(
        &server,
        "command",
        &format!("【command】{text}\n【workdir】{}\n【env】COPY=x ${{secret:KEY}}", place.path().display()),
    );
    assert_eq!(std::fs::read_to_string(place.path().join("mine")).unwrap(), VALUE, "{record}");
    let (out, err) = (record["stdout"].as_str().unwrap(), record["stderr"].as_str().unwrap());
    assert!(out.starts_with("got ***\n") && out.contains("${TJ_SECRET_KEY}"), "{record}");
    assert_eq!(err, "err ***");

    let text = format!(
        "【url】http://u:${{secret:KEY}}@127.0.0.1:{port}/a?k=${{secret:KEY}}\n【mode】POST\n【headers】X-Key: ${{secret:KEY}}\n\
         【data】key=${{secret:KEY}} END\n【result】never ${{secret:KEY}}"
    );
    let record = run(&server, "http", &text);
    let request = told.recv().unwrap();
    assert!(request.contains(&format!("x-key: {VALUE}\r\n")), "{request}");
    assert!(request.ends_with(&format!("key={VALUE} END")), "{request}");
    let body = record["response"].as_str().or(record["http_response"].as_str()).unwrap_or_default();
    assert!(record.to_string().contains("***") && !body.contains(PART), "{record}");

    let record = run(&server, "func", "Echo a ${secret:KEY} b");
    assert!(record.to_string().contains("a *** b"), "{record}");
    let record = run(&server, "func", "tell ${secret:KEY}");
    assert_eq!(record["stdout"], "told ***\n", "{record}");
    assert!(record["error_msg"].as_str().unwrap().contains("bad key ***"), "{record}");

    // A secret that is not there fails the run before anything starts.
    let record = run(&server, "command", "touch never; echo ${secret:GONE}");
    assert!(record["error_msg"].as_str().unwrap().contains("GONE"), "{record}");

    for path in
        ["/api/v1/secrets", "/jobs/list?size=100", "/jobs/runs?size=100", "/jobs/config", "/api/v1/system"]
    {
        let answer = server.get(path).to_string();
        assert!(!answer.contains(PART), "{path}: {answer}");
    }
    assert_eq!(server.get("/api/v1/secrets")["items"][0]["jobs"], 4);
    assert!(!server.said().contains(PART));
    let key = server.folder().join("data/secrets.key");
    assert!(key.exists());
    assert_eq!(leaks(server.folder()), [] as [PathBuf; 0]);
    server.signal("TERM");
}

#[test]
fn bad_names_and_values_are_told_and_given_back_to_nobody() {
    let server = start(&[]);
    for (path, body, field) in [
        ("/api/v1/secrets/9x", json!({"value": VALUE}), "name"),
        ("/api/v1/secrets/a-b", json!({"value": VALUE}), "name"),
        ("/api/v1/secrets/A", json!({"value": "abc"}), "value"),
        ("/api/v1/secrets/A", json!({"value": "a\nb\nc"}), "value"),
        ("/api/v1/secrets/A", json!({"value": format!("{VALUE}\0")}), "value"),
        ("/api/v1/secrets/A", json!({"value": VALUE.repeat(2_000)}), "value"),
        ("/api/v1/secrets/A", json!({"description": "no value"}), "value"),
        ("/api/v1/secrets/KEY", json!({"description": "x".repeat(501)}), "description"),
    ] {
        let problem = server.put(path, &body);
        assert_eq!(
            (&problem["status"], &problem["errors"][0]["field"]),
            (&json!(422), &json!(field)),
            "{problem}"
        );
        assert!(!problem.to_string().contains(PART), "{problem}");
    }
    assert_eq!(server.get("/api/v1/secrets")["items"].as_array().unwrap().len(), 1);
    // A job may not name what is no name; one that names nothing yet is warned of.
    let refused = server.post(
        "/jobs/add",
        &json!({"name": "x", "cron_expr": "@daily", "mode": "command", "command": "echo ${secret:a-b}"}),
    );
    assert_eq!((&refused["code"], &refused["data"]["errors"][0]["field"]), (&json!(422), &json!("command")));
    let draft = json!({"name": "x", "trigger": {"type": "cron", "cron": "@daily"}, "mode": "command", "command": "echo ${secret:GONE}"});
    let checked = server.post("/api/v1/jobs/check", &draft);
    assert_eq!(
        (&checked["valid"], &checked["warnings"][0]["code"]),
        (&json!(true), &json!("no_secret")),
        "{checked}"
    );
    // What is in use is deleted only when that is meant.
    server.add(json!({"name": "uses it", "command": "echo ${secret:KEY}"}));
    let ask = |path: &str| {
        server.shell(&format!("curl -s -o /dev/null -w '%{{http_code}}' -X DELETE localhost:8000{path}"))
    };
    assert_eq!(ask("/api/v1/secrets/KEY"), "409");
    assert_eq!(ask("/api/v1/secrets/KEY?force=true"), "204");
    assert_eq!(ask("/api/v1/secrets/KEY"), "404");
}
