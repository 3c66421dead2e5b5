//! What jobs may reach, asked of a whole server: its own API not, unless the settings say so.

use crate::support::TestApp;
use serde_json::json;
use std::fs;

/// Runs a job on this address of our own server once, and gives back how it went and what it says.
async fn ask(app: &mut TestApp, command: String) -> (bool, String) {
    let name = format!("job {}", app.get("/jobs/list").await["total"]);
    let id = app.add(json!({"name": name, "mode": "http", "command": command})).await;
    app.post("/jobs/run", json!({"id": id})).await;
    let succeeded = app.ended(id, 1).await[0] == timerjobs::Outcome::Success;
    let run = app.runs(id).await[0].clone();
    app.post("/jobs/del", json!({"id": id})).await;
    (succeeded, run["error_msg"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_job_does_not_reach_the_api_of_its_own_server() {
    let mut app = TestApp::start().await;
    let port = app.url.rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "127.9.9.9"] {
        let command = format!("【url】http://{host}:{port}/jobs/reload-config\n【mode】POST");
        let (succeeded, error) = ask(&mut app, command).await;
        assert!(!succeeded && error.contains("本服务自己的接口"), "{host}: {error}");
    }
    // The first example of the README.
    let health = format!("【url】http://localhost:{port}/health\n【mode】GET\n【result】ok");
    assert_eq!(ask(&mut app, health).await, (true, String::new()));
}

#[tokio::test]
async fn a_reload_changes_what_jobs_may_reach() {
    let mut app = TestApp::start().await;
    let list = format!("{}/jobs/list", app.url);
    let file = app.folder().join("config.toml");
    for (settings, says) in [
        ("mode = \"off\"", None),
        ("mode = \"allow-list\"\nallow = [\"10.0.0.0/8\", \"*.example.com\"]", Some("不在白名单中")),
        ("mode = \"public-only\"", Some("本机地址")),
        ("mode = \"public-only\"\nallow = [\"127.0.0.1\"]", Some("本服务自己的接口")),
    ] {
        fs::write(&file, format!("[egress]\n{settings}\n")).unwrap();
        let answer = app.post("/jobs/reload-config", json!({})).await;
        assert_eq!(answer["data"]["needs_restart"], json!([]), "{answer}");
        let (succeeded, error) = ask(&mut app, list.clone()).await;
        assert_eq!(succeeded, says.is_none(), "{settings}: {error}");
        assert!(error.contains(says.unwrap_or_default()), "{settings}: {error}");
    }
    fs::write(&file, "[egress]\nmode = \"some\"\nallow = [\"https://example.com\"]\n").unwrap();
    let errors = app.post("/jobs/reload-config", json!({})).await["data"]["errors"].to_string();
    assert!(errors.contains("use standard, public-only, allow-list or off"), "{errors}");
    assert!(errors.contains("`https://example.com` is no host"), "{errors}");
}
