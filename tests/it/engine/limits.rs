//! Commands with limits and users of their own, run by a real shell through the built program. What
//! needs root says what another user is told instead.

use crate::support::TestApp;
use serde_json::{Value, json};

/// Adds a command job, runs it once, and gives back its record in English.
async fn run(app: &mut TestApp, text: &str) -> Value {
    run_named(app, "job", text).await
}

async fn run_named(app: &mut TestApp, name: &str, text: &str) -> Value {
    let id = app.add(json!({"name": name, "mode": "command", "command": text})).await;
    app.post("/jobs/run", json!({"id": id})).await;
    app.ended(id, 1).await;
    let answer = app.http.get(format!("{}/jobs/execs?id={id}", app.url)).header("accept-language", "en");
    let answer: Value = answer.send().await.unwrap().json().await.unwrap();
    app.post("/jobs/del", json!({"id": id})).await;
    answer["data"].clone()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn failed(record: &Value, error: &str) {
    assert_eq!(record["outcome"], "failed", "{record}");
    let said = record["error_msg"].as_str().unwrap();
    assert!(said.contains(error), "`{error}` in `{said}`");
}

/// The errors of a job that is refused when it is saved.
async fn refused(app: &TestApp, text: &str) -> Vec<String> {
    let job = json!({"name": "refused", "cron_expr": "@daily", "mode": "command", "command": text});
    let asked = app.http.post(format!("{}/jobs/add", app.url)).header("accept-language", "en").json(&job);
    let answer: Value = asked.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["code"], 422, "{answer}");
    let errors = answer["data"]["errors"].as_array().unwrap();
    assert!(errors.iter().all(|e| e["field"] == "command"), "{answer}");
    errors.iter().map(|e| e["message"].as_str().unwrap().to_owned()).collect()
}

/// What the loader reads belongs to the command: our own program, which comes first, must not load it with
/// our rights.
#[tokio::test]
async fn variables_of_a_job_reach_the_command_only() {
    let mut app = TestApp::start().await;
    let loaded = run(&mut app, "【command】echo done\n【files】64\n【env】LD_PRELOAD=/no/such/file.so").await;
    let complaints = loaded["stderr"].as_str().unwrap().matches("/no/such/file.so").count();
    assert_eq!((complaints, loaded["outcome"].as_str()), (1, Some("success")), "{loaded}");
    let marks = run(
        &mut app,
        "【command】echo $TJ_EXEC_ID $TJ_ENV_A $A\n【files】64\n【env】TJ_EXEC_ID=mine|||A=b|||TJ_ENV_A=c",
    )
    .await;
    let id = marks["exec_id"].as_str().unwrap();
    assert_eq!(marks["stdout"], format!("{id} c b\n"), "the marks stay ours: {marks}");
}

#[tokio::test]
async fn a_command_runs_as_the_user_that_it_names() {
    let mut app = TestApp::start().await;
    let record = run(
        &mut app,
        "【command】id -un; id -Gn; echo $HOME $USER $LOGNAME $SHELL; grep CapPrm /proc/self/status; \
         echo err > /dev/stderr; cd / && touch mine || echo kept out\n【user】nobody",
    )
    .await;
    if !is_root() {
        return failed(&record, "start the server as root, or leave out 【user】");
    }
    let out = record["stdout"].as_str().unwrap();
    let lines: Vec<&str> = out.lines().collect();
    let home = std::fs::read_to_string("/etc/passwd").unwrap();
    let home = home.lines().find(|l| l.starts_with("nobody:")).unwrap().split(':').nth(5).unwrap().to_owned();
    assert_eq!(lines[0], "nobody", "{record}");
    assert!(!lines[1].split(' ').any(|group| group == "root"), "{record}");
    assert_eq!(lines[2], format!("{home} nobody nobody /bin/sh"));
    assert_eq!(lines[3], "CapPrm:\t0000000000000000");
    assert_eq!(lines[4], "kept out");
    assert!(record["stderr"].as_str().unwrap().starts_with("err\n"), "{record}");
    let by_number = run(&mut app, "【command】id -un\n【user】65534").await;
    assert_eq!(by_number["stdout"], "nobody\n");
    let own = run(&mut app, "【command】echo $HOME\n【user】nobody\n【env】HOME=/mine").await;
    assert_eq!(own["stdout"], "/mine\n", "what the job sets itself is its own");
}

