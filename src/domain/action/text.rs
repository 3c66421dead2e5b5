//! Reads the command text of a job, the 【key】 form or its bare form, into a checked `Action`.
//! The rules are the contract's "The command text". Here the text is cut into keys and values and
//! the keys common to all modes are read; what each mode makes of the rest is `text/<mode>.rs`.
//! All errors of a text are reported at once. It does no work and touches no file or network:
//! a working directory, a host or a function need not exist when the job is written.

mod command;
mod func;
mod http;

#[cfg(test)]
mod form_test;
#[cfg(test)]
#[path = "text_test.rs"]
mod text_test;

use super::{Action, Mode, Repeat};
use crate::domain::{FieldError, Text, secret};
use std::time::Duration;

/// The longest command text, in bytes.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;
/// The most repeats of one run.
pub const MAX_TIMES: u32 = 10_000;
/// The longest `【timeout】` and `【interval】`, in seconds: one day.
pub const MAX_SECONDS: u32 = 86_400;
/// The `【timeout】` of every mode when none is written.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Enough to mend a text by; a hostile text of 8,000 typos is not answered with 8,000 messages.
const MAX_ERRORS: usize = 20;
/// Characters of a bad value that are given back beside the message.
const SHOWN_VALUE_CHARS: usize = 200;
const BOM: char = '\u{feff}';

/// Reads the command text of a job in `mode` (contract, "The command text").
///
/// # Errors
/// Every fault of the text, at most twenty, each under the field `command`, naming the 【key】,
/// what is wrong with it and how to mend it.
pub fn parse(mode: Mode, text: &str) -> Result<Action, Vec<FieldError>> {
    let mut errors = Errors::default();
    let action = read(mode, text, &mut errors);
    match action {
        Some(action) if errors.list.is_empty() => Ok(action),
        _ => Err(errors.list),
    }
}

/// The keys of a command text with their values, in the order written; a bare text is one or two keys.
///
/// Keys have their main name (`headers` for `header`, `arg` for `args`) and occur once: headers written
/// in several places are joined with `|||` at the first of them. Values are trimmed, but for `data`,
/// whose bytes count. An empty value is one that was written without anything.
///
/// `None`: the text cannot be taken apart without an error (an unknown key, one that is given twice,
/// text before the first key, too long, a NUL), so a form would lose something. Whether the values are
/// any good is not looked at: a form exists to mend them.
pub fn form(mode: Mode, text: &str) -> Option<Vec<(&'static str, String)>> {
    let mut errors = Errors::default();
    let fields = fields(mode, text, &mut errors)?;
    if !errors.list.is_empty() {
        return None;
    }
    let mut form: Vec<(&'static str, String)> = Vec::with_capacity(fields.list.len());
    for (key, value) in fields.list {
        let value = if key == "data" { http::without_line_end(value) } else { value.trim() };
        match form.iter_mut().find(|(earlier, _)| *earlier == key) {
            Some((_, all)) if !value.is_empty() => {
                let between = if all.is_empty() { "" } else { "|||" };
                all.push_str(between);
                all.push_str(value);
            }
            Some(_) => {}
            None => form.push((key, value.to_owned())),
        }
    }
    Some(form)
}

/// The keys of a mode, aliases included, in the order in which they are documented.
pub fn known_keys(mode: Mode) -> &'static [&'static str] {
    match mode {
        Mode::Http => http::KEYS,
        Mode::Command => command::KEYS,
        Mode::Func => func::KEYS,
    }
}

/// The parts of `K:V|||K:V`, trimmed, without the empty ones.
fn segments(value: &str) -> impl Iterator<Item = &str> {
    value.split("|||").map(str::trim).filter(|s| !s.is_empty())
}

fn read(mode: Mode, text: &str, errors: &mut Errors) -> Option<Action> {
    let fields = fields(mode, text, errors)?;
    match mode {
        Mode::Http => http::read(&fields, errors).map(|http| Action::Http(Box::new(http))),
        Mode::Command => command::read(&fields, errors).map(Action::Command),
        Mode::Func => func::read(&fields, errors).map(Action::Func),
    }
}

