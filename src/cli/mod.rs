//! The command line: one variant a command, one match; a file a command that does more than one
//! call. A command that fails prints one line that says why and what to do, and exits with 1; a
//! wrong use exits with 2.

mod check;
mod copy;
mod db;
mod doctor;
mod migrate;
mod start;
mod status;

use crate::config::{self, Config, ConfigError, Flags};
#[cfg(unix)]
use crate::exec::limited;
use crate::supervisor::{self, Paths, background, init};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

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
    Daemon(Flags),
    /// End the server and let runs finish.
    Stop {
        /// End the supervisor too.
        #[arg(short)]
        force: bool,
        #[command(flatten)]
        file: FileFlag,
    },
    /// End what runs and start it again in the background, as it was started; flags given here win.
    Restart(Flags),
    /// Say what runs; exits with 3 when nothing does, with 4 when it runs but is not well.
    Status {
        /// For scripts.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: FileFlag,
    },
    /// Make the server read its settings again.
    Reload(FileFlag),
    /// Look at the settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check whether a server can work here; exits with 1 when it cannot.
    Doctor {
        /// For scripts.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: Flags,
    },
    /// Make, update or back up the database.
    #[command(subcommand)]
    Db(DbCommand),
    /// Move a whole system into another, empty database; no server may run on either.
    Copy(CopyArgs),
    /// Bring the tables to this program's version, an SQLite file's after a backup; a start does it too.
    Migrate(MigrateArgs),
    /// Print the version.
    Version,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say what is set and where, or every wrong setting with its place; exits with 1 then.
    Check(Flags),
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Make the database and its tables.
    Init(FileFlag),
    /// The same as `timerjobs migrate`.
    Migrate(MigrateArgs),
    /// Write a checked copy, also while a server runs; never overwrites.
    Backup {
        /// The copy; without it, a file with the time in its name in the folder BACKUP_DIR.
        to: Option<PathBuf>,
        #[command(flatten)]
        file: FileFlag,
    },
}

#[derive(Debug, Args)]
struct StartArgs {
    /// Run in the background; as a container's first process or under systemd it stays.
    #[arg(short = 'd')]
    detached: bool,
    /// Run under a supervisor.
    #[arg(short = 'f')]
    supervised: bool,
    /// Its terminal is a file: what the log says is not said there too.
    #[arg(long, hide = true)]
    in_background: bool,
    #[command(flatten)]
    flags: Flags,
}

/// How the servers are reached (TLS, timeouts, prefix of the tables) is what the settings say.
#[derive(Debug, Args)]
struct CopyArgs {
    /// The database to copy, as DATABASE_URL has it. A password is hidden from other users in the
    /// environment, not on the command line.
    #[arg(long, value_name = "URL", env = "DATABASE_COPY_FROM", hide_env_values = true)]
    from: String,
    /// The database to copy into.
    #[arg(long, value_name = "URL", env = "DATABASE_COPY_TO", hide_env_values = true)]
    to: String,
    /// Before the tables' names in --from, where it differs from DATABASE_TABLE_PREFIX.
    #[arg(long, value_name = "PREFIX")]
    from_prefix: Option<String>,
    /// The same for --to.
    #[arg(long, value_name = "PREFIX")]
    to_prefix: Option<String>,
    #[command(flatten)]
    file: FileFlag,
}

#[derive(Debug, Args)]
struct MigrateArgs {
    /// Only to this version; they only go forward.
    #[arg(long, value_name = "N")]
    to: Option<i64>,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    file: FileFlag,
}

/// Commands that neither listen nor choose where to, but find a server by its settings.
#[derive(Debug, Args)]
struct FileFlag {
    /// Settings file; config.toml in this folder is read when it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl FileFlag {
    fn flags(self) -> Flags {
        Flags { config: self.config, ..Flags::default() }
    }

    fn load(self) -> Result<Config, ConfigError> {
        load(&self.flags())
    }

    fn paths(self) -> Paths {
        Paths(Config::runtime_dir(&self.flags(), environment))
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    // Before all else: it is started for each command that has limits.
    #[cfg(unix)]
    if std::env::args_os().nth(1).is_some_and(|first| first == limited::NAME) {
        return limited::main(std::env::args_os().skip(2));
    }
    keep_to_ourselves();
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("timerjobs: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Children get neither the files that whoever started us had open, nor a look at our memory and
/// environment: there the settings' secrets stand, and a job may run as the same user.
fn keep_to_ourselves() {
    #[cfg(unix)]
    close_fds::set_fds_cloexec(3, &[]);
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // As root it protects nothing and nothing is lost.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Start(StartArgs { supervised, flags, .. }) if init::is_needed() => {
            return start::first_process(flags, supervised);
        }
        Command::Daemon(flags) if init::is_needed() => return start::first_process(flags, true),
        Command::Start(StartArgs { detached: true, supervised, flags, .. })
            if !background::stays_in_foreground() =>
        {
            start::in_background(flags, supervised)?;
        }
        Command::Start(StartArgs { supervised: true, flags, in_background, .. }) => {
            start::supervisor(flags, in_background)?;
        }
        Command::Start(StartArgs { flags, in_background, .. }) => start::server(flags, in_background)?,
        Command::Daemon(flags) => start::supervisor(flags, false)?,
        Command::Stop { force, file } => supervisor::stop(&file.paths(), force)?,
        Command::Restart(flags) => {
            let (paths, flags) = start::place(flags)?;
            background::restart(&paths, flags)?;
        }
        // A bad setting is named here; the server would refuse it only in its log.
        Command::Reload(file) => supervisor::reload(&Paths(file.load()?.runtime_dir))?,
        Command::Status { json, file } => return Ok(status::run(&file.load()?, json)),
        Command::Config(ConfigCommand::Check(flags)) => return Ok(check::run(&flags)),
        Command::Doctor { json, flags } => return doctor::run(&flags, json),
        Command::Db(DbCommand::Init(file)) => db::init(&file.load()?)?,
        Command::Migrate(args) | Command::Db(DbCommand::Migrate(args)) => migrate::run(args)?,
        Command::Db(DbCommand::Backup { to, file }) => db::backup(&file.load()?, to)?,
        Command::Copy(args) => copy::run(args)?,
        Command::Version => println!("timerjobs {}", env!("CARGO_PKG_VERSION")),
    }
    Ok(ExitCode::SUCCESS)
}

/// The settings of this process.
fn load(flags: &Flags) -> Result<Config, ConfigError> {
    Config::load(flags, environment)
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// For commands that talk to the database and do not serve.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
