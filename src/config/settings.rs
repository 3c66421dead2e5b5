//! Reads the settings as text from file, environment and flags, and types them; what is wrong is
//! collected and told together.

use super::list::{SETTINGS, Setting};
use super::{ConfigError, Flags, suggest};
use crate::domain::access;
use ipnet::IpNet;
use std::collections::HashMap;
use std::path::Path;

/// The settings as text, each with where it was read.
#[derive(Debug, Default)]
pub(super) struct Values {
    given: HashMap<&'static str, (String, String)>,
    /// What is wrong with the file, beside its values.
    problems: Vec<String>,
}

impl Values {
    /// File < environment < flag.
    pub fn read(flags: &Flags, env: impl Fn(&str) -> Option<String>) -> Self {
        let mut values = Self::default();
        if let Some(path) = flags.file() {
            values.read_file(&path);
        }
        values.read_env(env);
        if let Some(host) = &flags.host {
            values.set("server.host", host.clone(), "--host");
        }
        if let Some(port) = flags.port {
            values.set("server.port", port.to_string(), "--port");
        }
        values
    }

    pub fn set(&mut self, key: &str, value: String, origin: impl Into<String>) {
        if let Some(setting) = SETTINGS.iter().find(|s| s.key == key) {
            self.given.insert(setting.key, (value, origin.into()));
        }
    }

    /// An empty variable counts as not set, except that an empty list is a list.
    pub fn read_env(&mut self, env: impl Fn(&str) -> Option<String>) {
        for setting in SETTINGS {
            for name in setting.env {
                let may_be_empty = setting.key.starts_with("ip_control.");
                if let Some(value) = env(name).filter(|v| may_be_empty || !v.trim().is_empty()) {
                    self.set(setting.key, value, *name);
                    break;
                }
            }
        }
    }

    /// Reads a TOML file; unknown keys and values that are no scalar or list are errors with their line.
    fn read_file(&mut self, path: &Path) {
        let shown = super::shown(path);
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) => return self.problems.push(format!("{shown}: {e}")),
        };
        let table = match toml::de::DeTable::parse(&text) {
            Ok(table) => table,
            Err(e) => {
                let (line, what) =
                    (e.span().map_or(1, |at| line_at(&text, at.start)), e.message().trim_end());
                return self.problems.push(format!("{shown}:{line}: {what}"));
            }
        };
        let mut errors = Vec::new();
        let line_of = |offset: usize| line_at(&text, offset);
        for (section, value) in table.get_ref() {
            let Some(entries) = value.get_ref().as_table() else {
                let what = format!("`{}` stands outside a section such as [server]", section.get_ref());
                errors.push((line_of(section.span().end), what));
                continue;
            };
            for (name, value) in entries {
                let key = format!("{}.{}", section.get_ref(), name.get_ref());
                let at = line_of(name.span().end);
                if !SETTINGS.iter().any(|s| s.key == key) {
                    errors.push((at, format!("unknown setting `{key}`{}", suggest::did_you_mean(&key))));
                } else if let Some(text) = scalar(value.get_ref()) {
                    self.set(&key, text, format!("{shown}:{at}"));
                } else {
                    errors.push((
                        at,
                        format!("`{key}` must be a text, a number, true, false or a list of texts"),
                    ));
                }
            }
        }
        // In the order of the file.
        errors.sort_by_key(|(line, _)| *line);
        self.problems.extend(errors.into_iter().map(|(line, what)| format!("{shown}:{line}: {what}")));
    }

    /// What differs from its default, with where it was read.
    pub fn given(&self) -> impl Iterator<Item = (&'static Setting, &str, &str)> {
        SETTINGS.iter().filter_map(|setting| {
            let (value, origin) = self.given.get(setting.key)?;
            (value.trim() != setting.default).then(|| (setting, value.trim(), origin.as_str()))
        })
    }

    /// Every setting's text, given or default, in the order of the list.
    pub fn resolved(&self) -> Vec<String> {
        let reader = self.reader();
        SETTINGS.iter().map(|s| reader.text(s.key)).collect()
    }

    /// Where each was read, in the order of the list.
    pub fn origins(&self) -> Vec<String> {
        let reader = self.reader();
        SETTINGS.iter().map(|s| reader.raw(s.key).1).collect()
    }

    pub fn reader(&self) -> Reader<'_> {
        Reader { values: self, errors: self.problems.clone() }
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text[..offset.min(text.len())].lines().count().max(1)
}

fn scalar(value: &toml::de::DeValue<'_>) -> Option<String> {
    use toml::de::DeValue;
    match value {
        DeValue::String(s) => Some(s.to_string()),
        DeValue::Integer(n) => Some(n.as_str().to_owned()),
        DeValue::Float(n) => Some(n.as_str().to_owned()),
        DeValue::Boolean(b) => Some(b.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(|item| scalar(item.get_ref())).collect();
            items.map(|items| items.join(","))
        }
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

/// Types the values and collects what is wrong with them.
pub(super) struct Reader<'a> {
    values: &'a Values,
    errors: Vec<String>,
}

impl Reader<'_> {
    pub fn text(&self, key: &str) -> String {
        self.raw(key).0.trim().to_owned()
    }

    pub fn list(&self, key: &str) -> Vec<String> {
        self.text(key).split([',', ' ']).map(str::trim).filter(|e| !e.is_empty()).map(str::to_owned).collect()
    }

    pub fn flag(&mut self, key: &str) -> bool {
        self.checked(key, |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err("use true or false".into()),
        })
    }

    pub fn number(&mut self, key: &str, min: u64, max: u64) -> u64 {
        self.checked(key, |text| match text.parse() {
            Ok(n) if (min..=max).contains(&n) => Ok(n),
            _ => Err(format!("use a whole number from {min} to {max}")),
        })
    }

    pub fn nets(&mut self, key: &str) -> Vec<IpNet> {
        self.checked(key, |text| {
            access::parse_list(text).map_err(|bad| format!("`{bad}` is no address or CIDR block"))
        })
    }

    /// The typed value; when it is bad, its error is kept and the type's default stands in until
    /// `finish` refuses the whole.
    pub fn checked<T: Default>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        let (value, origin) = self.raw(key);
        parse(value.trim()).unwrap_or_else(|mend| {
            let secret = SETTINGS.iter().any(|s| s.key == key && s.secret);
            let shown = if secret { "***" } else { value.trim() };
            self.error(format!("{key} = `{shown}` (from {origin}): {mend}"));
            T::default()
        })
    }

    pub fn error(&mut self, line: String) {
        self.errors.push(line);
    }

    pub fn finish(self) -> Result<(), ConfigError> {
        if self.errors.is_empty() { Ok(()) } else { Err(ConfigError(self.errors)) }
    }

    fn raw(&self, key: &str) -> (String, String) {
        self.values.given.get(key).cloned().unwrap_or_else(|| {
            let default = SETTINGS.iter().find(|s| s.key == key).map_or("", |s| s.default);
            (default.to_owned(), "default".to_owned())
        })
    }
}
