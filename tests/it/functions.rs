//! The user's own functions: real files, real Python processes. They need python3 on the machine and
//! fail without it.

use crate::support::TestApp;
use crate::support::program::Program;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

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

#[tokio::test]
async fn what_a_function_gets_prints_and_gives_back() {
    let code = r#"
"""Functions of the test."""
import asyncio, os, subprocess, sys

def kinds(*values):
    return [type(v).__name__ for v in values]

def speak(name, greeting="hello"):
    """Says something.

    More of it."""
    print(greeting, name)
    print("quietly", file=sys.stderr)
    os.write(1, b"raw\n")
    subprocess.run(["echo", "child"])
    return greeting + " " + name

async def later(n):
    await asyncio.sleep(0)
    return {"n": n, "字": None}

def nothing():
    pass

def odd():
    return {1, 1}

def where():
    return [os.environ[k] for k in ("TJ_JOB_NAME", "TJ_ATTEMPT")] + [len(os.environ["TJ_EXEC_ID"])]

def _private():
    pass
"#;
    let (mut app, _folder) = start(&[("my.py", code)], &[]).await;
    let record = call(&mut app, "speak 世界").await;
    assert_eq!(record["outcome"], "success", "{record}");
    assert_eq!(
        (&record["stdout"], &record["stderr"]),
        (&json!("hello 世界\nraw\nchild\n"), &json!("quietly\n"))
    );
    assert_eq!((&record["result"], &record["func_result"]), (&json!("hello 世界"), &json!("hello 世界")));
    assert_eq!((&record["func_name"], &record["func_args"]), (&json!("speak"), &json!("世界")));
    for (command, result) in [
        ("kinds 1,a", r#"["str", "str"]"#),
        (
            "【name】kinds\n【arg】[1, 2.5, \"x\", null, true, [1], {\"a\": 1}]",
            r#"["int", "float", "str", "NoneType", "bool", "list", "dict"]"#,
        ),
        ("later 3", r#"{"n": "3", "字": null}"#),
        ("nothing", ""),
        ("odd", "{1}"),
        ("SPEAK a,b", "b a"),
    ] {
        let record = call(&mut app, command).await;
        assert_eq!((&record["outcome"], &record["result"]), (&json!("success"), &json!(result)), "{record}");
    }
    let record = call(&mut app, "where").await;
    assert_eq!(record["result"], format!("[\"{}\", \"1\", 16]", record["job_name"].as_str().unwrap()));

    let page = app.get("/jobs/functions").await;
    assert_eq!(page["python"]["available"], true, "{page}");
    let list = page["data"].as_array().unwrap();
    let speak = list.iter().find(|f| f["name"] == "speak").unwrap();
    assert_eq!(speak["signature"], "speak(name, greeting='hello')");
    assert_eq!(
        (&speak["description"], &speak["file"]),
        (&json!("Says something.\n\nMore of it."), &json!("my.py"))
    );
    assert_eq!(
        speak["parameters"][1],
        json!({"name": "greeting", "description": "", "required": false, "default": "'hello'"})
    );
    assert!(!list.iter().any(|f| f["name"] == "_private" || f["name"] == "asyncio"));
}

#[tokio::test]
async fn a_failure_says_what_where_and_what_to_do() {
    let code = "import os, sys, ctypes\n\
        def bad(x):\n    return deeper(x)\n\
        def deeper(x):\n    raise ValueError('no ' + x)\n\
        def leave():\n    print('bye')\n    sys.exit(3)\n\
        def vanish():\n    print('almost')\n    os._exit(4)\n\
        def crash():\n    print('boom'); ctypes.string_at(0)\n\
        def hog():\n    return len(bytearray(2 << 30))\n\
        def fine():\n    return 'fine'\n";
    let (mut app, _folder) =
        start(&[("my.py", code)], &[("PYTHON_MEMORY_MB", "512"), ("PYTHON_WORKERS", "1")]).await;
    for (command, says) in [
        ("bad thing", &["ValueError: no thing", "my.py 第 5 行"][..]),
        ("bad", &["missing 1 required positional argument: 'x'", "bad(x)"]),
        ("bad a,b,c", &["takes 1 positional argument but 3 were given", "bad(x)"]),
        ("leave", &["sys.exit(3)"]),
        ("vanish", &["退出码 4"]),
        ("crash", &["SIGSEGV"]),
        ("hog", &["MemoryError", "my.py 第 15 行"]),
    ] {
        let record = call(&mut app, command).await;
        assert_eq!(record["outcome"], "failed", "{record}");
        for part in says {
            assert!(error(&record).contains(part), "{record}");
        }
        assert_eq!(call(&mut app, "fine").await["result"], "fine", "after {command}");
    }
    let record = call(&mut app, "bad thing").await;
    let trace = record["stderr"].as_str().unwrap();
    assert!(trace.contains("line 3, in bad") && trace.contains("raise ValueError('no ' + x)"), "{trace}");
    assert!(!trace.contains("timerjobs"), "{trace}");
    for (command, printed) in [("leave", "bye\n"), ("vanish", "almost\n"), ("crash", "boom\n")] {
        assert_eq!(call(&mut app, command).await["stdout"], printed);
    }
}

/// Starts a call that writes to a file, and gives back its job and what it wrote.
async fn begun(app: &TestApp, folder: &Path, name: &str) -> (i64, String) {
    let file = folder.join(name).with_extension("said");
    let id = begin(app, &format!("【name】{name}\n【arg】{}\n【timeout】300", file.display())).await;
    app.until(async |_| fs::read_to_string(&file).is_ok_and(|text| !text.is_empty())).await;
    (id, fs::read_to_string(&file).unwrap())
}

async fn cancel(app: &mut TestApp, id: i64) -> Value {
    app.post("/jobs/stop", json!({"id": id})).await;
    app.ended(id, 1).await;
    let run = newest(app, id).await;
    assert_eq!(run["outcome"], "cancelled", "{run}");
    run
}

#[tokio::test]
async fn what_never_ends_is_killed_with_all_it_started() {
    let code = r#"
import os, subprocess, time
def say(file, *words):
    with open(file, "w") as f: f.write(" ".join(map(str, words)))
def spin(file=None):
    print("spinning")
    if file: say(file, os.getpid())
    while True: pass
def tree(file):
    a = subprocess.Popen(["sleep", "300"])
    b = subprocess.Popen(["setsid", "sleep", "300"])
    say(file, a.pid, b.pid, os.getpid())
    a.wait()
def bomb(file):
    me = os.getpid()
    for _ in range(6): os.fork()
    if me == os.getpid(): say(file, os.getpgrp())
    while True: time.sleep(1)
def flood(file):
    print("x" * (8 << 20))
    say(file, "done")
    while True: print("y" * 10000)
def fine(): return "fine"
"#;
    let (mut app, folder) = start(&[("my.py", code)], &[("PYTHON_WORKERS", "1")]).await;
    assert_eq!(call(&mut app, "【name】spin\n【timeout】1").await["outcome"], "timeout");
    assert_eq!(call(&mut app, "fine").await["result"], "fine");

    let (spin, pid) = begun(&app, folder.path(), "spin").await;
    // The pool has one place: this one waits, and its cancel ends the wait.
    let waiting = begin(&app, "【name】fine\n【timeout】300").await;
    app.started(waiting).await;
    cancel(&mut app, waiting).await;
    assert_eq!(cancel(&mut app, spin).await["stdout"], "spinning\n");
    assert!(!is_alive(&pid));

    let (tree, pids) = begun(&app, folder.path(), "tree").await;
    assert!(pids.split(' ').all(is_alive), "{pids}");
    cancel(&mut app, tree).await;
    assert!(!pids.split(' ').any(is_alive), "{pids}");

    let (bomb, group) = begun(&app, folder.path(), "bomb").await;
    assert!(members(&group) > 1);
    cancel(&mut app, bomb).await;
    assert_eq!(members(&group), 0);

    let (flood, _) = begun(&app, folder.path(), "flood").await;
    let printed = cancel(&mut app, flood).await["stdout"].as_str().unwrap().to_owned();
    assert!(printed.len() <= 1 << 20 && printed.contains("bytes cut"), "{}", printed.len());
    assert_eq!(call(&mut app, "fine").await["result"], "fine");
}

/// Living processes of a group.
fn members(group: &str) -> usize {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|e| e.unwrap().file_name().into_string().ok());
    pids.filter(|pid| pid.parse::<u32>().is_ok() && is_alive(pid))
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok())
        .filter(|stat| stat.rsplit(") ").next().unwrap().split(' ').nth(2) == Some(group))
        .count()
}

