//! The command mode's keys: the shell line, its surroundings and its limits.

use super::{Errors, Fields, segments, whole};
use crate::domain::action::CommandAction;
use crate::domain::action::limits::{self, CPU_MAX, FILES_MAX, FILES_MIN, Limits};

pub(super) const KEYS: &[&str] =
    &["command", "workdir", "env", "user", "memory", "cpu", "files", "timeout", "times", "interval"];

pub(super) fn read(fields: &Fields, errors: &mut Errors) -> Option<CommandAction> {
    let command = fields.get("command");
    if command.is_none() {
        errors.missing("command", "ls -la");
    }
    let env = env(fields, errors);
    let limits = limits(fields, errors);
    let timeout = fields.timeout(errors);
    let repeat = fields.repeat(errors);
    Some(CommandAction {
        command: command?.to_owned(),
        workdir: workdir(fields, errors),
        env,
        limits,
        timeout: timeout?,
        repeat: repeat?,
    })
}

fn workdir(fields: &Fields, errors: &mut Errors) -> Option<String> {
    let value = fields.get("workdir")?;
    if value.contains(['\n', '\r']) {
        errors.key(
            "workdir",
            value,
            "含有换行，请写在一行内；其他键请另起一行并以【键】开头",
            "holds a line break; write it on one line, and start other lines with their 【key】",
        );
    }
    Some(value.to_owned())
}

fn limits(fields: &Fields, errors: &mut Errors) -> Limits {
    let user = fields.get("user");
    if let Some(value) = user.filter(|value| !limits::is_user(value)) {
        errors.key(
            "user",
            value,
            "应为一个用户名或用户编号，例如 nobody",
            "must be one user's name or number, such as nobody",
        );
    }
    let memory = fields.get("memory");
    let bytes = memory.and_then(limits::parse_memory);
    if let Some(value) = memory.filter(|_| bytes.is_none()) {
        errors.key(
            "memory",
            value,
            "应为带单位的整数，从 16M 到 4T，例如 512M 或 2G",
            "must be a whole number with its unit, from 16M to 4T, such as 512M or 2G",
        );
    }
    Limits {
        user: user.map(str::to_owned),
        memory: bytes,
        cpu: number(fields, errors, "cpu", (1, CPU_MAX), ("的秒数", "seconds"), "60"),
        files: number(fields, errors, "files", (FILES_MIN, FILES_MAX), ("的整数", "open files"), "256"),
    }
}

fn number(
    fields: &Fields,
    errors: &mut Errors,
    key: &str,
    (min, max): (u32, u32),
    (zh, en): (&str, &str),
    example: &str,
) -> Option<u32> {
    let value = fields.get(key)?;
    let number = whole(value).filter(|n| (min..=max).contains(n));
    if number.is_none() {
        errors.key(
            key,
            value,
            format!("应为 {min} 到 {max} {zh}，例如 {example}"),
            format!("must be a whole number of {en} from {min} to {max}, such as {example}"),
        );
    }
    number
}

/// In the order written: a later entry of the same name wins, as in a shell.
fn env(fields: &Fields, errors: &mut Errors) -> Vec<(String, String)> {
    let mut env = Vec::new();
    for segment in fields.get("env").into_iter().flat_map(segments) {
        match segment.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some((name, value)) if is_env_name(name) => env.push((name.to_owned(), value.to_owned())),
            Some(_) => errors.key(
                "env",
                segment,
                "中有一项的变量名无效，只能用英文字母、数字和下划线，且不以数字开头，例如 DEBUG=true",
                "has an entry whose name is not valid; use ASCII letters, digits and _, not a digit first, as in DEBUG=true",
            ),
            None => errors.key(
                "env",
                segment,
                "中有一项缺少等号，应写成 名称=值，多个用 ||| 分隔",
                "has an entry without an equals sign; write NAME=value, and ||| between entries",
            ),
        }
    }
    env
}

/// POSIX, "Name": the only form that every shell can use.
fn is_env_name(s: &str) -> bool {
    s.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
