//! The user's folder and what is known of it: reading the files, and which functions there are after a
//! reload. It runs no Python; a scan tells it what each file holds. One generation never changes: a
//! reload makes the next.

use crate::domain::Text;
use crate::exec::func::builtin;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

const FILE_MAX: u64 = 1 << 20;
const ALL_MAX: u64 = 32 << 20;
const FILES_MAX: usize = 1_000;
pub const REQUIREMENTS: &str = "requirements.txt";

/// A function of the user's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Function {
    pub name: String,
    pub signature: String,
    pub doc: String,
    pub line: u32,
    /// Its last line; `None`: its code is not in the file.
    pub end: Option<u32>,
    pub params: Vec<Parameter>,
    /// The file's name in the folder.
    #[serde(skip)]
    pub file: String,
}

impl Function {
    /// A command text that calls it.
    pub fn example(&self) -> String {
        let required: Vec<_> = self.params.iter().filter(|p| p.required).map(|p| p.name.as_str()).collect();
        format!("{} {}", self.name, required.join(",")).trim_end().to_owned()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Parameter {
    pub name: String,
    pub required: bool,
    /// As Python writes it.
    pub default: Option<String>,
}

/// What could not be loaded, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub file: String,
    pub line: Option<u32>,
    pub error: Text,
}

impl Failure {
    pub fn new(file: impl Into<String>, line: Option<u32>, error: Text) -> Self {
        Self { file: file.into(), line, error }
    }
}

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub file: String,
    pub path: PathBuf,
    pub bytes: Arc<[u8]>,
}

/// A file that loads, and the functions it holds.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub source: Source,
    pub functions: Vec<Function>,
}

/// What the workers work with.
#[derive(Debug, Default)]
pub struct Generation {
    pub id: u64,
    /// The interpreter the workers are.
    pub python: PathBuf,
    pub files: BTreeMap<String, Loaded>,
    by_name: HashMap<String, Function>,
}

impl Generation {
    /// Lays the files that load now over those that were good before. `present` are the files of the
    /// folder: one that fails now keeps its place, one that is gone loses it.
    pub fn next(&self, python: PathBuf, present: &[String], loaded: Vec<Loaded>) -> (Self, Vec<Failure>) {
        let mut files = self.files.clone();
        files.retain(|file, _| present.contains(file));
        files.extend(loaded.into_iter().map(|one| (one.source.file.clone(), one)));
        let mut by_name: HashMap<String, Function> = HashMap::new();
        let mut failures = Vec::new();
        for (file, loaded) in &files {
            for function in &loaded.functions {
                let function = Function { file: file.clone(), ..function.clone() };
                match taken(&function, &by_name) {
                    Some(error) => failures.push(Failure::new(file, Some(function.line), error)),
                    None => drop(by_name.insert(function.name.clone(), function)),
                }
            }
        }
        (Self { id: self.id + 1, python, files, by_name }, failures)
    }

    /// The function of that exact name, else the first whose name differs in ASCII case only.
    pub fn find(&self, name: &str) -> Option<&Function> {
        self.by_name.get(name).or_else(|| {
            self.by_name.values().filter(|f| f.name.eq_ignore_ascii_case(name)).min_by_key(|f| &f.name)
        })
    }

    /// A function's lines as they are in force, whatever the disk holds by now; at most `most` bytes.
    pub fn code(&self, function: &Function, most: usize) -> Option<String> {
        let bytes = &self.files.get(&function.file)?.source.bytes;
        let (first, end) = (function.line.max(1) as usize, function.end? as usize);
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').skip(first - 1);
        let code = lines.take((end + 1).saturating_sub(first)).collect::<Vec<_>>().concat();
        let mut code = String::from_utf8_lossy(&code).trim_end().to_owned();
        code.truncate(code.floor_char_boundary(most));
        Some(code)
    }

    /// By file, and in the order in which they stand there.
    pub fn functions(&self) -> Vec<&Function> {
        let mut all: Vec<_> = self.by_name.values().collect();
        all.sort_by(|a, b| (&a.file, a.line, &a.name).cmp(&(&b.file, b.line, &b.name)));
        all
    }
}

