//! `Backup`: packs a file or folder into a new .tar.gz in a target folder. Symlinks are stored as
//! links, what is neither file, folder nor link is left out and counted. The archive is written
//! under another name, read back whole, and only then given its own.

mod pack;

use super::{Builtin, Call, Output, Param, Words, Work};
use crate::domain::Text;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub const BUILTIN: Builtin = Builtin {
    name: "Backup",
    description: Words {
        zh: "把文件或目录打包为带时间的 .tar.gz，并校验",
        en: "Packs a file or folder into a .tar.gz with the time in its name, and verifies it",
    },
    params: &[
        Param {
            name: "source",
            about: Words {
                zh: "文件或目录的绝对路径", en: "the absolute path of a file or folder"
            },
            required: true,
        },
        Param {
            name: "target",
            about: Words {
                zh: "存放备份的目录的绝对路径，不存在时创建",
                en: "the absolute path of the folder for the archive; made when missing",
            },
            required: true,
        },
    ],
    example: "Backup /data,/backup",
    work: Work::Blocking(backup),
};

fn backup(call: &Call) -> Result<Output, Text> {
    let texts = call.texts();
    let (source, target) = match texts.as_slice() {
        [source, target] => (absolute(source.trim())?, absolute(target.trim())?),
        _ => {
            return Err(Text::new(
                "需要源路径和目标目录两个参数，例如 Backup /data,/backup；含逗号的路径请加双引号",
                "needs a source and a target folder, as in Backup /data,/backup; put quotes around a path with commas",
            ));
        }
    };
    // Both without links, so that one can be told to lie in the other.
    let source = source.canonicalize().map_err(|e| words(&source, &e))?;
    fs::create_dir_all(&target).map_err(|e| words(&target, &e))?;
    let target = target.canonicalize().map_err(|e| words(&target, &e))?;
    let Some(name) = source.file_name().filter(|_| source != target) else {
        return Err(Text::new(
            "源路径不能是根目录，也不能与目标目录相同，请换一个目标目录",
            "the source cannot be the whole disk or the target itself; choose another folder",
        ));
    };
    let stamp = call.ctx.now.to_zone(call.ctx.zone).format("%Y%m%d-%H%M%S");
    let name = name.to_string_lossy();
    let draft = Draft(target.join(format!(".{name}-{}.part", call.ctx.exec_id)));
    let packed =
        pack::pack(&source, &target, &draft.0, &call.ctx.cancel).map_err(|(path, e)| words(&path, &e))?;
    if pack::read_back(&draft.0, &call.ctx.cancel).map_err(|e| words(&draft.0, &e))? != packed.seal {
        return Err(Text::new(
            "备份读回后与写入的不一致，已丢弃；请检查目标磁盘后重试",
            "the archive does not read back as it was written and was dropped; check the target's disk",
        ));
    }
    let archive = free_name(&target, &format!("{name}-{stamp}"));
    let bytes = fs::metadata(&draft.0).map_err(|e| words(&draft.0, &e))?.len();
    fs::rename(&draft.0, &archive).map_err(|e| words(&archive, &e))?;
    sync_folder(&target).map_err(|e| words(&target, &e))?;
    let mut result = format!(
        "{}: {} entries, {} bytes, packed {bytes} bytes",
        archive.display(),
        packed.seal.entries,
        packed.seal.bytes
    );
    if packed.left_out > 0 {
        result +=
            &format!(", {} left out (the target folder, or neither file, folder nor link)", packed.left_out);
    }
    if packed.changed > 0 {
        result += &format!(", {} changed while they were read", packed.changed);
    }
    Ok(Output::same(result))
}

/// Removes what is left of an archive that was not finished; after the rename it finds nothing.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

fn absolute(path: &str) -> Result<PathBuf, Text> {
    let path = Path::new(path);
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let shown = path.display();
    Err(Text::new(
        format!("“{shown}” 不是绝对路径，请写完整路径，例如 Backup /data,/backup"),
        format!("\"{shown}\" is no absolute path; write the whole path, as in Backup /data,/backup"),
    ))
}

