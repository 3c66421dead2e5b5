//! What functions are told of past runs, read from the store. The statements are `store/report.rs`;
//! here their rows become the plain numbers of `exec::func::History`.

use crate::domain::run::{Outcome, Reason, RunId};
use crate::domain::schedule::Schedule;
use crate::domain::{Text, UtcMs};
use crate::exec::func::{FailedRun, Group, History, Never, Summary};
use crate::store::{JobTimes, Store, chain};
use chrono_tz::Tz;
use futures_util::future::BoxFuture;

/// Failures told of.
const FAILURES_MAX: usize = 10;
/// Jobs without a start whose due instants are counted: parsing an expression takes time.
const IDLE_MAX: i64 = 2_000;

/// Reads the store's records.
#[derive(Debug)]
pub struct StoreHistory {
    pub store: Store,
    /// The zone of jobs that have none of their own.
    pub zone: Tz,
}

impl History for StoreHistory {
    fn summary(&self, from: UtcMs, to: UtcMs) -> BoxFuture<'_, Result<Summary, Text>> {
        Box::pin(async move {
            self.read(from, to).await.map_err(|e| {
                tracing::error!(error = %chain(&e), "the runs cannot be read for a report");
                Text::new(
                    "读取运行记录失败，详见日志",
                    "the records of runs cannot be read; the log says more",
                )
            })
        })
    }
}

impl StoreHistory {
    async fn read(&self, from: UtcMs, to: UtcMs) -> crate::store::Result<Summary> {
        let rows = self.store.run_groups(from, to).await?;
        // The newest failure of each job, and of those the newest.
        let mut last = std::collections::HashMap::new();
        for row in &rows {
            if matches!(
                Outcome::parse(&row.outcome),
                Some(Outcome::Failed | Outcome::Timeout | Outcome::Lost)
            ) {
                let id = last.entry(row.job_id).or_insert(row.last_id);
                *id = row.last_id.max(*id);
            }
        }
        let mut ids: Vec<i64> = last.into_values().collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.truncate(FAILURES_MAX);
        let failures = self.store.run_failures(&ids).await?;
        let started: Vec<i64> = rows.iter().filter(|row| row.started > 0).map(|row| row.job_id).collect();
        let idle = self.store.enabled_jobs_but(&started, to, IDLE_MAX).await?;
        let groups = rows.into_iter().filter_map(|row| {
            Some(Group {
                job: row.job_id,
                outcome: Outcome::parse(&row.outcome)?,
                reason: row.reason.as_deref().and_then(Reason::parse),
                name: row.job_name,
                runs: row.runs.unsigned_abs(),
                instants: row.instants.unsigned_abs(),
                timed: row.timed.unsigned_abs(),
                total_ms: row.total_ms.unsigned_abs(),
                max_ms: row.max_ms.unsigned_abs(),
            })
        });
        let failures = failures.into_iter().filter_map(|row| {
            let stored =
                row.error.as_deref().and_then(|error| serde_json::from_str::<serde_json::Value>(error).ok());
            let word = |language: &str| stored.as_ref()?.get(language)?.as_str().map(str::to_owned);
            let error = word("zh").zip(word("en")).map(|(zh, en)| Text { zh, en });
            let reason = row.reason.as_deref().and_then(Reason::parse);
            Some(FailedRun {
                job: row.job_id,
                at: RunId(row.id).created_at(),
                outcome: Outcome::parse(&row.outcome)?,
                error: error.or_else(|| reason.map(Reason::text)),
                name: row.job_name,
            })
        });
        let never = idle.into_iter().filter_map(|job| {
            let due = self.due(&job, from, to)?;
            Some(Never { job: job.id, name: job.name, due })
        });
        Ok(Summary { groups: groups.collect(), failures: failures.collect(), never: never.collect() })
    }

    /// How often a job was due in `[from, to)` since it was made; `None` when it was not.
    fn due(&self, job: &JobTimes, from: UtcMs, to: UtcMs) -> Option<u64> {
        let schedule = Schedule::stored(
            &job.trigger_type,
            &job.cron_expr,
            job.interval_seconds,
            &job.timezone,
            self.zone,
        )?;
        let made = UtcMs(job.created_ms);
        // Both ends are one before: the period begins with `from` and ends before `to`.
        let after = UtcMs(from.0 - 1).max(made);
        Some(schedule.count_between(made, after, UtcMs(to.0 - 1))).filter(|due| *due > 0)
    }
}
