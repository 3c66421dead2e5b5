//! What the modern API says when it does not do what it was asked (RFC 9457).

use super::extract::Lang;
use crate::domain::{FieldError, Text};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was not done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Always about:blank: the status says what kind it is.
    r#type: &'static str,
    title: String,
    status: u16,
    /// Every bad field with what is wrong, in one text; null when no field is to blame.
    detail: Option<String>,
    errors: Vec<BadField>,
}

/// A field that cannot be taken as it is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BadField {
    /// The field's path in the body, such as trigger.cron; or the parameter's name.
    field: String,
    message: String,
}

impl Problem {
    pub fn new(status: StatusCode, title: &Text, errors: &[FieldError], lang: Lang) -> Self {
        let errors = BadField::all(errors, lang);
        let detail: Vec<_> = errors.iter().map(|e| format!("{}: {}", e.field, e.message)).collect();
        Self {
            r#type: "about:blank",
            title: lang.pick(title).to_owned(),
            status: status.as_u16(),
            detail: (!detail.is_empty()).then(|| detail.join("; ")),
            errors,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}

impl BadField {
    pub fn all(errors: &[FieldError], lang: Lang) -> Vec<Self> {
        let one =
            |e: &FieldError| Self { field: e.field.to_string(), message: lang.pick(&e.message).to_owned() };
        errors.iter().map(one).collect()
    }
}
