//! `server.json`, what a running server tells the commands about itself, and the one request with
//! which they ask it more.

use super::pidfile::write_whole;
use crate::config::Flags;
use crate::domain::UtcMs;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// Where a server is and how it was started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerFile {
    pub pid: u32,
    pub version: String,
    pub started: UtcMs,
    /// The address it listens on, as the settings name it.
    pub host: String,
    pub port: u16,
    /// The flags of its start, for `restart`.
    pub flags: Flags,
}

/// The file of this process; it goes when this is dropped.
#[derive(Debug)]
pub struct Published(PathBuf);

impl Drop for Published {
    fn drop(&mut self) {
        if ServerFile::read(&self.0).is_some_and(|file| file.pid == std::process::id()) {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

/// What a server said when it was asked how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Well,
    /// It answers, but not to this machine: the address lists say so.
    Closed,
    /// It answers that something is wrong.
    Ill(String),
    Silent(String),
}

impl ServerFile {
    pub fn publish(&self, path: PathBuf) -> anyhow::Result<Published> {
        write_whole(&path, &serde_json::to_string_pretty(self)?)?;
        Ok(Published(path))
    }

    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    }

    pub fn health(&self) -> Health {
        match self.get("/health") {
            Ok((200, _)) => Health::Well,
            Ok((401 | 403, _)) => Health::Closed,
            Ok((status, body)) => Health::Ill(match body["database"].as_str() {
                Some(problem) => problem.to_owned(),
                None => format!("/health answers {status}"),
            }),
            Err(e) => Health::Silent(format!("{e:#}")),
        }
    }

    /// Asks the server; gives the HTTP status and the body.
    pub fn get(&self, path: &str) -> anyhow::Result<(u16, serde_json::Value)> {
        let to = self.address();
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(1 << 20).read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no HTTP answer")?;
        Ok((status, serde_json::from_str(body).unwrap_or_default()))
    }

    /// Where this machine reaches it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A server that listens everywhere is asked on the loopback.
    fn address(&self) -> SocketAddr {
        let ip = match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            Ok(ip) if ip.is_unspecified() => [127, 0, 0, 1].into(),
            Ok(ip) => ip,
            // A name: the address that the server took, too, is the first it resolves to.
            Err(_) => {
                let resolved = (self.host.as_str(), self.port).to_socket_addrs();
                let first = resolved.ok().and_then(|mut all| all.next());
                first.map_or([127, 0, 0, 1].into(), |address| address.ip())
            }
        };
        SocketAddr::new(ip, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_one_that_this_machine_reaches() {
        for (host, url) in [
            ("0.0.0.0", "http://127.0.0.1:80"),
            ("::", "http://[::1]:80"),
            ("::1", "http://[::1]:80"),
            ("10.1.2.3", "http://10.1.2.3:80"),
            ("localhost", "http://127.0.0.1:80"),
        ] {
            let file = ServerFile {
                pid: 1,
                version: String::new(),
                started: UtcMs(0),
                host: host.into(),
                port: 80,
                flags: Flags::default(),
            };
            let said = file.url();
            assert!(said == url || (host == "localhost" && said == "http://[::1]:80"), "{host}: {said}");
        }
    }
}
