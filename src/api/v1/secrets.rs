//! Secrets of jobs: which there are, and new values for them. What one is nobody is told.

use super::views::instant;
use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::auth::login::failed;
use crate::api::extract::{Call, Kind, Param};
use crate::api::params::{opt, req};
use crate::domain::secret::{VALUE_MAX, VALUE_MIN, is_name};
use crate::domain::{FieldError, Text};
use crate::engine::as_whom;
use crate::vault::{Described, Error};
use axum::http::StatusCode;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The longest description, in characters.
const DESCRIPTION_MAX: usize = 500;

const NAME: Param = req("name", Kind::Text, "A letter or _, then letters, digits and _; at most 64.");
pub(super) const PUT: &[Param] = &[
    NAME,
    opt("value", Kind::Text, "4 to 32768 bytes; without it only the description changes."),
    opt("description", Kind::Text, "For people, at most 500 characters."),
];
pub(super) const DELETE: &[Param] =
    &[NAME, opt("force", Kind::Bool, "Delete it although jobs use it. Default false.")];

/// A secret; its value is shown nowhere.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Secret)]
pub(super) struct SecretView {
    name: String,
    description: String,
    created: String,
    updated: String,
    /// Jobs in whose command text it stands.
    jobs: usize,
    /// Why it cannot be used; null: it can.
    problem: Option<String>,
}

/// All secrets, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Secrets)]
pub(super) struct SecretList {
    items: Vec<SecretView>,
}

pub(super) async fn list(api: Arc<Api>, call: Call) -> Answer {
    match api.engine.secrets().list().await {
        Ok(all) => {
            let items = all.into_iter().map(|secret| SecretView::new(secret, &call)).collect();
            Answer::bare(StatusCode::OK, SecretList { items })
        }
        Err(error) => refused(error),
    }
}

pub(super) async fn put(api: Arc<Api>, call: Call) -> Answer {
    let name = call.text("name").unwrap_or_default();
    let (value, description) = (call.text("value"), call.text("description"));
    let errors = faults(&name, value.as_deref(), description.as_deref());
    if !errors.is_empty() {
        return Answer::Invalid(errors);
    }
    let vault = api.engine.secrets();
    let is_new = match vault.put(&name, value.as_deref(), description.as_deref(), as_whom()).await {
        Ok(is_new) => is_new,
        Err(Error::NotFound) => {
            let text = Text::new("新密钥必须有值", "a new secret needs a value");
            return Answer::Invalid(vec![FieldError::new("value", text, ())]);
        }
        Err(error) => return refused(error),
    };
    tracing::warn!(
        by = call.identity.name(),
        name,
        "a secret was {}",
        if is_new { "added" } else { "changed" }
    );
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    match vault.list().await {
        Ok(all) => match all.into_iter().find(|secret| secret.name == name) {
            Some(secret) => Answer::bare(status, SecretView::new(secret, &call)),
            None => no_secret(),
        },
        Err(error) => refused(error),
    }
}

pub(super) async fn delete(api: Arc<Api>, call: Call) -> Answer {
    let name = call.text("name").unwrap_or_default();
    let vault = api.engine.secrets();
    if !call.flag("force") {
        match vault.list().await {
            Ok(all) => {
                let jobs = all.iter().find(|secret| secret.name == name).map_or(0, |secret| secret.jobs);
                if jobs > 0 {
                    let text = Text::new(
                        format!("有 {jobs} 个任务在使用该密钥，删除后它们将执行失败；确认请加 force=true"),
                        format!(
                            "{jobs} job(s) use it and would fail without it; force=true deletes it all the same"
                        ),
                    );
                    return Answer::Dangerous(FieldError::new("force", text, false));
                }
            }
            Err(error) => return refused(error),
        }
    }
    match vault.delete(&name, as_whom()).await {
        Ok(true) => {
            tracing::warn!(by = call.identity.name(), name, "a secret was deleted");
            Answer::bare(StatusCode::NO_CONTENT, ())
        }
        Ok(false) => no_secret(),
        Err(error) => refused(error),
    }
}

/// What is wrong; the value is not given back.
fn faults(name: &str, value: Option<&str>, description: Option<&str>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !is_name(name) {
        let text = Text::new(
            "须以字母或下划线开头，只含字母、数字和下划线，最多 64 个字符",
            "a letter or _ first, then letters, digits and _, at most 64",
        );
        errors.push(FieldError::new("name", text, name));
    }
    if let Some(value) = value {
        if !(VALUE_MIN..=VALUE_MAX).contains(&value.len()) {
            let text = Text::new(
                format!("须为 {VALUE_MIN} 到 {VALUE_MAX} 字节；更短的值无法在输出中屏蔽"),
                format!("{VALUE_MIN} to {VALUE_MAX} bytes; a shorter one could not be masked in output"),
            );
            errors.push(FieldError::new("value", text, ()));
        } else if value.contains('\0') {
            let text = Text::new("不能包含 NUL 字符", "a NUL character is not allowed");
            errors.push(FieldError::new("value", text, ()));
        } else if !value.lines().any(|line| line.trim().len() >= VALUE_MIN) {
            let text = Text::new(
                format!("至少有一行须有 {VALUE_MIN} 个字节，否则无法在输出中屏蔽"),
                format!(
                    "one line at least must have {VALUE_MIN} bytes, else it could not be masked in output"
                ),
            );
            errors.push(FieldError::new("value", text, ()));
        }
    }
    if description.is_some_and(|text| text.chars().count() > DESCRIPTION_MAX || text.contains('\0')) {
        let text = Text::new(
            format!("最多 {DESCRIPTION_MAX} 个字符，不能包含 NUL"),
            format!("at most {DESCRIPTION_MAX} characters, no NUL"),
        );
        errors.push(FieldError::new("description", text, ()));
    }
    errors
}

fn refused(error: Error) -> Answer {
    match error {
        Error::Store(e) => failed(e),
        Error::Key(text) => Answer::code(409, text, ()),
        Error::NotFound => no_secret(),
        Error::TooMany => Answer::code(
            409,
            Text::new("密钥数量已达上限 1000", "there are 1000 secrets already, the most there can be"),
            (),
        ),
    }
}

fn no_secret() -> Answer {
    Answer::code(404, Text::new("密钥不存在", "there is no such secret"), ())
}

impl SecretView {
    fn new(secret: Described, call: &Call) -> Self {
        Self {
            name: secret.name,
            description: secret.description,
            created: instant(secret.created.0),
            updated: instant(secret.updated.0),
            jobs: secret.jobs,
            problem: secret.problem.map(|text| call.lang.pick(&text).to_owned()),
        }
    }
}
