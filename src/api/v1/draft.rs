//! A job as the modern API's clients write it, to and from the domain's draft: the same rules, other
//! names.

use crate::api::answer::Answer;
use crate::api::extract::Fields;
use crate::domain::job::{JobDraft, Overlap};
use crate::domain::{FieldError, Text};
use crate::engine::Error;
use serde_json::{Map, Value};

/// The domain's name of a field and ours.
const NAMES: [(&str, &str); 8] = [
    ("desc", "description"),
    ("trigger_type", "trigger.type"),
    ("cron_expr", "trigger.cron"),
    ("timezone", "trigger.timezone"),
    ("interval_seconds", "trigger.seconds"),
    ("state", "enabled"),
    ("allow_mode", "overlap"),
    ("misfire_window", "misfire_window_seconds"),
];

pub(super) fn draft(fields: &Fields) -> JobDraft {
    let overlap = fields.text("overlap");
    let overlap = Overlap::ALL.into_iter().find(|known| overlap.as_deref() == Some(known.as_str()));
    let mut draft = JobDraft {
        name: fields.text("name"),
        desc: fields.text("description"),
        mode: fields.text("mode"),
        command: fields.text("command"),
        state: fields.flag("enabled").map(|enabled| if enabled { 0 } else { 2 }),
        allow_mode: overlap.map(Overlap::code),
        max_run_count: fields.int("max_run_count"),
        misfire_policy: fields.text("misfire_policy"),
        misfire_window: fields.int("misfire_window_seconds"),
        recovery: fields.text("recovery"),
        unread: fields.unread.clone(),
        ..JobDraft::default()
    };
    match fields.value("trigger") {
        None => {}
        Some(Value::Object(trigger)) => read_trigger(trigger, &mut draft),
        Some(other) => draft.unread.push(wrong("trigger", r#"{"type": "cron", "cron": "0 2 * * *"}"#, other)),
    }
    draft
}

fn read_trigger(trigger: &Map<String, Value>, draft: &mut JobDraft) {
    for (name, value) in trigger {
        match (name.as_str(), value) {
            ("type", Value::String(kind)) => draft.trigger_type = Some(kind.clone()),
            ("cron", Value::String(expr)) => draft.cron_expr = Some(expr.clone()),
            ("timezone", Value::String(zone)) => draft.timezone = Some(zone.clone()),
            ("seconds", Value::Number(n)) if n.is_i64() => draft.interval_seconds = n.as_i64(),
            (_, Value::Null) => {}
            ("type", other) => draft.unread.push(wrong("trigger_type", r#""cron""#, other)),
            ("cron", other) => draft.unread.push(wrong("cron_expr", r#""0 2 * * *""#, other)),
            ("timezone", other) => draft.unread.push(wrong("timezone", r#""Asia/Shanghai""#, other)),
            ("seconds", other) => draft.unread.push(wrong("interval_seconds", "60", other)),
            (unknown, other) => {
                let text = Text::new("没有这个字段，请检查拼写", "no such field, check its spelling");
                let field = format!("trigger.{}", unknown.chars().take(100).collect::<String>());
                draft.unread.push(FieldError::new(field, text, other.clone()));
            }
        }
    }
    // A trigger is taken whole: one without a zone is the server's.
    if draft.trigger_type.as_deref() != Some("interval") {
        draft.timezone.get_or_insert_default();
    }
}

fn wrong(field: &'static str, example: &str, value: &Value) -> FieldError {
    let text =
        Text::new(format!("类型不对，例如 {example}"), format!("has the wrong type; an example: {example}"));
    FieldError::new(field, text, value.clone())
}

/// Why the engine did not do it, with the names of the modern API.
pub(super) fn refused(error: Error) -> Answer {
    refused_errors(error).map_or_else(Answer::from, Answer::Invalid)
}

/// The bad fields; the error itself when it is about none.
pub(super) fn refused_errors(error: Error) -> Result<Vec<FieldError>, Error> {
    match error {
        Error::Invalid(errors) => Ok(renamed(errors)),
        other => Err(other),
    }
}

pub(super) fn renamed(mut errors: Vec<FieldError>) -> Vec<FieldError> {
    for error in &mut errors {
        if let Some((_, ours)) = NAMES.iter().find(|(name, _)| *name == error.field) {
            error.field = (*ours).into();
        }
    }
    // A trigger that cannot be read has no parts that are wrong.
    if errors.iter().any(|error| error.field == "trigger") {
        errors.retain(|error| !error.field.starts_with("trigger."));
    }
    errors
}
