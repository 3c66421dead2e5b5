//! The settings and the metrics, over HTTP.

use super::{code, get, msg};
use crate::support::TestApp;
use serde_json::json;
use std::fs;

#[tokio::test]
async fn the_settings_are_shown_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:///{}/hidden.db", folder.path().display());
    let app = TestApp::with(&[("DATABASE_URL", &url), ("JOBS_MAX_CONCURRENT", "7")]).await;
    let settings = app.get("/jobs/config").await["data"].clone();
    assert_eq!(settings["jobs"]["max_concurrent"], 7);
    assert_eq!(settings["ip_control"]["enabled"], true);
    assert_eq!(settings["server"]["host"], "127.0.0.1");
    assert_eq!(settings["database"]["url"], "***");
    assert!(!settings.to_string().contains("hidden"), "{settings}");
}

#[tokio::test]
async fn a_reload_says_what_it_changed() {
    let app = TestApp::start().await;
    let nothing = app.post("/jobs/reload-config", json!({})).await;
    assert_eq!(
        (msg(&nothing), &nothing["data"]),
        ("配置已热重载", &json!({"changed": [], "needs_restart": []}))
    );
    let file = app.folder().join("config.toml");
    fs::write(&file, "[jobs]\nmax_concurrent = 3\n[log]\ndays = 3\n").unwrap();
    let changed = json!({"changed": ["jobs.max_concurrent"], "needs_restart": ["log.days"]});
    assert_eq!(app.post("/jobs/reload-config", json!({})).await["data"], changed);
    let settings = app.get("/jobs/config").await["data"].clone();
    assert_eq!((&settings["jobs"]["max_concurrent"], &settings["log"]["days"]), (&json!(3), &json!(30)));
    // What waits for a restart still does.
    let again = json!({"changed": [], "needs_restart": ["log.days"]});
    assert_eq!(app.post("/jobs/reload-config", json!({})).await["data"], again);
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_where_it_is_bad() {
    let app = TestApp::start().await;
    let file = app.folder().join("config.toml");
    fs::write(&file, "[jobs]\nmax_concurrent = 3\nmax_waitin = 4\n").unwrap();
    let answer = app.post("/jobs/reload-config", json!({})).await;
    assert_eq!(code(&answer), 400, "{answer}");
    let errors = answer["data"]["errors"].as_array().unwrap();
    assert!(
        errors[0].as_str().unwrap().contains("config.toml:3: unknown setting `jobs.max_waitin`"),
        "{answer}"
    );
    assert!(msg(&answer).contains("config.toml:3"), "{answer}");
    assert_eq!(app.get("/jobs/config").await["data"]["jobs"]["max_concurrent"], 64);
}

#[tokio::test]
async fn a_reload_changes_who_may_call() {
    let app = TestApp::start().await;
    fs::write(app.folder().join("config.toml"), "[ip_control]\nblacklist = [\"10.0.0.0/8\"]\n").unwrap();
    app.post("/jobs/reload-config", json!({})).await;
    assert_eq!(app.get("/jobs/ip-control/status").await["blacklist"], json!(["10.0.0.0/8"]));
}

#[tokio::test]
async fn metrics_count_runs_by_job_and_mode() {
    let mut app = TestApp::start().await;
    let good = app.add(json!({"name": "good \"q\""})).await;
    let bad = app.add(json!({"name": "bad", "mode": "command", "command": "exit 3"})).await;
    for id in [good, good, bad] {
        app.post("/jobs/run", json!({"id": id})).await;
        app.ended(id, 1).await;
    }
    let metrics = async || {
        let answer = get(&app, "/metrics").send().await.unwrap();
        assert!(
            answer.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text")
        );
        answer.text().await.unwrap()
    };
    let has = |text: &str, line: &str| text.lines().any(|l| l == line);
    // The counters follow the events, a moment behind.
    app.until(async |_| {
        has(
            &metrics().await,
            &format!(r#"jobs_exec_fail_total{{job_id="{bad}",job_name="bad",mode="command"}} 1"#),
        )
    })
    .await;
    let text = metrics().await;
    for line in [
        format!(r#"jobs_exec_total{{job_id="{good}",job_name="good \"q\"",mode="func"}} 2"#),
        format!(r#"jobs_exec_fail_total{{job_id="{good}",job_name="good \"q\"",mode="func"}} 0"#),
        format!(r#"jobs_exec_duration_seconds_count{{job_id="{bad}",job_name="bad",mode="command"}} 1"#),
        "jobs_outcome_total{outcome=\"success\"} 2".into(),
        "jobs_running 0".into(),
        "jobs{state=\"waiting\"} 2".into(),
    ] {
        assert!(has(&text, &line), "{line} is not in\n{text}");
    }
    // A job that has another name starts new series, one that is gone has none.
    app.post("/jobs/edit", json!({"id": good, "name": "new"})).await;
    app.post("/jobs/run", json!({"id": good})).await;
    app.post("/jobs/del", json!({"id": bad})).await;
    app.until(async |_| {
        let text = metrics().await;
        text.contains("job_name=\"new\"") && !text.contains("good") && !text.contains("bad")
    })
    .await;
}

#[tokio::test]
async fn a_run_that_ends_after_its_job_leaves_no_series() {
    let mut app = TestApp::with(&[("JOBS_KILL_GRACE", "0")]).await;
    let id = app.add(json!({"name": "doomed", "mode": "command", "command": "exec sleep 60"})).await;
    app.post("/jobs/run", json!({"id": id})).await;
    app.started(id).await;
    app.post("/jobs/del", json!({"id": id})).await;
    app.ended(id, 1).await;
    let metrics = async || get(&app, "/metrics").send().await.unwrap().text().await.unwrap();
    app.until(async |_| metrics().await.contains("jobs_outcome_total{outcome=\"cancelled\"} 1")).await;
    assert!(!metrics().await.contains("doomed"));
}

#[tokio::test]
async fn metrics_tell_how_late_fires_start() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({})).await;
    app.advance(60);
    app.ended(id, 1).await;
    app.until(async |app| {
        let text = get(app, "/metrics").send().await.unwrap().text().await.unwrap();
        text.contains("jobs_start_delay_seconds_count 1\n") && text.contains("jobs_start_delay_seconds_sum 0")
    })
    .await;
}

#[tokio::test]
async fn the_reference_page_needs_nothing_from_outside() {
    let app = TestApp::start().await;
    let answer = get(&app, "/redoc").send().await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let page = answer.text().await.unwrap();
    assert!(page.contains("/jobs/add") && page.contains("cron_expr") && page.contains("required"), "{page}");
    assert!(!page.contains("://") && !page.contains("<script"), "{page}");
}
