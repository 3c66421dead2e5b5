//! Reads the system log back, newest line first, without holding a file in memory. Blocking: call
//! it from a thread that may wait for the disk.

use super::backwards::Backwards;
use super::daily::{Place, day_of};
use crate::clock::Clock;
use crate::config::Config;
use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

/// A search reads at most this many bytes, newest first.
const SCAN_MAX: u64 = 256 << 20;

/// The log files of this server.
#[derive(Clone, Debug)]
pub struct Files {
    place: Place,
    zone: Tz,
    clock: Clock,
}

/// Which lines to read.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// `None`: all days that are kept.
    pub day: Option<NaiveDate>,
    /// Any of these, in capitals; empty: all.
    pub levels: Vec<String>,
    /// Anywhere in the line, in any ASCII case.
    pub text: Option<String>,
}

/// A page of lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub lines: Vec<String>,
    pub total: i64,
    /// Whether there was more to search than is searched.
    pub cut: bool,
}

impl Files {
    pub fn new(config: &Config, clock: Clock) -> Self {
        Self { place: Place::new(&config.log), zone: config.zone, clock }
    }

    /// The lines that match, newest first, and how many there are in all; `page` counts from 1.
    pub fn page(&self, filter: &Filter, page: i64, size: i64) -> io::Result<Found> {
        let first = (page - 1).saturating_mul(size);
        let wanted = first..first.saturating_add(size);
        let (mut lines, mut total) = (Vec::new(), 0);
        let cut = self.scan(filter, &mut SCAN_MAX.clone(), |line| {
            if wanted.contains(&total) {
                lines.push(line);
            }
            total += 1;
            ControlFlow::Continue(())
        })?;
        Ok(Found { lines, total, cut })
    }

    /// The newest lines that match, newest first, at most `n`; reads no further back than it must.
    pub fn newest(&self, filter: &Filter, n: usize) -> io::Result<Vec<String>> {
        self.newest_within(filter, n, &mut SCAN_MAX.clone())
    }

