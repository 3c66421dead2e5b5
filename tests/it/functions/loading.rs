//! Reloads: asked for, by themselves, under load, and with an environment.

use super::*;
use std::path::{Path, PathBuf};

#[tokio::test]
async fn a_reload_takes_what_is_good_and_says_what_is_not() {
    let (mut app, folder) = start(
        &[("a.py", "import b\ndef one(): return b.two() + 1\n"), ("b.py", "def two(): return 2\n")],
        &[("PYTHON_IMPORT_SECONDS", "6")],
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
            "c.py null 导入超过 6 秒仍未结束",
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
async fn a_file_that_hangs_does_not_hold_up_the_others() {
    let files = [("a.py", "def one(): return 1\n"), ("b.py", "while True: pass\n")];
    let (mut app, _folder) = start(&files, &[("PYTHON_IMPORT_SECONDS", "600")]).await;
    let id = app.add(json!({"command": "【name】one\n【timeout】60", "cron_expr": "0 0 1 1 *"})).await;
    app.post("/jobs/run", json!({"id": id})).await;
    app.ended(id, 1).await;
    assert_eq!(newest(&app, id).await["result"], "1");
    // Nor the next reload of the settings.
    for _ in 0..2 {
        assert_eq!(app.post("/jobs/reload-config", json!({})).await["code"], 200);
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_keeps_its_functions() {
    let (mut app, folder) = start(&[("a.py", "def one(): return 1\n")], &[]).await;
    assert_eq!(call(&mut app, "one").await["result"], "1");
    let aside = folder.path().with_extension("aside");
    fs::rename(folder.path(), &aside).unwrap();
    fs::write(folder.path(), "no folder").unwrap();
    let done = reload(&app).await;
    assert_eq!((&done["loaded"], &done["removed"]), (&json!([]), &json!([])));
    assert!(done["failed"][0]["error"].as_str().unwrap().contains("目录无法读取"), "{done}");
    assert_eq!(call(&mut app, "one").await["result"], "1");
    fs::remove_file(folder.path()).unwrap();
    fs::rename(&aside, folder.path()).unwrap();
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
    reload(&app).await;
    fs::write(dir.path().join("requirements.txt"), "--no-index\nno-such-package-at-all\n").unwrap();
    reload(&app).await;
    app.until(async |app| app.get("/jobs/functions").await["python"]["environment"] == "failed").await;
    app.until(async |app| app.get("/jobs/functions").await["failed"][0]["file"] == "requirements.txt").await;
    let page = app.get("/jobs/functions").await;
    assert!(page["failed"][0]["error"].as_str().unwrap().contains("no-such-package-at-all"), "{page}");
    assert_eq!(call(&mut app, "demo").await["result"], "from the wheel", "the one before serves on");
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
