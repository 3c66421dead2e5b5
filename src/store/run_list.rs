//! Lists of run records that are walked with a cursor, newest first: what a page costs does not
//! depend on how far down the list it lies.

use super::runs::COLUMNS;
use super::sql::{Sql, list};
use super::totals::SLOT_MS;
use super::{Page, Result, RunRecord, RunsOf, Store};
use crate::domain::UtcMs;
use crate::domain::job::JobId;
use crate::domain::run::{Outcome, RunId};

/// Which runs a list shows.
#[derive(Clone, Debug)]
pub struct RunList {
    /// `None`: of all jobs.
    pub job: Option<JobId>,
    /// Empty: any.
    pub outcomes: Vec<Outcome>,
    /// Created at or after it.
    pub from: Option<UtcMs>,
    /// Created before it.
    pub to: Option<UtcMs>,
    /// The last run of the page before.
    pub before: Option<RunId>,
    pub limit: i64,
}

impl RunList {
    /// The same as lists that one index serves each.
    fn parts(&self) -> Vec<RunsOf> {
        let bounded = self.from.is_some() || self.to.is_some();
        let end = UtcMs(i64::MAX >> 21);
        let day = bounded.then(|| (self.from.unwrap_or_default(), self.to.unwrap_or(end)));
        let of = |outcome| RunsOf { job: self.job, day, outcome };
        if self.outcomes.is_empty() {
            return vec![of(None)];
        }
        self.outcomes.iter().map(|outcome| of(Some(*outcome))).collect()
    }
}

impl Store {
    /// A page of runs and how many there are in all. What they printed is left out.
    pub async fn run_list(&self, of: &RunList) -> Result<Page<RunRecord>> {
        let (mut ids, mut total) = (Vec::new(), 0);
        for part in of.parts() {
            total += self.total_between(part).await?;
            ids.extend(self.newest_ids(part, of.before, of.limit).await?);
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.truncate(usize::try_from(of.limit).unwrap_or(0));
        // The long texts in their type and without their contents.
        let long = ["stdout", "stderr", "http_resp"]
            .map(|name| format!(", CASE WHEN 1 = 0 THEN {name} END AS {name}"));
        let text = format!("{COLUMNS}{} FROM tj_runs WHERE id IN {}", long.concat(), list(ids));
        let mut items: Vec<RunRecord> = self.read.fetch(&Sql { keep: false, ..Sql::new(text) }).await?;
        items.sort_unstable_by_key(|run| -run.id);
        Ok(Page { items, total })
    }

    async fn newest_ids(&self, of: RunsOf, before: Option<RunId>, limit: i64) -> Result<Vec<i64>> {
        let mut sql = Sql::new("SELECT id FROM ");
        sql.push(&of.table(self.read.dialect())).push(" WHERE 1 = 1");
        if let Some(before) = before {
            sql.push_bind(" AND id < ?", before.0);
        }
        of.push(&mut sql);
        sql.push_bind(" ORDER BY id DESC LIMIT ?", limit);
        let ids: Vec<(i64,)> = self.read.fetch(&sql).await?;
        Ok(ids.into_iter().map(|(id,)| id).collect())
    }

    /// How many there are. Between any two instants the counts serve for the slots that lie whole
    /// between them, so that only what is beside is counted one by one.
    async fn total_between(&self, of: RunsOf) -> Result<i64> {
        let (None, Some((from, to))) = (of.job, of.day) else { return self.total(of).await };
        let up = UtcMs((from.0.max(0) + SLOT_MS - 1) / SLOT_MS * SLOT_MS);
        let down = UtcMs(to.0 / SLOT_MS * SLOT_MS);
        if up >= down {
            return self.total(of).await;
        }
        let mut total = 0;
        for day in [(from, up), (up, down), (down, to)] {
            if day.0 < day.1 {
                total += self.total(RunsOf { day: Some(day), ..of }).await?;
            }
        }
        Ok(total)
    }
}
