//! PostgreSQL. A statement is parsed by the extended protocol, which refuses a second one, and run
//! by the simple one: its values come as the server writes them, of whatever type. The session is
//! in UTC. A run that is ended early cancels its statement on the server.

use super::rows::{Rows, blob, float};
use super::{Ask, CONNECT_TIMEOUT, Guard, as_text, too_slow, words};
use crate::domain::Text;
use futures_util::TryStreamExt;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Either, Executor, Row, SqlSafeStr, TypeInfo, ValueRef,
};
use std::time::Duration;

/// Gives the rows affected.
pub async fn run(ask: &Ask<'_>, rows: &mut Rows) -> Result<u64, Text> {
    let options: PgConnectOptions = ask.target.url.0.parse().map_err(|e| words(&e, ask))?;
    // A slow statement would be logged with all that is written in it.
    let options = options.disable_statement_logging();
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
    let mut db = connected.map_err(|_| too_slow(ask))?.map_err(|e| words(&e, ask))?;
    let pid: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut db).await.map_err(|e| words(&e, ask))?;
    let mut guard = Guard::new(db, async move {
        if let Ok(mut db) = options.connect().await {
            sqlx::query("SELECT pg_cancel_backend($1)").bind(pid).execute(&mut db).await.ok();
        }
    });
    let asked = ask_it(guard.db(), ask, rows).await;
    let (affected, db) = guard.end(asked).map_err(|e| words(&e, ask))?;
    if let Some(db) = db {
        tokio::time::timeout(Duration::from_secs(1), db.close()).await.ok();
    }
    Ok(affected)
}

/// The rows affected, and whether the answer was read to its end.
async fn ask_it(db: &mut PgConnection, ask: &Ask<'_>, rows: &mut Rows) -> sqlx::Result<(u64, bool)> {
    sqlx::raw_sql(if ask.write { "BEGIN" } else { "BEGIN READ ONLY" }).execute(&mut *db).await?;
    (&mut *db).prepare(AssertSqlSafe(ask.sql.clone()).into_sql_str()).await?;
    let mut sql = ask.sql.clone();
    if !ask.values.is_empty() {
        // Values of no type of their own take the types of their places.
        sqlx::raw_sql(AssertSqlSafe(format!("PREPARE timerjobs AS {sql}"))).execute(&mut *db).await?;
        let values: Vec<_> = ask.values.iter().map(literal).collect();
        sql = format!("EXECUTE timerjobs({})", values.join(", "));
    }
    let mut affected = 0;
    let mut stream = (&mut *db).fetch_many(sqlx::raw_sql(AssertSqlSafe(sql)));
    while let Some(step) = stream.try_next().await? {
        match step {
            Either::Left(done) => affected += done.rows_affected(),
            Either::Right(row) => {
                let columns = row.columns().iter().enumerate();
                let more = rows.push(columns.map(|(at, column)| (column.name(), value(&row, at))));
                if !more && !ask.write {
                    // The rest may be millions of rows: they are not read, the connection ends.
                    return Ok((0, false));
                }
            }
        }
    }
    drop(stream);
    sqlx::raw_sql(if ask.write { "COMMIT" } else { "ROLLBACK" }).execute(db).await?;
    Ok((affected, true))
}

/// A quoted literal, which is safe under every setting of the server.
fn literal(value: &Value) -> String {
    if value.is_null() {
        return "NULL".into();
    }
    let text = as_text(value).replace('\'', "''").replace('\0', "");
    if text.contains('\\') { format!("E'{}'", text.replace('\\', "\\\\")) } else { format!("'{text}'") }
}

fn value(row: &PgRow, at: usize) -> Value {
    let Ok(raw) = row.try_get_raw(at) else { return Value::Null };
    if raw.is_null() {
        return Value::Null;
    }
    let Ok(text) = raw.as_str() else { return blob(raw.as_bytes().unwrap_or_default()) };
    match raw.type_info().name() {
        "BOOL" => Value::from(text == "t"),
        "INT2" | "INT4" | "INT8" | "OID" => {
            text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
        }
        "FLOAT4" | "FLOAT8" => text.parse().map_or_else(|_| Value::from(text), float),
        "TIMESTAMP" | "TIMESTAMPTZ" => Value::from(text.replacen(' ', "T", 1)),
        "BYTEA" => hex(text).map_or_else(|| Value::from(text), |bytes| blob(&bytes)),
        _ => Value::from(text),
    }
}

/// `\x0aff` as bytes.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()).collect()
}
