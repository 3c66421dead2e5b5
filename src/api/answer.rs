//! The envelope (contract, "Answers"): one shape for every outcome, in the language of the request.
//! Engine errors become answers here and nowhere else.

use super::extract::Lang;
use super::problem::Problem;
use crate::domain::{FieldError, Text};
use crate::engine;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

/// What a handler answers, before its language is known.
#[derive(Debug)]
pub(super) enum Answer {
    /// `{"code", "msg", "data"}` and, for lists, what stands beside `data`.
    Envelope { status: StatusCode, code: u16, msg: Text, data: Box<RawValue>, beside: Map<String, Value> },
    /// A 422 that names every bad field.
    Invalid(Vec<FieldError>),
    /// What was asked is dangerous: a 409 that names the field which says that it is meant.
    Dangerous(FieldError),
    /// A body without the envelope.
    Bare(StatusCode, Box<RawValue>),
    /// An answer that is whole already, such as a stream of events.
    Ready(Box<Response>),
    /// No JSON: its media type, the name to save it under, the content.
    File { media: &'static str, name: Option<String>, body: Body },
    /// Another answer with headers of its own.
    With(Box<Self>, HeaderMap),
}

/// The envelope as it is sent.
#[derive(Serialize)]
struct Sent<'a> {
    code: u16,
    msg: &'a str,
    data: &'a RawValue,
    #[serde(flatten)]
    beside: &'a Map<String, Value>,
}

/// Where a page lies in its list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paging {
    pub page: i64,
    pub size: i64,
    pub total: i64,
}

impl Answer {
    pub fn ok(zh: &str, en: &str, data: impl Serialize) -> Self {
        Self::code(200, Text::new(zh, en), data)
    }

    /// A business answer: the outcome is in `code`, the HTTP status is 200.
    pub fn code(code: u16, msg: Text, data: impl Serialize) -> Self {
        Self::Envelope { status: StatusCode::OK, code, msg, data: raw(data), beside: Map::new() }
    }

    pub fn bare(status: StatusCode, body: impl Serialize) -> Self {
        Self::Bare(status, raw(body))
    }

    pub fn page(items: impl Serialize, paging: Paging) -> Self {
        let Paging { page, size, total } = paging;
        let pages = total.div_euclid(size) + i64::from(total.rem_euclid(size) > 0);
        let beside = json!({"total": total, "page_total": pages, "pages_total": pages, "page": page, "page_size": size});
        let Value::Object(beside) = beside else { return Self::ok("", "", ()) };
        Self::Envelope {
            status: StatusCode::OK,
            code: 200,
            msg: Text::new("成功", "ok"),
            data: raw(items),
            beside,
        }
    }

    /// A download.
    pub fn file(media: &'static str, name: &str, body: Body) -> Self {
        Self::File { media, name: Some(name.to_owned()), body }
    }

    /// A text to look at.
    pub fn text(media: &'static str, text: String) -> Self {
        Self::File { media, name: None, body: Body::from(text) }
    }

    /// Adds a field beside `data`.
    pub fn with(mut self, name: &str, field: impl Serialize) -> Self {
        if let Self::Envelope { beside, .. } = &mut self {
            beside.insert(name.into(), serde_json::to_value(field).unwrap_or_default());
        }
        self
    }

    /// Adds a header; a value that is none is left out.
    pub fn header(self, name: HeaderName, value: &str) -> Self {
        let (inner, mut headers) = match self {
            Self::With(inner, headers) => (inner, headers),
            other => (Box::new(other), HeaderMap::new()),
        };
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
        Self::With(inner, headers)
    }

    /// As the API to which the path belongs answers.
    pub fn respond(self, path: &str, lang: Lang, is_head: bool) -> Response {
        if is_modern(path) { self.modern(lang, is_head) } else { self.localised(lang, is_head) }
    }

    /// As the modern API answers: what went wrong has a true HTTP status and is a problem (RFC 9457).
    fn modern(self, lang: Lang, is_head: bool) -> Response {
        match self.problem(lang) {
            Ok(problem) => problem.into_response(),
            Err(Self::With(inner, headers)) => (headers, inner.modern(lang, is_head)).into_response(),
            Err(other) => other.localised(lang, is_head),
        }
    }

    /// The problem that this tells of; itself when it tells of none.
    pub fn problem(self, lang: Lang) -> Result<Problem, Self> {
        match self {
            Self::Invalid(errors) => {
                let (title, status) = if errors.iter().all(|e| e.field == "body") {
                    (Text::new("请求体无法读取", "the body cannot be read"), StatusCode::BAD_REQUEST)
                } else {
                    (Text::new("参数错误", "invalid input"), StatusCode::UNPROCESSABLE_ENTITY)
                };
                Ok(Problem::new(status, &title, &errors, lang))
            }
            Self::Dangerous(error) => {
                Ok(Problem::new(StatusCode::CONFLICT, &error.message.clone(), &[error], lang))
            }
            Self::Envelope { status, code, msg, .. } if code != 200 => {
                let meant = match code {
                    // What the old API calls 500 is a database that is away.
                    500 => StatusCode::SERVICE_UNAVAILABLE,
                    code => StatusCode::from_u16(code).unwrap_or(status),
                };
                let status = if status == StatusCode::OK { meant } else { status };
                Ok(Problem::new(status, &msg, &[], lang))
            }
            other => Err(other),
        }
    }

