//! The virtual environment of a `requirements.txt`: one folder for each content and Python version,
//! made in the background and used only when it is whole. It owns the folder of environments; when to
//! load the functions again is the caller's business, who is told by `built`.

use super::catalog::{Failure, REQUIREMENTS};
use super::interpreter::{Interpreter, run_tool};
use crate::domain::Text;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
/// Written last: a folder without it was never finished. (An environment holds its own path, so it
/// cannot be made elsewhere and moved.)
const COMPLETE: &str = ".timerjobs-complete";

#[derive(Debug)]
pub struct Environments {
    root: PathBuf,
    state: Mutex<State>,
    /// A build has ended, well or not.
    pub built: Notify,
}

#[derive(Debug, Default)]
struct State {
    wanted: Wanted,
    /// The environment that was last whole; it serves until the next one is.
    in_use: Option<PathBuf>,
}

#[derive(Debug, Default)]
enum Wanted {
    #[default]
    Nothing,
    Making(String, AbortHandle),
    Ready,
    Failed(String, Text),
}

impl Environments {
    pub fn new(root: PathBuf) -> Self {
        Self { root, state: Mutex::default(), built: Notify::new() }
    }

    /// The Python to work with, now; a missing environment is begun. `retry`: also one that failed.
    pub fn choose(
        self: &Arc<Self>,
        base: &Interpreter,
        folder: &Path,
        requirements: Option<&str>,
        retry: bool,
    ) -> (PathBuf, Option<Failure>) {
        let mut state = self.state();
        let Some(requirements) = requirements else {
            state.forget();
            return (base.path.clone(), None);
        };
        let key = key(base, requirements);
        let place = self.root.join(&key);
        if place.join(COMPLETE).is_file() {
            // Not at once: calls in flight may still import from the one before.
            if state.in_use.as_ref() == Some(&place) {
                let old = set_aside(&self.root, &place);
                tokio::task::spawn_blocking(move || old.iter().try_for_each(|path| remove(path)));
            }
            state.forget();
            state.wanted = Wanted::Ready;
            state.in_use = Some(place);
        } else {
            let same = match &state.wanted {
                Wanted::Making(making, _) => *making == key,
                Wanted::Failed(failed, _) => *failed == key && !retry,
                _ => false,
            };
            if !same {
                state.stop();
                let kept = state.in_use.clone();
                let build = self.clone().build(key.clone(), kept, base.path.clone(), folder.to_owned());
                state.wanted = Wanted::Making(key, tokio::spawn(build).abort_handle());
            }
        }
        let failure = match &state.wanted {
            Wanted::Failed(_, error) => Some(Failure::new(REQUIREMENTS, None, error.clone())),
            _ => None,
        };
        let python = state.in_use.as_deref().map_or_else(|| base.path.clone(), python_of);
        (python, failure)
    }

    /// For people: what there is of an environment.
    pub fn status(&self) -> Option<&'static str> {
        match self.state().wanted {
            Wanted::Nothing => None,
            Wanted::Making(..) => Some("making"),
            Wanted::Ready => Some("ready"),
            Wanted::Failed(..) => Some("failed"),
        }
    }

    /// Ends a build.
    pub fn close(&self) {
        self.state().stop();
    }

    async fn build(self: Arc<Self>, key: String, kept: Option<PathBuf>, base: PathBuf, folder: PathBuf) {
        tracing::info!(environment = key, "making the Python environment of {REQUIREMENTS}");
        let done = make(&self.root, &key, kept, &base, &folder).await;
        if let Err(error) = &done {
            tracing::error!(environment = key, %error, "the Python environment cannot be made");
        }
        {
            let mut state = self.state();
            if matches!(&state.wanted, Wanted::Making(making, _) if *making == key) {
                state.wanted = match done {
                    Ok(()) => Wanted::Ready,
                    Err(error) => Wanted::Failed(key, error),
                };
            }
        }
        self.built.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn stop(&mut self) {
        if let Wanted::Making(_, task) = &self.wanted {
            task.abort();
        }
        self.wanted = Wanted::Nothing;
    }

    fn forget(&mut self) {
        self.stop();
        self.in_use = None;
    }
}

