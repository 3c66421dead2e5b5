//! The lock that keeps a second server of ours off a database on a server. It ends with its
//! connection, so one task keeps that connection, and makes another when it is lost. What happens in
//! between is no danger: see `Store::take_over`.

use super::server::{explain, mysql_options, postgres_options};
use super::{Server, ServerError, ServerKind};
use sqlx::{ConnectOptions, Connection, Executor, MySqlConnection, PgConnection};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// A server of ours that ended a moment ago may still hold it: the database hears of a closed connection
/// a little later.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);
/// How often the connection is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// Between two attempts to get a lost lock back.
const PAUSE: Duration = Duration::from_secs(1);
/// After so many seconds of silence the server may take us for dead.
const SILENCE_SECONDS: u32 = 60;

/// The lock, as long as it is held.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "it is held, not used")] AbortOnDropHandle<()>);

enum HeldBy {
    MySql(MySqlConnection),
    Postgres(PgConnection),
}

/// One server of ours a set of tables: two would each take the other's runs for those of a dead one.
pub async fn hold(server: &Server) -> Result<Held, ServerError> {
    let mut held = within(server, try_hold(server)).await.map_err(|e| explain(server, &e))?;
    for _ in 0..TRIES {
        if held.is_some() {
            break;
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
        held = within(server, try_hold(server)).await.map_err(|e| explain(server, &e))?;
    }
    let held = held.ok_or_else(|| ServerError {
        place: server.to_string(),
        what: "another TimerJobs server is running on this database".into(),
        mend: "stop it first, or choose another database or DATABASE_TABLE_PREFIX",
    })?;
    Ok(Held(AbortOnDropHandle::new(tokio::spawn(keep(server.clone(), held)))))
}

async fn keep(server: Server, mut held: HeldBy) {
    loop {
        while within(&server, held.ping()).await.is_ok() {
            tokio::time::sleep(LOOK).await;
        }
        tracing::warn!("the connection that locks the database is lost; it is made again");
        // The old lock may last until the server hears that its connection is gone.
        drop(held);
        held = loop {
            match within(&server, try_hold(&server)).await {
                Ok(Some(held)) => break held,
                Ok(None) => tracing::debug!("the database is still locked"),
                Err(e) => tracing::debug!("the database cannot be locked: {}", explain(&server, &e)),
            }
            tokio::time::sleep(PAUSE).await;
        };
        tracing::info!("the database is locked again");
    }
}

async fn within<T>(server: &Server, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    tokio::time::timeout(server.connect_timeout, work).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

impl HeldBy {
    async fn ping(&mut self) -> sqlx::Result<()> {
        match self {
            Self::MySql(conn) => conn.ping().await,
            Self::Postgres(conn) => conn.ping().await,
        }
    }
}

async fn try_hold(server: &Server) -> sqlx::Result<Option<HeldBy>> {
    let name = format!("{}server", server.prefix);
    Ok(match server.kind {
        ServerKind::MySql => {
            let mut conn = mysql_options(server).connect().await?;
            let silence = format!("SET SESSION wait_timeout = {SILENCE_SECONDS}");
            conn.execute(sqlx::AssertSqlSafe(silence)).await?;
            // The name is the whole server's, not the database's.
            let name = format!("{}.{name}", server.database);
            let name = name.get(name.len().saturating_sub(64)..).unwrap_or(&name);
            let locked: Option<i64> =
                sqlx::query_scalar("SELECT GET_LOCK(?, 0)").bind(name).fetch_one(&mut conn).await?;
            (locked == Some(1)).then_some(HeldBy::MySql(conn))
        }
        ServerKind::Postgres => {
            let mut conn = postgres_options(server).connect().await?;
            // The server asks the other end after 30 s of silence, six times.
            conn.execute(
                "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 6",
            )
            .await?;
            let sql = "SELECT pg_try_advisory_lock(hashtext('timerjobs'), hashtext($1))";
            let locked: bool = sqlx::query_scalar(sql).bind(name).fetch_one(&mut conn).await?;
            locked.then_some(HeldBy::Postgres(conn))
        }
    })
}
