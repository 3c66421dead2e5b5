//! Which database: one URL, or the parts that the older editions used.

use super::settings::Reader;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the data lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    Sqlite(PathBuf),
    Server(ServerUrl),
}

impl Default for DatabaseUrl {
    fn default() -> Self {
        Self::Sqlite(PathBuf::new())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// MySQL or MariaDB.
    MySql,
    Postgres,
}

/// A database on a server.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    pub kind: ServerKind,
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}@{}:{}/{}", self.kind, self.user, self.host, self.port, self.database)
    }
}

/// How the connections to a server are made.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    pub url: DatabaseUrl,
    /// Before the name of each table.
    pub table_prefix: String,
    /// disable, prefer, require, verify-ca or verify-full.
    pub tls: String,
    /// The authority that signed the server's certificate; `None`: the public ones.
    pub ca_file: Option<PathBuf>,
    /// Connections at most.
    pub pool: u32,
    pub connect_timeout: Duration,
    /// Of each statement.
    pub timeout: Duration,
}

pub(super) const TLS_MODES: [&str; 5] = ["disable", "prefer", "require", "verify-ca", "verify-full"];

pub(super) fn read(read: &mut Reader<'_>, data_dir: &Path) -> DatabaseConfig {
    let url = choose(read, data_dir);
    let prefix = read.checked("database.table_prefix", parse_prefix);
    if prefix != FILE_PREFIX && matches!(url, DatabaseUrl::Sqlite(_)) {
        read.error(format!("database.table_prefix: {NO_PREFIX}"));
    }
    let ca_file = read.text("database.ca_file");
    DatabaseConfig {
        url,
        table_prefix: prefix,
        tls: read.checked("database.tls", |text| match text.to_ascii_lowercase() {
            text if TLS_MODES.contains(&text.as_str()) => Ok(text),
            _ => Err(format!("use one of {}", TLS_MODES.join(", "))),
        }),
        ca_file: Some(PathBuf::from(&ca_file)).filter(|_| !ca_file.is_empty()),
        pool: u32::try_from(read.number("database.pool", 2, 200)).unwrap_or(10),
        connect_timeout: Duration::from_secs(read.number("database.connect_timeout", 1, 600)),
        timeout: Duration::from_secs(read.number("database.timeout", 1, 600)),
    }
}

impl DatabaseConfig {
    /// Another database, reached in the same way; `prefix` is that of its tables on a server. The error
    /// repeats no URL.
    pub fn at(&self, url: &str, prefix: Option<&str>) -> Result<Self, String> {
        let url = parse_url(url)?;
        let table_prefix = match (&url, prefix) {
            (DatabaseUrl::Sqlite(_), Some(_)) => return Err(NO_PREFIX.into()),
            (DatabaseUrl::Sqlite(_), None) => FILE_PREFIX.into(),
            (DatabaseUrl::Server(_), Some(prefix)) => parse_prefix(prefix)?,
            (DatabaseUrl::Server(_), None) => self.table_prefix.clone(),
        };
        Ok(Self { url, table_prefix, ..self.clone() })
    }
}

/// The prefix of the tables in a file.
const FILE_PREFIX: &str = "tj_";
const NO_PREFIX: &str = "a database file is one installation's; leave the prefix out";

fn parse_prefix(text: &str) -> Result<String, String> {
    match text {
        "xiaohus_" => Err("that is the older editions' own; leave it out: their tables are imported".into()),
        text if !text.is_empty()
            && text.len() <= 20
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') =>
        {
            Ok(text.to_owned())
        }
        _ => Err("use at most 20 lower case letters, digits and underscores".into()),
    }
}

/// `database.url` wins; without it the parts; without them a file in the data folder.
fn choose(read: &mut Reader<'_>, data_dir: &Path) -> DatabaseUrl {
    if !read.text("database.url").is_empty() {
        return read.checked("database.url", parse_url);
    }
    match read.text("database.type").to_ascii_lowercase().as_str() {
        "mysql" | "mariadb" => {
            let url = ServerUrl {
                kind: ServerKind::MySql,
                host: read.text("database.mysql_host"),
                port: u16::try_from(read.number("database.mysql_port", 1, 65_535)).unwrap_or(3306),
                user: read.text("database.mysql_username"),
                password: read.text("database.mysql_password"),
                database: read.text("database.mysql_dbname"),
            };
            if url.database.is_empty() {
                read.error("database.mysql_dbname: name the database".into());
            }
            DatabaseUrl::Server(url)
        }
        kind => {
            if !matches!(kind, "" | "sqlite" | "sqlite3") {
                read.error(format!("database.type = `{kind}`: use sqlite or mysql, or give database.url"));
            }
            let path = read.text("database.sqlite_path");
            DatabaseUrl::Sqlite(if path.is_empty() { data_dir.join("timerjobs.db") } else { path.into() })
        }
    }
}