#[tokio::test]
async fn what_keeps_a_command_from_starting_is_told_apart_from_its_own_end() {
    let mut app = TestApp::start().await;
    let folder = app.folder().join("private");
    std::fs::create_dir(&folder).unwrap();
    let record = run(&mut app, "【command】true\n【user】no-such-user").await;
    failed(&record, "there is no user no-such-user on this machine");
    assert_eq!(record["exit_code"], Value::Null);
    let record = run(&mut app, "【command】true\n【files】64\n【workdir】/no/such/folder").await;
    failed(&record, "the working directory /no/such/folder cannot be used: No such file");
    let record = run(&mut app, "【command】true\n【files】64\n【workdir】/etc/passwd").await;
    failed(&record, "the working directory /etc/passwd is not a directory");
    if is_root() {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&folder, mode).unwrap();
        let text = format!("【command】true\n【user】nobody\n【workdir】{}", folder.display());
        failed(&run(&mut app, &text).await, "cannot be used: Permission denied");
    }
    // Whatever a command does, it is the command's: its exit code, its words, its descriptors.
    let forged = "【command】for fd in 0 1 2 3 4 5 6 7 8 9; do \
                  (printf '\\345\\201\\207\\0forged' >&$fd) 2>/dev/null; done; exit 125\n【files】64";
    let record = run(&mut app, forged).await;
    assert_eq!((&record["exit_code"], &record["error_msg"]), (&json!(125), &json!("exit code 125")));
    assert!(record["stdout"].as_str().unwrap().contains("forged"), "{record}");
}

#[tokio::test]
async fn limits_hold_and_their_ends_are_named() {
    let mut app = TestApp::start().await;
    let record =
        run(&mut app, "【command】ulimit -n; ulimit -Hn; ulimit -v\n【files】64\n【memory】256M").await;
    assert_eq!(record["stdout"], "64\n64\n262144\n", "{record}");
    let record =
        run(&mut app, "【command】head -c 300M /dev/zero | tail -c 200M | wc -c\n【memory】64M").await;
    assert!(record["stderr"].as_str().unwrap().contains("memory exhausted"), "{record}");
    let record = run(&mut app, "【command】head -c 300M /dev/zero | tail -c 2M | wc -c\n【memory】64M").await;
    assert_eq!(record["stdout"], "2097152\n", "{record}");
    let record = run(&mut app, "【command】while :; do :; done\n【cpu】1").await;
    failed(&record, "killed by SIGXCPU (24): over 【cpu】 1 s of processor time");
    // The shell says of its child what the system says of the shell.
    let record = run(&mut app, "【command】sh -c 'while :; do :; done'; exit $?\n【cpu】1").await;
    failed(&record, "exit code 152: over 【cpu】 1 s of processor time");
    assert_eq!(record["exit_code"], 152);
    let record = run(&mut app, "【command】trap '' XCPU; while :; do :; done\n【cpu】1").await;
    failed(&record, "killed by SIGKILL (9): perhaps it was over 【cpu】 1 s and did not heed SIGXCPU");
    let record = run(&mut app, "【command】kill -ABRT $$\n【memory】64M").await;
    failed(&record, "killed by SIGABRT (6): perhaps it met the limit 【memory】 64M");
    let record = run(&mut app, "【command】kill -ABRT $$").await;
    assert_eq!(record["error_msg"], "killed by SIGABRT (6)");
}

/// The environment of a job may be large and its memory small: our own program has more.
#[tokio::test]
async fn the_least_memory_is_enough_to_start_whatever_the_environment() {
    let mut app = TestApp::start().await;
    let env = (0..600).map(|i| format!("V{i}={}", "x".repeat(90))).collect::<Vec<_>>().join("|||");
    let record = run(&mut app, &format!("【command】echo $V599\n【memory】16M\n【env】{env}")).await;
    assert_eq!(record["stdout"], format!("{}\n", "x".repeat(90)), "{record}");
}

