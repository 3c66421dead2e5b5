//! Starting in the background: our own program again, apart from the terminal. The caller is told
//! how it went: where the server is, or why there is none.

use super::{Health, Paths, ServerFile, console, init, pidfile};
use crate::config::{Flags, SETTINGS};
use anyhow::{Context, bail};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Between two looks at the starting server, and how many there are: a minute in all.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: u32 = 1_200;

/// Tells the process that it is the one in the background, whose terminal is a file. A flag, because
/// jobs inherit variables.
pub const FLAG: &str = "--in-background";

/// Whether `-d` must not leave the foreground: as a container's first process or under systemd, the
/// end of the foreground process would be the end of the service.
pub fn stays_in_foreground() -> bool {
    let under_systemd =
        ["INVOCATION_ID", "NOTIFY_SOCKET"].iter().any(|name| std::env::var_os(name).is_some());
    init::is_needed() || under_systemd
}

/// Starts the server, or its supervisor, and waits until the server answers.
pub fn start(paths: &Paths, flags: &Flags, supervised: bool) -> anyhow::Result<()> {
    start_with(paths, flags, supervised, Vec::new())
}

fn start_with(
    paths: &Paths,
    flags: &Flags,
    supervised: bool,
    env: Vec<(String, String)>,
) -> anyhow::Result<()> {
    pidfile::refuse_second(&paths.daemon_pid(), "a supervisor", "timerjobs stop -f")?;
    pidfile::refuse_second(&paths.job_pid(), "TimerJobs", "timerjobs stop")?;
    let console = console::path(paths);
    let (out, err) = console::open(&console)
        .and_then(|out| Ok((out.try_clone()?, out)))
        .with_context(|| format!("{} cannot be written", console.display()))?;
    let before = fs::metadata(&console)?.len();
    let mut command = Command::new(std::env::current_exe().context("the program does not find itself")?);
    command.arg("start").args(supervised.then_some("-f")).arg(FLAG).args(flags.args());
    command.envs(env).stdin(Stdio::null()).stdout(out).stderr(err);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().context("the program cannot be started")?;
    for _ in 0..LOOKS {
        if let Some(status) = child.try_wait()? {
            bail!("it did not start ({status}): {}", last_line(&console, before));
        }
        if let Some(why) = first_death(&console, before).filter(|_| supervised) {
            bail!(
                "the server does not start: {why}; the supervisor goes on trying, `timerjobs stop -f` ends it"
            );
        }
        let server = pidfile::alive(&paths.job_pid());
        let file = ServerFile::read(&paths.server_file());
        if let Some((server, file)) = server.zip(file).filter(|(server, file)| server.pid == file.pid)
            && !matches!(file.health(), Health::Silent(_))
        {
            println!("started, pid {}, {}", server.pid, file.url());
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
    bail!("the server does not answer after a minute; {} may say why", console.display())
}

/// Ends what runs and starts it again in the background, under the supervisor it had and with the
/// flags it had, as far as `flags` do not say otherwise. What does not run is started.
pub fn restart(paths: &Paths, flags: Flags) -> anyhow::Result<()> {
    let supervised = pidfile::alive(&paths.daemon_pid()).is_some();
    let had = ServerFile::read(&paths.server_file()).map(|file| file.flags).unwrap_or_default();
    let env = pidfile::alive(&paths.job_pid()).map(|server| settings_of(server.pid)).unwrap_or_default();
    super::stop(paths, supervised)?;
    start_with(paths, &flags.or(had), supervised, env)
}

/// The settings in the environment of a process that this one's environment does not say otherwise.
/// They are asked of the system, as some are secrets that belong in no file.
fn settings_of(pid: u32) -> Vec<(String, String)> {
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let of_settings = |name: &str| SETTINGS.iter().any(|s| s.env.contains(&name));
    String::from_utf8_lossy(&environ)
        .split('\0')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| of_settings(name) && std::env::var_os(name).is_none())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// What the first server of a supervisor said before it died.
fn first_death(console: &Path, before: u64) -> Option<String> {
    let text = fs::read(console).unwrap_or_default();
    let new = text.get(usize::try_from(before).unwrap_or(usize::MAX)..).unwrap_or_default();
    let text = String::from_utf8_lossy(new).into_owned();
    let mut said = "it said nothing";
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if line.starts_with("supervisor: the server") {
            return Some(said.trim_start_matches("timerjobs: ").to_owned());
        }
        said = line;
    }
    None
}

/// The last line that this start wrote.
fn last_line(console: &Path, before: u64) -> String {
    let bytes = fs::read(console).unwrap_or_default();
    let new = bytes.get(usize::try_from(before).unwrap_or(usize::MAX)..).unwrap_or_default();
    let text = String::from_utf8_lossy(new).into_owned();
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned()
}