async fn make(root: &Path, key: &str, kept: Option<PathBuf>, base: &Path, folder: &Path) -> Result<(), Text> {
    let place = root.join(key);
    let cleared = root.to_owned();
    let clear = move || std::fs::create_dir_all(&cleared).and_then(|()| clear(&cleared, kept.as_deref()));
    let broken = |e: std::io::Error| {
        let root = root.display();
        Text::new(format!("虚拟环境目录 {root} 无法写入：{e}"), format!("{root} cannot be written: {e}"))
    };
    tokio::task::spawn_blocking(clear).await.unwrap_or_else(|e| Err(e.into())).map_err(broken)?;
    let mut venv = Command::new(base);
    venv.args(["-m", "venv", "--without-pip"]).arg(&place);
    run_tool(venv, BUILD_LIMIT).await.map_err(|why| named("python -m venv", &why))?;
    let mut pip = pip(base, &place).await?;
    pip.args(["install", "--disable-pip-version-check", "--no-input", "-r"])
        .arg(folder.join(REQUIREMENTS))
        // Relative paths in the file are beneath the folder.
        .current_dir(folder);
    run_tool(pip, BUILD_LIMIT).await.map_err(|why| named("pip install", &why))?;
    std::fs::write(place.join(COMPLETE), "").map_err(broken)
}

/// Removes the environments but one. Blocking.
fn clear(root: &Path, kept: Option<&Path>) -> std::io::Result<()> {
    for path in environments(root).filter(|path| kept != Some(path.as_path())) {
        remove(&path)?;
    }
    Ok(())
}

/// The folders that we made, and those that were set aside. Whatever else lies there is not ours.
fn environments(root: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = name.strip_suffix(".old").unwrap_or(name);
        name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit()) && path.is_dir()
    })
}

/// Renames the environments but one, which is done at once, so that none is chosen while it is removed.
fn set_aside(root: &Path, kept: &Path) -> Vec<PathBuf> {
    let old = environments(root).filter(|path| path != kept && path.extension().is_none());
    // What cannot be renamed goes before the next build.
    old.filter_map(|path| {
        let aside = path.with_extension("old");
        std::fs::rename(&path, &aside).ok().map(|()| aside)
    })
    .collect()
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// The pip of the Python that the settings name can fill another environment, if it is not too old: that
/// saves the seconds of making a copy, and Debian has no `ensurepip` without a further package.
async fn pip(base: &Path, place: &Path) -> Result<Command, Text> {
    let shared = || {
        let mut pip = Command::new(base);
        pip.args(["-m", "pip", "--python"]).arg(python_of(place));
        pip
    };
    let mut question = shared();
    question.arg("--version");
    if run_tool(question, BUILD_LIMIT).await.is_ok() {
        return Ok(shared());
    }
    let mut ensure = Command::new(python_of(place));
    ensure.args(["-m", "ensurepip", "--default-pip"]);
    run_tool(ensure, BUILD_LIMIT).await.map_err(|why| named("ensurepip", &why))?;
    let mut own = Command::new(python_of(place));
    own.args(["-m", "pip"]);
    Ok(own)
}

fn named(tool: &str, why: &Text) -> Text {
    Text::new(format!("{tool} {}", why.zh), format!("{tool} {}", why.en))
}

fn python_of(place: &Path) -> PathBuf {
    place.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

/// FNV-1a in 128 bits: it must be the same in every build, and nobody gains by a collision.
fn key(base: &Interpreter, requirements: &str) -> String {
    let parts = [base.version.as_bytes(), base.path.as_os_str().as_encoded_bytes(), requirements.as_bytes()];
    let bytes = parts.iter().flat_map(|part| part.iter().copied().chain([0]));
    let hash = bytes.fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    format!("{hash:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(path: &str, version: &str) -> Interpreter {
        Interpreter { path: path.into(), version: version.into() }
    }

    #[test]
    fn the_key_is_of_the_content_and_of_the_python() {
        let one = key(&python("/usr/bin/python3", "3.11.7"), "a\n");
        assert_eq!(one, key(&python("/usr/bin/python3", "3.11.7"), "a\n"));
        assert_ne!(one, key(&python("/usr/bin/python3", "3.12.0"), "a\n"));
        assert_ne!(one, key(&python("/opt/python3", "3.11.7"), "a\n"));
        assert_ne!(one, key(&python("/usr/bin/python3", "3.11.7"), "b\n"));
        assert_eq!(one.len(), 32);
    }

    #[test]
    fn all_but_one_are_set_aside_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let [kept, one, two] = ["a", "b", "c"].map(|c| root.path().join(c.repeat(32)));
        for path in [&kept, &one, &two, &root.path().join("mine")] {
            std::fs::create_dir(path).unwrap();
        }
        std::fs::write(root.path().join("d".repeat(32)), "a file").unwrap();
        let old = set_aside(root.path(), &kept);
        assert_eq!(old.len(), 2);
        assert!(!one.exists());
        old.iter().try_for_each(|path| remove(path)).unwrap();
        remove(&old[0]).unwrap();
        clear(root.path(), Some(&kept)).unwrap();
        assert!(kept.exists());
        clear(root.path(), None).unwrap();
        assert!(!kept.exists());
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2, "what is not ours stays");
    }
}
