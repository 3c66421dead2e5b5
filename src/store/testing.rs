//! An empty store for each test, in the database that `TEST_STORE` names: `sqlite` (default), `mysql`
//! or `postgres`. The same tests pass on each: that is what support means.

use super::sql::{Dialect, Sql};
use super::{Server, ServerKind, Store, TlsMode};
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

    /// Another way into the same store.
    pub async fn open(&self) -> Store {
        match &self.server {
            None => Store::open(&self.path()).await.unwrap(),
            Some(server) => Store::open_server(server).await.unwrap(),
        }
    }
}

/// An empty store in the database that is being tested.
pub async fn fresh() -> (Store, Place) {
    let kind = match std::env::var("TEST_STORE").as_deref() {
        Ok("mysql") => ServerKind::MySql,
        Ok("postgres") => ServerKind::Postgres,
        Ok("sqlite") | Err(_) => return fresh_file().await,
        Ok(other) => panic!("TEST_STORE={other}: use sqlite, mysql or postgres"),
    };
    let place = Place { dir: tempfile::tempdir().unwrap(), server: Some(server(kind)) };
    (place.open().await, place)
}

/// An empty store in an SQLite file, for what only a file has.
pub async fn fresh_file() -> (Store, Place) {
    let place = Place { dir: tempfile::tempdir().unwrap(), server: None };
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
        prefix: format!("t{}_{n}_", std::process::id()),
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

impl Store {
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
