//! What a redirect asks for next. We follow them ourselves: reqwest drops `Authorization` and `Cookie`
//! on the way to another host, and sends on whatever else a job may have put its key into.

use super::MAX_REDIRECTS;
use crate::domain::Text;
use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION,
    TRANSFER_ENCODING, USER_AGENT,
};
use reqwest::{Method, Request, StatusCode};
use url::Url;

/// Headers of the job that another host is sent: what it needs to answer, and no secrets.
const KEPT: [HeaderName; 4] = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT];

/// The request that the answer to `sent` asks for; `None` when that answer is the last. `followed` have
/// been made before.
pub fn next(
    mut sent: Request,
    status: StatusCode,
    headers: &HeaderMap,
    followed: usize,
) -> Option<Result<Request, Text>> {
    let target = target(&sent, status, headers)?;
    if followed >= MAX_REDIRECTS {
        return Some(Err(Text::new(
            format!("重定向超过 {MAX_REDIRECTS} 次：{target}"),
            format!("more than {MAX_REDIRECTS} redirects: {target}"),
        )));
    }
    if !matches!(target.scheme(), "http" | "https") {
        return Some(Err(Text::new(
            format!("重定向到了不支持的地址：{target}"),
            format!("the redirect leads to {target}, which is neither http nor https"),
        )));
    }
    let becomes_get = match status {
        StatusCode::SEE_OTHER => sent.method() != Method::HEAD,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => sent.method() == Method::POST,
        _ => false,
    };
    if becomes_get {
        *sent.method_mut() = Method::GET;
    }
    if becomes_get || status == StatusCode::SEE_OTHER {
        *sent.body_mut() = None;
        for name in [CONTENT_TYPE, CONTENT_ENCODING, TRANSFER_ENCODING] {
            sent.headers_mut().remove(name);
        }
    }
    if leaves(sent.url(), &target) {
        let kept = sent.headers().iter().filter(|(name, _)| KEPT.contains(name));
        *sent.headers_mut() = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    }
    *sent.url_mut() = target;
    Some(Ok(sent))
}

/// Where it leads. A user and password that a server writes into it are not the job's: they are not sent.
fn target(sent: &Request, status: StatusCode, headers: &HeaderMap) -> Option<Url> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = std::str::from_utf8(headers.get(LOCATION)?.as_bytes()).ok()?;
    let mut target = sent.url().join(location).ok()?;
    // These fail only for URLs that cannot hold credentials.
    let _ = target.set_username("");
    let _ = target.set_password(None);
    Some(target)
}

/// Whether the job's secrets must not follow: another host, port or scheme. From port 80 to TLS on port
/// 443 of the same host they do follow, as that redirect is how a site says "ask me safely", and
/// whoever could read along has seen them by then.
fn leaves(from: &Url, to: &Url) -> bool {
    let port = Url::port_or_known_default;
    let same = (from.scheme(), port(from)) == (to.scheme(), port(to));
    let safer = (from.scheme(), port(from), to.scheme(), port(to)) == ("http", Some(80), "https", Some(443));
    from.host() != to.host() || !(same || safer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn secrets_stay_with_host_port_and_scheme() {
        for (from, to, leaves_it) in [
            ("http://a.example/x", "http://a.example/y", false),
            ("http://a.example/", "http://A.EXAMPLE:80/", false),
            ("http://a.example/", "https://a.example/", false),
            ("http://a.example:8080/", "https://a.example/", true),
            ("http://a.example/", "https://a.example:8443/", true),
            ("https://a.example/", "http://a.example/", true),
            ("https://a.example/", "http://a.example:443/", true),
            ("http://a.example/", "http://a.example:81/", true),
            ("http://a.example/", "http://b.a.example/", true),
            ("http://a.example/", "http://a.example./", true),
            ("http://a.example/", "https://b.example/", true),
        ] {
            assert_eq!(leaves(&url(from), &url(to)), leaves_it, "{from} {to}");
        }
    }

    #[test]
    fn the_method_follows_the_status() {
        for (status, method, becomes) in [
            (301, "POST", Some("GET")),
            (302, "PUT", Some("PUT")),
            (303, "PUT", Some("GET")),
            (303, "HEAD", Some("HEAD")),
            (307, "POST", Some("POST")),
            (308, "POST", Some("POST")),
            (300, "GET", None),
            (304, "GET", None),
            (200, "GET", None),
        ] {
            let mut sent = Request::new(method.parse().unwrap(), url("http://a.example/x/y?z"));
            *sent.body_mut() = Some("body".into());
            sent.headers_mut().insert(CONTENT_TYPE, "text/plain".parse().unwrap());
            let headers = [(LOCATION, "../z".parse().unwrap())].into_iter().collect();
            let next = next(sent, StatusCode::from_u16(status).unwrap(), &headers, 0);
            let next = next.map(|next| next.unwrap());
            assert_eq!(next.as_ref().map(|next| next.method().as_str()), becomes, "{status} {method}");
            if let Some(next) = next {
                assert_eq!(next.url().as_str(), "http://a.example/z");
                let kept = next.body().is_some();
                assert_eq!(kept, next.headers().contains_key(CONTENT_TYPE), "{status} {method}");
                assert_eq!(kept, status != 303 && becomes == Some(method), "{status} {method}");
            }
        }
    }

    #[test]
    fn a_location_is_resolved_and_its_credentials_are_not_sent() {
        let lead = |location: &str| {
            let sent = Request::new(Method::GET, url("https://a.example/x"));
            let headers = [(LOCATION, location.parse().unwrap())].into_iter().collect();
            next(sent, StatusCode::FOUND, &headers, 0).map(|next| next.map(|next| next.url().to_string()))
        };
        assert_eq!(lead("//u:p@b.example:1/").unwrap().unwrap(), "https://b.example:1/");
        assert_eq!(lead("?q").unwrap().unwrap(), "https://a.example/x?q");
        assert_eq!(lead("http://[bad"), None);
        for other in ["file:///etc/passwd", "gopher://x/", "data:,x", "unix:/run/docker.sock"] {
            assert!(lead(other).unwrap().unwrap_err().en.contains("neither http nor https"), "{other}");
        }
    }
}
