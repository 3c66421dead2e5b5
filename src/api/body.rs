//! A request's body as a map of fields: JSON, a form, or what `curl -F` sends.

use super::answer::{Answer, refusal};
use crate::domain::{FieldError, Text};
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

pub(super) fn too_large_or_broken(e: &axum::Error, most: usize) -> Answer {
    let too_large = std::error::Error::source(e).is_some_and(|s| s.to_string().contains("length limit"));
    if too_large {
        let mib = most >> 20;
        let text = Text::new(
            format!("请求体超过 {mib} MiB 上限"),
            format!("the body is larger than the limit of {mib} MiB"),
        );
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, text);
    }
    refusal(StatusCode::BAD_REQUEST, Text::new("请求体未完整到达", "the body did not arrive whole"))
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
