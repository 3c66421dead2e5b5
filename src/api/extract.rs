//! Reads a request: query string and body (JSON or form; the body wins) become one map, each known
//! parameter is typed, and every bad one is named in one answer.

use super::answer::Answer;
use super::auth::Identity;
use super::body::{arrived, read_body, refuse_forms};
use super::serve::{Connection, Limits};
use super::{Route, v1};
use crate::domain::{FieldError, Text};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::{HeaderMap, HeaderName, header};
use chrono::DateTime;
use serde_json::{Map, Value};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The largest body that is read.
const BODY_MAX: usize = 1 << 20;
/// The largest file that is taken.
const FILE_MAX: usize = 64 << 20;

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
    /// An instant, RFC 3339.
    Instant,
    /// Several of these words, with commas between them.
    Words(&'static [&'static str]),
    /// Numbers of jobs: a list, or a text with commas between them.
    Ids,
    /// Checked by its handler; the schema's name.
    Json(&'static str),
    /// The body as it is, in one of these media types, instead of fields.
    Body(&'static [&'static str]),
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
pub(super) struct Client {
    pub addr: IpAddr,
    /// Whether their connection is encrypted.
    pub tls: bool,
}

/// A request, read and typed.
#[derive(Debug)]
pub(super) struct Call {
    /// The port we listen on.
    pub port: u16,
    pub lang: Lang,
    /// Who asks, behind trusted proxies.
    pub client: IpAddr,
    /// Whether their connection is encrypted, as far as a trusted proxy tells.
    pub tls: bool,
    /// Who they are.
    pub identity: Identity,
    /// The version that the client means to change.
    pub if_match: Option<String>,
    /// Media type and content, for a route that takes the body as it is.
    pub body: (String, Bytes),
    pub fields: Fields,
}

/// Values by name, each in its parameter's type.
#[derive(Debug, Default)]
pub(super) struct Fields {
    values: Map<String, Value>,
    /// What is wrong with the others.
    pub errors: Vec<FieldError>,
    /// Fields of a job that have the wrong type; `JobDraft::check` names them with the rest.
    pub unread: Vec<FieldError>,
}

impl Call {
    pub async fn read(
        route: &Route,
        request: Request<Body>,
        port: u16,
        identity: Identity,
        limits: Limits,
    ) -> Result<Self, Answer> {
        let (mut parts, body) = request.into_parts();
        let mut given = Map::new();
        for (name, value) in url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            given.insert(name.into_owned(), Value::String(value.into_owned()));
        }
        let file = route.params.iter().find_map(|param| match param.kind {
            Kind::Body(media) => Some(media),
            _ => None,
        });
        let is_file = file.is_some();
        refuse_forms(&parts.method, &parts.headers, &body, file.unwrap_or_default())?;
        let (most, time) = if is_file { (FILE_MAX, limits.file()) } else { (BODY_MAX, limits.body()) };
        let content = arrived(body, most, time, limits.timeout).await?;
        if let Some(connection) = parts.extensions.get::<Arc<Connection>>() {
            connection.received();
        }
        let mut body = (String::new(), Bytes::new());
        if is_file {
            body = (header_text(&parts.headers, header::CONTENT_TYPE).unwrap_or_default(), content);
        } else {
            read_body(&parts.headers, content, &mut given).await?;
        }
        // The path has the last word. One that is no text names nothing that we have.
        if let Ok(in_path) = RawPathParams::from_request_parts(&mut parts, &()).await {
            given.extend(in_path.iter().map(|(name, value)| (name.to_owned(), value.into())));
        }
        let mut fields = Fields::read(route.params, &mut given);
        if route.is_modern() {
            let of_job = route.params.iter().any(|param| param.of_job);
            let shown = |name: &str| of_job && v1::SHOWN_ONLY.contains(&name);
            fields.errors.extend(given.keys().filter(|name| !shown(name)).map(|name| unknown(name)));
        }
        let nobody = Client { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), tls: false };
        let Client { addr: client, tls } = parts.extensions.get().copied().unwrap_or(nobody);
        let (lang, if_match) = (lang(&parts.headers), header_text(&parts.headers, header::IF_MATCH));
        if fields.errors.is_empty() {
            return Ok(Self { port, lang, client, tls, identity, if_match, body, fields });
        }
        fields.errors.append(&mut fields.unread);
        Err(Answer::Invalid(fields.errors))
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.fields.text(name)
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        self.fields.int(name)
    }

    pub fn flag(&self, name: &str) -> bool {
        self.fields.flag(name).unwrap_or(false)
    }

    /// Parameters that routes name as required are there.
    pub fn id(&self) -> i64 {
        self.int("id").unwrap_or_default()
    }

    pub fn page(&self) -> (i64, i64) {
        (self.int("page").unwrap_or(1), self.int("limit").or(self.int("size")).unwrap_or(10))
    }
}

