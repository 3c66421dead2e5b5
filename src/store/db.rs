//! A pool of connections to one of the databases, and the one way in which statements reach it.
//! What was interrupted (a timeout, an error within a transaction, a task that was dropped) is never
//! used again: the connection is closed, which is a rollback on every database.

use super::link::{FIRST_PATIENCE, Link, breaks};
use super::sql::{Arg, Dialect, Sql};
use super::{Error, Result, pool};
use deadpool::managed::Object;
use futures_util::TryStreamExt;
use sqlx::database::HasStatementCache;
use sqlx::mysql::{MySql, MySqlConnection, MySqlRow};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteConnection, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Database, Either, Encode, Executor, FromRow, IntoArguments, Type};
use std::sync::Arc;
use std::time::Duration;

/// What is read of a row, whichever database it comes from.
pub(super) trait Record:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, MySqlRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Record for T where
    T: for<'r> FromRow<'r, SqliteRow>
        + for<'r> FromRow<'r, MySqlRow>
        + for<'r> FromRow<'r, PgRow>
        + Send
        + Unpin
{
}

#[derive(Clone, Debug)]
pub(super) enum Pool {
    Sqlite(sqlx::SqlitePool),
    MySql(pool::Pool<MySqlConnection>),
    Postgres(pool::Pool<PgConnection>),
}

/// A pool with what every statement needs to know.
#[derive(Clone, Debug)]
pub(super) struct Db {
    pool: Pool,
    /// Before each table's name.
    prefix: Arc<str>,
    /// `None`: a file, whose statements take as long as they take.
    server: Option<ServerLimits>,
}

/// What bounds the waiting for a database server.
#[derive(Clone, Debug)]
pub(super) struct ServerLimits {
    /// Of each statement.
    pub timeout: Duration,
    pub link: Arc<Link>,
}

enum Lease {
    Sqlite(PoolConnection<Sqlite>),
    MySql(pool::Lease<MySqlConnection>),
    Postgres(pool::Lease<PgConnection>),
}

/// A connection, and the transaction on it once `begin` was called.
pub(super) struct Conn {
    lease: Option<Lease>,
    db: Db,
    /// Of each statement, on a server.
    limit: Duration,
    /// A statement is under way, or a transaction is open.
    dirty: bool,
    in_transaction: bool,
}

impl Db {
    pub fn new(pool: Pool, prefix: &str, server: Option<ServerLimits>) -> Self {
        Self { pool, prefix: prefix.into(), server }
    }

    pub fn dialect(&self) -> Dialect {
        match self.pool {
            Pool::Sqlite(_) => Dialect::Sqlite,
            Pool::MySql(_) => Dialect::MySql,
            Pool::Postgres(_) => Dialect::Postgres,
        }
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A connection. Where the server was away a moment ago nobody waits long for one.
    pub async fn conn(&self) -> Result<Conn> {
        let Some(server) = &self.server else { return self.acquire(Duration::MAX).await };
        let wait = if server.link.is_away() { FIRST_PATIENCE } else { Duration::MAX };
        let mut conn = self.acquire(wait).await?;
        conn.limit = server.timeout;
        Ok(conn)
    }

    /// A connection whose statements each answer within `limit`, or within what the settings allow when
    /// that is less; on a server.
    pub async fn conn_within(&self, limit: Duration) -> Result<Conn> {
        self.acquire(self.server.as_ref().map_or(limit, |server| limit.min(server.timeout))).await
    }

    async fn acquire(&self, limit: Duration) -> Result<Conn> {
        let acquire = async {
            Ok(match &self.pool {
                Pool::Sqlite(pool) => Lease::Sqlite(pool.acquire().await?),
                Pool::MySql(pool) => Lease::MySql(pool::get(pool).await?),
                Pool::Postgres(pool) => Lease::Postgres(pool::get(pool).await?),
            })
        };
        let lease = self.bounded(limit, acquire).await?;
        Ok(Conn { lease: Some(lease), db: self.clone(), limit, dirty: false, in_transaction: false })
    }

    /// Waits for a server at most so long, and takes note of how it ended.
    async fn bounded<T>(&self, limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
        let Some(server) = &self.server else { return Ok(work.await?) };
        let done = match tokio::time::timeout(limit, work).await {
            Ok(done) => done.map_err(Error::Database),
            Err(_) => Err(Error::TimedOut(limit.as_secs())),
        };
        server.link.note(&done);
        done
    }

    /// The limits of a server; `None`: it is a file.
    pub fn server(&self) -> Option<&ServerLimits> {
        self.server.as_ref()
    }

    /// A transaction; it holds the write lock from its start where there is one for all.
    pub async fn begin(&self) -> Result<Conn> {
        self.conn().await?.begin().await
    }

    pub async fn fetch<T: Record>(&self, sql: &Sql) -> Result<Vec<T>> {
        self.conn().await?.fetch(sql).await
    }

    /// The first row, if there is one.
    pub async fn first<T: Record>(&self, sql: &Sql) -> Result<Option<T>> {
        Ok(self.fetch(sql).await?.into_iter().next())
    }

    /// The one number that the statement asks for.
    pub async fn number(&self, sql: &Sql) -> Result<i64> {
        self.conn().await?.number(sql).await
    }

    pub async fn execute(&self, sql: &Sql) -> Result<u64> {
        self.conn().await?.execute(sql).await
    }

    pub async fn close(&self) {
        match &self.pool {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::MySql(pool) => pool::close(pool).await,
            Pool::Postgres(pool) => pool::close(pool).await,
        }
    }
}

impl Conn {
    pub fn dialect(&self) -> Dialect {
        self.db.dialect()
    }

