//! Run records: what each mode leaves, in the contract's names and forms.

use super::{ask, get, keys};
use crate::support::TestApp;
use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::any;
use serde_json::{Value, json};
use timerjobs::Outcome;

const COMMON: [&str; 21] = [
    "exec_id",
    "job_id",
    "job_name",
    "mode",
    "command",
    "source",
    "scheduled_at",
    "time",
    "end_time",
    "duration_ms",
    "status",
    "outcome",
    "reason",
    "attempt",
    "exit_code",
    "stdout",
    "stderr",
    "error_msg",
    "result",
    "missed_to",
    "missed_count",
];

/// Adds the job, runs it once by hand, and gives back its record.
async fn run(app: &mut TestApp, fields: Value, wanted: Outcome) -> Value {
    let id = app.add(fields).await;
    let triggered = app.post("/jobs/run", json!({"id": id})).await;
    assert_eq!(app.ended(id, 1).await, [wanted]);
    let path = format!("/jobs/execs?id={id}&exec_id={}", triggered["data"]["exec_id"].as_str().unwrap());
    let record = app.get(&path).await["data"].clone();
    assert_eq!(record, app.runs(id).await.pop().unwrap(), "the list and the single record are the same");
    assert_eq!(record, app.get(&format!("/jobs/execs?id={id}")).await["data"], "absent: the newest");
    record
}

