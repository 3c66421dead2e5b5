//! What a job may hold: every bad field is named, all at once, and nothing is stored.

use super::{ask, bad_fields, code, form, msg, post};
use crate::support::TestApp;
use serde_json::{Value, json};

fn a_job() -> Value {
    json!({"name": "j", "cron_expr": "@daily", "mode": "func", "command": "Test"})
}

/// A good job with one field replaced.
fn with(name: &str, value: Value) -> Value {
    let mut job = a_job();
    job[name] = value;
    job
}

async fn nothing_stored(app: &TestApp) {
    assert_eq!(app.get("/jobs/list").await["total"], 0);
}

/// Each wrong type, with what must be shown as its value.
fn wrong_types() -> Value {
    json!({
        "name": 5, "desc": false, "cron_expr": true, "mode": 1.5, "command": 7, "state": "x",
        "allow_mode": 1.5, "max_run_count": "1e3", "trigger_type": 1, "interval_seconds": true,
        "timezone": 0, "misfire_policy": 3, "misfire_window": "60s", "recovery": true,
        "remove_task": "maybe", "remove_log": 7,
    })
}

#[tokio::test]
async fn wrong_types_are_all_named_with_their_values() {
    let app = TestApp::start().await;
    let id = app.add(json!({})).await;
    let sent = wrong_types();
    let mut all: Vec<_> = sent.as_object().unwrap().keys().map(String::as_str).collect();
    all.sort_unstable();
    let job_only: Vec<_> = all.iter().copied().filter(|f| !f.starts_with("remove_")).collect();
    let mut edit = sent.clone();
    edit["id"] = json!(id);
    for (path, body, wanted) in
        [("/jobs/add", &sent, &job_only), ("/jobs/edit", &edit, &job_only), ("/jobs/addAndRun", &sent, &all)]
    {
        let answer = app.post(path, body.clone()).await;
        assert_eq!(bad_fields(&answer), **wanted, "{path}");
        for error in answer["data"]["errors"].as_array().unwrap() {
            assert_eq!(error["value"], sent[error["field"].as_str().unwrap()], "{path} {error}");
        }
    }
    assert_eq!(app.get("/jobs/list").await["total"], 1);
}

#[tokio::test]
async fn values_outside_their_range_are_all_named() {
    let app = TestApp::start().await;
    let id = app.add(json!({})).await;
    let bad = json!({
        "name": "n".repeat(101), "desc": "d".repeat(2_001), "cron_expr": "61 * * * *", "mode": "func",
        "command": "【nam】x", "state": 3, "allow_mode": 3, "max_run_count": -1, "timezone": "Mars/Phobos",
        "misfire_policy": "sometimes", "misfire_window": -1, "recovery": "maybe",
    });
    let mut wanted: Vec<_> =
        bad.as_object().unwrap().keys().map(String::as_str).filter(|k| *k != "mode").collect();
    wanted.sort_unstable();
    for path in ["/jobs/add", "/jobs/addAndRun", "/jobs/edit"] {
        let mut body = bad.clone();
        body["id"] = json!(id);
        let answer = app.post(path, body).await;
        let mut named = bad_fields(&answer);
        named.dedup();
        assert_eq!(named, wanted, "{path}");
        for field in named {
            assert!(msg(&answer).contains(field), "msg names {field}: {answer}");
        }
    }
    assert_eq!(app.get("/jobs/list").await["total"], 1);
}

#[tokio::test]
async fn a_wrong_type_does_not_hide_a_bad_value() {
    let app = TestApp::start().await;
    let id = app.add(json!({})).await;
    let body = json!({"id": id, "name": "", "cron_expr": "bad", "mode": "ftp", "allow_mode": "x", "state": 9, "command": 1});
    let wanted = ["allow_mode", "command", "cron_expr", "mode", "name", "state"];
    for path in ["/jobs/add", "/jobs/addAndRun", "/jobs/edit"] {
        assert_eq!(bad_fields(&app.post(path, body.clone()).await), wanted, "{path}");
    }
}

#[tokio::test]
async fn what_a_job_needs_is_named_when_it_is_missing() {
    let app = TestApp::start().await;
    for path in ["/jobs/add", "/jobs/addAndRun"] {
        assert_eq!(bad_fields(&app.post(path, json!({})).await), ["cron_expr", "mode", "name"], "{path}");
        let bare = json!({"mode": "http", "name": " ", "cron_expr": " ", "command": " "});
        assert_eq!(bad_fields(&app.post(path, bare).await), ["command", "cron_expr", "name"], "{path}");
    }
    nothing_stored(&app).await;
}

