//! Who may talk to us: address lists, the client's address behind proxies, host and origin names.
//! Pure; the middleware applies it.

use ipnet::IpNet;
use std::net::IpAddr;

/// The contract's default: this machine only.
pub const DEFAULT_WHITELIST: &str = "127.0.0.1, ::1";

/// Address lists (contract, "IP control").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpRules {
    pub enabled: bool,
    pub whitelist: Vec<IpNet>,
    pub blacklist: Vec<IpNet>,
}

impl IpRules {
    /// The blacklist always refuses; then a whitelist that is not empty must contain the address.
    pub fn allows(&self, addr: IpAddr) -> bool {
        !self.enabled || (!self.bans(addr) && (self.whitelist.is_empty() || listed(&self.whitelist, addr)))
    }

    /// Whether the blacklist is why it is refused.
    pub fn bans(&self, addr: IpAddr) -> bool {
        self.enabled && listed(&self.blacklist, addr)
    }
}

fn listed(list: &[IpNet], addr: IpAddr) -> bool {
    let addr = addr.to_canonical();
    list.iter().any(|net| net.contains(&addr))
}

/// Reads an address or a CIDR block; `::ffff:a.b.c.d` is its v4 address, also with a prefix.
pub fn parse_net(text: &str) -> Option<IpNet> {
    let text = text.trim();
    if let Ok(addr) = text.parse::<IpAddr>() {
        return Some(IpNet::from(addr.to_canonical()));
    }
    match text.parse::<IpNet>().ok()? {
        IpNet::V6(net) => match (net.addr().to_ipv4_mapped(), net.prefix_len().checked_sub(96)) {
            (Some(v4), Some(prefix)) => ipnet::Ipv4Net::new(v4, prefix).ok().map(|n| IpNet::V4(n.trunc())),
            _ => Some(IpNet::V6(net.trunc())),
        },
        IpNet::V4(net) => Some(IpNet::V4(net.trunc())),
    }
}

/// Reads a comma separated list; the error is the first entry that is no address.
pub fn parse_list(text: &str) -> Result<Vec<IpNet>, String> {
    let entries = text.split([',', ' ', '\n', ';']).map(str::trim).filter(|e| !e.is_empty());
    entries.map(|e| parse_net(e).ok_or_else(|| e.to_owned())).collect()
}

