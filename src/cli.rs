//! The command line: one variant a command, one match. A command that fails prints one line that
//! says why and what to do, and exits with 1; a wrong use exits with 2.

use crate::app::{self, App};
use crate::clock::Clock;
use crate::config::{self, Config, Flags};
use crate::engine::Stop;
use crate::telemetry;
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
    let _log = telemetry::log::init(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    runtime.block_on(async {
        let (tell, stop) = watch::channel(Stop::No);
        // Listening for signals comes first: one that arrives during start-up must not kill us hard.
        app::stop_on_signals(tell)?;
        let app = App::build(config, Clock::System, stop).await?;
        let listener = app.bind().await?;
        app.announce(&listener);
        app.serve(listener).await
    })
}
