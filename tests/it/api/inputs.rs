//! How parameters come in: query string, JSON, form, and everything that is none of them.

use super::{FORM, JSON, ask, bad_fields, code, encoded, form, get, keys, msg, post, send};
use crate::support::TestApp;
use serde_json::{Value, json};

const WITH_ID: [&str; 6] =
    ["/jobs/edit", "/jobs/run", "/jobs/logs", "/jobs/restart", "/jobs/stop", "/jobs/del"];

#[tokio::test]
async fn the_id_comes_in_every_way_everywhere() {
    let app = TestApp::start().await;
    for path in WITH_ID {
        for way in 0..6 {
            let id = app.add(json!({"name": format!("{path} {way}"), "state": 2})).await;
            let bare = post(&app, path);
            let request = match way {
                0 => post(&app, &format!("{path}?id={id}")),
                1 => bare.json(&json!({"id": id})),
                2 => bare.json(&json!({"id": id.to_string()})),
                3 => form(bare, [("id", id.to_string())]),
                4 => bare.header("Content-Type", FORM).body(format!(r#"{{"id":{id}}}"#)),
                _ => bare
                    .header("Content-Type", "text/plain;charset=UTF-8")
                    .body(format!("\n {{\"id\": \" {id} \"}}")),
            };
            let answer = ask(request).await;
            assert_eq!(code(&answer), 200, "{path} {way}: {answer}");
        }
    }
    for path in ["/jobs/read", "/jobs/execs"] {
        let id = app.add(json!({"name": path})).await;
        for request in [get(&app, &format!("{path}?id={id}")), get(&app, path).json(&json!({"id": id}))] {
            assert_eq!(code(&ask(request).await), 200, "{path}");
        }
    }
}

#[tokio::test]
async fn a_body_value_wins_over_the_query() {
    let app = TestApp::start().await;
    let first = app.add(json!({"name": "first"})).await;
    let second = app.add(json!({"name": "second"})).await;
    let path = format!("/jobs/edit?id={first}&desc=query&max_run_count=7");
    ask(post(&app, &path).json(&json!({"id": second, "desc": "json"}))).await;
    ask(form(post(&app, &path), [("desc", "form")])).await;
    let (first, second) = (app.job(first).await, app.job(second).await);
    assert_eq!((&second["desc"], &second["max_run_count"]), (&json!("json"), &json!(7)));
    assert_eq!((&first["desc"], &first["max_run_count"]), (&json!("form"), &json!(7)));
}

#[tokio::test]
async fn a_job_is_the_same_however_it_was_sent() {
    let app = TestApp::start().await;
    let fields = [
        ("desc", "描述 & more=+%"),
        ("cron_expr", "0 */2 * * * *"),
        ("mode", "http"),
        ("command", "【url】http://127.0.0.1:9/a?b=c&d=%20\n【mode】POST\n【data】{\"k\":\"v+w\"}"),
        ("state", "2"),
        ("allow_mode", "1"),
        ("max_run_count", " 3 "),
        ("misfire_window", "60"),
    ];
    let named = |name: &str| {
        let mut all: Vec<_> = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        all.push(("name".into(), name.into()));
        all
    };
    let as_json: Value = named("json").into_iter().map(|(k, v)| (k, Value::from(v))).collect();
    ask(post(&app, "/jobs/add").json(&as_json)).await;
    ask(form(post(&app, "/jobs/add"), named("form"))).await;
    ask(post(&app, &format!("/jobs/add?{}", encoded(named("query"))))).await;
    let mut typed = as_json.clone();
    for (name, number) in [("state", 2), ("allow_mode", 1), ("max_run_count", 3), ("misfire_window", 60)] {
        typed[name] = json!(number);
    }
    typed["name"] = json!("typed");
    ask(post(&app, "/jobs/add").json(&typed)).await;
    let mut jobs = Vec::new();
    for (id, name) in [(1, "json"), (2, "form"), (3, "query"), (4, "typed")] {
        let mut job = app.job(id).await;
        assert_eq!(job["name"], name);
        job["id"] = Value::Null;
        job["name"] = Value::Null;
        jobs.push(job);
    }
    assert_eq!(jobs[0]["max_run_count"], 3);
    assert!(jobs.iter().all(|job| *job == jobs[0]), "{jobs:#?}");
}

#[tokio::test]
async fn flags_are_read_in_the_usual_spellings() {
    let app = TestApp::start().await;
    let id = app.add(json!({})).await;
    for yes in
        [json!(true), json!(false), json!(1), json!(0), json!("True"), json!("no"), json!("on"), json!("")]
    {
        let answer = app.post("/jobs/restart", json!({"id": id, "reset_run_count": yes})).await;
        assert_eq!(code(&answer), 200, "{yes}");
    }
    for bad in [json!("maybe"), json!(2), json!(-1), json!([]), json!({}), json!(0.5)] {
        let answer = app.post("/jobs/restart", json!({"id": id, "reset_run_count": bad})).await;
        assert_eq!(bad_fields(&answer), ["reset_run_count"], "{bad}");
    }
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let app = TestApp::start().await;
    let mut job = json!({"name": "j", "cron_expr": "@daily", "mode": "func", "command": "Test"});
    for (name, value) in [
        ("id", json!(77)),
        ("run_count", json!("x")),
        ("created_at", json!([])),
        ("什么", json!(1)),
        ("", json!({})),
    ] {
        job[name] = value;
    }
    let answer = ask(post(&app, "/jobs/add?foo=1&foo=2&&=&%FF=%FF").json(&job)).await;
    assert_eq!((code(&answer), &answer["data"]["id"]), (200, &json!(1)), "{answer}");
    assert_eq!(app.job(1).await["run_count"], 0);
}

#[tokio::test]
async fn an_id_that_is_none_is_named_with_its_value() {
    let app = TestApp::start().await;
    app.add(json!({})).await;
    for bad in [
        json!(0),
        json!(-1),
        json!(1.0),
        json!(1.5),
        json!(1e3),
        json!(u64::MAX),
        json!(1e300),
        json!(true),
        json!("1.0"),
        json!("0x1"),
        json!("1 2"),
        json!("one"),
        json!("-1"),
        json!("9223372036854775808"),
        json!("1\u{0}"),
        json!("１"),
    ] {
        for path in WITH_ID {
            let answer = app.post(path, json!({"id": bad})).await;
            assert_eq!(bad_fields(&answer), ["id"], "{path} {bad}");
            assert_eq!(answer["data"]["errors"][0]["value"], bad, "{path}");
        }
    }
    for absent in [json!({}), json!({"id": null}), json!({"id": ""}), json!({"id": " "})] {
        for path in WITH_ID {
            let answer = app.post(path, absent.clone()).await;
            assert_eq!(bad_fields(&answer), ["id"], "{path} {absent}");
            assert!(msg(&answer).contains("必填"), "{answer}");
        }
    }
    // A whole structure is not sent back.
    let answer = app.post("/jobs/run", json!({"id": [1, {"a": "b"}]})).await;
    assert_eq!((bad_fields(&answer), &answer["data"]["errors"][0]["value"]), (vec!["id"], &Value::Null));
    assert_eq!(code(&app.post("/jobs/run", json!({"id": i64::MAX})).await), 404);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_named_as_such() {
    let app = TestApp::start().await;
    app.add(json!({})).await;
    let deep = format!("{{\"id\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let bad: [(&str, &[u8]); 16] = [
        (JSON, b"{"),
        (JSON, b"{\"id\":1"),
        (JSON, b"{\"id\":1}}"),
        (JSON, b"{'id':1}"),
        (JSON, b"{\"id\":1,}"),
        (JSON, b"{\"id\":NaN}"),
        (JSON, b"{\"id\":1e400}"),
        (JSON, b"[{\"id\":1}]"),
        (JSON, b"\"id\""),
        (JSON, b"null"),
        (JSON, b"1"),
        (JSON, b"id=1"),
        (JSON, b"{\"id\":\"\xff\xfe\"}"),
        (JSON, b"{\"id\":\"\\ud800\"}"),
        ("application/vnd.api+json; charset=utf-8", b"[]"),
        (FORM, b"{\"id\":1"),
    ];
    for (kind, body) in bad.into_iter().chain([(JSON, deep.as_bytes())]) {
        for path in WITH_ID.iter().chain(&["/jobs/add", "/jobs/runAll"]) {
            let request = post(&app, path).header("Content-Type", kind).body(body.to_vec());
            let answer = ask(request).await;
            let start = String::from_utf8_lossy(&body[..body.len().min(40)]);
            assert_eq!(bad_fields(&answer), ["body"], "{path} {start}");
        }
    }
    assert_eq!(app.get("/jobs/list").await["total"], 1);
}

#[tokio::test]
async fn a_body_of_another_kind_is_told_which_kinds_are_read() {
    let app = TestApp::start().await;
    for kind in [
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "text/xml",
        "application/octet-stream",
        "text/plain",
    ] {
        let request = post(&app, "/jobs/run").header("Content-Type", kind).body("id=1");
        let answer = ask(request.header("Accept-Language", "en")).await;
        assert_eq!(bad_fields(&answer), ["body"], "{kind}");
        let part = if kind.starts_with("multipart") { "multipart" } else { "application/json" };
        assert!(msg(&answer).contains(part), "{answer}");
    }
}

#[tokio::test]
async fn a_multipart_form_is_read_like_any_form() {
    let app = TestApp::start().await;
    let mut body = String::new();
    for (name, value) in
        [("name", "表单"), ("cron_expr", "0 0 * * *"), ("mode", "command"), ("command", "echo a\r\necho b")]
    {
        body += &format!("--AbC\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body += "--AbC--\r\n";
    let request = post(&app, "/jobs/add").header("Content-Type", "multipart/form-data; boundary=AbC");
    let answer = ask(request.body(body)).await;
    assert_eq!(code(&answer), 200, "{answer}");
    let job = app.job(answer["data"]["id"].as_i64().unwrap()).await;
    assert_eq!((&job["name"], &job["command"]), (&json!("表单"), &json!("echo a\r\necho b")));
}

#[tokio::test]
async fn an_empty_body_and_a_byte_order_mark_do_no_harm() {
    let app = TestApp::start().await;
    let id = app.add(json!({"state": 2})).await;
    for kind in [JSON, FORM, "text/plain", ""] {
        for body in ["", " ", "\r\n\t"] {
            let request =
                post(&app, &format!("/jobs/restart?id={id}")).header("Content-Type", kind).body(body);
            assert_eq!(code(&ask(request).await), 200, "{kind} {body:?}");
        }
        let with_mark = format!("\u{feff}{{\"id\":{id}}}");
        let request = post(&app, "/jobs/restart").header("Content-Type", kind).body(with_mark);
        assert_eq!(code(&ask(request).await), 200, "a byte order mark as {kind}");
    }
    let no_kind = post(&app, "/jobs/restart").body(format!("id={id}"));
    assert_eq!(code(&ask(no_kind).await), 200);
}

#[tokio::test]
async fn a_body_above_one_mebibyte_is_a_413_in_the_envelope() {
    let app = TestApp::start().await;
    for (size, kind) in [(10 << 20, JSON), ((1 << 20) + 1, JSON), (10 << 20, FORM)] {
        let body = format!("{{\"id\":1,\"x\":\"{}\"}}", "x".repeat(size - 15));
        assert_eq!(body.len(), size);
        let request = post(&app, "/jobs/run").header("Content-Type", kind).body(body);
        let (status, answer) = send(request).await;
        assert_eq!((status, code(&answer)), (413, 413), "{size}");
        assert_eq!(keys(&answer), ["code", "msg", "data"]);
        assert!(msg(&answer).contains("1 MiB"), "{answer}");
    }
    let fits = format!("{{\"id\":1,\"x\":\"{}\"}}", "x".repeat((1 << 20) - 15));
    assert_eq!(code(&ask(post(&app, "/jobs/run").body(fits)).await), 404);
    assert_eq!(app.get("/health").await["status"], "ok");
}

#[tokio::test]
async fn a_chunked_body_is_read_like_another() {
    let app = TestApp::start().await;
    let id = app.add(json!({"name": "a"})).await;
    let answer = raw(
        &app,
        b"POST /jobs/run HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
          4\r\n{\"id\r\n6\r\n\":\"1\"}\r\n0\r\n\r\n",
        false,
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("任务已手动触发"), "{id}: {answer}");
}

#[tokio::test]
async fn bytes_that_are_no_http_end_only_their_own_connection() {
    let app = TestApp::start().await;
    let broken: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /jobs/list HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /jobs/\xe5\x88 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"POST /jobs/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /jobs/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{\"id\"",
        b"POST /jobs/run HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ];
    for bytes in broken {
        let answer = raw(&app, bytes, true).await;
        let shown = String::from_utf8_lossy(bytes);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{shown}: {answer}");
    }
    assert_eq!(app.get("/health").await["status"], "ok");
}

/// Sends the bytes and reads what comes back; with `hang_up` it closes its side before.
async fn raw(app: &TestApp, bytes: &[u8], hang_up: bool) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    if hang_up {
        stream.shutdown().await.unwrap();
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    String::from_utf8_lossy(&answer).into_owned()
}
