//! The settings as people look at them: what was read from where, and everything that is wrong with
//! it at once. It shows no secret.

use super::settings::Values;
use super::{Config, ConfigError, Flags};
use std::path::PathBuf;

/// What a look at the settings found.
#[derive(Debug)]
pub struct Checked {
    pub file: Option<PathBuf>,
    /// What differs from its default.
    pub given: Vec<Given>,
    pub config: Result<Config, ConfigError>,
}

/// One setting that somebody has set.
#[derive(Debug, PartialEq, Eq)]
pub struct Given {
    pub key: &'static str,
    /// `***` when it may hold a password.
    pub shown: String,
    /// A file with its line, a variable or a flag.
    pub origin: String,
}

/// Reads the settings as a start would and keeps what was found on the way.
pub fn check(flags: &Flags, env: impl Fn(&str) -> Option<String>) -> Checked {
    let values = Values::read(flags, env);
    let given = values.given().map(|(setting, value, origin)| {
        let shown = if setting.secret { "***" } else { value };
        Given { key: setting.key, shown: shown.to_owned(), origin: origin.to_owned() }
    });
    let given = given.collect();
    Checked { file: flags.file(), given, config: Config::from_values(&values) }
}