/// The keys and values of a text; `None` when it is not even looked into.
fn fields<'a>(mode: Mode, text: &'a str, errors: &mut Errors) -> Option<Fields<'a>> {
    if text.len() > MAX_TEXT_BYTES {
        let size = text.len();
        errors.plain(
            text,
            format!("命令内容有 {size} 字节，超过上限 {MAX_TEXT_BYTES} 字节，请缩短"),
            format!("the command text has {size} bytes; shorten it to {MAX_TEXT_BYTES}"),
        );
        return None;
    }
    if text.contains('\0') {
        errors.plain(
            text,
            "命令内容含有 NUL 字符（\\0），请删除",
            "the command text holds a NUL character (\\0); remove it",
        );
        return None;
    }
    if let Some(fault) = secret::fault(text) {
        errors.plain(text, fault.zh, fault.en);
    }
    let text = text.trim_start_matches(|c: char| c == BOM || c.is_whitespace());
    Some(split(mode, text, errors))
}

/// Cuts the text at its key lines. A text without one is bare: a shell command may well print
/// 【通知】, so a bracket alone does not make a text the 【key】 form. A mistyped key ends the value
/// before it too, so that one typo does not spoil two keys.
fn split<'a>(mode: Mode, text: &'a str, errors: &mut Errors) -> Fields<'a> {
    let mut fields = Fields::default();
    let mut preface = text;
    let mut open: Option<(Option<&'static str>, usize)> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some(word) = key_word(line) {
            let key = find_key(mode, word);
            if key.is_none() {
                errors.unknown_key(mode, word, line);
            }
            match open.replace((key, start + "【】".len() + word.len())) {
                Some((previous, from)) => fields.add(previous, &text[from..start], errors),
                None => preface = &text[..start],
            }
        }
        start += line.len();
    }
    if let Some((last, from)) = open {
        fields.add(last, &text[from..], errors);
    }
    let preface = preface.trim();
    if fields.list.is_empty() {
        return bare(mode, preface);
    }
    if !preface.is_empty() {
        let main = main_key(mode);
        errors.plain(
            preface,
            format!("第一个【键】之前有多余的文字，请删除，或在它前面写上【{main}】"),
            format!("there is text before the first 【key】; remove it, or write 【{main}】 in front of it"),
        );
    }
    fields
}

/// The bare form: the URL, the whole command, or `Name arg,arg`.
fn bare(mode: Mode, text: &str) -> Fields<'_> {
    let list = match mode {
        Mode::Func => match text.split_once(char::is_whitespace) {
            Some((name, args)) => vec![("name", name), ("arg", args)],
            None => vec![("name", text)],
        },
        _ => vec![(main_key(mode), text)],
    };
    Fields { list }
}

fn main_key(mode: Mode) -> &'static str {
    match mode {
        Mode::Http => "url",
        Mode::Command => "command",
        Mode::Func => "name",
    }
}

/// The word of a line that starts with 【word】, in ASCII letters.
fn key_word(line: &str) -> Option<&str> {
    let (word, _) = line.strip_prefix('【')?.split_once('】')?;
    (!word.is_empty() && word.bytes().all(|b| b.is_ascii_alphabetic())).then_some(word)
}

fn find_key(mode: Mode, word: &str) -> Option<&'static str> {
    known_keys(mode).iter().copied().find(|key| key.eq_ignore_ascii_case(word))
}

/// The keys of a text with their values as written, in the order written.
#[derive(Debug, Default)]
struct Fields<'a> {
    list: Vec<(&'static str, &'a str)>,
}

impl<'a> Fields<'a> {
    /// Takes a key's value; one without a known key is dropped, its error is already told.
    fn add(&mut self, key: Option<&'static str>, value: &'a str, errors: &mut Errors) {
        let key = match key {
            Some("header") => "headers",
            Some("args") => "arg",
            Some(other) => other,
            None => return,
        };
        if key != "headers" && self.raw(key).is_some() {
            errors.key(key, value.trim(), "写了不止一次，请只保留一个", "is given more than once; keep one");
            return;
        }
        self.list.push((key, value));
    }

    fn all(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.list.iter().filter(move |(k, _)| *k == key).map(|(_, value)| *value)
    }

