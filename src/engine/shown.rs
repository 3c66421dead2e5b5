//! What readers see of jobs. It comes from the engine's memory, which is what decides: no statement, however
//! many jobs there are. What memory shows of a definition is committed; a count of runs may be ahead of the
//! database for the milliseconds of a turn.
//!
//! Searches and other orders than that of ids are the database's business, and so are all lists while it
//! holds jobs that cannot be scheduled: they are in no memory, but people must see them.

use super::core::{Core, Entry};
use super::ticker::lock;
use super::{Engine, Error};
use crate::domain::job::JobId;
use crate::store::{JobFilter, JobList, JobPlace, JobRecord, JobSort, JobState, Page};

impl Entry {
    /// Where the job stands.
    pub fn state(&self) -> JobState {
        JobState {
            decided_ms: self.decided.0,
            run_count: i64::try_from(self.run_count).unwrap_or(i64::MAX),
            immediate_ms: self.immediate.map(|t| t.0),
            last_run_ms: self.last_run.map(|t| t.0),
            crash_streak: self.crash_streak,
        }
    }

    fn record(&self) -> JobRecord {
        JobRecord::of(&self.job, self.state(), self.at_work > 0)
    }
}

impl Core {
    fn page(&self, ids: impl Iterator<Item = JobId>) -> Option<Page<JobRecord>> {
        let whole = self.unreadable == 0;
        let items = || ids.filter_map(|id| self.jobs.get(&id)).map(Entry::record).collect();
        whole.then(|| Page { items: items(), total: i64::try_from(self.order.len()).unwrap_or(i64::MAX) })
    }

    /// A page of all jobs, newest first; `page` counts from 1.
    fn newest(&self, page: i64, size: i64) -> Option<Page<JobRecord>> {
        let [page, size] = [page - 1, size].map(|n| usize::try_from(n).unwrap_or(0));
        self.page(self.order.iter().rev().copied().skip(page.saturating_mul(size)).take(size))
    }

    /// At most `most` jobs behind that of the id `after`, in this order.
    fn behind(&self, after: Option<JobId>, descending: bool, most: usize) -> Option<Page<JobRecord>> {
        if descending {
            let end = after.map_or(self.order.len(), |after| self.order.partition_point(|id| *id < after));
            self.page(self.order[..end].iter().rev().copied().take(most))
        } else {
            let start = after.map_or(0, |after| self.order.partition_point(|id| *id <= after));
            self.page(self.order[start..].iter().copied().take(most))
        }
    }
}

impl Engine {
    pub async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Error> {
        if let Some(found) = lock(&self.core).jobs.get(&id).map(Entry::record) {
            return Ok(Some(found));
        }
        Ok(self.store.job(id).await?)
    }

    pub async fn jobs(&self, filter: &JobFilter, page: i64, size: i64) -> Result<Page<JobRecord>, Error> {
        let all = *filter == JobFilter::default();
        if let Some(found) = all.then(|| lock(&self.core).newest(page, size)).flatten() {
            return Ok(found);
        }
        Ok(self.store.jobs_page(filter, page, size).await?)
    }

    /// A page of a list that is walked with a cursor.
    pub async fn job_list(&self, of: &JobList) -> Result<Page<JobRecord>, Error> {
        let after = match of.after {
            Some(JobPlace::Number(_, id)) => Some(id),
            _ => None,
        };
        let (descending, most) = (of.descending, usize::try_from(of.limit).unwrap_or(0));
        let all = of.is_of_all() && of.sort == JobSort::Id;
        if let Some(found) = all.then(|| lock(&self.core).behind(after, descending, most)).flatten() {
            return Ok(found);
        }
        Ok(self.store.job_list(of).await?)
    }
}