/// A server that answers with what it was asked.
async fn target() -> String {
    async fn echo(method: Method, headers: HeaderMap, body: String) -> String {
        let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("-").to_owned();
        format!("{method}|{}|{}|{}|{body}", header("x-one"), header("x-two"), header("cookie"))
    }
    let router = Router::new()
        .route("/echo", any(echo))
        .route("/broken", any(|| async { (StatusCode::SERVICE_UNAVAILABLE, "down") }))
        .route(
            "/gbk",
            any(|| async { ([("content-type", "text/plain; charset=gbk")], b"\xb3\xc9\xb9\xa6".to_vec()) }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_command_leaves_its_output_and_exit_code() {
    let mut app = TestApp::start().await;
    let command = "【command】echo \"out $TJ_EXEC_ID $TJ_JOB_ID $TJ_JOB_NAME $CUSTOM_VAR $PWD\"; echo err >&2; exit 3\n\
                   【workdir】/\n【env】CUSTOM_VAR=test_value|||DEBUG=true";
    let record =
        run(&mut app, json!({"name": "shell", "mode": "command", "command": command}), Outcome::Failed).await;
    assert_eq!(keys(&record), COMMON);
    let exec_id = record["exec_id"].as_str().unwrap();
    assert!(exec_id.len() == 16 && exec_id.bytes().all(|b| b.is_ascii_hexdigit()), "{exec_id}");
    for (name, wanted) in [
        ("job_id", json!(1)),
        ("job_name", json!("shell")),
        ("mode", json!("command")),
        ("command", json!(command)),
        ("source", json!("manual")),
        ("scheduled_at", json!("2026-01-05T08:00:00.000Z")),
        ("time", json!("2026-01-05 08:00:00.000")),
        ("end_time", json!("2026-01-05 08:00:00.000")),
        ("duration_ms", json!(0)),
        ("status", json!("失败")),
        ("outcome", json!("failed")),
        ("reason", Value::Null),
        ("attempt", json!(1)),
        ("exit_code", json!(3)),
        ("stdout", json!(format!("out {exec_id} 1 shell test_value /\n"))),
        ("stderr", json!("err\n")),
        ("error_msg", json!("退出码 3")),
    ] {
        assert_eq!(record[name], wanted, "{name}");
    }
}

#[tokio::test]
async fn a_command_that_does_well_is_a_success() {
    let mut app = TestApp::start().await;
    let record = run(&mut app, json!({"mode": "command", "command": "echo 你好"}), Outcome::Success).await;
    assert_eq!((&record["status"], &record["outcome"]), (&json!("成功"), &json!("success")));
    assert_eq!((&record["exit_code"], &record["stdout"]), (&json!(0), &json!("你好\n")));
    assert_eq!((&record["stderr"], &record["error_msg"]), (&json!(""), &json!("")));
}

#[tokio::test]
async fn a_command_past_its_timeout_is_one() {
    let mut app = TestApp::with(&[("JOBS_KILL_GRACE", "0")]).await;
    let job = json!({"mode": "command", "command": "【command】echo before; sleep 60\n【timeout】0.2"});
    let record = run(&mut app, job, Outcome::Timeout).await;
    assert_eq!((&record["status"], &record["outcome"]), (&json!("超时"), &json!("timeout")));
    assert_eq!(record["stdout"], "before\n", "what it said before is kept");
    assert_eq!(record["error_msg"], "执行超时（0.2 秒）");
}

#[tokio::test]
async fn repeats_are_one_run() {
    let mut app = TestApp::start().await;
    let record = run(
        &mut app,
        json!({"mode": "command", "command": "【command】echo x\n【times】3"}),
        Outcome::Success,
    )
    .await;
    assert_eq!(record["result"], "3/3");
    assert_eq!(record["stdout"].as_str().unwrap().matches("x\n").count(), 3);
}

#[tokio::test]
async fn an_http_run_leaves_its_request_and_the_answer() {
    let mut app = TestApp::start().await;
    let target = target().await;
    let command = format!(
        "【url】{target}/echo?q=%E4%BD%A0\n【mode】post\n【headers】X-One:1|||X-Two: a:b \n【cookies】sid=1; uid=2\n\
         【data】{{\"action\":\"sync\",\n\"n\":1}}\n【result】sync"
    );
    let record = run(&mut app, json!({"mode": "http", "command": command}), Outcome::Success).await;
    assert_eq!(keys(&record)[..21], COMMON);
    assert_eq!(keys(&record)[21..], ["http_url", "http_method", "http_status", "http_resp"]);
    for (name, wanted) in [
        ("http_url", json!(format!("{target}/echo?q=%E4%BD%A0"))),
        ("http_method", json!("POST")),
        ("http_status", json!(200)),
        ("http_resp", json!("POST|1|a:b|sid=1; uid=2|{\"action\":\"sync\",\n\"n\":1}")),
        ("result", json!("HTTP 200, 48 bytes")),
        ("exit_code", Value::Null),
        ("error_msg", json!("")),
    ] {
        assert_eq!(record[name], wanted, "{name}");
    }
}

#[tokio::test]
async fn an_http_run_succeeds_by_its_status_or_by_the_expected_text() {
    let mut app = TestApp::start().await;
    let target = target().await;
    for (name, command, outcome, status, error) in [
        ("bare", format!("{target}/echo"), Outcome::Success, json!(200), ""),
        ("503", format!("{target}/broken"), Outcome::Failed, json!(503), "HTTP 状态码 503"),
        ("404", format!("{target}/nothing"), Outcome::Failed, json!(404), "HTTP 状态码 404"),
        (
            "text",
            format!("【url】{target}/echo\n【result】no such text"),
            Outcome::Failed,
            json!(200),
            "no such text",
        ),
        ("gbk", format!("【url】{target}/gbk\n【result】成功"), Outcome::Success, json!(200), ""),
    ] {
        let record = run(&mut app, json!({"name": name, "mode": "http", "command": command}), outcome).await;
        assert_eq!(record["http_status"], status, "{name}");
        let said = record["error_msg"].as_str().unwrap();
        assert!(said.contains(error) && said.is_empty() == error.is_empty(), "{name}: {said}");
    }
}

#[tokio::test]
async fn an_http_run_that_reaches_nobody_says_so() {
    let mut app = TestApp::start().await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let record = run(
        &mut app,
        json!({"mode": "http", "command": format!("http://u:secret@{free}/")}),
        Outcome::Failed,
    )
    .await;
    assert_eq!((&record["http_status"], &record["http_method"]), (&Value::Null, &json!("GET")));
    assert!(!record["error_msg"].as_str().unwrap().is_empty());
    assert!(!record["http_url"].as_str().unwrap().contains("secret"), "{record}");
    assert!(!record["error_msg"].as_str().unwrap().contains("secret"), "{record}");
}

#[tokio::test]
async fn a_func_run_leaves_its_arguments_and_value() {
    let mut app = TestApp::start().await;
    let job = json!({"mode": "func", "command": "【name】Math\n【arg】+,100,50"});
    let record = run(&mut app, job, Outcome::Success).await;
    assert_eq!(keys(&record)[21..], ["func_name", "func_args", "func_result"]);
    assert_eq!(
        (&record["func_name"], &record["func_args"], &record["func_result"], &record["result"]),
        (&json!("Math"), &json!("+,100,50"), &json!("150"), &json!("150"))
    );
    let unknown =
        run(&mut app, json!({"name": "u", "mode": "func", "command": "NoSuch 1"}), Outcome::Failed).await;
    assert!(unknown["error_msg"].as_str().unwrap().contains("NoSuch"), "{unknown}");
}

#[tokio::test]
async fn a_scheduled_run_says_when_it_was_due() {
    let mut app = TestApp::with(&[("TZ", "Asia/Shanghai")]).await;
    let id = app.add(json!({"cron_expr": "0 * * * * *"})).await;
    app.clock.advance(std::time::Duration::from_millis(60_250));
    app.ended(id, 1).await;
    let run = app.runs(id).await.remove(0);
    assert_eq!((&run["source"], &run["job_name"]), (&json!("cron"), &json!("job")));
    assert_eq!(run["scheduled_at"], "2026-01-05T16:01:00.000+08:00");
    assert_eq!(run["time"], "2026-01-05 16:01:00.250");
    assert_eq!(
        (&app.job(id).await["run_count"], &app.job(id).await["prev_run"]),
        (&json!(1), &json!("2026-01-05T16:01:00.250+08:00"))
    );
}

#[tokio::test]
async fn words_in_a_record_follow_the_language_of_the_request() {
    let mut app = TestApp::start().await;
    let record = run(&mut app, json!({"mode": "command", "command": "exit 7"}), Outcome::Failed).await;
    let english = ask(get(&app, "/jobs/execs?id=1").header("Accept-Language", "en")).await["data"].clone();
    assert_eq!((&record["status"], &record["error_msg"]), (&json!("失败"), &json!("退出码 7")));
    assert_eq!((&english["status"], &english["error_msg"]), (&json!("failed"), &json!("exit code 7")));
    assert_eq!(record["outcome"], english["outcome"]);
}

#[tokio::test]
async fn execs_gives_null_for_what_is_not_this_jobs_run() {
    let mut app = TestApp::start().await;
    let mine = run(&mut app, json!({"name": "mine"}), Outcome::Success).await;
    let other = app.add(json!({"name": "other"})).await;
    let exec_id = mine["exec_id"].as_str().unwrap();
    for (query, found) in [
        (format!("id=1&exec_id={exec_id}"), true),
        (format!("id=1&exec_id=%20{}%20", exec_id.to_uppercase()), true),
        ("id=1&exec_id=".to_owned(), true),
        (format!("id={other}&exec_id={exec_id}"), false),
        (format!("id={other}"), false),
        ("id=1&exec_id=0000000000000001".to_owned(), false),
        ("id=1&exec_id=ffffffffffffffff".to_owned(), false),
        ("id=1&exec_id=nonsense".to_owned(), false),
        ("id=1&exec_id=1%27%20OR%20%271".to_owned(), false),
        ("id=1&exec_id=%FF%00".to_owned(), false),
    ] {
        let answer = app.get(&format!("/jobs/execs?{query}")).await;
        assert_eq!((&answer["code"], answer["data"].is_object()), (&json!(200), found), "{query}: {answer}");
    }
}

#[tokio::test]
async fn output_that_is_no_text_or_very_long_stays_readable() {
    let mut app = TestApp::with(&[("JOBS_OUTPUT_LIMIT_KB", "4")]).await;
    let command = "printf 'a\\000b\\377c'; printf 'e\\n' >&2; head -c 100000 /dev/zero | tr '\\000' x";
    let record = run(&mut app, json!({"mode": "command", "command": command}), Outcome::Success).await;
    let stdout = record["stdout"].as_str().unwrap();
    assert!(stdout.starts_with('a') && stdout.len() < 6_000, "{} bytes", stdout.len());
    assert_eq!(record["stderr"], "e\n");
}
