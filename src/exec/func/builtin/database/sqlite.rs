//! SQLite files. What a statement may do is SQLite's own word (`confine`), not our reading of the text.
//! A query opens the file read-only; our own database is refused whatever path leads
//! to it. A run that is ended early interrupts the statement at once.

use super::super::sqlite::{NotOne, confine, release};
use super::rows::{Rows, blob, float};
use super::{Ask, Call, as_text, too_slow, words};
use crate::domain::Text;
use futures_util::TryStreamExt;
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Either, Executor, Row, TypeInfo, ValueRef};
use std::path::Path;
use std::time::Duration;

/// How long a statement waits for a lock of another program.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Steps of SQLite's machine between two looks at the stop.
const PROGRESS_OPS: i32 = 10_000;

/// Gives the rows affected.
pub async fn run(ask: &Ask<'_>, rows: &mut Rows, call: &Call<'_>) -> Result<u64, Text> {
    let path = Path::new(&ask.target.url.0);
    if same_file(path, &call.settings.own_database) {
        return Err(Text::new(
            "该连接是本服务自己的数据库，已拒绝；请在 functions.databases 中配置其他文件",
            "this connection is the server's own database and is refused; name another file in functions.databases",
        ));
    }
    let mut options =
        SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT).read_only(!ask.write);
    if !ask.write {
        options = options.pragma("query_only", "ON");
    }
    // A slow statement would be logged with all that is written in it.
    let options = options.disable_statement_logging();
    let connected = tokio::time::timeout(super::CONNECT_TIMEOUT, options.connect()).await;
    let mut db = connected.map_err(|_| too_slow(ask))?.map_err(|e| words(&e, ask))?;
    // Cancelled with the run, and when this future is dropped.
    let stop = call.ctx.cancel.child_token();
    let _told = stop.clone().drop_guard();
    let mut handle = db.lock_handle().await.map_err(|e| words(&e, ask))?;
    handle.set_progress_handler(PROGRESS_OPS, move || !stop.is_cancelled());
    drop(handle);
    let done = ask_it(&mut db, ask, rows).await;
    if done.is_ok() {
        db.close().await.ok();
    }
    done
}

async fn ask_it(db: &mut SqliteConnection, ask: &Ask<'_>, rows: &mut Rows) -> Result<u64, Text> {
    let failed = |e: sqlx::Error| words(&e, ask);
    let mut tx = db.begin_with(if ask.write { "BEGIN IMMEDIATE" } else { "BEGIN" }).await.map_err(failed)?;
    let mut handle = tx.lock_handle().await.map_err(failed)?;
    // SAFETY: while the handle is locked nobody else uses the connection.
    let checked = unsafe { confine(handle.as_raw_handle().as_ptr(), &ask.sql) };
    drop(handle);
    checked.map_err(refused)?;
    let done = steps(&mut tx, ask, rows).await.map_err(failed);
    let mut handle = tx.lock_handle().await.map_err(failed)?;
    // SAFETY: as above.
    unsafe { release(handle.as_raw_handle().as_ptr()) };
    drop(handle);
    let affected = done?.ok_or_else(|| {
        Text::new("语句没有执行完，原因不明", "the statement did not run to its end; nobody says why")
    })?;
    if ask.write {
        tx.commit().await.map_err(failed)?;
    }
    Ok(affected)
}

/// The words of the text guard, for what only SQLite itself sees.
fn refused(why: NotOne) -> Text {
    match why {
        NotOne::Several => Text::new("只能执行一条语句", "only one statement is run at a time"),
        NotOne::Variable(name) => Text::new(
            format!("参数名 {name} 不可用，请写 ? 或 $1、$2"),
            format!("the variable {name} cannot be bound; write ? or $1, $2"),
        ),
        NotOne::Refused(said) => {
            Text::new(format!("SQLite 拒绝该语句：{said}"), format!("SQLite says: {said}"))
        }
    }
}

/// The rows affected; `None`: SQLite ended without saying that it was done.
async fn steps(tx: &mut SqliteConnection, ask: &Ask<'_>, rows: &mut Rows) -> sqlx::Result<Option<u64>> {
    let mut query = sqlx::query(AssertSqlSafe(ask.sql.clone()));
    for value in &ask.values {
        query = match value {
            Value::Null => query.bind(None::<String>),
            Value::Bool(b) => query.bind(*b),
            Value::Number(n) if n.is_i64() => query.bind(n.as_i64()),
            Value::Number(n) => query.bind(n.as_f64()),
            text => query.bind(as_text(text)),
        };
    }
    let mut affected = None;
    let mut stream = tx.fetch_many(query);
    while let Some(step) = stream.try_next().await? {
        match step {
            Either::Left(done) => affected = Some(affected.unwrap_or(0) + done.rows_affected()),
            Either::Right(row) => {
                let columns = row.columns().iter().enumerate();
                let more = rows.push(columns.map(|(at, column)| (column.name(), value(&row, at))));
                if !more && !ask.write {
                    affected = Some(0);
                    break;
                }
            }
        }
    }
    Ok(affected)
}

/// By what the value is, not by what the column was declared as.
fn value(row: &SqliteRow, at: usize) -> Value {
    let Ok(raw) = row.try_get_raw(at) else { return Value::Null };
    if raw.is_null() {
        return Value::Null;
    }
    let kind = raw.type_info().name().to_owned();
    let bytes = || blob(row.try_get_unchecked::<&[u8], _>(at).unwrap_or_default());
    match kind.as_str() {
        "INTEGER" => row.try_get_unchecked::<i64, _>(at).map_or(Value::Null, Value::from),
        "REAL" => row.try_get_unchecked::<f64, _>(at).map_or(Value::Null, float),
        "TEXT" => row.try_get_unchecked::<String, _>(at).map_or_else(|_| bytes(), Value::from),
        _ => bytes(),
    }
}

/// Whether two paths lead to one file, through whatever links.
fn same_file(path: &Path, own: &Path) -> bool {
    if own.as_os_str().is_empty() {
        return false;
    }
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (path.metadata(), own.metadata()) {
        use std::os::unix::fs::MetadataExt;
        return (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    path == own || path.canonicalize().ok().is_some_and(|path| own.canonicalize().ok() == Some(path))
}
