//! What a call gets and gives back, and every way in which it can go wrong.

use super::*;
use crate::support::sse::Events;
use std::path::Path;

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

#[tokio::test]
async fn what_a_call_does_to_its_surroundings_ends_with_it() {
    let code = "import os, sys\n\
        def stain():\n    os.environ['STAIN'] = 'x'; os.umask(0o777); os.chdir('/')\n\
        def look():\n    mask = os.umask(0o77); return [os.environ.get('STAIN'), mask == 0o777, os.getcwd() == '/']\n\
        def leave(code):\n    sys.exit(code)\n\
        def several():\n    yield 1\n    yield 'b'\n";
    let (mut app, _folder) = start(&[("my.py", code)], &[("PYTHON_WORKERS", "1")]).await;
    assert_eq!(call(&mut app, "stain").await["outcome"], "success");
    assert_eq!(call(&mut app, "look").await["result"], "[null, false, false]");
    assert_eq!(call(&mut app, "several").await["result"], "[1, \"b\"]");
    for (command, code) in [("leave [true]", 1), ("leave [1099511627779]", 3), ("leave [-1]", 255)] {
        let record = call(&mut app, command).await;
        assert_eq!(
            (&record["exit_code"], error(&record).contains("sys.exit")),
            (&json!(code), true),
            "{record}"
        );
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
    here, there = os.pipe()
    if os.fork() == 0:
        # A daemon: neither its parent nor its group tells whose it is.
        os.setsid()
        if os.fork() == 0:
            os.write(there, str(os.getpid()).encode())
            while True: time.sleep(1)
        os._exit(0)
    os.wait()
    say(file, a.pid, b.pid, os.read(here, 20).decode(), os.getpid())
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
    let late = call(&mut app, "【name】fine\n【timeout】1").await;
    assert_eq!(late["outcome"], "timeout");
    assert!(error(&late).contains("functions.python_workers"), "{late}");
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
async fn a_worker_that_died_while_it_waited_is_replaced() {
    let code = "import os\ndef pid(): return os.getpid()\n";
    let (mut app, _folder) = start(&[("a.py", code)], &[]).await;
    let pid = call(&mut app, "pid").await["result"].as_str().unwrap().to_owned();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    app.until(async |_| !is_alive(&pid)).await;
    let other = call(&mut app, "pid").await;
    assert_eq!(other["outcome"], "success", "{other}");
    assert_ne!(other["result"], pid);
}

#[tokio::test]
async fn what_a_function_prints_is_seen_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let gate = dir.path().join("gate");
    let text = "import os, time\ndef wait(gate):\n    print('before')\n    while not os.path.exists(gate): time.sleep(0.02)\n    print('after')\n";
    let (app, _folder) = start(&[("a.py", text)], &[]).await;
    let id = begin(&app, &format!("wait {}", gate.display())).await;
    let run = newest(&app, id).await["exec_id"].as_str().unwrap().to_owned();
    let mut events = Events::of(&app, &run).await;
    assert_eq!(events.text().await, "before\n");
    fs::write(&gate, "").unwrap();
    assert_eq!(events.text().await, "after\n");
    assert_eq!(events.ended().await["outcome"], "success");
}
