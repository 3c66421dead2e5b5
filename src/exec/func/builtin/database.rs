//! `Database`: one statement on a connection of the settings; rows come back as JSON. What may not
//! be asked is `database/guard.rs`, the servers are `database/{sqlite,mysql,postgres}.rs`: with
//! `store` the only home of the SQL library, here as a client of other people's databases.

mod guard;
mod mysql;
mod postgres;
mod rows;
mod sqlite;

use super::{Builtin, Call, Output, Param, Words, Work};
use crate::domain::Text;
use crate::domain::service::{Database, DatabaseKind};
use crate::exec::http::Http;
use futures_util::future::BoxFuture;
use rows::Rows;
use serde_json::Value;
use std::time::Duration;

pub const BUILTIN: Builtin = Builtin {
    name: "Database",
    description: Words {
        zh: "在 functions.databases 的连接上执行一条 SQL（sqlite、mysql、postgres）",
        en: "Runs one SQL statement on a connection of functions.databases (sqlite, mysql, postgres)",
    },
    params: &[
        Param {
            name: "op",
            about: Words {
                zh: "query（只读）或 execute（成功才提交）；query@名称 指定连接，省略为第一个",
                en: "query (read only) or execute (committed when it succeeds); query@name names the \
                     connection, else it is the first",
            },
            required: true,
        },
        Param {
            name: "sql",
            about: Words {
                zh: "一条语句：第一个逗号之后的全部文字",
                en: "one statement: all text after the first comma",
            },
            required: true,
        },
        Param {
            name: "values",
            about: Words {
                zh: "仅 JSON 形式：第三项为绑定参数的数组（? 或 PostgreSQL 的 $1）",
                en: "JSON form only: the third item is an array of values for ? (PostgreSQL: $1)",
            },
            required: false,
        },
    ],
    example: "Database query,SELECT * FROM users",
    work: Work::Async(database),
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Rows given back of one statement.
const ROWS_MAX: usize = 1_000;

/// One statement, as the servers' files get it.
struct Ask<'a> {
    target: &'a Database,
    sql: String,
    values: Vec<Value>,
    /// Whether it may change anything.
    write: bool,
}

fn database<'a>(call: &'a Call<'a>, _: &'a Http) -> BoxFuture<'a, Result<Output, Text>> {
    Box::pin(async move {
        let ask = read(call)?;
        guard::check(ask.target.kind, &ask.sql, ask.write)?;
        let mut rows = Rows::new(ROWS_MAX, call.ctx.output_limit);
        let affected = match ask.target.kind {
            DatabaseKind::Sqlite => sqlite::run(&ask, &mut rows, call).await?,
            DatabaseKind::MySql => mysql::run(&ask, &mut rows).await?,
            DatabaseKind::Postgres => postgres::run(&ask, &mut rows).await?,
        };
        if !ask.write {
            return Ok(rows.output());
        }
        let result = format!("{affected} rows affected");
        let stdout = if rows.is_empty() { result.clone() } else { rows.output().stdout };
        Ok(Output { stdout, result })
    })
}

fn read<'a>(call: &Call<'a>) -> Result<Ask<'a>, Text> {
    let texts = call.texts();
    let first = texts.first().map_or("", |op| op.trim());
    let (op, name) = first.split_once('@').map_or((first, None), |(op, name)| (op, Some(name.trim())));
    let write = match op.trim().to_ascii_lowercase().as_str() {
        "query" => false,
        "execute" => true,
        _ => {
            return Err(Text::new(
                format!("参数 1 “{first}” 应为 query 或 execute，例如 Database query,SELECT * FROM users"),
                format!(
                    "argument 1, \"{first}\", is neither query nor execute, as in Database query,SELECT * FROM users"
                ),
            ));
        }
    };
    let target = target(&call.settings.databases, name)?;
    let (sql, values) = if call.is_json() {
        let values = match call.args.get(2) {
            None => Vec::new(),
            Some(Value::Array(values)) => values.clone(),
            Some(_) => {
                return Err(Text::new(
                    "第三项应为绑定参数的数组，例如 [\"query\", \"SELECT * FROM t WHERE id = ?\", [1]]",
                    "the third item must be an array of values, as in [\"query\", \"SELECT * FROM t WHERE id = ?\", [1]]",
                ));
            }
        };
        (texts.get(1).cloned().unwrap_or_default(), values)
    } else {
        (call.after_comma(1).trim().to_owned(), Vec::new())
    };
    if sql.trim().is_empty() {
        return Err(Text::new(
            format!("参数 2 缺少 SQL 语句，例如 Database {op},SELECT * FROM users"),
            format!("argument 2, the statement, is missing, as in Database {op},SELECT * FROM users"),
        ));
    }
    Ok(Ask { target, sql, values, write })
}

