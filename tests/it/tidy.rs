//! The house rules that a compiler does not check: who may know whom, and how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

/// For each folder or file of `src`: what of ours it may name beside `domain` and `clock`.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock.rs", &[]),
    ("signals.rs", &[]),
    ("config", &[]),
    ("telemetry", &["config"]),
    ("store", &[]),
    ("exec", &[]),
    ("supervisor", &["config", "signals"]),
    ("engine", &["store", "exec", "config"]),
    // Views shape what the store read and the catalog lists; they come through the engine.
    ("api", &["engine", "store", "exec", "config", "telemetry"]),
];
const MODULES: &[&str] =
    &["api", "app", "cli", "config", "engine", "exec", "signals", "store", "supervisor", "telemetry"];
const LINES_MAX: usize = 400;

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn files(under: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut out = Vec::new();
    sources(&root.join(under), &mut out);
    let name = |p: &Path| p.strip_prefix(root).unwrap().display().to_string();
    out.iter().map(|p| (name(p), fs::read_to_string(p).unwrap())).collect()
}

#[test]
fn modules_know_only_whom_they_may() {
    let mut wrong = Vec::new();
    for (path, text) in files("src") {
        let top = path.trim_start_matches("src/").split('/').next().unwrap().to_owned();
        let Some((_, may)) = MAY_KNOW.iter().find(|(name, _)| *name == top) else { continue };
        for module in MODULES {
            let own = top.trim_end_matches(".rs") == *module;
            if !own && !may.contains(module) && text.contains(&format!("crate::{module}::")) {
                wrong.push(format!("{path} names crate::{module}"));
            }
        }
        if top == "domain"
            && (text.contains("crate::clock") || text.contains("tokio::") || text.contains("sqlx"))
        {
            wrong.push(format!("{path} is not pure"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_sql_library_and_the_http_framework_keep_to_their_homes() {
    let mut wrong = Vec::new();
    for (path, text) in files("src") {
        // The function Database is a client of other people's databases: none of our data, none of the
        // store's statements. A second home is better than one module that knows both.
        let homes =
            [("sqlx::", &["src/store/", "src/exec/func/builtin/database"][..]), ("axum::", &["src/api/"])];
        for (library, homes) in homes {
            let test = path.ends_with("test.rs") || path.ends_with("tests.rs");
            let home = homes.iter().any(|home| path.starts_with(home)) || path == "src/app.rs";
            if text.contains(library) && !home && !test {
                wrong.push(format!("{path} names {library}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A longer file says why in its first comment.
#[test]
fn files_fit_the_reader() {
    let mut wrong = Vec::new();
    for (path, text) in files("src").into_iter().chain(files("tests")).chain(files("benches")) {
        let lines = text.lines().count();
        let head: String = text.lines().take_while(|l| l.starts_with("//!")).collect();
        if lines > LINES_MAX + LINES_MAX / 10 && !head.contains("lines") {
            wrong.push(format!("{path}: {lines} lines"));
        }
        if path.starts_with("src")
            && !path.ends_with("test.rs")
            && !path.ends_with("tests.rs")
            && head.is_empty()
        {
            wrong.push(format!("{path}: does not say what it owns"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