fn taken(function: &Function, by_name: &HashMap<String, Function>) -> Option<Text> {
    let name = &function.name;
    if let Some(own) = builtin::ALL.iter().find(|own| own.name.eq_ignore_ascii_case(name)) {
        let own = own.name;
        return Some(Text::new(
            format!("函数 {name} 与内置函数 {own} 同名，请改名"),
            format!("{name} is the name of the built-in function {own}; choose another"),
        ));
    }
    let other = by_name.get(name)?;
    Some(Text::new(
        format!("函数 {name} 已在 {} 第 {} 行定义，请改名", other.file, other.line),
        format!("{name} is already defined in {}, line {}; choose another name", other.file, other.line),
    ))
}

/// What the folder looks like from outside: enough to tell that something changed.
pub type Fingerprint = Vec<(String, Option<SystemTime>, u64, u64)>;

/// The folder as it was read.
#[derive(Debug, Default)]
pub struct Folder {
    /// Taken before the files were read, so that a later change is not missed.
    pub fingerprint: Fingerprint,
    pub sources: Vec<Source>,
    /// Every .py file, also one that could not be read.
    pub present: Vec<String>,
    pub requirements: Option<String>,
    pub failures: Vec<Failure>,
}

/// Looks at the folder without reading the files. A folder that is not there is an empty one.
pub fn look(folder: &Path) -> std::io::Result<Fingerprint> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut seen = Vec::new();
    for entry in entries.filter_map(Result::ok) {
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        if name != REQUIREMENTS && (!name.ends_with(".py") || name.starts_with('.') || name.starts_with("__"))
        {
            continue;
        }
        // Of what a link points to; a link to nowhere is not there.
        let Ok(meta) = std::fs::metadata(entry.path()) else { continue };
        if meta.is_file() {
            seen.push((name, meta.modified().ok(), meta.len(), inode(&meta)));
        }
    }
    seen.sort();
    Ok(seen)
}

#[cfg(unix)]
fn inode(meta: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(meta)
}

#[cfg(not(unix))]
fn inode(_: &std::fs::Metadata) -> u64 {
    0
}

/// Reads the folder. Blocking. What is too large is a failure of that file; a folder that cannot be
/// looked at says nothing of its files.
pub fn read(folder: &Path) -> Result<Folder, Failure> {
    let fingerprint = look(folder).map_err(|e| {
        let error = Text::new(format!("目录无法读取：{e}"), format!("the folder cannot be read: {e}"));
        Failure::new(folder.display().to_string(), None, error)
    })?;
    let mut found = Folder { fingerprint, ..Folder::default() };
    let mut left = ALL_MAX;
    for (file, _, size, _) in found.fingerprint.clone() {
        let path = folder.join(&file);
        if file == REQUIREMENTS {
            match std::fs::read_to_string(&path) {
                Ok(text) => found.requirements = Some(text),
                Err(e) => found.failures.push(unreadable(&file, &e)),
            }
            continue;
        }
        found.present.push(file.clone());
        if size > FILE_MAX || size > left || found.sources.len() == FILES_MAX {
            let error = Text::new(
                "文件过大或过多：每个文件至多 1 MiB，总计至多 1000 个、32 MiB",
                "too large or too many: a file may have 1 MiB, the folder 1000 files and 32 MiB",
            );
            found.failures.push(Failure::new(file, None, error));
            continue;
        }
        match std::fs::read(&path) {
            Ok(bytes) => {
                left = left.saturating_sub(bytes.len() as u64);
                found.sources.push(Source { file, path, bytes: bytes.into() });
            }
            Err(e) => found.failures.push(unreadable(&file, &e)),
        }
    }
    Ok(found)
}

fn unreadable(file: &str, e: &std::io::Error) -> Failure {
    Failure::new(file, None, Text::new(format!("文件无法读取：{e}"), format!("the file cannot be read: {e}")))
}

#[cfg(test)]
#[path = "catalog_test.rs"]
mod tests;
