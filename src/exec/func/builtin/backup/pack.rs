//! Writes an archive, and reads one back. Both count the same things, so that they can be compared.
//!
//! Folders are walked by their handles: one that is moved or swapped for a link meanwhile is packed as it was found.

use super::super::beneath::{DIR, entries};
use super::sqlite;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufWriter, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio_util::sync::CancellationToken;
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

/// zstd's own default: gzip's size in a fraction of its time.
pub const LEVEL: i32 = 3;

/// What an archive holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seal {
    pub entries: u64,
    /// Of all files together.
    pub bytes: u64,
    /// Over paths and sizes, in order.
    digest: u64,
}

impl Seal {
    fn add(&mut self, path: &Path, size: u64) {
        let mut hasher = DefaultHasher::new();
        // A folder may be written with a slash at its end; components do not tell.
        (self.digest, path.components().as_path(), size).hash(&mut hasher);
        self.digest = hasher.finish();
        self.entries += 1;
        self.bytes += size;
    }
}

/// What was packed.
pub struct Packed {
    pub seal: Seal,
    /// The target folder, sockets, pipes and devices, and the files that SQLite keeps beside a database.
    pub left_out: u64,
    /// Files that were shorter than they had said.
    pub changed: u64,
    /// Databases that SQLite could not copy: damaged, locked or in need of a recovery.
    pub raw: u64,
}

/// What is to be packed: a name in a folder that is held open.
struct Entry {
    /// None for the source itself, which is named by its whole path.
    folder: Option<Rc<OwnedFd>>,
    file: OsString,
    /// For SQLite, which opens by path, and for people.
    path: PathBuf,
    /// In the archive.
    name: PathBuf,
}

impl Entry {
    fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_ref().map_or(CWD, |folder| folder.as_fd())
    }

    fn stat(&self) -> Result<Stat, Errno> {
        statat(self.folder(), &self.file, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Never a link, and never a pipe that nobody writes to.
    fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(self.folder(), &self.file, flags, Mode::empty())
    }

    fn inside(&self, folder: &Rc<OwnedFd>, file: OsString) -> Self {
        let (path, name) = (self.path.join(&file), self.name.join(&file));
        Self { folder: Some(folder.clone()), file, path, name }
    }
}

/// Why an entry was not added.
enum Failure {
    /// Before anything of it was written.
    Look(Errno),
    Whole(PathBuf, io::Error),
}

impl From<Errno> for Failure {
    fn from(e: Errno) -> Self {
        Self::Look(e)
    }
}

impl From<(PathBuf, io::Error)> for Failure {
    fn from((path, e): (PathBuf, io::Error)) -> Self {
        Self::Whole(path, e)
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> (PathBuf, io::Error) {
    move |e| (path.to_owned(), e)
}

/// What opening a folder, a link or a file says when it has become one of the others, or a pipe.
const REPLACED: [Errno; 4] = [Errno::LOOP, Errno::NOTDIR, Errno::INVAL, Errno::NXIO];
/// How often one is looked at again then.
const LOOKS: u32 = 100;

/// Packs `source`, an absolute path, under its own name into the new file `draft`, without the folder `target`.
pub fn pack(
    source: &Path,
    target: &Path,
    draft: &Path,
    live: &Live,
    stop: &CancellationToken,
) -> Result<Packed, (PathBuf, io::Error)> {
    let file = create(draft).map_err(at(draft))?;
    let mut archive = Archive {
        tar: tar::Builder::new(encoder(file).map_err(at(draft))?),
        packed: Packed { seal: Seal::default(), left_out: 0, changed: 0, raw: 0 },
        raw: Vec::new(),
        target,
        draft,
        live,
        stop,
    };
    let name = PathBuf::from(source.file_name().unwrap_or_default());
    let whole = Entry { folder: None, file: source.as_os_str().to_owned(), path: source.to_owned(), name };
    // Deepest last: a stack gives the order of a listing when it is filled from the end.
    let mut todo = vec![(whole, 1)];
    while let Some((entry, looks)) = todo.pop() {
        stopped(stop).map_err(at(&entry.path))?;
        match archive.add(&entry) {
            Ok(inner) => todo.extend(inner.into_iter().map(|entry| (entry, 1))),
            // Gone since its folder was read.
            Err(Failure::Look(Errno::NOENT)) if entry.folder.is_some() => (),
            Err(Failure::Look(e)) if REPLACED.contains(&e) && looks < LOOKS => todo.push((entry, looks + 1)),
            Err(Failure::Look(e)) => return Err((entry.path, e.into())),
            Err(Failure::Whole(path, e)) => return Err((path, e)),
        }
    }
    let file = archive.tar.into_inner().and_then(Encoder::finish).map_err(at(draft))?;
    let file = file.into_inner().map_err(|e| at(draft)(e.into_error()))?;
    file.sync_all().map_err(at(draft))?;
    Ok(archive.packed)
}

struct Archive<'a> {
    tar: tar::Builder<Encoder<'static, BufWriter<File>>>,
    packed: Packed,
    /// Databases that were packed as they lie there.
    raw: Vec<PathBuf>,
    target: &'a Path,
    draft: &'a Path,
    live: &'a Live,
    stop: &'a CancellationToken,
}

impl Archive<'_> {
    /// Adds one entry. What is in it, if it is a folder, the last first.
    fn add(&mut self, entry: &Entry) -> Result<Vec<Entry>, Failure> {
        let Entry { path, name, .. } = entry;
        let stat = entry.stat()?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        match kind {
            FileType::Directory if path != self.target => {
                let folder = Rc::new(entry.open(DIR)?);
                let inner = entries(&folder)?;
                let mut header = header(&stat, kind);
                self.tar.append_data(&mut header, name.join(""), io::empty()).map_err(at(path))?;
                self.packed.seal.add(name, 0);
                return Ok(inner.into_iter().rev().map(|file| entry.inside(&folder, file)).collect());
            }
            FileType::Symlink => {
                let link = readlinkat(entry.folder(), &entry.file, Vec::new())?;
                let link = OsString::from_vec(link.into_bytes());
                self.tar.append_link(&mut header(&stat, kind), name, link).map_err(at(path))?;
                self.packed.seal.add(name, 0);
            }
            FileType::RegularFile if path != self.draft && !kept(path, &stat, self.live, &self.raw) => {
                self.add_file(entry, &stat)?;
            }
            _ => self.packed.left_out += 1,
        }
        Ok(Vec::new())
    }

