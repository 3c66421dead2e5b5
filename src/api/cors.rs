//! Pages of other sites that the administrator has named: the browser is told that they may call
//! (CORS). They show a token; no cookie counts for them, and none of them is ever the owner, so a page
//! that is named gets no right that it cannot show.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, accept-language, if-match, if-none-match, last-event-id",
);
/// What a page may read of an answer, beside what every page may.
const SHOWN: HeaderValue = HeaderValue::from_static("etag, location, retry-after, content-disposition");
/// How long a browser need not ask again, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The origin that asks, when it is on the list: exactly, as texts.
pub(super) fn listed(origins: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// Whether the browser asks before it sends what it means to send.
pub(super) fn is_preflight(request: &Request<Body>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The same for each path: what a path takes is told by the request itself.
pub(super) fn preflight() -> Response {
    let told: [(HeaderName, HeaderValue); 3] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, told).into_response()
}

/// Lets the page read the answer. As long as any origin is listed, caches are told that answers differ.
pub(super) fn mark(answer: &mut Response, any_listed: bool, origin: Option<HeaderValue>) {
    let headers = answer.headers_mut();
    if any_listed {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, SHOWN);
    }
}
