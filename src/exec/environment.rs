//! What a child process sees of the server's environment: everything but the server's secrets and what
//! is between it and systemd, or only what the settings name. What a job sets itself is not touched.

use std::ffi::OsString;

/// The settings that may hold a secret, by what their names begin with; a test compares this with the
/// list of settings. The database's driver reads PGPASSWORD by itself.
const SECRETS: [&str; 6] = ["DATABASE_", "SMTP_", "SMS_", "SECRETS_", "FUNC_DATABASES", "PGPASSWORD"];
/// Under our own prefixes, what ends so.
const SECRET_ENDS: [&str; 3] = ["PASSWORD", "SECRET", "TOKEN"];
/// From systemd to its service alone: a child that took them for its own would speak in our name.
const SYSTEMD: [&str; 9] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "CREDENTIALS_DIRECTORY",
    "JOURNAL_STREAM",
    "FDSTORE",
];

/// Which variables of the server a child inherits.
#[derive(Clone, Debug, Default)]
pub struct Environment(Vec<String>);

impl Environment {
    /// Only these names, or those that begin with one that ends in `*`; none: all. Secrets never.
    pub fn only(names: Vec<String>) -> Self {
        Self(names)
    }

    /// The names of this process's variables that a child must not have.
    pub fn hidden(&self) -> impl Iterator<Item = OsString> {
        std::env::vars_os().map(|(name, _)| name).filter(|name| self.hides(&name.to_string_lossy()))
    }

    pub fn hides(&self, name: &str) -> bool {
        let is_named = |entry: &String| match entry.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == entry,
        };
        is_secret(name) || !(self.0.is_empty() || self.0.iter().any(is_named))
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let ours = name.starts_with("TJ_") || name.starts_with("TIMERJOBS_");
    SECRETS.iter().any(|start| name.starts_with(start))
        || SYSTEMD.contains(&name.as_str())
        || (ours && SECRET_ENDS.iter().any(|end| name.ends_with(end)))
}

#[cfg(test)]
mod tests {
    use super::Environment;

    #[test]
    fn the_servers_secrets_are_known_by_their_names() {
        let all = Environment::default();
        for hidden in [
            "DATABASE_URL",
            "DATABASE_MYSQL_PASSWORD",
            "DATABASE_COPY_TO",
            "database_url",
            "TJ_ADMIN_PASSWORD",
            "TIMERJOBS_API_TOKEN",
            "TIMERJOBS_JWT_SECRET",
            "PGPASSWORD",
            "NOTIFY_SOCKET",
            "LISTEN_FDS",
            "CREDENTIALS_DIRECTORY",
        ] {
            assert!(all.hides(hidden), "{hidden}");
        }
        for kept in ["PATH", "HOME", "https_proxy", "GITHUB_TOKEN", "TJ_EXEC_ID", "MY_DATABASE_URL", "PGHOST"]
        {
            assert!(!all.hides(kept), "{kept}");
        }
    }

    #[test]
    fn a_list_lets_through_what_it_names_and_no_secret() {
        let names = ["PATH", "LC_*", "DATABASE_*", "SMTP_PASSWORD"];
        let some = Environment::only(names.map(str::to_owned).to_vec());
        for kept in ["PATH", "LC_ALL", "LC_"] {
            assert!(!some.hides(kept), "{kept}");
        }
        for hidden in
            ["HOME", "PATHS", "path", "LC", "DATABASE_URL", "SMTP_PASSWORD", "AWS_SECRET_ACCESS_KEY"]
        {
            assert!(some.hides(hidden), "{hidden}");
        }
    }
}
