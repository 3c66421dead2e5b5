//! What ships beside the program: the Makefile keeps every name that people know, and the files in
//! deploy/ say the same paths and versions as the code.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The names that the project this one follows promises, and ours for the console.
const TARGETS: &str = "help env-check install install-dev build clean start start-bg start-daemon stop \
    stop-all status restart reload dev fmt format lint type-check quality test test-unit test-api \
    test-models test-core test-all test-coverage test-html test-full security-scan init-db migrate \
    migrate-create backup-db docker release install-service uninstall-service console test-web";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// From the tests' environment nothing reaches make, so that it sees what a person's make sees.
fn make(args: &[&str]) -> Output {
    let mut make = Command::new("make");
    make.current_dir(root()).args(args).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    make.output().unwrap()
}

fn script(path: &str, env: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut script = Command::new(root().join(path));
    for name in ["BINARY", "DESTDIR", "PREFIX", "PURGE"] {
        script.env_remove(name);
    }
    let out = script.envs(env.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code(), said)
}

#[test]
fn every_known_target_is_there_and_says_what_it_does() {
    let help = String::from_utf8(make(&["help"]).stdout).unwrap();
    for target in TARGETS.split_whitespace() {
        let line = help.lines().find(|line| line.split_whitespace().next() == Some(target));
        assert!(line.is_some_and(|line| line.split_whitespace().count() > 2), "{target}: {help}");
    }
    let dry = make(&[&["-n"], TARGETS.split_whitespace().collect::<Vec<_>>().as_slice()].concat());
    assert!(dry.status.success(), "{}", String::from_utf8_lossy(&dry.stderr));
    // Each of them, not only the whole: a target without a rule would be a file's name.
    let makefile = text("Makefile");
    let phony = makefile.split(".PHONY:").nth(1).unwrap().split("\n\n").next().unwrap();
    for target in TARGETS.split_whitespace() {
        assert!(phony.split_whitespace().any(|name| name == target), "{target} is a file's name");
    }
}

/// A clone without Node still builds the server; who asks for the page itself is told what is missing.
#[test]
fn without_node_the_console_says_how_to_get_it() {
    let dir = tempfile::tempdir().unwrap();
    let (web, tools) = (dir.path().join("web"), dir.path().join("bin"));
    for folder in [&web, &tools, &dir.path().join("scripts")] {
        fs::create_dir(folder).unwrap();
    }
    for file in
        ["index.html", "openapi.json", "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json"]
    {
        fs::write(web.join(file), "").unwrap();
    }
    for folder in ["src", "public", "scripts"] {
        fs::create_dir(web.join(folder)).unwrap();
    }
    let script = dir.path().join("scripts/console.sh");
    fs::copy(root().join("scripts/console.sh"), &script).unwrap();
    for tool in ["bash", "dirname", "find"] {
        let out = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
        let place = String::from_utf8(out.stdout).unwrap();
        std::os::unix::fs::symlink(place.trim(), tools.join(tool)).unwrap();
    }
    let run = |args: &[&str]| {
        let out = Command::new("bash").arg(&script).args(args).env("PATH", &tools).output().unwrap();
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    for (args, code) in [(&[][..], Some(1)), (&["--optional"], Some(0))] {
        let (ended, said) = run(args);
        assert_eq!(ended, code, "{said}");
        assert!(said.contains("Node is missing") && said.contains("make console"), "{said}");
        assert_eq!(said.lines().count(), 2, "{said}");
    }
    // A page that is newer than its sources needs no Node.
    fs::create_dir(web.join("dist")).unwrap();
    fs::write(web.join("dist/index.html"), "").unwrap();
    assert_eq!(run(&[]), (Some(0), String::new()));
}

#[test]
fn a_new_migration_has_the_next_number_in_every_folder() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["sqlite", "mysql"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("sqlite/0009_before.sql"), "").unwrap();
    let create = |name: &str| {
        let mut script = Command::new(root().join("scripts/migrate-create.sh"));
        script.arg(name).env("MIGRATIONS", dir.path()).output().unwrap().status.code()
    };
    assert_eq!(create("add_owner"), Some(0));
    for folder in ["sqlite", "mysql"] {
        let made = dir.path().join(folder).join("0010_add_owner.sql");
        assert_eq!(fs::read_to_string(made).unwrap(), "-- add owner\n");
    }
    assert_eq!((create(""), create("../up")), (Some(1), Some(1)));
}

/// A password in a file that is copied is everybody's password.
#[test]
fn what_is_shipped_holds_no_secret_and_opens_no_port() {
    for entry in fs::read_dir(root().join("deploy")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let settings = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for line in settings {
            let upper = line.to_ascii_uppercase();
            let given = upper.split_once(['=', ':']).filter(|(name, _)| {
                ["PASSWORD", "SECRET", "TOKEN", "DATABASE_URL"]
                    .iter()
                    .any(|word| name.trim_end().ends_with(word))
            });
            if let Some((_, value)) = given {
                let value = value.trim();
                assert!(value.starts_with("${") && value.contains(":?"), "{}: {line}", path.display());
            }
            let port = line.trim().strip_prefix("- \"").filter(|port| port.ends_with(":8000\""));
            assert!(port.is_none_or(|port| port.starts_with("127.0.0.1:")), "{}: {line}", path.display());
        }
    }
}

