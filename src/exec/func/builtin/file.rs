//! `File`: reads, writes and lists files beneath one folder of the settings. How it stays beneath
//! it is `beneath.rs`; only regular files are opened, so that a pipe or device holds nothing up.

use super::{Builtin, Call, Output, Param, Words, Work};
use crate::domain::Text;

pub const BUILTIN: Builtin = Builtin {
    name: "File",
    description: Words {
        zh: "在 functions.file_root 目录中读写文件",
        en: "Reads and writes files in the folder functions.file_root",
    },
    params: &[
        Param {
            name: "op",
            about: Words {
                zh: "read、write、append、delete、list 或 exists",
                en: "read, write, append, delete, list or exists",
            },
            required: true,
        },
        Param {
            name: "path",
            about: Words {
                zh: "文件路径，相对于该目录；list 可省略",
                en: "path of the file, from that folder on; list can do without",
            },
            required: false,
        },
        Param {
            name: "text",
            about: Words {
                zh: "write 和 append 的内容：第二个逗号之后的全部文字",
                en: "what write and append put in: all text after the second comma",
            },
            required: false,
        },
    ],
    example: "File write,notes/today.txt,Hello, World",
    work: Work::Blocking(file),
};

/// Bytes read of one file.
pub const READ_MAX: u64 = 1 << 20;
/// Names shown of one folder.
const LIST_MAX: usize = 1_000;

#[cfg(not(unix))]
fn file(_: &Call) -> Result<Output, Text> {
    Err(Text::new(
        "File 函数目前只支持 Linux 和 macOS，请改用 command 模式",
        "File works on Linux and macOS only; use a job of mode command",
    ))
}

#[cfg(unix)]
fn file(call: &Call) -> Result<Output, Text> {
    let texts = call.texts();
    let op = texts.first().map_or("", |op| op.trim()).to_ascii_lowercase();
    let path = texts.get(1).map_or("", |path| path.trim());
    let root = &call.settings.file_root;
    let names = super::beneath::names(root, path).ok_or_else(|| outside(path, root))?;
    if names.is_empty() && op != "list" && op != "exists" {
        return Err(Text::new(
            format!("缺少文件路径，例如 File {op},notes.txt"),
            format!("the path of a file is missing; write it as File {op},notes.txt"),
        ));
    }
    let draft = format!(".timerjobs-{}-{}.part", call.ctx.exec_id, call.ctx.attempt);
    let live = unix::live(call.settings.sqlite_files());
    let place = unix::Place { root, names, path, draft, live };
    match op.as_str() {
        "read" => place.read(),
        "write" => place.write(&text(call, &texts)),
        "append" => place.append(&text(call, &texts)),
        "delete" => place.delete(),
        "list" => place.list(),
        "exists" => place.exists(),
        _ => Err(Text::new(
            format!("参数 1 “{op}” 不是文件操作，可用：read write append delete list exists"),
            format!("argument 1, \"{op}\", is none of read, write, append, delete, list and exists"),
        )),
    }
}

#[cfg(unix)]
fn outside(path: &str, root: &std::path::Path) -> Text {
    let root = root.display();
    Text::new(
        format!("“{path}” 不在目录 {root} 之内；请写其中的路径，不含 ..，或修改 functions.file_root"),
        format!("\"{path}\" lies outside {root}; write a path in it without .., or set functions.file_root"),
    )
}

/// What is to be written: the third argument when it is quoted or the arguments are JSON, else all
/// text after the second comma, as it stands.
#[cfg(unix)]
fn text(call: &Call, texts: &[String]) -> String {
    let rest = call.after_comma(2);
    if call.is_json() || (rest.trim_start().starts_with('"') && texts.len() == 3) {
        return texts.get(2).cloned().unwrap_or_default();
    }
    rest.to_owned()
}

#[cfg(unix)]
mod unix {
    use super::super::beneath::{entries, folder, words};
    use super::super::sqlite;
    use super::{LIST_MAX, Output, READ_MAX, Text};
    use rustix::fs::{AtFlags, FileType, Mode, OFlags, fchmod, fchown, fstat, fsync};
    use rustix::fs::{openat, renameat, statat, unlinkat};
    use rustix::io::Errno;
    use rustix::process::{Gid, Uid};
    use std::ffi::OsString;
    use std::fs::File;
    use std::io::{self, Read, Write};
    use std::os::fd::OwnedFd;
    use std::path::Path;

