//! Commands with limits or a user of their own. The server starts its own program once more
//! (`run-limited`, in `inside.rs`); that sets the limits on itself and becomes the command. Setting them
//! in the child of the server would need `pre_exec` or `uid`, for which std forks the whole server.
//!
//! What goes wrong before the command runs comes back on a pipe that the child finds as its fd 0 and
//! that closes when the command starts: the command never has it, so it cannot forge such a message.

#[cfg(unix)]
mod inside;

use crate::domain::Text;
use crate::domain::action::CommandAction;
use crate::domain::action::limits::{Limits, show_memory};
use crate::exec::environment::Environment;
use std::path::PathBuf;

#[cfg(unix)]
pub use inside::main;
pub use outside::{Complaints, command};

/// The program's first argument for this; no command of the command line.
pub const NAME: &str = "run-limited";

/// Before the names of the job's variables on their way through our own program: with the server's rights
/// it must not be told what to load (`LD_PRELOAD`), nor anything else, by a job.
pub const VARIABLE: &str = "TJ_ENV_";

/// What the server sets for every command, limited or not.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our own program.
    pub program: PathBuf,
    /// The most that a job may ask for, and what holds when it asks for nothing.
    pub limits: Limits,
    pub environment: Environment,
}

impl Default for Settings {
    fn default() -> Self {
        // On Linux the very file that runs, also when an update has put another one in its place.
        let program = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe().unwrap_or_else(|_| "timerjobs".into())
        };
        Self { program, limits: Limits::default(), environment: Environment::default() }
    }
}

/// What holds for this command, or why it may not run.
pub fn limits(action: &CommandAction, server: &Limits) -> Result<Limits, Text> {
    let limits = action.limits.under(server).map_err(|refused| {
        let all = |text: fn(&Text) -> &str, between: &str| {
            refused.iter().map(|e| text(&e.message)).collect::<Vec<_>>().join(between)
        };
        Text::new(all(|t| &t.zh, "；"), all(|t| &t.en, "; "))
    })?;
    if cfg!(unix) || limits.is_none() {
        return Ok(limits);
    }
    Err(Text::new(
        "此系统不支持【user】、【memory】、【cpu】和【files】，仅 Linux 等 Unix 系统支持",
        "【user】, 【memory】, 【cpu】 and 【files】 work on Unix only, not on this system",
    ))
}

/// What a command's end may have to do with its limits. `signal` is the one that ended it, or the one
/// that its shell reports of a child with an exit code above 128.
pub fn remark(limits: &Limits, signal: i32) -> Option<Text> {
    // The same numbers on every Unix that Rust runs on, but for SIGBUS, which is left out.
    const ABORT: i32 = 6;
    const KILL: i32 = 9;
    const SEGV: i32 = 11;
    const CPU: i32 = 24;
    match (signal, limits.cpu, limits.memory) {
        (CPU, Some(seconds), _) => Some(Text::new(
            format!("处理器时间超过【cpu】{seconds} 秒"),
            format!("over 【cpu】 {seconds} s of processor time"),
        )),
        (KILL, Some(seconds), _) => Some(Text::new(
            format!("可能是处理器时间超过【cpu】{seconds} 秒而未理会 SIGXCPU，也可能是系统内存不足"),
            format!(
                "perhaps it was over 【cpu】 {seconds} s and did not heed SIGXCPU, or the machine had no memory left"
            ),
        )),
        (ABORT | SEGV, _, Some(bytes)) => {
            let most = show_memory(bytes);
            Some(Text::new(
                format!("可能是内存达到【memory】{most} 的上限"),
                format!("perhaps it met the limit 【memory】 {most}"),
            ))
        }
        _ => None,
    }
}

#[cfg(unix)]
mod outside {
    use super::{NAME, Settings};
    use crate::domain::Text;
    use crate::domain::action::CommandAction;
    use crate::domain::action::limits::Limits;
    use crate::exec::process;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::process::CommandExt;
    use std::process::Stdio;
    use tokio::io::AsyncReadExt;
    use tokio::net::unix::pipe::Receiver;
    use tokio::process::Command;

    /// Bytes of a message; more is not ours.
    const MESSAGE_MAX: u64 = 4_096;

    /// What belongs to the user that the server runs as and would mislead another one's command.
    const OWN: [&str; 16] = [
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "MAIL",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "DBUS_SESSION_BUS_ADDRESS",
        "SSH_AUTH_SOCK",
        "SUDO_USER",
        "SUDO_UID",
        "SUDO_GID",
        "SUDO_COMMAND",
    ];

    /// Our end of the pipe; a command without limits has none.
    #[derive(Debug, Default)]
    pub struct Complaints(Option<Receiver>);

    impl Complaints {
        /// Why the command did not start; `None` when it did. To be asked when the child has ended.
        pub async fn read(self) -> Option<Text> {
            let mut message = Vec::new();
            self.0?.take(MESSAGE_MAX).read_to_end(&mut message).await.ok()?;
            let message = String::from_utf8_lossy(&message);
            let (zh, en) = message.split_once('\0')?;
            Some(Text::new(zh, en))
        }
    }

    /// The command under its limits: stdin is taken. It becomes the leader of a session, and so of a
    /// process group, by itself.
    pub fn command(
        settings: &Settings,
        limits: &Limits,
        action: &CommandAction,
    ) -> io::Result<(Command, Complaints)> {
        let (here, there) = io::pipe()?;
        let here = Receiver::from_owned_fd(OwnedFd::from(here))?;
        let mut command = std::process::Command::new(&settings.program);
        command.arg0("timerjobs").arg(NAME);
        let numbers = [
            ("--memory", limits.memory),
            ("--cpu", limits.cpu.map(u64::from)),
            ("--files", limits.files.map(u64::from)),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                command.arg(name).arg(number.to_string());
            }
        }
        if let Some(dir) = &action.workdir {
            command.arg("--dir").arg(dir);
        }
        if let Some(user) = &limits.user {
            command.arg("--user").arg(user);
            for name in OWN {
                command.env_remove(name);
            }
        }
        command.arg("--").args([process::shell_name(), "-c", &action.command]);
        command.stdin(Stdio::from(OwnedFd::from(there)));
        Ok((Command::from(command), Complaints(Some(here))))
    }
}

/// Not reached: `limits` has refused them.
#[cfg(not(unix))]
mod outside {
    use super::Settings;
    use crate::domain::Text;
    use crate::domain::action::CommandAction;
    use crate::domain::action::limits::Limits;
    use std::io;
    use tokio::process::Command;

    #[derive(Debug, Default)]
    pub struct Complaints;

    impl Complaints {
        pub async fn read(self) -> Option<Text> {
            None
        }
    }

    pub fn command(_: &Settings, _: &Limits, _: &CommandAction) -> io::Result<(Command, Complaints)> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
