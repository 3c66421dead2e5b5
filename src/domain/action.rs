//! What a job does: the parsed command of each mode. Parsing the 【key】 form is `action/text.rs`;
//! doing the work is `exec/`.

pub mod limits;
mod secrets;
pub mod text;

use super::FieldError;
use limits::Limits;
use std::time::Duration;

/// The execution modes; a closed set, so the compiler lists what a new one touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    Http,
    Command,
    Func,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Http, Self::Command, Self::Func];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Command => "command",
            Self::Func => "func",
        }
    }

    /// Reads a mode; `function` means `func` (contract, "Job").
    pub fn parse(s: &str) -> Option<Self> {
        match s.trim().to_ascii_lowercase().as_str() {
            "http" => Some(Self::Http),
            "command" => Some(Self::Command),
            "func" | "function" => Some(Self::Func),
            _ => None,
        }
    }
}

/// A job's work, parsed and checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Http(Box<HttpAction>),
    Command(CommandAction),
    Func(FuncAction),
}

impl Action {
    pub fn mode(&self) -> Mode {
        match self {
            Self::Http(_) => Mode::Http,
            Self::Command(_) => Mode::Command,
            Self::Func(_) => Mode::Func,
        }
    }

    /// Whether the server allows what it asks for; it may say otherwise at another time.
    ///
    /// # Errors
    /// Each key of a command that asks for more.
    pub fn within(&self, server: &Limits) -> Result<(), Vec<FieldError>> {
        match self {
            Self::Command(a) => a.limits.under(server).map(drop),
            Self::Http(_) | Self::Func(_) => Ok(()),
        }
    }

    pub fn repeat(&self) -> Repeat {
        match self {
            Self::Http(a) => a.repeat,
            Self::Command(a) => a.repeat,
            Self::Func(a) => a.repeat,
        }
    }
}

/// `【times】` and `【interval】`: the work is done this often within one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// At least 1.
    pub times: u32,
    /// The pause between two repeats.
    pub interval: Duration,
}

impl Default for Repeat {
    fn default() -> Self {
        Self { times: 1, interval: Duration::ZERO }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct HttpAction {
    /// An absolute `http` or `https` URL.
    pub url: url::Url,
    /// The method as sent, upper case (`GET`).
    pub method: String,
    /// In the order written; a name may occur more than once.
    pub headers: Vec<(String, String)>,
    pub data: Option<String>,
    /// The value of the `Cookie` header.
    pub cookies: Option<String>,
    /// `http`, `https`, `socks5` or `socks5h`, with `user:pass@` where needed.
    pub proxy: Option<url::Url>,
    /// Of each request, from connecting to the last byte.
    pub timeout: Duration,
    /// The run succeeds only when the decoded body contains this.
    pub result: Option<String>,
    pub repeat: Repeat,
    pub written: WrittenUrls,
}

/// The texts of the URLs in which secrets stand; `url` and `proxy` are then only what they are like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenUrls {
    pub url: Option<String>,
    pub proxy: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CommandAction {
    /// The line given to the platform's shell.
    pub command: String,
    pub workdir: Option<String>,
    pub env: Vec<(String, String)>,
    /// What it asks for; the server may have limits of its own.
    pub limits: Limits,
    /// Of each repeat; the whole process tree is killed when it is over.
    pub timeout: Duration,
    pub repeat: Repeat,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FuncAction {
    pub name: String,
    /// Strings, or the typed values of a JSON array.
    pub args: Vec<serde_json::Value>,
    /// The argument text as written, for the run record and for functions that take one free text.
    pub raw_args: String,
    pub timeout: Duration,
    pub repeat: Repeat,
}