const FORM: &str = "use sqlite:///./relative.db, sqlite:////absolute/path.db, \
                    mysql://user:password@host:3306/name or postgres://user:password@host:5432/name";

/// `sqlite:///./x.db` and `sqlite:///x.db` are relative, `sqlite:////abs/x.db` is absolute, as
/// SQLAlchemy reads them; so are its driver names (`mysql+pymysql://`). The error never repeats the
/// URL: it may hold a password.
fn parse_url(url: &str) -> Result<DatabaseUrl, String> {
    let Some((scheme, rest)) = url.split_once(':') else { return Err(FORM.into()) };
    let (kind, port) = match scheme.to_ascii_lowercase().split('+').next().unwrap_or_default() {
        "sqlite" => return parse_path(rest).map(DatabaseUrl::Sqlite),
        "mysql" | "mariadb" => (ServerKind::MySql, 3306),
        "postgres" | "postgresql" => (ServerKind::Postgres, 5432),
        _ => return Err(format!("`{scheme}` is no database that this version stores in; {FORM}")),
    };
    // Under a scheme of its own the URL is read as any other, whatever the driver's name.
    let url = url::Url::parse(&format!("db:{rest}")).map_err(|e| format!("{e}; {FORM}"))?;
    if url.query().is_some() {
        return Err(
            "what follows `?` is not read: use database.tls, database.ca_file and database.timeout".into()
        );
    }
    let text = |part: &str| percent_decode_str(part).decode_utf8().map(|s| s.into_owned());
    let text = |part: &str| text(part).map_err(|_| format!("a part of it is not UTF-8; {FORM}"));
    let database = text(url.path().trim_start_matches('/'))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    if database.is_empty() || host.is_empty() || url.username().is_empty() {
        return Err(format!("user, host and name of the database are needed; {FORM}"));
    }
    Ok(DatabaseUrl::Server(ServerUrl {
        kind,
        host: host.to_owned(),
        port: url.port().unwrap_or(port),
        user: text(url.username())?,
        password: text(url.password().unwrap_or_default())?,
        database,
    }))
}

fn parse_path(rest: &str) -> Result<PathBuf, String> {
    match rest.strip_prefix("///").or_else(|| rest.strip_prefix("//")).unwrap_or(rest) {
        "" => Err(FORM.into()),
        path if path.contains(":memory:") => {
            Err("an in-memory database would lose every job; name a file".into())
        }
        path => Ok(PathBuf::from(path.split('?').next().unwrap_or(path))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> ServerUrl {
        match parse_url(url) {
            Ok(DatabaseUrl::Server(server)) => server,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn urls_of_servers_are_read_in_all_their_spellings() {
        let full = server("mysql+pymysql://us%40er:p%3Aw%2F@[::1]:3307/name");
        assert_eq!((full.kind, full.host.as_str(), full.port), (ServerKind::MySql, "::1", 3307));
        assert_eq!(
            (full.user.as_str(), full.password.as_str(), full.database.as_str()),
            ("us@er", "p:w/", "name")
        );
        let short = server("postgresql://root@db.example.com/jobs");
        assert_eq!((short.kind, short.port, short.password.as_str()), (ServerKind::Postgres, 5432, ""));
        assert!(!format!("{full:?}").contains("p:w"), "{full:?}");
    }

    #[test]
    fn urls_that_lack_something_are_told_the_form() {
        for url in [
            "mysql://",
            "mysql://host/name",
            "mysql://user@/name",
            "mysql://user@host",
            "oracle://u@h/n",
            "x",
        ] {
            assert!(parse_url(url).unwrap_err().contains("mysql://user:password@host"), "{url}");
        }
        assert!(parse_url("mysql://u@h/n?ssl=1").unwrap_err().contains("database.tls"));
    }
}
