//! `Cleanup`: deletes old regular files in folders that the settings release for it. It walks by
//! handles and never through a symlink (`beneath.rs`); folders stay, also empty ones. A file's age
//! is counted from its last change to the start of the run.

use super::{Builtin, Call, Output, Param, Words, Work};
use crate::domain::Text;

pub const BUILTIN: Builtin = Builtin {
    name: "Cleanup",
    description: Words {
        zh: "删除指定天数之前的文件，只在 functions.cleanup_roots 的目录中",
        en: "Deletes files older than some days, in the folders functions.cleanup_roots only",
    },
    params: &[
        Param {
            name: "path",
            about: Words { zh: "目录的绝对路径", en: "the absolute path of a folder" },
            required: true,
        },
        Param {
            name: "days",
            about: Words { zh: "天数，1 到 36500", en: "days, from 1 to 36500" },
            required: true,
        },
        Param {
            name: "dry",
            about: Words {
                zh: "写 dry 时只列出，不删除", en: "with dry nothing is deleted, only listed"
            },
            required: false,
        },
    ],
    example: "Cleanup /tmp,7",
    work: Work::Blocking(cleanup),
};

#[cfg(not(unix))]
fn cleanup(_: &Call) -> Result<Output, Text> {
    Err(Text::new(
        "Cleanup 函数目前只支持 Linux 和 macOS，请改用 command 模式",
        "Cleanup works on Linux and macOS only; use a job of mode command",
    ))
}

#[cfg(unix)]
fn cleanup(call: &Call) -> Result<Output, Text> {
    let texts = call.texts();
    let arg = |at: usize| texts.get(at).map_or("", |text| text.trim());
    let days: i64 = arg(1).parse().ok().filter(|days| (1..=36_500).contains(days)).ok_or_else(|| {
        Text::new(
            format!("参数 2 “{}” 不是 1 到 36500 的天数，例如 Cleanup /tmp,7", arg(1)),
            format!("argument 2, \"{}\", is no number of days from 1 to 36500, as in Cleanup /tmp,7", arg(1)),
        )
    })?;
    let dry = match arg(2).to_ascii_lowercase().as_str() {
        "" => false,
        "dry" | "dry-run" => true,
        other => {
            return Err(Text::new(
                format!("参数 3 “{other}” 只能是 dry（只列出，不删除）或省略"),
                format!("argument 3, \"{other}\", can only be dry (delete nothing), or be left out"),
            ));
        }
    };
    let (root, names) = unix::allowed(&call.settings.cleanup_roots, arg(0))?;
    let before = call.ctx.now.0.div_euclid(1_000) - days * 86_400;
    unix::run(root, &names, arg(0), unix::Rule { before, dry, stop: &call.ctx.cancel })
}

