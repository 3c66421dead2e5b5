//! The command line: one variant a command, one match. A command that fails prints one line that
//! says why and what to do, and exits with 1; a wrong use exits with 2.

use crate::app::{self, App, Reloader};
use crate::clock::Clock;
use crate::config::{self, Config, Flags};
use crate::engine::Stop;
use crate::signals::ReloadSignals;
use crate::supervisor::pidfile::{self, PidFile};
use crate::supervisor::{self, Paths, ServerFile, StartFlags, background, notify};
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
    /// Run the server; in the foreground, Ctrl-C ends it and lets runs finish, twice hurries.
    #[command(after_long_help = config::help_text())]
    Start(StartArgs),
    /// Run the supervisor in the foreground: it restarts a server that dies.
    Daemon(StartArgs),
    /// End the server and let runs finish.
    Stop {
        /// End the supervisor too.
        #[arg(short)]
        force: bool,
    },
    /// End what runs and start it again in the background, as it was started.
    Restart,
    /// Say what runs; exits with 3 when nothing does.
    Status,
    /// Make the server read its settings and the Python functions again.
    Reload,
    /// Print the version.
    Version,
}

#[derive(Debug, Args)]
struct StartArgs {
    /// Run in the background; as a container's first process or under systemd it stays.
    #[arg(short = 'd')]
    detached: bool,
    /// Run under a supervisor.
    #[arg(short = 'f')]
    supervised: bool,
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
        Command::Start(args) if args.detached && !background::stays_in_foreground() => detach(args),
        Command::Start(args) if args.supervised => supervise(args),
        Command::Start(args) => start(args),
        Command::Daemon(args) => supervise(args),
        Command::Stop { force } => paths().and_then(|paths| supervisor::stop(&paths, force)),
        Command::Restart => paths().and_then(|paths| background::restart(&paths)),
        Command::Reload => paths().and_then(|paths| supervisor::reload(&paths)),
        Command::Status => match paths() {
            Ok(paths) if !supervisor::status(&paths) => return ExitCode::from(3),
            done => done.map(drop),
        },
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

fn paths() -> anyhow::Result<Paths> {
    Ok(Paths(Config::load(&Flags::default(), |name| std::env::var(name).ok())?.runtime_dir))
}

fn detach(args: StartArgs) -> anyhow::Result<()> {
    let flags = Flags { config: args.config, host: args.host, port: args.port };
    let config = Config::load(&flags, |name| std::env::var(name).ok())?;
    let flags = StartFlags { config: flags.config, host: flags.host, port: flags.port };
    background::start(&Paths(config.runtime_dir), &flags, args.supervised)
}

fn supervise(args: StartArgs) -> anyhow::Result<()> {
    let flags = Flags { config: args.config, host: args.host, port: args.port };
    let config = Config::load(&flags, |name| std::env::var(name).ok())?;
    let flags = StartFlags { config: flags.config, host: flags.host, port: flags.port };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(supervisor::supervise(&Paths(config.runtime_dir), &flags, &config.daemon))
}

fn start(args: StartArgs) -> anyhow::Result<()> {
    let flags = Flags { config: args.config, host: args.host, port: args.port };
    let config = Config::load(&flags, |name| std::env::var(name).ok())?;
    let paths = Paths(config.runtime_dir.clone());
    pidfile::refuse_second(&paths.job_pid(), "TimerJobs", "timerjobs stop")?;
    let host = config.host.clone();
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
        let _pid_file = PidFile::write(paths.job_pid())?;
        let (config, flag_host, port) = (flags.config.clone(), flags.host.clone(), flags.port);
        let started = StartFlags { config, host: flag_host, port };
        ServerFile { pid: std::process::id(), host, port: app.port(), flags: started }
            .write(&paths.server_file())?;
        notify::tell("READY=1");
        tokio::spawn(notify::feed_watchdog());
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

/// Reads the settings again, whole or not at all: one bad value and everything stays as it was. Then
/// the user's functions.
async fn reload(flags: &Flags, reloader: &Reloader, log: &Log) {
    let new = match Config::load(flags, |name| std::env::var(name).ok()) {
        Ok(new) => new,
        Err(e) => return tracing::error!("the settings stay as they are:\n{e}"),
    };
    log.set_level(&new.log.level);
    match reloader.apply(new).await {
        Ok(done) => {
            tracing::info!(changed = ?done.changed, needs_restart = ?done.needs_restart, "settings read again");
            reloader.reload_functions().await;
        }
        Err(e) => tracing::error!("the settings cannot be applied: {e:#}"),
    }
}
