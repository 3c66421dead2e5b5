//! What only SQLite itself can do or say, and sqlx has no way to: copying a live database with its
//! backup API, telling whether a file is a database, holding a connection to one harmless statement.
//! With the two calls of `confine` and `release` and one in `app/code_pages.rs` this is all `unsafe` of ours.
//!
//! A database is never opened but by SQLite: the system drops all locks that this process holds on a
//! file as soon as anything in it closes that file, and the next program to come would think nobody is
//! there. SQLite knows this and waits with its own closes.

use libsqlite3_sys as ffi;
use std::ffi::{CStr, CString, c_int, c_void};
use std::io::{self, Read};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::ptr;
use tokio_util::sync::CancellationToken;

/// Pages copied at a time; between two steps no lock is held on the copy, and a stop is heard.
const STEP_PAGES: c_int = 256;
/// What a writer that is in the way is given before the next try.
const BUSY_MS: c_int = 25;
/// Steps of SQLite's machine between two looks at the stop.
const PROGRESS_OPS: c_int = 10_000;

/// How long a database that somebody else keeps locked is waited for, while nothing is copied.
const BUSY_MOST: u32 = 60_000 / 25;
/// What SQLite keeps beside a database: nobody else closes them either, `-shm` holds locks as well.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Whether a file begins as SQLite databases do. It is SQLite that reads it, and takes no lock for
/// it; what lies beside a database is not looked into.
pub fn is_database(path: &Path) -> bool {
    // The smallest page; an empty file has nothing to copy.
    let may_be = path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() >= 512);
    let mut magic = [0; 16];
    may_be
        && beside(path).is_none()
        && Raw::open(path, 16).and_then(|mut raw| raw.read_exact(&mut magic)).is_ok()
        && &magic == b"SQLite format 3\0"
}

/// The database that SQLite keeps this file for, and the end of its name.
pub fn beside(path: &Path) -> Option<(PathBuf, &'static str)> {
    let name = path.file_name()?.to_str()?;
    let (stem, end) = BESIDE.iter().find_map(|end| Some((name.strip_suffix(end)?, *end)))?;
    let database = path.with_file_name(stem);
    is_database(&database).then_some((database, end))
}

/// Device and inode of what SQLite keeps beside these databases, whatever else it is called.
#[cfg(unix)]
pub fn kept_beside<'a>(databases: impl Iterator<Item = &'a Path>) -> Vec<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    // Beside the file itself, not beside a link to it.
    let files = databases.filter_map(|path| path.canonicalize().ok()).flat_map(|path| {
        BESIDE.map(|end| {
            let mut name = path.clone().into_os_string();
            name.push(end);
            PathBuf::from(name)
        })
    });
    files.filter_map(|path| path.metadata().ok()).map(|meta| (meta.dev(), meta.ino())).collect()
}

/// The bytes of a file, read by SQLite: its close waits until nobody in this process has locks on it.
pub struct Raw {
    db: Connection<'static>,
    at: u64,
    len: u64,
}

impl Raw {
    /// The first `len` bytes.
    pub fn open(path: &Path, len: u64) -> io::Result<Self> {
        let db = Connection::without_stop(path, ffi::SQLITE_OPEN_READONLY).map_err(io::Error::other)?;
        Ok(Self { db, at: 0, len })
    }
}

impl Read for Raw {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = buf.len().min(1 << 20).min(usize::try_from(self.len - self.at).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let (amount, at) = (c_int::try_from(want), i64::try_from(self.at));
        let (Ok(amount), Ok(at)) = (amount, at) else { return Err(io::ErrorKind::FileTooLarge.into()) };
        let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
        // SAFETY: the connection is open and used by this thread alone; SQLite puts the file's handle
        // into `file`, valid as long as the connection, and reads no more than `buf` has room for.
        let code = unsafe {
            let place = (&raw mut file).cast::<c_void>();
            match ffi::sqlite3_file_control(
                self.db.db,
                c"main".as_ptr(),
                ffi::SQLITE_FCNTL_FILE_POINTER,
                place,
            ) {
                ffi::SQLITE_OK if !file.is_null() && !(*file).pMethods.is_null() => {
                    let read = (*(*file).pMethods).xRead;
                    read.map_or(ffi::SQLITE_MISUSE, |read| read(file, buf.as_mut_ptr().cast(), amount, at))
                }
                ffi::SQLITE_OK => ffi::SQLITE_MISUSE,
                code => code,
            }
        };
        match code {
            ffi::SQLITE_OK => {
                self.at += want as u64;
                Ok(want)
            }
            // It has become shorter.
            ffi::SQLITE_IOERR_SHORT_READ => Ok(0),
            code => Err(io::Error::other(named(code))),
        }
    }
}

