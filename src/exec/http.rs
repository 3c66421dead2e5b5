//! Makes an HTTP request: the request as the action says, hop by hop, and what its answer means for
//! the run. Where it may go is `http/guard.rs`, what a redirect asks for `http/redirect.rs`, the clients
//! are `http/clients.rs`; reading the body is `http/body.rs`, naming errors `http/words.rs`.

mod body;
mod clients;
mod guard;
mod redirect;
mod words;

use super::egress::Egress;
use super::{Context, Error, cancelled, timed_out};
use crate::domain::Text;
use crate::domain::action::HttpAction;
use crate::domain::egress::{Blocked, EgressRules};
use crate::domain::run::{HttpReport, Outcome, Report};
use body::Body;
use clients::Clients;
use guard::Hop;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request, Response, StatusCode};
use std::sync::Arc;
use url::Url;

const MAX_REDIRECTS: usize = 10;

/// Makes requests over shared connections.
pub struct Http {
    guarded: Clients,
    /// A connection of one of these is never one of those: it may lead where a job may not go.
    unguarded: Clients,
    body_limit: u64,
}

impl Http {
    pub fn new(body_limit: u64, egress: Arc<Egress>) -> Result<Self, Error> {
        let unguarded = Clients::new(Arc::new(Egress::new(EgressRules::off())))?;
        Ok(Self { guarded: Clients::new(egress)?, unguarded, body_limit })
    }

    /// Makes the request once, where the rules let it go. Up to `keep` bytes of the body's text go into
    /// the report.
    pub async fn run(&self, action: &HttpAction, ctx: &Context, keep: usize) -> Report {
        self.run_with(&self.guarded, action, ctx, keep).await
    }

    /// The same for a URL that the administrator has set: it goes wherever that says.
    pub async fn run_unguarded(&self, action: &HttpAction, ctx: &Context, keep: usize) -> Report {
        self.run_with(&self.unguarded, action, ctx, keep).await
    }

    /// The way out for those who connect by themselves.
    pub fn egress(&self) -> &Egress {
        &self.guarded.egress
    }

    async fn run_with(&self, clients: &Clients, action: &HttpAction, ctx: &Context, keep: usize) -> Report {
        let result = action.result.as_deref().filter(|text| !text.is_empty());
        let body = Body::new(keep, self.body_limit, result, ctx.secrets.stream());
        let mut answer = Answer { url: action.url.clone(), status: None, body };
        let ended = tokio::select! {
            biased;
            () = ctx.cancel.cancelled() => Err(cancelled()),
            () = tokio::time::sleep(action.timeout) => Err(timed_out(action.timeout)),
            done = exchange(clients, action, &mut answer) => Ok(done),
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
}

/// Sends the request and reads the answer. What arrived before an error stays in `answer`.
async fn exchange(clients: &Clients, action: &HttpAction, answer: &mut Answer<'_>) -> Result<(), Text> {
    if let Some(proxy) = &action.proxy {
        check_scheme(proxy)?;
    }
    let mut response = follow(clients, action).await?;
    answer.url = response.url().clone();
    answer.status = Some(response.status());
    answer.body.begin(response.headers().get(CONTENT_TYPE));
    while let Some(chunk) = response.chunk().await.map_err(|e| words::of(&e, action))? {
        answer.body.push(&chunk)?;
    }
    Ok(())
}

/// The first answer that is no redirect. Each hop is judged on its own, under the rules of its moment.
async fn follow(clients: &Clients, action: &HttpAction) -> Result<Response, Text> {
    let mut request = request(&clients.builder(), action)?;
    let mut followed = 0;
    loop {
        let hop = Hop::new(clients.egress.rules(), &request, action.proxy.as_ref());
        let hop = Arc::new(hop.map_err(|blocked| blocked.text())?);
        let client = clients.of(&hop, action.proxy.as_ref()).map_err(|e| words::of(&e, action))?;
        // The body is a text, which can always be sent again.
        let again = request.try_clone();
        let response = hop.scope(client.execute(request)).await;
        let response =
            response.map_err(|e| hop.blocked().map_or_else(|| words::of(&e, action), Blocked::text))?;
        let next =
            again.and_then(|sent| redirect::next(sent, response.status(), response.headers(), followed));
        request = match next {
            None => return Ok(response),
            Some(next) => next?,
        };
        followed += 1;
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

#[cfg(test)]
#[path = "http_test.rs"]
pub mod tests;

#[cfg(test)]
#[path = "http/proxy_test.rs"]
mod proxy_tests;

#[cfg(test)]
#[path = "http/egress_test.rs"]
mod egress_tests;
