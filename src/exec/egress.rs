//! The way out for what jobs ask for: names are resolved here, once, and only the addresses that the
//! rules (`domain/egress`) let through come back. Whoever connects uses these and asks no resolver
//! again, so an answer that changes between the look and the connection changes nothing.

use crate::domain::egress::{Allow, Blocked, EgressRules, Mode};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::TcpStream;

/// Finds the addresses of a name; their ports mean nothing.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The rules in force and the resolver.
pub struct Egress {
    rules: RwLock<Arc<EgressRules>>,
    lookup: Lookup,
}

/// Why there is no address to connect to.
#[derive(Debug)]
pub enum Refused {
    Blocked(Blocked),
    Io(io::Error),
}

impl Egress {
    pub fn new(rules: EgressRules) -> Self {
        // What the system says, as any other program would be told.
        let lookup: Lookup = Arc::new(|name| {
            async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) }.boxed()
        });
        Self { rules: RwLock::new(Arc::new(rules)), lookup }
    }

    /// With a resolver of the test's own.
    #[cfg(test)]
    pub fn with_lookup(rules: EgressRules, lookup: Lookup) -> Self {
        Self { lookup, ..Self::new(rules) }
    }

    /// Puts settings in force that were read again. Equal ones change nothing, as new rules cost the
    /// connections that are kept.
    pub fn configure(&self, mode: Mode, allow: Allow) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        if rules.mode != mode || rules.allow != allow {
            *rules = Arc::new(EgressRules { mode, allow, own: rules.own });
        }
    }

    pub fn rules(&self) -> Arc<EgressRules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// Connects, and sends nothing: so our own port may be asked whether it is open.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Refused> {
        let rules = self.rules().without_own();
        rules.verdict_of_name(host, port, false).map_err(Refused::Blocked)?;
        let mut found = resolve(&self.lookup, host, |addr| rules.verdict(addr, port, host)).await?;
        found.iter_mut().for_each(|addr| addr.set_port(port));
        TcpStream::connect(&found[..]).await.map_err(Refused::Io)
    }
}

/// The host's addresses that `verdict` lets through, at least one. When it lets none through, the first
/// is the one that is told of.
pub async fn resolve(
    lookup: &Lookup,
    host: &str,
    verdict: impl Fn(IpAddr) -> Result<(), Blocked>,
) -> Result<Vec<SocketAddr>, Refused> {
    let found = match literal(host) {
        Some(addr) => vec![SocketAddr::new(addr, 0)],
        None => lookup(host.to_owned()).await.map_err(Refused::Io)?,
    };
    let mut first = None;
    let mut passed = Vec::new();
    for addr in found {
        match verdict(addr.ip()) {
            Ok(()) => passed.push(addr),
            Err(blocked) => first = first.or(Some(blocked)),
        }
    }
    match first {
        _ if !passed.is_empty() => Ok(passed),
        Some(blocked) => Err(Refused::Blocked(blocked)),
        None => Err(Refused::Io(io::Error::new(io::ErrorKind::NotFound, "the name has no address"))),
    }
}

/// The address that a host in a URL is, if it is one. A URL of a proxy has addresses as texts, with or
/// without brackets.
pub fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether an address is this machine's: nobody else's can be bound to. Asking so needs no list of the
/// interfaces, which would be out of date when one comes or goes. What cannot be told counts as ours.
pub fn is_local(addr: IpAddr) -> bool {
    match UdpSocket::bind((addr, 0)) {
        Ok(_) => true,
        Err(e) => e.kind() != io::ErrorKind::AddrNotAvailable,
    }
}

impl Default for Egress {
    fn default() -> Self {
        Self::new(EgressRules::default())
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("rules", &self.rules).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_is_known() {
        assert!(is_local("127.0.0.1".parse().unwrap()));
        // Of an example's network, which nobody has.
        assert!(!is_local("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn hosts_of_urls_are_read_as_addresses() {
        for (host, addr) in [("127.0.0.1", true), ("[::1]", true), ("::1", true), ("localhost", false)] {
            assert_eq!(literal(host).is_some(), addr, "{host}");
        }
    }

    #[tokio::test]
    async fn only_the_addresses_that_pass_come_back() {
        let lookup: Lookup = Arc::new(|name| {
            let addrs = if name == "none" { "" } else { "169.254.169.254 127.0.0.1 0.0.0.0 10.0.0.1" };
            let addrs = addrs.split_whitespace().map(|addr| SocketAddr::new(addr.parse().unwrap(), 0));
            std::future::ready(Ok(addrs.collect())).boxed()
        });
        let ask = async |rules: EgressRules, host: &str| {
            resolve(&lookup, host, |addr| rules.verdict(addr, 80, host)).await
        };
        let passed = ask(EgressRules::default(), "some").await.unwrap();
        let passed: Vec<String> = passed.iter().map(|addr| addr.ip().to_string()).collect();
        assert_eq!(passed, ["127.0.0.1", "10.0.0.1"]);
        let rules = EgressRules { mode: Mode::PublicOnly, ..EgressRules::default() };
        let Err(Refused::Blocked(blocked)) = ask(rules, "some").await else { panic!("nothing may pass") };
        assert_eq!(blocked.addr, Some("169.254.169.254".parse().unwrap()));
        assert!(matches!(ask(EgressRules::default(), "none").await, Err(Refused::Io(_))));
    }
}