#[tokio::test]
async fn a_reload_takes_what_is_good_and_says_what_is_not() {
    let (mut app, folder) = start(
        &[("a.py", "import b\ndef one(): return b.two() + 1\n"), ("b.py", "def two(): return 2\n")],
        &[("PYTHON_IMPORT_SECONDS", "3")],
    )
    .await;
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    assert_eq!(reload(&app).await, json!({"loaded": ["one", "two"], "removed": [], "failed": []}));
    assert_eq!(call(&mut app, "one").await["result"], "3");

    // A syntax error keeps what there was; a change takes.
    write("b.py", "def two(): return 20\n");
    write("a.py", "import b\ndef one(:\n");
    let done = reload(&app).await;
    assert_eq!((&done["loaded"], &done["removed"]), (&json!(["two"]), &json!([])));
    assert_eq!((&done["failed"][0]["file"], &done["failed"][0]["line"]), (&json!("a.py"), &json!(2)));
    assert!(done["failed"][0]["error"].as_str().unwrap().starts_with("SyntaxError: "), "{done}");
    assert_eq!(app.get("/jobs/functions").await["failed"], done["failed"]);
    assert_eq!(call(&mut app, "one").await["result"], "21");

    // One file that hangs, one that crashes, one that raises, names that are taken; and one is gone.
    write("c.py", "while True: pass\n");
    write("d.py", "import os\nos._exit(7)\n");
    write("e.py", "def fine(): return 1\n\nprint(1 / 0)\n");
    write("f.py", "def two(): pass\ndef echo(): pass\ndef good(): return 'good'\n");
    fs::remove_file(folder.path().join("a.py")).unwrap();
    let done = reload(&app).await;
    assert_eq!((&done["loaded"], &done["removed"]), (&json!(["two", "good"]), &json!(["one"])));
    let failed: Vec<String> = done["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| format!("{} {} {}", f["file"].as_str().unwrap(), f["line"], f["error"].as_str().unwrap()))
        .collect();
    assert_eq!(
        failed,
        [
            "c.py null 导入超过 3 秒仍未结束",
            "d.py null 导入时进程终止：退出码 7",
            "e.py 3 ZeroDivisionError: division by zero",
            "f.py 1 函数 two 已在 b.py 第 1 行定义，请改名",
            "f.py 2 函数 echo 与内置函数 Echo 同名，请改名",
        ]
    );
    assert_eq!(call(&mut app, "good").await["result"], "good");
    let gone = call(&mut app, "one").await;
    assert!(error(&gone).contains("函数 one 不存在") && error(&gone).contains("good"), "{gone}");
}

#[tokio::test]
async fn a_changed_file_is_loaded_by_itself() {
    let (mut app, folder) = start(&[("a.py", "def one(): return 1\n")], &[("FUNC_WATCH", "true")]).await;
    assert_eq!(call(&mut app, "one").await["result"], "1");
    fs::write(folder.path().join("b.py"), "def two(): return").unwrap();
    app.until(async |app| {
        app.advance(2);
        names(app).await == ["one", "two"]
    })
    .await;
    // Half a file is a failure until the rest is there.
    fs::write(folder.path().join("b.py"), "def two(): return (2,\n").unwrap();
    app.until(async |app| {
        app.advance(2);
        app.get("/jobs/functions").await["failed"][0]["file"] == "b.py"
    })
    .await;
    assert_eq!(names(&app).await, ["one", "two"]);
    fs::write(folder.path().join("b.py"), "def two(): return (2,\n3)[1]\n").unwrap();
    app.until(async |app| {
        app.advance(2);
        app.get("/jobs/functions").await["failed"] == json!([])
    })
    .await;
    assert_eq!(call(&mut app, "two").await["result"], "3");
}

#[tokio::test]
async fn no_call_fails_because_of_reloads() {
    let code = "import time\ndef work(n):\n    time.sleep(0.01)\n    return n\n";
    let (mut app, folder) = start(&[("a.py", code)], &[]).await;
    let id = app
        .add(json!({"name": "many", "cron_expr": "0 0 1 1 *", "allow_mode": 0,
            "command": "【name】work\n【arg】7\n【times】20\n【timeout】60"}))
        .await;
    let mut wanted = 0;
    for round in 0..10 {
        for _ in 0..3 {
            app.post("/jobs/run", json!({"id": id})).await;
            wanted += 1;
        }
        fs::write(folder.path().join("a.py"), format!("{code}# {round}\n")).unwrap();
        assert_eq!(reload(&app).await["failed"], json!([]));
    }
    app.ended(id, wanted).await;
    let runs = app.runs(id).await;
    assert_eq!(runs.len(), wanted);
    for run in runs {
        assert_eq!((&run["outcome"], &run["result"]), (&json!("success"), &json!("20/20")), "{run}");
    }
}

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

#[tokio::test]
async fn a_requirements_file_gets_its_own_environment() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = wheel(folder.path());
    let files = [
        ("a.py", "import tjdemo\ndef demo(): return tjdemo.WORD\n"),
        ("requirements.txt", &format!("--no-index\n{}\n", wheel.display())),
    ];
    let (mut app, dir) = start(&files, &[]).await;
    app.until(async |app| app.get("/jobs/functions").await["python"]["environment"] == "ready").await;
    app.until(async |app| names(app).await == ["demo"]).await;
    assert_eq!(call(&mut app, "demo").await["result"], "from the wheel");
    fs::write(dir.path().join("requirements.txt"), "--no-index\nno-such-package-at-all\n").unwrap();
    reload(&app).await;
    app.until(async |app| app.get("/jobs/functions").await["python"]["environment"] == "failed").await;
    app.until(async |app| app.get("/jobs/functions").await["failed"][0]["file"] == "requirements.txt").await;
    let page = app.get("/jobs/functions").await;
    assert!(page["failed"][0]["error"].as_str().unwrap().contains("no-such-package-at-all"), "{page}");
    assert_eq!(call(&mut app, "demo").await["result"], "from the wheel", "the one before serves on");
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
    assert!(!has(&program, "one"));
    program.signal("HUP");
    program.until(|p| has(p, "one"));
    fs::write(program.folder().join("config.toml"), "[server]\nport = \"none\"\n").unwrap();
    fs::write(program.folder().join("user_funcs/my.py"), "def two(): return 2\n").unwrap();
    program.signal("HUP");
    program.until(|p| p.said().contains("the settings stay as they are"));
    assert!(has(&program, "one") && !has(&program, "two"));
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

/// A wheel is a zip of the package and what is said of it.
fn wheel(folder: &Path) -> PathBuf {
    let path = folder.join("tjdemo-1.0-py3-none-any.whl");
    let make = "import sys, zipfile\n\
        z = zipfile.ZipFile(sys.argv[1], 'w')\n\
        d = 'tjdemo-1.0.dist-info/'\n\
        z.writestr('tjdemo.py', 'WORD = \"from the wheel\"\\n')\n\
        z.writestr(d + 'METADATA', 'Metadata-Version: 2.1\\nName: tjdemo\\nVersion: 1.0\\n')\n\
        z.writestr(d + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
        z.writestr(d + 'RECORD', 'tjdemo.py,,\\n' + d + 'METADATA,,\\n' + d + 'WHEEL,,\\n' + d + 'RECORD,,\\n')\n\
        z.close()\n";
    let done = std::process::Command::new("python3").args(["-c", make]).arg(&path).status().unwrap();
    assert!(done.success());
    path
}
