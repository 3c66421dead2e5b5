//! A whole server in the test's process: its own folder, its own port, a clock that stands still
//! until the test moves it. Tests wait for events, never for time.

pub mod database;
pub mod program;
pub mod proxy;
pub mod servers;
pub mod sse;

use database::Database;

use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::Duration;
use timerjobs::app::{App, ConfigSource, Parts, Stop};
use timerjobs::clock::{Clock, Settable};
use timerjobs::config::{Config, Flags};
use timerjobs::log::Control;
use timerjobs::{Event, Outcome, UtcMs};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

/// How long a test waits for what must come; only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// 2026-01-05T08:00:00Z, a Monday: where every test's clock starts.
pub const START: UtcMs = UtcMs(1_767_600_000_000);

pub struct TestApp {
    pub clock: Arc<Settable>,
    pub url: String,
    pub http: reqwest::Client,
    events: broadcast::Receiver<Event>,
    stop: watch::Sender<Stop>,
    served: JoinHandle<anyhow::Result<()>>,
    folder: Arc<tempfile::TempDir>,
    settings: Vec<(String, String)>,
    database: Database,
    /// The server's own, which writes nothing: whoever writes through its `tee` is its log.
    pub log: Control,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A server with these settings (environment names) beside the test's own.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let database = Database::new(folder.path());
        Self::build(folder, Settable::new(START), settings, database).await
    }

    /// A server on this database, with the test's clock.
    pub async fn on(database: Database, clock: &Arc<Settable>) -> Self {
        Self::build(Arc::new(tempfile::tempdir().unwrap()), clock.clone(), Vec::new(), database).await
    }

    async fn build(
        folder: Arc<tempfile::TempDir>,
        clock: Arc<Settable>,
        settings: Vec<(String, String)>,
        database: Database,
    ) -> Self {
        // A failing test shows what the server said.
        let _ = tracing_subscriber::fmt().with_env_filter("info").with_test_writer().try_init();
        let (stop, stopped) = watch::channel(Stop::No);
        let parts = parts(folder.path(), &settings, &database, &clock, stopped);
        let log = parts.log.clone();
        let mut app = App::build(parts).await.unwrap();
        let events = app.events();
        let url = format!("http://127.0.0.1:{}", app.port());
        let served = tokio::spawn(app.serve());
        Self { clock, url, http: client(), events, stop, served, folder, settings, database, log }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// POSTs JSON and gives back the envelope.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.http.post(format!("{}{path}", self.url)).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    /// Adds a job and gives back its id; `fields` are laid over a func job that runs at second 0.
    pub async fn add(&self, fields: Value) -> i64 {
        let mut job =
            json!({"name": "job", "cron_expr": "0 * * * * *", "mode": "func", "command": "Test a,b"});
        job.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let answer = self.post("/jobs/add", job).await;
        assert_eq!(answer["code"], 200, "{answer}");
        answer["data"]["id"].as_i64().unwrap()
    }

    pub async fn job(&self, id: i64) -> Value {
        self.get(&format!("/jobs/read?id={id}")).await["data"].clone()
    }

    /// The job's run records, oldest first.
    pub async fn runs(&self, id: i64) -> Vec<Value> {
        let answer = self.post("/jobs/logs", json!({"id": id, "size": 1000, "order": "asc"})).await;
        answer["data"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    }

    /// Lets time pass.
    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Waits for the next event that the test is interested in.
    pub async fn event<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = wanted(&self.events.recv().await.expect("the engine is alive")) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.expect("the event comes")
    }

    /// Waits until `n` runs of the job have ended; gives back how, in the order of their ends.
    pub async fn ended(&mut self, id: i64, n: usize) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while outcomes.len() < n {
            let outcome = self.event(|e| match e {
                Event::RunEnded { job, outcome, .. } if job.0 == id => Some(*outcome),
                _ => None,
            });
            outcomes.push(outcome.await);
        }
        outcomes
    }

    /// Waits until a run of the job has started.
    pub async fn started(&mut self, id: i64) {
        self.event(|e| matches!(e, Event::RunStarted { job, .. } if job.0 == id).then_some(())).await;
    }

    /// One turn of the engine has gone by: what was due before this call has been decided.
    pub async fn settled(&self) {
        for _ in 0..2 {
            let answer = self.post("/jobs/checkJob", json!({})).await;
            assert_eq!(answer["code"], 200, "{answer}");
        }
    }

    /// Waits until it is so. The questions go to the server, which works meanwhile.
    pub async fn until(&self, so: impl AsyncFn(&Self) -> bool) {
        let wait = async {
            while !so(self).await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("it becomes so");
    }

    pub async fn status(&self, path: &str) -> u16 {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap().status().as_u16()
    }

    /// The body, whatever the status.
    pub async fn body(&self, path: &str) -> Value {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap().json().await.unwrap()
    }

    /// Tries to start another server on the same folder; gives back why that failed.
    pub async fn second(&self) -> Result<(), String> {
        let (_stop, stopped) = watch::channel(Stop::No);
        App::build(parts(self.folder(), &self.settings, &self.database, &self.clock, stopped))
            .await
            .map(drop)
            .map_err(|e| format!("{e:#}"))
    }

    pub fn tell(&self, stop: Stop) {
        self.stop.send_replace(stop);
    }

    /// Waits for the end of a server that was told to stop.
    pub async fn served(mut self) -> Stopped {
        self.ended_with().await.unwrap();
        let Self { clock, folder, settings, database, .. } = self;
        Stopped { clock, folder, settings, database }
    }

    /// Waits for the server's end; gives back how it ended.
    pub async fn ended_with(&mut self) -> anyhow::Result<()> {
        tokio::time::timeout(PATIENCE, &mut self.served).await.expect("the server ends").unwrap()
    }

    pub async fn shut_down(self) -> Stopped {
        self.tell(Stop::Gently);
        self.served().await
    }

    pub fn database(&self) -> &Database {
        &self.database
    }
}