/// Two backups may fall into one second.
fn free_name(target: &Path, stem: &str) -> PathBuf {
    let plain = target.join(format!("{stem}.tar.gz"));
    let more = (2..).map(|n| target.join(format!("{stem}-{n}.tar.gz")));
    std::iter::once(plain.clone()).chain(more).find(|path| !path.exists()).unwrap_or(plain)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn words(path: &Path, error: &io::Error) -> Text {
    let path = path.display();
    let (zh, en) = match error.kind() {
        io::ErrorKind::NotFound => ("不存在，请检查路径", "does not exist; check the path"),
        io::ErrorKind::PermissionDenied => {
            ("没有权限，请修改该路径的权限", "is not permitted to this server; change its permissions")
        }
        io::ErrorKind::StorageFull => ("磁盘已满，请清理目标磁盘", "the disk is full; make room on it"),
        _ => {
            return Text::new(
                format!("“{path}” 备份出错：{error}"),
                format!("\"{path}\" cannot be backed up: {error}"),
            );
        }
    };
    Text::new(format!("“{path}” {zh}"), format!("\"{path}\" {en}"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::testing::{call, call_in, context};
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    fn go(source: &Path, target: &Path) -> Result<Output, Text> {
        call(&BUILTIN, &format!("{},{}", source.display(), target.display()))
    }

    /// Every entry as "kind path content-or-link".
    fn unpacked(archive: &Path) -> Vec<String> {
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(File::open(archive).unwrap()));
        let entries = tar.entries().unwrap();
        entries
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                let link = entry.link_name().unwrap().map(|l| l.display().to_string()).unwrap_or_default();
                format!("{:?} {} {text}{link}", entry.header().entry_type(), entry.path().unwrap().display())
            })
            .collect()
    }

    #[test]
    fn packs_a_folder_with_links_but_not_itself() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let data = root.join("data");
        std::fs::create_dir_all(data.join("sub/empty")).unwrap();
        std::fs::write(data.join("a"), "one").unwrap();
        std::fs::write(data.join("sub/b"), "").unwrap();
        symlink("../gone", data.join("link")).unwrap();
        let long = "n".repeat(150);
        std::fs::write(data.join(&long), "long").unwrap();
        let target = data.join("backups");
        for stem in ["data-20060103-060405", "data-20060103-060405-2"] {
            let output = go(&data, &target).unwrap();
            let archive = target.join(format!("{stem}.tar.gz"));
            assert!(
                output.result.starts_with(&format!("{}: 7 entries, 7 bytes, ", archive.display())),
                "{output:?}"
            );
            assert!(output.result.contains("1 left out"));
            assert_eq!(
                unpacked(&archive),
                [
                    "Directory data/ ".to_owned(),
                    "Regular data/a one".into(),
                    "Symlink data/link ../gone".into(),
                    format!("Regular data/{long} long"),
                    "Directory data/sub/ ".into(),
                    "Regular data/sub/b ".into(),
                    "Directory data/sub/empty/ ".into(),
                ]
            );
        }
        assert_eq!(std::fs::read_dir(&target).unwrap().count(), 2, "no draft is left");
    }

    #[test]
    fn packs_a_single_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "text").unwrap();
        go(&dir.path().join("f"), &dir.path().join("out")).unwrap();
        assert_eq!(unpacked(&dir.path().join("out/f-20060103-060405.tar.gz")), ["Regular f text"]);
    }

    #[test]
    fn a_cancelled_run_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "text").unwrap();
        let ctx = context();
        ctx.cancel.cancel();
        let raw = format!("{0}/f,{0}/out", dir.path().display());
        call_in(&BUILTIN, &raw, &ctx).unwrap_err();
        assert_eq!(std::fs::read_dir(dir.path().join("out")).unwrap().count(), 0);
    }

    #[test]
    fn a_bad_call_is_told_the_mend() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().display();
        for (raw, part) in [
            (String::new(), "needs a source and a target"),
            ("relative,/x".into(), "write the whole path"),
            (format!("{here}/none,{here}/out"), "does not exist"),
            (format!("{here},{here}"), "choose another folder"),
            (format!("/,{here}"), "whole disk"),
        ] {
            let en = call(&BUILTIN, &raw).unwrap_err().en;
            assert!(en.contains(part), "{raw}: {en}");
        }
        assert!(!dir.path().join("out").exists());
    }

    #[test]
    fn damage_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "text").unwrap();
        let (draft, stop) = (dir.path().join("draft"), context().cancel);
        let packed = pack::pack(&dir.path().join("f"), Path::new("/none"), &draft, &stop).unwrap();
        assert_eq!(pack::read_back(&draft, &stop).unwrap(), packed.seal);
        let mut bytes = std::fs::read(&draft).unwrap();
        bytes.truncate(bytes.len() - 4);
        std::fs::write(&draft, bytes).unwrap();
        assert!(pack::read_back(&draft, &stop).is_err());
    }
}
