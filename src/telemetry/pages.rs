//! The system log as a list that is walked with a cursor, newest line first: a page costs what it
//! shows, wherever it lies, and stays where it is while lines are written and days turn over. Blocking,
//! as `files`.

use super::backwards::Backwards;
use super::files::{Files, Filter, Wanted};
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::path::Path;

/// A page reads at most this much. A search that found nothing so far gives a page without lines, and
/// the way on.
const SCAN_MAX: u64 = 32 << 20;
/// What a file begins with, at most: its first line.
const HEAD_MAX: u64 = 4 << 10;

/// A place in the log: what stands before it is older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The file by what it begins with: at midnight it gets another name, and one that was cleared is
    /// another file under the same.
    file: u64,
    at: u64,
}

impl Mark {
    pub fn text(self) -> String {
        format!("{:016x}-{:x}", self.file, self.at)
    }

    pub fn parse(text: &str) -> Option<Self> {
        let (file, at) = text.split_once('-')?;
        Some(Self { file: u64::from_str_radix(file, 16).ok()?, at: u64::from_str_radix(at, 16).ok()? })
    }
}

/// Some lines, newest first.
#[derive(Debug)]
pub struct Listed {
    pub lines: Vec<String>,
    /// Behind the last; `None`: that was all.
    pub next: Option<Mark>,
}

impl Files {
    /// At most `most` lines that match, behind the mark; `None`: the file of the mark is no longer there.
    pub fn list(&self, filter: &Filter, after: Option<Mark>, most: usize) -> io::Result<Option<Listed>> {
        self.list_within(filter, after, most, &mut SCAN_MAX.clone())
    }

    fn list_within(
        &self,
        filter: &Filter,
        after: Option<Mark>,
        most: usize,
        left: &mut u64,
    ) -> io::Result<Option<Listed>> {
        let wanted = Wanted::new(filter);
        let mut paths = self.paths(filter.day)?;
        let mut end = None;
        if let Some(mark) = after {
            let Some(first) = position(&paths, mark.file)? else { return Ok(None) };
            paths.drain(..first);
            end = Some(mark.at);
        }
        let mut found = Listed { lines: Vec::new(), next: None };
        let last = paths.len().saturating_sub(1);
        for (n, path) in paths.iter().enumerate() {
            let mut lines = Backwards::open(path, end.take())?;
            while let Some(line) = lines.next(left)? {
                if wanted.matches(&line) {
                    found.lines.push(String::from_utf8_lossy(&line).into_owned());
                }
                if found.lines.len() == most {
                    break;
                }
            }
            let is_enough = found.lines.len() == most || *left == 0;
            if is_enough && (lines.place() > 0 || n < last) {
                found.next = Some(Mark { file: head(path)?, at: lines.place() });
                break;
            }
        }
        Ok(Some(found))
    }
}

fn position(paths: &[std::path::PathBuf], file: u64) -> io::Result<Option<usize>> {
    for (n, path) in paths.iter().enumerate() {
        if head(path)? == file {
            return Ok(Some(n));
        }
    }
    Ok(None)
}

/// Tells a file from others: its first line has the instant in it.
fn head(path: &Path) -> io::Result<u64> {
    let mut start = Vec::new();
    File::open(path)?.take(HEAD_MAX).read_to_end(&mut start)?;
    let line = start.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    hasher.write(line);
    Ok(hasher.finish())
}

#[cfg(test)]
#[path = "pages_test.rs"]
mod tests;
