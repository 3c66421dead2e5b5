//! The envelope, the codes, the languages, and every path's answer.

use super::{ask, code, get, keys, msg, post, send};
use crate::support::TestApp;
use serde_json::{Value, json};

const PAGED: [&str; 8] = ["code", "msg", "data", "total", "page_total", "pages_total", "page", "page_size"];
const POSTS: [&str; 12] = [
    "/jobs/add",
    "/jobs/edit",
    "/jobs/del",
    "/jobs/run",
    "/jobs/stop",
    "/jobs/restart",
    "/jobs/runAll",
    "/jobs/stopAll",
    "/jobs/addAndRun",
    "/jobs/logs",
    "/jobs/checkJob",
    "/jobs/del?id=1",
];
const GETS: [&str; 9] = [
    "/jobs/list",
    "/jobs/read",
    "/jobs/execs",
    "/jobs/jobStatus",
    "/jobs/jobState",
    "/jobs/scheduler",
    "/jobs/functions",
    "/jobs/health",
    "/health",
];

fn a_job(name: &str) -> Value {
    json!({"name": name, "cron_expr": "0 0 2 * * *", "mode": "func", "command": "Test a"})
}

#[tokio::test]
async fn every_call_answers_in_the_envelope_in_both_languages() {
    let calls: [(&str, &str, Value, &str, &str); 17] = [
        ("POST", "/jobs/add", a_job("a"), "任务创建成功", "job created"),
        ("POST", "/jobs/edit", json!({"id": 1, "desc": "d"}), "任务更新成功", "job updated"),
        ("GET", "/jobs/list", json!({}), "成功", "ok"),
        ("GET", "/jobs/read?id=1", json!({}), "成功", "ok"),
        ("POST", "/jobs/run", json!({"id": 1}), "任务已手动触发", "job triggered"),
        ("POST", "/jobs/stop", json!({"id": 1}), "任务已停止", "job stopped"),
        ("POST", "/jobs/restart", json!({"id": 1}), "任务已重启", "job restarted"),
        ("POST", "/jobs/runAll", json!({}), "所有任务已手动触发", "all scheduled jobs triggered"),
        ("POST", "/jobs/stopAll", json!({}), "所有任务已停止", "all jobs stopped"),
        ("POST", "/jobs/addAndRun", a_job("b"), "任务创建成功", "job created"),
        ("POST", "/jobs/logs", json!({"id": 1}), "成功", "ok"),
        ("GET", "/jobs/execs?id=1&exec_id=0", json!({}), "成功", "ok"),
        ("GET", "/jobs/jobState", json!({}), "成功", "ok"),
        ("GET", "/jobs/scheduler", json!({}), "成功", "ok"),
        ("POST", "/jobs/checkJob", json!({}), "任务调度器已校准", "scheduler reconciled"),
        ("GET", "/jobs/functions", json!({}), "成功", "ok"),
        ("POST", "/jobs/del", json!({"id": 1}), "任务删除成功", "job deleted"),
    ];
    for english in [false, true] {
        let app = TestApp::start().await;
        for (method, path, body, zh, en) in &calls {
            let request = if *method == "GET" { get(&app, path) } else { post(&app, path).json(body) };
            let request = if english { request.header("Accept-Language", "en") } else { request };
            let answer = ask(request).await;
            assert_eq!(code(&answer), 200, "{path}: {answer}");
            let wanted = if english { en } else { zh };
            assert!(msg(&answer).contains(wanted), "{path}: {answer}");
            let paged = ["/jobs/list", "/jobs/logs"].contains(path);
            match *path {
                "/jobs/scheduler" => {
                    assert_eq!(keys(&answer)[..8], PAGED, "{path}");
                    assert_eq!(keys(&answer)[8..], ["scheduler_running", "total_tasks"]);
                }
                "/jobs/functions" => assert_eq!(keys(&answer), ["code", "msg", "data", "python", "failed"]),
                _ if paged => assert_eq!(keys(&answer), PAGED, "{path}"),
                _ => assert_eq!(keys(&answer), ["code", "msg", "data"], "{path}"),
            }
        }
    }
}

