//! `server.json`, what a running server tells the commands about itself, and the one request with
//! which they ask it more.

use super::pidfile::write_whole;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// Where a server is and how it was started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServerFile {
    pub pid: u32,
    /// The address it listens on, as the settings name it.
    pub host: String,
    pub port: u16,
    /// The flags of its start, for `restart`.
    pub flags: StartFlags,
}

/// The flags that choose a server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StartFlags {
    pub config: Option<PathBuf>,
    pub host: Option<String>,
    pub port: Option<u16>,
}

impl StartFlags {
    /// As they are written on a command line.
    pub fn args(&self) -> Vec<std::ffi::OsString> {
        let mut args = Vec::new();
        if let Some(config) = &self.config {
            args.extend(["--config".into(), config.into()]);
        }
        if let Some(host) = &self.host {
            args.extend(["--host".into(), host.into()]);
        }
        if let Some(port) = self.port {
            args.extend(["--port".into(), port.to_string().into()]);
        }
        args
    }
}

impl ServerFile {
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        write_whole(path, &serde_json::to_string_pretty(self)?)
    }

    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    }

    /// Asks the server; gives the HTTP status and the body.
    pub fn get(&self, path: &str) -> anyhow::Result<(u16, serde_json::Value)> {
        let to = SocketAddr::new(self.loopback(), self.port);
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

    fn loopback(&self) -> IpAddr {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            Ok(ip) if !ip.is_unspecified() => ip,
            _ => [127, 0, 0, 1].into(),
        }
    }
}
