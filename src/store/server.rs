//! Connects to a database server: MySQL, MariaDB or PostgreSQL. What can be wrong with the address,
//! the account or the server's certificate becomes one line that says what to do; no line ever holds
//! the password.

#[cfg(test)]
use super::Faults;
use super::db::{Db, Pool, ServerLimits};
use super::link::Link;
use super::schema::{DONE, Done, Schema, newest_schema, refusal};
use super::sql::Dialect;
use super::{Store, chain, migrate, pool};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, Executor};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long another server of ours may take to make the tables.
const MIGRATE_WAIT_SECONDS: i64 = 60;
/// Connections that only write: readers who all wait for a slow answer do not keep the engine's commit.
const WRITERS: u32 = 2;
/// A transaction whose client is silent for so long is given up by the server, and its locks with it:
/// the client may be a connection of ours that was cut without the server hearing of it. Seconds.
const SILENCE_SECONDS: u64 = 5;

/// Which kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// MySQL or MariaDB.
    MySql,
    Postgres,
}

/// How much of the server's certificate is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    Disable,
    /// Encrypted when the server can; nothing is checked.
    #[default]
    Prefer,
    /// Encrypted; nothing is checked.
    Require,
    /// The certificate comes from a known authority.
    VerifyCa,
    /// And it is this host's.
    VerifyFull,
}

/// A database on a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    pub kind: ServerKind,
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
    pub tls: TlsMode,
    /// The authority that signed the server's certificate; `None`: the public ones.
    pub ca_file: Option<PathBuf>,
    /// Before the name of each table.
    pub prefix: String,
    /// Connections at most.
    pub pool: u32,
    pub connect_timeout: Duration,
    /// Of each statement.
    pub timeout: Duration,
}

/// Why the server cannot be used, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {what}; {mend}")]
pub struct ServerError {
    pub(super) place: String,
    pub(super) what: String,
    pub(super) mend: &'static str,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, port, database, .. } = self;
        let scheme = match self.kind {
            ServerKind::MySql => "mysql",
            ServerKind::Postgres => "postgres",
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let password = if self.password.is_empty() { "" } else { ":***" };
        write!(f, "{scheme}://{user}{password}@{host}:{port}/{database}")
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Store {
    /// Connects, and brings the tables up to date.
    pub async fn open_server(server: &Server) -> Result<Self, ServerError> {
        Self::open_server_at(server, newest_schema()).await
    }

    /// Brings the tables to this version only.
    pub async fn open_server_at(server: &Server, version: i64) -> Result<Self, ServerError> {
        let limit = server.connect_timeout + Duration::from_secs(MIGRATE_WAIT_SECONDS.unsigned_abs());
        let link = Arc::new(Link::default());
        let connected = tokio::time::timeout(limit, connect(server, version, &link)).await;
        let pools = connected.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|e| explain(server, &e))?;
        let limits = ServerLimits { timeout: server.timeout, link };
        let [read, write] = pools.map(|pool| Db::new(pool, &server.prefix, Some(limits.clone())));
        Ok(Self {
            read,
            write,
            place: server.to_string().into(),
            file: None,
            term: None,
            #[cfg(test)]
            faults: Faults::default(),
        })
    }
}

/// Whose tables the database holds; changes nothing.
pub async fn inspect_server(server: &Server) -> Result<Schema, ServerError> {
    let looked = tokio::time::timeout(server.connect_timeout, look(server)).await;
    looked.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|e| explain(server, &e))
}

async fn look(server: &Server) -> Result<Schema, sqlx::Error> {
    let table = format!("{}migrations", server.prefix);
    let there = "SELECT count(*) FROM information_schema.tables WHERE table_name = ";
    let done = sqlx::AssertSqlSafe(format!("{DONE}{table} ORDER BY version"));
    let (dialect, done): (Dialect, Vec<Done>) = match server.kind {
        ServerKind::MySql => {
            let mut conn = mysql_options(server).connect().await?;
            let there = format!("{there}? AND table_schema = database()");
            let there = sqlx::query_scalar(sqlx::AssertSqlSafe(there)).bind(&table);
            let done = match there.fetch_one(&mut conn).await? {
                0i64 => Vec::new(),
                _ => sqlx::query_as(done).fetch_all(&mut conn).await?,
            };
            (Dialect::MySql, done)
        }
        ServerKind::Postgres => {
            let mut conn = postgres_options(server).connect().await?;
            let there = format!("{there}$1 AND table_schema = current_schema()");
            let there = sqlx::query_scalar(sqlx::AssertSqlSafe(there)).bind(&table);
            let done = match there.fetch_one(&mut conn).await? {
                0i64 => Vec::new(),
                _ => sqlx::query_as(done).fetch_all(&mut conn).await?,
            };
            (Dialect::Postgres, done)
        }
    };
    Ok(Schema::of(dialect, &done))
}

/// The pool that reads and the one that writes.
async fn connect(server: &Server, version: i64, link: &Arc<Link>) -> Result<[Pool; 2], sqlx::Error> {
    let readers = server.pool.saturating_sub(WRITERS).max(1);
    Ok(match server.kind {
        ServerKind::MySql => {
            migrate_mysql(server, version).await?;
            let (options, setup) = (mysql_options(server), mysql_setup(server.timeout));
            let open = |size| pool::open(options.clone(), server, &setup, link, size);
            [Pool::MySql(open(readers)), Pool::MySql(open(WRITERS))]
        }
        ServerKind::Postgres => {
            migrate_postgres(server, version).await?;
            let (options, setup) = (postgres_options(server), postgres_setup(server.timeout));
            let open = |size| pool::open(options.clone(), server, &setup, link, size);
            [Pool::Postgres(open(readers)), Pool::Postgres(open(WRITERS))]
        }
    })
}