#[cfg(unix)]
mod unix {
    use super::super::beneath::{DIR, entries, folder, names, words};
    use super::{Output, Text};
    use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat, unlinkat};
    use std::ffi::OsString;
    use std::os::fd::OwnedFd;
    use std::path::{Path, PathBuf};
    use tokio_util::sync::CancellationToken;

    /// Names told of what was removed, and of what could not be.
    const NAMES_MAX: usize = 100;
    /// Each level holds a handle open.
    const DEPTH_MAX: usize = 128;

    pub struct Rule<'a> {
        /// Files last changed before this second are old.
        pub before: i64,
        pub dry: bool,
        pub stop: &'a CancellationToken,
    }

    /// The released folder that `path` lies in, and the way from there.
    pub fn allowed<'a>(roots: &'a [PathBuf], path: &str) -> Result<(&'a Path, Vec<OsString>), Text> {
        let found = roots
            .iter()
            .filter(|root| root.parent().is_some() && Path::new(path).is_absolute())
            .find_map(|root| Some((root.as_path(), names(root, path)?)));
        found.ok_or_else(|| {
            let all = roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(", ");
            Text::new(
                format!("不能清理 “{path}”：只能清理这些目录：{all}；请写其中的绝对路径，不含 ..，或修改 functions.cleanup_roots"),
                format!("\"{path}\" is not released for cleaning, only {all}; write an absolute path in it without .., or set functions.cleanup_roots"),
            )
        })
    }

    pub fn run(root: &Path, names: &[OsString], path: &str, rule: Rule<'_>) -> Result<Output, Text> {
        let start = folder(root, names, false).map_err(|e| words(path, e))?;
        let mut done = Done::default();
        walk(&start, Path::new(path), 0, &rule, &mut done);
        done.output(rule.dry)
    }

    /// What was removed, or in a dry run would be.
    #[derive(Default)]
    struct Done {
        files: u64,
        bytes: u64,
        names: Vec<String>,
        failed: u64,
        troubles: Vec<String>,
    }

    impl Done {
        fn trouble(&mut self, path: &Path, why: impl std::fmt::Display) {
            self.failed += 1;
            if self.troubles.len() < NAMES_MAX {
                self.troubles.push(format!("{}: {why}", path.display()));
            }
        }

        fn output(self, dry: bool) -> Result<Output, Text> {
            let Self { files, bytes, failed, .. } = self;
            let verb = if dry { "would delete" } else { "deleted" };
            if failed > 0 {
                let list = self.troubles.join("\n");
                return Err(Text::new(
                    format!(
                        "已删除 {files} 个文件（{bytes} 字节），但 {failed} 处无法处理，请检查权限：\n{list}"
                    ),
                    format!(
                        "{verb} {files} files ({bytes} bytes), but {failed} entries failed; check their permissions:\n{list}"
                    ),
                ));
            }
            let mut stdout = self.names.join("\n");
            if files as usize > self.names.len() {
                stdout += &format!("\n... {} more", files as usize - self.names.len());
            }
            Ok(Output { stdout, result: format!("{verb} {files} files, {bytes} bytes") })
        }
    }

    fn walk(at: &OwnedFd, path: &Path, depth: usize, rule: &Rule<'_>, done: &mut Done) {
        let names = match entries(at) {
            Ok(names) => names,
            Err(e) => return done.trouble(path, std::io::Error::from(e)),
        };
        for name in names {
            if rule.stop.is_cancelled() {
                return;
            }
            let path = path.join(&name);
            // One that has vanished meanwhile needs no removal.
            let Ok(stat) = statat(at, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if depth >= DEPTH_MAX => done.trouble(&path, "too deep"),
                FileType::Directory => match openat(at, &name, DIR | OFlags::NOFOLLOW, Mode::empty()) {
                    Ok(inner) => walk(&inner, &path, depth + 1, rule, done),
                    Err(e) => done.trouble(&path, std::io::Error::from(e)),
                },
                FileType::RegularFile if stat.st_mtime < rule.before => {
                    if !rule.dry
                        && let Err(e) = unlinkat(at, &name, AtFlags::empty())
                    {
                        done.trouble(&path, std::io::Error::from(e));
                        continue;
                    }
                    done.files += 1;
                    done.bytes += stat.st_size as u64;
                    if done.names.len() < NAMES_MAX {
                        done.names.push(path.display().to_string());
                    }
                }
                _ => (),
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::testing::{call_with, context};
    use super::*;
    use crate::exec::func::Settings;
    use std::fs::File;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    /// The context's now, in seconds.
    const NOW: u64 = 1_136_239_445;

    fn go(root: &Path, raw: &str) -> Result<Output, Text> {
        let settings = Settings { cleanup_roots: vec![root.to_owned()], ..Settings::default() };
        call_with(&BUILTIN, raw, &context(), &settings)
    }

    fn aged(path: &Path, days: u64) {
        std::fs::write(path, "12345").unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - days * 86_400);
        File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }

    #[test]
    fn deletes_old_files_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        std::fs::create_dir_all(root.join("sub/empty")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        for (path, days) in [
            (root.join("old"), 9),
            (root.join("sub/old"), 8),
            (root.join("new"), 6),
            (outside.join("old"), 9),
        ] {
            aged(&path, days);
        }
        symlink(&outside, root.join("dir-link")).unwrap();
        symlink(outside.join("old"), root.join("file-link")).unwrap();
        let shown = root.display();
        let dry = go(&root, &format!("{shown},7,dry-run")).unwrap();
        assert_eq!(dry.result, "would delete 2 files, 10 bytes");
        assert!(root.join("old").exists());
        let done = go(&root, &format!("{shown},7")).unwrap();
        assert_eq!(done.result, "deleted 2 files, 10 bytes");
        assert_eq!(done.stdout, format!("{shown}/old\n{shown}/sub/old"));
        assert!(!root.join("old").exists() && !root.join("sub/old").exists());
        assert!(root.join("new").exists() && root.join("sub/empty").exists());
        assert!(outside.join("old").exists() && root.join("file-link").is_symlink());
        assert!(go(&root, &format!("{shown}/dir-link,7")).is_err());
        assert!(outside.join("old").exists());
    }

    #[test]
    fn names_the_first_hundred() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..105 {
            aged(&dir.path().join(format!("{i:03}")), 9);
        }
        let done = go(dir.path(), &format!("{},7", dir.path().display())).unwrap();
        assert_eq!(done.result, "deleted 105 files, 525 bytes");
        assert!(done.stdout.lines().count() == 101 && done.stdout.ends_with("... 5 more"));
    }

    #[test]
    fn refuses_what_is_not_released() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let above = format!("{}/..,7", root.display());
        for raw in ["/,7", "/etc,7", "relative,7", ",7", &above, "//,7"] {
            let en = go(root, raw).unwrap_err().en;
            assert!(en.contains("set functions.cleanup_roots"), "{raw}: {en}");
        }
        // A root of the settings that is the whole disk releases nothing.
        assert!(go(Path::new("/"), "/,7,dry").is_err());
        let shown = root.display();
        for raw in [format!("{shown},0"), format!("{shown},x"), shown.to_string(), format!("{shown},7,wet")] {
            assert!(go(root, &raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_cancelled_run_deletes_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        aged(&dir.path().join("old"), 9);
        let ctx = context();
        ctx.cancel.cancel();
        let settings = Settings { cleanup_roots: vec![dir.path().to_owned()], ..Settings::default() };
        let raw = format!("{},7", dir.path().display());
        assert_eq!(call_with(&BUILTIN, &raw, &ctx, &settings).unwrap().result, "deleted 0 files, 0 bytes");
        assert!(dir.path().join("old").exists());
    }
}