    /// Opens a transaction on it.
    pub async fn begin(mut self) -> Result<Self> {
        let begin = if self.dialect() == Dialect::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        self.command(begin).await?;
        self.in_transaction = true;
        Ok(self)
    }

    pub async fn fetch<T: Record>(&mut self, sql: &Sql) -> Result<Vec<T>> {
        let text = sql.finished(self.dialect(), &self.db.prefix);
        self.run(async |lease| match lease {
            Lease::Sqlite(conn) => fetch::<Sqlite, T>(conn, text, sql).await,
            Lease::MySql(conn) => fetch::<MySql, T>(conn, text, sql).await,
            Lease::Postgres(conn) => fetch::<Postgres, T>(conn, text, sql).await,
        })
        .await
    }

    pub async fn number(&mut self, sql: &Sql) -> Result<i64> {
        let rows: Vec<(i64,)> = self.fetch(sql).await?;
        Ok(rows.first().map_or(0, |(n,)| *n))
    }

    /// How many rows it changed.
    pub async fn execute(&mut self, sql: &Sql) -> Result<u64> {
        let text = sql.finished(self.dialect(), &self.db.prefix);
        self.run(async |lease| match lease {
            Lease::Sqlite(conn) => Ok(execute::<Sqlite>(conn, text, sql).await?.rows_affected()),
            Lease::MySql(conn) => Ok(execute::<MySql>(conn, text, sql).await?.rows_affected()),
            Lease::Postgres(conn) => Ok(execute::<Postgres>(conn, text, sql).await?.rows_affected()),
        })
        .await
    }

    pub async fn execute_all(&mut self, statements: &[Sql]) -> Result<()> {
        for sql in statements {
            self.execute(sql).await?;
        }
        Ok(())
    }

    /// Inserts a row whose id the database makes up; `None`: the unique column `unique` has that value.
    pub async fn insert(&mut self, mut sql: Sql, unique: &str) -> Result<Option<i64>> {
        if self.dialect() != Dialect::MySql {
            sql.push(&format!(" ON CONFLICT ({unique}) DO NOTHING RETURNING id"));
            let ids: Vec<(i64,)> = self.fetch(&sql).await?;
            return Ok(ids.first().map(|(id,)| *id));
        }
        let text = sql.finished(self.dialect(), &self.db.prefix);
        let done = self.run(async |lease| match lease {
            Lease::MySql(conn) => match execute::<MySql>(conn, text, &sql).await {
                Ok(done) => Ok(i64::try_from(done.last_insert_id()).ok()),
                Err(sqlx::Error::Database(e)) if e.is_unique_violation() => Ok(None),
                Err(e) => Err(e),
            },
            _ => Ok(None),
        });
        done.await
    }

    /// Opens a transaction of these statements on an SQLite file, all in one message to the connection's
    /// thread; how many rows each has changed.
    pub async fn transact(mut self, statements: Vec<Sql>) -> Result<(Self, Vec<u64>)> {
        let texts = statements.iter().map(|sql| sql.finished(Dialect::Sqlite, &self.db.prefix));
        let text = std::iter::once("BEGIN IMMEDIATE".to_owned()).chain(texts).collect::<Vec<_>>().join("; ");
        let keep = statements.iter().all(|sql| sql.keep);
        // A turn may hold megabytes of output: it is handed on, not copied.
        let args = statements.into_iter().flat_map(|sql| sql.args);
        self.in_transaction = true;
        let changed = self.run(async |lease| match lease {
            Lease::Sqlite(conn) => each_changed(conn, text, args, keep).await,
            _ => Err(sqlx::Error::Protocol("only SQLite takes several statements at once".into())),
        });
        let changed = changed.await?;
        // What BEGIN says is what the statement before it has changed.
        Ok((self, changed.into_iter().skip(1).collect()))
    }

