//! The func mode's keys: the function's name and its arguments.

use super::{Errors, Fields};
use crate::domain::action::FuncAction;
use serde_json::Value;

pub(super) const KEYS: &[&str] = &["name", "arg", "args", "timeout", "times", "interval"];

/// The longest function name, in characters.
const MAX_NAME_CHARS: usize = 100;

pub(super) fn read(fields: &Fields, errors: &mut Errors) -> Option<FuncAction> {
    let name = name(fields, errors);
    let raw_args = fields.get("arg").unwrap_or_default();
    let args = split_args(raw_args);
    if args.is_none() {
        errors.key(
            "arg",
            raw_args,
            "中有未闭合的双引号，请补上，或写成 \\\"",
            "has a double quote that is not closed; close it, or write it as \\\"",
        );
    }
    let timeout = fields.timeout(errors);
    let repeat = fields.repeat(errors);
    Some(FuncAction {
        name: name?,
        args: args?,
        raw_args: raw_args.to_owned(),
        timeout: timeout?,
        repeat: repeat?,
    })
}

fn name(fields: &Fields, errors: &mut Errors) -> Option<String> {
    let Some(name) = fields.get("name") else {
        errors.missing("name", "Hello");
        return None;
    };
    if name.chars().count() > MAX_NAME_CHARS {
        errors.key(
            "name",
            name,
            format!("超过 {MAX_NAME_CHARS} 个字符，请缩短"),
            format!("is longer than {MAX_NAME_CHARS} characters; shorten it"),
        );
        return None;
    }
    if !name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.') {
        errors.key(
            "name",
            name,
            "只能包含文字、数字、下划线和点；参数请写到【arg】，例如【arg】1,2",
            "may hold letters, digits, _ and . only; arguments go into 【arg】, such as 【arg】1,2",
        );
        return None;
    }
    Some(name.to_owned())
}

/// The arguments of a text: a JSON array as it is, else the pieces between commas. `None` when
/// a quote stays open.
///
/// Quotes protect commas wherever they stand, but only those around a whole argument are removed:
/// `{"data":"value"}`, which the seed's Webhook takes, would otherwise lose them.
fn split_args(raw: &str) -> Option<Vec<Value>> {
    if raw.is_empty() {
        return Some(Vec::new());
    }
    if raw.starts_with('[')
        && let Ok(list) = serde_json::from_str(raw)
    {
        return Some(list);
    }
    let mut args = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in raw.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                args.push(argument(&raw[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    args.push(argument(&raw[start..]));
    (!quoted).then_some(args)
}

fn argument(piece: &str) -> Value {
    let piece = piece.trim();
    Value::String(match wrapped(piece) {
        Some(inner) => unescape(inner, false),
        None => unescape(piece, true),
    })
}

/// What stands between the quotes when they enclose the whole piece.
fn wrapped(piece: &str) -> Option<&str> {
    let inner = piece.strip_prefix('"')?.strip_suffix('"')?;
    let mut escaped = false;
    for byte in inner.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return None,
            _ => {}
        }
    }
    (!escaped).then_some(inner)
}

/// Takes the backslash from before a comma, a quote and a backslash; before anything else it
/// means itself, so `C:\temp` needs no care. With `keep_quoted`, text inside quotes is left as it
/// is: JSON has escapes of its own.
fn unescape(s: &str, keep_quoted: bool) -> String {
    let mut out = String::with_capacity(s.len());
    let mut quoted = false;
    let mut chars = s.chars();
    while let Some(c) = chars.next() {
        if c == '"' {
            quoted = !quoted;
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(next @ (',' | '"' | '\\')) if !(keep_quoted && quoted) => out.push(next),
            Some(next) => out.extend(['\\', next]),
            None => out.push('\\'),
        }
    }
    out
}
