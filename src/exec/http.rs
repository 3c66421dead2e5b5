//! Makes an HTTP request: the clients and their proxies, the request as the action says, and what
//! its answer means for the run. Reading the body is `http/body.rs`, naming errors `http/words.rs`.

mod body;
mod words;

use super::{Context, Error, cancelled, timed_out};
use crate::domain::Text;
use crate::domain::action::HttpAction;
use crate::domain::run::{HttpReport, Outcome, Report};
use body::Body;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Proxy, Request, StatusCode, redirect};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

const MAX_REDIRECTS: usize = 10;
/// Clients kept for proxies that were used before; the least recently used one gives way.
const MAX_PROXY_CLIENTS: usize = 16;
const IDLE_PER_HOST: usize = 8;
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes requests over shared connections.
pub struct Http {
    direct: Client,
    tls: ClientConfig,
    /// By proxy URL, the most recently used last.
    proxied: Mutex<Vec<(Url, Client)>>,
    body_limit: u64,
}

impl Http {
    pub fn new(body_limit: u64) -> Result<Self, Error> {
        let tls = tls()?;
        Ok(Self { direct: client(&tls, None)?, tls, proxied: Mutex::default(), body_limit })
    }

    /// Makes the request once. Up to `keep` bytes of the body's text go into the report.
    pub async fn run(&self, action: &HttpAction, ctx: &Context, keep: usize) -> Report {
        let result = action.result.as_deref().filter(|text| !text.is_empty());
        let mut answer =
            Answer { url: action.url.clone(), status: None, body: Body::new(keep, self.body_limit, result) };
        let ended = tokio::select! {
            biased;
            () = ctx.cancel.cancelled() => Err(cancelled()),
            () = tokio::time::sleep(action.timeout) => Err(timed_out(action.timeout)),
            done = self.exchange(action, &mut answer) => Ok(done),
        };
        answer.body.finish();
        let mut report = match ended {
            Ok(Ok(())) => judge(&answer, result),
            Ok(Err(error)) => Report::failed(error),
            Err(report) => report,
        };
        report.result = answer.status.map(|s| format!("HTTP {}, {} bytes", s.as_u16(), answer.body.bytes()));
        report.http = Some(HttpReport {
            url: words::masked(&answer.url),
            method: action.method.clone(),
            status: answer.status.map(|s| s.as_u16()),
            response: answer.body.into_text(),
        });
        report
    }

    /// Sends the request and reads the answer. What arrived before an error stays in `answer`.
    async fn exchange(&self, action: &HttpAction, answer: &mut Answer<'_>) -> Result<(), Text> {
        if let Some(proxy) = &action.proxy {
            check_scheme(proxy)?;
        }
        let client = self.client(action.proxy.as_ref()).map_err(|e| words::of(&e, action))?;
        let request = request(&client, action)?;
        let mut response = client.execute(request).await.map_err(|e| words::of(&e, action))?;
        answer.url = response.url().clone();
        answer.status = Some(response.status());
        answer.body.begin(response.headers().get(CONTENT_TYPE));
        while let Some(chunk) = response.chunk().await.map_err(|e| words::of(&e, action))? {
            answer.body.push(&chunk)?;
        }
        Ok(())
    }

    fn client(&self, proxy: Option<&Url>) -> Result<Client, reqwest::Error> {
        let Some(proxy) = proxy else { return Ok(self.direct.clone()) };
        let mut proxied = self.proxied.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match proxied.iter().position(|(url, _)| url == proxy) {
            Some(at) => proxied.remove(at),
            None => (proxy.clone(), client(&self.tls, Some(proxy))?),
        };
        let client = entry.1.clone();
        if proxied.len() >= MAX_PROXY_CLIENTS {
            proxied.remove(0);
        }
        proxied.push(entry);
        Ok(client)
    }
}

/// What has come back so far.
struct Answer<'a> {
    url: Url,
    status: Option<StatusCode>,
    body: Body<'a>,
}

