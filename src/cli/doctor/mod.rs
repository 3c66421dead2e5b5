//! `doctor`: can a server work here? Each check is a line with its mend. It changes nothing; a folder
//! is proven writable by a file that comes and goes.

mod checks;

use super::environment;
use crate::config::{self, Flags};
use serde_json::json;
use std::process::ExitCode;

/// How a check came out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// A server works, but somebody should know. What to do.
    Warn(String),
    /// A server does not work. What to do.
    Fail(String),
}

#[derive(Debug)]
struct Finding {
    name: &'static str,
    verdict: Verdict,
    text: String,
}

impl Finding {
    fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, text: text.into() }
    }

    fn warn(name: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn(mend.into()), text: text.into() }
    }

    fn fail(name: &'static str, text: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail(mend.into()), text: text.into() }
    }

    fn word_and_mend(&self) -> (&'static str, Option<&str>) {
        match &self.verdict {
            Verdict::Ok => ("ok", None),
            Verdict::Warn(mend) => ("warn", Some(mend)),
            Verdict::Fail(mend) => ("FAIL", Some(mend)),
        }
    }
}

pub fn run(flags: &Flags, json: bool) -> anyhow::Result<ExitCode> {
    let mut findings = vec![Finding::ok("version", format!("timerjobs {}", env!("CARGO_PKG_VERSION")))];
    let checked = config::check(flags, environment);
    match &checked.config {
        Ok(config) => {
            let file = checked.file.map_or("no file".to_owned(), |file| config::shown(&file));
            findings.push(Finding::ok("settings", format!("{file}, {} set", checked.given.len())));
            findings.extend(super::block_on(async { Ok(checks::all(config).await) })?);
        }
        Err(e) => {
            let mend = "mend what is named; `timerjobs start --help` lists every setting";
            findings.extend(e.0.iter().map(|line| Finding::fail("settings", line, mend)));
            findings.extend(checks::machine("python3"));
        }
    }
    let failed = findings.iter().any(|finding| matches!(finding.verdict, Verdict::Fail(_)));
    if json {
        let checks = findings.iter().map(|finding| {
            let (word, mend) = finding.word_and_mend();
            json!({"check": finding.name, "verdict": word, "text": finding.text, "mend": mend})
        });
        println!("{:#}", json!({"ok": !failed, "checks": checks.collect::<Vec<_>>()}));
    } else {
        for finding in &findings {
            let (word, mend) = finding.word_and_mend();
            let mend = mend.map(|mend| format!("; {mend}")).unwrap_or_default();
            println!("{word:4}  {}: {}{mend}", finding.name, finding.text);
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