fn target<'a>(all: &'a [Database], name: Option<&str>) -> Result<&'a Database, Text> {
    let Some(first) = all.first() else {
        return Err(Text::new(
            "尚未配置数据库连接，请设置 functions.databases，例如 shop=mysql://user:password@host:3306/shop",
            "no database is set up; set functions.databases, as in shop=mysql://user:password@host:3306/shop",
        ));
    };
    let Some(name) = name else { return Ok(first) };
    all.iter().find(|database| database.name == name).ok_or_else(|| {
        let known = all.iter().map(|database| database.name.as_str()).collect::<Vec<_>>().join(", ");
        Text::new(
            format!("没有名为 {name} 的数据库连接，functions.databases 中有：{known}"),
            format!("there is no connection {name}; functions.databases has {known}"),
        )
    })
}

/// A failure in words. The password cannot be in it, even if a server were to repeat it.
fn words(error: &sqlx::Error, ask: &Ask<'_>) -> Text {
    let name = &ask.target.name;
    let mut text = match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        error => error.to_string(),
    };
    let url = url::Url::parse(&ask.target.url.0).ok();
    for secret in
        [Some(ask.target.url.0.as_str()), url.as_ref().and_then(|url| url.password())].into_iter().flatten()
    {
        if ask.target.kind != DatabaseKind::Sqlite && secret.len() > 3 {
            text = text.replace(secret, "***");
        }
    }
    match error {
        sqlx::Error::Database(_) => {
            Text::new(format!("数据库 {name} 报错：{text}"), format!("the database {name} says: {text}"))
        }
        _ => Text::new(
            format!("无法使用数据库 {name}：{text}；请检查 functions.databases 和该服务器"),
            format!("the database {name} cannot be used: {text}; check functions.databases and that server"),
        ),
    }
}

fn too_slow(ask: &Ask<'_>) -> Text {
    let (name, seconds) = (&ask.target.name, CONNECT_TIMEOUT.as_secs());
    Text::new(
        format!("数据库 {name} 在 {seconds} 秒内未能连接；请检查 functions.databases 中的主机和端口"),
        format!(
            "the database {name} did not connect within {seconds} s; check host and port in functions.databases"
        ),
    )
}

/// Ends a statement on its server when the run is over before it: most servers go on with it
/// although the client is gone. Dropped in arms, it runs `kill`, which has a connection of its own,
/// and only then lets go of the connection: before, its number may be another's already.
struct Guard<C: Send + 'static, F: Future<Output = ()> + Send + 'static>(Option<(C, F)>);

impl<C: Send + 'static, F: Future<Output = ()> + Send + 'static> Guard<C, F> {
    fn new(db: C, kill: F) -> Self {
        Self(Some((db, kill)))
    }

    fn db(&mut self) -> &mut C {
        let (db, _) = self.0.as_mut().expect("only `end` and `drop` take it");
        db
    }

    /// Gives the rows affected, and the connection of a statement that has ended, well or not. That is
    /// the server's word only: a connection that broke says nothing of the statement.
    fn end(mut self, asked: sqlx::Result<(u64, bool)>) -> sqlx::Result<(u64, Option<C>)> {
        let over = matches!(asked, Ok((_, true)) | Err(sqlx::Error::Database(_)));
        let db = if over { self.0.take().map(|(db, _)| db) } else { None };
        asked.map(|(affected, _)| (affected, db))
    }
}

impl<C: Send + 'static, F: Future<Output = ()> + Send + 'static> Drop for Guard<C, F> {
    fn drop(&mut self) {
        if let (Some((db, kill)), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async {
                tokio::time::timeout(CONNECT_TIMEOUT, kill).await.ok();
                drop(db);
            });
        }
    }
}

/// A bound value that is neither null, bool nor number, as text.
fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
#[path = "database_test.rs"]
mod tests;
