//! The examples of the seed's README, as they are written there.

use super::{FORM, JSON, ask, bad_fields, code, get, post};
use crate::support::TestApp;
use axum::Router;
use axum::routing::get as on_get;
use serde_json::{Value, json};
use timerjobs::Outcome;

/// Every JSON example of a job, verbatim, between lines of `---`.
const EXAMPLES: &str = include_str!("seed_examples.txt");

const CRONS: [&str; 16] = [
    "* * * * * *",
    "0 * * * * *",
    "0 0 * * * *",
    "0 0 0 * * *",
    "0 0 2 * * *",
    "0 30 9 * * *",
    "0 0 0 * * 1",
    "0 0 0 1 * *",
    "0 2 * * *",
    "0 0 * * *",
    "*/5 * * * *",
    "0 12 * * 1",
    "0 */2 * * * *",
    "0 0 */1 * * *",
    "0 0 0 ? * 7",
    "0 0 0 1 * ?",
];

const TEXTS: [(&str, &str); 41] = [
    ("http", "【url】https://api.example.com/endpoint"),
    ("http", "【url】https://api.example.com/endpoint\n【mode】POST"),
    (
        "http",
        "【url】https://api.example.com/endpoint\n【headers】Content-Type:application/json|||Authorization:Bearer token",
    ),
    ("http", "【url】https://api.example.com/endpoint\n【data】{\"key\":\"value\"}"),
    ("http", "【url】https://api.example.com/endpoint\n【cookies】sessionid=123; userid=456"),
    ("http", "【url】https://api.example.com/endpoint\n【proxy】http://proxy.example.com:8080"),
    ("http", "【url】https://api.example.com/endpoint\n【proxy】socks5://user:pass@proxy.example.com:1080"),
    ("http", "【url】https://api.example.com/endpoint\n【times】3"),
    ("http", "【url】https://api.example.com/endpoint\n【times】0"),
    ("http", "【url】https://api.example.com/endpoint\n【result】success"),
    ("http", "https://httpbin.org/get"),
    ("command", "【command】ls -la"),
    ("command", "【command】ls -la\n【workdir】/opt/scripts"),
    ("command", "【command】ls -la\n【env】PATH=/usr/bin|||DEBUG=true"),
    ("command", "【command】ls -la\n【timeout】60"),
    ("func", "【name】Time"),
    ("func", "【name】Time\n【arg】参数1,参数2,参数3"),
    ("func", "【name】函数名\n【arg】参数1,参数2,参数3"),
    ("func", "【name】my_custom_function\n【arg】参数1,参数2"),
    ("func", "Dayin 1,hello,true"),
    ("func", "Test test123"),
    ("func", "Hello 张三"),
    ("func", "Time 2006-01-02 15:04:05"),
    ("func", "Echo Hello World"),
    ("func", "Math +,10,5"),
    ("func", "File read,/path/to/file"),
    ("func", "Database query,SELECT * FROM users"),
    ("func", "Email user@example.com,测试,邮件内容"),
    ("func", "SMS 13800138000,测试短信"),
    ("func", "Webhook https://webhook.site/xxx,{\"data\":\"value\"}"),
    ("func", "Backup /data,/backup"),
    ("func", "Cleanup /tmp,7"),
    ("func", "Monitor disk"),
    ("func", "Report daily"),
    ("function", "Report daily"),
    ("http", "【url】https://a.example/\r\n【mode】GET\r\n"),
    ("http", "【url】https://a.example/\n【header】A:1\n【header】B:2"),
    ("http", "【url】https://a.example/\n【method】PUT"),
    ("command", "【command】del /q /f %TEMP%\\*.tmp"),
    ("command", "ls -la"),
    ("func", "【name】Math\n【args】[\"+\",100,50]"),
];

#[tokio::test]
async fn every_json_example_is_accepted_as_written() {
    let app = TestApp::start().await;
    let examples: Vec<_> = EXAMPLES.split("---\n").collect();
    assert_eq!(examples.len(), 15);
    for (i, text) in examples.into_iter().enumerate() {
        let sent: Value = serde_json::from_str(text).unwrap();
        // With curl's `-d` alone, and with the header that the README gives.
        let kind = if i % 2 == 0 { JSON } else { FORM };
        let answer = ask(post(&app, "/jobs/add").header("Content-Type", kind).body(text)).await;
        assert_eq!(code(&answer), 200, "{text}{answer}");
        let job = app.job(answer["data"]["id"].as_i64().unwrap()).await;
        for (name, value) in sent.as_object().unwrap() {
            assert_eq!(job[name], *value, "{name} of {text}");
        }
        assert!(job["next_run"].is_string(), "{job}");
    }
}

#[tokio::test]
async fn every_command_text_is_accepted_as_written() {
    let app = TestApp::start().await;
    for (i, (mode, command)) in TEXTS.into_iter().enumerate() {
        let id = app.add(json!({"name": i.to_string(), "mode": mode, "command": command})).await;
        assert_eq!(app.job(id).await["command"], command);
    }
}

