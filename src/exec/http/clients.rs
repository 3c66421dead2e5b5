//! The clients: one for direct requests and one a proxy, each with the connections it keeps. They
//! belong to the rules they connect under: new rules get new clients, so that no connection is used
//! again that would not be made again.

use super::guard::{Hop, Resolver};
use crate::domain::egress::EgressRules;
use crate::exec::Error;
use crate::exec::egress::Egress;
use reqwest::{Client, Proxy, redirect};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

/// Clients kept for proxies that were used before; the least recently used one gives way.
const MAX_PROXY_CLIENTS: usize = 16;
const IDLE_PER_HOST: usize = 8;
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes clients and keeps them.
pub struct Clients {
    pub egress: Arc<Egress>,
    tls: ClientConfig,
    made: Mutex<Made>,
}

struct Made {
    under: Arc<EgressRules>,
    direct: Client,
    /// By proxy URL, the most recently used last.
    proxied: Vec<(Url, Client)>,
}

impl Clients {
    pub fn new(egress: Arc<Egress>) -> Result<Self, Error> {
        let tls = tls()?;
        let direct = client(&tls, &egress, None, IDLE_PER_HOST)?;
        let made = Made { under: egress.rules(), direct, proxied: Vec::new() };
        Ok(Self { egress, tls, made: Mutex::new(made) })
    }

    /// The client for direct requests, whatever the rules: to build a request with.
    pub fn builder(&self) -> Client {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).direct.clone()
    }

    /// The client that makes this request.
    pub fn of(&self, hop: &Hop, proxy: Option<&Url>) -> Result<Client, reqwest::Error> {
        if hop.asks_health {
            // Its connection leads to our own API and must serve no other request.
            return client(&self.tls, &self.egress, None, 0);
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&made.under, &hop.rules) {
            let direct = client(&self.tls, &self.egress, None, IDLE_PER_HOST)?;
            *made = Made { under: hop.rules.clone(), direct, proxied: Vec::new() };
        }
        let Some(proxy) = proxy else { return Ok(made.direct.clone()) };
        let entry = match made.proxied.iter().position(|(url, _)| url == proxy) {
            Some(at) => made.proxied.remove(at),
            None => (proxy.clone(), client(&self.tls, &self.egress, Some(proxy), IDLE_PER_HOST)?),
        };
        let client = entry.1.clone();
        if made.proxied.len() >= MAX_PROXY_CLIENTS {
            made.proxied.remove(0);
        }
        made.proxied.push(entry);
        Ok(client)
    }
}

fn client(
    tls: &ClientConfig,
    egress: &Egress,
    proxy: Option<&Url>,
    idle: usize,
) -> Result<Client, reqwest::Error> {
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .dns_resolver(Resolver(egress.lookup().clone()))
        .user_agent(concat!("TimerJobs/", env!("CARGO_PKG_VERSION")))
        // See `redirect.rs`.
        .redirect(redirect::Policy::none())
        .referer(false)
        .pool_max_idle_per_host(idle)
        .pool_idle_timeout(IDLE_TIMEOUT)
        // What the server's own environment says about proxies is not meant for the jobs.
        .no_proxy();
    if let Some(proxy) = proxy {
        builder = builder.proxy(Proxy::all(proxy.clone())?);
    }
    builder.build()
}

/// TLS by ring, trusting what the machine trusts, so that a company's own CA works. A machine
/// without any certificates, such as a bare container, gets the roots of Mozilla.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match rustls_platform_verifier::Verifier::new(provider) {
        Ok(system) => builder.dangerous().with_custom_certificate_verifier(Arc::new(system)),
        Err(_) => builder
            .with_root_certificates(rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }),
    };
    let mut tls = builder.with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::{Method, Request};

    #[test]
    fn clients_are_kept_by_proxy_and_bounded() {
        let clients = Clients::new(Arc::default()).unwrap();
        let url = |port: usize| -> Url { format!("http://127.0.0.1:{port}").parse().unwrap() };
        for n in (0..MAX_PROXY_CLIENTS).chain([0, MAX_PROXY_CLIENTS]) {
            let request = Request::new(Method::GET, url(1));
            let proxy = url(1000 + n);
            let hop = Hop::new(clients.egress.rules(), &request, Some(&proxy)).unwrap();
            clients.of(&hop, Some(&proxy)).unwrap();
        }
        let made = clients.made.lock().unwrap();
        let kept = |n: usize| made.proxied.iter().any(|(proxy, _)| *proxy == url(1000 + n));
        assert_eq!(made.proxied.len(), MAX_PROXY_CLIENTS);
        assert!(kept(0) && !kept(1), "the least recently used gave way");
    }
}
