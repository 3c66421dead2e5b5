//! `db`: the database as an administrator sees it. What it does to the tables is the store's; here
//! is who may do it when, and what is said.

use super::{block_on, migrate};
use crate::app::database::{self, look, place};
use crate::app::{self, upgrade};
use crate::clock::Clock;
use crate::config::{Config, DatabaseUrl, shown};
use crate::store::{self, Step, newest_schema};
use anyhow::{Context, bail};
use std::path::PathBuf;

pub fn init(config: &Config) -> anyhow::Result<()> {
    let (place, newest) = (place(config), newest_schema());
    match block_on(look(config))?.usable().with_context(|| place.clone())? {
        0 => {
            bring(config, newest, |_| ())?;
            println!("{place}: made, version {newest}");
        }
        version if version == newest => println!("{place}: is there already, version {version}"),
        version => println!("{place}: is there already, version {version}; `timerjobs migrate` updates it"),
    }
    Ok(())
}

pub fn backup(config: &Config, to: Option<PathBuf>) -> anyhow::Result<()> {
    let path = match &config.database.url {
        DatabaseUrl::Sqlite(path) => path,
        DatabaseUrl::Server(url) => bail!(
            "{}: a database server is backed up with its own tool: {}",
            place(config),
            migrate::tool(url)
        ),
    };
    let name = format!("timerjobs-{}.db", upgrade::stamp(config, Clock::System.now()));
    let to = match to {
        Some(folder) if folder.is_dir() => folder.join(name),
        Some(file) => file,
        None => config.backup_dir.join(name),
    };
    let bytes = block_on(async { Ok(store::backup(path, &to).await?) })?;
    println!("{}: {bytes} bytes, checked", shown(&to));
    Ok(())
}

/// Brings the tables to version `to`, never under a running server: it would find other tables than it
/// knows.
pub fn bring(config: &Config, to: i64, done: impl Fn(&Step)) -> anyhow::Result<()> {
    let _locks = app::lock(config)?;
    block_on(async {
        let _held = database::hold(config).await?;
        let before = upgrade::prepare(config, Clock::System.now(), to).await?;
        if let Some(path) = before.backup {
            println!("{}: backup, checked", shown(&path));
        }
        for step in store::steps(before.from, to) {
            database::open_at(config, step.version).await?.close().await;
            done(&step);
        }
        Ok(())
    })
}
