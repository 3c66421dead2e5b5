//! Holds each request to the egress rules. What the URL alone tells is judged before the request is
//! sent; names are judged by the resolver that the clients are built with, at the moment they connect.
//!
//! The resolver is told by reqwest of a name and nothing else, so the request that it is asked for
//! stands in a task-local: hyper first polls a new connection within the task of its request, and that
//! first poll asks the resolver. Where there is none, nothing is resolved.

use crate::domain::egress::{Blocked, EgressRules};
use crate::exec::egress::{self, Lookup, Refused};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Method, Request};
use std::error::Error as StdError;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use url::Url;

tokio::task_local! {
    static HOP: Arc<Hop>;
}

/// One request on its way, the first or one after a redirect.
pub struct Hop {
    pub rules: Arc<EgressRules>,
    /// The request asks our own server how it is.
    pub asks_health: bool,
    ends: Vec<End>,
    /// What the resolver was refused. Kept here, as not every error on its way up names its cause.
    blocked: OnceLock<Blocked>,
}

/// A host and port that this request may connect to: the target or a proxy.
struct End {
    host: String,
    port: u16,
    asks_health: bool,
}

impl Hop {
    /// Judges what the URLs tell: addresses, and names that a proxy resolves.
    pub fn new(rules: Arc<EgressRules>, request: &Request, proxy: Option<&Url>) -> Result<Self, Blocked> {
        // A proxy of these kinds is given the name and resolves it itself.
        let elsewhere = proxy.is_some_and(|proxy| proxy.scheme() != "socks5");
        // Nothing of it can be a second request in disguise: there is no body. A proxy may do with the
        // request what it likes, so through a proxy our own server is not asked at all.
        let port = request.url().port_or_known_default();
        let asks_health = proxy.is_none()
            && rules.own.is_some_and(|own| Some(own.port) == port)
            && matches!(*request.method(), Method::GET | Method::HEAD)
            && request.url().path() == "/health"
            && request.body().is_none();
        let target = End::of(request.url(), asks_health);
        let proxy = proxy.map(|proxy| End::of(proxy, false));
        target.judge(&rules, elsewhere)?;
        proxy.as_ref().map_or(Ok(()), |proxy| proxy.judge(&rules, false))?;
        let ends = [Some(target), proxy].into_iter().flatten().collect();
        Ok(Self { rules, asks_health, ends, blocked: OnceLock::new() })
    }

    /// Runs the request so that the resolver knows what it is asked for.
    pub async fn scope<T>(self: &Arc<Self>, request: impl Future<Output = T>) -> T {
        HOP.scope(self.clone(), request).await
    }

    /// Why the request could not connect, when it was these rules.
    pub fn blocked(&self) -> Option<&Blocked> {
        self.blocked.get()
    }

    /// The addresses that each end of that name may be connected to.
    async fn resolve(&self, name: &str, lookup: &Lookup) -> Result<Addrs, Box<dyn StdError + Send + Sync>> {
        let ends: Vec<&End> = self.ends.iter().filter(|end| end.is(name)).collect();
        if ends.is_empty() {
            return Err(format!("{name} is not where the request goes").into());
        }
        let verdict = |addr| ends.iter().try_for_each(|end| end.verdict(&self.rules, addr));
        match egress::resolve(lookup, name, verdict).await {
            Ok(found) => Ok(Box::new(found.into_iter())),
            Err(Refused::Blocked(blocked)) => {
                let _ = self.blocked.set(blocked.clone());
                Err(blocked.into())
            }
            Err(Refused::Io(error)) => Err(error.into()),
        }
    }
}

impl End {
    fn of(url: &Url, asks_health: bool) -> Self {
        let port = url.port_or_known_default().unwrap_or(1080);
        Self { host: url.host_str().unwrap_or_default().to_owned(), port, asks_health }
    }

    fn judge(&self, rules: &EgressRules, elsewhere: bool) -> Result<(), Blocked> {
        match egress::literal(&self.host) {
            Some(addr) => self.verdict(rules, addr),
            None => rules.verdict_of_name(&self.host, self.port, elsewhere),
        }
    }

    fn verdict(&self, rules: &EgressRules, addr: IpAddr) -> Result<(), Blocked> {
        if self.asks_health {
            rules.without_own().verdict(addr, self.port, &self.host)
        } else {
            rules.verdict(addr, self.port, &self.host)
        }
    }

    fn is(&self, name: &str) -> bool {
        self.host.eq_ignore_ascii_case(name)
            || egress::literal(&self.host).is_some_and(|addr| egress::literal(name) == Some(addr))
    }
}

/// The resolver of every client.
pub struct Resolver(pub Lookup);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (hop, lookup) = (HOP.try_with(Arc::clone), self.0.clone());
        Box::pin(async move { hop?.resolve(name.as_str(), &lookup).await })
    }
}
