//! The other half, in the child: sets limits and user on itself and becomes the command. It runs before
//! the command line is parsed, without threads, runtime or settings.

use super::VARIABLE;
use crate::domain::Text;
use nix::unistd::{Gid, Uid, User, execve, initgroups, setgid, setuid};
use rustix::process::{Resource, Rlimit};
use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

/// Nobody but a person who calls this by hand sees it.
const FAILED: u8 = 125;
/// Descriptors below this are those that every program has.
const FIRST_OWN: i32 = 3;
/// Between SIGXCPU and KILL for a command that does not heed the first.
const CPU_GRACE: u64 = 2;

/// Becomes the command; comes back only when that fails.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(complaints) = take_complaints() else { return ExitCode::from(FAILED) };
    let why = Order::read(arguments).map_or_else(bad_order, Order::carry_out);
    // The server may be gone; there is nobody else to tell.
    let _ = File::from(complaints).write_all(format!("{}\0{}", why.zh, why.en).as_bytes());
    ExitCode::from(FAILED)
}

/// Moves the pipe from fd 0 to one that closes when the command starts, and gives that an empty stdin.
fn take_complaints() -> Option<OwnedFd> {
    let complaints = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), FIRST_OWN).ok()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null").ok()?).ok()?;
    Some(complaints)
}

/// What `outside` asks for.
#[derive(Debug, Default)]
struct Order {
    user: Option<String>,
    memory: Option<u64>,
    cpu: Option<u64>,
    files: Option<u64>,
    dir: Option<OsString>,
    command: Vec<OsString>,
}

impl Order {
    fn read(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut order = Self::default();
        loop {
            let name = arguments.next()?;
            if name == "--" {
                order.command = arguments.collect();
                return (!order.command.is_empty()).then_some(order);
            }
            let value = arguments.next()?;
            let number = || value.to_str()?.parse().ok();
            match name.to_str()? {
                "--user" => order.user = Some(value.into_string().ok()?),
                "--memory" => order.memory = Some(number()?),
                "--cpu" => order.cpu = Some(number()?),
                "--files" => order.files = Some(number()?),
                "--dir" => order.dir = Some(value),
                _ => return None,
            }
        }
    }

    fn carry_out(self) -> Text {
        self.prepare().map_or_else(|why| why, |image| image.become_it())
    }

    /// The limit of memory comes last: this program may already have more than it.
    fn prepare(&self) -> Result<Image, Text> {
        let mut environment = own_variables();
        // Away from the server's terminal: the command of another user could type into it.
        let _ = rustix::process::setsid();
        if let Some(name) = &self.user {
            become_user(name, &mut environment)?;
        }
        self.enter()?;
        let image = Image::of(&self.command, &environment)?;
        limit(Resource::Cpu, self.cpu, CPU_GRACE)?;
        limit(Resource::Nofile, self.files, 0)?;
        limit(Resource::As, self.memory, 0)?;
        Ok(image)
    }

    /// As the user, whose directory it must be. Without 【workdir】 the server's own, where the user may
    /// enter it.
    fn enter(&self) -> Result<(), Text> {
        let Some(dir) = &self.dir else {
            if self.user.is_some() && std::env::set_current_dir(".").is_err() {
                return std::env::set_current_dir("/").map_err(|cause| no_folder(Path::new("/"), &cause));
            }
            return Ok(());
        };
        let dir = Path::new(dir);
        std::env::set_current_dir(dir).map_err(|cause| no_folder(dir, &cause))
    }
}

/// What the command is to see: the job's variables under their names, beside ours; the marks of its
/// processes stay ours.
fn own_variables() -> BTreeMap<OsString, OsString> {
    let wrapped = |name: &OsString| Some(OsString::from(name.to_str()?.strip_prefix(VARIABLE)?));
    let (jobs, mut own): (BTreeMap<_, _>, BTreeMap<_, _>) =
        std::env::vars_os().partition(|(name, _)| wrapped(name).is_some());
    for (name, value) in jobs.iter().filter_map(|(name, value)| Some((wrapped(name)?, value))) {
        let is_mark = name.to_str().is_some_and(|name| name.starts_with("TJ_")) && own.contains_key(&name);
        if !is_mark {
            own.insert(name, value.clone());
        }
    }
    own
}