    fn add_file(&mut self, entry: &Entry, stat: &Stat) -> Result<(), Failure> {
        let Entry { path, name, .. } = entry;
        let length = |stat: &Stat| u64::try_from(stat.st_size).unwrap_or(0);
        // Of a database, a copy of one instant; only SQLite opens it, so that its locks stay.
        let copy = match sqlite::is_database(path) {
            true => Some(copied(path, self.draft, self.stop).map_err(at(self.draft))?),
            false => None,
        };
        let (file, size): (Box<dyn Read>, u64) = match &copy {
            Some(Some(copy)) => {
                let file = File::open(&copy.0).map_err(at(&copy.0))?;
                let size = file.metadata().map_err(at(&copy.0))?.len();
                (Box::new(file), size)
            }
            // One that is damaged or locked is better saved as it is than not at all.
            Some(None) => {
                self.packed.raw += 1;
                self.raw.push(path.clone());
                (Box::new(sqlite::Raw::open(path, length(stat)).map_err(at(path))?), length(stat))
            }
            None => {
                let file = entry.open(OFlags::RDONLY)?;
                let now = fstat(&file)?;
                if FileType::from_raw_mode(now.st_mode) != FileType::RegularFile {
                    return Err(Errno::INVAL.into());
                }
                (Box::new(File::from(file)), length(&now))
            }
        };
        let mut header = header(stat, FileType::RegularFile);
        header.set_size(size);
        let mut reader = Padded { file, left: size, short: false, stop: self.stop };
        self.tar.append_data(&mut header, name, &mut reader).map_err(at(path))?;
        self.packed.changed += u64::from(reader.short);
        self.packed.seal.add(name, size);
        Ok(())
    }
}

/// Of something without contents.
fn header(stat: &Stat, kind: FileType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(match kind {
        FileType::Directory => tar::EntryType::Directory,
        FileType::Symlink => tar::EntryType::Symlink,
        _ => tar::EntryType::Regular,
    });
    header.set_mode(stat.st_mode);
    header.set_uid(u64::from(stat.st_uid));
    header.set_gid(u64::from(stat.st_gid));
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
    header.set_size(0);
    header
}

/// A database's copy on its way into the archive.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// Copies a database into a file beside the draft; `None` when SQLite cannot.
fn copied(path: &Path, draft: &Path, stop: &CancellationToken) -> io::Result<Option<Copy>> {
    let copy = Copy(draft.with_extension("db"));
    create(&copy.0)?;
    let made = sqlite::copy(path, &copy.0, stop);
    stopped(stop)?;
    Ok(made.is_ok().then_some(copy))
}

/// Device and inode of what SQLite keeps beside the databases that this process has open.
pub type Live = [(u64, u64)];

/// Whether SQLite keeps this file for a database: what is in it is in the copy of the database. One
/// that could not be copied needs what it has there to be recovered.
fn kept(path: &Path, stat: &Stat, live: &Live, raw: &[PathBuf]) -> bool {
    if live.contains(&(stat.st_dev, stat.st_ino)) {
        return true;
    }
    sqlite::beside(path).is_some_and(|(database, end)| end == "-shm" || !raw.contains(&database))
}

/// Reads a whole archive; its checksum is checked on the way.
pub fn read_back(archive: &Path, stop: &CancellationToken) -> io::Result<Seal> {
    let mut tar = tar::Archive::new(Decoder::new(File::open(archive)?)?);
    let mut seal = Seal::default();
    for entry in tar.entries()? {
        stopped(stop)?;
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let size = io::copy(&mut entry, &mut io::sink())?;
        seal.add(&path, size);
    }
    // The checksum stands behind the last entry.
    io::copy(&mut tar.into_inner(), &mut io::sink())?;
    Ok(seal)
}

/// A new file that only this user may read: the archive holds what others may not have been allowed to.
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Compresses into `file`. The checksum is zstd's own, over the contents.
pub fn encoder(file: File) -> io::Result<Encoder<'static, BufWriter<File>>> {
    let mut encoder = Encoder::new(BufWriter::new(file), LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

pub fn stopped(stop: &CancellationToken) -> io::Result<()> {
    if stop.is_cancelled() { Err(io::Error::other("the run was ended")) } else { Ok(()) }
}

/// Exactly as many bytes as the header says: a file that grows is cut, one that shrinks is filled
/// with zeros.
struct Padded<'a> {
    file: Box<dyn Read>,
    left: u64,
    short: bool,
    stop: &'a CancellationToken,
}

impl Read for Padded<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        stopped(self.stop)?;
        let want = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let buf = &mut buf[..want];
        let mut read = if self.short { 0 } else { self.file.read(buf)? };
        if read == 0 && want > 0 {
            self.short = true;
            buf.fill(0);
            read = want;
        }
        self.left -= read as u64;
        Ok(read)
    }
}