/// The pragmas that a job may ask with a value; they only tell.
const PRAGMAS: [&str; 12] = [
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "index_xinfo",
    "foreign_key_list",
    "foreign_key_check",
    "integrity_check",
    "quick_check",
    "database_list",
    "collation_list",
];
/// Those that would set a value when they are given one. SQLite's own FTS5 and R-tree ask for
/// `data_version` and `page_size`.
const PRAGMAS_READ: [&str; 14] = [
    "function_list",
    "module_list",
    "pragma_list",
    "compile_options",
    "user_version",
    "schema_version",
    "application_id",
    "data_version",
    "page_count",
    "page_size",
    "freelist_count",
    "encoding",
    "journal_mode",
    "auto_vacuum",
];

/// What is wrong with a text that is to be one statement.
#[derive(Debug, PartialEq, Eq)]
pub enum NotOne {
    /// There is more behind the first.
    Several,
    /// It holds a variable that values cannot be bound to.
    Variable(String),
    /// SQLite does not understand it, or it may not do what it says.
    Refused(String),
}

/// Has SQLite itself say whether the text is one statement that a job may run, and holds the
/// connection to that: no other files, no end of the transaction. `release` ends it.
///
/// # Safety
/// `db` is an open connection that nobody else uses meanwhile.
pub unsafe fn confine(db: *mut ffi::sqlite3, sql: &str) -> Result<(), NotOne> {
    // SAFETY: the caller's connection; the callback takes nothing of ours.
    unsafe {
        ffi::sqlite3_limit(db, ffi::SQLITE_LIMIT_ATTACHED, 0);
        ffi::sqlite3_set_authorizer(db, Some(authorize), ptr::null_mut());
    }
    let mut rest = sql.as_bytes();
    let mut statements = 0;
    while !rest.is_empty() {
        let (mut statement, mut tail) = (ptr::null_mut(), ptr::null());
        let length = c_int::try_from(rest.len()).map_err(|_| NotOne::Refused("it is too long".into()))?;
        // SAFETY: the text has that length; both are places for what SQLite gives back.
        let code = unsafe {
            ffi::sqlite3_prepare_v2(db, rest.as_ptr().cast(), length, &raw mut statement, &raw mut tail)
        };
        if code != ffi::SQLITE_OK {
            // SAFETY: the connection is open; the text is copied at once.
            let said = unsafe { CStr::from_ptr(ffi::sqlite3_errmsg(db)).to_string_lossy().into_owned() };
            return Err(if statements > 0 { NotOne::Several } else { NotOne::Refused(said) });
        }
        let empty = statement.is_null();
        // SAFETY: `statement` was prepared above (or is null, which is allowed) and is finalized once.
        let odd = unsafe {
            let odd = odd_variable(statement);
            ffi::sqlite3_finalize(statement);
            odd
        };
        if let Some(name) = odd {
            return Err(NotOne::Variable(name));
        }
        // Comments and blanks are no statement.
        statements += u32::from(!empty);
        if statements > 1 {
            return Err(NotOne::Several);
        }
        let used = (tail as usize).saturating_sub(rest.as_ptr() as usize);
        if used == 0 {
            break;
        }
        rest = &rest[used.min(rest.len())..];
    }
    Ok(())
}

