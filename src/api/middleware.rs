//! Who gets in: the rate of each address, the address lists, the Host list against DNS rebinding, the
//! Origin check against foreign web pages. Everything is behind it, the documentation too.

use super::answer::refusal;
use super::auth::{Identity, login};
use super::extract::{Client, Lang, lang};
use super::{Access, Api, cors};
use crate::domain::Text;
use crate::domain::access as rules;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;
use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

pub(super) async fn guard(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let access = api.access();
    let listed = cors::listed(&access.cors_origins, request.headers());
    let mut answer = let_in(&api, &access, peer, request, next).await;
    cors::mark(&mut answer, !access.cors_origins.is_empty(), listed);
    shield(answer.headers_mut());
    answer
}

/// What holds for every answer that says nothing else: no page of another site frames it and steals clicks,
/// no browser guesses what it is, and nobody on the way keeps it.
fn shield(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

async fn let_in(
    api: &Api,
    access: &Access,
    peer: SocketAddr,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let (path, lang) = (request.uri().path().to_owned(), lang(request.headers()));
    let forwarded = all_values(request.headers(), &FORWARDED_FOR);
    let client = rules::client_addr(peer.ip(), forwarded.as_deref(), &access.trusted_proxies);
    if let Err(answer) = api.rates.take(client, access.rate, api.engine.now()) {
        tracing::debug!(%peer, %client, path, "refused: too many requests");
        return answer.respond(&path, lang, false);
    }
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        let text = Text::new("请求带有多个 Host 头", "the request has more than one Host");
        return refusal(StatusCode::BAD_REQUEST, text).respond(&path, lang, false);
    }
    let page = match check(access, client, &request) {
        Ok(page) => page,
        Err((what, msg)) => {
            tracing::warn!(%peer, method = %request.method(), path, "refused: {what}");
            return refusal(StatusCode::FORBIDDEN, msg).respond(&path, lang, false);
        }
    };
    if page == Page::Listed && cors::is_preflight(&request) {
        return cors::preflight();
    }
    let identity = match page {
        Page::Own => api.auth.identify(request.headers()).await,
        Page::Listed => api.auth.identify_by_token(request.headers()).await,
    };
    match identity {
        Ok(Identity::Owner) if !api.auth.trusts(&access.ip, client) => {
            tracing::warn!(%peer, path, "refused: nobody logs in, and the address is not on a whitelist");
            refusal(StatusCode::FORBIDDEN, without_login()).respond(&path, lang, false)
        }
        // A proxy on this machine brings the world, and all of it looks like this machine.
        Ok(Identity::Owner)
            if !is_trusted(peer.ip(), &access.trusted_proxies) && is_relayed(request.headers()) =>
        {
            tracing::warn!(%peer, path, "refused: nobody logs in, and a proxy that is not trusted sent it");
            refusal(StatusCode::FORBIDDEN, behind_proxy()).respond(&path, lang, false)
        }
        Ok(identity) => {
            let tls = is_tls(request.headers(), peer.ip(), &access.trusted_proxies);
            request.extensions_mut().insert(Client { addr: client, tls });
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Err(e) => login::failed(e).respond(&path, lang, false),
    }
}

/// From where a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// Our own page, or no page at all.
    Own,
    /// A page of another site, which the administrator has named.
    Listed,
}

fn behind_proxy() -> Text {
    Text::new(
        "请求经由未信任的代理到达，而尚未创建账户：请设置 TRUSTED_PROXIES 为该代理的地址，或设置 AUTH=required",
        "the request came through a proxy that is not trusted, and there is no account yet: set TRUSTED_PROXIES to the proxy's address, or AUTH=required",
    )
}

/// Whether a proxy says that it stands between.
fn is_relayed(headers: &HeaderMap) -> bool {
    let marks = [FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST, REAL_IP, header::FORWARDED, header::VIA];
    marks.iter().any(|name| headers.contains_key(name))
}

fn is_trusted(peer: IpAddr, proxies: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    proxies.iter().any(|net| net.contains(&peer))
}

fn without_login() -> Text {
    Text::new(
        "尚未创建账户，只接受本机和 IP_WHITELIST 中明确列出的地址；请先在本机控制台创建账户，或设置 IP_WHITELIST",
        "there is no account yet, so only this machine and addresses named in IP_WHITELIST are let in; make an account in the console on this machine first, or set IP_WHITELIST",
    )
}

fn check(access: &Access, client: IpAddr, request: &Request<Body>) -> Result<Page, (&'static str, Text)> {
    let headers = request.headers();
    if access.ip.bans(client) {
        let text = Text::new(
            format!(
                "地址 {client} 在黑名单中；管理员可将其移出黑名单，或设置 IP_CONTROL_ENABLED=false 后重载"
            ),
            format!(
                "the address {client} is on the blacklist; the administrator can take it off, or set IP_CONTROL_ENABLED=false and reload"
            ),
        );
        return Err(("address", text));
    }
    if !access.ip.allows(client) {
        let text = Text::new(
            format!("地址 {client} 不允许访问；请由管理员加入 IP_WHITELIST"),
            format!("the address {client} is not allowed in; the administrator can add it to IP_WHITELIST"),
        );
        return Err(("address", text));
    }
    // HTTP/1.1 sends Host; an absolute request target takes its place.
    let host = request.uri().authority().map(|a| a.as_str()).or_else(|| one_value(headers, &header::HOST));
    let host = host.unwrap_or_default();
    if !rules::host_allowed(host, &access.allowed_hosts) {
        let text = Text::new(
            "Host 不在允许列表内；请将该域名加入 ALLOWED_HOSTS",
            "the Host is not on the list; add the name to ALLOWED_HOSTS",
        );
        return Err(("host", text));
    }
    let foreign = match headers.get(header::ORIGIN) {
        Some(origin) => !rules::origin_allowed(origin.to_str().unwrap_or("null"), host),
        None => from_another_site(request.method(), headers),
    };
    if !foreign {
        return Ok(Page::Own);
    }
    if cors::listed(&access.cors_origins, headers).is_some() {
        return Ok(Page::Listed);
    }
    let text = Text::new("不接受其他网站页面发来的请求", "requests from another site's page are not taken");
    Err(("origin", text))
}

/// Browsers that leave Origin out still say where a request comes from. Following a link to us is
/// fine: it only reads.
fn from_another_site(method: &Method, headers: &HeaderMap) -> bool {
    let site = one_value(headers, &FETCH_SITE).unwrap_or("none");
    let link =
        matches!(*method, Method::GET | Method::HEAD) && one_value(headers, &FETCH_MODE) == Some("navigate");
    matches!(site, "cross-site" | "same-site") && !link
}

fn one_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

/// Whether the client's connection is encrypted, as a proxy that is trusted tells: the last word is its.
fn is_tls(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> bool {
    let told = all_values(headers, &FORWARDED_PROTO).unwrap_or_default();
    is_trusted(peer, trusted)
        && told.rsplit(',').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("https"))
}

/// A header may come in several lines; together they are one list.
fn all_values(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|v| v.to_str().unwrap_or("?")).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// Whether a browser sent it: no page can leave these headers out, and programs have no reason to send
/// them.
pub(super) fn is_of_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"))
}

/// A bug of ours: the request fails, the server goes on.
#[expect(clippy::needless_pass_by_value, reason = "the shape that the layer asks for")]
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let what =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!("a handler panicked: {}", what.unwrap_or("no message"));
    super::answer::plain(StatusCode::INTERNAL_SERVER_ERROR, "", Lang::Zh)
}