/// What is left of a server: its folder and its clock.
pub struct Stopped {
    pub clock: Arc<Settable>,
    pub folder: Arc<tempfile::TempDir>,
    pub settings: Vec<(String, String)>,
    pub database: Database,
}

impl Stopped {
    pub async fn start_again(self) -> TestApp {
        TestApp::build(self.folder, self.clock, self.settings, self.database).await
    }
}

fn parts(
    folder: &Path,
    settings: &[(String, String)],
    database: &Database,
    clock: &Arc<Settable>,
    stop: watch::Receiver<Stop>,
) -> Parts {
    let own = settings.iter().any(|(name, _)| name == "DATABASE_URL");
    let chosen = if own { Vec::new() } else { database.settings() };
    let settings = [settings.to_vec(), chosen].concat();
    let source = source(folder.to_owned(), settings);
    let clock = Clock::Settable(clock.clone());
    let program = Some(env!("CARGO_BIN_EXE_timerjobs").into());
    Parts { config: source().unwrap(), source, clock, stop, log: Control::detached(), program }
}

/// The test's settings, and beneath them the file `config.toml`, which a test may write.
fn source(folder: PathBuf, settings: Vec<(String, String)>) -> ConfigSource {
    let file = folder.join("config.toml");
    File::options().create(true).append(true).open(&file).unwrap();
    let env = move |name: &str| {
        let path = |name: &str| folder.join(name).display().to_string();
        let own = match name {
            "DATA_DIR" => Some(path("data")),
            "RUNTIME_DIR" => Some(path("runtime")),
            "BACKUP_DIR" => Some(path("backups")),
            "FUNC_DIR" => Some(path("user_funcs")),
            "HOST" => Some("127.0.0.1".into()),
            "PORT" => Some("0".into()),
            "TZ" => Some("UTC".into()),
            _ => None,
        };
        settings.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()).or(own)
    };
    let flags = Flags { config: Some(file), ..Flags::default() };
    Box::new(move || Config::load(&flags, &env))
}

pub fn client() -> reqwest::Client {
    static TLS: Once = Once::new();
    TLS.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap()
}