pub(super) fn mysql_options(server: &Server) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new()
        .host(&server.host)
        .port(server.port)
        .username(&server.user)
        .database(&server.database)
        .charset("utf8mb4")
        .ssl_mode(match server.tls {
            TlsMode::Disable => MySqlSslMode::Disabled,
            TlsMode::Prefer => MySqlSslMode::Preferred,
            TlsMode::Require => MySqlSslMode::Required,
            TlsMode::VerifyCa => MySqlSslMode::VerifyCa,
            TlsMode::VerifyFull => MySqlSslMode::VerifyIdentity,
        })
        .disable_statement_logging();
    if !server.password.is_empty() {
        options = options.password(&server.password);
    }
    if let Some(file) = &server.ca_file {
        options = options.ssl_ca(file);
    }
    options
}

async fn migrate_mysql(server: &Server, version: i64) -> Result<(), sqlx::Error> {
    let mut conn = mysql_options(server).connect().await?;
    // sqlx's own lock waits for ever on MySQL and not at all on MariaDB.
    let lock = format!("{}migrate", server.prefix);
    let locked: Option<i64> = sqlx::query_scalar("SELECT GET_LOCK(?, ?)")
        .bind(&lock)
        .bind(MIGRATE_WAIT_SECONDS)
        .fetch_one(&mut conn)
        .await?;
    if locked != Some(1) {
        return Err(sqlx::Error::Protocol("another server is still making the tables".into()));
    }
    let migrator = migrate::migrator(Dialect::MySql, &server.prefix);
    migrator.run_to(version, &mut conn).await.map_err(|e| sqlx::Error::Migrate(Box::new(e)))?;
    // Its end frees the lock.
    conn.close().await
}

fn mysql_setup(timeout: Duration) -> String {
    // Each statement sees what is committed; no locks on the gaps between rows. MySQL knows no limit
    // for silence within a transaction, only one for any.
    format!(
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
         SET SESSION innodb_lock_wait_timeout = {} \
         /*M! , SESSION idle_transaction_timeout = {SILENCE_SECONDS} */ \
         /*!50700 , SESSION wait_timeout = 30 */",
        timeout.as_secs()
    )
}

pub(super) fn postgres_options(server: &Server) -> PgConnectOptions {
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&server.host)
        .port(server.port)
        .username(&server.user)
        .database(&server.database)
        .application_name("timerjobs")
        .ssl_mode(match server.tls {
            TlsMode::Disable => PgSslMode::Disable,
            TlsMode::Prefer => PgSslMode::Prefer,
            TlsMode::Require => PgSslMode::Require,
            TlsMode::VerifyCa => PgSslMode::VerifyCa,
            TlsMode::VerifyFull => PgSslMode::VerifyFull,
        })
        .disable_statement_logging();
    if !server.password.is_empty() {
        options = options.password(&server.password);
    }
    if let Some(file) = &server.ca_file {
        options = options.ssl_root_cert(file);
    }
    options
}

async fn migrate_postgres(server: &Server, version: i64) -> Result<(), sqlx::Error> {
    let mut conn = postgres_options(server).connect().await?;
    let lock = format!("SET lock_timeout = '{MIGRATE_WAIT_SECONDS}s'");
    conn.execute(sqlx::AssertSqlSafe(lock)).await?;
    sqlx::query("SELECT pg_advisory_lock(hashtext($1))")
        .bind(format!("{}migrate", server.prefix))
        .execute(&mut conn)
        .await?;
    let migrator = migrate::migrator(Dialect::Postgres, &server.prefix);
    migrator.run_to(version, &mut conn).await.map_err(|e| sqlx::Error::Migrate(Box::new(e)))?;
    // Its end frees the lock.
    conn.close().await
}

fn postgres_setup(timeout: Duration) -> String {
    // A statement that we gave up must not go on there for long.
    format!(
        "SET statement_timeout = '{}s'; SET idle_in_transaction_session_timeout = '{SILENCE_SECONDS}s'",
        timeout.as_secs() + 1
    )
}

pub(super) fn explain(server: &Server, e: &sqlx::Error) -> ServerError {
    let text = chain(e);
    // No driver is known to repeat the password; if one did, it would not leave here.
    let masked = |text: String| match server.password.as_str() {
        "" => text,
        password => text.replace(password, "***"),
    };
    let text = masked(text);
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    let dialect = match server.kind {
        ServerKind::MySql => Dialect::MySql,
        ServerKind::Postgres => Dialect::Postgres,
    };
    let (what, mend) = if let Some(refusal) = refusal(dialect, e) {
        (masked(refusal.what), refusal.mend)
    } else if has(&["Connection refused", "os error 111"]) {
        ("nobody answers at this address".into(), "start the database server, or mend DATABASE_URL")
    } else if has(&["Access denied", "password authentication failed", "role \"", "28P01", "28000"]) {
        (format!("the server refuses this account ({text})"), "mend user, password or the account's rights")
    } else if has(&["Unknown database", "does not exist"]) {
        (
            format!("there is no such database ({text})"),
            "create it (on MySQL with CHARACTER SET utf8mb4) and give the user all rights on it",
        )
    } else if has(&["certificate", "Tls", "TLS", "tls"]) {
        (
            format!("the encrypted connection cannot be made ({text})"),
            "mend database.tls and database.ca_file",
        )
    } else if has(&["denied", "permission"]) {
        (
            format!("the account may not do what is needed ({text})"),
            "give the user all rights on this database",
        )
    } else {
        (format!("the database cannot be used ({text})"), "see the cause in brackets")
    };
    ServerError { place: server.to_string(), what, mend }
}

#[cfg(test)]
#[path = "server_test.rs"]
mod on_servers;
