//! The system log: read back newest first, and line by line as it is written.

use super::runs::bad_cursor;
use super::streams::{collected, named, sse};
use super::system_params::LEVELS;
use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::extract::Call;
use crate::api::logs::{read, with_files};
use crate::telemetry::files::Filter;
use crate::telemetry::pages::Mark;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use utoipa::ToSchema;

/// A line of the system log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogLine {
    /// RFC 3339, in the server's zone; empty for a line that the server did not write.
    time: String,
    /// error, warn, info, debug or trace.
    level: String,
    message: String,
    /// The part of the server that says so.
    target: Option<String>,
    /// Where its code says so: file:line.
    place: Option<String>,
    /// What else is said, by name.
    #[schema(value_type = Object)]
    fields: Map<String, Value>,
}

/// Some lines of the system log, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogLines {
    /// A search through much may give fewer than were asked for, even none, while more follow.
    items: Vec<LogLine>,
    /// The cursor of what follows; null at the end.
    next: Option<String>,
}

pub(super) async fn list(api: Arc<Api>, call: Call) -> Answer {
    let cursor = call.text("cursor").filter(|cursor| !cursor.is_empty());
    let Ok(after) = cursor.map(|cursor| Mark::parse(&cursor).ok_or(())).transpose() else {
        return bad_cursor();
    };
    let least = call.text("level").and_then(|level| LEVELS.iter().position(|word| **word == level));
    let levels = least.map_or(&[][..], |least| &LEVELS[..=least]);
    let filter = Filter {
        day: call.text("day").and_then(|day| day.parse().ok()),
        levels: levels.iter().map(|level| level.to_ascii_uppercase()).collect(),
        text: call.text("q").map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
    };
    let most = usize::try_from(call.int("limit").unwrap_or(20)).unwrap_or(0);
    let found = with_files(&api, move |files| files.list(&filter, after, most)).await;
    read(found, |found| {
        // Its file was cleared, or is older than is kept.
        let Some(found) = found else { return bad_cursor() };
        let items = found.lines.iter().map(|line| LogLine::read(line)).collect();
        Answer::bare(StatusCode::OK, LogLines { items, next: found.next.map(Mark::text) })
    })
}

/// New lines; what is there already is the list's to tell.
pub(super) async fn live(api: Arc<Api>, call: Call) -> Answer {
    let lines = api.log.lines();
    sse(&api, &call.identity, collected(&api, lines, |line| named("line", &LogLine::read(&line))))
}

impl LogLine {
    fn read(line: &str) -> Self {
        let mut fields = match serde_json::from_str(line) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::from_iter([("message".to_owned(), Value::from(line))]),
        };
        let mut take = |name: &str| match fields.shift_remove(name) {
            Some(Value::String(text)) => Some(text),
            other => other.map(|value| value.to_string()),
        };
        let place = match (take("filename"), take("line_number")) {
            (Some(file), Some(line)) => Some(format!("{file}:{line}")),
            (file, _) => file,
        };
        Self {
            time: take("timestamp").unwrap_or_default(),
            level: take("level").unwrap_or_default().to_ascii_lowercase(),
            message: take("message").unwrap_or_default(),
            target: take("target"),
            place,
            fields,
        }
    }
}
