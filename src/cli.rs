//! The command line: one variant a command, one match. A command that fails prints one line that
//! says why and what to do, and exits with 1; a wrong use exits with 2.

use crate::app::{self, App, Reloader};
use crate::clock::Clock;
use crate::config::{self, Config, Flags};
use crate::engine::Stop;
use crate::signals::ReloadSignals;
use crate::telemetry::log::{self, Log};
use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::sync::watch;

#[derive(Debug, Parser)]
#[command(name = "timerjobs", version, about, after_long_help = config::help_text())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server in the foreground; Ctrl-C ends it and lets runs finish, twice hurries.
    #[command(after_long_help = config::help_text())]
    Start(StartArgs),
    /// Print the version.
    Version,
}

#[derive(Debug, Args)]
struct StartArgs {
    /// Address to listen on.
    #[arg(short = 'H', long)]
    host: Option<String>,
    /// Port to listen on.
    #[arg(short, long)]
    port: Option<u16>,
    /// Settings file; config.toml in this folder is read when it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Start(args) => start(args),
        Command::Version => {
            println!("timerjobs {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("timerjobs: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: StartArgs) -> anyhow::Result<()> {
    let flags = Flags { config: args.config, host: args.host, port: args.port };
    let config = Config::load(&flags, |name| std::env::var(name).ok())?;
    let log = log::init(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    runtime.block_on(async {
        let (tell, stop) = watch::channel(Stop::No);
        // Listening for signals comes first: one that arrives during start-up must not kill us hard.
        app::stop_on_signals(tell)?;
        let mut hangup = ReloadSignals::listen().context("signals cannot be listened for")?;
        let app = App::build(config, Clock::System, stop).await?;
        let reloader = app.reloader();
        tokio::spawn(async move {
            loop {
                hangup.recv().await;
                reload(&flags, &reloader, &log).await;
            }
        });
        app.announce();
        app.serve().await
    })
}

/// Reads the settings again, whole or not at all: one bad value and everything stays as it was.
async fn reload(flags: &Flags, reloader: &Reloader, log: &Log) {
    let new = match Config::load(flags, |name| std::env::var(name).ok()) {
        Ok(new) => new,
        Err(e) => return tracing::error!("the settings stay as they are:\n{e}"),
    };
    log.set_level(&new.log.level);
    match reloader.apply(new).await {
        Ok(done) => {
            tracing::info!(changed = ?done.changed, needs_restart = ?done.needs_restart, "settings read again");
        }
        Err(e) => tracing::error!("the settings cannot be applied: {e:#}"),
    }
}