#[tokio::test]
async fn every_cron_expression_is_accepted_and_means_what_it_says() {
    let app = TestApp::start().await;
    for (i, cron) in CRONS.into_iter().enumerate() {
        let id = app.add(json!({"name": i.to_string(), "cron_expr": cron})).await;
        assert_eq!(app.job(id).await["cron_expr"], cron);
    }
    for (cron, next) in [
        ("* * * * * *", "2026-01-05T08:00:01.000Z"),
        ("0 30 9 * * *", "2026-01-05T09:30:00.000Z"),
        ("0 0 0 * * 1", "2026-01-12T00:00:00.000Z"),
        ("0 0 0 ? * 7", "2026-01-11T00:00:00.000Z"),
        ("0 0 0 ? * 0", "2026-01-11T00:00:00.000Z"),
        ("0 0 0 1 * *", "2026-02-01T00:00:00.000Z"),
        ("0 2 * * *", "2026-01-06T02:00:00.000Z"),
        ("*/5 * * * *", "2026-01-05T08:05:00.000Z"),
        ("0 12 * * 1", "2026-01-05T12:00:00.000Z"),
        ("0 12 ? JAN MON-FRI", "2026-01-05T12:00:00.000Z"),
        ("0 0 13 * 5", "2026-01-09T00:00:00.000Z"),
        ("0 0 L * *", "2026-01-31T00:00:00.000Z"),
        ("0 0 * * 1#2", "2026-01-12T00:00:00.000Z"),
        ("@hourly", "2026-01-05T09:00:00.000Z"),
        ("@daily", "2026-01-06T00:00:00.000Z"),
        ("@weekly", "2026-01-11T00:00:00.000Z"),
        ("@monthly", "2026-02-01T00:00:00.000Z"),
        ("@yearly", "2027-01-01T00:00:00.000Z"),
        ("@every 5s", "2026-01-05T08:00:05.000Z"),
    ] {
        let id = app.add(json!({"name": format!("next of {cron}"), "cron_expr": cron})).await;
        assert_eq!(app.job(id).await["next_run"], next, "{cron}");
    }
}

/// The README's four curl calls, in its order; httpbin is a server of ours.
#[tokio::test]
async fn the_curl_session_works() {
    let mut app = TestApp::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let httpbin = format!("http://{}/get", listener.local_addr().unwrap());
    let router = Router::new().route("/get", on_get(|| async { "{\"ok\": true}" }));
    tokio::spawn(async { axum::serve(listener, router).await });

    let body = r#"{
    "name": "测试任务",
    "desc": "这是一个测试任务",
    "cron_expr": "0 0 * * *",
    "mode": "http",
    "command": "https://httpbin.org/get",
    "allow_mode": 0,
    "max_run_count": 10
  }"#;
    let body = body.replace("https://httpbin.org/get", &httpbin);
    let added = ask(post(&app, "/jobs/add").header("Content-Type", JSON).body(body)).await;
    assert_eq!((code(&added), &added["data"]["id"]), (200, &json!(1)), "{added}");
    let listed = ask(get(&app, "/jobs/list")).await;
    assert_eq!(
        (&listed["data"][0]["name"], &listed["data"][0]["max_run_count"]),
        (&json!("测试任务"), &json!(10))
    );
    let run = ask(post(&app, "/jobs/run?id=1")).await;
    assert!(run["msg"].as_str().unwrap().contains("任务已手动触发"), "{run}");
    assert_eq!(app.ended(1, 1).await, [Outcome::Success]);
    assert_eq!(app.runs(1).await[0]["http_resp"], "{\"ok\": true}");
    let stopped = ask(post(&app, "/jobs/stop?id=1")).await;
    assert!(stopped["msg"].as_str().unwrap().contains("任务已停止"), "{stopped}");
    assert_eq!(app.job(1).await["state"], 2);
}

#[tokio::test]
async fn the_built_in_functions_of_the_readme_do_what_it_says() {
    let mut app = TestApp::start().await;
    for (command, result) in [
        ("Hello 张三", "Hello, 张三!"),
        ("Echo Hello World", "Hello World"),
        ("Math +,10,5", "15"),
        ("【name】Math\n【arg】+,100,50", "150"),
        ("【name】Time\n【arg】2006-01-02 15:04:05", "2026-01-05 08:00:00"),
        ("Time 2006-01-02 15:04:05", "2026-01-05 08:00:00"),
        ("【name】Dayin\n【arg】1,hello,true", "1, hello, true"),
    ] {
        let id = app.add(json!({"name": command.replace('\n', " "), "command": command})).await;
        app.post("/jobs/run", json!({"id": id})).await;
        assert_eq!(app.ended(id, 1).await, [Outcome::Success], "{command}");
        assert_eq!(app.runs(id).await[0]["func_result"], result, "{command}");
    }
}

/// The words of the README's own mistakes must not become ours.
#[tokio::test]
async fn a_job_without_a_mode_is_not_guessed() {
    let app = TestApp::start().await;
    let job = json!({"name": "x", "cron_expr": "0 0 * * *", "command": "https://httpbin.org/get"});
    assert_eq!(bad_fields(&app.post("/jobs/add", job).await), ["mode"]);
}
