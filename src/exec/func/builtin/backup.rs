//! `Backup`: packs a file or folder into a new .tar.zst in a target folder, or copies an SQLite
//! database. Symlinks are stored as links, what is neither file, folder nor link is left out and
//! counted. The archive is written under another name, read back whole, and only then given its own.
//! Nothing but source and target can be opened meanwhile (`confined.rs`).

mod pack;

use super::confined::within;
use super::{Builtin, Call, Output, Param, Words, Work, sqlite};
use crate::domain::Text;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

pub const BUILTIN: Builtin = Builtin {
    name: "Backup",
    description: Words {
        zh: "把文件、目录或 SQLite 数据库备份为带时间的压缩文件（zstd），并校验",
        en: "Packs a file, a folder or an SQLite database (zstd), with the time in the name, and verifies it",
    },
    params: &[
        Param {
            name: "source",
            about: Words {
                zh: "文件或目录的绝对路径；SQLite 文件用其备份接口复制；database 为本服务的数据库",
                en: "the absolute path of a file or folder; an SQLite file is copied by its backup API; \
                     database: the server's own",
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
        [source, target] => (source.trim(), absolute(target.trim())?),
        _ => {
            return Err(Text::new(
                "需要源路径和目标目录两个参数，例如 Backup /data,/backup；含逗号的路径请加双引号",
                "needs a source and a target folder, as in Backup /data,/backup; put quotes around a path with commas",
            ));
        }
    };
    let source = if source == "database" { own(call)? } else { absolute(source)? };
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
    if sqlite::beside(&source).is_some() {
        let shown = source.display();
        return Err(Text::new(
            format!("“{shown}” 是 SQLite 数据库的附属文件，请备份该数据库本身"),
            format!("\"{shown}\" is what SQLite keeps beside a database; back up the database itself"),
        ));
    }
    let place = Place {
        live: live(call),
        target: &target,
        name: name.to_string_lossy().into_owned(),
        stamp: call.ctx.now.to_zone(call.ctx.zone).format("%Y%m%d-%H%M%S").to_string(),
        draft: format!("{}-{}", call.ctx.exec_id, call.ctx.attempt),
    };
    let stop = &call.ctx.cancel;
    // A database needs the files beside it.
    let folder = if source.is_dir() { &source } else { source.parent().unwrap_or(&source) };
    let work = || match sqlite::is_database(&source) {
        true => place.copy(&source, stop),
        false => place.pack(&source, stop),
    };
    Ok(Output::same(within(&[folder, &target], work).map_err(|e| words(&source, &e))??))
}

/// Of our own database and those of the function Database, which may be at work.
fn live(call: &Call) -> Vec<(u64, u64)> {
    sqlite::kept_beside(call.settings.sqlite_files())
}

fn own(call: &Call) -> Result<PathBuf, Text> {
    let path = &call.settings.own_database;
    if path.as_os_str().is_empty() {
        return Err(Text::new(
            "本服务的数据库不是文件，请用该数据库自己的备份工具",
            "this server's database is no file; back it up with the tools of that database",
        ));
    }
    Ok(path.clone())
}

/// Where a backup goes, and what it is called.
struct Place<'a> {
    live: Vec<(u64, u64)>,
    target: &'a Path,
    name: String,
    stamp: String,
    draft: String,
}

impl Place<'_> {
    fn pack(&self, source: &Path, stop: &CancellationToken) -> Result<String, Text> {
        let draft = self.draft("part");
        let packed = pack::pack(source, self.target, &draft.0, &self.live, stop)
            .map_err(|(path, e)| words(&path, &e))?;
        if pack::read_back(&draft.0, stop).map_err(|e| words(&draft.0, &e))? != packed.seal {
            return Err(differs());
        }
        let (archive, bytes) = self.publish(&draft, &self.name, "tar.zst")?;
        let mut result = format!(
            "{}: {} entries, {} bytes, packed {bytes} bytes",
            archive.display(),
            packed.seal.entries,
            packed.seal.bytes
        );
        let (left_out, changed, raw) = (packed.left_out, packed.changed, packed.raw);
        if left_out > 0 {
            result += &format!(
                ", {left_out} left out (the target folder, what SQLite keeps beside a database, or neither file, folder nor link)"
            );
        }
        if changed > 0 {
            result += &format!(", {changed} changed while they were read");
        }
        if raw > 0 {
            result += &format!(", {raw} databases as they lie there, which SQLite could not copy");
        }
        Ok(result)
    }

    /// A database: copied and checked by SQLite, then compressed and read back.
    fn copy(&self, source: &Path, stop: &CancellationToken) -> Result<String, Text> {
        let (plain, draft) = (self.draft("db"), self.draft("part"));
        // Made by us, so that only this user may read it; SQLite takes an empty file for a new database.
        pack::create(&plain.0).map_err(|e| words(&plain.0, &e))?;
        sqlite::copy(source, &plain.0, stop).map_err(|e| {
            let source = source.display();
            Text::new(
                format!("数据库 “{source}” 无法备份：{e}；请检查该文件和目标磁盘"),
                format!(
                    "the database \"{source}\" cannot be backed up: {e}; check the file and the target's disk"
                ),
            )
        })?;
        let sum = compress(&plain.0, &draft.0, stop).map_err(|e| words(&draft.0, &e))?;
        let back = File::open(&draft.0).and_then(zstd::stream::read::Decoder::new);
        let back = back.and_then(|packed| digest(packed, &mut io::sink(), stop));
        if back.map_err(|e| words(&draft.0, &e))? != sum {
            return Err(differs());
        }
        let stem = self.name.strip_suffix(".db").unwrap_or(&self.name);
        let (archive, bytes) = self.publish(&draft, stem, "db.zst")?;
        Ok(format!(
            "{}: SQLite database, {} bytes, packed {bytes} bytes, integrity ok",
            archive.display(),
            sum.1
        ))
    }

    fn draft(&self, kind: &str) -> Draft {
        Draft(self.target.join(format!(".{}-{}.{kind}", self.name, self.draft)))
    }

    /// Gives the archive the first free name and never that of another: a link is made only where
    /// nothing is, and where links cannot be made the name is taken by an empty file first.
    fn publish(&self, draft: &Draft, stem: &str, kind: &str) -> Result<(PathBuf, u64), Text> {
        let bytes = fs::metadata(&draft.0).map_err(|e| words(&draft.0, &e))?.len();
        for n in 1.. {
            // Two backups may fall into one second.
            let more = if n > 1 { format!("-{n}") } else { String::new() };
            let archive = self.target.join(format!("{stem}-{}{more}.{kind}", self.stamp));
            let named = match fs::hard_link(&draft.0, &archive) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    pack::create(&archive).and_then(|_| fs::rename(&draft.0, &archive))
                }
                linked => linked,
            };
            match named {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => (),
                named => {
                    named.and_then(|()| sync_folder(self.target)).map_err(|e| words(&archive, &e))?;
                    return Ok((archive, bytes));
                }
            }
        }
        unreachable!("the numbers do not end")
    }
}

fn differs() -> Text {
    Text::new(
        "备份读回后与写入的不一致，已丢弃；请检查目标磁盘后重试",
        "the archive does not read back as it was written and was dropped; check the target's disk",
    )
}

/// Digest and size.
type Sum = (Vec<u8>, u64);

fn compress(from: &Path, to: &Path, stop: &CancellationToken) -> io::Result<Sum> {
    let mut packed = pack::encoder(pack::create(to)?)?;
    let sum = digest(File::open(from)?, &mut packed, stop)?;
    packed.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(sum)
}

fn digest(mut from: impl Read, to: &mut impl Write, stop: &CancellationToken) -> io::Result<Sum> {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    let (mut buf, mut bytes) = (vec![0; 128 << 10], 0);
    loop {
        pack::stopped(stop)?;
        match from.read(&mut buf)? {
            0 => return Ok((hash.finish().as_ref().to_vec(), bytes)),
            n => {
                hash.update(&buf[..n]);
                to.write_all(&buf[..n])?;
                bytes += n as u64;
            }
        }
    }
}

/// Removes what is left of an archive that was not finished; once it has its name, this takes away the other.
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

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
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

#[cfg(test)]
#[path = "backup_test.rs"]
mod tests;