/// The address a request comes from. `X-Forwarded-For` counts only when the socket's peer is a
/// trusted proxy: then it is the last entry that is not itself one.
pub fn client_addr(peer: IpAddr, forwarded_for: Option<&str>, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |addr: &IpAddr| trusted.iter().any(|net| net.contains(addr));
    if !is_trusted(&peer) {
        return peer;
    }
    let mut client = peer;
    for entry in forwarded_for.unwrap_or_default().rsplit(',') {
        // What cannot be read ends the chain: nothing beyond it can be believed.
        let Ok(addr) = entry.trim().parse::<IpAddr>() else { break };
        client = addr.to_canonical();
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

/// Whether a `Host` header may name us. A foreign name pointing at our address is DNS rebinding;
/// an address or `localhost` cannot be rebound.
pub fn host_allowed(host: &str, extra: &[String]) -> bool {
    let name = host_name(host);
    // Behind the name stands a port or nothing: `localhost:80@evil.example` is a name of evil.example.
    let port = host[name.len()..].strip_prefix(':').unwrap_or(&host[name.len()..]);
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let name = name.to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    name == "localhost"
        || name.ends_with(".localhost")
        || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        || extra.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
}

/// Whether a page of `origin` is a page of ours: same host and port as the request was sent to.
pub fn origin_allowed(origin: &str, host: &str) -> bool {
    let Ok(url) = url::Url::parse(origin) else { return false };
    let Some(origin_host) = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")) else {
        return false;
    };
    let port = |text: Option<u16>| text.or_else(|| url.port_or_known_default());
    origin_host.eq_ignore_ascii_case(host_name(host)) && port(url.port()) == port(host_port(host))
}

fn host_name(host: &str) -> &str {
    match host.rfind(']') {
        Some(end) => &host[..=end],
        None => host.split(':').next().unwrap_or(host),
    }
}

fn host_port(host: &str) -> Option<u16> {
    let after_name = &host[host_name(host).len()..];
    after_name.strip_prefix(':').and_then(|port| port.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(white: &str, black: &str) -> IpRules {
        IpRules {
            enabled: true,
            whitelist: parse_list(white).unwrap(),
            blacklist: parse_list(black).unwrap(),
        }
    }

    #[test]
    fn blacklist_wins_then_whitelist_must_contain() {
        let r = rules("10.0.0.0/8, ::1", "10.1.1.1");
        for (addr, want) in [
            ("10.2.3.4", true),
            ("10.1.1.1", false),
            ("::ffff:10.1.1.1", false),
            ("::ffff:10.9.9.9", true),
            ("::1", true),
            ("192.168.1.1", false),
        ] {
            assert_eq!(r.allows(addr.parse().unwrap()), want, "{addr}");
        }
        assert!(rules("", "10.0.0.1").allows("8.8.8.8".parse().unwrap()), "an empty whitelist lets all in");
        assert!(IpRules { enabled: false, ..r }.allows("8.8.8.8".parse().unwrap()));
    }

    #[test]
    fn lists_read_addresses_and_blocks_and_name_what_they_cannot() {
        assert_eq!(parse_net("::ffff:1.2.3.0/120"), parse_net("1.2.3.0/24"));
        assert_eq!(parse_net("10.1.2.3/8"), parse_net("10.0.0.0/8"));
        assert_eq!(parse_list("10.0.0.1, nonsense"), Err("nonsense".into()));
        assert_eq!(parse_net("10.0.0.0/33"), None);
    }

    #[test]
    fn forwarded_for_counts_only_from_a_trusted_peer() {
        let trusted = parse_list("127.0.0.1, 10.0.0.0/8").unwrap();
        let ask = |peer: &str, xff| client_addr(peer.parse().unwrap(), xff, &trusted).to_string();
        assert_eq!(ask("8.8.8.8", Some("127.0.0.1")), "8.8.8.8");
        assert_eq!(
            ask("127.0.0.1", Some("127.0.0.1, 8.8.8.8")),
            "8.8.8.8",
            "the client's own entries are not believed"
        );
        assert_eq!(ask("127.0.0.1", Some("9.9.9.9, 10.0.0.5")), "9.9.9.9");
        assert_eq!(ask("127.0.0.1", Some("9.9.9.9, garbage, 10.0.0.5")), "10.0.0.5");
        assert_eq!(ask("127.0.0.1", None), "127.0.0.1");
    }

    #[test]
    fn hosts_that_can_be_rebound_are_refused() {
        let extra = ["jobs.example.com".to_owned()];
        for host in [
            "localhost",
            "LOCALHOST:8000",
            "127.0.0.1:8000",
            "[::1]:8000",
            "192.168.1.5",
            "a.localhost",
            "Jobs.Example.Com:80",
        ] {
            assert!(host_allowed(host, &extra), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "localhost:80@evil.example",
            "me:localhost@evil.example",
            "[::1]@evil.example",
            "[::1]evil.example",
            "localhost/",
            "localhost, evil.example",
            "",
        ] {
            assert!(!host_allowed(host, &extra), "{host}");
        }
    }

    #[test]
    fn an_origin_must_be_the_host_that_was_asked() {
        assert!(origin_allowed("http://localhost:8000", "localhost:8000"));
        assert!(origin_allowed("http://[::1]:8000", "[::1]:8000"));
        assert!(origin_allowed("https://jobs.example.com", "jobs.example.com"));
        for (origin, host) in [
            ("null", "localhost:8000"),
            ("http://evil.example", "localhost:8000"),
            ("http://localhost:3000", "localhost:8000"),
            ("http://localhost.evil.example:8000", "localhost:8000"),
            ("file://", "localhost:8000"),
        ] {
            assert!(!origin_allowed(origin, host), "{origin} {host}");
        }
    }
}