#[tokio::test]
async fn a_nul_in_any_text_is_refused_where_it_stands() {
    let app = TestApp::start().await;
    let texts = [
        "name",
        "desc",
        "cron_expr",
        "mode",
        "command",
        "trigger_type",
        "timezone",
        "misfire_policy",
        "recovery",
    ];
    for field in texts {
        for nul in ["\0", "a\0b", "Test\0", "0 0 * * *\0"] {
            let answer = app.post("/jobs/add", with(field, json!(nul))).await;
            assert_eq!(bad_fields(&answer), [field], "{field} {nul:?}");
        }
        let pairs: Vec<_> = [("name", "j"), ("cron_expr", "@daily"), ("mode", "func"), ("command", "Test")]
            .into_iter()
            .filter(|(name, _)| *name != field)
            .chain([(field, "x\0")])
            .collect();
        let answer = ask(form(post(&app, "/jobs/add"), pairs)).await;
        assert_eq!(bad_fields(&answer), [field], "form {field}");
    }
    for path in ["/jobs/list?name=%00", "/jobs/execs?id=1&exec_id=%00"] {
        let answer = app.get(path).await;
        assert!([200, 422].contains(&code(&answer)), "{path}: {answer}");
    }
    assert_eq!(bad_fields(&app.get("/jobs/list?mode=%00").await), ["mode"]);
    assert_eq!(bad_fields(&app.post("/jobs/logs", json!({"id": 1, "order": "\0"})).await), ["order"]);
    nothing_stored(&app).await;
}

#[tokio::test]
async fn names_of_one_to_a_hundred_characters() {
    let app = TestApp::start().await;
    for good in
        ["x".to_owned(), "任".repeat(100), "🕐".repeat(100), "  trimmed  ".into(), "a'b\"c\\d<e>&%;--".into()]
    {
        let id = app.add(json!({"name": good})).await;
        assert_eq!(app.job(id).await["name"], good.trim());
    }
    for bad in
        [String::new(), "   ".into(), "任".repeat(101), "a\nb".into(), "a\u{7f}b".into(), "\u{3000}".into()]
    {
        assert_eq!(bad_fields(&app.post("/jobs/add", with("name", json!(bad))).await), ["name"], "{bad:?}");
    }
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let app = TestApp::start().await;
    let first = app.add(json!({"name": "备份"})).await;
    let second = app.add(json!({"name": "other"})).await;
    for (path, body) in [
        ("/jobs/add", with("name", json!("备份"))),
        ("/jobs/add", with("name", json!(" 备份 "))),
        ("/jobs/addAndRun", with("name", json!("备份"))),
        ("/jobs/edit", json!({"id": second, "name": "备份", "desc": "changed"})),
    ] {
        let answer = app.post(path, body).await;
        assert_eq!(code(&answer), 409, "{path}: {answer}");
        assert!(msg(&answer).contains("已存在"), "{answer}");
    }
    assert_eq!(
        (&app.job(second).await["name"], &app.job(second).await["desc"]),
        (&json!("other"), &json!(""))
    );
    assert_eq!(app.get("/jobs/list").await["total"], 2);
    let own = app.post("/jobs/edit", json!({"id": first, "name": "备份"})).await;
    assert_eq!(code(&own), 200, "its own name is not taken: {own}");
    app.post("/jobs/del", json!({"id": first})).await;
    let freed = app.post("/jobs/edit", json!({"id": second, "name": "备份"})).await;
    assert_eq!(code(&freed), 200, "a deleted job's name is free: {freed}");
}

#[tokio::test]
async fn a_cron_expression_says_which_of_its_fields_is_wrong() {
    let app = TestApp::start().await;
    for (expr, words) in [
        ("61 * * * *", "分"),
        ("* 24 * * *", "时"),
        ("* * 0 * *", "日"),
        ("* * * 13 *", "月"),
        ("* * * * 8", "周"),
        ("60 * * * * *", "秒"),
        ("0 0 * FOO *", "月"),
        ("5-1-2 * * * *", "分"),
        ("*/0 * * * *", "分"),
        ("1,,2 * * * *", "分"),
        ("30/ * * * *", "分"),
    ] {
        let answer = app.post("/jobs/add", with("cron_expr", json!(expr))).await;
        assert_eq!(bad_fields(&answer), ["cron_expr"], "{expr}");
        let error = &answer["data"]["errors"][0];
        assert_eq!(error["value"], expr);
        assert!(error["message"].as_str().unwrap().contains(words), "{expr}: {error}");
    }
    for expr in [
        "* * * *",
        "* * * * * * *",
        "@sometimes",
        "@every",
        "@every 0s",
        "@every x",
        "hello",
        "* * * * *;",
        "５ * * * *",
    ] {
        let answer = app.post("/jobs/add", with("cron_expr", json!(expr))).await;
        assert_eq!(bad_fields(&answer), ["cron_expr"], "{expr}");
    }
    nothing_stored(&app).await;
}

#[tokio::test]
async fn a_cron_expression_that_never_fires_is_refused() {
    let app = TestApp::start().await;
    let id = app.add(json!({})).await;
    for expr in ["0 0 30 2 *", "0 0 0 31 4,6,9,11 *", "0 0 31 FEB ?"] {
        let answer = app.post("/jobs/add", with("cron_expr", json!(expr))).await;
        assert_eq!(bad_fields(&answer), ["cron_expr"], "{expr}");
        let answer = app.post("/jobs/edit", json!({"id": id, "cron_expr": expr})).await;
        assert_eq!(bad_fields(&answer), ["cron_expr"], "{expr}");
    }
    let leap = app.add(json!({"name": "leap", "cron_expr": "0 0 29 2 *"})).await;
    assert_eq!(app.job(leap).await["next_run"], "2028-02-29T00:00:00.000Z");
}

