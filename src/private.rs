//! Files and folders that this user alone may read, and locks that are files. Only what we make
//! gets these rights: what is there already keeps those that somebody gave it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// To open a file; one that is made is read by its owner alone.
pub fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes the folder where there is none. Those above it are nobody's secret.
pub fn make_folder(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        fs::create_dir_all(above)?;
    }
    let mut folder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    match folder.create(path) {
        // Somebody was faster.
        Err(_) if path.is_dir() => Ok(()),
        made => made,
    }
}

/// Takes the lock, which is held as long as the file is open; `None`: another process has it.
pub fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_we_make_is_ours_and_what_is_there_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = dir.path().join("above/made");
        make_folder(&folder).unwrap();
        make_folder(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        let file = folder.join("lock");
        let held = lock(&file).unwrap();
        assert!(held.is_some() && lock(&file).unwrap().is_none());
        assert_eq!(mode(&file), 0o600);
        drop(held);
        for path in [&folder, &file] {
            fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        make_folder(&folder).unwrap();
        assert!(lock(&file).unwrap().is_some());
        assert_eq!((mode(&folder), mode(&file)), (0o755, 0o755));
    }
}
