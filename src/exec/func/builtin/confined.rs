//! Work that the kernel itself keeps inside some folders (Landlock, Linux 5.13 and newer). SQLite opens its files
//! by path, and nothing that is checked before tells where a path leads a moment later: whoever owns a folder on
//! the way can put a symlink in its place. Elsewhere than on such a kernel the work is done without that fence.

use std::io;
use std::path::Path;

/// Does the work on a thread of its own that can open nothing but what lies beneath the folders, whose paths hold
/// no symlinks. An error is told when a folder was replaced by a link since its path was resolved.
pub fn within<T: Send>(folders: &[&Path], work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let confined = || fence(folders).map(|()| work());
        // A panic of the work is the caller's, as without the thread.
        scope.spawn(confined).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(target_os = "linux")]
fn fence(folders: &[&Path]) -> io::Result<()> {
    use landlock::{
        ABI, Access, AccessFs, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    };
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    // Older kernels know less of it and hold the rest: the library leaves out what they do not know.
    let all = AccessFs::from_all(ABI::V3);
    let told = |e: RulesetError| io::Error::other(e);
    let mut rules = Ruleset::default().handle_access(all).and_then(Ruleset::create).map_err(told)?;
    for folder in folders {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat2(CWD, *folder, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            Ok(handle) => rules = rules.add_rule(PathBeneath::new(handle, all)).map_err(told)?,
            // Older than 5.6, and so than Landlock.
            Err(rustix::io::Errno::NOSYS) => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
    // Where SQLite takes chance from.
    let chance = std::fs::File::open("/dev/urandom")?;
    let rules = rules.add_rule(PathBeneath::new(chance, AccessFs::ReadFile)).map_err(told)?;
    rules.restrict_self().map_err(told)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn fence(_: &[&Path]) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs::{read, write};

    #[test]
    fn what_lies_elsewhere_cannot_be_opened() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let inside = root.join("inside");
        std::fs::create_dir(&inside).unwrap();
        write(root.join("secret"), "secret").unwrap();
        write(inside.join("file"), "text").unwrap();
        std::os::unix::fs::symlink("../secret", inside.join("link")).unwrap();
        let looked = within(&[&inside], || {
            (read(inside.join("file")), read(inside.join("link")), read(root.join("secret")))
        });
        let (file, link, secret) = looked.unwrap();
        assert_eq!(file.unwrap(), b"text");
        assert_eq!(link.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(secret.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        // This thread is as free as before.
        assert_eq!(read(root.join("secret")).unwrap(), b"secret");
        std::os::unix::fs::symlink("inside", root.join("by-link")).unwrap();
        within(&[&root.join("by-link")], || ()).unwrap_err();
    }
}