#[test]
fn the_service_is_laid_out_kept_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().to_str().unwrap();
    let env = [("DESTDIR", dest), ("PREFIX", "/opt/timerjobs"), ("BINARY", env!("CARGO_BIN_EXE_timerjobs"))];
    let (code, said) = script("deploy/install-service.sh", &env);
    assert_eq!(code, Some(0), "{said}");
    let config = dir.path().join("etc/timerjobs/config.toml");
    let unit = dir.path().join("etc/systemd/system/timerjobs.service");
    let program = dir.path().join("opt/timerjobs/bin/timerjobs");
    assert!(program.exists());
    let secrets = fs::metadata(dir.path().join("etc/timerjobs/environment")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&secrets.permissions()) & 0o777, 0o600);
    let exec = "ExecStart=/opt/timerjobs/bin/timerjobs start -d -f --config /etc/timerjobs/config.toml";
    assert!(fs::read_to_string(&unit).unwrap().lines().any(|line| line == exec));

    fs::write(&config, "[server]\nport = 9000\n").unwrap();
    let (code, said) = script("deploy/install-service.sh", &env);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read_to_string(&config).unwrap(), "[server]\nport = 9000\n", "settings are kept");
    fs::write(&config, "[server]\nprot = 9000\n").unwrap();
    let (code, said) = script("deploy/install-service.sh", &env);
    assert!(code == Some(1) && said.contains("did you mean `server.port`"), "{said}");

    let (code, said) = script("deploy/uninstall-service.sh", &env);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!((program.exists(), unit.exists(), config.exists()), (false, false, true), "{said}");
    let (code, _) = script("deploy/uninstall-service.sh", &[env.as_slice(), &[("PURGE", "1")]].concat());
    assert_eq!((code, config.exists()), (Some(0), false), "again, and all of it");
}

#[test]
fn the_shipped_settings_are_right() {
    let config = root().join("deploy/config.toml");
    let check = |config: &Path| {
        let args = ["config", "check", "--config", config.to_str().unwrap()];
        let out = crate::support::program::timerjobs(&args, &[]);
        assert_eq!(out.code, Some(0), "{}", out.stderr);
    };
    check(&config);
    // What stands there as a comment may be uncommented.
    let shown = fs::read_to_string(&config).unwrap();
    let keys = shown.lines().map(|line| match line.strip_prefix("# ") {
        Some(setting) if setting.contains(" = ") => setting,
        _ => line,
    });
    let dir = tempfile::tempdir().unwrap();
    let all = dir.path().join("config.toml");
    fs::write(&all, keys.collect::<Vec<_>>().join("\n")).unwrap();
    assert!(fs::read_to_string(&all).unwrap().contains("\nport = 8000"));
    check(&all);
}

#[test]
fn container_and_unit_say_what_the_code_says() {
    let toolchain = text("rust-toolchain.toml");
    let version = toolchain.split('"').nth(1).unwrap();
    let dockerfile = text("deploy/Dockerfile");
    assert!(dockerfile.contains(&format!("FROM rust:{version}-slim-")), "{version}");
    assert!(dockerfile.contains(&format!("RUSTUP_TOOLCHAIN={version}\n")), "{version}");
    // What the build reads is let into the image.
    let ignore = text(".dockerignore");
    for path in ["src", "migrations", "Cargo.toml", "Cargo.lock", "build.rs"] {
        assert!(ignore.lines().any(|line| line == format!("!{path}")), "{path}");
    }
    assert!(dockerfile.contains("\nUSER timerjobs\n"));
    let port = timerjobs::config::SETTINGS.iter().find(|s| s.key == "server.port").unwrap().default;
    assert!(dockerfile.contains(&format!("\nEXPOSE {port}\n")));

    let unit = text("deploy/timerjobs.service");
    let value = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{key}")).to_owned()
    };
    let seconds = |key: &str| {
        let setting = timerjobs::config::SETTINGS.iter().find(|s| s.key == key).unwrap();
        setting.default.parse::<u64>().unwrap()
    };
    let grace = seconds("jobs.shutdown_grace") + seconds("jobs.kill_grace");
    assert!(value("TimeoutStopSec").parse::<u64>().unwrap() > grace, "runs may end");
    assert_eq!(value("WorkingDirectory"), format!("/var/lib/{}", value("StateDirectory")));
    assert_eq!((value("Type").as_str(), value("KillMode").as_str()), ("notify", "mixed"));
}
