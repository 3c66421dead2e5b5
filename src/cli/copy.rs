//! `copy`: moves a system to another database. What is copied and compared is the store's; here is who
//! may do it when, and what people see of it.

use super::{CopyArgs, block_on};
use crate::app;
use crate::app::database::{self, look, place};
use crate::clock::Clock;
use crate::config::{Config, DatabaseUrl};
use crate::store::{Copied, Progress, newest_schema};
use anyhow::{Context, anyhow, bail, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A statement that counts or clears a large table takes longer than any of a server's.
const TIMEOUT: Duration = Duration::from_secs(3_600);
/// Between two lines about one table where there is no terminal.
const QUIET: Duration = Duration::from_secs(5);

pub fn run(args: CopyArgs) -> anyhow::Result<()> {
    let config = args.file.load()?;
    let side = |flag, url: &str, prefix: Option<String>| -> anyhow::Result<Config> {
        let database = config.database.at(url, prefix.as_deref());
        let mut config = config.clone();
        config.database = database.map_err(|e| anyhow!("{flag}: {e}"))?;
        config.database.timeout = TIMEOUT;
        Ok(config)
    };
    let from = side("--from", &args.from, args.from_prefix)?;
    let to = side("--to", &args.to, args.to_prefix)?;
    ensure!(!same(&from, &to), "{}: is both --from and --to; name two databases", place(&from));
    let (copied, from, to) = block_on(copy(&from, &to))?;
    report(&copied, &from, &to)
}

/// Gives also the places, as people know them.
async fn copy(from: &Config, to: &Config) -> anyhow::Result<(Copied, String, String)> {
    let (here, there) = (place(from), place(to));
    let none = || anyhow!("{here}: there is no database of TimerJobs; mend --from");
    // A lock would make the file.
    if let DatabaseUrl::Sqlite(path) = &from.database.url {
        ensure!(path.exists(), none());
    }
    let _from = (app::lock_database(from)?, database::hold(from).await?);
    match look(from).await?.usable().with_context(|| here.clone())? {
        0 => return Err(none()),
        version => current(&here, version, "--from")?,
    }
    let _to = (app::lock_database(to)?, database::hold(to).await?);
    match look(to).await?.usable().with_context(|| there.clone())? {
        0 => {}
        version => current(&there, version, "--to")?,
    }
    let newest = newest_schema();
    let (source, target) = (database::open_at(from, newest).await?, database::open_at(to, newest).await?);
    let mut shown = Shown::new();
    let copied = source.copy_into(&target, |progress| shown.tell(progress)).await;
    shown.end();
    let places = (source.place().to_owned(), target.place().to_owned());
    source.close().await;
    target.close().await;
    Ok((copied?, places.0, places.1))
}

fn current(place: &str, version: i64, flag: &str) -> anyhow::Result<()> {
    ensure!(
        version == newest_schema(),
        "{place}: has the tables of version {version}, this program those of {}; run `timerjobs migrate` with \
         DATABASE_URL set to it first, or mend {flag}",
        newest_schema()
    );
    Ok(())
}

/// Whatever the way to a file, it is one file.
fn same(from: &Config, to: &Config) -> bool {
    match (&from.database.url, &to.database.url) {
        (DatabaseUrl::Sqlite(a), DatabaseUrl::Sqlite(b)) => whole(a) == whole(b),
        (DatabaseUrl::Server(a), DatabaseUrl::Server(b)) => {
            let place =
                |url: &crate::config::ServerUrl| (url.kind, url.host.clone(), url.port, url.database.clone());
            place(a) == place(b) && from.database.table_prefix == to.database.table_prefix
        }
        _ => false,
    }
}

fn whole(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}

/// How far the copy is: a bar a table on a terminal, a line now and then elsewhere.
struct Shown {
    bar: Option<ProgressBar>,
    table: &'static str,
    /// When the last line was written, or the table begun.
    said: Duration,
}

impl Shown {
    fn new() -> Self {
        Self { bar: None, table: "", said: Duration::ZERO }
    }

    fn tell(&mut self, Progress { table, done, rows }: Progress) {
        let now = Clock::System.read().elapsed;
        if table != self.table {
            self.end();
            (self.table, self.said) = (table, now);
        }
        if std::io::stderr().is_terminal() {
            self.bar.get_or_insert_with(|| bar(table, rows)).set_position(done);
        } else if done == rows || now.saturating_sub(self.said) >= QUIET {
            eprintln!("{table}: {done} of {rows} rows");
            self.said = now;
        }
    }

    /// The last table's bar stays as it is.
    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
    }
}

fn bar(table: &'static str, rows: u64) -> ProgressBar {
    let form = "{prefix:>9} [{bar:30}] {human_pos}/{human_len} {percent}% {eta}";
    let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(rows), ProgressDrawTarget::stderr());
    bar.with_style(style).with_prefix(table)
}

fn report(copied: &Copied, from: &str, to: &str) -> anyhow::Result<()> {
    println!("{:9} {:>12} {:>12}", "table", "from", "to");
    for table in &copied.tables {
        let verdict = match table.differs.as_slice() {
            _ if table.is_whole() => "ok".into(),
            [] => "DIFFERS".into(),
            columns => format!("DIFFERS in {}", columns.join(", ")),
        };
        println!("{:9} {:>12} {:>12}  {verdict}", table.name, table.rows.0, table.rows.1);
    }
    if copied.replaced() > 0 {
        println!("{} characters U+0000 became U+FFFD: PostgreSQL cannot hold them", copied.replaced());
    }
    let wrong: Vec<_> =
        copied.tables.iter().filter(|table| !table.is_whole()).map(|table| table.name).collect();
    if !wrong.is_empty() {
        bail!(
            "{to}: {} is not as in {from}; find out who wrote meanwhile and run the copy again, it starts over",
            wrong.join(", ")
        );
    }
    println!("{from} -> {to}: copied and compared; set DATABASE_URL to start the server there");
    Ok(())
}