#[tokio::test]
async fn a_limited_commands_tree_is_killed_and_its_marks_are_there() {
    let mut app = TestApp::with(&[("JOBS_KILL_GRACE", "0")]).await;
    let user = if is_root() { "\n【user】nobody" } else { "" };
    let folder = tempfile::tempdir().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), mode).unwrap();
    let (pids, gone) = (folder.path().join("pids"), folder.path().join("gone"));
    let text = format!(
        "【command】echo $TJ_EXEC_ID; ps -o pgid= -p $$ | tr -d ' '; echo $$; setsid sh -c 'echo $$ >> {0}; sleep 300' & \
         echo $$ >> {0}; sleep 300; touch {1}\n【files】64\n【timeout】2{user}",
        pids.display(),
        gone.display()
    );
    let record = run(&mut app, &text).await;
    assert_eq!(record["outcome"], "timeout", "{record}");
    let out: Vec<&str> = record["stdout"].as_str().unwrap().lines().collect();
    assert_eq!(out[0], record["exec_id"]);
    assert_eq!(out[1], out[2], "it leads its group");
    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.lines().count(), 2, "{pids}");
    for pid in pids.lines() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
    assert!(!gone.exists());
}

#[tokio::test]
async fn what_asks_for_more_than_the_server_allows_is_refused() {
    let settings = [
        ("COMMANDS_MEMORY_MB", "256"),
        ("COMMANDS_CPU_SECONDS", "60"),
        ("COMMANDS_OPEN_FILES", "128"),
        ("COMMANDS_RUN_AS", if is_root() { "nobody" } else { "" }),
    ];
    let mut app = TestApp::with(&settings).await;
    let said = refused(&app, "【command】true\n【memory】257M\n【cpu】61\n【files】129").await;
    for (said, wanted) in said.iter().zip([
        "【memory】 is 257M, more than the 256M that the server allows (commands.memory_mb)",
        "【cpu】 is 61, more than the 60",
        "【files】 is 129, more than the 128",
    ]) {
        assert!(said.contains(wanted), "{said}");
    }
    assert_eq!(said.len(), 3);
    let record = run(&mut app, "id -u; ulimit -n; ulimit -v; ulimit -t").await;
    let uid = if is_root() { 65534 } else { rustix::process::geteuid().as_raw() };
    assert_eq!(record["stdout"], format!("{uid}\n128\n262144\n60\n"), "also for what asks for nothing");
    let record = run(&mut app, "【command】ulimit -n\n【files】64").await;
    assert_eq!(record["stdout"], "64\n");
    if is_root() {
        let said = refused(&app, "【command】true\n【user】root").await;
        assert!(said[0].contains("the server runs every command as nobody (commands.run_as)"), "{said:?}");
    }
}

/// A job that was saved before the server got its limit fails at its run, can be renamed, and cannot be
/// given another text that asks for too much.
#[tokio::test]
async fn a_limit_that_comes_later_holds_for_old_jobs() {
    let app = TestApp::start().await;
    let text = "【command】ulimit -n\n【files】256";
    let id = app.add(json!({"mode": "command", "command": text})).await;
    let mut stopped = app.shut_down().await;
    stopped.settings.push(("COMMANDS_OPEN_FILES".into(), "64".into()));
    let mut app = stopped.start_again().await;
    app.post("/jobs/run", json!({"id": id})).await;
    app.ended(id, 1).await;
    let record = app.runs(id).await.pop().unwrap();
    assert_eq!(record["outcome"], "failed");
    assert!(record["error_msg"].as_str().unwrap().contains("【files】为 256，超过服务器上限 64"), "{record}");
    let answer = app.post("/jobs/edit", json!({"id": id, "name": "renamed"})).await;
    assert_eq!(answer["code"], 200, "{answer}");
    let answer = app.post("/jobs/edit", json!({"id": id, "command": "【command】true\n【files】65"})).await;
    assert_eq!(answer["code"], 422, "{answer}");
    let answer = app.post("/jobs/edit", json!({"id": id, "command": "【command】true\n【files】64"})).await;
    assert_eq!(answer["code"], 200, "{answer}");
}