/// With an expected text the body alone decides, without it the status.
fn judge(answer: &Answer<'_>, result: Option<&str>) -> Report {
    let status = answer.status.unwrap_or_default();
    match result {
        None if status.is_success() => Report::new(Outcome::Success),
        None => {
            let status = status.as_u16();
            Report::failed(Text::new(format!("HTTP 状态码 {status}"), format!("HTTP status {status}")))
        }
        Some(_) if answer.body.found() => Report::new(Outcome::Success),
        Some(text) => {
            let (status, text): (_, String) = (status.as_u16(), text.chars().take(200).collect());
            Report::failed(Text::new(
                format!("响应（HTTP {status}）不包含期望的内容：{text}"),
                format!("the response (HTTP {status}) does not contain the expected text: {text}"),
            ))
        }
    }
}

/// A proxy of a kind that reqwest does not know, it ignores: the request would go out directly.
fn check_scheme(proxy: &Url) -> Result<(), Text> {
    match proxy.scheme() {
        "http" | "https" | "socks5" | "socks5h" => Ok(()),
        other => Err(Text::new(
            format!("不支持的代理类型：{other}"),
            format!("the proxy's scheme is not supported: {other}"),
        )),
    }
}

fn request(client: &Client, action: &HttpAction) -> Result<Request, Text> {
    let method = Method::from_bytes(action.method.as_bytes()).map_err(|_| {
        Text::new(
            format!("请求方法无效：{}", action.method),
            format!("the request method is invalid: {}", action.method),
        )
    })?;
    let headers = headers(action)?;
    let mut url = action.url.clone();
    if headers.contains_key(reqwest::header::AUTHORIZATION) {
        // reqwest would add a second Authorization from the URL; the one written out wins. These
        // fail only for URLs that cannot hold credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    let mut request = client.request(method, url).headers(headers);
    if let Some(data) = &action.data {
        request = request.body(data.clone());
    }
    request.build().map_err(|e| words::of(&e, action))
}

fn headers(action: &HttpAction) -> Result<HeaderMap, Text> {
    let mut headers = HeaderMap::new();
    for (name, value) in &action.headers {
        let key = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| {
            Text::new(format!("请求头名称无效：{name}"), format!("the header name is invalid: {name}"))
        })?;
        // A copied length is rarely the length of this body, and a wrong one cuts or hangs it.
        if key != CONTENT_LENGTH {
            headers.append(key, header_value(name, value)?);
        }
    }
    if let Some(cookies) = &action.cookies {
        let mut all: Vec<String> = Vec::new();
        if let Some(already) = headers.get(COOKIE) {
            all.push(String::from_utf8_lossy(already.as_bytes()).into_owned());
        }
        all.push(cookies.clone());
        headers.insert(COOKIE, header_value("Cookie", &all.join("; "))?);
    }
    if let Some(data) = &action.data
        && !headers.contains_key(CONTENT_TYPE)
    {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(data)));
    }
    Ok(headers)
}

/// The value is not shown: it may be a secret.
fn header_value(name: &str, value: &str) -> Result<HeaderValue, Text> {
    HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| {
        Text::new(
            format!("请求头 {name} 的值含有无效字符"),
            format!("the value of the header {name} contains invalid characters"),
        )
    })
}

fn content_type(data: &str) -> &'static str {
    let data = data.trim_start();
    let json = data.starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok();
    if json { "application/json" } else { "application/x-www-form-urlencoded" }
}

fn client(tls: &ClientConfig, proxy: Option<&Url>) -> Result<Client, reqwest::Error> {
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .user_agent(concat!("TimerJobs/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::limited(MAX_REDIRECTS))
        .referer(false)
        .pool_max_idle_per_host(IDLE_PER_HOST)
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
#[path = "http_test.rs"]
pub mod tests;

#[cfg(test)]
#[path = "http/proxy_test.rs"]
mod proxy_tests;
