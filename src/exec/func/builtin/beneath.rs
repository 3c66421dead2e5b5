//! Opens what lies beneath a folder, and nothing else: from the folder on, component by component,
//! each by the handle of the one before and never through a symlink. A path that is swapped for a
//! link meanwhile leads to an error, not out of the folder. What is done there is the callers'.

use crate::domain::Text;
use rustix::fs::{CWD, Dir, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

pub const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The names that lead from `root` to `path`: an absolute path must lie beneath it, a relative one
/// is taken from it. `None` when it lies elsewhere or holds `..`.
pub fn names(root: &Path, path: &str) -> Option<Vec<OsString>> {
    let path = Path::new(path);
    let inner = if path.is_absolute() {
        // The root may be written through a link, such as /tmp on macOS.
        let real = root.canonicalize().ok();
        path.strip_prefix(root).ok().or_else(|| path.strip_prefix(real?).ok())?
    } else {
        path
    };
    let mut names = Vec::new();
    for component in inner.components() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::CurDir => (),
            _ => return None,
        }
    }
    Some(names)
}

/// The folder that `names` lead to; with `create`, missing ones are made.
pub fn folder(root: &Path, names: &[OsString], create: bool) -> Result<OwnedFd, Errno> {
    if create {
        std::fs::create_dir_all(root).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
    }
    let mut at = openat(CWD, root, DIR, Mode::empty())?;
    for name in names {
        if create {
            match mkdirat(&at, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => (),
                Err(e) => return Err(e),
            }
        }
        at = openat(&at, name, DIR | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(at)
}

/// The names in a folder, sorted.
pub fn entries(folder: &OwnedFd) -> Result<Vec<OsString>, Errno> {
    use std::os::unix::ffi::OsStrExt;
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// What went wrong with `path`, in words.
pub fn words(path: &str, errno: Errno) -> Text {
    let (zh, en) = match errno {
        Errno::NOENT => ("不存在，请检查路径", "does not exist; check the path"),
        Errno::LOOP | Errno::NOTDIR => (
            "经过符号链接或不是目录的名称，请写真实路径",
            "leads through a symlink or something that is no folder; write the real path",
        ),
        Errno::ACCESS | Errno::PERM => {
            ("没有权限，请修改该路径的权限", "is not permitted to this server; change its permissions")
        }
        Errno::ISDIR => ("是目录，请写文件路径", "is a folder; write the path of a file"),
        _ => {
            let e = std::io::Error::from(errno);
            return Text::new(format!("“{path}” 无法处理：{e}"), format!("\"{path}\" cannot be used: {e}"));
        }
    };
    Text::new(format!("“{path}” {zh}"), format!("\"{path}\" {en}"))
}
