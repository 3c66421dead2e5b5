//! The audit log. Rows are added, with the change that they tell of where that is in the database, and
//! deleted when they are too old; no statement alters one.

use super::db::Conn;
use super::sql::{Dialect, Kind, Rows, Sql};
use super::{Result, Store};
use crate::domain::UtcMs;
use crate::domain::audit::{Entry, Fields};
use serde_json::Value;

/// The longest values of one row, in bytes; a longer one is cut and marked.
const VALUE_MAX: usize = 64 << 10;

/// A row of the log.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct AuditRow {
    pub id: i64,
    pub at_ms: i64,
    pub actor: String,
    pub role: String,
    pub via: String,
    pub source: String,
    pub act: String,
    pub target_kind: String,
    pub target_id: String,
    pub target_name: String,
    pub before_json: Option<String>,
    pub after_json: Option<String>,
}

/// Which rows a list shows, newest first.
#[derive(Clone, Debug, Default)]
pub struct AuditList {
    pub actor: Option<String>,
    /// A whole word, or the part up to its dot and the dot.
    pub act: Option<String>,
    /// A part of the target's name, or `kind:id`.
    pub target: Option<String>,
    pub from: Option<UtcMs>,
    /// Before it.
    pub to: Option<UtcMs>,
    /// The last row of the page before.
    pub before: Option<i64>,
    pub limit: i64,
}

impl Conn {
    /// Adds to the log, in this transaction.
    pub(super) async fn note(&mut self, entries: &[&Entry]) -> Result<()> {
        self.execute_all(&notes(self.dialect(), entries)).await
    }
}

/// The statements that add to the log.
pub(super) fn notes(dialect: Dialect, entries: &[&Entry]) -> Vec<Sql> {
    const COLUMNS: &[(&str, Kind)] = &[
        ("at_ms", Kind::Int),
        ("actor", Kind::Text),
        ("role", Kind::Text),
        ("via", Kind::Text),
        ("source", Kind::Text),
        ("act", Kind::Text),
        ("target_kind", Kind::Text),
        ("target_id", Kind::Text),
        ("target_name", Kind::Text),
        ("before_json", Kind::Text),
        ("after_json", Kind::Text),
    ];
    if entries.is_empty() {
        return Vec::new();
    }
    let row = |entry: &&Entry| {
        let (by, target) = (&entry.by, &entry.target);
        vec![
            entry.at.0.into(),
            short(&by.actor, 100).into(),
            by.role.into(),
            short(&by.via, 200).into(),
            by.source.as_str().into(),
            entry.act.as_str().into(),
            target.kind.into(),
            short(&target.id, 40).into(),
            short(&target.name, 400).into(),
            entry.before.as_ref().map(text).into(),
            entry.after.as_ref().map(text).into(),
        ]
    };
    let rows = Rows::new(COLUMNS, entries.iter().map(row).collect());
    rows.insert(dialect, "tj_audit", "id")
}

impl Store {
    /// Adds what is told of a change that is not in the database.
    pub async fn note(&self, entry: &Entry) -> Result<()> {
        let mut tx = self.write.begin().await?;
        tx.note(&[entry]).await?;
        tx.commit().await
    }

    pub async fn audit_list(&self, of: &AuditList) -> Result<Vec<AuditRow>> {
        let mut sql = Sql::new(
            "SELECT id, at_ms, actor, role, via, source, act, target_kind, target_id, target_name, before_json, \
             after_json FROM tj_audit WHERE 1 = 1",
        );
        if let Some(before) = of.before {
            sql.push_bind(" AND id < ?", before);
        }
        if let Some(actor) = &of.actor {
            sql.push_bind(" AND actor = ?", actor.as_str());
        }
        match of.act.as_deref() {
            Some(group) if group.ends_with('.') => {
                // No act has a sign that LIKE knows before its dot.
                let group: String = group.chars().filter(|c| c.is_ascii_lowercase()).collect();
                sql.push_bind(" AND act LIKE ?", format!("{group}.%"));
            }
            Some(act) => {
                sql.push_bind(" AND act = ?", act);
            }
            None => {}
        }
        if let Some(target) = &of.target {
            match target.split_once(':').filter(|(kind, _)| kind.chars().all(|c| c.is_ascii_lowercase())) {
                Some((kind, id)) => {
                    sql.push_bind(" AND target_kind = ?", kind);
                    sql.push_bind(" AND target_id = ?", id);
                }
                None => {
                    let position = self.read.dialect().position();
                    sql.push_bind(&format!(" AND {position}(target_name, ?) > 0"), target.as_str());
                }
            }
        }
        if let Some(from) = of.from {
            sql.push_bind(" AND at_ms >= ?", from.0);
        }
        if let Some(to) = of.to {
            sql.push_bind(" AND at_ms < ?", to.0);
        }
        sql.push_bind(" ORDER BY id DESC LIMIT ?", of.limit);
        self.read.fetch(&sql).await
    }

    /// Deletes at most `most` rows that are from before `cutoff` or beyond the newest `keep`; answers how
    /// many.
    pub async fn prune_audit(&self, cutoff: UtcMs, keep: i64, most: i64) -> Result<usize> {
        let old = Sql::new("SELECT id FROM tj_audit WHERE at_ms < ? ORDER BY at_ms LIMIT ?");
        let mut ids: Vec<(i64,)> = self.read.fetch(&old.bind(cutoff.0).bind(most)).await?;
        if ids.is_empty() {
            let newest = self.read.number(&Sql::new("SELECT coalesce(max(id), 0) FROM tj_audit")).await?;
            let beyond = Sql::new("SELECT id FROM tj_audit WHERE id <= ? ORDER BY id LIMIT ?");
            ids = self.read.fetch(&beyond.bind(newest - keep).bind(most)).await?;
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let ids = super::sql::list(ids.into_iter().map(|(id,)| id));
        let delete = Sql { keep: false, ..Sql::new(format!("DELETE FROM tj_audit WHERE id IN {ids}")) };
        Ok(usize::try_from(self.write.execute(&delete).await?).unwrap_or(usize::MAX))
    }
}

fn short(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// The fields as JSON, the long ones cut until they fit.
fn text(fields: &Fields) -> String {
    let whole = Value::from(fields.clone()).to_string();
    if whole.len() <= VALUE_MAX {
        return whole;
    }
    let mut fields = fields.clone();
    for value in fields.values_mut() {
        if let Value::String(text) = value
            && text.len() > VALUE_MAX / 2
        {
            text.truncate(text.floor_char_boundary(VALUE_MAX / 2));
            text.push_str(" ... (cut)");
        }
    }
    Value::from(fields).to_string()
}
