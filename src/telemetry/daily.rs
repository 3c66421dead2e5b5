//! The log file of today, and those of the days before. Lines go to the file that the settings
//! name, so that `tail -F` follows it; when a day of the server's zone is over, the file gets that
//! day's name (`app.log` becomes `app.2026-11-22.log`) and the oldest beyond `days` are deleted.

use crate::clock::Clock;
use crate::config::LogConfig;
use crate::domain::UtcMs;
use crate::private;
use chrono::NaiveDate;
use chrono_tz::Tz;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where the log files lie.
#[derive(Clone, Debug)]
pub struct Place {
    file: PathBuf,
}

impl Place {
    pub fn new(config: &LogConfig) -> Self {
        Self { file: std::path::absolute(&config.file).unwrap_or_else(|_| config.file.clone()) }
    }

    /// Today's file.
    pub fn current(&self) -> &Path {
        &self.file
    }

    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    /// The file of a day that is over.
    pub fn of(&self, day: NaiveDate) -> PathBuf {
        let (stem, ending) = self.parts();
        self.folder().join(format!("{stem}.{day}{ending}"))
    }

    /// The days that are over and have a file, oldest first.
    pub fn days(&self) -> io::Result<Vec<NaiveDate>> {
        let (stem, ending) = self.parts();
        let day = |name: &str| {
            let day = name.strip_prefix(&stem)?.strip_prefix('.')?.strip_suffix(&ending)?;
            NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()
        };
        let mut days = Vec::new();
        for entry in fs::read_dir(self.folder())? {
            days.extend(entry?.file_name().to_str().and_then(day));
        }
        days.sort_unstable();
        Ok(days)
    }

    /// What stands before and after the day in a file's name.
    fn parts(&self) -> (String, String) {
        let text = |part: Option<&std::ffi::OsStr>| part.map(|p| p.to_string_lossy().into_owned());
        let ending = text(self.file.extension()).map_or(String::new(), |e| format!(".{e}"));
        (text(self.file.file_stem()).unwrap_or_default(), ending)
    }
}

/// Writes to today's file. Used from one thread.
#[derive(Debug)]
pub struct Daily {
    place: Place,
    /// Files of days that are over.
    keep: usize,
    zone: Tz,
    clock: Clock,
    today: NaiveDate,
    file: File,
}

impl Daily {
    pub fn open(place: Place, days: usize, zone: Tz, clock: Clock) -> io::Result<Self> {
        private::make_folder(place.folder())?;
        let today = day_of(clock.now(), zone);
        // A server that was down at midnight left its last day under today's name.
        let written = fs::metadata(place.current()).and_then(|m| m.modified());
        if let Ok(written) = written.map(|at| day_of(UtcMs::from_utc(at.into()), zone))
            && written < today
        {
            put_away(&place, written)?;
        }
        let file = append(place.current())?;
        let daily = Self { place, keep: days.saturating_sub(1), zone, clock, today, file };
        daily.delete_old()?;
        Ok(daily)
    }

    fn turn_over(&mut self, today: NaiveDate) -> io::Result<()> {
        put_away(&self.place, self.today)?;
        self.file = append(self.place.current())?;
        self.today = today;
        self.delete_old()
    }

    fn delete_old(&self) -> io::Result<()> {
        let days = self.place.days()?;
        for day in &days[..days.len().saturating_sub(self.keep)] {
            fs::remove_file(self.place.of(*day))?;
        }
        Ok(())
    }
}

impl Write for Daily {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let today = day_of(self.clock.now(), self.zone);
        if today > self.today
            && let Err(e) = self.turn_over(today)
        {
            // The line is worth more than its place.
            eprintln!("timerjobs: the log of {} cannot be put away: {e}", self.today);
            self.today = today;
        }
        self.file.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

pub fn day_of(at: UtcMs, zone: Tz) -> NaiveDate {
    at.to_zone(zone).date_naive()
}

fn append(path: &Path) -> io::Result<File> {
    private::options().create(true).append(true).open(path)
}

/// Gives today's file the name of its day; what is there under that name stays in front.
fn put_away(place: &Place, day: NaiveDate) -> io::Result<()> {
    let (from, to) = (place.current(), place.of(day));
    if !to.exists() {
        return fs::rename(from, to);
    }
    io::copy(&mut File::open(from)?, &mut append(&to)?)?;
    fs::remove_file(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Settable;
    use std::time::Duration;

    /// 2026-01-05T20:00:00Z: the 6th in Shanghai.
    const EVENING: UtcMs = UtcMs(1_767_643_200_000);

    fn setup(folder: &Path) -> (Place, std::sync::Arc<Settable>) {
        (Place { file: folder.join("app.log") }, Settable::new(EVENING))
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_of_the_zone_gets_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let (place, clock) = setup(folder.path());
        let zone = Tz::Asia__Shanghai;
        let mut log = Daily::open(place.clone(), 2, zone, Clock::Settable(clock.clone())).unwrap();
        log.write_all(b"one\n").unwrap();
        clock.advance(Duration::from_secs(21 * 3_600));
        log.write_all(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(place.of(day("2026-01-06"))).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(place.current()).unwrap(), "two\n");
        // A clock that is set back does not open an old day again.
        clock.set_wall(EVENING);
        log.write_all(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(place.current()).unwrap(), "two\nthree\n");
        clock.set_wall(EVENING.plus(Duration::from_secs(48 * 3_600)));
        log.write_all(b"four\n").unwrap();
        assert_eq!(place.days().unwrap(), [day("2026-01-07")], "today's and one more are two days");
    }

    #[test]
    fn a_file_that_an_earlier_day_left_is_put_away() {
        let folder = tempfile::tempdir().unwrap();
        let (place, clock) = setup(folder.path());
        fs::write(place.current(), "old\n").unwrap();
        fs::write(place.of(day("2026-01-04")), "older\n").unwrap();
        let written = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_500_000);
        File::options().append(true).open(place.current()).unwrap().set_modified(written).unwrap();
        Daily::open(place.clone(), 30, Tz::UTC, Clock::Settable(clock)).unwrap();
        assert_eq!(fs::read_to_string(place.of(day("2026-01-04"))).unwrap(), "older\nold\n");
        assert_eq!(fs::read_to_string(place.current()).unwrap(), "");
    }

    #[test]
    fn other_files_in_the_folder_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (place, clock) = setup(folder.path());
        for name in ["app.2020-01-01.log", "app.2020-01-02.log", "app.2020-13-01.log", "other.2020-01-01.log"]
        {
            fs::write(folder.path().join(name), "").unwrap();
        }
        Daily::open(place.clone(), 2, Tz::UTC, Clock::Settable(clock)).unwrap();
        assert_eq!(place.days().unwrap(), [day("2020-01-02")]);
        assert!(folder.path().join("app.2020-13-01.log").exists());
        assert!(folder.path().join("other.2020-01-01.log").exists());
    }

    #[cfg(unix)]
    #[test]
    fn new_files_are_read_by_us_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("log");
        let (place, clock) = setup(&folder);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let mut log = Daily::open(place.clone(), 2, Tz::UTC, Clock::Settable(clock.clone())).unwrap();
        assert_eq!((mode(&folder), mode(place.current())), (0o700, 0o600));
        clock.advance(Duration::from_secs(24 * 3_600));
        log.write_all(b"next day\n").unwrap();
        assert_eq!(mode(place.current()), 0o600);
    }
}