#[tokio::test]
async fn intervals_are_the_other_trigger() {
    let app = TestApp::start().await;
    let id = app
        .add(json!({"name": "i", "cron_expr": "", "trigger_type": "interval", "interval_seconds": "90"}))
        .await;
    let job = app.job(id).await;
    assert_eq!(
        (&job["trigger_type"], &job["interval_seconds"], &job["cron_expr"]),
        (&json!("interval"), &json!(90), &json!(""))
    );
    assert_eq!(job["next_run"], "2026-01-05T08:01:30.000Z");
    for bad in [0, -5, 31_622_401, i64::MAX] {
        let body = json!({"name": "x", "mode": "func", "command": "Test", "trigger_type": "interval", "interval_seconds": bad});
        let answer = app.post("/jobs/add", body).await;
        assert_eq!(bad_fields(&answer), ["interval_seconds"], "{bad}");
        assert_eq!(answer["data"]["errors"][0]["value"], bad);
    }
    let neither = json!({"name": "x", "mode": "func", "command": "Test", "trigger_type": "moon", "cron_expr": "@daily"});
    assert_eq!(bad_fields(&app.post("/jobs/add", neither).await), ["trigger_type"]);
}

#[tokio::test]
async fn a_bad_command_text_says_what_is_wrong_with_it() {
    let app = TestApp::start().await;
    for (mode, command, words) in [
        ("http", "【ulr】http://a/", "【ulr】"),
        ("http", "【mode】GET", "【url】"),
        ("http", "ftp://example.com/", "http://"),
        ("http", "【url】http://a/\n【timeout】soon", "【timeout】"),
        ("http", "【url】http://a/\n【proxy】gopher://p:1", "【proxy】"),
        ("http", "【url】http://a/\n【command】ls", "【command】"),
        ("command", "【comand】ls", "【comand】"),
        ("command", "【workdir】/tmp", "【command】"),
        ("command", "【command】ls\n【timeout】0", "【timeout】"),
        ("command", "【command】ls\n【env】NOEQUALS", "【env】"),
        ("func", "【arg】1,2", "【name】"),
        ("func", "【name】Test\n【times】-1", "【times】"),
        ("func", "", "【name】"),
    ] {
        let body = json!({"name": "x", "cron_expr": "@daily", "mode": mode, "command": command});
        let answer = app.post("/jobs/add", body).await;
        assert!(bad_fields(&answer).iter().all(|field| *field == "command"), "{mode} {command}: {answer}");
        assert!(msg(&answer).contains(words), "{mode} {command}: {answer}");
    }
    let two = json!({"name": "x", "cron_expr": "@daily", "mode": "http", "command": "【url】nope\n【times】x\n【bogus】1"});
    assert_eq!(bad_fields(&app.post("/jobs/add", two).await), ["command", "command", "command"]);
    nothing_stored(&app).await;
}

#[tokio::test]
async fn a_bracket_inside_a_value_belongs_to_it() {
    let app = TestApp::start().await;
    let command = "【command】echo 【通知】\n【通知】 done\n second line\n【timeout】5";
    let id = app.add(json!({"mode": "command", "command": command})).await;
    assert_eq!(app.job(id).await["command"], command);
}

#[tokio::test]
async fn an_edit_checks_what_the_job_would_become() {
    let app = TestApp::start().await;
    let id = app.add(json!({"mode": "func", "command": "【name】Test"})).await;
    let before = app.job(id).await;
    let answer = app.post("/jobs/edit", json!({"id": id, "mode": "http"})).await;
    assert_eq!(bad_fields(&answer)[0], "command", "the command does not fit the new mode");
    assert_eq!(app.job(id).await, before);
    let both = json!({"id": id, "mode": "http", "command": "http://127.0.0.1:9/"});
    assert_eq!(code(&app.post("/jobs/edit", both).await), 200);
    assert_eq!(app.job(id).await["mode"], "http");
}

#[tokio::test]
async fn numbers_at_their_limits() {
    let app = TestApp::start().await;
    for (field, good, bad) in [
        ("max_run_count", i64::from(u32::MAX), i64::from(u32::MAX) + 1),
        ("misfire_window", 604_800, 604_801),
        ("allow_mode", 2, 3),
        ("state", 2, -1),
    ] {
        let id = app.add(json!({"name": field, field: good})).await;
        assert_eq!(app.job(id).await[field], good);
        for bad in [json!(bad), json!(i64::MIN), json!(u64::MAX), json!(-1e308)] {
            let answer = app.post("/jobs/add", with(field, bad.clone())).await;
            assert_eq!(bad_fields(&answer), [field], "{bad}");
            assert_eq!(answer["data"]["errors"][0]["value"], bad);
        }
    }
}
