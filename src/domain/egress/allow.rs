//! The setting `egress.allow`: hosts, addresses and blocks that are let through.

use super::plain;
use crate::domain::access;
use ipnet::IpNet;
use std::net::IpAddr;
use url::Host;

/// What is named to be let through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Lower case, as they are sent (`xn--`).
    hosts: Vec<String>,
    /// `.example.com` for `*.example.com`: what is beneath it, not itself.
    suffixes: Vec<String>,
    nets: Vec<IpNet>,
}

impl Allow {
    /// Reads a list with commas, spaces, semicolons or line ends between its entries; the error says
    /// which entry is none, and what an entry looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut allow = Self::default();
        for entry in text.split([',', ' ', '\n', ';']).map(str::trim).filter(|entry| !entry.is_empty()) {
            allow.add(entry).ok_or_else(|| {
                format!("`{entry}` is no host (example.com, *.example.com), address or CIDR block; write no scheme, port or path")
            })?;
        }
        Ok(allow)
    }

    fn add(&mut self, entry: &str) -> Option<()> {
        if let Some(net) = access::parse_net(plain(entry)) {
            self.nets.push(net);
            return Some(());
        }
        let (name, beneath) = entry.strip_prefix("*.").map_or((entry, false), |name| (name, true));
        // Names become what a URL makes of them, and an address in another notation is an address.
        match Host::parse(name).ok()? {
            Host::Domain(name) if name.contains('*') || plain(&name).is_empty() => return None,
            Host::Domain(name) if beneath => self.suffixes.push(format!(".{}", plain(&name))),
            Host::Domain(name) => self.hosts.push(plain(&name).to_owned()),
            _ if beneath => return None,
            Host::Ipv4(addr) => self.nets.push(IpNet::from(IpAddr::from(addr))),
            Host::Ipv6(addr) => self.nets.push(IpNet::from(IpAddr::from(addr).to_canonical())),
        }
        Some(())
    }

    /// Whether the address itself is named, not just a block it is in.
    pub(super) fn is_exactly(&self, addr: IpAddr) -> bool {
        self.nets.iter().any(|net| net.prefix_len() == net.max_prefix_len() && net.addr() == addr)
    }

    /// Whether the address or a block it is in is named.
    pub(super) fn contains(&self, addr: IpAddr) -> bool {
        self.nets.iter().any(|net| net.contains(&addr))
    }

    /// Whether this very name is there.
    pub(super) fn is_exactly_name(&self, host: &str) -> bool {
        self.hosts.iter().any(|name| name.eq_ignore_ascii_case(plain(host)))
    }

    /// Whether the name, or what it is beneath of, is there.
    pub(super) fn names(&self, host: &str) -> bool {
        let host = plain(host).to_ascii_lowercase();
        self.is_exactly_name(&host) || self.suffixes.iter().any(|suffix| host.ends_with(suffix.as_str()))
    }
}