/// All that the command is made of, made before the limit of memory: after it there may be none.
struct Image {
    program: OsString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Image {
    fn of(command: &[OsString], environment: &BTreeMap<OsString, OsString>) -> Result<Self, Text> {
        let text = |bytes: Vec<u8>| CString::new(bytes).map_err(|_| bad_order());
        let arguments = command.iter().map(|part| text(part.as_bytes().to_vec()));
        let variables =
            environment.iter().map(|(name, value)| text([name.as_bytes(), b"=", value.as_bytes()].concat()));
        Ok(Self {
            program: command.first().cloned().ok_or_else(bad_order)?,
            arguments: arguments.collect::<Result<_, _>>()?,
            environment: variables.collect::<Result<_, _>>()?,
        })
    }

    /// Comes back only when that fails.
    fn become_it(&self) -> Text {
        let Some(program) = self.arguments.first() else { return bad_order() };
        let Err(cause) = execve(program, &self.arguments, &self.environment);
        not_started(&self.program, &cause.into())
    }
}

/// Takes on a user's groups, number and environment, for good.
fn become_user(name: &str, environment: &mut BTreeMap<OsString, OsString>) -> Result<(), Text> {
    let found = User::from_name(name).and_then(|found| match (found, name.parse()) {
        (None, Ok(uid)) => User::from_uid(Uid::from_raw(uid)),
        (found, _) => Ok(found),
    });
    let user = found.map_err(|e| unknown(name, &e.to_string()))?.ok_or_else(|| unknown(name, "ENOENT"))?;
    if user.uid != Uid::effective() || user.gid != Gid::effective() {
        // A command that opens /dev/stderr by its name would be refused its own pipe.
        let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
        for pipe in [rustix::stdio::stdout(), rustix::stdio::stderr()] {
            hand_over(&pipe, uid, gid);
        }
        change(&user).map_err(|e| no_change(&user.name, e))?;
    }
    let home = user.dir.into_os_string();
    for (name, value) in [
        ("HOME", home),
        ("USER", user.name.clone().into()),
        ("LOGNAME", user.name.into()),
        // As cron does: that of a service's user often lets nobody in.
        ("SHELL", "/bin/sh".into()),
    ] {
        // The server's have been taken away; what is there is the job's own.
        environment.entry(name.into()).or_insert(value);
    }
    Ok(())
}

fn hand_over(pipe: &impl AsFd, uid: u32, gid: u32) {
    let kind = rustix::fs::fstat(pipe).map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode));
    // A person who tries this by hand keeps the terminal.
    if kind != Ok(rustix::fs::FileType::Fifo) {
        return;
    }
    let owner = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    // Without it the command works all the same, as long as it writes to the descriptors it has.
    let _ = rustix::fs::fchown(pipe, Some(owner.0), Some(owner.1));
}

/// Groups first, the user last: afterwards nothing else may be changed.
fn change(user: &User) -> nix::Result<()> {
    let name = CString::new(user.name.as_str()).map_err(|_| nix::Error::EINVAL)?;
    supplementary(&name, user.gid)?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    if user.uid.is_root() {
        return Ok(());
    }
    drop_capabilities()?;
    // Believing a change that did not happen would run the command as the server's user.
    let is_changed = Uid::current() == user.uid && Uid::effective() == user.uid;
    if !is_changed
        || Gid::current() != user.gid
        || Gid::effective() != user.gid
        || setuid(Uid::from_raw(0)).is_ok()
    {
        return Err(nix::Error::EPERM);
    }
    Ok(())
}

#[cfg(not(target_vendor = "apple"))]
fn supplementary(name: &CString, group: Gid) -> nix::Result<()> {
    initgroups(name, group)
}

#[cfg(target_vendor = "apple")]
fn supplementary(_: &CString, _: Gid) -> nix::Result<()> {
    Err(nix::Error::ENOTSUP)
}

/// A server that is not root but may change users (CAP_SETUID) would hand that power on.
fn drop_capabilities() -> nix::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
        set_capabilities(None, sets).map_err(|e| nix::Error::from_raw(e.raw_os_error()))?;
    }
    Ok(())
}

/// The limit, with `grace` between the one that warns and the one that ends; an own lower one stays.
fn limit(resource: Resource, asked: Option<u64>, grace: u64) -> Result<(), Text> {
    let Some(asked) = asked else { return Ok(()) };
    let now = rustix::process::getrlimit(resource);
    let most = now.maximum.map_or(asked + grace, |most| most.min(asked + grace));
    let limits = Rlimit { current: Some(asked.min(most)), maximum: Some(most) };
    rustix::process::setrlimit(resource, limits).map_err(|cause| {
        Text::new(
            format!("无法设置资源上限 {resource:?} {asked}：{cause}"),
            format!("the limit {resource:?} {asked} cannot be set: {cause}"),
        )
    })
}

fn bad_order() -> Text {
    Text::new(
        format!("{} 的参数有误；它只由 TimerJobs 自己使用", super::NAME),
        format!("the arguments of {} are wrong; it is for TimerJobs itself", super::NAME),
    )
}

fn unknown(name: &str, cause: &str) -> Text {
    if cause == "ENOENT" {
        return Text::new(
            format!("此系统没有用户 {name}，请创建，或修改【user】（commands.run_as）"),
            format!(
                "there is no user {name} on this machine; make one, or change 【user】 (commands.run_as)"
            ),
        );
    }
    Text::new(
        format!("无法查找用户 {name}：{cause}"),
        format!("the user {name} could not be looked up: {cause}"),
    )
}

fn no_change(name: &str, cause: nix::Error) -> Text {
    let own = User::from_uid(Uid::effective())
        .ok()
        .flatten()
        .map_or_else(|| Uid::effective().to_string(), |u| u.name);
    let cause = cause.desc();
    Text::new(
        format!(
            "服务以 {own} 身份运行，不能以 {name} 身份执行命令（{cause}）；请以 root 启动服务，或去掉【user】（commands.run_as）"
        ),
        format!(
            "the server runs as {own} and cannot run a command as {name} ({cause}); start the server as root, or leave out 【user】 (commands.run_as)"
        ),
    )
}

fn no_folder(dir: &Path, cause: &io::Error) -> Text {
    let dir = dir.display();
    if cause.kind() == io::ErrorKind::NotADirectory {
        return Text::new(
            format!("工作目录 {dir} 不是目录"),
            format!("the working directory {dir} is not a directory"),
        );
    }
    Text::new(
        format!("工作目录 {dir} 无法使用：{cause}"),
        format!("the working directory {dir} cannot be used: {cause}"),
    )
}

fn not_started(program: &OsString, cause: &io::Error) -> Text {
    let program = program.display();
    Text::new(
        format!("命令无法启动（{program}）：{cause}"),
        format!("the command could not be started ({program}): {cause}"),
    )
}
