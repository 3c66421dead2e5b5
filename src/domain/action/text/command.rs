//! The command mode's keys: the shell line and its surroundings.

use super::{Errors, Fields, segments};
use crate::domain::action::CommandAction;

pub(super) const KEYS: &[&str] = &["command", "workdir", "env", "timeout", "times", "interval"];

pub(super) fn read(fields: &Fields, errors: &mut Errors) -> Option<CommandAction> {
    let command = fields.get("command");
    if command.is_none() {
        errors.missing("command", "ls -la");
    }
    let env = env(fields, errors);
    let timeout = fields.timeout(errors);
    let repeat = fields.repeat(errors);
    Some(CommandAction {
        command: command?.to_owned(),
        workdir: workdir(fields, errors),
        env,
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
