//! Questions about runs, and what else the database knows; `shown` is about jobs.

use super::{Engine, Error, retention};
use crate::domain::UtcMs;
use crate::domain::audit::{self, Act, Entry};
use crate::domain::job::JobId;
use crate::domain::run::RunId;
use crate::domain::schedule::Schedule;
use crate::exec::func;
use crate::store::{
    Accounts, DatabaseInfo, JobRecord, Page, RunList, RunRecord, RunsOf, SlotCount, StateCounts,
};
use crate::vault::Vault;
use chrono_tz::Tz;
use serde_json::{Value, json};

impl Engine {
    /// The job of this name.
    pub async fn job_named(&self, name: &str) -> Result<Option<JobId>, Error> {
        Ok(self.store.job_named(name).await?)
    }

    /// Which of these names jobs have.
    pub async fn taken_names(&self, names: &[String]) -> Result<Vec<String>, Error> {
        Ok(self.store.taken_names(names).await?)
    }

    pub async fn counts(&self) -> Result<StateCounts, Error> {
        Ok(self.store.job_counts().await?)
    }

    /// The ended runs of all jobs, counted by quarters of an hour since `from`.
    pub async fn counts_since(&self, from: UtcMs) -> Result<Vec<SlotCount>, Error> {
        Ok(self.store.slot_counts(from).await?)
    }

    /// A page of runs. Their job may be gone: its records stay for a while.
    pub async fn runs(
        &self,
        of: RunsOf,
        newest_first: bool,
        page: i64,
        size: i64,
    ) -> Result<Page<RunRecord>, Error> {
        Ok(self.store.runs_page(of, newest_first, page, size).await?)
    }

    /// A page of a list that is walked with a cursor.
    pub async fn run_list(&self, of: &RunList) -> Result<Page<RunRecord>, Error> {
        Ok(self.store.run_list(of).await?)
    }

    pub async fn run_record(&self, id: RunId) -> Result<Option<RunRecord>, Error> {
        Ok(self.store.run(id).await?)
    }

    /// At most `most` whole records after the run `after`, oldest first.
    pub async fn runs_after(&self, of: RunsOf, after: RunId, most: i64) -> Result<Vec<RunRecord>, Error> {
        Ok(self.store.runs_after(of, after, most).await?)
    }

    /// Deletes run records; answers how many. Runs in flight keep theirs.
    pub async fn clear_runs(&self, of: RunsOf) -> Result<usize, Error> {
        let rows = retention::clear(&self.store, &self.clock, of).await;
        rows.map_err(|e| {
            tracing::error!(error = %super::chain(&e), "run records cannot be deleted");
            Error::Unavailable
        })
    }

    /// When a job fires next; `None` when it is stopped or never again.
    pub fn next_run(&self, job: &JobRecord) -> Option<UtcMs> {
        self.fires(job, 1).1.first().copied()
    }

    /// The next instants at which a job fires, at most `most`, and the zone that it lives in. A stopped
    /// job has none.
    pub fn fires(&self, job: &JobRecord, most: usize) -> (Tz, Vec<UtcMs>) {
        let zone: Tz = job.timezone.parse().unwrap_or(self.zone);
        if !job.enabled {
            return (zone, Vec::new());
        }
        let (kind, expr, seconds) = (&job.trigger_type, &job.cron_expr, job.interval_seconds);
        let stored = || Schedule::stored(kind, expr, seconds, &job.timezone, self.zone);
        let schedule = job.schedule.clone().or_else(stored);
        let decided = UtcMs(job.state.decided_ms);
        let after = decided.max(self.clock.now());
        (zone, schedule.map_or(Vec::new(), |schedule| schedule.fires(decided, after, most)))
    }

    /// Who may log in.
    pub fn accounts(&self) -> Accounts {
        self.store.accounts()
    }

    /// What jobs use as `${secret:NAME}`.
    pub fn secrets(&self) -> &Vault {
        &self.secrets
    }

    pub async fn database(&self) -> Result<DatabaseInfo, Error> {
        Ok(self.store.info().await?)
    }

    /// A value that was changed at run time; null when it never was.
    pub async fn setting(&self, name: &str) -> Result<Value, Error> {
        Ok(self.store.setting(name).await?)
    }

    pub async fn save_setting(&self, name: &str, value: &Value, entry: &Entry) -> Result<(), Error> {
        self.store.save_setting(name, value, Some(entry)).await.map_err(|e| {
            tracing::error!(error = %super::chain(&e), name, "a setting cannot be stored");
            Error::Unavailable
        })
    }

    /// The functions that a func job can name.
    pub async fn functions(&self) -> func::Listing {
        self.functions.listing().await
    }

    /// The function that a func job of this name would call.
    pub fn function(&self, name: &str) -> Option<func::Known> {
        self.functions.known(name)
    }

    /// Reads the user's own functions again.
    pub async fn reload_functions(&self) -> func::python::Reloaded {
        let done = self.functions.reload().await;
        let told = json!({"loaded": done.loaded, "removed": done.removed});
        self.note(self.entry(Act::FunctionsReload).after(audit::fields(told))).await;
        done
    }

    /// The zone in which local times are shown.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    pub fn now(&self) -> UtcMs {
        self.clock.now()
    }

    /// What keeps the engine from working; `None`: nothing.
    pub async fn problem(&self) -> Option<String> {
        match self.health.problem() {
            Some(problem) => Some(problem),
            None => self.store.ping().await.err().map(|e| super::chain(&e)),
        }
    }

    /// Waits until the engine has stopped: nothing happens any more.
    pub async fn ended(&self) {
        self.commands.closed().await;
    }

    /// Whether fires are being decided.
    pub fn is_running(&self) -> bool {
        !self.commands.is_closed() && self.health.problem().is_none()
    }
}