impl Fields {
    /// Takes the parameters out of what was given.
    pub fn read(params: &[Param], given: &mut Map<String, Value>) -> Self {
        let mut fields = Self::default();
        for param in params.iter().filter(|param| !matches!(param.kind, Kind::Body(_))) {
            match typed(param, given.remove(param.name).unwrap_or(Value::Null)) {
                Ok(Value::Null) if param.required && !param.of_job => {
                    fields.errors.push(bad(param, "必填", "is required", Value::Null));
                }
                Ok(Value::Null) => {}
                Ok(value) => drop(fields.values.insert(param.name.into(), value)),
                Err(error) if param.of_job => fields.unread.push(error),
                Err(error) => fields.errors.push(error),
            }
        }
        fields
    }

    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.value(name).and_then(Value::as_str).map(str::to_owned)
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        self.value(name).and_then(Value::as_i64)
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        self.value(name).and_then(Value::as_bool)
    }

    /// The entries of a list.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.value(name).and_then(Value::as_array).into_iter().flatten()
    }
}

fn header_text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
}

/// A mistyped name would else change nothing and say nothing.
pub(super) fn unknown(name: &str) -> FieldError {
    let text = Text::new("没有这个字段，请检查拼写；字段见 /docs", "no such field; /docs lists them");
    FieldError::new(name.chars().take(100).collect::<String>(), text, Value::Null)
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
        (Kind::Json(_) | Kind::Body(_), value) => Ok(value),
        (Kind::Words(words), value) => several(param, words, value),
        (Kind::Ids, value) => ids(param, value),
        (Kind::Instant, Value::String(s)) if s.trim().is_empty() => Ok(Value::Null),
        (Kind::Instant, value) => match value.as_str().map(|s| DateTime::parse_from_rfc3339(s.trim())) {
            Some(Ok(at)) => Ok(at.timestamp_millis().into()),
            _ => Err(bad(
                param,
                "须为 RFC 3339 时间，例如 2026-01-31T08:00:00Z",
                "must be an RFC 3339 instant such as 2026-01-31T08:00:00Z",
                value,
            )),
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

/// Words with commas between them, as a list without an entry twice.
fn several(param: &Param, words: &[&'static str], value: Value) -> Result<Value, FieldError> {
    let mut found: Vec<&str> = Vec::new();
    for given in value.as_str().unwrap_or("?").split(',').map(str::trim).filter(|s| !s.is_empty()) {
        match words.iter().find(|word| word.eq_ignore_ascii_case(given)) {
            Some(word) if found.contains(word) => {}
            Some(word) => found.push(word),
            None => {
                let (zh, en) = (words.join("、"), words.join(", "));
                return Err(bad(param, &format!("只能是 {zh}"), &format!("must be some of {en}"), value));
            }
        }
    }
    Ok(if found.is_empty() { Value::Null } else { found.into() })
}

/// The most jobs that one request names.
const IDS_MAX: usize = 1_000;

fn ids(param: &Param, value: Value) -> Result<Value, FieldError> {
    let numbers: Option<Vec<i64>> = match &value {
        Value::Array(list) => list.iter().map(Value::as_i64).collect(),
        Value::String(text) => {
            let entries = text.split(',').map(str::trim).filter(|s| !s.is_empty());
            entries.map(|s| s.parse().ok()).collect()
        }
        _ => None,
    };
    match numbers {
        Some(numbers) if numbers.is_empty() => Ok(Value::Null),
        Some(numbers) if numbers.len() <= IDS_MAX => Ok(numbers.into()),
        Some(_) => Err(bad(param, "一次最多 1000 个任务", "at most 1000 jobs in one request", Value::Null)),
        None => Err(bad(
            param,
            "须为任务编号的列表，例如 [1, 2]",
            "must be a list of numbers of jobs such as [1, 2]",
            value,
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
