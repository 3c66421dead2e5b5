//! Opens the store that the settings name, and takes over what an older edition left in it.

use super::upgrade;
use crate::config::{Config, DatabaseUrl, ServerKind, ServerUrl, shown};
use crate::domain::UtcMs;
use crate::store::{self, Held, Schema, Server, Store, TlsMode, newest_schema};
use anyhow::{Context, bail};
use std::path::PathBuf;

/// Opens it for a server and brings its tables up to date, those of a file after a backup.
pub(super) async fn open(config: &Config, now: UtcMs) -> anyhow::Result<Store> {
    let newest = newest_schema();
    let before = upgrade::prepare(config, now, newest).await?;
    if let Some(path) = before.backup {
        tracing::info!(backup = %shown(&path), "the database was backed up before its tables are changed");
    }
    let store = open_at(config, newest).await?;
    if (1..newest).contains(&before.from) {
        tracing::info!(from = before.from, to = newest, "the tables were brought to this version");
    }
    Ok(store)
}

/// Opens it and brings its tables to this version.
pub async fn open_at(config: &Config, version: i64) -> anyhow::Result<Store> {
    Ok(match &config.database.url {
        DatabaseUrl::Sqlite(path) => Store::open_at(path, version).await?,
        DatabaseUrl::Server(url) => Store::open_server_at(&server(config, url), version).await?,
    })
}

/// Whose tables it holds; changes nothing.
pub async fn look(config: &Config) -> anyhow::Result<Schema> {
    Ok(match &config.database.url {
        DatabaseUrl::Sqlite(path) => store::schema_of(path).await?,
        DatabaseUrl::Server(url) => store::inspect_server(&server(config, url)).await?,
    })
}

/// The database, for people.
pub fn place(config: &Config) -> String {
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => shown(path),
        DatabaseUrl::Server(url) => server(config, url).to_string(),
    }
}

/// Keeps other servers of ours off a database on a server, as long as it is held; `None`: a file has
/// locks of its own.
pub async fn hold(config: &Config) -> anyhow::Result<Option<Held>> {
    match &config.database.url {
        DatabaseUrl::Sqlite(_) => Ok(None),
        DatabaseUrl::Server(url) => Ok(Some(store::hold(&server(config, url)).await?)),
    }
}

/// What a copy that broke off has left is no system to run.
pub(super) async fn refuse_half_a_copy(store: &Store) -> anyhow::Result<()> {
    let place = store.place();
    if store.copy_unfinished().await.with_context(|| format!("{place}: its settings cannot be read"))? {
        bail!(
            "{place}: a copy into it broke off; run `timerjobs copy` again, or name another database in DATABASE_URL"
        );
    }
    Ok(())
}

/// Imports the older edition's tables, if they are there and ours are new, and says what came of it.
pub(super) async fn import(config: &Config, store: &Store, now: UtcMs) -> anyhow::Result<()> {
    let how = store::How { now, zone: config.zone, keep: config.jobs.retention.runs };
    let imported = store.import_older(&how).await.with_context(|| {
        let place = store.place();
        format!(
            "{place}: the older edition's tables (xiaohus_jobs and its like) cannot be imported, nothing was \
             changed; mend the cause and start again, or name an empty database in DATABASE_URL"
        )
    })?;
    let Some(done) = imported else { return Ok(()) };
    for what in &done.changed {
        tracing::warn!("imported with a change: {what}");
    }
    for what in &done.not_taken {
        tracing::warn!("not imported: {what}");
    }
    tracing::info!(
        jobs = done.jobs,
        admins = done.admins,
        runs = done.runs,
        changed = done.changed_count,
        not_taken = done.not_taken_count,
        "the older edition's tables were imported; they stay as they were"
    );
    Ok(())
}

/// The SQLite file; empty for a server.
pub(super) fn file(config: &Config) -> PathBuf {
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        DatabaseUrl::Server(_) => PathBuf::new(),
    }
}

/// The server with how it is to be connected to.
pub fn server(config: &Config, url: &ServerUrl) -> Server {
    let database = &config.database;
    Server {
        kind: match url.kind {
            ServerKind::MySql => store::ServerKind::MySql,
            ServerKind::Postgres => store::ServerKind::Postgres,
        },
        host: url.host.clone(),
        port: url.port,
        user: url.user.clone(),
        password: url.password.clone(),
        database: url.database.clone(),
        tls: match database.tls.as_str() {
            "disable" => TlsMode::Disable,
            "require" => TlsMode::Require,
            "verify-ca" => TlsMode::VerifyCa,
            "verify-full" => TlsMode::VerifyFull,
            _ => TlsMode::Prefer,
        },
        ca_file: database.ca_file.clone(),
        prefix: database.table_prefix.clone(),
        pool: database.pool,
        connect_timeout: database.connect_timeout,
        timeout: database.timeout,
    }
}