#[tokio::test]
async fn what_each_call_gives_back_in_data() {
    let mut app = TestApp::start().await;
    assert_eq!(app.post("/jobs/add", a_job("a")).await["data"], json!({"id": 1}));
    assert_eq!(app.post("/jobs/edit", json!({"id": 1, "desc": "d"})).await["data"], Value::Null);
    let run = app.post("/jobs/run", json!({"id": 1})).await;
    assert_eq!(keys(&run["data"]), ["exec_id", "skipped", "reason"]);
    assert_eq!((&run["data"]["skipped"], &run["data"]["reason"]), (&json!(false), &Value::Null));
    assert!(run["data"]["exec_id"].is_string());
    app.ended(1, 1).await;
    assert_eq!(app.post("/jobs/runAll", json!({})).await["data"], json!({"triggered": 1}));
    app.ended(1, 1).await;
    assert_eq!(app.post("/jobs/stopAll", json!({})).await["data"], json!({"stopped": 1}));
    assert_eq!(app.post("/jobs/stopAll", json!({})).await["data"], json!({"stopped": 0}));
    let both = app.post("/jobs/addAndRun", a_job("b")).await;
    assert_eq!(keys(&both["data"]), ["job_id", "exec_id"]);
    assert_eq!(both["data"]["job_id"], 2);
    let checked = app.post("/jobs/checkJob", json!({})).await;
    assert_eq!(checked["data"], json!({"added": 0, "removed": 0, "updated": 0}));
}

#[tokio::test]
async fn counts_of_jobs_bare_and_in_the_envelope() {
    let mut app = TestApp::start().await;
    app.add(json!({"name": "waiting"})).await;
    app.add(json!({"name": "stopped", "state": 2})).await;
    let running = app.add(json!({"name": "running", "mode": "command", "command": "sleep 60"})).await;
    app.post("/jobs/run", json!({"id": running})).await;
    app.started(running).await;
    assert_eq!(
        app.get("/jobs/jobStatus").await,
        json!({"total": 3, "running": 1, "waiting": 1, "stopped": 1, "task_count": 2, "scheduler_running": true})
    );
    assert_eq!(
        app.get("/jobs/jobState").await["data"],
        json!({"total": 3, "running": 1, "waiting": 1, "stopped": 1, "num": 2, "state": true})
    );
    app.post("/jobs/stop", json!({"id": running})).await;
    app.ended(running, 1).await;
    assert_eq!(app.get("/jobs/jobStatus").await["stopped"], 2);
}

#[tokio::test]
async fn health_of_the_server_and_of_its_process() {
    let app = TestApp::start().await;
    app.advance(90);
    let health = app.get("/health").await;
    assert_eq!(health["status"], "ok");
    assert!(health.get("code").is_none(), "bare: {health}");
    let answer = app.get("/jobs/health").await;
    let data = &answer["data"];
    for (name, wanted) in [
        ("app_name", json!("TimerJobs")),
        ("app_version", json!(env!("CARGO_PKG_VERSION"))),
        ("timestamp", json!("2026-01-05T08:01:30.000Z")),
        ("uptime", json!(90)),
    ] {
        assert_eq!(data[name], wanted, "{name}");
    }
    assert!(app.url.ends_with(&format!(":{}", data["server_port"])), "{data}");
    assert!(data["memory"]["alloc"].as_u64().unwrap() > 1_000_000, "{data}");
    assert!(data["memory"]["sys"].as_u64() >= data["memory"]["alloc"].as_u64(), "{data}");
    assert!(data["goroutines"].as_u64().unwrap() > 0, "{data}");
}

#[tokio::test]
async fn functions_are_described_in_the_language_of_the_request() {
    let app = TestApp::start().await;
    let chinese = ask(get(&app, "/jobs/functions")).await;
    let english = ask(get(&app, "/jobs/functions").header("Accept-Language", "en")).await;
    let names = |answer: &Value| -> Vec<String> {
        answer["data"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap().to_owned()).collect()
    };
    for name in [
        "Dayin", "Test", "Hello", "Time", "Echo", "Math", "File", "Database", "Email", "SMS", "Webhook",
        "Backup", "Cleanup", "Monitor", "Report",
    ] {
        assert!(names(&chinese).iter().any(|n| n == name), "{name}");
    }
    assert_eq!(names(&chinese), names(&english));
    for (zh, en) in chinese["data"].as_array().unwrap().iter().zip(english["data"].as_array().unwrap()) {
        for name in ["name", "description", "desc", "parameters", "source", "file"] {
            assert!(zh.get(name).is_some(), "{name} of {zh}");
        }
        assert_eq!(zh["desc"], zh["description"]);
        assert!(!zh["desc"].as_str().unwrap().is_ascii(), "{zh}");
        assert!(en["desc"].as_str().unwrap().is_ascii(), "{en}");
        assert_eq!((&zh["source"], &zh["file"]), (&json!("builtin"), &json!("")));
        assert!(zh["parameters"].is_array());
    }
}

