//! The audit log, to look at and to take away.

use super::runs::bad_cursor;
use super::views::instant;
use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::extract::{Call, Kind, Param};
use crate::api::params::opt;
use crate::domain::{FieldError, Text, UtcMs};
use crate::engine::Error;
use crate::store::{AuditList, AuditRow};
use axum::body::Body;
use axum::http::StatusCode;
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// Rows read at a time for a download.
const PAGE: i64 = 500;

const ACTOR: Param = opt("actor", Kind::Text, "Only what this account did.");
const ACTION: Param = opt("action", Kind::Text, "Only this: job.edit, or job. for all of jobs.");
const Q: Param = opt("q", Kind::Text, "A part of the target's name, or its kind and id: job:12.");
const FROM: Param = opt("from", Kind::Text, "At or after this instant (RFC 3339).");
const TO: Param = opt("to", Kind::Text, "Before this instant (RFC 3339).");
pub(super) const LIST: &[Param] = &[
    opt("limit", Kind::Int { min: 1, max: 200 }, "Entries. Default 20."),
    opt("cursor", Kind::Text, "From the page before."),
    ACTOR,
    ACTION,
    Q,
    FROM,
    TO,
];
pub(super) const EXPORT: &[Param] = &[
    opt("format", Kind::OneOf(&["jsonl", "csv"]), "Default jsonl: a JSON object a line."),
    ACTOR,
    ACTION,
    Q,
    FROM,
    TO,
];

/// Something that was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditEntry {
    id: i64,
    at: String,
    /// The account; owner where nobody has to log in; nobody before logging in; system.
    actor: String,
    role: String,
    /// session, token with its name, password, claim code, open (nobody has to log in) or signal.
    via: String,
    /// The client's address; empty: none.
    source: String,
    /// What was done: job.edit, session.login_failed, ...
    action: String,
    /// Null: nothing in particular.
    target: Option<AuditTarget>,
    /// Of a change only the fields that differ; null: there was nothing.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
}

/// What it was done with, as it was called then.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditTarget {
    /// job, run, account, session, token, secret or list.
    kind: String,
    id: String,
    name: String,
}

/// Some of the log, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditEntries {
    items: Vec<AuditEntry>,
    /// The cursor of what follows; null at the end.
    next: Option<String>,
}

pub(super) async fn list(api: Arc<Api>, call: Call) -> Answer {
    let mut of = match filter(&call) {
        Ok(of) => of,
        Err(errors) => return Answer::Invalid(errors),
    };
    let cursor = call.text("cursor").filter(|cursor| !cursor.is_empty());
    let Ok(before) = cursor.map(|cursor| cursor.parse::<i64>()).transpose() else { return bad_cursor() };
    of.before = before;
    of.limit = call.int("limit").unwrap_or(20);
    match api.engine.audit(&of).await {
        Ok(rows) => {
            let more = rows.len() as i64 == of.limit;
            let next = rows.last().filter(|_| more).map(|row| row.id.to_string());
            let items = rows.into_iter().map(AuditEntry::new).collect();
            Answer::bare(StatusCode::OK, AuditEntries { items, next })
        }
        Err(e) => e.into(),
    }
}

/// All that the filters let through, newest first, page by page.
pub(super) async fn export(api: Arc<Api>, call: Call) -> Answer {
    let mut of = match filter(&call) {
        Ok(of) => of,
        Err(errors) => return Answer::Invalid(errors),
    };
    of.limit = PAGE;
    let csv = call.text("format").as_deref() == Some("csv");
    let (media, extension) = if csv {
        ("text/csv; charset=utf-8", "csv")
    } else {
        ("application/x-ndjson; charset=utf-8", "jsonl")
    };
    let name = format!("timerjobs-audit-{}.{extension}", api.files.today());
    let head = if csv { HEAD } else { "" };
    let pages = stream::try_unfold((Some(of), head.to_owned()), move |(of, mut text)| {
        let api = api.clone();
        async move {
            let Some(mut of) = of else { return Ok::<_, Error>(None) };
            let rows = api.engine.audit(&of).await?;
            of.before = rows.last().map(|row| row.id);
            let more = rows.len() as i64 == PAGE;
            for entry in rows.into_iter().map(AuditEntry::new) {
                text += &if csv { entry.csv() } else { serde_json::to_string(&entry).unwrap_or_default() };
                text.push('\n');
            }
            Ok(Some((text, (more.then_some(of), String::new()))))
        }
    });
    Answer::file(media, &name, Body::from_stream(pages))
}

const HEAD: &str = "id,at,actor,role,via,source,action,target_kind,target_id,target_name,before,after\n";

fn filter(call: &Call) -> Result<AuditList, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut instant = |name: &'static str| {
        let given = call.text(name).filter(|text| !text.is_empty())?;
        let parsed = chrono::DateTime::parse_from_rfc3339(&given).ok();
        if parsed.is_none() {
            let text = Text::new(
                "须为 RFC 3339 时刻，例如 2026-01-05T08:00:00Z",
                "an instant such as 2026-01-05T08:00:00Z is wanted",
            );
            errors.push(FieldError::new(name, text, given));
        }
        parsed.map(|at| UtcMs(at.timestamp_millis()))
    };
    let (from, to) = (instant("from"), instant("to"));
    if !errors.is_empty() {
        return Err(errors);
    }
    let text = |name| call.text(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    Ok(AuditList {
        actor: text("actor"),
        act: text("action"),
        target: text("q"),
        from,
        to,
        ..AuditList::default()
    })
}

impl AuditEntry {
    fn new(row: AuditRow) -> Self {
        let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        let target = AuditTarget { kind: row.target_kind, id: row.target_id, name: row.target_name };
        Self {
            id: row.id,
            at: instant(row.at_ms),
            actor: row.actor,
            role: row.role,
            via: row.via,
            source: row.source,
            action: row.act,
            target: Some(target).filter(|target| !target.kind.is_empty()),
            before: json(row.before_json),
            after: json(row.after_json),
        }
    }

    fn csv(&self) -> String {
        let target = |part: fn(&AuditTarget) -> &str| self.target.as_ref().map_or("", part).to_owned();
        let json = |value: &Option<Value>| value.as_ref().map_or_else(String::new, Value::to_string);
        let cells = [
            self.id.to_string(),
            self.at.clone(),
            self.actor.clone(),
            self.role.clone(),
            self.via.clone(),
            self.source.clone(),
            self.action.clone(),
            target(|target| &target.kind),
            target(|target| &target.id),
            target(|target| &target.name),
            json(&self.before),
            json(&self.after),
        ];
        cells.map(|cell| cell_of(&cell)).join(",")
    }
}

/// A cell that no spreadsheet takes for a formula.
fn cell_of(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = format!("{}{}", if formula { "'" } else { "" }, text.replace('"', "\"\""));
    if text.contains([',', '"', '\n', '\r']) { format!("\"{text}\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_are_no_formulas() {
        for (text, cell) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("@cmd", "'@cmd"),
            ("-1,2", "\"'-1,2\""),
        ] {
            assert_eq!(cell_of(text), cell);
        }
    }
}
