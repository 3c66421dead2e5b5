//! `migrate`: brings the tables to a version, and tells each step. A start does the same to the
//! newest; what is kept of the database before is `app::upgrade`'s.

use super::{MigrateArgs, block_on, db};
use crate::app::database::{look, place};
use crate::app::upgrade;
use crate::config::{Config, DatabaseUrl, ServerKind, ServerUrl, shown};
use crate::store::{Schema, newest_schema, steps};
use anyhow::{Context, bail};

pub fn run(args: MigrateArgs) -> anyhow::Result<()> {
    let MigrateArgs { to, dry_run, file } = args;
    let config = file.load()?;
    let (place, newest) = (place(&config), newest_schema());
    let to = to.unwrap_or(newest);
    if !(1..=newest).contains(&to) {
        bail!("--to {to}: there is no such version; this program knows 1 to {newest}");
    }
    let schema = block_on(look(&config))?;
    let from = schema.usable().with_context(|| place.clone())?;
    match schema {
        Schema::Absent => bail!("{place}: there is no database yet; `timerjobs db init` makes it"),
        Schema::Others => bail!("{place}: has no tables of TimerJobs; `timerjobs db init` makes them"),
        _ if to < from => bail!(
            "{place}: is at version {from}, and migrations only go forward; \
             to go back to {to}, restore the backup from before the upgrade"
        ),
        _ if from == newest => println!("{place}: is up to date, version {from}"),
        _ if from == to => println!("{place}: is at version {from} already; this program knows {newest}"),
        _ if dry_run => plan(&config, from, to),
        _ => {
            if let DatabaseUrl::Server(url) = &config.database.url {
                println!(
                    "{place}: no backup is made of a database server; its own tool makes one: {}",
                    tool(url)
                );
            }
            db::bring(&config, to, |step| println!("{step}: done"))?;
            println!("{place}: from version {from} to {to}");
        }
    }
    Ok(())
}

/// What would be done; only read.
fn plan(config: &Config, from: i64, to: i64) {
    println!("{}: version {from}, would be brought to {to}", place(config));
    match &config.database.url {
        DatabaseUrl::Sqlite(file) => {
            println!("backup: first, {}", shown(&upgrade::planned(config, file, from, to)));
        }
        DatabaseUrl::Server(url) => {
            println!("backup: none of a database server; make one with its own tool first: {}", tool(url));
        }
    }
    for step in steps(from, to) {
        println!("{step}: would run");
    }
    println!("nothing was changed");
}

/// What makes a backup of a database server.
pub fn tool(url: &ServerUrl) -> &'static str {
    match url.kind {
        ServerKind::MySql => "mysqldump --single-transaction",
        ServerKind::Postgres => "pg_dump",
    }
}