#[tokio::test]
async fn the_language_is_the_one_that_weighs_more() {
    let app = TestApp::start().await;
    for (accepted, english) in [
        ("", false),
        ("en", true),
        ("EN", true),
        ("en-US,en;q=0.9", true),
        ("en-US,zh;q=0.9", true),
        ("zh-CN,zh;q=0.9,en;q=0.8", false),
        ("zh;q=0.3, en;q=0.7", true),
        ("en;q=0.7, zh;q=0.3", true),
        ("en;q=0.5,zh;q=0.5", false),
        ("en; q=0.9 , zh; q=0.1", true),
        ("zh;q=0,en;q=0.1", true),
        ("en;q=0", false),
        ("de-DE,de;q=0.9,en;q=0.1", true),
        ("de", false),
        ("*", false),
        ("enx", false),
        ("en;q=nonsense;;,,;", true),
    ] {
        let answer = ask(get(&app, "/jobs/read?id=7").header("Accept-Language", accepted)).await;
        let wanted = if english { "there is no job 7" } else { "任务 7 不存在" };
        assert_eq!(msg(&answer), wanted, "{accepted}");
    }
}

/// 500 and the refusals of the guard have their own tests.
#[tokio::test]
async fn an_outcome_is_a_code_inside_http_200() {
    let app = TestApp::start().await;
    app.add(json!({"name": "taken"})).await;
    let twice = post(&app, "/jobs/add").json(&a_job("taken"));
    let unknown = post(&app, "/jobs/run").json(&json!({"id": 99}));
    let bad = post(&app, "/jobs/run").json(&json!({"id": "x"}));
    for (request, wanted) in [(twice, 409), (unknown, 404), (bad, 422)] {
        let answer = ask(request).await;
        assert_eq!(keys(&answer), ["code", "msg", "data"]);
        assert_eq!(code(&answer), wanted, "{answer}");
    }
}

#[tokio::test]
async fn every_call_with_an_id_says_404_for_a_job_that_is_not_there() {
    let app = TestApp::start().await;
    for path in ["/jobs/edit", "/jobs/del", "/jobs/run", "/jobs/stop", "/jobs/restart", "/jobs/logs"] {
        let answer = app.post(path, json!({"id": 4711})).await;
        assert_eq!(code(&answer), 404, "{path}: {answer}");
        assert!(msg(&answer).contains("4711"), "{path}: {answer}");
    }
    assert_eq!(code(&app.get("/jobs/read?id=4711").await), 404);
    let execs = app.get("/jobs/execs?id=4711").await;
    assert_eq!((code(&execs), &execs["data"]), (200, &Value::Null));
}

#[tokio::test]
async fn an_unknown_path_is_a_true_404_in_the_envelope() {
    let app = TestApp::start().await;
    for path in
        ["/nothing/", "/jobs", "/jobs/", "/jobs/list/", "/jobs/LIST", "/nothing", "/jobs/add/1", "/%00", "//"]
    {
        for (lang, words) in [("zh", "路径不存在"), ("en", "no such path")] {
            for request in [get(&app, path), post(&app, path)] {
                let (status, answer) = send(request.header("Accept-Language", lang)).await;
                assert_eq!((status, code(&answer)), (404, 404), "{path}");
                assert_eq!(keys(&answer), ["code", "msg", "data"]);
                assert!(msg(&answer).contains(words), "{answer}");
            }
        }
    }
}

#[tokio::test]
async fn the_wrong_method_is_a_true_405_in_the_envelope() {
    let app = TestApp::start().await;
    for path in POSTS {
        let answer = get(&app, path).send().await.unwrap();
        assert_eq!(answer.headers()["allow"], "POST", "{path}");
        let (status, answer) = send(get(&app, path).header("Accept-Language", "en")).await;
        assert_eq!((status, code(&answer)), (405, 405), "{path}");
        assert!(msg(&answer).contains("method"), "{answer}");
    }
    for path in GETS.iter().chain(&["/openapi.json", "/docs", "/docs/"]) {
        let (status, answer) = send(post(&app, path)).await;
        assert_eq!((status, code(&answer)), (405, 405), "{path}");
        assert!(msg(&answer).contains("请求方法不支持"), "{answer}");
        let delete = app.http.delete(format!("{}{path}", app.url));
        assert_eq!(send(delete).await.0, 405, "{path}");
    }
}

#[tokio::test]
async fn head_answers_where_get_does_without_a_body() {
    let app = TestApp::start().await;
    for path in GETS {
        let answer = app.http.head(format!("{}{path}", app.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/json; charset=utf-8", "{path}");
        assert_eq!(answer.text().await.unwrap(), "", "{path}");
    }
}

#[tokio::test]
async fn answers_say_that_they_are_json() {
    let app = TestApp::start().await;
    for path in ["/jobs/list", "/jobs/read?id=1", "/jobs/read?id=x", "/nothing", "/jobs/run", "/openapi.json"]
    {
        let answer = get(&app, path).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/json; charset=utf-8", "{path}");
    }
}