/// Takes the rules off, so that the transaction can be ended.
///
/// # Safety
/// As for `confine`.
pub unsafe fn release(db: *mut ffi::sqlite3) {
    // SAFETY: the caller's connection; no callback any more.
    unsafe { ffi::sqlite3_set_authorizer(db, None, ptr::null_mut()) };
}

/// A `$` variable that is not `$1`, `$2`, ...: sqlx takes those for numbers.
///
/// # Safety
/// `statement` is prepared or null.
unsafe fn odd_variable(statement: *mut ffi::sqlite3_stmt) -> Option<String> {
    // SAFETY: the caller's statement; names end with NUL and live as long as it.
    unsafe {
        (1..=ffi::sqlite3_bind_parameter_count(statement)).find_map(|n| {
            let name = ffi::sqlite3_bind_parameter_name(statement, n);
            if name.is_null() {
                return None;
            }
            let name = CStr::from_ptr(name).to_string_lossy().into_owned();
            let number = name.strip_prefix(['$', '?']).map_or("1", |number| number);
            (!number.parse().is_ok_and(|n: u32| n > 0)).then_some(name)
        })
    }
}

/// Asked by SQLite for each thing that a statement would do.
unsafe extern "C" fn authorize(
    _: *mut c_void,
    action: c_int,
    first: *const std::ffi::c_char,
    second: *const std::ffi::c_char,
    _: *const std::ffi::c_char,
    _: *const std::ffi::c_char,
) -> c_int {
    let text = |at: *const std::ffi::c_char| {
        // SAFETY: SQLite gives texts with their NUL, or null.
        if at.is_null() {
            String::new()
        } else {
            unsafe { CStr::from_ptr(at) }.to_string_lossy().to_ascii_lowercase()
        }
    };
    let allowed = match action {
        ffi::SQLITE_ATTACH | ffi::SQLITE_DETACH | ffi::SQLITE_TRANSACTION | ffi::SQLITE_SAVEPOINT => false,
        ffi::SQLITE_PRAGMA => {
            let name = text(first);
            PRAGMAS.contains(&name.as_str()) || second.is_null() && PRAGMAS_READ.contains(&name.as_str())
        }
        ffi::SQLITE_FUNCTION => text(second) != "load_extension",
        _ => true,
    };
    if allowed { ffi::SQLITE_OK } else { ffi::SQLITE_DENY }
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
    let mut waited = 0;
    let ended = loop {
        if stop.is_cancelled() {
            break ffi::SQLITE_INTERRUPT;
        }
        // SAFETY: `backup` is what init gave, and is finished only below.
        match unsafe { ffi::sqlite3_backup_step(backup, STEP_PAGES) } {
            ffi::SQLITE_OK => waited = 0,
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED if waited < BUSY_MOST => {
                waited += 1;
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
        let connection = Self::without_stop(path, flags)?;
        let stop = ptr::from_ref(stop).cast_mut().cast::<c_void>();
        // SAFETY: the token outlives the connection ('a), and `stopped` only reads it.
        unsafe {
            ffi::sqlite3_progress_handler(connection.db, PROGRESS_OPS, Some(stopped), stop);
            ffi::sqlite3_busy_timeout(connection.db, BUSY_MS);
        }
        Ok(connection)
    }

    fn without_stop(path: &Path, flags: c_int) -> Result<Self, String> {
        #[cfg(unix)]
        let path = CString::new(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())).ok();
        #[cfg(not(unix))]
        let path = path.to_str().and_then(|path| CString::new(path).ok());
        let path = path.ok_or("the path cannot be given to SQLite")?;
        let mut db = ptr::null_mut();
        // SAFETY: the path ends with NUL, `db` is a place for the handle, and no VFS is named.
        let code = unsafe { ffi::sqlite3_open_v2(path.as_ptr(), &raw mut db, flags, ptr::null()) };
        // Also a failed open gives a handle that is to be closed.
        let connection = Self { db, stop: PhantomData };
        if code != ffi::SQLITE_OK {
            return Err(if db.is_null() { named(code) } else { connection.error() });
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
