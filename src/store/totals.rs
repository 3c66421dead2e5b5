//! How many run records there are, counted as they are written (migration 5): the total of a list
//! costs a few rows and never a pass over millions. Only ended runs are in the counts; the open ones
//! are few, change their outcome, and have an index of their own.

use super::db::{Conn, Db};
use super::runs::{OPEN_RUNS, UNUSUAL_RUNS};
use super::sql::{Dialect, Kind, Rows, Sql, list};
use super::{Result, RunsOf, Store};
use crate::domain::UtcMs;
use crate::domain::run::{Outcome, RunId};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Every zone's days begin at a multiple of it.
pub(super) const SLOT_MS: i64 = 900_000;
/// The slot of a count over all times.
const EVER: i64 = -1;
/// The job of a count over all jobs.
const ALL: i64 = 0;

/// What one transaction changes in the counts.
#[derive(Debug, Default)]
pub(super) struct Counted(BTreeMap<(i64, i64, Cow<'static, str>), i64>);

impl Counted {
    /// `n` more ended runs like this one.
    pub fn add(&mut self, job: i64, run: RunId, outcome: impl Into<Cow<'static, str>>, n: i64) {
        let outcome = outcome.into();
        for (job, slot) in [(job, EVER), (ALL, EVER), (ALL, run.created_at().0 / SLOT_MS)] {
            *self.0.entry((job, slot, outcome.clone())).or_default() += n;
        }
    }

    /// The statements that add it up, where nothing gets fewer.
    pub fn statements(self, dialect: Dialect) -> Vec<Sql> {
        if self.0.is_empty() { Vec::new() } else { added(dialect, self.0) }
    }

    /// Comes after the transaction's change of `tj_system`: whoever holds that row has the counts to
    /// itself, so no two transactions wait for each other crosswise.
    pub async fn save(self, tx: &mut Conn) -> Result<()> {
        let changed: Vec<_> = self.0.into_iter().filter(|(_, n)| *n != 0).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let fewer = |all: bool| {
            let fewer = changed.iter().filter(move |((job, _, _), n)| *n < 0 && (*job == ALL) == all);
            fewer.map(move |((job, slot, _), _)| if all { *slot } else { *job }).collect::<Vec<_>>()
        };
        let (jobs, slots) = (fewer(false), fewer(true));
        tx.execute_all(&added(tx.dialect(), changed)).await?;
        if slots.is_empty() {
            return Ok(());
        }
        // Jobs and hours come and go: a count of nothing is no row.
        for which in [
            format!("job_id IN {} AND slot = {EVER}", list(jobs)),
            format!("job_id = {ALL} AND slot IN {}", list(slots)),
        ] {
            let text = format!("DELETE FROM tj_run_counts WHERE {which} AND runs = 0");
            tx.execute(&Sql { keep: false, ..Sql::new(text) }).await?;
        }
        Ok(())
    }
}

fn added(
    dialect: Dialect,
    changed: impl IntoIterator<Item = ((i64, i64, Cow<'static, str>), i64)>,
) -> Vec<Sql> {
    const COLUMNS: &[(&str, Kind)] =
        &[("job_id", Kind::Int), ("slot", Kind::Int), ("outcome", Kind::Text), ("runs", Kind::Int)];
    let row = |((job, slot, outcome), n): ((i64, i64, Cow<'static, str>), i64)| {
        vec![job.into(), slot.into(), outcome.into_owned().into(), n.into()]
    };
    let rows = Rows::new(COLUMNS, changed.into_iter().map(row).collect());
    rows.add(dialect, "tj_run_counts", "job_id, slot, outcome", "runs")
}

/// Runs that ended in a certain way, among those created in a quarter of an hour.
#[derive(Clone, Debug)]
pub struct SlotCount {
    /// When the quarter began.
    pub at: UtcMs,
    pub outcome: String,
    pub runs: i64,
}

impl Store {
    /// The ended runs of all jobs by quarters of an hour, from the one that holds `from`.
    pub async fn slot_counts(&self, from: UtcMs) -> Result<Vec<SlotCount>> {
        let mut sql = Sql::new("SELECT slot, outcome, runs FROM tj_run_counts");
        sql.push_bind(" WHERE job_id = ?", ALL).push_bind(" AND slot >= ?", from.0.max(0) / SLOT_MS);
        let counts: Vec<(i64, String, i64)> = self.read.fetch(&sql).await?;
        let count = |(slot, outcome, runs)| SlotCount { at: UtcMs(slot * SLOT_MS), outcome, runs };
        Ok(counts.into_iter().map(count).collect())
    }

    /// How many runs there are, in one statement: all its parts see the same moment.
    pub(super) async fn total(&self, of: RunsOf) -> Result<i64> {
        let dialect = self.read.dialect();
        let mut sql = Sql::new("SELECT ");
        let any = RunsOf { outcome: None, ..of };
        let count = |sql: &mut Sql, table: RunsOf, which: &str, of: RunsOf| {
            sql.push("(SELECT count(*) FROM ").push(&table.table(dialect)).push(" WHERE ").push(which);
            of.push(sql);
            sql.push(")");
        };
        let open = |sql: &mut Sql| {
            count(sql, RunsOf { outcome: Some(Outcome::Running), ..of }, OPEN_RUNS, any);
        };
        match (of.counted(), of.outcome) {
            (Some((job, from, to)), outcome) if outcome.is_none_or(Outcome::is_final) => {
                sql.push(&format!("(SELECT {} FROM tj_run_counts", dialect.sum("runs")));
                sql.push_bind(" WHERE job_id = ?", job);
                sql.push_bind(" AND slot >= ?", from).push_bind(" AND slot < ?", to);
                if let Some(outcome) = outcome {
                    sql.push_bind(" AND outcome = ?)", outcome.as_str());
                } else {
                    sql.push(") + ");
                    open(&mut sql);
                }
            }
            // What is left of all: no index tells success from the rest.
            (None, Some(Outcome::Success)) => {
                count(&mut sql, any, "1 = 1", any);
                sql.push(" - ");
                count(&mut sql, RunsOf { outcome: Some(Outcome::Failed), ..of }, UNUSUAL_RUNS, any);
                sql.push(" - ");
                open(&mut sql);
            }
            _ => count(&mut sql, of, "1 = 1", of),
        }
        self.read.number(&sql).await
    }
}

/// Counts all runs anew, as migration 5 did.
pub(super) async fn recount(db: &Db) -> Result<()> {
    let slot = match db.dialect() {
        Dialect::MySql => format!("(id >> 21) DIV {SLOT_MS}"),
        Dialect::Sqlite | Dialect::Postgres => format!("(id >> 21) / {SLOT_MS}"),
    };
    let ended = format!("FROM tj_runs WHERE NOT ({OPEN_RUNS})");
    let mut tx = db.begin().await?;
    tx.execute(&Sql::new("DELETE FROM tj_run_counts")).await?;
    for counts in [
        format!("{ALL}, {slot}, outcome, count(*) {ended} GROUP BY {slot}, outcome"),
        format!("{ALL}, {EVER}, outcome, count(*) {ended} GROUP BY outcome"),
        format!("job_id, {EVER}, outcome, count(*) {ended} GROUP BY job_id, outcome"),
    ] {
        let text = format!("INSERT INTO tj_run_counts (job_id, slot, outcome, runs) SELECT {counts}");
        tx.execute(&Sql::new(text)).await?;
    }
    tx.commit().await
}

impl RunsOf {
    /// The job and the slots `[from, to)` whose counts sum up to these runs, as far as they have ended.
    fn counted(&self) -> Option<(i64, i64, i64)> {
        let starts = |t: UtcMs| t.0 >= 0 && t.0 % SLOT_MS == 0;
        match (self.job, self.day) {
            (job, None) => Some((job.map_or(ALL, |job| job.0), EVER, EVER + 1)),
            (None, Some((from, to))) if starts(from) && starts(to) => {
                Some((ALL, from.0 / SLOT_MS, to.0 / SLOT_MS))
            }
            _ => None,
        }
    }
}
