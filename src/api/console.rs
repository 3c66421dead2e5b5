//! The console: the page that npm built (`web/dist`), from the binary. `build.rs` makes the list of its
//! files; a path that is not in it is not ours. Pages of the console live behind the `#`, so nothing but
//! `/` and the assets is answered here and no path of the API can be taken.
//!
//! A clone that was built without Node has no page: `/` then says how to build it.

use super::extract::{Lang, lang};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

struct File {
    /// As it is asked for; `/` is index.html.
    path: &'static str,
    media: &'static str,
    /// Weak, so that it holds for the packed twin too.
    etag: &'static str,
    body: &'static [u8],
    gzip: Option<&'static [u8]>,
}

static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// The page loads nothing from elsewhere, runs no script but its own files, and stands in no frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
);
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// The page asks with fetch, whose Origin this policy leaves alone; a form's POST would come with
/// `Origin: null` and be refused by the guard.
const REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");

pub(super) fn router() -> Router {
    let mut router = Router::new();
    for file in FILES {
        router =
            router.route(file.path, get(move |headers: HeaderMap| async move { answer(file, &headers) }));
    }
    if FILES.is_empty() {
        router = router.route("/", get(|headers: HeaderMap| async move { unbuilt(lang(&headers)) }));
    }
    router
}

fn answer(file: &'static File, asked: &HeaderMap) -> Response {
    let mut headers = guarded();
    headers.insert(header::ETAG, HeaderValue::from_static(file.etag));
    // Vite writes a hash of the content into the names of what lies in assets/. The others may change
    // with the next version of the server, so they are asked about each time, and answered with 304.
    let kept = match file.path.starts_with("/assets/") {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    if file.gzip.is_some() {
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if knows(asked, file.etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media));
    let body = match file.gzip.filter(|_| takes_gzip(asked)) {
        Some(packed) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            packed
        }
        None => file.body,
    };
    (headers, Body::from(body)).into_response()
}

fn guarded() -> HeaderMap {
    HeaderMap::from_iter([
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, NOSNIFF),
        (header::REFERRER_POLICY, REFERRER),
    ])
}

/// The items of a header that is a list, which may come in several lines.
fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

/// Whether If-None-Match names the tag, by the weak comparison (RFC 9110 13.1.2).
fn knows(headers: &HeaderMap, etag: &str) -> bool {
    let bare = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    items(headers, &header::IF_NONE_MATCH).any(|tag| tag == "*" || bare(tag) == bare(etag))
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut other = false;
    for item in items(headers, &header::ACCEPT_ENCODING) {
        let (coding, weight) = item.split_once(';').unwrap_or((item, "q=1"));
        let weight = weight.trim().trim_start_matches(['q', 'Q']).trim_start_matches('=').parse::<f32>();
        let wanted = weight.is_ok_and(|q| q > 0.0);
        match coding.trim() {
            "gzip" | "x-gzip" => return wanted,
            "*" => other = wanted,
            _ => {}
        }
    }
    other
}

/// Without a style: the policy allows none that is written into the page.
fn unbuilt(lang: Lang) -> Response {
    let page = match lang {
        Lang::Zh => include_str!("console/unbuilt.zh.html"),
        Lang::En => include_str!("console/unbuilt.en.html"),
    };
    let mut headers = guarded();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // The next build of the server may have the page.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
    (headers, page).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    static SCRIPT: File = File {
        path: "/assets/x-1.js",
        media: "text/javascript; charset=utf-8",
        etag: "W/\"a1\"",
        body: b"let x = 1",
        gzip: Some(b"packed"),
    };

    fn with(name: HeaderName, lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        for (asked, wanted) in [
            (&["gzip, deflate, br"][..], true),
            (&["br", "gzip;q=0.5"], true),
            (&["br;q=1.0, *;q=0.1"], true),
            (&["*, gzip;q=0"], false),
            (&["gzip;q=0"], false),
            (&["gzip; q=0.000"], false),
            (&["br, deflate"], false),
            (&["gzip;q=nonsense"], false),
            (&[""], false),
            (&[], false),
        ] {
            let asked = with(header::ACCEPT_ENCODING, asked);
            let answer = answer(&SCRIPT, &asked);
            let packed = answer.headers().get(header::CONTENT_ENCODING).is_some_and(|v| v == "gzip");
            assert_eq!(packed, wanted, "{asked:?}");
            assert_eq!(answer.headers()[header::VARY], "Accept-Encoding");
        }
    }

    #[test]
    fn a_known_tag_is_answered_without_the_file() {
        for (asked, known) in [
            (&["W/\"a1\""][..], true),
            (&["\"a1\""], true),
            (&["\"b2\", W/\"a1\""], true),
            (&["\"b2\"", "\"a1\""], true),
            (&["*"], true),
            (&["a1"], false),
            (&["\"a\""], false),
            (&[], false),
        ] {
            let answer = answer(&SCRIPT, &with(header::IF_NONE_MATCH, asked));
            assert_eq!(answer.status() == StatusCode::NOT_MODIFIED, known, "{asked:?}");
            assert_eq!(answer.headers()[header::ETAG], SCRIPT.etag);
            assert_eq!(answer.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        }
    }

    #[test]
    fn without_a_page_both_languages_say_how_to_build_it() {
        for (lang, words) in [(Lang::Zh, "控制台尚未构建"), (Lang::En, "not been built")] {
            let answer = unbuilt(lang);
            assert_eq!(
                (answer.status(), &answer.headers()[header::CONTENT_SECURITY_POLICY]),
                (StatusCode::OK, &POLICY)
            );
            let page = match lang {
                Lang::Zh => include_str!("console/unbuilt.zh.html"),
                Lang::En => include_str!("console/unbuilt.en.html"),
            };
            for needed in [words, "make console", "href=\"/docs/\""] {
                assert!(page.contains(needed), "{needed}");
            }
            assert!(!page.contains("<script") && !page.contains("style"));
        }
    }
}
