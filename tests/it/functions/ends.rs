//! No Python, and the end of the server: told to stop, told to reload, killed.

use super::*;
use crate::support::program::Program;

#[tokio::test]
async fn without_python_the_page_and_the_run_say_why() {
    let (mut app, _folder) =
        start(&[("a.py", "def one(): return 1\n")], &[("PYTHON", "/nonexistent/python")]).await;
    let record = call(&mut app, "one").await;
    assert_eq!(record["outcome"], "failed");
    assert!(error(&record).contains("/nonexistent/python 未找到"), "{record}");
    let page = app.get("/jobs/functions").await;
    assert_eq!(page["python"]["available"], false);
    assert!(page["python"]["reason"].as_str().unwrap().contains("/nonexistent/python"), "{page}");
    assert_eq!(page["failed"][0]["file"], "a.py");
    assert_eq!(call(&mut app, "Hello 世界").await["outcome"], "success");
}

#[tokio::test]
async fn a_server_without_functions_has_no_python() {
    let (app, _folder) = start(&[], &[("PYTHON", "/nonexistent/python")]).await;
    assert_eq!(reload(&app).await, json!({"loaded": [], "removed": [], "failed": []}));
}

#[tokio::test]
async fn workers_end_with_the_server() {
    let (mut app, _folder) = start(&[("a.py", "import os\ndef pid(): return os.getpid()\n")], &[]).await;
    let pid = call(&mut app, "pid").await["result"].as_str().unwrap().to_owned();
    assert!(is_alive(&pid), "it waits for the next call");
    assert_eq!(call(&mut app, "pid").await["result"], pid, "and has it");
    app.shut_down().await;
    assert!(!is_alive(&pid));
}

/// A server as a process, whose folder of functions is beneath its own.
fn program(code: &str) -> Program {
    let program = Program::with(&[("FUNC_WATCH", "false")]);
    fs::create_dir(program.folder().join("user_funcs")).unwrap();
    fs::write(program.folder().join("user_funcs/my.py"), code).unwrap();
    program
}

fn has(program: &Program, name: &str) -> bool {
    let page = program.get("/jobs/functions");
    page["data"].as_array().unwrap().iter().any(|f| f["name"] == name)
}

#[test]
fn hangup_loads_them_again_and_a_bad_setting_does_not() {
    let program = program("def one(): return 1\n");
    program.signal("HUP");
    program.until(|p| has(p, "one"));
    let settings = program.folder().join("config.toml");
    fs::write(&settings, "[jobs]\nmax_concurrent = 0\n").unwrap();
    fs::write(program.folder().join("user_funcs/my.py"), "def two(): return 2\n").unwrap();
    program.signal("HUP");
    program.until(|p| p.said().contains("the settings stay as they are"));
    assert!(has(&program, "one") && !has(&program, "two"));
    fs::write(&settings, "").unwrap();
    program.signal("HUP");
    program.until(|p| has(p, "two") && !has(p, "one"));
}

#[test]
fn a_dead_server_leaves_no_worker() {
    let program = program(
        "import os, subprocess\n\
        def spin(file):\n    child = subprocess.Popen(['sleep', '300'])\n    \
        with open(file, 'w') as f: f.write(f'{os.getpid()} {child.pid}')\n    while True: pass\n\
        def pid(file):\n    with open(file, 'w') as f: f.write(str(os.getpid()))\n",
    );
    program.post("/jobs/functions/reload", &json!({}));
    let mut pids = Vec::new();
    for name in ["spin", "pid"] {
        let file = program.folder().join(name);
        let command = format!("【name】{name}\n【arg】{}\n【timeout】300", file.display());
        let id = program.add(json!({"name": name, "mode": "func", "command": command}));
        program.post("/jobs/run", &json!({"id": id}));
        program.until(|_| fs::read_to_string(&file).is_ok_and(|text| !text.is_empty()));
        pids.push(fs::read_to_string(&file).unwrap());
    }
    let pids = pids.join(" ");
    assert_eq!(pids.split(' ').filter(|pid| is_alive(pid)).count(), 3, "{pids}");
    program.signal("KILL");
    program.until(|_| !pids.split(' ').any(is_alive));
}
