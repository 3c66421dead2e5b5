//! `start` in its three forms: the server, its supervisor, either of them in the background.

use super::load;
use crate::app::{self, App, Parts};
use crate::clock::Clock;
use crate::config::{Config, Flags};
use crate::domain::audit::By;
use crate::engine::Stop;
use crate::signals::ReloadSignals;
use crate::supervisor::pidfile::{self, PidFile};
use crate::supervisor::{self, Paths, ServerFile, background, console, init, notify};
use crate::telemetry::log;
use anyhow::Context;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::watch;

/// Where a server with these flags keeps its files, and the flags as another folder would write them.
pub fn place(flags: Flags) -> anyhow::Result<(Paths, Flags)> {
    let (config, flags) = settled(flags)?;
    Ok((Paths(config.runtime_dir), flags))
}

pub fn in_background(flags: Flags, supervised: bool) -> anyhow::Result<()> {
    let (paths, flags) = place(flags)?;
    background::start(&paths, &flags, supervised)
}

/// As a container's first process.
pub fn first_process(flags: Flags, supervised: bool) -> anyhow::Result<ExitCode> {
    let (_, flags) = settled(flags)?;
    super::block_on(init::run(&flags, supervised))
}

pub fn supervisor(flags: Flags, in_background: bool) -> anyhow::Result<()> {
    let (config, flags) = settled(flags)?;
    let paths = Paths(config.runtime_dir);
    super::block_on(supervisor::supervise(&paths, &flags, &config.daemon, in_background))
}

pub fn server(flags: Flags, in_background: bool) -> anyhow::Result<()> {
    let (config, flags) = settled(flags)?;
    let paths = Paths(config.runtime_dir.clone());
    pidfile::refuse_second(&paths.job_pid(), "TimerJobs", "timerjobs stop")?;
    let host = config.host.clone();
    let terminal = if in_background { log::Terminal::Silent } else { log::Terminal::Lines };
    let (log, _written_at_the_end) = log::init(&config, Clock::System, terminal)?;
    if in_background {
        console::log_panics();
    }
    if let Ok(restarts) = std::env::var(supervisor::RESTARTS) {
        tracing::error!(restarts, "the server before this one died and the supervisor started it again");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    runtime.block_on(async {
        let (tell, stop) = watch::channel(Stop::No);
        // Listening for signals comes first: one that arrives during start-up must not kill us hard.
        app::stop_on_signals(tell)?;
        let mut hangup = ReloadSignals::listen().context("signals cannot be listened for")?;
        let source_flags = flags.clone();
        let source = Box::new(move || load(&source_flags));
        let app =
            App::build(Parts { config, source, clock: Clock::System, stop, log, program: None }).await?;
        let _pid_file = PidFile::write(paths.job_pid())?;
        let file = ServerFile {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: Clock::System.now(),
            host,
            port: app.port(),
            flags,
        };
        let _server_file = file.publish(paths.server_file())?;
        notify::tell("READY=1");
        tokio::spawn(notify::feed_watchdog());
        let reloads = app.reloads();
        tokio::spawn(async move {
            loop {
                hangup.recv().await;
                // How it ended is in the log.
                reloads.reload(Arc::new(By::system())).await.ok();
            }
        });
        app.announce();
        app.serve().await
    })
}

fn settled(mut flags: Flags) -> anyhow::Result<(Config, Flags)> {
    // `restart` may be called from another folder.
    flags.config = flags.config.map(|file| std::path::absolute(&file).unwrap_or(file));
    Ok((load(&flags)?, flags))
}
