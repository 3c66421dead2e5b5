//! `db`: the database as an administrator sees it. What it does to the tables is the store's; here
//! is who may do it when, and what is said.

use super::block_on;
use crate::app;
use crate::clock::Clock;
use crate::config::{Config, DatabaseUrl, shown};
use crate::store::{self, Schema, Store, newest_schema};
use anyhow::bail;
use std::path::{Path, PathBuf};

pub fn init(config: &Config) -> anyhow::Result<()> {
    let DatabaseUrl::Sqlite(path) = &config.database;
    match block_on(async { Ok(store::inspect(path).await?.schema) })? {
        Schema::Absent => {
            update(config, path).map(|()| println!("{}: made, version {}", shown(path), newest_schema()))
        }
        Schema::Current(version) => {
            println!("{}: is there already, version {version}", shown(path));
            Ok(())
        }
        Schema::Older(version) => {
            println!(
                "{}: is there already, version {version}; `timerjobs db migrate` updates it",
                shown(path)
            );
            Ok(())
        }
        Schema::Newer(version) => newer(path, version),
    }
}

pub fn migrate(config: &Config) -> anyhow::Result<()> {
    let DatabaseUrl::Sqlite(path) = &config.database;
    match block_on(async { Ok(store::inspect(path).await?.schema) })? {
        Schema::Absent => bail!("{}: there is no database yet; `timerjobs db init` makes it", shown(path)),
        Schema::Current(version) => println!("{}: is up to date, version {version}", shown(path)),
        Schema::Older(version) => {
            update(config, path)?;
            println!("{}: from version {version} to {}", shown(path), newest_schema());
        }
        Schema::Newer(version) => newer(path, version)?,
    }
    Ok(())
}

pub fn backup(config: &Config, to: Option<PathBuf>) -> anyhow::Result<()> {
    let DatabaseUrl::Sqlite(path) = &config.database;
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

/// Never under a running server: it would find other tables than it knows.
fn update(config: &Config, path: &Path) -> anyhow::Result<()> {
    let _locks = app::lock(config)?;
    block_on(async {
        Store::open(path).await?.close().await;
        Ok(())
    })
}

fn newer(path: &Path, version: i64) -> anyhow::Result<()> {
    bail!(
        "{}: was made by a newer TimerJobs (version {version} of the tables, this one knows {}); use that one",
        shown(path),
        newest_schema()
    )
}
