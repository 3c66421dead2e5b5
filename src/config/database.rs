//! Which database: one URL, or the parts that the older editions used.

use super::settings::Reader;
use std::path::{Path, PathBuf};

/// Where the data lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    Sqlite(PathBuf),
}

impl Default for DatabaseUrl {
    fn default() -> Self {
        Self::Sqlite(PathBuf::new())
    }
}

/// `database.url` wins; without it the parts; without them a file in the data folder.
pub(super) fn choose(read: &mut Reader<'_>, data_dir: &Path) -> DatabaseUrl {
    let url = read.text("database.url");
    if !url.is_empty() {
        return read.checked("database.url", parse_url);
    }
    let kind = read.text("database.type").to_ascii_lowercase();
    if !matches!(kind.as_str(), "" | "sqlite" | "sqlite3") {
        read.error(format!("database.type = `{kind}`: this version stores in sqlite"));
    }
    let path = read.text("database.sqlite_path");
    DatabaseUrl::Sqlite(if path.is_empty() { data_dir.join("timerjobs.db") } else { PathBuf::from(path) })
}

/// `sqlite:///./x.db` and `sqlite:///x.db` are relative, `sqlite:////abs/x.db` is absolute, as
/// SQLAlchemy reads them. The error never repeats the URL: it may hold a password.
fn parse_url(url: &str) -> Result<DatabaseUrl, String> {
    let form = "use sqlite:///./relative.db or sqlite:////absolute/path.db";
    match url.split_once(':') {
        Some(("sqlite", rest)) => {
            match rest.strip_prefix("///").or_else(|| rest.strip_prefix("//")).unwrap_or(rest) {
                "" => Err(form.into()),
                path if path.contains(":memory:") => {
                    Err("an in-memory database would lose every job; name a file".into())
                }
                path => Ok(DatabaseUrl::Sqlite(PathBuf::from(path.split('?').next().unwrap_or(path)))),
            }
        }
        Some((scheme, _)) => Err(format!("`{scheme}` is not a database this version stores in; {form}")),
        None => Err(form.into()),
    }
}
