//! Who gets in: the address lists, the Host list against DNS rebinding, the Origin check against
//! foreign web pages. Everything is behind it, the documentation too.

use super::answer::refusal;
use super::auth::{Identity, login};
use super::extract::{Client, Lang, lang};
use super::{Access, Api};
use crate::domain::Text;
use crate::domain::access as rules;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

pub(super) async fn guard(
    State(api): State<Arc<Api>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    match check(&api.access(), peer, &request) {
        Ok(client) => match api.auth.identify(request.headers()).await {
            Ok(Identity::Owner) if !api.auth.trusts(&api.access().ip, client) => {
                let lang = lang(request.headers());
                tracing::warn!(%peer, path = request.uri().path(), "refused: nobody logs in, and the address is not on a whitelist");
                refusal(StatusCode::FORBIDDEN, without_login()).respond(request.uri().path(), lang, false)
            }
            Ok(identity) => {
                request.extensions_mut().insert(Client(client));
                request.extensions_mut().insert(identity);
                next.run(request).await
            }
            Err(e) => {
                let (path, lang) = (request.uri().path().to_owned(), lang(request.headers()));
                login::failed(e).respond(&path, lang, false)
            }
        },
        Err((what, msg)) => {
            tracing::warn!(%peer, method = %request.method(), path = request.uri().path(), "refused: {what}");
            let path = request.uri().path();
            refusal(StatusCode::FORBIDDEN, msg).respond(path, lang(request.headers()), false)
        }
    }
}

fn without_login() -> Text {
    Text::new(
        "尚未创建账户，只接受本机和 IP_WHITELIST 中明确列出的地址；请先在本机控制台创建账户，或设置 IP_WHITELIST",
        "there is no account yet, so only this machine and addresses named in IP_WHITELIST are let in; make an account in the console on this machine first, or set IP_WHITELIST",
    )
}

fn check(access: &Access, peer: SocketAddr, request: &Request<Body>) -> Result<IpAddr, (&'static str, Text)> {
    let headers = request.headers();
    let forwarded = all_values(headers, &FORWARDED_FOR);
    let client = rules::client_addr(peer.ip(), forwarded.as_deref(), &access.trusted_proxies);
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
    if foreign {
        let text =
            Text::new("不接受其他网站页面发来的请求", "requests from another site's page are not taken");
        return Err(("origin", text));
    }
    Ok(client)
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

/// A header may come in several lines; together they are one list.
fn all_values(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|v| v.to_str().unwrap_or("?")).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// A bug of ours: the request fails, the server goes on.
#[expect(clippy::needless_pass_by_value, reason = "the shape that the layer asks for")]
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let what =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!("a handler panicked: {}", what.unwrap_or("no message"));
    super::answer::plain(StatusCode::INTERNAL_SERVER_ERROR, "", Lang::Zh)
}
