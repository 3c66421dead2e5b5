//! `${secret:NAME}` in the texts of jobs: where it stands, and how a value takes its place without
//! becoming anything but a value. Who keeps the values is `vault`; the shell's quotes are `secret/shell`.

mod shell;

use super::Text;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use url::{Position, Url};

pub use shell::{PREFIX as SHELL_PREFIX, with_variables};

/// What a secret in a text begins with.
pub const OPEN: &str = "${secret:";
/// The longest name, in characters.
const NAME_MAX: usize = 64;
/// The shortest value, in bytes: a shorter one could not be masked without making output unreadable.
pub const VALUE_MIN: usize = 4;
/// The longest value, in bytes: Linux takes no more than 128 KiB in one variable.
pub const VALUE_MAX: usize = 32 << 10;

/// What stays as it is in a user name, a password or a host of a URL.
const IN_AUTHORITY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same in its path or query: a value may be several segments, as webhooks of chats have them.
const IN_PATH: &AsciiSet = &IN_AUTHORITY.remove(b'/');

/// Values by name.
pub type Values = BTreeMap<String, String>;

/// Whether a secret may be called so: a letter or `_`, then letters, digits and `_`; at most 64.
pub fn is_name(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(word) && !name.as_bytes()[0].is_ascii_digit()
}

/// Whether a text asks for any.
pub fn is_in(text: &str) -> bool {
    text.contains(OPEN)
}

/// The names that a text asks for.
pub fn names(text: &str) -> BTreeSet<&str> {
    Parts(text).filter_map(|part| if let Part::Secret(name) = part { Some(name) } else { None }).collect()
}

/// What is wrong with a text that begins `${secret:` without naming a secret.
pub fn fault(text: &str) -> Option<Text> {
    Parts(text).find(|part| *part == Part::Broken).map(|_| {
        Text::new(
            "${secret:名称} 的名称须由字母、数字和下划线组成，不以数字开头，最多 64 个字符，并以 } 结束",
            "${secret:NAME}: a name is letters, digits and underscores, not a digit first, at most 64, and ends with }",
        )
    })
}

/// The text with each secret as it is. A name without a value stays.
pub fn fill<'a>(text: &'a str, values: &Values) -> Cow<'a, str> {
    replace(text, |_, name| values.get(name).map(|value| value.clone().into()))
}

/// The text of a URL with its secrets as parts of it. One that the URL begins with is taken as it is: it
/// may be the whole URL.
pub fn fill_url<'a>(text: &'a str, values: &Values) -> Cow<'a, str> {
    replace(text, |before, name| {
        let value = values.get(name)?;
        if before.is_empty() {
            return Some(value.clone().into());
        }
        let authority = before.split_once("://").is_some_and(|(_, rest)| !rest.contains(['/', '?', '#']));
        let set = if authority { IN_AUTHORITY } else { IN_PATH };
        Some(utf8_percent_encode(value, set).to_string().into())
    })
}

/// A URL that the text could become, to see what is wrong with the rest of it.
pub fn sample_url(text: &str) -> Cow<'_, str> {
    replace(text, |before, name| {
        let whole = "https://secret.invalid";
        Some(if before.is_empty() { whole.into() } else { name.to_owned().into() })
    })
}

/// A path of a URL that is shorter tells nothing, and would be masked wherever it stands.
const PATH_MIN: usize = 8;

/// The forms in which a value can come back in what a run leaves. None has a line break: a key of several
/// lines is looked for line by line.
pub fn traces(value: &str) -> Vec<String> {
    let mut all: Vec<String> =
        value.lines().flat_map(|line| [line, line.trim()]).map(str::to_owned).collect();
    all.extend([IN_AUTHORITY, IN_PATH].map(|set| utf8_percent_encode(value, set).to_string()));
    // A whole URL comes back as it is understood, and of a redirect its path may be left.
    if let Ok(url) = Url::parse(value.trim())
        && url.has_host()
    {
        let path = &url[Position::BeforePath..];
        if path.len() >= PATH_MIN {
            all.extend([path.to_owned(), utf8_percent_encode(path, IN_PATH).to_string()]);
        }
        all.push(url.as_str().to_owned());
    }
    // In a JSON text, without the quotes around it.
    let json = serde_json::Value::from(value).to_string();
    all.push(json[1..json.len() - 1].to_owned());
    all.retain(|trace| trace.len() >= VALUE_MIN);
    all.sort_unstable();
    all.dedup();
    all
}

fn replace<'a>(text: &'a str, value: impl Fn(&str, &str) -> Option<Cow<'a, str>>) -> Cow<'a, str> {
    if !is_in(text) {
        return text.into();
    }
    let mut filled = String::with_capacity(text.len());
    let mut at = 0;
    for part in Parts(text) {
        let source = part.source(&text[at..]);
        match part {
            Part::Secret(name) => {
                filled.push_str(&value(&text[..at], name).unwrap_or_else(|| source.to_owned().into()));
            }
            Part::Text(_) | Part::Broken => filled.push_str(source),
        }
        at += source.len();
    }
    filled.into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Secret(&'a str),
    /// The beginning of a secret that names none.
    Broken,
}

impl Part<'_> {
    /// What was written for it, at the start of `rest`.
    fn source<'t>(&self, rest: &'t str) -> &'t str {
        let length = match self {
            Self::Text(text) => text.len(),
            Self::Secret(name) => OPEN.len() + name.len() + 1,
            Self::Broken => OPEN.len(),
        };
        &rest[..length]
    }
}

/// A text cut at its secrets.
struct Parts<'a>(&'a str);

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let rest = self.0;
        let part = match rest.strip_prefix(OPEN) {
            _ if rest.is_empty() => return None,
            None => Part::Text(&rest[..rest.find(OPEN).unwrap_or(rest.len())]),
            Some(after) => match after.split_once('}') {
                Some((name, _)) if is_name(name) => Part::Secret(name),
                _ => Part::Broken,
            },
        };
        self.0 = &rest[part.source(rest).len()..];
        Some(part)
    }
}

#[cfg(test)]
#[path = "secret/secret_test.rs"]
mod tests;
