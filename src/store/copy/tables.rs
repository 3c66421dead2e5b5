//! What a copy takes along: every table with all its columns. A test holds this list to the columns
//! that the migrations make in each database.

use super::MARKER;
use crate::store::sql::Arg;
use crate::store::{Error, Result};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Text,
    Bool,
}

use Kind::{Bool, Int, Text};

pub(super) struct Table {
    pub name: &'static str,
    /// The column that pages go by.
    pub key: &'static str,
    /// Whether the database makes up its ids, none of them twice.
    pub makes_ids: bool,
    pub columns: &'static [(&'static str, Kind)],
}

impl Table {
    /// As people are told it.
    pub fn short(&self) -> &'static str {
        self.name.trim_start_matches("tj_")
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    /// The table and which of its rows are a system's own.
    pub fn source(&self) -> String {
        let own = if self.name == "tj_settings" { format!("name <> '{MARKER}'") } else { "1 = 1".into() };
        format!("{} WHERE {own}", self.name)
    }
}

impl Kind {
    /// What was read from one database as it is written to another. A null needs its type.
    pub fn arg(self, cell: Cell) -> Result<Arg> {
        Ok(match (self, cell) {
            (Int, Cell::Null) => Arg::Int(None),
            (Int, Cell::Int(n)) => Arg::Int(Some(n)),
            (Text, Cell::Null) => Arg::Text(None),
            (Text, Cell::Text(text)) => Arg::Text(Some(text)),
            (Bool, Cell::Bool(yes)) => Arg::Bool(yes),
            // SQLite and MySQL hold numbers.
            (Bool, Cell::Int(n)) => Arg::Bool(n != 0),
            (kind, _) => return Err(Error::Data(format!("a value is no {kind:?}"))),
        })
    }
}

/// A value as its database gave it.
#[derive(Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Bool(bool),
    Text(String),
}

/// In the order in which they are copied.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "tj_system",
        key: "id",
        makes_ids: false,
        columns: &[
            ("id", Int),
            ("instance", Text),
            ("clock_epoch", Int),
            ("last_seen_ms", Int),
            ("log_bytes", Int),
            ("term", Int),
        ],
    },
    Table { name: "tj_settings", key: "name", makes_ids: false, columns: &[("name", Text), ("value", Text)] },
    Table {
        name: "tj_admins",
        key: "id",
        makes_ids: true,
        columns: &[
            ("id", Int),
            ("username", Text),
            ("password_hash", Text),
            ("email", Text),
            ("role", Text),
            ("enabled", Bool),
            ("last_login_ms", Int),
            ("created_ms", Int),
            ("updated_ms", Int),
        ],
    },
    Table {
        name: "tj_tokens",
        key: "id",
        makes_ids: true,
        columns: &[
            ("id", Int),
            ("admin_id", Int),
            ("kind", Text),
            ("name", Text),
            ("role", Text),
            ("hash", Text),
            ("created_ms", Int),
            ("expires_ms", Int),
            ("used_ms", Int),
        ],
    },
    Table {
        name: "tj_secrets",
        key: "id",
        makes_ids: true,
        columns: &[
            ("id", Int),
            ("name", Text),
            ("description", Text),
            ("key_id", Text),
            ("sealed", Text),
            ("created_ms", Int),
            ("updated_ms", Int),
        ],
    },
    Table {
        name: "tj_jobs",
        key: "id",
        makes_ids: true,
        columns: &[
            ("id", Int),
            ("name", Text),
            ("descr", Text),
            ("trigger_type", Text),
            ("cron_expr", Text),
            ("interval_seconds", Int),
            ("timezone", Text),
            ("mode", Text),
            ("command", Text),
            ("enabled", Bool),
            ("allow_mode", Int),
            ("max_run_count", Int),
            ("misfire_policy", Text),
            ("misfire_window", Int),
            ("recovery", Text),
            ("remove_task", Bool),
            ("remove_log", Bool),
            ("stop_reason", Text),
            ("created_ms", Int),
            ("updated_ms", Int),
            ("version", Int),
        ],
    },
    Table {
        name: "tj_audit",
        key: "id",
        makes_ids: true,
        columns: &[
            ("id", Int),
            ("at_ms", Int),
            ("actor", Text),
            ("role", Text),
            ("via", Text),
            ("source", Text),
            ("act", Text),
            ("target_kind", Text),
            ("target_id", Text),
            ("target_name", Text),
            ("before_json", Text),
            ("after_json", Text),
        ],
    },
    Table {
        name: "tj_job_state",
        key: "job_id",
        makes_ids: false,
        columns: &[
            ("job_id", Int),
            ("decided_ms", Int),
            ("run_count", Int),
            ("immediate_ms", Int),
            ("last_run_ms", Int),
            ("crash_streak", Int),
        ],
    },
    Table {
        name: "tj_runs",
        key: "id",
        makes_ids: false,
        columns: &[
            ("id", Int),
            ("job_id", Int),
            ("fire_ms", Int),
            ("clock_epoch", Int),
            ("job_name", Text),
            ("mode", Text),
            ("command", Text),
            ("source", Text),
            ("outcome", Text),
            ("reason", Text),
            ("scheduled_ms", Int),
            ("start_ms", Int),
            ("end_ms", Int),
            ("attempt", Int),
            ("pid", Int),
            ("pid_start", Int),
            ("missed_to_ms", Int),
            ("missed_count", Int),
            ("bytes", Int),
            ("exit_code", Int),
            ("error", Text),
            ("result", Text),
            ("http_method", Text),
            ("http_status", Int),
            ("http_url", Text),
            ("func_name", Text),
            ("func_args", Text),
            ("func_result", Text),
            ("stdout", Text),
            ("stderr", Text),
            ("http_resp", Text),
        ],
    },
];
