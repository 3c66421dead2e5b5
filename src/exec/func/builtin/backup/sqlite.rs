//! Copies a live SQLite database with SQLite's own backup API and checks the copy. The one file of
//! ours with `unsafe`: sqlx has no way to that API. Both connections are opened and closed here,
//! and no handle leaves this file.

use libsqlite3_sys as ffi;
use std::ffi::{CStr, CString, c_int, c_void};
use std::io::Read;
use std::marker::PhantomData;
use std::path::Path;
use std::ptr;
use tokio_util::sync::CancellationToken;

/// Pages copied at a time; between two steps no lock is held on the copy, and a stop is heard.
const STEP_PAGES: c_int = 256;
/// What a writer that is in the way is given before the next try.
const BUSY_MS: c_int = 25;
/// Steps of SQLite's machine between two looks at the stop.
const PROGRESS_OPS: c_int = 10_000;

/// Whether a file begins as SQLite databases do.
pub fn is_database(path: &Path) -> bool {
    let mut magic = [0; 16];
    path.is_file()
        && std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && &magic == b"SQLite format 3\0"
}

/// Copies `source` into the new database `copy` and has SQLite check the copy whole.
///
/// While a database in WAL mode is copied, a read transaction stays open: the copy is the database of
/// one instant, however much is written meanwhile, and writers do not wait. In the other modes a
/// reader would hold writers up; there, a write by others makes SQLite begin again.
pub fn copy(source: &Path, copy: &Path, stop: &CancellationToken) -> Result<(), String> {
    let from = Connection::open(source, ffi::SQLITE_OPEN_READONLY, stop)?;
    let to = Connection::open(copy, ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE, stop)?;
    if from.value(c"PRAGMA journal_mode")? == "wal" {
        from.value(c"BEGIN")?;
        from.value(c"SELECT count(*) FROM sqlite_schema")?;
    }
    backup(&from, &to, stop)?;
    // A copy in WAL mode would want two more files beside it.
    to.value(c"PRAGMA journal_mode = DELETE")?;
    match to.value(c"PRAGMA integrity_check(1)")?.as_str() {
        "ok" => Ok(()),
        wrong => Err(format!("the copy does not pass SQLite's integrity check: {wrong}")),
    }
}

fn backup(from: &Connection, to: &Connection, stop: &CancellationToken) -> Result<(), String> {
    // SAFETY: both connections are open for as long as the borrows, they are two different ones, and
    // the names are literals with their NUL.
    let backup = unsafe { ffi::sqlite3_backup_init(to.db, c"main".as_ptr(), from.db, c"main".as_ptr()) };
    if backup.is_null() {
        return Err(to.error());
    }
    let ended = loop {
        if stop.is_cancelled() {
            break ffi::SQLITE_INTERRUPT;
        }
        // SAFETY: `backup` is what init gave, and is finished only below.
        match unsafe { ffi::sqlite3_backup_step(backup, STEP_PAGES) } {
            ffi::SQLITE_OK => (),
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => {
                // SAFETY: takes a number and touches no handle.
                unsafe { ffi::sqlite3_sleep(BUSY_MS) };
            }
            code => break code,
        }
    };
    // SAFETY: called once for what init gave, whatever the steps said.
    let finished = unsafe { ffi::sqlite3_backup_finish(backup) };
    match (ended, finished) {
        (ffi::SQLITE_DONE, ffi::SQLITE_OK) => Ok(()),
        (ffi::SQLITE_INTERRUPT, _) => Err("the run was ended".into()),
        (ffi::SQLITE_DONE, code) | (code, _) => Err(named(code)),
    }
}

/// A connection of this thread, closed when it is dropped.
struct Connection<'a> {
    db: *mut ffi::sqlite3,
    /// The connection looks at it while it works.
    stop: PhantomData<&'a CancellationToken>,
}

impl<'a> Connection<'a> {
    fn open(path: &Path, flags: c_int, stop: &'a CancellationToken) -> Result<Self, String> {
        let path = path.to_str().and_then(|path| CString::new(path).ok()).ok_or("the path is no UTF-8")?;
        let mut db = ptr::null_mut();
        // SAFETY: the path ends with NUL, `db` is a place for the handle, and no VFS is named.
        let code = unsafe { ffi::sqlite3_open_v2(path.as_ptr(), &raw mut db, flags, ptr::null()) };
        // Also a failed open gives a handle that is to be closed.
        let connection = Self { db, stop: PhantomData };
        if code != ffi::SQLITE_OK {
            return Err(if db.is_null() { named(code) } else { connection.error() });
        }
        let stop = ptr::from_ref(stop).cast_mut().cast::<c_void>();
        // SAFETY: the token outlives the connection ('a), and `stopped` only reads it.
        unsafe {
            ffi::sqlite3_progress_handler(db, PROGRESS_OPS, Some(stopped), stop);
            ffi::sqlite3_busy_timeout(db, BUSY_MS);
        }
        Ok(connection)
    }

    /// Runs one statement; its first value as text, empty when it has none.
    fn value(&self, sql: &CStr) -> Result<String, String> {
        let mut statement = ptr::null_mut();
        // SAFETY: the connection is open, the text ends with NUL (-1: read up to it), `statement` is a
        // place for the handle, and the rest of the text is not asked for.
        let code = unsafe {
            ffi::sqlite3_prepare_v2(self.db, sql.as_ptr(), -1, &raw mut statement, ptr::null_mut())
        };
        if code != ffi::SQLITE_OK {
            return Err(self.error());
        }
        // SAFETY: `statement` was prepared above and is finalized once, after the last use of the text,
        // which SQLite keeps valid until then and ends with NUL.
        unsafe {
            let step = ffi::sqlite3_step(statement);
            let text: *const std::ffi::c_char = match step {
                ffi::SQLITE_ROW => ffi::sqlite3_column_text(statement, 0).cast(),
                _ => ptr::null(),
            };
            let value = match text.is_null() {
                true => String::new(),
                false => CStr::from_ptr(text).to_string_lossy().into_owned(),
            };
            let result = match step {
                ffi::SQLITE_ROW | ffi::SQLITE_DONE => Ok(value),
                _ => Err(self.error()),
            };
            ffi::sqlite3_finalize(statement);
            result
        }
    }

    /// What SQLite says of the last failure.
    fn error(&self) -> String {
        // SAFETY: the connection is open; the text is copied before the next call can change it.
        unsafe { CStr::from_ptr(ffi::sqlite3_errmsg(self.db)).to_string_lossy().into_owned() }
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is ours alone and is closed once; closing null does nothing.
        unsafe { ffi::sqlite3_close(self.db) };
    }
}

/// Asked by SQLite as it works: anything but 0 ends the statement.
unsafe extern "C" fn stopped(stop: *mut c_void) -> c_int {
    // SAFETY: `open` registered a token that outlives the connection.
    let stop = unsafe { &*stop.cast::<CancellationToken>() };
    c_int::from(stop.is_cancelled())
}

fn named(code: c_int) -> String {
    // SAFETY: answers a static text for every number.
    unsafe { CStr::from_ptr(ffi::sqlite3_errstr(code)).to_string_lossy().into_owned() }
}
