//! `db`: the database as an administrator sees it. What it does to the tables is the store's; here
//! is who may do it when, and what is said.

use super::block_on;
use crate::app;
use crate::clock::Clock;
use crate::config::{Config, DatabaseUrl, ServerKind, shown};
use crate::store::{self, Schema, newest_schema};
use anyhow::bail;
use std::path::PathBuf;

pub fn init(config: &Config) -> anyhow::Result<()> {
    let place = place(config);
    match block_on(schema(config))? {
        Schema::Absent => update(config).map(|()| println!("{place}: made, version {}", newest_schema())),
        Schema::Current(version) => {
            println!("{place}: is there already, version {version}");
            Ok(())
        }
        Schema::Older(version) => {
            println!("{place}: is there already, version {version}; `timerjobs db migrate` updates it");
            Ok(())
        }
        Schema::Newer(version) => newer(&place, version),
    }
}

pub fn migrate(config: &Config) -> anyhow::Result<()> {
    let place = place(config);
    match block_on(schema(config))? {
        Schema::Absent => bail!("{place}: there is no database yet; `timerjobs db init` makes it"),
        Schema::Current(version) => println!("{place}: is up to date, version {version}"),
        Schema::Older(version) => {
            update(config)?;
            println!("{place}: from version {version} to {}", newest_schema());
        }
        Schema::Newer(version) => newer(&place, version)?,
    }
    Ok(())
}

pub fn backup(config: &Config, to: Option<PathBuf>) -> anyhow::Result<()> {
    let path = match &config.database.url {
        DatabaseUrl::Sqlite(path) => path,
        DatabaseUrl::Server(url) => {
            let tool = match url.kind {
                ServerKind::MySql => "mysqldump --single-transaction",
                ServerKind::Postgres => "pg_dump",
            };
            bail!("{}: a database server is backed up with its own tool: {tool}", place(config))
        }
    };
    let time = Clock::System.now().to_zone(config.zone).format("%Y%m%d-%H%M%S");
    let name = format!("timerjobs-{time}.db");
    let to = match to {
        Some(folder) if folder.is_dir() => folder.join(name),
        Some(file) => file,
        None => config.backup_dir.join(name),
    };
    let bytes = block_on(async { Ok(store::backup(path, &to).await?) })?;
    println!("{}: {bytes} bytes, checked", shown(&to));
    Ok(())
}

/// The database, for people.
pub(super) fn place(config: &Config) -> String {
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => shown(path),
        DatabaseUrl::Server(url) => app::database::server(config, url).to_string(),
    }
}

pub(super) async fn schema(config: &Config) -> anyhow::Result<Schema> {
    Ok(match &config.database.url {
        DatabaseUrl::Sqlite(path) => store::inspect(path).await?.schema,
        DatabaseUrl::Server(url) => store::inspect_server(&app::database::server(config, url)).await?,
    })
}

/// Never under a running server: it would find other tables than it knows.
fn update(config: &Config) -> anyhow::Result<()> {
    let _locks = app::lock(config)?;
    block_on(async {
        let _held = app::database::hold(config).await?;
        app::database::open(config).await?.close().await;
        Ok(())
    })
}

pub(super) fn newer(place: &str, version: i64) -> anyhow::Result<()> {
    bail!(
        "{place}: was made by a newer TimerJobs (version {version} of the tables, this one knows {}); use that one",
        newest_schema()
    )
}