    fn localised(self, lang: Lang, is_head: bool) -> Response {
        let (status, body) = match self {
            Self::Bare(StatusCode::NO_CONTENT, _) => return StatusCode::NO_CONTENT.into_response(),
            Self::Bare(status, body) => (status, Box::<str>::from(body).into()),
            Self::With(inner, headers) => return (headers, inner.localised(lang, is_head)).into_response(),
            Self::Ready(response) => return *response,
            Self::File { media, name, body } => return file(media, name, body, is_head),
            Self::Envelope { status, code, msg, data, beside } => {
                let body = Sent { code, msg: lang.pick(&msg), data: &data, beside: &beside };
                (status, serde_json::to_string(&body).unwrap_or_default())
            }
            Self::Dangerous(error) => return Self::code(400, error.message, ()).localised(lang, is_head),
            Self::Invalid(errors) => {
                let list: Vec<Value> = errors
                    .iter()
                    .map(|e| json!({"field": e.field, "message": lang.pick(&e.message), "value": e.value}))
                    .collect();
                let said: Vec<String> =
                    errors.iter().map(|e| format!("{}: {}", e.field, lang.pick(&e.message))).collect();
                let head = lang.pick(&Text::new("参数错误", "invalid input")).to_owned();
                let msg = format!("{head}: {}", said.join("; "));
                (StatusCode::OK, json!({"code": 422, "msg": msg, "data": {"errors": list}}).to_string())
            }
        };
        let text = if is_head { String::new() } else { body };
        (status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], text).into_response()
    }
}

/// Whether the path belongs to the API beside that of the older editions: true statuses, and problems
/// instead of the envelope.
pub(super) fn is_modern(path: &str) -> bool {
    path.starts_with("/api/")
}

/// Browsers save it, and do not guess that it is a page.
fn file(media: &'static str, name: Option<String>, body: Body, is_head: bool) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let attached = name.map(|name| HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")));
    if let Some(Ok(attached)) = attached {
        headers.insert(header::CONTENT_DISPOSITION, attached);
    }
    (headers, if is_head { Body::empty() } else { body }).into_response()
}

/// What never reached the business: a true HTTP status, in the same envelope.
pub(super) fn refusal(status: StatusCode, msg: Text) -> Answer {
    Answer::Envelope { status, code: status.as_u16(), msg, data: raw(()), beside: Map::new() }
}

/// What a path answers that does not answer otherwise.
pub(super) fn plain(status: StatusCode, path: &str, lang: Lang) -> Response {
    let msg = match status {
        StatusCode::NOT_FOUND => Text::new("路径不存在，接口列表见 /docs", "no such path; /docs lists them"),
        StatusCode::METHOD_NOT_ALLOWED => {
            Text::new("请求方法不支持，接口列表见 /docs", "this path does not take that method; see /docs")
        }
        _ => Text::new("服务器内部错误，详见系统日志", "internal error; the system log has the cause"),
    };
    refusal(status, msg).respond(path, lang, false)
}

impl From<engine::Error> for Answer {
    fn from(e: engine::Error) -> Self {
        use engine::Error;
        let text = |code, zh: &str, en: &str| Self::code(code, Text::new(zh, en), ());
        match e {
            Error::NoJob(id) => {
                Self::code(404, Text::new(format!("任务 {id} 不存在"), format!("there is no job {id}")), ())
            }
            Error::Changed => Self::code(
                412,
                Text::new(
                    "该任务已被他人修改，请重新读取后再改",
                    "the job was changed by somebody else; read it again before you change it",
                ),
                (),
            ),
            Error::NameTaken => text(409, "任务名称已存在，请换一个", "the name is taken, choose another"),
            Error::Invalid(errors) => Self::Invalid(errors),
            Error::Refused(msg) => Self::code(400, msg, ()),
            Error::ShuttingDown => {
                text(400, "服务正在关闭，请稍后重试", "the server is shutting down, try again later")
            }
            Error::Unavailable => text(
                500,
                "数据库暂时无法写入，操作未执行；详见 /health 与系统日志",
                "the database cannot be written, nothing was done; see /health and the system log",
            ),
            Error::Store(e) => {
                tracing::error!(error = %e, cause = ?std::error::Error::source(&e).map(ToString::to_string), "a query failed");
                text(
                    500,
                    "数据库查询失败，详见系统日志",
                    "the database query failed; the system log has the cause",
                )
            }
        }
    }
}

/// As JSON at once: a tree of values would be made only to be written.
fn raw(data: impl Serialize) -> Box<RawValue> {
    to_raw_value(&data).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
