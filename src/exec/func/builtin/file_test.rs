//! The operations, on real files, and the ways out of the folder, all closed.

use super::super::testing::{call_with, context};
use super::*;
use crate::exec::func::Settings;
use std::os::unix::fs::symlink;
use std::path::Path;

fn go(root: &Path, raw: &str) -> Result<Output, Text> {
    let settings = Settings { file_root: root.to_owned(), ..Settings::default() };
    call_with(&BUILTIN, raw, &context(), &settings)
}

#[test]
fn writes_reads_appends_lists_and_deletes() {
    let dir = tempfile::tempdir().unwrap();
    let root = &dir.path().join("files");
    let result = |raw: &str| go(root, raw).unwrap().result;
    assert_eq!(result("list"), "0 entries");
    assert_eq!(result("exists,a/b.txt"), "false");
    assert_eq!(result("write,a/b.txt,one, \"two\", 三"), "wrote 15 bytes");
    assert_eq!(result("append,a/b.txt,!"), "appended 1 bytes");
    let read = go(root, &format!("READ,{}/a/b.txt", root.display())).unwrap();
    assert_eq!((read.stdout.as_str(), read.result.as_str()), ("one, \"two\", 三!", "read 16 of 16 bytes"));
    assert_eq!(result("exists,a/b.txt"), "true");
    assert_eq!(result("write,a/b.txt,x"), "wrote 1 bytes");
    symlink("/etc/passwd", root.join("a/link")).unwrap();
    let list = go(root, "list,a").unwrap();
    assert_eq!((list.stdout.as_str(), list.result.as_str()), ("file 1 b.txt\nlink 11 link\n", "2 entries"));
    assert_eq!(result("delete,a/b.txt"), "deleted 1 file, 1 bytes");
    assert!(!root.join("a/b.txt").exists());
}

#[test]
fn the_text_is_what_follows_the_second_comma() {
    let dir = tempfile::tempdir().unwrap();
    for (raw, text) in [
        ("write,f,a,b", "a,b"),
        ("write,f,\"a,b\"", "a,b"),
        (r#"["write","f","line\n"]"#, "line\n"),
        (r#"write,f,{"a":"x,y"}"#, r#"{"a":"x,y"}"#),
        ("write,f", ""),
        (r"write,f,C:\dir", r"C:\dir"),
    ] {
        go(dir.path(), raw).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("f")).unwrap(), text, "{raw}");
    }
    go(dir.path(), "write,\"a,b\",text").unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("a,b")).unwrap(), "text");
}

#[test]
fn nothing_outside_is_reached() {
    let dir = tempfile::tempdir().unwrap();
    let (root, secret) = (dir.path().join("files"), dir.path().join("secret"));
    std::fs::create_dir_all(root.join("sub")).unwrap();
    std::fs::write(&secret, "secret").unwrap();
    symlink(&secret, root.join("file-link")).unwrap();
    symlink(dir.path(), root.join("dir-link")).unwrap();
    symlink(dir.path().join("made"), root.join("dangling")).unwrap();
    let beside = format!("{}-beside/x", root.display());
    let climbing = format!("{}/../secret", root.display());
    for path in [
        "../secret",
        "sub/../../secret",
        "/etc/passwd",
        "file-link",
        "dir-link/secret",
        "dangling",
        &beside,
        &climbing,
        "dir-link/new/x",
    ] {
        for op in ["read", "write", "append", "delete"] {
            let error = go(&root, &format!("{op},{path},x")).expect_err(path);
            assert!(!error.zh.is_empty() && !error.en.is_empty());
        }
    }
    assert!(go(&root, "list,dir-link").is_err());
    assert!(go(&root, "list,..").is_err());
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
    let mut left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["files", "secret"]);
}

/// A folder that is swapped for a link again and again never lets a write or a read out.
#[cfg(target_os = "linux")]
#[test]
fn a_swapped_folder_leads_nowhere() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use std::sync::atomic::{AtomicBool, Ordering};
    let dir = tempfile::tempdir().unwrap();
    let (root, out) = (dir.path().join("files"), dir.path().join("out"));
    std::fs::create_dir_all(root.join("real")).unwrap();
    std::fs::write(root.join("real/f"), "inside").unwrap();
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("f"), "outside").unwrap();
    symlink(&out, root.join("link")).unwrap();
    let (over, mut read) = (AtomicBool::new(false), Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                renameat_with(CWD, root.join("real"), CWD, root.join("link"), RenameFlags::EXCHANGE).unwrap();
            }
        });
        for _ in 0..500 {
            read.extend(go(&root, "read,real/f").map(|output| output.stdout));
            let _ = go(&root, "write,real/f,inside");
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(read.iter().all(|text| text == "inside"), "{read:?}");
    assert_eq!(std::fs::read_to_string(out.join("f")).unwrap(), "outside");
}

#[test]
fn only_regular_files_are_opened_and_reads_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    for raw in ["read,pipe", "write,pipe,x", "delete,pipe", "read,folder", "write,folder,x", "delete,folder"]
    {
        assert!(go(dir.path(), raw).is_err(), "{raw}");
    }
    let mut bytes = vec![b'x'; READ_MAX as usize + 10];
    bytes[0] = 0xff;
    std::fs::write(dir.path().join("big"), bytes).unwrap();
    let read = go(dir.path(), "read,big").unwrap();
    assert_eq!(read.result, "read 1048576 of 1048586 bytes");
    assert!(read.stdout.starts_with("\u{fffd}x"));
}

#[test]
fn a_bad_call_is_told_the_mend() {
    let dir = tempfile::tempdir().unwrap();
    for (raw, part) in [
        ("", "path of a file is missing"),
        ("remove,x", "is none of read, write"),
        ("read", "write it as File read,notes.txt"),
        ("read,none", "does not exist; check the path"),
        ("read,/etc/passwd", "set functions.file_root"),
    ] {
        let en = go(dir.path(), raw).unwrap_err().en;
        assert!(en.contains(part), "{raw}: {en}");
    }
}

#[test]
fn a_write_takes_the_place_of_the_file_and_keeps_its_mode() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    std::fs::write(&file, "old and longer").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    // Whoever has the old text open keeps it whole.
    let reader = std::fs::File::open(&file).unwrap();
    go(dir.path(), "write,f,new").unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
    assert_eq!(std::io::read_to_string(reader).unwrap(), "old and longer");
    assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o640);
    // A draft that a dead server left is in nobody's way, and none is left behind.
    std::fs::write(dir.path().join(".timerjobs-00000000000000ff-1.part"), "half").unwrap();
    go(dir.path(), "write,f,newer").unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