    pub async fn rollback(mut self) -> Result<()> {
        self.command("ROLLBACK").await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Makes the transaction durable. After an error nobody knows whether it is.
    pub async fn commit(mut self) -> Result<()> {
        self.command("COMMIT").await?;
        self.in_transaction = false;
        Ok(())
    }

    /// A statement that cannot be prepared.
    async fn command(&mut self, text: &'static str) -> Result<()> {
        self.run(async |lease| match lease {
            Lease::Sqlite(conn) => conn.execute(text).await.map(drop),
            Lease::MySql(conn) => conn.as_mut().execute(text).await.map(drop),
            Lease::Postgres(conn) => conn.as_mut().execute(text).await.map(drop),
        })
        .await
    }

    /// Every statement passes here: it is timed, and a connection that did not finish is not used again.
    async fn run<T>(&mut self, work: impl AsyncFnOnce(&mut Lease) -> sqlx::Result<T>) -> Result<T> {
        let Some(lease) = &mut self.lease else { return Err(Error::Database(sqlx::Error::PoolClosed)) };
        self.dirty = true;
        let done = self.db.bounded(self.limit, work(lease)).await;
        // A refusal by the database leaves the connection in order; in doubt it is closed.
        self.dirty = done.as_ref().is_err_and(breaks);
        done
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if self.dirty || self.in_transaction {
            // Without a word to the server, which may be gone: the place in the pool is free at once.
            match self.lease.take() {
                Some(Lease::Sqlite(conn)) => drop(conn.detach()),
                Some(Lease::MySql(conn)) => drop(Object::take(conn)),
                Some(Lease::Postgres(conn)) => drop(Object::take(conn)),
                None => {}
            }
        }
    }
}

async fn fetch<DB, T>(conn: &mut DB::Connection, text: String, sql: &Sql) -> sqlx::Result<Vec<T>>
where
    DB: Database + HasStatementCache,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    DB::Arguments: IntoArguments<DB>,
    Option<i64>: for<'t> Encode<'t, DB> + Type<DB>,
    Option<String>: for<'t> Encode<'t, DB> + Type<DB>,
    bool: for<'t> Encode<'t, DB> + Type<DB>,
    T: for<'r> FromRow<'r, DB::Row> + Send + Unpin,
{
    let arguments = arguments::<DB>(sql.args.iter().cloned())?;
    sqlx::query_as_with::<DB, T, _>(AssertSqlSafe(text), arguments).persistent(sql.keep).fetch_all(conn).await
}

async fn each_changed(
    conn: &mut SqliteConnection,
    text: String,
    args: impl Iterator<Item = Arg>,
    keep: bool,
) -> sqlx::Result<Vec<u64>> {
    let query =
        sqlx::query_with::<Sqlite, _>(AssertSqlSafe(text), arguments::<Sqlite>(args)?).persistent(keep);
    let mut steps = conn.fetch_many(query);
    let mut changed = Vec::new();
    while let Some(step) = steps.try_next().await? {
        if let Either::Left(done) = step {
            changed.push(done.rows_affected());
        }
    }
    Ok(changed)
}

async fn execute<DB>(conn: &mut DB::Connection, text: String, sql: &Sql) -> sqlx::Result<DB::QueryResult>
where
    DB: Database + HasStatementCache,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    DB::Arguments: IntoArguments<DB>,
    Option<i64>: for<'t> Encode<'t, DB> + Type<DB>,
    Option<String>: for<'t> Encode<'t, DB> + Type<DB>,
    bool: for<'t> Encode<'t, DB> + Type<DB>,
{
    let arguments = arguments::<DB>(sql.args.iter().cloned())?;
    sqlx::query_with::<DB, _>(AssertSqlSafe(text), arguments).persistent(sql.keep).execute(conn).await
}

fn arguments<DB>(args: impl Iterator<Item = Arg>) -> sqlx::Result<DB::Arguments>
where
    DB: Database + HasStatementCache,
    Option<i64>: for<'t> Encode<'t, DB> + Type<DB>,
    Option<String>: for<'t> Encode<'t, DB> + Type<DB>,
    bool: for<'t> Encode<'t, DB> + Type<DB>,
{
    let mut out = DB::Arguments::default();
    for arg in args {
        let added = match arg {
            Arg::Int(n) => out.add(n),
            Arg::Text(Some(s)) if DB::NAME == Postgres::NAME && s.contains('\0') => {
                out.add(Some(s.replace('\0', "\u{fffd}")))
            }
            Arg::Text(s) => out.add(s),
            Arg::Bool(b) => out.add(b),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(out)
}
