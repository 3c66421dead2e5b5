//! Reads a request: query string and body (JSON or form; the body wins) become one map, each known
//! parameter is typed, and every bad one is named in one answer.

use super::answer::{Answer, refusal};
use crate::domain::{FieldError, Text};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};
use std::net::{IpAddr, Ipv4Addr};

/// The largest body that is read.
const BODY_MAX: usize = 1 << 20;

/// The language of an answer: Chinese unless the client prefers English.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lang {
    Zh,
    En,
}

impl Lang {
    pub fn pick(self, text: &Text) -> &str {
        match self {
            Self::Zh => &text.zh,
            Self::En => &text.en,
        }
    }
}

/// English when `Accept-Language` weighs it above Chinese.
pub(super) fn lang(headers: &HeaderMap) -> Lang {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let weight = |name: &str| {
        let entries = accepted.split(',').filter_map(|entry| {
            let (tag, parameters) = entry.split_once(';').unwrap_or((entry, ""));
            let tag = tag.trim().to_ascii_lowercase();
            let matches = tag.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
            let q = parameters
                .trim()
                .strip_prefix("q=")
                .and_then(|q| q.trim().parse::<f32>().ok())
                .unwrap_or(1.0);
            matches.then_some(q)
        });
        entries.fold(0.0_f32, f32::max)
    };
    if weight("en") > weight("zh") { Lang::En } else { Lang::Zh }
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// One of these words, in any case.
    OneOf(&'static [&'static str]),
    Int {
        min: i64,
        max: i64,
    },
    Bool,
    /// `YYYY-MM-DD`.
    Date,
}

/// A parameter that a route takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    /// For the OpenAPI page.
    pub doc: &'static str,
    /// A job's field: a value of the wrong type is named together with what the domain finds.
    pub of_job: bool,
}

/// Whom the guard let in, left for the handlers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client(pub IpAddr);

/// A request, read and typed.
#[derive(Debug)]
pub(super) struct Call {
    /// The port we listen on.
    pub port: u16,
    pub lang: Lang,
    /// Who asks, behind trusted proxies.
    pub client: IpAddr,
    values: Map<String, Value>,
    /// Fields of a job that have the wrong type; `JobDraft::check` names them with the rest.
    pub unread: Vec<FieldError>,
}

impl Call {
    pub async fn read(params: &[Param], request: Request<Body>, port: u16) -> Result<Self, Answer> {
        let (mut parts, body) = request.into_parts();
        let mut given = Map::new();
        for (name, value) in url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            given.insert(name.into_owned(), Value::String(value.into_owned()));
        }
        let body = axum::body::to_bytes(body, BODY_MAX).await.map_err(|e| too_large_or_broken(&e))?;
        read_body(&parts.headers, body, &mut given).await?;
        // The path has the last word. One that is no text names nothing that we have.
        if let Ok(in_path) = RawPathParams::from_request_parts(&mut parts, &()).await {
            given.extend(in_path.iter().map(|(name, value)| (name.to_owned(), value.into())));
        }
        let (mut errors, mut unread) = (Vec::new(), Vec::new());
        let mut values = Map::new();
        for param in params {
            match typed(param, given.remove(param.name).unwrap_or(Value::Null)) {
                Ok(Value::Null) if param.required && !param.of_job => {
                    errors.push(bad(param, "必填", "is required", Value::Null));
                }
                Ok(Value::Null) => {}
                Ok(value) => drop(values.insert(param.name.into(), value)),
                Err(error) if param.of_job => unread.push(error),
                Err(error) => errors.push(error),
            }
        }
        let lang = lang(&parts.headers);
        let client =
            parts.extensions.get::<Client>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |client| client.0);
        if errors.is_empty() {
            return Ok(Self { port, lang, client, values, unread });
        }
        errors.append(&mut unread);
        Err(Answer::Invalid(errors))
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        self.values.get(name).and_then(Value::as_i64)
    }

    pub fn flag(&self, name: &str) -> bool {
        self.values.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Parameters that routes name as required are there.
    pub fn id(&self) -> i64 {
        self.int("id").unwrap_or_default()
    }

    pub fn page(&self) -> (i64, i64) {
        (self.int("page").unwrap_or(1), self.int("limit").or(self.int("size")).unwrap_or(10))
    }
}

