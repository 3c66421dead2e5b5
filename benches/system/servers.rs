//! The same fires on MariaDB and PostgreSQL. The databases are the bench's own and go afterwards.

use super::fires::{EDGE, FUNC, Found, SETTINGS, Spread, every_second, highest, now, summed};
use super::server::Server;
use super::{Context, Sample};
use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use std::time::Duration;

const MARIADB: &str = "mysql://root@127.0.0.1:3306";
const POSTGRES: &str = "postgres://postgres@127.0.0.1:5432";
const RATES: [usize; 5] = [3_000, 6_000, 9_000, 12_000, 15_000];
const DELAYS: &str = "SELECT end_ms - scheduled_ms FROM tj_runs WHERE source = 'cron' AND outcome = 'success' \
                      AND end_ms IS NOT NULL AND scheduled_ms >= ";

pub async fn mariadb(ctx: &Context) -> Result<Vec<Sample>, String> {
    rate(ctx, "mariadb_rate", Kind::MariaDb).await
}

pub async fn postgres(ctx: &Context) -> Result<Vec<Sample>, String> {
    rate(ctx, "postgres_rate", Kind::Postgres).await
}

/// After a stop in the middle of a measurement: the database goes, where its server answers.
pub async fn forget() {
    for kind in [Kind::MariaDb, Kind::Postgres] {
        told(kind, &[drop(kind)]).await.ok();
    }
}

#[derive(Clone, Copy)]
enum Kind {
    MariaDb,
    Postgres,
}

fn name() -> String {
    format!("timerjobs_bench_{}", std::process::id())
}

/// Takes it also from a server that was killed a moment ago.
fn drop(kind: Kind) -> String {
    let force = if matches!(kind, Kind::Postgres) { " WITH (FORCE)" } else { "" };
    format!("DROP DATABASE IF EXISTS {}{force}", name())
}

async fn rate(ctx: &Context, row: &'static str, kind: Kind) -> Result<Vec<Sample>, String> {
    told(kind, &[drop(kind)]).await.map_err(|e| format!("no server answers: {e}"))?;
    ctx.met(version(kind).await.map_err(|e| e.to_string())?);
    let fires = async |rate, time| fires(ctx, kind, rate, time).await;
    let held = highest(ctx, row, &RATES, ctx.middling(), fires).await?;
    Ok(vec![(row, held.map_or(0.0, |(rate, _)| rate as f64))])
}

async fn version(kind: Kind) -> Result<String, sqlx::Error> {
    let (text,): (String,) = match kind {
        Kind::MariaDb => {
            sqlx::query_as("SELECT version()")
                .fetch_one(&mut MySqlConnection::connect(MARIADB).await?)
                .await?
        }
        Kind::Postgres => {
            let mut db = PgConnection::connect(&format!("{POSTGRES}/postgres")).await?;
            sqlx::query_as("SELECT version()").fetch_one(&mut db).await?
        }
    };
    // PostgreSQL also says how it was compiled.
    Ok(text.split(" on ").next().unwrap_or(&text).to_owned())
}

async fn fires(ctx: &Context, kind: Kind, rate: usize, time: Duration) -> Result<Found, String> {
    let url = match kind {
        Kind::MariaDb => format!("{MARIADB}/{}", name()),
        Kind::Postgres => format!("{POSTGRES}/{}", name()),
    };
    let create = format!("CREATE DATABASE {}", name());
    told(kind, &[drop(kind), create]).await.map_err(|e| e.to_string())?;
    let found = measured(ctx, &url, rate, time).await;
    told(kind, &[drop(kind)]).await.map_err(|e| e.to_string())?;
    found
}

async fn measured(ctx: &Context, url: &str, rate: usize, time: Duration) -> Result<Found, String> {
    let data = ctx.folder("server");
    let settings = [SETTINGS, &[("DATABASE_URL", url)]].concat();
    let server = Server::start(&ctx.binary, &data, &settings).await?;
    every_second(&server, rate, Spread::Even, FUNC.0, FUNC.1).await?;
    tokio::time::sleep(EDGE).await;
    let from = now();
    tokio::time::sleep(time).await;
    let to = now();
    tokio::time::sleep(EDGE).await;
    server.stop().await?;
    ctx.clean(&data);
    let (from, to) = (from - from.rem_euclid(1_000) + 1_000, to - to.rem_euclid(1_000));
    let delays = delays(url, from, to).await.map_err(|e| e.to_string())?;
    let seconds = usize::try_from((to - from) / 1_000).unwrap_or(0);
    Ok(summed(delays.into_iter().map(|(ms,)| ms).collect(), seconds * rate))
}

async fn delays(url: &str, from: i64, to: i64) -> Result<Vec<(i64,)>, sqlx::Error> {
    let text = sqlx::AssertSqlSafe(format!("{DELAYS}{from} AND scheduled_ms < {to}"));
    if url.starts_with("mysql") {
        sqlx::query_as(text).fetch_all(&mut MySqlConnection::connect(url).await?).await
    } else {
        sqlx::query_as(text).fetch_all(&mut PgConnection::connect(url).await?).await
    }
}

async fn told(kind: Kind, statements: &[String]) -> Result<(), sqlx::Error> {
    for text in statements {
        let text = sqlx::AssertSqlSafe(text.clone());
        match kind {
            Kind::MariaDb => {
                MySqlConnection::connect(MARIADB).await?.execute(text).await?;
            }
            Kind::Postgres => {
                PgConnection::connect(&format!("{POSTGRES}/postgres")).await?.execute(text).await?;
            }
        }
    }
    Ok(())
}
