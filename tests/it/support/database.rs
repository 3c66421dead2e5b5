//! The database of a test's server: `TEST_STORE` says which kind (`sqlite`, `mysql`, `postgres`). The
//! same tests pass on each. On a server each test has tables with a prefix of its own.

use sqlx::{AssertSqlSafe, Connection, Executor};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the tables are; on a server they go when this is dropped.
pub struct Database {
    url: String,
    /// Empty for SQLite.
    prefix: String,
    /// Where the server reaches it, when not at its own port.
    through: Option<u16>,
    /// It belongs to another test server: that one cleans up.
    borrowed: bool,
}

/// A database server of the tests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    MySql,
    Postgres,
}

impl Kind {
    pub fn port(self) -> u16 {
        match self {
            Self::MySql => 3306,
            Self::Postgres => 5432,
        }
    }

    pub fn url(self, host: &str, port: u16) -> String {
        match self {
            Self::MySql => format!("mysql://root@{host}:{port}/test"),
            Self::Postgres => format!("postgres://postgres@{host}:{port}/test"),
        }
    }
}

/// A connection beside the server's own.
pub enum Stranger {
    Sqlite(sqlx::SqliteConnection),
    MySql(sqlx::MySqlConnection),
    Postgres(sqlx::PgConnection),
}

impl Database {
    pub fn new(folder: &Path) -> Self {
        let kind = match std::env::var("TEST_STORE").as_deref() {
            Ok("mysql") => Kind::MySql,
            Ok("postgres") => Kind::Postgres,
            Ok("sqlite") | Err(_) => {
                return Self::of_file(&folder.join("data/timerjobs.db"));
            }
            Ok(other) => panic!("TEST_STORE={other}: use sqlite, mysql or postgres"),
        };
        Self::on(kind, None)
    }

    /// On this server, which the server under test may reach through another port.
    pub fn on(kind: Kind, through: Option<u16>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        // A process of before may have had our id, and left its tables.
        let prefix = format!("i{:x}_{n}_", RandomState::new().hash_one(n) >> 32);
        Self { url: kind.url("127.0.0.1", kind.port()), prefix, through, borrowed: false }
    }

    /// On a server of the test's own, which goes with it.
    pub fn at(kind: Kind, port: u16) -> Self {
        Self { url: kind.url("127.0.0.1", port), prefix: "tj_".to_owned(), through: None, borrowed: true }
    }

    /// The same tables, reached directly, for a second server.
    pub fn borrow(&self) -> Self {
        Self { url: self.url.clone(), prefix: self.prefix.clone(), through: None, borrowed: true }
    }

    /// An SQLite file, whatever database is tested.
    pub fn of_file(path: &Path) -> Self {
        let url = format!("sqlite:///{}", path.display());
        Self { url, prefix: String::new(), through: None, borrowed: false }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The settings that lead a server here.
    pub fn settings(&self) -> Vec<(String, String)> {
        if self.prefix.is_empty() {
            return Vec::new();
        }
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let prefix = pair("DATABASE_TABLE_PREFIX", &self.prefix);
        if let Some(port) = self.through {
            let kind = if self.url.starts_with("mysql") { Kind::MySql } else { Kind::Postgres };
            // What stands between is to read what passes.
            return vec![
                pair("DATABASE_URL", &kind.url("127.0.0.1", port)),
                prefix,
                pair("DATABASE_TLS", "disable"),
            ];
        }
        vec![pair("DATABASE_URL", &self.url), prefix]
    }

    /// The file of an SQLite database.
    pub fn file(&self) -> PathBuf {
        PathBuf::from(self.url.strip_prefix("sqlite:///").expect("the test is for SQLite"))
    }

    pub async fn connect(&self) -> Stranger {
        if self.url.starts_with("mysql") {
            return Stranger::MySql(sqlx::MySqlConnection::connect(&self.url).await.unwrap());
        }
        if self.url.starts_with("postgres") {
            return Stranger::Postgres(sqlx::PgConnection::connect(&self.url).await.unwrap());
        }
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.file());
        Stranger::Sqlite(sqlx::SqliteConnection::connect_with(&options).await.unwrap())
    }

    /// Runs statements behind the server's back.
    pub async fn run(&self, statements: &[&str]) {
        let mut stranger = self.connect().await;
        for text in statements {
            stranger.run(&self.named(text)).await;
        }
    }

    /// Holds what the server needs for every write, until it is dropped.
    pub async fn block(&self) -> Stranger {
        self.block_table("tj_system").await
    }

    /// Holds a table, and with SQLite every one.
    pub async fn block_table(&self, table: &str) -> Stranger {
        let mut stranger = self.connect().await;
        match &stranger {
            Stranger::Sqlite(_) => stranger.run("BEGIN IMMEDIATE").await,
            Stranger::MySql(_) => stranger.run(&self.named(&format!("LOCK TABLES {table} WRITE"))).await,
            Stranger::Postgres(_) => {
                stranger.run("BEGIN").await;
                stranger.run(&self.named(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))).await;
            }
        }
        stranger
    }

    fn named(&self, text: &str) -> String {
        if self.prefix.is_empty() { text.to_owned() } else { text.replace("tj_", &self.prefix) }
    }
}

impl Stranger {
    async fn run(&mut self, text: &str) {
        let text = AssertSqlSafe(text.to_owned());
        match self {
            Self::Sqlite(db) => db.execute(text).await.map(drop),
            Self::MySql(db) => db.execute(text).await.map(drop),
            Self::Postgres(db) => db.execute(text).await.map(drop),
        }
        .unwrap();
    }

    pub async fn close(self) {
        match self {
            Self::Sqlite(db) => db.close().await,
            Self::MySql(db) => db.close().await,
            Self::Postgres(db) => db.close().await,
        }
        .unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.prefix.is_empty() || self.borrowed {
            return;
        }
        let own = self.borrow();
        let prefix = std::mem::take(&mut self.prefix);
        let cleaned = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut stranger = own.connect().await;
                // The server may still be in the middle of something: its tables then stay behind.
                match stranger {
                    Stranger::Postgres(_) => stranger.run("SET lock_timeout = '1s'").await,
                    _ => stranger.run("SET SESSION lock_wait_timeout = 1").await,
                }
                for table in
                    ["system", "jobs", "job_state", "runs", "run_counts", "settings", "admins", "migrations"]
                {
                    stranger.run(&format!("DROP TABLE IF EXISTS {prefix}{table}")).await;
                }
            });
        });
        cleaned.join().ok();
    }
}
