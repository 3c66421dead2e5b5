//! Writes an archive, and reads one back. Both count the same things, so that they can be compared.

use super::sqlite;
use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};
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

/// Packs `source` under its own name into the new file `draft`, without the folder `target`.
pub fn pack(
    source: &Path,
    target: &Path,
    draft: &Path,
    live: &Live,
    stop: &CancellationToken,
) -> Result<Packed, (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |e: io::Error| (path, e)
    };
    let file = create(draft).map_err(at(draft))?;
    let mut tar = tar::Builder::new(encoder(file).map_err(at(draft))?);
    let mut packed = Packed { seal: Seal::default(), left_out: 0, changed: 0, raw: 0 };
    let mut raw = Vec::new();
    let name = PathBuf::from(source.file_name().unwrap_or_default());
    // Deepest last: a stack gives the order of a listing when it is filled from the end.
    let mut todo = vec![(source.to_owned(), name)];
    while let Some((path, name)) = todo.pop() {
        stopped(stop).map_err(at(&path))?;
        let meta = match fs::symlink_metadata(&path) {
            // Gone since its folder was read.
            Err(e) if e.kind() == io::ErrorKind::NotFound && path != source => continue,
            meta => meta.map_err(at(&path))?,
        };
        let mut header = tar::Header::new_gnu();
        header.set_metadata(&meta);
        let size = if meta.is_file() { meta.len() } else { 0 };
        header.set_size(size);
        if meta.is_dir() {
            if path == target {
                packed.left_out += 1;
                continue;
            }
            tar.append_data(&mut header, name.join(""), io::empty()).map_err(at(&path))?;
            let mut inner = fs::read_dir(&path)
                .and_then(|entries| entries.map(|e| e.map(|e| e.file_name())).collect::<io::Result<Vec<_>>>())
                .map_err(at(&path))?;
            inner.sort_unstable_by(|a, b| b.cmp(a));
            todo.extend(inner.into_iter().map(|n| (path.join(&n), name.join(&n))));
        } else if meta.is_symlink() {
            let link = fs::read_link(&path).map_err(at(&path))?;
            tar.append_link(&mut header, &name, link).map_err(at(&path))?;
        } else if meta.is_file() && path != draft && !kept(&path, &meta, live, &raw) {
            // Of a database, a copy of one instant; only SQLite opens it, so that its locks stay.
            let copy = match sqlite::is_database(&path) {
                true => Some(copied(&path, draft, stop).map_err(at(draft))?),
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
                    packed.raw += 1;
                    raw.push(path.clone());
                    (Box::new(sqlite::Raw::open(&path, size).map_err(at(&path))?), size)
                }
                None if size == 0 => (Box::new(io::empty()), 0),
                None => (Box::new(open(&path, &meta).map_err(at(&path))?), size),
            };
            header.set_size(size);
            let mut reader = Padded { file, left: size, short: false, stop };
            tar.append_data(&mut header, &name, &mut reader).map_err(at(&path))?;
            packed.changed += u64::from(reader.short);
            packed.seal.add(&name, size);
            continue;
        } else {
            packed.left_out += 1;
            continue;
        }
        packed.seal.add(&name, size);
    }
    let write = |e| (draft.to_owned(), e);
    let file = tar.into_inner().and_then(Encoder::finish).map_err(write)?;
    let file = file.into_inner().map_err(|e| write(e.into_error()))?;
    file.sync_all().map_err(write)?;
    Ok(packed)
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
fn kept(path: &Path, meta: &Metadata, live: &Live, raw: &[PathBuf]) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if live.contains(&(meta.dev(), meta.ino())) {
            return true;
        }
    }
    #[cfg(not(unix))]
    let _ = (meta, live);
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
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Compresses into `file`. The checksum is zstd's own, over the contents.
pub fn encoder(file: File) -> io::Result<Encoder<'static, BufWriter<File>>> {
    let mut encoder = Encoder::new(BufWriter::new(file), LEVEL)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

/// Opens the file that was seen, and no link or pipe that took its place since.
fn open(path: &Path, seen: &Metadata) -> io::Result<File> {
    #[cfg(unix)]
    {
        use rustix::fs::{CWD, Mode, OFlags, openat};
        use std::os::unix::fs::MetadataExt;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(CWD, path, flags, Mode::empty())?);
        let now = file.metadata()?;
        if (now.dev(), now.ino()) == (seen.dev(), seen.ino()) || now.is_file() {
            return Ok(file);
        }
        Err(io::Error::other("was replaced while it was packed; run the backup again"))
    }
    #[cfg(not(unix))]
    {
        let _ = seen;
        File::open(path)
    }
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
