//! `console.log`: what a process in the background says beside its log, which is how a start failed
//! and the panics. It stays small: the log's own lines go to the log alone (`telemetry::log`), a
//! process writes some panics and no more, and a start begins a new file when this one has grown.

use super::Paths;
use crate::private;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A longer file is put away before a start; the one that was put away before goes.
const LONG: u64 = 1 << 20;
/// Panics that one process writes; all are in the log.
const PANICS: usize = 50;

pub fn path(paths: &Paths) -> PathBuf {
    paths.0.join("log").join("console.log")
}

/// Opens the file for a process that starts.
pub fn open(console: &Path) -> io::Result<File> {
    if let Some(folder) = console.parent() {
        private::make_folder(folder)?;
    }
    let file = private::options().create(true).append(true).open(console)?;
    shorten(console)?;
    Ok(file)
}

/// Copied and emptied, not renamed: a supervisor writes on into the file that it has open.
pub fn shorten(console: &Path) -> io::Result<()> {
    if fs::metadata(console)?.len() > LONG {
        fs::copy(console, console.with_extension("old.log"))?;
        File::options().write(true).open(console)?.set_len(0)?;
    }
    Ok(())
}

/// From here on panics go to the log, and only some of them to the console too.
pub fn log_panics() {
    let usual = std::panic::take_hook();
    let written = AtomicUsize::new(0);
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!("{panic}");
        if written.fetch_add(1, Ordering::Relaxed) < PANICS {
            usual(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_that_has_grown_is_put_away_once() {
        let dir = tempfile::tempdir().unwrap();
        let console = path(&Paths(dir.path().to_owned()));
        let old = dir.path().join("log/console.old.log");
        let mut file = open(&console).unwrap();
        file.write_all(b"short\n").unwrap();
        open(&console).unwrap();
        assert!(!old.exists());
        for _ in 0..2 {
            file.write_all(&vec![b'x'; usize::try_from(LONG).unwrap() + 1]).unwrap();
            open(&console).unwrap();
            assert_eq!(fs::metadata(&console).unwrap().len(), 0);
            file.write_all(b"goes on\n").unwrap();
            assert_eq!(fs::read_to_string(&console).unwrap(), "goes on\n");
            assert!(fs::metadata(&old).unwrap().len() <= LONG + 16);
            file.set_len(0).unwrap();
        }
    }
}
