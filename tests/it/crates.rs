//! What deny.toml says of licences, sources and bans, held without network and without cargo-deny. Known
//! holes cannot be: their list is on the network (`make security-scan`).

use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn read(file: &str) -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn list<'a>(table: &'a toml::Table, section: &str, name: &str) -> Vec<&'a toml::Value> {
    table[section][name].as_array().unwrap().iter().collect()
}

/// The crates of Cargo.lock, for every platform.
fn locked() -> Vec<(String, Option<String>, bool)> {
    let lock = read("Cargo.lock");
    let packages = lock["package"].as_array().unwrap().iter().map(|package| {
        let text = |name: &str| package.get(name).and_then(toml::Value::as_str).map(str::to_owned);
        (text("name").unwrap(), text("source"), text("checksum").is_some())
    });
    packages.collect()
}

#[test]
fn every_crate_comes_from_the_registry_with_its_checksum() {
    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
    for (name, source, has_checksum) in locked() {
        match source {
            None => assert_eq!(name, "timerjobs"),
            Some(source) => assert!(source == REGISTRY && has_checksum, "{name}: {source}"),
        }
    }
}

#[test]
fn no_banned_crate_is_locked_and_no_exception_is_stale() {
    let (policy, names) = (read("deny.toml"), locked());
    let is_locked = |name: &str| names.iter().any(|(locked, ..)| locked == name);
    let bans = list(&policy, "bans", "deny");
    assert!(!bans.is_empty());
    for ban in bans {
        assert!(!is_locked(ban["crate"].as_str().unwrap()), "{ban}");
    }
    let ignored = list(&policy, "advisories", "ignore");
    for entry in &ignored {
        let (name, why) = entry["reason"].as_str().unwrap().split_once(": ").expect("crate: why");
        assert!(is_locked(name) && !why.is_empty(), "{entry}");
    }
    let ids = |entries: Vec<&toml::Value>| -> Vec<String> {
        let id = |entry: &toml::Value| entry.get("id").unwrap_or(entry).as_str().unwrap().to_owned();
        entries.into_iter().map(id).collect()
    };
    assert_eq!(ids(list(&read(".cargo/audit.toml"), "advisories", "ignore")), ids(ignored));
}

#[test]
fn every_licence_is_one_that_is_allowed() {
    let policy = read("deny.toml");
    let allowed: Vec<&str> =
        list(&policy, "licenses", "allow").into_iter().filter_map(toml::Value::as_str).collect();
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let out = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", host])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 200, "{}", packages.len());
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_allowed(licence, &allowed), "{}: {licence}", package["name"]);
    }
}

/// Reads an SPDX expression; old manifests write `/` for OR.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    // A licence and its exception are one name.
    let spaced = spaced.replace(" WITH ", "+WITH+");
    let words: Vec<String> = spaced.split_whitespace().map(|word| word.replace("+WITH+", " WITH ")).collect();
    let mut at = 0;
    let good = any(&words, &mut at, allowed);
    good && at == words.len()
}

fn any(words: &[String], at: &mut usize, allowed: &[&str]) -> bool {
    let mut good = all(words, at, allowed);
    while words.get(*at).is_some_and(|word| word == "OR") {
        *at += 1;
        good |= all(words, at, allowed);
    }
    good
}

fn all(words: &[String], at: &mut usize, allowed: &[&str]) -> bool {
    let mut good = one(words, at, allowed);
    while words.get(*at).is_some_and(|word| word == "AND") {
        *at += 1;
        good &= one(words, at, allowed);
    }
    good
}

fn one(words: &[String], at: &mut usize, allowed: &[&str]) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if word != "(" {
        return allowed.contains(&word.as_str());
    }
    let good = any(words, at, allowed);
    *at += 1;
    good && words.get(*at - 1).is_some_and(|word| word == ")")
}

#[test]
fn an_expression_is_read_as_it_is_meant() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
    for good in
        ["MIT", "GPL-3.0/MIT", "GPL-3.0 OR MIT", "(GPL-3.0 OR MIT) AND ISC", "Apache-2.0 WITH LLVM-exception"]
    {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in [
        "",
        "none",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT",
        "Apache-2.0",
        "MIT MIT",
        "GPL-3.0 OR ISC AND GPL-3.0",
    ] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}
