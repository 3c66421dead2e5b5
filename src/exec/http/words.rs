//! Says in words what went wrong with a request, in both languages and with the causes that the
//! libraries name, and keeps passwords out of it.

use crate::domain::Text;
use crate::domain::action::HttpAction;
use std::error::Error as StdError;
use std::io;
use url::Url;

/// The URL with its password hidden.
pub fn masked(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        // Fails only for a URL that cannot hold a password.
        let _ = url.set_password(Some("***"));
    }
    url.into()
}

/// The error in words: what it means, then the chain of its causes.
pub fn of(error: &reqwest::Error, action: &HttpAction) -> Text {
    let causes = causes(error);
    let chain = chain(error, &causes, action);
    let (zh, en) = meaning(error, &causes);
    let via = match &action.proxy {
        Some(proxy) if error.is_connect() => {
            (format!("（代理 {}）", masked(proxy)), format!(" (proxy {})", masked(proxy)))
        }
        _ => Default::default(),
    };
    Text::new(format!("{zh}{}：{chain}", via.0), format!("{en}{}: {chain}", via.1))
}

/// All errors below `error`. An `io::Error` hides the one it wraps from `source`.
fn causes(error: &reqwest::Error) -> Vec<&(dyn StdError + 'static)> {
    let mut all = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        all.push(cause);
        next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    all
}

fn meaning(error: &reqwest::Error, causes: &[&(dyn StdError + 'static)]) -> (&'static str, &'static str) {
    let tls = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>());
    let io = causes.iter().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    let dns = causes.iter().any(|cause| cause.to_string().contains("dns error"));
    match (tls, io) {
        _ if dns => ("无法解析主机名", "the host name could not be resolved"),
        (Some(rustls::Error::InvalidCertificate(_)), _) => {
            ("服务器证书不受信任", "the server's certificate is not trusted")
        }
        (Some(_), _) => ("TLS 连接失败", "the TLS connection failed"),
        (_, Some(io::ErrorKind::ConnectionRefused)) => ("连接被拒绝", "the connection was refused"),
        (_, Some(io::ErrorKind::TimedOut)) => ("连接超时", "the connection timed out"),
        _ if error.is_connect() => ("无法建立连接", "the connection could not be made"),
        _ if error.is_body() || error.is_decode() => {
            ("响应内容读取失败", "the response body could not be read")
        }
        _ if error.is_builder() => ("请求无法构造", "the request could not be built"),
        _ => ("请求失败", "the request failed"),
    }
}

fn chain(error: &reqwest::Error, causes: &[&(dyn StdError + 'static)], action: &HttpAction) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in causes {
        let text = cause.to_string();
        // Some errors repeat the text of the one they wrap.
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    if parts.is_empty() {
        // The URL in reqwest's own text would show the password.
        let own = error.to_string();
        parts.push(error.url().map_or_else(|| own.clone(), |url| own.replace(url.as_str(), &masked(url))));
    }
    [Some(&action.url), action.proxy.as_ref()].into_iter().flatten().fold(parts.join(": "), hide)
}

/// Hides a URL's password wherever a library quotes it.
fn hide(text: String, url: &Url) -> String {
    match url.password() {
        Some(password) if !password.is_empty() => text.replace(&format!(":{password}@"), ":***@"),
        _ => text,
    }
}
