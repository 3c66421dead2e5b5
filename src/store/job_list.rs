//! Lists of jobs that are searched, sorted, and walked with a cursor.

use super::jobs::{RUNNING_IDS, select};
use super::sql::{Dialect, Sql, list};
use super::{JobRecord, Page, Result, Store};
use crate::domain::job::JobId;

/// What a list of jobs is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSort {
    Id,
    Name,
    Updated,
    /// Jobs that never ran count as the earliest.
    LastRun,
}

/// Where a page ends: the last job's place in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobPlace {
    Name(String),
    /// The number that the list is sorted by, and the job.
    Number(i64, JobId),
}

/// Which jobs a list shows, in which order.
#[derive(Clone, Debug)]
pub struct JobList {
    /// Part of the name, the description or the command text; case does not count for ASCII letters.
    pub text: Option<String>,
    /// `Some(false)`: stopped.
    pub enabled: Option<bool>,
    /// Whether a run is in flight.
    pub running: Option<bool>,
    pub mode: Option<String>,
    /// Only these.
    pub ids: Option<Vec<i64>>,
    pub sort: JobSort,
    pub descending: bool,
    /// The last job of the page before.
    pub after: Option<JobPlace>,
    pub limit: i64,
}

impl JobList {
    /// Whether it leaves out no job.
    pub fn is_of_all(&self) -> bool {
        let Self { text, enabled, running, mode, ids, .. } = self;
        text.is_none() && enabled.is_none() && running.is_none() && mode.is_none() && ids.is_none()
    }
}

impl JobSort {
    /// The column; the number of the job decides between equals.
    fn column(self) -> &'static str {
        match self {
            Self::Id => "j.id",
            Self::Name => "j.name",
            Self::Updated => "j.updated_ms",
            Self::LastRun => "coalesce(s.last_run_ms, 0)",
        }
    }

    pub fn place(self, job: &JobRecord) -> JobPlace {
        let number = match self {
            Self::Name => return JobPlace::Name(job.name.clone()),
            Self::Id => job.id,
            Self::Updated => job.updated_ms,
            Self::LastRun => job.state.last_run_ms.unwrap_or(0),
        };
        JobPlace::Number(number, JobId(job.id))
    }
}

impl Store {
    /// A page of jobs and how many there are in all.
    pub async fn job_list(&self, of: &JobList) -> Result<Page<JobRecord>> {
        let dialect = self.read.dialect();
        let mut count = Sql::new("SELECT count(*) FROM tj_jobs j");
        push_filter(&mut count, of, dialect);
        let total = self.read.number(&count).await?;
        let mut sql = select();
        push_filter(&mut sql, of, dialect);
        let (column, down) = (of.sort.column(), of.descending);
        let (sign, order) = if down { ("<", "DESC") } else { (">", "ASC") };
        match &of.after {
            Some(JobPlace::Name(name)) => {
                sql.push_bind(&format!(" AND {column} {sign} ?"), name.as_str());
            }
            Some(JobPlace::Number(number, job)) => {
                // The first condition is implied by the second; it is there for the index.
                sql.push_bind(&format!(" AND {column} {sign}= ?"), *number);
                sql.push_bind(&format!(" AND ({column} {sign} ?"), *number);
                sql.push_bind(&format!(" OR j.id {sign} ?)"), job.0);
            }
            None => {}
        }
        sql.push(&format!(" ORDER BY {column} {order}, j.id {order}"));
        sql.push_bind(" LIMIT ?", of.limit);
        Ok(Page { items: self.read.fetch(&sql).await?, total })
    }

    pub async fn job_named(&self, name: &str) -> Result<Option<JobId>> {
        let sql = Sql::new("SELECT id FROM tj_jobs WHERE name = ?").bind(name);
        let found: Option<(i64,)> = self.read.first(&sql).await?;
        Ok(found.map(|(id,)| JobId(id)))
    }

    /// Which of these names are taken.
    pub async fn taken_names(&self, names: &[String]) -> Result<Vec<String>> {
        let mut found = Vec::new();
        // SQLite takes so many parameters and more.
        for names in names.chunks(500) {
            let marks = vec!["?"; names.len()].join(", ");
            let sql = Sql::new(format!("SELECT name FROM tj_jobs WHERE name IN ({marks})"));
            let sql = names.iter().fold(sql, |sql, name| sql.bind(name.as_str()));
            let taken: Vec<(String,)> = self.read.fetch(&Sql { keep: false, ..sql }).await?;
            found.extend(taken.into_iter().map(|(name,)| name));
        }
        Ok(found)
    }
}

fn push_filter(sql: &mut Sql, of: &JobList, dialect: Dialect) {
    sql.push(" WHERE 1 = 1");
    if let Some(text) = &of.text {
        let found = |column: &str| format!("{}(lower({column}), lower(?)) > 0", dialect.position());
        sql.push_bind(&format!(" AND ({}", found("j.name")), text.as_str());
        sql.push_bind(&format!(" OR {}", found("j.descr")), text.as_str());
        sql.push_bind(&format!(" OR {})", found("j.command")), text.as_str());
    }
    if let Some(mode) = &of.mode {
        sql.push_bind(" AND j.mode = ?", mode.as_str());
    }
    match of.enabled {
        Some(true) => drop(sql.push(" AND j.enabled")),
        Some(false) => drop(sql.push(" AND NOT j.enabled")),
        None => {}
    }
    if let Some(running) = of.running {
        // Read once, not for each job.
        sql.push(if running { " AND j.id IN (" } else { " AND j.id NOT IN (" }).push(RUNNING_IDS).push(")");
    }
    if let Some(ids) = &of.ids {
        sql.push(&format!(" AND j.id IN {}", list(ids.iter().copied())));
        sql.keep = false;
    }
}
