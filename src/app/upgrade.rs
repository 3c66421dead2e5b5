//! What comes before a change of the tables, at a start as with `migrate`: a look that refuses what we
//! cannot work with, and of an SQLite file a checked copy in BACKUP_DIR. Without it nothing is changed.
//! Few of these copies are kept; a backup with another name is never touched.

use super::database::{look, place};
use crate::config::{Config, DatabaseUrl};
use crate::domain::UtcMs;
use crate::store::{self, Schema};
use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};

/// How many copies from before an upgrade are kept, each of another version.
const KEPT: usize = 3;

/// What was found and done before the tables are changed.
#[derive(Debug)]
pub struct Prepared {
    /// The version of the tables; 0: there are none of ours.
    pub from: i64,
    pub backup: Option<PathBuf>,
}

/// Whoever calls it holds the locks, and brings the tables to version `to` next.
pub async fn prepare(config: &Config, now: UtcMs, to: i64) -> anyhow::Result<Prepared> {
    let schema = look(config).await?;
    let from = schema.usable().with_context(|| place(config))?;
    let DatabaseUrl::Sqlite(file) = &config.database.url else {
        return Ok(Prepared { from, backup: None });
    };
    if from >= to || schema == Schema::Absent {
        return Ok(Prepared { from, backup: None });
    }
    let copies = Copies::of(file, &config.backup_dir);
    copies.delete_drafts();
    let path = copies.path(from, to, &stamp(config, now));
    store::backup(file, &path).await.with_context(|| {
        format!("the tables stay at version {from}, as they are not changed without a backup")
    })?;
    copies.delete_superseded(from, &path);
    Ok(Prepared { from, backup: Some(path) })
}

/// Where the copy of this file would be, for people.
pub fn planned(config: &Config, file: &Path, from: i64, to: i64) -> PathBuf {
    Copies::of(file, &config.backup_dir).path(from, to, "<time>")
}

/// The time in the name of a backup.
pub fn stamp(config: &Config, now: UtcMs) -> String {
    now.to_zone(config.zone).format("%Y%m%d-%H%M%S").to_string()
}

/// The copies of one database: `<its name>-v<from>-before-v<to>-<time>.db`.
struct Copies<'a> {
    folder: &'a Path,
    stem: String,
}

impl<'a> Copies<'a> {
    fn of(file: &Path, folder: &'a Path) -> Self {
        Self { folder, stem: file.file_stem().unwrap_or_default().to_string_lossy().into_owned() }
    }

    fn path(&self, from: i64, to: i64, time: &str) -> PathBuf {
        self.folder.join(format!("{}-v{from}-before-v{to}-{time}.db", self.stem))
    }

    /// From which version a copy is, and its time; `None`: the name is no copy's.
    fn read<'n>(&self, name: &'n str) -> Option<(i64, &'n str)> {
        let (from, rest) = name.strip_prefix(&self.stem)?.strip_prefix("-v")?.split_once("-before-v")?;
        let (to, time) = rest.strip_suffix(".db")?.split_once('-')?;
        let digits = |text: &str, n| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
        let (day, clock) = time.split_once('-')?;
        to.parse::<i64>().ok()?;
        (digits(day, 8) && digits(clock, 6)).then_some((from.parse().ok()?, time))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// What a copy left that was killed while it was written; whoever calls it holds the database's locks.
    fn delete_drafts(&self) {
        for name in self.names() {
            if name.strip_suffix(".part").is_some_and(|name| self.read(name).is_some()) {
                self.delete(&name);
            }
        }
    }

    /// Of each version the newest is kept, so that one that fails again and again costs one place; of
    /// those the newest few. The one that was just written is the newest, whatever the clock says.
    fn delete_superseded(&self, from: i64, written: &Path) {
        let written = written.file_name().and_then(|name| name.to_str());
        let names = self.names();
        let mut copies: Vec<_> = names
            .iter()
            .filter(|name| Some(name.as_str()) != written)
            .filter_map(|name| self.read(name).map(|(from, time)| (time, from, name)))
            .collect();
        copies.sort_unstable_by(|a, b| b.cmp(a));
        let mut kept = vec![from];
        for (_, from, name) in copies {
            if kept.len() == KEPT || kept.contains(&from) {
                self.delete(name);
            } else {
                kept.push(from);
            }
        }
    }

    /// One that cannot be deleted is in nobody's way.
    fn delete(&self, name: &str) {
        fs::remove_file(self.folder.join(name)).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_copies_are_kept_each_of_another_version_and_no_other_file_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let copies = Copies::of(Path::new("x/jobs.db"), dir.path());
        let mine = [
            "jobs-20260101-000000.db",
            "jobs-v1-before-v9-mine.db",
            "jobs-old-v1-before-v9-20200101-000000.db",
        ];
        let old = [
            (1, 9, "20260101-000000"),
            (2, 9, "20260102-000000"),
            (2, 9, "20260103-000000"),
            (3, 9, "20260104-000000"),
        ];
        let old = old.map(|(from, to, time)| copies.path(from, to, time));
        // The clock was set back.
        let new = copies.path(4, 9, "20250101-000000");
        let draft = copies.path(1, 9, "20260101-000001").with_extension("db.part");
        for path in mine.map(|name| dir.path().join(name)).iter().chain(&old).chain([&new, &draft]) {
            fs::write(path, "").unwrap();
        }
        copies.delete_drafts();
        copies.delete_superseded(4, &new);
        let there = |path: &PathBuf| path.exists();
        assert_eq!(old.each_ref().map(there), [false, false, true, true]);
        assert!(new.exists() && !draft.exists());
        assert!(mine.iter().all(|name| dir.path().join(name).exists()));
    }
}
