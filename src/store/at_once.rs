//! The usual batch on SQLite: all its statements go to the connection's thread as one message. Waking that
//! thread for each of ten statements costs more than most of them do, and nothing in a usual batch asks
//! before it acts: how many rows each statement changed shows afterwards whether it was one. When it was
//! not (a fire that somebody else claimed, a run that had ended), all is undone and the batch goes the way
//! of `commit_once`, which asks.

use super::audit::notes;
use super::batch::{closes, cursors, opens, starts};
use super::record::report_bytes;
use super::sql::{Dialect, Sql};
use super::totals::Counted;
use super::{Batch, Committed, Result, Store};
use crate::domain::job::JobId;
use std::collections::HashSet;
use std::time::Duration;

impl Store {
    /// `None`: it is no usual batch, and nothing was done.
    pub(super) async fn commit_at_once(&self, batch: &Batch) -> Result<Option<Committed>> {
        if self.write.dialect() != Dialect::Sqlite || !is_usual(batch) {
            return Ok(None);
        }
        let (script, ours) = self.script(batch);
        let (script, meant): (Vec<Sql>, Vec<Option<u64>>) = script.into_iter().unzip();
        let (tx, changed) = self.write.conn_within(Duration::MAX).await?.transact(script).await?;
        self.only_ours(changed.get(ours).copied().unwrap_or(0))?;
        let as_meant = meant.iter().zip(&changed).all(|(meant, changed)| meant.is_none_or(|n| n == *changed));
        if !as_meant {
            tx.rollback().await?;
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(Committed::default()))
    }

    /// The statements, each with how many rows it must change; and which of them is refused to a server that
    /// has lost the database.
    fn script(&self, batch: &Batch) -> (Vec<(Sql, Option<u64>)>, usize) {
        let dialect = Dialect::Sqlite;
        let (mut counted, mut bytes) = (Counted::default(), 0);
        for close in &batch.closes {
            counted.add(close.job.0, close.run, close.report.outcome.as_str(), 1);
            bytes += report_bytes(&close.report);
        }
        for run in &batch.opens {
            bytes += run.bytes();
            if run.outcome.is_final() {
                counted.add(run.job.id.0, run.id, run.outcome.as_str(), 1);
            }
        }
        let mut script = Vec::new();
        let mut add = |statements: Vec<Sql>, meant: Option<usize>| {
            script.extend(statements.into_iter().map(|sql| (sql, meant.map(|rows| rows as u64))));
        };
        if !batch.opens.is_empty() {
            add(opens(dialect, &batch.opens), Some(batch.opens.len()));
        }
        if !batch.starts.is_empty() {
            add(starts(dialect, &batch.starts), None);
        }
        if !batch.closes.is_empty() {
            add(closes(dialect, &batch.closes.iter().collect::<Vec<_>>()), Some(batch.closes.len()));
        }
        if !batch.cursors.is_empty() {
            let of_job = |id: &JobId| batch.cursors.get(id).map_or(0, |cursor| cursor.starts);
            add(cursors(dialect, batch, of_job), None);
        }
        let told: Vec<_> = batch.audit.iter().map(|(_, entry)| entry).collect();
        add(notes(dialect, &told), None);
        let ours = script.len();
        script.push((self.seen(batch, bytes), None));
        script.extend(counted.statements(dialect).into_iter().map(|sql| (sql, None)));
        (script, ours)
    }
}

/// Nothing in it has to ask the database first.
fn is_usual(batch: &Batch) -> bool {
    let mut runs = HashSet::with_capacity(batch.closes.len());
    batch.jobs.is_empty()
        && batch.cursors.values().all(|cursor| cursor.max_run_count == 0 || cursor.starts == 0)
        && batch.closes.iter().all(|close| runs.insert(close.run))
}
