//! What cargo does not see by itself: that a migration was added, and the console that npm built.
//!
//! `web/dist` goes into the binary as a list of files in `OUT_DIR/console.rs`, which `src/api/console.rs`
//! includes. A crate such as rust-embed would do the same, but it brings a macro, hashes with SHA-2 and
//! knows no packed twins (`x.js.gz`, written by `web/scripts/pack.mjs`); the list is fifty lines.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=migrations");
    let dist = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("web/dist");
    let built = dist.join("index.html").is_file();
    // A path that is watched and not there would make every build compile the whole crate again.
    println!("cargo:rerun-if-changed={}", if dist.exists() { "web/dist" } else { "web" });
    let mut files = Vec::new();
    if built {
        collect(&dist, &mut files)?;
        // Two builds of the same files give the same bytes.
        files.sort();
    }
    let mut list = String::from("&[\n");
    for file in &files {
        let Some(media) = media(file) else { continue };
        let bytes = fs::read(file)?;
        let mut hash = DefaultHasher::new();
        hash.write(&bytes);
        let name = file.strip_prefix(&dist).unwrap_or(file).to_string_lossy().replace('\\', "/");
        let path = if name == "index.html" { String::new() } else { name };
        let twin = PathBuf::from(format!("{}.gz", file.display()));
        let gzip = if twin.is_file() { format!("Some(include_bytes!({twin:?}))") } else { "None".to_owned() };
        let _ = writeln!(
            list,
            "    File {{ path: \"/{path}\", media: {media:?}, etag: \"W/\\\"{:016x}\\\"\", body: include_bytes!({file:?}), gzip: {gzip} }},",
            hash.finish()
        );
    }
    list.push_str("]\n");
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("console.rs"), list)
}

/// Every file beneath, but for what lies in hidden folders: Vite's own notes.
fn collect(folder: &Path, out: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        match path.is_dir() {
            _ if hidden => {}
            true => collect(&path, out)?,
            false => out.push(path),
        }
    }
    Ok(())
}

/// None: not for browsers, such as the packed twins.
fn media(file: &Path) -> Option<&'static str> {
    Some(match file.extension()?.to_str()? {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}
