//! Connects to a database server: MySQL, MariaDB or PostgreSQL. What can be wrong with the address,
//! the account or the server's certificate becomes one line that says what to do; no line ever holds
//! the password.

use super::db::{Db, Pool};
use super::schema::{DONE, Done, Schema, newest_schema, refusal};
use super::sql::Dialect;
use super::{Store, chain, migrate};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlSslMode};
use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, Database, Executor};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How long another server of ours may take to make the tables.
const MIGRATE_WAIT_SECONDS: i64 = 60;
/// An idle connection is looked at before use; one that is older than this is replaced.
const MAX_LIFETIME: Duration = Duration::from_secs(1_800);
/// An idle connection that does not answer within this is given up: nobody may have told us that its
/// other end is gone.
const PROBE: Duration = Duration::from_secs(1);

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
    place: String,
    what: String,
    mend: &'static str,
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
        let connected = tokio::time::timeout(limit, connect(server, version)).await;
        let pool = connected.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|e| explain(server, &e))?;
        let db = Db::new(pool, &server.prefix, Some(server.timeout));
        Ok(Self { read: db.clone(), write: db, place: server.to_string().into(), file: None })
    }
}

/// A lock on the server that ends with its connection.
pub struct Held(#[expect(dead_code, reason = "it is held, not used")] HeldBy);

#[expect(dead_code, reason = "held, not used")]
enum HeldBy {
    MySql(sqlx::MySqlConnection),
    Postgres(sqlx::PgConnection),
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

/// One server of ours a set of tables: two would each take the other's runs for those of a dead one.
pub async fn hold(server: &Server) -> Result<Held, ServerError> {
    let held = tokio::time::timeout(server.connect_timeout, try_hold(server)).await;
    let held = held.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(|e| explain(server, &e))?;
    held.map(Held).ok_or_else(|| ServerError {
        place: server.to_string(),
        what: "another TimerJobs server is running on this database".into(),
        mend: "stop it first, or choose another database or DATABASE_TABLE_PREFIX",
    })
}

async fn try_hold(server: &Server) -> Result<Option<HeldBy>, sqlx::Error> {
    let name = format!("{}server", server.prefix);
    Ok(match server.kind {
        ServerKind::MySql => {
            let mut conn = mysql_options(server).connect().await?;
            // An idle connection would be closed after eight hours, and the lock with it.
            conn.execute("SET SESSION wait_timeout = 31536000").await?;
            // The name is the whole server's, not the database's.
            let name = format!("{}.{name}", server.database);
            let name = name.get(name.len().saturating_sub(64)..).unwrap_or(&name);
            let locked: Option<i64> =
                sqlx::query_scalar("SELECT GET_LOCK(?, 0)").bind(name).fetch_one(&mut conn).await?;
            (locked == Some(1)).then_some(HeldBy::MySql(conn))
        }
        ServerKind::Postgres => {
            let mut conn = postgres_options(server).connect().await?;
            let sql = "SELECT pg_try_advisory_lock(hashtext('timerjobs'), hashtext($1))";
            let locked: bool = sqlx::query_scalar(sql).bind(name).fetch_one(&mut conn).await?;
            locked.then_some(HeldBy::Postgres(conn))
        }
    })
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

async fn connect(server: &Server, version: i64) -> Result<Pool, sqlx::Error> {
    match server.kind {
        ServerKind::MySql => connect_mysql(server, version).await.map(Pool::MySql),
        ServerKind::Postgres => connect_postgres(server, version).await.map(Pool::Postgres),
    }
}

fn pool<DB: Database>(server: &Server) -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(server.pool)
        .acquire_timeout(server.connect_timeout)
        .max_lifetime(MAX_LIFETIME)
        .test_before_acquire(false)
        .before_acquire(|conn: &mut DB::Connection, _| {
            Box::pin(async move {
                let answered = tokio::time::timeout(PROBE, conn.ping()).await;
                answered.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(|()| true)
            })
        })
}

fn mysql_options(server: &Server) -> MySqlConnectOptions {
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

async fn connect_mysql(server: &Server, version: i64) -> Result<sqlx::MySqlPool, sqlx::Error> {
    let options = mysql_options(server);
    let mut conn = options.connect().await?;
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
    conn.close().await?;
    let pool: MySqlPoolOptions = pool(server);
    // Each statement sees what is committed; no locks on the gaps between rows.
    let pool = pool.after_connect(|conn, _| {
        Box::pin(async move {
            conn.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await.map(drop)
        })
    });
    pool.connect_with(options).await
}

fn postgres_options(server: &Server) -> PgConnectOptions {
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

async fn connect_postgres(server: &Server, version: i64) -> Result<sqlx::PgPool, sqlx::Error> {
    let options = postgres_options(server);
    let mut conn = options.connect().await?;
    let lock = format!("SET lock_timeout = '{MIGRATE_WAIT_SECONDS}s'");
    conn.execute(sqlx::AssertSqlSafe(lock)).await?;
    sqlx::query("SELECT pg_advisory_lock(hashtext($1))")
        .bind(format!("{}migrate", server.prefix))
        .execute(&mut conn)
        .await?;
    let migrator = migrate::migrator(Dialect::Postgres, &server.prefix);
    migrator.run_to(version, &mut conn).await.map_err(|e| sqlx::Error::Migrate(Box::new(e)))?;
    // Its end frees the lock.
    conn.close().await?;
    let pool: PgPoolOptions = pool(server);
    pool.connect_with(options).await
}

fn explain(server: &Server, e: &sqlx::Error) -> ServerError {
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
mod tests {
    use super::*;
    use crate::store::testing::server;

    #[tokio::test]
    async fn a_database_has_one_server_at_a_time() {
        for kind in [ServerKind::MySql, ServerKind::Postgres] {
            let (one, other) = (server(kind), server(kind));
            let held = hold(&one).await.unwrap();
            let refused = hold(&one).await.unwrap_err().to_string();
            assert!(
                refused.contains("another TimerJobs server is running on this database; stop it"),
                "{refused}"
            );
            // Other tables are another installation.
            hold(&other).await.unwrap();
            drop(held);
            // The server hears of the closed connection a moment later.
            while hold(&one).await.is_err() {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_server_is_told_in_one_line_without_the_password() {
        for kind in [ServerKind::MySql, ServerKind::Postgres] {
            let right = server(kind);
            let (user, password) = ("nobody".to_owned(), "s3cret".to_owned());
            for (wrong, part) in [
                (Server { port: 1, ..right.clone() }, "nobody answers"),
                (Server { database: "tj_missing".into(), ..right.clone() }, "no such database"),
                (Server { user: user.clone(), password: password.clone(), ..right.clone() }, "account"),
                (Server { tls: TlsMode::VerifyFull, ..right.clone() }, "encrypted connection"),
            ] {
                // PostgreSQL on this machine trusts whoever comes: an unknown role is refused all the same.
                let line = Store::open_server(&wrong).await.unwrap_err().to_string();
                assert!(line.contains(part) || line.contains("cannot be"), "{kind:?} {part}: {line}");
                assert!(!line.contains("s3cret") && line.lines().count() == 1, "{line}");
            }
        }
    }
}