    fn newest_within(&self, filter: &Filter, n: usize, left: &mut u64) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        if n == 0 {
            return Ok(lines);
        }
        self.scan(filter, left, |line| {
            lines.push(line);
            if lines.len() == n { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(lines)
    }

    /// Shows each line that matches, newest first, until `each` has seen enough or `left` bytes are
    /// read; answers whether there was more to read.
    fn scan(
        &self,
        filter: &Filter,
        left: &mut u64,
        mut each: impl FnMut(String) -> ControlFlow<()>,
    ) -> io::Result<bool> {
        let wanted = Wanted::new(filter);
        let mut cut = false;
        for path in self.paths(filter.day)? {
            let mut lines = Backwards::open(&path, None)?;
            while let Some(line) = lines.next(left)? {
                if wanted.matches(&line) && each(String::from_utf8_lossy(&line).into_owned()).is_break() {
                    return Ok(cut);
                }
            }
            cut |= *left == 0;
        }
        Ok(cut)
    }

    /// The file of one day, `None`: it has none.
    pub fn of_day(&self, day: Option<NaiveDate>) -> io::Result<Option<PathBuf>> {
        Ok(self.paths(Some(day.unwrap_or_else(|| self.today())))?.into_iter().next())
    }

    /// Deletes the lines of a day, or of all; answers how many there were.
    pub fn clear(&self, day: Option<NaiveDate>) -> io::Result<usize> {
        let mut lines = 0;
        for path in self.paths(day)? {
            lines += count_lines(&path)?;
            if path == self.place.current() {
                // It is open for appending, and goes on at its new end.
                File::options().write(true).open(&path)?.set_len(0)?;
            } else {
                fs::remove_file(&path)?;
            }
        }
        Ok(lines)
    }

    pub fn today(&self) -> NaiveDate {
        day_of(self.clock.now(), self.zone)
    }

    /// The files that hold the day, newest first; only those that are there.
    pub(super) fn paths(&self, day: Option<NaiveDate>) -> io::Result<Vec<PathBuf>> {
        let mut paths = vec![];
        if day.is_none_or(|day| day == self.today()) {
            paths.push(self.place.current().to_owned());
        }
        match day {
            Some(day) => paths.push(self.place.of(day)),
            None if self.place.folder().is_dir() => {
                paths.extend(self.place.days()?.into_iter().rev().map(|day| self.place.of(day)));
            }
            None => {}
        }
        paths.retain(|path| path.is_file());
        Ok(paths)
    }
}

/// A filter as bytes to look for.
pub(super) struct Wanted {
    levels: Vec<Vec<u8>>,
    text: Option<Vec<u8>>,
}

impl Wanted {
    pub fn new(filter: &Filter) -> Self {
        let level = |level: &String| format!("\"level\":\"{level}\"").into_bytes();
        let text = |text: &String| {
            // As it stands in a JSON line.
            let quoted = Value::from(text.as_str()).to_string();
            quoted[1..quoted.len() - 1].to_ascii_lowercase().into_bytes()
        };
        Self { levels: filter.levels.iter().map(level).collect(), text: filter.text.as_ref().map(text) }
    }

    pub fn matches(&self, line: &[u8]) -> bool {
        (self.levels.is_empty() || self.levels.iter().any(|level| contains(line, level)))
            && self.text.as_ref().is_none_or(|text| contains(&line.to_ascii_lowercase(), text))
    }
}

/// The log files for many at once, of whom one at a time reads: a search may read much.
#[derive(Clone, Debug)]
pub struct Shared {
    files: Files,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Shared {
    pub fn new(files: Files) -> Self {
        Self { files, turn: Arc::default() }
    }

    /// Does the work on a thread that may wait for the disk. Who no longer waits for it does not end it,
    /// and it keeps its turn.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (turn, files) = (self.turn.clone().lock_owned().await, self.files.clone());
        let work = move || {
            let _turn = turn;
            work(&files)
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }

    pub fn today(&self) -> NaiveDate {
        self.files.today()
    }
}

/// A line in the shape that clients of the older editions know: `level, time, caller, msg` first.
pub fn shaped(line: &str) -> Value {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(line) else {
        return serde_json::json!({"level": "", "time": "", "caller": "", "msg": line});
    };
    let mut take = |name: &str| fields.shift_remove(name).unwrap_or(Value::Null);
    let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
    let (level, time, msg) = (text(take("level")), take("timestamp"), take("message"));
    let caller = match (text(take("filename")), take("line_number")) {
        (file, Value::Number(line)) => format!("{file}:{line}"),
        (file, _) => file,
    };
    let mut shaped = Map::new();
    shaped.insert("level".into(), level.to_ascii_lowercase().into());
    shaped.insert("time".into(), time);
    shaped.insert("caller".into(), caller.into());
    shaped.insert("msg".into(), msg);
    shaped.extend(fields);
    shaped.into()
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    part.is_empty() || line.windows(part.len()).any(|window| window == part)
}

fn count_lines(path: &PathBuf) -> io::Result<usize> {
    let mut file = File::open(path)?;
    let mut block = vec![0; 64 << 10];
    let mut lines = 0;
    loop {
        match file.read(&mut block)? {
            0 => return Ok(lines),
            n => lines += block[..n].iter().filter(|b| **b == b'\n').count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Settable;
    use crate::domain::UtcMs;
    use crate::telemetry::backwards::BLOCK;

    /// A log of three days, the last of which is today, 2026-01-05.
    fn log(folder: &std::path::Path) -> Files {
        let write = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
        write("app.2026-01-03.log", line("INFO", "first"));
        write("app.2026-01-04.log", line("ERROR", "say \\\"hi\\\"") + &line("WARN", "任务 7"));
        write(
            "app.log",
            "no JSON\n".to_owned() + &line("INFO", &"long ".repeat(50_000)) + &line("INFO", "Last"),
        );
        let config = Config::load(&crate::config::Flags::default(), |name| match name {
            "LOG_FILE" => Some(folder.join("app.log").display().to_string()),
            "TZ" => Some("UTC".into()),
            _ => None,
        });
        let clock = Clock::Settable(Settable::new(UtcMs(1_767_600_000_000)));
        Files::new(&config.unwrap(), clock)
    }

    fn line(level: &str, message: &str) -> String {
        format!(
            r#"{{"timestamp":"2026-01-05T08:00:00Z","level":"{level}","message":"{message}","job":"7","filename":"src/a.rs","line_number":5}}"#
        ) + "\n"
    }

    fn messages(found: &Found) -> Vec<String> {
        found.lines.iter().map(|l| shaped(l)["msg"].as_str().unwrap().chars().take(8).collect()).collect()
    }

    #[test]
    fn pages_go_back_through_the_days() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path());
        let all = log.page(&Filter::default(), 1, 10).unwrap();
        assert_eq!(messages(&all), ["Last", "long lon", "no JSON", "任务 7", "say \"hi\"", "first"]);
        assert_eq!((all.total, all.cut), (6, false));
        let second = log.page(&Filter::default(), 2, 4).unwrap();
        assert_eq!((messages(&second), second.total), (vec!["say \"hi\"".to_owned(), "first".into()], 6));
        assert_eq!(log.page(&Filter::default(), i64::MAX, 1_000).unwrap().lines.len(), 0);
    }

    #[test]
    fn filters_by_day_level_and_text() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path());
        let found = |day: &str, level: &str, text: &str| {
            let some = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
            let levels = some(level).into_iter().collect();
            let filter = Filter { day: day.parse().ok(), levels, text: some(text) };
            messages(&log.page(&filter, 1, 10).unwrap())
        };
        assert_eq!(found("2026-01-04", "", ""), ["任务 7", "say \"hi\""]);
        assert_eq!(found("2026-01-05", "INFO", ""), ["Last", "long lon"]);
        assert_eq!(found("2026-01-02", "", ""), [""; 0]);
        assert_eq!(found("", "WARN", ""), ["任务 7"]);
        assert_eq!(found("", "", "任务"), ["任务 7"]);
        assert_eq!(found("", "", "lAST"), ["Last"]);
        assert_eq!(found("", "", "\"hi\""), ["say \"hi\""], "as people type it, not as JSON writes it");
    }

    #[test]
    fn lines_have_the_fields_that_clients_know() {
        let shaped = shaped(&line("WARN", "hello"));
        let text = shaped.to_string();
        assert!(text.starts_with(
            r#"{"level":"warn","time":"2026-01-05T08:00:00Z","caller":"src/a.rs:5","msg":"hello","job":"7""#
        ), "{text}");
    }

    #[test]
    fn clearing_counts_the_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path());
        assert_eq!(log.clear("2026-01-04".parse().ok()).unwrap(), 2);
        assert_eq!(log.page(&Filter::default(), 1, 10).unwrap().total, 4);
        assert_eq!(log.clear(None).unwrap(), 4);
        assert_eq!(log.page(&Filter::default(), 1, 10).unwrap().total, 0);
        assert!(folder.path().join("app.log").exists());
    }

    #[test]
    fn the_newest_lines_cost_no_more_than_they_must() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path());
        let mut text = line("ERROR", "old") + &line("INFO", "x").repeat(20_000);
        text += &(line("ERROR", "new") + &line("INFO", "y"));
        let size = u64::try_from(text.len()).unwrap();
        assert!(size > 30 * BLOCK);
        fs::write(folder.path().join("app.log"), text).unwrap();
        let read = |level: Option<&str>, n: usize| {
            let levels = level.map(str::to_owned).into_iter().collect();
            let filter = Filter { day: "2026-01-05".parse().ok(), levels, text: None };
            let mut left = SCAN_MAX;
            let lines = log.newest_within(&filter, n, &mut left).unwrap();
            let lines: Vec<_> = lines.iter().map(|l| shaped(l)["msg"].as_str().unwrap().to_owned()).collect();
            (lines, SCAN_MAX - left)
        };
        assert_eq!(read(None, 2), (vec!["y".to_owned(), "new".into()], BLOCK));
        assert_eq!(read(Some("ERROR"), 1), (vec!["new".to_owned()], BLOCK));
        assert_eq!(read(Some("ERROR"), 2), (vec!["new".to_owned(), "old".into()], size));
        assert_eq!(read(None, 0), (vec![], 0));
    }

    #[tokio::test]
    async fn one_reads_at_a_time_also_when_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let shared = Shared::new(log(folder.path()));
        let (began, mut begun) = tokio::sync::mpsc::unbounded_channel();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let (first_began, first) = (began.clone(), shared.clone());
        let first = tokio::spawn(async move {
            let work = move |_: &Files| {
                first_began.send("first").unwrap();
                wait.recv().ok();
                first_began.send("first ends").unwrap();
                Ok(())
            };
            first.run(work).await
        });
        assert_eq!(begun.recv().await, Some("first"));
        first.abort();
        assert!(first.await.is_err());
        let second = shared.run(move |_| {
            began.send("second").unwrap();
            Ok(())
        });
        tokio::pin!(second);
        // Without a turn to wait for it would begin now.
        tokio::select! {
            biased;
            _ = &mut second => panic!("it waits for its turn"),
            () = std::future::ready(()) => {}
        }
        assert!(shared.turn.try_lock().is_err());
        go_on.send(()).unwrap();
        second.await.unwrap();
        assert_eq!(begun.recv().await, Some("first ends"));
        assert_eq!(begun.recv().await, Some("second"));
    }
}
