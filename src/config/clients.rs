//! The settings about clients: how many there may be, how long they may take, how often they may ask,
//! and which pages of other sites may.

use super::settings::Reader;
use std::time::Duration;
use url::Url;

/// What clients may do.
#[derive(Clone, Debug)]
pub struct ClientsConfig {
    /// Connections in all.
    pub connections: usize,
    /// What a client that is slow may take, once; other times are made of it.
    pub timeout: Duration,
    pub rate: Rate,
    /// Pages of these sites may call, with a token.
    pub cors_origins: Vec<String>,
}

/// How often one address may ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second; 0: as often as it likes.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

pub(super) fn read(read: &mut Reader<'_>) -> ClientsConfig {
    ClientsConfig {
        connections: read.number("server.max_connections", 16, 100_000) as usize,
        timeout: Duration::from_secs(read.number("server.client_timeout", 1, 600)),
        rate: Rate {
            per_second: read.number("server.rate_limit", 0, 100_000) as u32,
            burst: read.number("server.rate_burst", 1, 1_000_000) as u32,
        },
        cors_origins: read.checked("server.cors_origins", origins),
    }
}

fn origins(text: &str) -> Result<Vec<String>, String> {
    let entries = text.split([',', ' ']).filter(|entry| !entry.is_empty());
    entries.map(|entry| origin(entry).map(|()| entry.to_owned())).collect()
}

/// Exactly as a browser writes it, so that comparing is comparing texts.
fn origin(entry: &str) -> Result<(), String> {
    match entry {
        "*" => return Err("`*` would let every page on the web call; name each origin".to_owned()),
        "null" => {
            return Err(
                "`null` is the origin of any page in a sandbox or a file; name real origins".to_owned()
            );
        }
        _ => {}
    }
    let meant = Url::parse(entry).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    match meant.map(|url| url.origin().ascii_serialization()) {
        Some(_) if entry.contains('*') => Err(format!("`{entry}`: no wildcards; name each origin")),
        Some(exact) if exact == entry => Ok(()),
        Some(exact) => Err(format!("write the origin exactly, without path and default port: `{exact}`")),
        None => Err(format!("`{entry}` is no origin such as https://app.example.com")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_origins_are_taken() {
        assert_eq!(origins(""), Ok(vec![]));
        let two = ["https://app.example.com", "http://localhost:3000"];
        assert_eq!(origins(&two.join(", ")), Ok(two.map(str::to_owned).to_vec()));
        assert_eq!(origins("http://[::1]:3000"), Ok(vec!["http://[::1]:3000".to_owned()]));
        for (bad, said) in [
            ("*", "every page"),
            ("https://a.example, *", "every page"),
            ("null", "sandbox"),
            ("https://*.example.com", "no wildcards"),
            ("https://app.example.com/", "`https://app.example.com`"),
            ("https://app.example.com:443", "`https://app.example.com`"),
            ("https://App.Example.com", "`https://app.example.com`"),
            ("https://me@app.example.com", "`https://app.example.com`"),
            ("https://app.example.com/path?x", "`https://app.example.com`"),
            ("app.example.com", "no origin"),
            ("file:///etc", "no origin"),
            ("chrome-extension://abc", "no origin"),
        ] {
            let refused = origins(bad).unwrap_err();
            assert!(refused.contains(said), "{bad}: {refused}");
        }
    }
}