    /// A path that has been checked, and what may be done there.
    pub struct Place<'a> {
        pub root: &'a Path,
        pub names: Vec<OsString>,
        pub path: &'a str,
        /// What a file is called until it is whole.
        pub draft: String,
        /// Device and inode of files that only SQLite may open.
        pub live: Vec<(u64, u64)>,
    }

    /// Of the databases that this process may have open, and of what SQLite keeps beside them.
    pub fn live<'a>(databases: impl Iterator<Item = &'a Path> + Clone) -> Vec<(u64, u64)> {
        use std::os::unix::fs::MetadataExt;
        let mut all = sqlite::kept_beside(databases.clone());
        all.extend(databases.filter_map(|path| path.metadata().ok()).map(|meta| (meta.dev(), meta.ino())));
        all
    }

    impl Place<'_> {
        pub fn read(&self) -> Result<Output, Text> {
            let file = self.open(OFlags::RDONLY, false)?;
            let size = file.metadata().map_err(|e| self.io(&e))?.len();
            let mut bytes = Vec::new();
            let read = file.take(READ_MAX).read_to_end(&mut bytes).map_err(|e| self.io(&e))?;
            let stdout = String::from_utf8_lossy(&bytes).into_owned();
            Ok(Output { stdout, result: format!("read {read} of {} bytes", size.max(read as u64)) })
        }

        pub fn append(&self, text: &str) -> Result<Output, Text> {
            let mut file = self.open(OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND, true)?;
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| self.io(&e))?;
            Ok(Output::same(format!("appended {} bytes", text.len())))
        }

        /// Writes beside the file and takes its place: readers find the old text or the new one, and a
        /// full disk or a crash leaves the old.
        pub fn write(&self, text: &str) -> Result<Output, Text> {
            let (parent, name) = self.parent(true)?;
            self.not_live(&parent, name)?;
            // Opened, so that what may not be written to, or is no file, is refused as before.
            let old = match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => None,
                _ => Some(self.checked(fstat(self.open(OFlags::WRONLY, false)?))?),
            };
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let draft = self.draft.as_str();
            let open = || openat(&parent, draft, flags, Mode::from_raw_mode(0o666));
            let file = match open() {
                // Left by a server that died; nobody else takes the name of this attempt.
                Err(Errno::EXIST) => unlinkat(&parent, draft, AtFlags::empty()).and_then(|()| open()),
                file => file,
            };
            let mut file = File::from(self.checked(file)?);
            let written = (|| {
                if let Some(old) = old {
                    // Another owner can be kept by root only; the mode says who may read.
                    let (uid, gid) = (Uid::from_raw(old.st_uid), Gid::from_raw(old.st_gid));
                    fchown(&file, Some(uid), Some(gid)).ok();
                    fchmod(&file, Mode::from_raw_mode(old.st_mode & 0o7777))?;
                }
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                renameat(&parent, draft, &parent, name)?;
                // The folder was opened for reading only; where that cannot be synced, the name may be lost.
                fsync(&parent).ok();
                Ok(())
            })();
            if written.is_err() {
                unlinkat(&parent, draft, AtFlags::empty()).ok();
            }
            written.map_err(|e: io::Error| self.io(&e))?;
            Ok(Output::same(format!("wrote {} bytes", text.len())))
        }

        pub fn delete(&self) -> Result<Output, Text> {
            let (parent, name) = self.parent(false)?;
            self.not_live(&parent, name)?;
            let stat = self.checked(statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW))?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(self.not_a_file());
            }
            self.checked(unlinkat(&parent, name, AtFlags::empty()))?;
            Ok(Output::same(format!("deleted 1 file, {} bytes", stat.st_size)))
        }

        pub fn list(&self) -> Result<Output, Text> {
            let folder = match folder(self.root, &self.names, false) {
                // The root is made by the first write; until then it is empty.
                Err(Errno::NOENT) if self.names.is_empty() => {
                    return Ok(Output { stdout: String::new(), result: "0 entries".into() });
                }
                folder => self.checked(folder)?,
            };
            let names = self.checked(entries(&folder))?;
            let mut stdout = String::new();
            for name in names.iter().take(LIST_MAX) {
                // One that has vanished meanwhile is not there.
                if let Ok(stat) = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    let kind = kind(FileType::from_raw_mode(stat.st_mode));
                    stdout += &format!("{kind} {} {}\n", stat.st_size, name.to_string_lossy());
                }
            }
            let more =
                if names.len() > LIST_MAX { format!(", the first {LIST_MAX} shown") } else { String::new() };
            Ok(Output { stdout, result: format!("{} entries{more}", names.len()) })
        }

        pub fn exists(&self) -> Result<Output, Text> {
            let found = if self.names.is_empty() {
                folder(self.root, &[], false).map(|folder| fstat(&folder))
            } else {
                let parents = &self.names[..self.names.len() - 1];
                folder(self.root, parents, false)
                    .map(|parent| statat(&parent, &self.names[parents.len()], AtFlags::SYMLINK_NOFOLLOW))
            };
            match found.and_then(|stat| stat) {
                Ok(stat) => {
                    let kind = kind(FileType::from_raw_mode(stat.st_mode));
                    let stdout = format!("{} exists: {kind}, {} bytes", self.path, stat.st_size);
                    Ok(Output { stdout, result: "true".into() })
                }
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    let stdout = format!("{} does not exist", self.path);
                    Ok(Output { stdout, result: "false".into() })
                }
                Err(e) => Err(words(self.path, e)),
            }
        }

        /// A regular file. Without NONBLOCK, opening a pipe would wait for its other end.
        fn open(&self, how: OFlags, create: bool) -> Result<File, Text> {
            let (parent, name) = self.parent(create)?;
            self.not_live(&parent, name)?;
            let flags = how | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            let file = match openat(&parent, name, flags, Mode::from_raw_mode(0o666)) {
                // What opening a pipe for writing says when nobody reads it.
                Err(Errno::NXIO) => return Err(self.not_a_file()),
                file => self.checked(file)?,
            };
            let stat = self.checked(fstat(&file))?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Ok(File::from(file)),
                FileType::Directory => Err(words(self.path, Errno::ISDIR)),
                _ => Err(self.not_a_file()),
            }
        }

        /// Reading it would take the locks off a database at work, writing or deleting it the data.
        fn not_live(&self, parent: &OwnedFd, name: &OsString) -> Result<(), Text> {
            match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if self.live.contains(&(stat.st_dev, stat.st_ino)) => Err(Text::new(
                    "该文件属于本服务自己的或 functions.databases 中的 SQLite 数据库，已拒绝；请用 Backup 或 Database 函数",
                    "the file belongs to the server's own database or one of functions.databases and is refused; use Backup or Database",
                )),
                _ => Ok(()),
            }
        }

        fn parent(&self, create: bool) -> Result<(OwnedFd, &OsString), Text> {
            let (name, parents) = self.names.split_last().ok_or_else(|| self.not_a_file())?;
            Ok((self.checked(folder(self.root, parents, create))?, name))
        }

        fn checked<T>(&self, result: Result<T, Errno>) -> Result<T, Text> {
            result.map_err(|e| words(self.path, e))
        }

        fn io(&self, error: &io::Error) -> Text {
            words(self.path, Errno::from_io_error(error).unwrap_or(Errno::IO))
        }

        fn not_a_file(&self) -> Text {
            let path = self.path;
            Text::new(
                format!("“{path}” 不是普通文件，请写普通文件的路径"),
                format!("\"{path}\" is no regular file; write the path of one"),
            )
        }
    }

    fn kind(kind: FileType) -> &'static str {
        match kind {
            FileType::RegularFile => "file",
            FileType::Directory => "folder",
            FileType::Symlink => "link",
            _ => "other",
        }
    }
}

#[cfg(all(test, unix))]
#[path = "file_test.rs"]
mod tests;
