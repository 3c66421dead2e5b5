//! Finds out what the files hold, in a process of its own with a time limit for each file: a file that
//! hangs or crashes at import is a failure of that file, and the next process goes on behind it.

use super::catalog::{Failure, Loaded, Source};
use super::protocol::{self, Found};
use super::worker::{set_up, spawn};
use super::{Settings, how_it_ended};
use crate::domain::Text;
use crate::exec::command::{REAP, end_tree};
use crate::exec::process::Tree;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::time::timeout;

const FRAME_MAX: usize = 16 << 20;

/// A file that takes longer does not hold up those before it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Compiles and imports each file. `so_far` is told what has loaded when a file takes its time, hangs
/// or crashes.
pub async fn scan(
    python: &Path,
    sources: &[Source],
    settings: &Settings,
    so_far: impl Fn(Vec<Loaded>),
) -> (Vec<Loaded>, Vec<Failure>) {
    let mut scan = Scan { settings, sources, done: HashMap::new(), failures: Vec::new() };
    while scan.pass(python, &so_far).await {
        so_far(scan.loaded());
    }
    (scan.loaded(), scan.failures)
}

struct Scan<'a> {
    settings: &'a Settings,
    sources: &'a [Source],
    /// The files that are decided; `None`: failed.
    done: HashMap<String, Option<Vec<super::catalog::Function>>>,
    failures: Vec<Failure>,
}

impl Scan<'_> {
    fn loaded(&self) -> Vec<Loaded> {
        let loaded = self.sources.iter().filter_map(|source| {
            let functions = self.done.get(&source.file)?.clone()?;
            Some(Loaded { source: source.clone(), functions })
        });
        loaded.collect()
    }

    /// One process; says whether another has to go on.
    async fn pass(&mut self, python: &Path, so_far: &impl Fn(Vec<Loaded>)) -> bool {
        let left: Vec<&str> = self
            .sources
            .iter()
            .map(|s| s.file.as_str())
            .filter(|file| !self.done.contains_key(*file))
            .collect();
        let Some(first) = left.first().map(|file| (*file).to_owned()) else { return false };
        let mark = protocol::nonce();
        let spawned = spawn(python, "", &mark, &self.settings.environment, Stdio::null);
        let (mut child, mut wire) = match spawned {
            Ok(spawned) => spawned,
            Err(e) => {
                for file in left {
                    let error =
                        Text::new(format!("Python 无法启动：{e}"), format!("Python cannot be started: {e}"));
                    self.failures.push(Failure::new(file, None, error));
                }
                return false;
            }
        };
        let mut tree = Tree::of(&child, &[&mark], "");
        let limit = self.settings.import_timeout;
        let mut at_work = first;
        let sent =
            set_up(&mut wire, &self.settings.dir, self.settings.memory, self.sources.iter(), Some(left));
        let mut broken = match timeout(limit, sent).await {
            Ok(Ok(())) => None,
            Ok(Err(e)) => Some(Some(e)),
            Err(_) => Some(None),
        };
        while broken.is_none() {
            let mut next = std::pin::pin!(protocol::read::<Found>(&mut wire, FRAME_MAX));
            let patience = PATIENCE.min(limit);
            let mut found = timeout(patience, &mut next).await;
            if found.is_err() {
                so_far(self.loaded());
                found = timeout(limit - patience, next).await;
            }
            match found {
                Ok(Ok(Found::Begin { file })) => at_work = file,
                Ok(Ok(Found::Loaded { file, functions })) => drop(self.done.insert(file, Some(functions))),
                Ok(Ok(Found::Failed { file, line, error })) => {
                    self.failures.push(Failure::new(&file, line, Text::new(error.clone(), error)));
                    self.done.insert(file, None);
                }
                Ok(Ok(Found::End)) => break,
                Ok(Err(e)) => broken = Some(Some(e)),
                Err(_) => broken = Some(None),
            }
        }
        if let Some(tree) = &tree {
            end_tree(tree, Duration::ZERO).await;
        }
        let status = timeout(REAP, child.wait()).await.ok().and_then(Result::ok);
        if let Some(tree) = &mut tree {
            tree.disarm();
        }
        let Some(broken) = broken else { return false };
        let error = match broken {
            None => too_slow(limit),
            Some(e) if e.kind() == io::ErrorKind::InvalidData => Text::new(e.to_string(), e.to_string()),
            Some(_) => {
                let how = how_it_ended(status);
                Text::new(
                    format!("导入时进程终止：{}", how.zh),
                    format!("the import ended the process: {}", how.en),
                )
            }
        };
        self.failures.push(Failure::new(&at_work, None, error));
        self.done.insert(at_work, None);
        true
    }
}

fn too_slow(limit: Duration) -> Text {
    let seconds = limit.as_secs_f64();
    Text::new(format!("导入超过 {seconds} 秒仍未结束"), format!("the import did not end within {seconds} s"))
}
