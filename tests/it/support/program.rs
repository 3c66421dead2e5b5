//! The built program as a child process, for what only a real process can show.

#![expect(
    clippy::disallowed_methods,
    reason = "a real process lives in real time: this bounds how long a test waits"
)]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(40);

pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program to its end, in an empty folder.
pub fn timerjobs(args: &[&str], env: &[(&str, &str)]) -> Ended {
    run_in(tempfile::tempdir().unwrap().path(), args, env.iter().copied())
}

/// Runs the program to its end in this folder.
pub fn run_in<'a>(folder: &Path, args: &[&str], env: impl IntoIterator<Item = (&'a str, &'a str)>) -> Ended {
    let out = command(folder).args(args).envs(env).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: out.status.code(), stdout: text(&out.stdout), stderr: text(&out.stderr) }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timerjobs"));
    command
        .current_dir(folder)
        .env("TZ", "UTC")
        .env_remove("DATABASE_URL")
        .env_remove("PORT")
        .env_remove("HOST");
    command
}

/// A server that runs.
pub struct Program {
    child: Child,
    port: u16,
    folder: Arc<tempfile::TempDir>,
    env: Vec<(String, String)>,
    log: Arc<Mutex<String>>,
}

impl Program {
    pub fn start() -> Self {
        Self::with(&[])
    }

    pub fn with(env: &[(&str, &str)]) -> Self {
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self::spawn(Arc::new(tempfile::tempdir().unwrap()), env)
    }

    fn spawn(folder: Arc<tempfile::TempDir>, env: Vec<(String, String)>) -> Self {
        let mut child = command(folder.path())
            .args(["start", "-H", "127.0.0.1", "-p", "0"])
            .envs(env.iter().cloned())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Its first line says where it listens; the rest is read so that the pipe never fills.
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let port = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it did not start: {said}");
            if let Some((_, rest)) = line.split_once("http://127.0.0.1:") {
                break rest.split('/').next().unwrap().parse().unwrap();
            }
            said += &line;
        };
        let log = Arc::new(Mutex::new(said));
        let heard = log.clone();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                *heard.lock().unwrap() += &(line + "\n");
            }
        });
        Self { child, port, folder, env, log }
    }

    pub fn start_again(mut self) -> Self {
        self.wait();
        Self::spawn(self.folder.clone(), self.env.clone())
    }

    pub fn kill_and_start_again(mut self) -> Self {
        self.child.kill().unwrap();
        self.start_again()
    }

    /// Runs another command of the program in its folder, with its environment.
    pub fn command(&self, args: &[&str]) -> Ended {
        run_in(self.folder(), args, self.env.iter().map(|(k, v)| (k.as_str(), v.as_str())))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end; gives back its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::yield_now();
        }
        panic!("the server ends");
    }

    pub fn until(&self, so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !so(self) {
            assert!(Instant::now() < end, "it becomes so");
            std::thread::yield_now();
        }
    }

    /// Runs a line of the README: the port is ours.
    pub fn shell(&self, line: &str) -> String {
        let line = line.replace("localhost:8000", &format!("localhost:{}", self.port));
        let out = Command::new("sh").args(["-c", &line]).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    }

    /// What it has logged on its terminal.
    pub fn said(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn get(&self, path: &str) -> Value {
        self.curl(path, &[])
    }

    pub fn get_with_host(&self, path: &str, host: &str) -> Value {
        self.curl(path, &["-H", &format!("Host: {host}")])
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.curl(path, &["-H", "Content-Type: application/json", "-d", &body.to_string()])
    }

    pub fn put(&self, path: &str, body: &Value) -> Value {
        self.curl(path, &["-X", "PUT", "-H", "Content-Type: application/json", "-d", &body.to_string()])
    }

    fn curl(&self, path: &str, more: &[&str]) -> Value {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-m", "20", &format!("http://127.0.0.1:{}{path}", self.port)]).args(more);
        let out = curl.output().unwrap();
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Adds a command job that fires once a year.
    pub fn add(&self, fields: Value) -> i64 {
        let mut job = json!({"cron_expr": "0 0 1 1 *", "mode": "command"});
        job.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let answer = self.post("/jobs/add", &job);
        answer["data"]["id"].as_i64().unwrap_or_else(|| panic!("{answer}"))
    }

    /// The job's newest run record.
    pub fn run(&self, job: i64) -> Value {
        self.get(&format!("/jobs/execs?id={job}"))["data"].clone()
    }

    /// Living processes whose parent is the server.
    pub fn children(&self) -> Vec<u32> {
        let out =
            Command::new("ps").args(["-o", "pid=", "--ppid", &self.child.id().to_string()]).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    pub fn recorded_pids(&self) -> usize {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            use sqlx::Connection;
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.database()).read_only(true);
            let mut db = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
            let sql = "SELECT count(*) FROM tj_runs WHERE pid IS NOT NULL";
            let n: i64 = sqlx::query_scalar(sql).fetch_one(&mut db).await.unwrap();
            usize::try_from(n).unwrap()
        })
    }

    fn database(&self) -> PathBuf {
        self.folder().join("data/timerjobs.db")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
