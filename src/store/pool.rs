//! The connections to a database server. Not the SQL library's own pool: that one tries for as long as
//! it may wait when the server refuses, and then says only that it waited. Here a refusal is known at
//! once, with its cause.

use super::link::Link;
use super::server::Server;
use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, raw_sql};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// An idle connection that does not answer within this is given up: nobody may have told us that its
/// other end is gone.
const PROBE: Duration = Duration::from_secs(1);
/// A connection that was not used for so long is closed, before the server does it and complains.
const MAX_IDLE: Duration = Duration::from_secs(15);
/// One that is older is replaced.
const MAX_AGE: Duration = Duration::from_secs(1_800);
/// How often that is looked after.
const SWEEP: Duration = Duration::from_secs(5);

pub(super) type Pool<C> = managed::Pool<Manager<C>>;
pub(super) type Lease<C> = Object<Manager<C>>;

/// How a connection is made, and looked at before it is used again.
pub(super) struct Manager<C: Connection> {
    options: C::Options,
    /// The server's.
    port: u16,
    /// Run on each new connection.
    setup: String,
    link: Arc<Link>,
}

impl<C: Connection> fmt::Debug for Manager<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Manager")
    }
}

macro_rules! manages {
    ($connection:ty) => {
        impl managed::Manager for Manager<$connection> {
            type Type = $connection;
            type Error = sqlx::Error;

            async fn create(&self) -> sqlx::Result<$connection> {
                let mut conn = self.options.connect().await?;
                #[cfg(target_os = "linux")]
                super::nodelay::set(self.port);
                raw_sql(AssertSqlSafe(self.setup.clone())).execute(&mut conn).await?;
                Ok(conn)
            }

            async fn recycle(&self, conn: &mut $connection, _: &Metrics) -> RecycleResult<sqlx::Error> {
                if self.link.is_away() {
                    return Err(RecycleError::message("made before the server was away"));
                }
                let answered = tokio::time::timeout(PROBE, conn.ping()).await;
                let answered = answered.unwrap_or(Err(sqlx::Error::PoolTimedOut));
                // The others are no better, and need not be asked.
                answered.inspect_err(|_| self.link.lost()).map_err(RecycleError::Backend)
            }
        }
    };
}

manages!(MySqlConnection);
manages!(PgConnection);

/// At most `size` connections.
pub(super) fn open<C>(
    options: C::Options,
    server: &Server,
    setup: &str,
    link: &Arc<Link>,
    size: u32,
) -> Pool<C>
where
    C: Connection + 'static,
    Manager<C>: managed::Manager<Type = C, Error = sqlx::Error>,
{
    let wait = server.connect_timeout;
    let manager = Manager { options, port: server.port, setup: setup.to_owned(), link: link.clone() };
    let pool = managed::Pool::builder(manager)
        .max_size(usize::try_from(size).unwrap_or(1))
        .wait_timeout(Some(wait))
        .create_timeout(Some(wait))
        .queue_mode(QueueMode::Lifo)
        .runtime(Runtime::Tokio1)
        .build()
        .expect("a runtime is named, which is all that can be missing");
    tokio::spawn(sweep(pool.weak()));
    pool
}

pub(super) async fn get<C>(pool: &Pool<C>) -> sqlx::Result<Lease<C>>
where
    C: Connection,
    Manager<C>: managed::Manager<Type = C, Error = sqlx::Error>,
{
    // Connecting is a large future, and every statement of ours begins here.
    Box::pin(pool.get()).await.map_err(|e| match e {
        PoolError::Backend(e) => e,
        PoolError::Closed => sqlx::Error::PoolClosed,
        _ => sqlx::Error::PoolTimedOut,
    })
}

/// Says goodbye on every connection that is idle.
pub(super) async fn close<C>(pool: &Pool<C>)
where
    C: Connection,
    Manager<C>: managed::Manager<Type = C>,
{
    let idle = pool.retain(|_, _| false).removed;
    pool.close();
    say_goodbye(idle).await;
}

async fn sweep<C>(pool: managed::WeakPool<Manager<C>>)
where
    C: Connection,
    Manager<C>: managed::Manager<Type = C>,
{
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(pool) = pool.upgrade().filter(|pool| !pool.is_closed()) else { return };
        let young = |at: Metrics| at.last_used() < MAX_IDLE && at.age() < MAX_AGE;
        say_goodbye(pool.retain(|_, at| young(at)).removed).await;
    }
}

async fn say_goodbye<C: Connection>(connections: Vec<C>) {
    for conn in connections {
        // Nothing depends on it.
        tokio::time::timeout(PROBE, conn.close()).await.ok();
    }
}
