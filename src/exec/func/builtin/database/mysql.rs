//! MySQL and MariaDB, by prepared statements, so that the server refuses a second one. Zone and SQL
//! mode stay the server's. A run that is ended early kills its connection on the server.

use super::rows::{Rows, blob, float};
use super::{Ask, CONNECT_TIMEOUT, Guard, as_text, too_slow, words};
use crate::domain::Text;
use futures_util::TryStreamExt;
use serde_json::Value;
use sqlx::mysql::{MySql, MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Decode, Either, Executor, Row, TypeInfo, ValueRef,
};
use std::time::Duration;

/// Gives the rows affected.
pub async fn run(ask: &Ask<'_>, rows: &mut Rows) -> Result<u64, Text> {
    let options: MySqlConnectOptions = ask.target.url.0.parse().map_err(|e| words(&e, ask))?;
    let options = options.timezone(None).pipes_as_concat(false).no_engine_substitution(false);
    // A slow statement would be logged with all that is written in it.
    let options = options.disable_statement_logging();
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await;
    let mut db = connected.map_err(|_| too_slow(ask))?.map_err(|e| words(&e, ask))?;
    let id: u64 =
        sqlx::query_scalar("SELECT CONNECTION_ID()").fetch_one(&mut db).await.map_err(|e| words(&e, ask))?;
    let mut guard = Guard::new(db, async move {
        if let Ok(mut db) = options.connect().await {
            sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(&mut db).await.ok();
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
async fn ask_it(db: &mut MySqlConnection, ask: &Ask<'_>, rows: &mut Rows) -> sqlx::Result<(u64, bool)> {
    let begin = if ask.write { "START TRANSACTION" } else { "START TRANSACTION READ ONLY" };
    sqlx::raw_sql(begin).execute(&mut *db).await?;
    let mut query = sqlx::query(AssertSqlSafe(ask.sql.clone())).persistent(false);
    for value in &ask.values {
        query = match value {
            Value::Null => query.bind(None::<String>),
            Value::Bool(b) => query.bind(*b),
            Value::Number(n) if n.is_i64() => query.bind(n.as_i64()),
            Value::Number(n) if n.is_u64() => query.bind(n.as_u64()),
            Value::Number(n) => query.bind(n.as_f64()),
            text => query.bind(as_text(text)),
        };
    }
    let mut affected = 0;
    let mut stream = (&mut *db).fetch_many(query);
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

fn value(row: &MySqlRow, at: usize) -> Value {
    let Ok(raw) = row.try_get_raw(at) else { return Value::Null };
    // A zero date, 0000-00-00, is null.
    if raw.is_null() {
        return Value::Null;
    }
    let kind = raw.type_info().name().to_owned();
    let bytes = <&[u8] as Decode<MySql>>::decode(raw).unwrap_or_default();
    let text = || std::str::from_utf8(bytes).map_or_else(|_| blob(bytes), Value::from);
    match kind.as_str() {
        "BOOLEAN" => match row.try_get_unchecked::<i64, _>(at) {
            // TINYINT(1) is how MySQL writes a boolean; it may hold more.
            Ok(n @ (0 | 1)) => Value::from(n == 1),
            n => n.map_or(Value::Null, Value::from),
        },
        "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => {
            row.try_get_unchecked::<i64, _>(at).map_or(Value::Null, Value::from)
        }
        "FLOAT" => {
            // Through text: 0.1 as a short float is not 0.10000000149.
            row.try_get_unchecked::<f32, _>(at)
                .map_or(Value::Null, |n| float(n.to_string().parse().unwrap_or_default()))
        }
        "DOUBLE" => row.try_get_unchecked::<f64, _>(at).map_or(Value::Null, float),
        "YEAR" | "BIT" => row.try_get_unchecked::<u64, _>(at).map_or(Value::Null, Value::from),
        kind if kind.ends_with("UNSIGNED") => {
            row.try_get_unchecked::<u64, _>(at).map_or(Value::Null, Value::from)
        }
        "DATE" => instant(bytes).map_or_else(|| blob(bytes), Value::from),
        "DATETIME" | "TIMESTAMP" => match instant(bytes) {
            // Midnight is not sent.
            Some(day) if !day.contains('T') => Value::from(day + "T00:00:00"),
            at => at.map_or_else(|| blob(bytes), Value::from),
        },
        "TIME" => time(bytes).map_or_else(|| blob(bytes), Value::from),
        "BLOB" | "TINYBLOB" | "MEDIUMBLOB" | "LONGBLOB" | "BINARY" | "VARBINARY" | "GEOMETRY" => blob(bytes),
        _ => text(),
    }
}

/// A date in the binary protocol: length, year, month, day, and the time when it is not midnight.
fn instant(bytes: &[u8]) -> Option<String> {
    let [len, y0, y1, month, day, time @ ..] = bytes else { return None };
    let year = u16::from_le_bytes([*y0, *y1]);
    let date = format!("{year:04}-{month:02}-{day:02}");
    match (len, time) {
        (4, _) => Some(date),
        (_, [hour, minute, second, micros @ ..]) => {
            Some(format!("{date}T{hour:02}:{minute:02}:{second:02}{}", fraction(micros)))
        }
        _ => None,
    }
}

/// A time in the binary protocol: length, sign, days, hours, minutes, seconds.
fn time(bytes: &[u8]) -> Option<String> {
    match bytes {
        [0, ..] => Some("00:00:00".into()),
        [_, negative, d0, d1, d2, d3, hour, minute, second, micros @ ..] => {
            let hours = u64::from(u32::from_le_bytes([*d0, *d1, *d2, *d3])) * 24 + u64::from(*hour);
            let sign = if *negative == 1 { "-" } else { "" };
            Some(format!("{sign}{hours:02}:{minute:02}:{second:02}{}", fraction(micros)))
        }
        _ => None,
    }
}

fn fraction(micros: &[u8]) -> String {
    match micros {
        [a, b, c, d, ..] => format!(".{:06}", u32::from_le_bytes([*a, *b, *c, *d])),
        _ => String::new(),
    }
}