    fn raw(&self, key: &str) -> Option<&'a str> {
        self.all(key).next()
    }

    /// The trimmed value. A key without a value counts as absent, so that a template may list
    /// every key and leave some empty.
    fn get(&self, key: &str) -> Option<&'a str> {
        self.raw(key).map(str::trim).filter(|v| !v.is_empty())
    }

    fn timeout(&self, errors: &mut Errors) -> Option<Duration> {
        let Some(value) = self.get("timeout") else { return Some(DEFAULT_TIMEOUT) };
        let timeout = seconds(value).filter(|t| !t.is_zero());
        if timeout.is_none() {
            errors.key(
                "timeout",
                value,
                format!("应为大于 0、不超过 {MAX_SECONDS} 的秒数，例如 30 或 1.5"),
                format!("must be seconds above 0 and at most {MAX_SECONDS}, such as 30 or 1.5"),
            );
        }
        timeout
    }

    fn repeat(&self, errors: &mut Errors) -> Option<Repeat> {
        let times = self.get("times").map_or(Some(1), |value| {
            let times = whole(value).filter(|n| *n <= MAX_TIMES);
            if times.is_none() {
                errors.key(
                    "times",
                    value,
                    format!("应为 0 到 {MAX_TIMES} 的整数，例如 3（0 即一次）"),
                    format!("must be a whole number from 0 to {MAX_TIMES}, such as 3 (0 means once)"),
                );
            }
            times
        });
        let interval = self.get("interval").map_or(Some(Duration::ZERO), |value| {
            let interval = seconds(value);
            if interval.is_none() {
                errors.key(
                    "interval",
                    value,
                    format!("应为 0 到 {MAX_SECONDS} 的秒数，例如 5 或 0.5"),
                    format!("must be seconds from 0 to {MAX_SECONDS}, such as 5 or 0.5"),
                );
            }
            interval
        });
        Some(Repeat { times: times?.max(1), interval: interval? })
    }
}

fn whole(value: &str) -> Option<u32> {
    // `u32::from_str` would take `+3` as well.
    value.bytes().all(|b| b.is_ascii_digit()).then(|| value.parse().ok()).flatten()
}

/// Decimal seconds, at most a day. `1e3`, `inf` and `NaN`, which f64 reads, are not seconds here.
fn seconds(value: &str) -> Option<Duration> {
    if !value.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let seconds: f64 = value.parse().ok()?;
    if seconds > f64::from(MAX_SECONDS) {
        return None;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// Collects the faults of one text.
#[derive(Debug, Default)]
struct Errors {
    list: Vec<FieldError>,
}

impl Errors {
    /// A fault of the text as a whole.
    fn plain(&mut self, value: &str, zh: impl Into<String>, en: impl Into<String>) {
        if self.list.len() < MAX_ERRORS {
            let shown: String = value.chars().take(SHOWN_VALUE_CHARS).collect();
            self.list.push(FieldError::new("command", Text::new(zh, en), shown));
        }
    }

    /// A fault of one key; the messages read on from its name.
    fn key(&mut self, key: &str, value: &str, zh: impl AsRef<str>, en: impl AsRef<str>) {
        self.plain(value, format!("【{key}】{}", zh.as_ref()), format!("【{key}】 {}", en.as_ref()));
    }

    fn missing(&mut self, key: &str, example: &str) {
        self.key(
            key,
            "",
            format!("不能为空，请写一行，例如【{key}】{example}"),
            format!("is required; add a line such as 【{key}】{example}"),
        );
    }

    fn unknown_key(&mut self, mode: Mode, word: &str, line: &str) {
        if self.list.len() >= MAX_ERRORS {
            return;
        }
        let name = mode.as_str();
        let known = known_keys(mode).iter().map(|k| format!("【{k}】")).collect::<Vec<_>>().join(" ");
        let (hint_zh, hint_en) = if let Some(near) = nearest(mode, word) {
            (format!("是不是想写【{near}】？"), format!("did you mean 【{near}】? "))
        } else if let Some(other) = Mode::ALL.into_iter().find(|m| find_key(*m, word).is_some()) {
            let other = other.as_str();
            (format!("它属于 {other} 模式。"), format!("it belongs to mode {other}. "))
        } else {
            (String::new(), String::new())
        };
        self.key(
            word,
            line.trim(),
            format!(
                "不是 {name} 模式的键。{hint_zh}可用的键：{known}。如果它是内容的一部分，请不要让它出现在行首"
            ),
            format!(
                "is not a key of mode {name}: {hint_en}The keys are {known}. If it is part of a value, put \
                 something before it on its line"
            ),
        );
    }
}

/// The key of the mode that a typo is near to: one edit away (two letters that changed places are
/// one), two for longer words.
fn nearest(mode: Mode, word: &str) -> Option<&'static str> {
    // Longer than any key plus its edits: not a typo, and not worth the quadratic distance.
    if word.len() > 12 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let allowed = if word.len() <= 4 { 1 } else { 2 };
    known_keys(mode)
        .iter()
        .map(|key| (strsim::osa_distance(&word, key), *key))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}