fn too_large_or_broken(e: &axum::Error) -> Answer {
    let too_large = std::error::Error::source(e).is_some_and(|s| s.to_string().contains("length limit"));
    if too_large {
        let text = Text::new("请求体超过 1 MiB 上限", "the body is larger than the limit of 1 MiB");
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, text);
    }
    refusal(StatusCode::BAD_REQUEST, Text::new("请求体未完整到达", "the body did not arrive whole"))
}

/// JSON by its header or its first character (curl sends JSON as a form unless told otherwise),
/// else a form.
async fn read_body(headers: &HeaderMap, whole: Bytes, given: &mut Map<String, Value>) -> Result<(), Answer> {
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

/// The value in its parameter's type; null for what counts as absent.
fn typed(param: &Param, value: Value) -> Result<Value, FieldError> {
    match (param.kind, value) {
        (_, Value::Null) => Ok(Value::Null),
        (Kind::Text, Value::String(s)) => Ok(Value::String(s)),
        (Kind::Text, other) => Err(bad(param, "须为字符串", "must be a string", other)),
        (Kind::OneOf(_), Value::String(s)) if s.trim().is_empty() => Ok(Value::Null),
        (Kind::OneOf(words), value) => {
            let given = value.as_str().unwrap_or_default().trim();
            match words.iter().find(|word| word.eq_ignore_ascii_case(given)) {
                Some(word) => Ok((*word).into()),
                None => {
                    let (zh, en) = (words.join("、"), words.join(", "));
                    Err(bad(param, &format!("只能是 {zh}"), &format!("must be one of {en}"), value))
                }
            }
        }
        (Kind::Int { min, max }, value) => match integer(&value) {
            Some(None) => Ok(Value::Null),
            Some(Some(n)) if (min..=max).contains(&n) => Ok(n.into()),
            Some(Some(_)) => Err(bad(
                param,
                &format!("须在 {min} 到 {max} 之间"),
                &format!("must be from {min} to {max}"),
                value,
            )),
            None => Err(bad(param, "须为整数", "must be a whole number", value)),
        },
        (Kind::Bool, value) => match &value {
            Value::Bool(b) => Ok(Value::Bool(*b)),
            Value::Number(n) if n.as_i64() == Some(0) => Ok(Value::Bool(false)),
            Value::Number(n) if n.as_i64() == Some(1) => Ok(Value::Bool(true)),
            Value::String(s) => match s.trim().to_ascii_lowercase().as_str() {
                "" => Ok(Value::Null),
                "true" | "1" | "yes" | "on" => Ok(Value::Bool(true)),
                "false" | "0" | "no" | "off" => Ok(Value::Bool(false)),
                _ => Err(bad(param, "须为 true 或 false", "must be true or false", value)),
            },
            _ => Err(bad(param, "须为 true 或 false", "must be true or false", value)),
        },
        (Kind::Date, Value::String(s)) if s.trim().is_empty() => Ok(Value::Null),
        (Kind::Date, Value::String(s)) if is_date(s.trim()) => Ok(Value::String(s.trim().to_owned())),
        (Kind::Date, other) => Err(bad(
            param,
            "须为日期 YYYY-MM-DD，例如 2026-01-31",
            "must be a date YYYY-MM-DD such as 2026-01-31",
            other,
        )),
    }
}

fn is_date(s: &str) -> bool {
    use chrono::{Datelike, NaiveDate};
    NaiveDate::parse_from_str(s, "%Y-%m-%d").is_ok_and(|date| (0..=9_999).contains(&date.year()))
}

/// `Some(None)`: an empty text, which counts as absent.
#[expect(clippy::option_option, reason = "absent and wrong are different answers")]
fn integer(value: &Value) -> Option<Option<i64>> {
    match value {
        Value::Number(n) => n.as_i64().map(Some),
        Value::String(s) if s.trim().is_empty() => Some(None),
        Value::String(s) => s.trim().parse().ok().map(Some),
        _ => None,
    }
}

fn bad(param: &Param, zh: &str, en: &str, value: Value) -> FieldError {
    // A whole body in a wrong field is not sent back.
    let value = match value {
        Value::Array(_) | Value::Object(_) => Value::Null,
        Value::String(s) => s.chars().take(200).collect::<String>().into(),
        other => other,
    };
    FieldError::new(param.name, Text::new(zh, en), value)
}
