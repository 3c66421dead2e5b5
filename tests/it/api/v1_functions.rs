//! Functions in the modern API: what there is, one with its code, trying one out. They need python3.

use super::send;
use super::v1_jobs::{call, named};
use crate::support::TestApp;
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;

const CODE: &str = r#"import functools

def quiet(f):
    @functools.wraps(f)
    def inner(*args):
        return f(*args)
    return inner

@quiet
def tally(a, b="2", *rest):
    """Adds up.

    Slowly."""
    text = """
not the end
"""
    return int(a) + int(b)

double = lambda x: int(x) * 2
def last(x): return x
"#;

/// A server with these functions of the user's.
async fn start(code: &str) -> TestApp {
    let app = TestApp::with(&[("FUNC_WATCH", "false")]).await;
    let folder = app.folder().join("user_funcs");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("my.py"), code).unwrap();
    reload(&app).await;
    app
}

async fn reload(app: &TestApp) -> Value {
    let (status, done) = send(call(app, Method::POST, "/functions/reload")).await;
    assert_eq!(status, 200, "{done}");
    done
}

async fn read(app: &TestApp, name: &str) -> Value {
    let (status, function) = send(call(app, Method::GET, &format!("/functions/{name}"))).await;
    assert_eq!(status, 200, "{function}");
    function
}

async fn try_out(app: &TestApp, name: &str, args: &str) -> (u16, Value) {
    send(call(app, Method::POST, &format!("/functions/{name}/try")).json(&json!({"args": args}))).await
}

/// The record of the run that was tried.
async fn record(app: &mut TestApp, tried: &Value) -> Value {
    app.ended(tried["job"].as_i64().unwrap(), 1).await;
    let path = format!("/runs/{}", tried["run"].as_str().unwrap());
    send(call(app, Method::GET, &path)).await.1
}

#[tokio::test]
async fn built_in_and_own_functions_are_listed() {
    let app = start(CODE).await;
    let (status, list) = send(call(&app, Method::GET, "/functions")).await;
    assert_eq!((status, &list["failed"], &list["python"]["available"]), (200, &json!([]), &json!(true)));
    assert!(list["python"]["version"].as_str().unwrap().starts_with("3."), "{list}");
    assert_eq!((&list["python"]["reason"], &list["python"]["environment"]), (&json!(null), &json!(null)));
    let items = list["items"].as_array().unwrap();
    let find = |name: &str| items.iter().find(|f| f["name"] == name).unwrap_or_else(|| panic!("{name}"));
    let math = find("Math");
    assert_eq!(
        (&math["source"], &math["signature"], &math["file"], &math["line"]),
        (&json!("builtin"), &json!(null), &json!(null), &json!(null))
    );
    assert!(math["doc"].is_string() && math["example"].as_str().unwrap().starts_with("Math "), "{math}");
    assert!(math["parameters"][0]["description"].is_string(), "{math}");
    let tally = json!({
        "name": "tally", "source": "user", "doc": "Adds up.\n\nSlowly.", "signature": "tally(a, b='2', *rest)",
        "parameters": [
            {"name": "a", "description": "", "required": true, "default": null},
            {"name": "b", "description": "", "required": false, "default": "'2'"},
            {"name": "*rest", "description": "", "required": false, "default": null},
        ],
        "example": "tally a", "file": "my.py", "line": 9,
    });
    assert_eq!(*find("tally"), tally);
    assert_eq!(find("last")["doc"], json!(null));
}

#[tokio::test]
async fn a_functions_code_is_what_is_in_force() {
    let app = start(CODE).await;
    let tally = read(&app, "TALLY").await;
    let lines: Vec<_> = CODE.lines().collect();
    assert_eq!(
        (tally["name"].as_str(), tally["code"].as_str()),
        (Some("tally"), Some(lines[8..17].join("\n").as_str()))
    );
    assert_eq!(read(&app, "double").await["code"], "double = lambda x: int(x) * 2");
    assert_eq!(read(&app, "last").await["code"], "def last(x): return x");
    let math = read(&app, "math").await;
    assert_eq!((&math["name"], &math["code"], &math["error"]), (&json!("Math"), &json!(null), &json!(null)));
    // A file that no longer loads leaves its functions as they were.
    fs::write(app.folder().join("user_funcs/my.py"), "def tally(\n").unwrap();
    let done = reload(&app).await;
    assert_eq!(
        (&done["loaded"], &done["removed"], &done["failed"][0]["file"]),
        (&json!([]), &json!([]), &json!("my.py"))
    );
    let stale = read(&app, "tally").await;
    assert_eq!(stale["code"], tally["code"]);
    assert_eq!(stale["error"]["line"], 1, "{stale}");
    assert!(stale["error"]["message"].as_str().unwrap().starts_with("SyntaxError"), "{stale}");
    fs::remove_file(app.folder().join("user_funcs/my.py")).unwrap();
    assert_eq!(reload(&app).await["removed"], json!(["quiet", "tally", "double", "last"]));
    for path in ["/functions/tally", "/functions/..%2F..%2Fconfig.toml"] {
        assert_eq!(send(call(&app, Method::GET, path)).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn long_code_is_cut() {
    let app = start(&format!("def long():\n    return '{}'\n", "x".repeat(100_000))).await;
    let code = read(&app, "long").await["code"].as_str().unwrap().len();
    assert_eq!(code, 64 << 10);
}

#[tokio::test]
async fn a_function_is_tried_once() {
    let mut app = start(CODE).await;
    let (status, tried) = try_out(&app, "TALLY", "20, 22").await;
    assert_eq!(status, 202, "{tried}");
    let run = record(&mut app, &tried).await;
    assert_eq!((&run["outcome"], &run["result"]), (&json!("success"), &json!("42")), "{run}");
    assert_eq!(run["func"], json!({"name": "tally", "args": "20, 22"}));
    let (_, tried) = send(call(&app, Method::POST, "/functions/Time/try")).await;
    assert_eq!(record(&mut app, &tried).await["outcome"], "success", "without arguments");
    let (status, problem) = try_out(&app, "nothing", "").await;
    assert_eq!((status, &problem["title"]), (404, &json!("there is no function nothing")));
}

#[tokio::test]
async fn arguments_stay_arguments() {
    let mut app = TestApp::start().await;
    for args in ["a\n【timeout】1", "a\n【name】Cleanup", "\n【x】", "a\n【】"] {
        let (status, problem) = try_out(&app, "Echo", args).await;
        assert_eq!((status, named(&problem)), (422, vec!["args"]), "{args}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("a space in front"), "{problem}");
    }
    for (args, said) in [
        ("【timeout】1", "【timeout】1"),
        ("a\n 【timeout】1", "a\n 【timeout】1"),
        (r#"["a\n【x】"]"#, "a\n【x】"),
    ] {
        let (status, tried) = try_out(&app, "Echo", args).await;
        assert_eq!(status, 202, "{tried}");
        assert_eq!(record(&mut app, &tried).await["stdout"], said);
    }
    let (status, problem) = try_out(&app, "Echo", "\"open").await;
    assert_eq!((status, named(&problem)), (422, vec!["args"]), "{problem}");
    let unknown = call(&app, Method::POST, "/functions/Echo/try").json(&json!({"arg": "x"}));
    assert_eq!(send(unknown).await.0, 422);
}
