//! An empty store for each test, in the database that `TEST_STORE` names: `sqlite` (default), `mysql`
//! or `postgres`. The same tests pass on each: that is what support means.

use super::sql::{Dialect, Sql};
use super::{Error, Faults, Schema, Server, ServerKind, Store, TlsMode, inspect_server, schema_of};
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Where a test's store is; it is gone when this is dropped.
pub struct Place {
    dir: TempDir,
    server: Option<Server>,
}

impl Place {
    /// The SQLite file.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("jobs.db")
    }

    pub fn folder(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("the test is for a server")
    }

    /// Another way into the same store.
    pub async fn open(&self) -> Store {
        match &self.server {
            None => Store::open(&self.path()).await.unwrap(),
            Some(server) => patient(Store::open_server(server).await.unwrap()),
        }
    }

    /// With the tables of this version, or the line that says why not.
    pub async fn try_open(&self, version: i64) -> Result<Store, String> {
        match &self.server {
            None => Store::open_at(&self.path(), version).await.map_err(|e| e.to_string()),
            Some(server) => Store::open_server_at(server, version).await.map_err(|e| e.to_string()),
        }
    }

    pub async fn look(&self) -> Schema {
        match &self.server {
            None => schema_of(&self.path()).await.unwrap(),
            Some(server) => inspect_server(server).await.unwrap(),
        }
    }
}

/// Nothing yet, in the database that is being tested.
pub fn place() -> Place {
    let kind = match std::env::var("TEST_STORE").as_deref() {
        Ok("mysql") => Some(ServerKind::MySql),
        Ok("postgres") => Some(ServerKind::Postgres),
        Ok("sqlite") | Err(_) => None,
        Ok(other) => panic!("TEST_STORE={other}: use sqlite, mysql or postgres"),
    };
    Place { dir: tempfile::tempdir().unwrap(), server: kind.map(server) }
}

/// A test's machine may be busy with other tests: that is no outage.
fn patient(store: Store) -> Store {
    if let Some(server) = store.write.server() {
        while server.link.patience() < server.timeout {
            server.link.note_commit::<()>(&Err(Error::TimedOut(0)));
            server.link.note_life(server.timeout);
        }
    }
    store
}

/// An empty store in the database that is being tested.
pub async fn fresh() -> (Store, Place) {
    let place = place();
    (place.open().await, place)
}

/// An empty store in an SQLite file, for what only a file has.
pub async fn fresh_file() -> (Store, Place) {
    fresh_of(None).await
}

/// An empty store on this kind of server; `None`: in an SQLite file.
pub async fn fresh_of(kind: Option<ServerKind>) -> (Store, Place) {
    let place = Place { dir: tempfile::tempdir().unwrap(), server: kind.map(server) };
    (place.open().await, place)
}

/// The server on this machine, with tables of a test's own.
pub fn server(kind: ServerKind) -> Server {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let (port, user) = match kind {
        ServerKind::MySql => (3306, "root"),
        ServerKind::Postgres => (5432, "postgres"),
    };
    Server {
        kind,
        host: "127.0.0.1".into(),
        port,
        user: user.into(),
        password: String::new(),
        database: "test".into(),
        tls: TlsMode::Prefer,
        ca_file: None,
        // A process of before may have had our id, and left its tables.
        prefix: format!("t{:x}_{n}_", RandomState::new().hash_one(n) >> 32),
        pool: 4,
        connect_timeout: Duration::from_secs(10),
        timeout: Duration::from_secs(30),
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(server) = self.server.take() else { return };
        let cleaned = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let store = Store::open_server(&server).await.unwrap();
                for table in
                    ["system", "jobs", "job_state", "runs", "run_counts", "settings", "admins", "migrations"]
                {
                    store.write.execute(&Sql::new(format!("DROP TABLE tj_{table}"))).await.unwrap();
                }
            });
        });
        // A test that failed may have left the tables in disorder.
        cleaned.join().ok();
    }
}

/// What a checker looks at of a run.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Kept {
    pub id: i64,
    pub job_id: i64,
    pub fire_ms: Option<i64>,
    pub clock_epoch: i64,
    pub source: String,
    pub outcome: String,
    pub reason: Option<String>,
    pub scheduled_ms: i64,
    pub start_ms: Option<i64>,
    pub end_ms: Option<i64>,
    pub attempt: i64,
    pub missed_to_ms: Option<i64>,
    pub missed_count: Option<i64>,
}

impl Kept {
    /// It is a fire of the schedule, on time or made up for.
    pub fn is_scheduled(&self) -> bool {
        self.source == "cron" || self.source == "catchup"
    }

    /// It was claimed to run.
    pub fn was_claimed(&self) -> bool {
        self.outcome != "skipped" && self.outcome != "missed"
    }
}

impl Store {
    /// What commits go through, in this store and its clones.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Every run, oldest first.
    pub async fn kept(&self) -> Vec<Kept> {
        let text = "SELECT id, job_id, fire_ms, clock_epoch, source, outcome, reason, scheduled_ms, start_ms, end_ms, \
                    attempt, missed_to_ms, missed_count FROM tj_runs ORDER BY id";
        self.read.fetch(&Sql::new(text)).await.unwrap()
    }

    /// Runs a statement beside all rules.
    pub async fn raw(&self, text: &str) -> u64 {
        self.write.execute(&Sql::new(text)).await.unwrap()
    }

    pub async fn raw_number(&self, text: &str) -> i64 {
        self.write.number(&Sql::new(text)).await.unwrap()
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.write.dialect()
    }
}
