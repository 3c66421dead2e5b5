//! A request's body as a map of fields: JSON, a form, or what `curl -F` sends.

use super::answer::{Answer, refusal};
use super::middleware::is_of_browser;
use crate::domain::{FieldError, Text};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, Method, StatusCode, header};
use futures_util::StreamExt;
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time::timeout;

/// The whole body, when it comes in time: `time` for all of it, `pause` between two pieces.
pub(super) async fn arrived(
    body: Body,
    most: usize,
    time: Duration,
    pause: Duration,
) -> Result<Bytes, Answer> {
    let mut pieces = body.into_data_stream();
    let mut whole = Vec::new();
    let reading = async {
        while let Some(piece) = timeout(pause, pieces.next()).await.map_err(|_| too_slow(pause))? {
            let piece = piece.map_err(|_| broken())?;
            if whole.len() + piece.len() > most {
                return Err(too_large(most));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(())
    };
    timeout(time, reading).await.map_err(|_| too_slow(time))??;
    Ok(whole.into())
}

fn too_slow(time: Duration) -> Answer {
    let seconds = time.as_secs();
    let text = Text::new(
        format!("请求体未能在 {seconds} 秒内到达（CLIENT_TIMEOUT）"),
        format!("the body, or its next piece, did not arrive within {seconds} seconds (CLIENT_TIMEOUT)"),
    );
    // What is still to come of it is not waited for.
    refusal(StatusCode::REQUEST_TIMEOUT, text).header(header::CONNECTION, "close")
}

fn too_large(most: usize) -> Answer {
    let mib = most >> 20;
    let text = Text::new(
        format!("请求体超过 {mib} MiB 上限"),
        format!("the body is larger than the limit of {mib} MiB"),
    );
    refusal(StatusCode::PAYLOAD_TOO_LARGE, text)
}

fn broken() -> Answer {
    refusal(StatusCode::BAD_REQUEST, Text::new("请求体未完整到达", "the body did not arrive whole"))
}

/// A browser sends JSON, or a file in one of the route's own media types, never a form: what a page can
/// send without asking first (a form, plain text, no type at all) is not taken from one. Programs show
/// none of a browser's headers, so `curl -d` goes on working.
pub(super) fn refuse_forms(
    method: &Method,
    headers: &HeaderMap,
    body: &Body,
    media: &[&str],
) -> Result<(), Answer> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if reads || body.is_end_stream() || !is_of_browser(headers) {
        return Ok(());
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"));
    if is_json || media.contains(&kind.as_str()) {
        return Ok(());
    }
    let text = Text::new(
        "浏览器发来的请求体须为 application/json，不接受表单",
        "the body of a request from a browser must be application/json; forms are not taken from one",
    );
    Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
}

/// JSON by its header or its first character (curl sends JSON as a form unless told otherwise),
/// else a form.
pub(super) async fn read_body(
    headers: &HeaderMap,
    whole: Bytes,
    given: &mut Map<String, Value>,
) -> Result<(), Answer> {
    let body = whole.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&whole);
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    let first = body.iter().find(|b| !b.is_ascii_whitespace());
    let refuse = |zh: String, en: String| {
        Answer::Invalid(vec![FieldError::new("body", Text::new(zh, en), Value::Null)])
    };
    match first {
        None => Ok(()),
        Some(b'{') => merge_json(body, given, refuse),
        Some(_) if kind.contains("json") => merge_json(body, given, refuse),
        Some(_) if kind.is_empty() || kind.starts_with("application/x-www-form-urlencoded") => {
            for (name, value) in url::form_urlencoded::parse(body) {
                given.insert(name.into_owned(), Value::String(value.into_owned()));
            }
            Ok(())
        }
        Some(_) if kind.starts_with("multipart/form-data") => {
            // The header as it is: the boundary's case counts.
            let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
            let read = read_multipart(kind, whole.clone(), given).await;
            read.map_err(|e| {
                refuse(
                    format!("multipart 表单无法解析：{e}"),
                    format!("the multipart form cannot be read: {e}"),
                )
            })
        }
        Some(_) => Err(refuse(
            format!(
                "不支持的 Content-Type：{kind}；请使用 application/json 或 application/x-www-form-urlencoded"
            ),
            format!(
                "Content-Type {kind} is not read; send application/json or application/x-www-form-urlencoded"
            ),
        )),
    }
}

/// What `curl -F` sends.
async fn read_multipart(
    kind: &str,
    body: Bytes,
    given: &mut Map<String, Value>,
) -> Result<(), multer::Error> {
    let boundary = multer::parse_boundary(kind)?;
    let body = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut form = multer::Multipart::new(body, boundary);
    while let Some(field) = form.next_field().await? {
        if let Some(name) = field.name().map(str::to_owned) {
            given.insert(name, field.text().await?.into());
        }
    }
    Ok(())
}

fn merge_json(
    body: &[u8],
    given: &mut Map<String, Value>,
    refuse: impl Fn(String, String) -> Answer,
) -> Result<(), Answer> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => {
            given.extend(fields);
            Ok(())
        }
        Ok(_) => Err(refuse("请求体须为 JSON 对象".into(), "the body must be a JSON object".into())),
        Err(e) => {
            Err(refuse(format!("请求体不是有效的 JSON：{e}"), format!("the body is not valid JSON: {e}")))
        }
    }
}
