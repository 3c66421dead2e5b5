//! The built-in functions, one file each, and what they are given and give back. A new one is a
//! file here with a `BUILTIN`, and its line in `ALL`. They take everything from the call: no
//! clock, no globals.

#[cfg(unix)]
mod backup;
#[cfg(unix)]
mod beneath;
mod cleanup;
#[cfg(unix)]
mod confined;
mod database;
mod dayin;
mod echo;
mod email;
mod file;
mod hello;
mod math;
mod monitor;
mod report;
mod sms;
mod sqlite;
mod test;
mod time;
mod webhook;

use crate::domain::Text;
use crate::domain::action::HttpAction;
use crate::exec::Context;
use crate::exec::func::Settings;
use crate::exec::http::Http;
use futures_util::future::BoxFuture;
use serde_json::Value;

/// In the order of the seed's table.
pub(super) static ALL: &[Builtin] = &[
    dayin::BUILTIN,
    test::BUILTIN,
    hello::BUILTIN,
    time::BUILTIN,
    echo::BUILTIN,
    math::BUILTIN,
    file::BUILTIN,
    database::BUILTIN,
    email::BUILTIN,
    sms::BUILTIN,
    webhook::BUILTIN,
    #[cfg(unix)]
    backup::BUILTIN,
    cleanup::BUILTIN,
    monitor::BUILTIN,
    report::BUILTIN,
];

/// One function: what people are told of it, and its work.
#[derive(Debug)]
pub struct Builtin {
    pub name: &'static str,
    pub description: Words,
    pub params: &'static [Param],
    /// A whole command text in the bare form, `Name arg,arg`.
    pub example: &'static str,
    pub(super) work: Work,
}

/// A fixed text in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    pub zh: &'static str,
    pub en: &'static str,
}

/// One argument of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param {
    pub name: &'static str,
    pub about: Words,
    pub required: bool,
}

/// How a function works.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    /// Computes, and is over at once.
    Sync(fn(&Call) -> Result<Output, Text>),
    /// Waits for the disk: runs on a thread of its own, and looks at `call.ctx.cancel` as it goes.
    Blocking(fn(&Call) -> Result<Output, Text>),
    /// Waits for the network or for a while.
    Async(for<'a> fn(&'a Call<'a>, &'a Http) -> BoxFuture<'a, Result<Output, Text>>),
    /// Is this HTTP request; its timeout is the call's.
    Http(fn(&Call) -> Result<HttpAction, Text>),
}

/// What a function is called with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub args: &'a [Value],
    /// The argument text as written.
    pub raw: &'a str,
    pub ctx: &'a Context,
    pub settings: &'a Settings,
}

impl Call<'_> {
    /// The arguments as text: a string without quotes, anything else as JSON.
    pub fn texts(&self) -> Vec<String> {
        self.args
            .iter()
            .map(|value| match value {
                Value::String(s) => s.clone(),
                other => other.to_string(),
            })
            .collect()
    }

    /// Whether the arguments were written as a JSON array, by the parser's own rule.
    pub fn is_json(&self) -> bool {
        self.raw.starts_with('[') && serde_json::from_str::<Vec<serde::de::IgnoredAny>>(self.raw).is_ok()
    }

    /// All text after the n-th comma, as it was written. Commas in quotes or after a backslash do not
    /// count, as in the parser.
    pub fn after_comma(&self, n: usize) -> &str {
        let (mut seen, mut quoted, mut escaped) = (0, false, false);
        for (at, c) in self.raw.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = !quoted,
                ',' if !quoted => {
                    seen += 1;
                    if seen == n {
                        return &self.raw[at + 1..];
                    }
                }
                _ => (),
            }
        }
        ""
    }
}

/// A free text as it was written, or what is in the quotes that enclose it.
fn unquoted(text: &str) -> String {
    let trimmed = text.trim();
    let inner = trimmed.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match inner {
        Some(inner) if !inner.contains(['"', '\\']) => inner.to_owned(),
        _ => trimmed.to_owned(),
    }
}

/// Sixteen random bytes in hexadecimal: what tells two messages of one run apart.
fn random_name() -> Result<String, Text> {
    let mut bytes = [0; 16];
    let filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes);
    filled.map(|()| bytes.iter().map(|byte| format!("{byte:02x}")).collect()).map_err(|_| {
        Text::new(
            "系统随机数不可用，请检查 /dev/urandom",
            "the system gives no random numbers; check /dev/urandom",
        )
    })
}

/// What a function gives back.
#[derive(Debug)]
pub(super) struct Output {
    /// What it prints.
    pub stdout: String,
    /// Its value.
    pub result: String,
}

impl Output {
    /// A function that prints its value.
    pub fn same(text: String) -> Self {
        Self { stdout: text.clone(), result: text }
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::domain::UtcMs;
    use crate::domain::action::{Action, FuncAction, Mode, text};
    use crate::domain::run::Report;
    use crate::exec::func::{Functions, Tools, run};
    use crate::exec::output;

    /// Job 7 in Shanghai, on the reference instant of Go's layouts plus 123 ms: 2006-01-02
    /// 22:04:05 UTC, the morning after in Shanghai.
    pub fn context() -> Context {
        Context {
            exec_id: "00000000000000ff".into(),
            job_id: 7,
            job_name: "备份".into(),
            attempt: 1,
            scheduled_at: UtcMs(1_136_239_445_000),
            now: UtcMs(1_136_239_445_123),
            zone: chrono_tz::Asia::Shanghai,
            cancel: tokio_util::sync::CancellationToken::new(),
            instance: "test".into(),
            children: tokio::sync::mpsc::unbounded_channel().0,
            kill_grace: std::time::Duration::ZERO,
            output_limit: 64 * 1024,
            live: std::sync::Arc::default(),
            secrets: crate::exec::secrets::Secrets::default(),
        }
    }

    /// Calls the function with the argument text as the parser reads it.
    pub fn call(builtin: &Builtin, raw: &str) -> Result<Output, Text> {
        call_in(builtin, raw, &context())
    }

    pub fn call_in(builtin: &Builtin, raw: &str, ctx: &Context) -> Result<Output, Text> {
        call_with(builtin, raw, ctx, &Settings::default())
    }

    /// Runs the function as a job would, over the network where it needs to.
    pub async fn run_with(builtin: &Builtin, raw: &str, ctx: &Context, settings: Settings) -> Report {
        let (http, functions) =
            (Http::new(1 << 20, std::sync::Arc::default()).unwrap(), Functions::new(settings));
        let tools = Tools { http: &http, keep: 1 << 16, functions: &functions };
        let mut output = output::Output::new(&ctx.live, ctx.output_limit, &ctx.secrets);
        run(&action(builtin, raw), ctx, &tools, &mut output).await
    }

    pub fn action(builtin: &Builtin, raw: &str) -> FuncAction {
        let text = format!("【name】{}\n【arg】{raw}", builtin.name);
        let Ok(Action::Func(action)) = text::parse(Mode::Func, &text) else {
            panic!("the arguments {raw:?} do not parse")
        };
        action
    }

    pub fn call_with(
        builtin: &Builtin,
        raw: &str,
        ctx: &Context,
        settings: &Settings,
    ) -> Result<Output, Text> {
        let action = action(builtin, raw);
        let call = Call { args: &action.args, raw: &action.raw_args, ctx, settings };
        match builtin.work {
            Work::Sync(work) | Work::Blocking(work) => work(&call),
            Work::Async(_) | Work::Http(_) => panic!("{} needs a runtime", builtin.name),
        }
    }
}
