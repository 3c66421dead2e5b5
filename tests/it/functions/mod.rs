//! The user's own functions: real files, real Python processes. They need python3 on the machine and
//! fail without it.

mod calls;
mod ends;
mod loading;

use crate::support::TestApp;
use serde_json::{Value, json};
use std::fs;

/// A server whose folder of functions holds these files.
async fn start(files: &[(&str, &str)], settings: &[(&str, &str)]) -> (TestApp, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let dir = folder.path().display().to_string();
    // The first of a name counts.
    let all: Vec<_> =
        settings.iter().copied().chain([("FUNC_DIR", dir.as_str()), ("FUNC_WATCH", "false")]).collect();
    (TestApp::with(&all).await, folder)
}

/// Runs the command text once and gives back its record.
async fn call(app: &mut TestApp, command: &str) -> Value {
    let id = begin(app, command).await;
    app.ended(id, 1).await;
    newest(app, id).await
}

async fn begin(app: &TestApp, command: &str) -> i64 {
    let name = format!("job {}", app.get("/jobs/list").await["total"]);
    let id = app.add(json!({"name": name, "cron_expr": "0 0 1 1 *", "command": command})).await;
    app.post("/jobs/run", json!({"id": id})).await;
    id
}

async fn newest(app: &TestApp, id: i64) -> Value {
    app.get(&format!("/jobs/execs?id={id}")).await["data"].clone()
}

async fn reload(app: &TestApp) -> Value {
    let answer = app.post("/jobs/functions/reload", json!({})).await;
    assert!(answer["msg"].as_str().unwrap().contains("已热加载"), "{answer}");
    answer["data"].clone()
}

/// The user's functions by name.
async fn names(app: &TestApp) -> Vec<String> {
    let answer = app.get("/jobs/functions").await;
    let own = answer["data"].as_array().unwrap().iter().filter(|f| f["source"] == "user");
    own.map(|f| f["name"].as_str().unwrap().to_owned()).collect()
}

fn error(record: &Value) -> &str {
    record["error_msg"].as_str().unwrap()
}

/// A zombie is dead: only its parent has not looked yet.
fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}
