//! Writing one change of a job, within a batch's transaction.

use super::Result;
use super::batch::{JobWrite, JobWritten, StateReset};
use super::db::Conn;
use super::sql::{Sql, list};
use super::totals::Counted;
use crate::domain::UtcMs;
use crate::domain::job::{JobId, JobSpec, StopReason};
use crate::domain::run::{Outcome, RunId};

/// Makes the change; a taken name changes nothing. What it deletes of ended runs is told to `counted`.
pub(super) async fn write_job(
    tx: &mut Conn,
    write: &JobWrite,
    now: UtcMs,
    counted: &mut Counted,
) -> Result<JobWritten> {
    match write {
        JobWrite::Insert { spec, removal, immediate } => {
            let text = "INSERT INTO tj_jobs (name, descr, trigger_type, cron_expr, interval_seconds, timezone, mode, \
                        command, enabled, allow_mode, max_run_count, misfire_policy, misfire_window, recovery, \
                        remove_task, remove_log, created_ms, updated_ms) \
                        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
            let sql = bind_spec(Sql::new(text), spec).bind(removal.task).bind(removal.log);
            let inserted = tx.insert(sql.bind(now.0).bind(now.0), "name").await?;
            let Some(id) = inserted else { return Ok(JobWritten::NameTaken) };
            let text = "INSERT INTO tj_job_state (job_id, decided_ms, run_count, immediate_ms, last_run_ms, crash_streak) \
                        VALUES (?, ?, 0, ?, NULL, 0)";
            let immediate = immediate.then_some(now.0);
            tx.execute(&Sql::new(text).bind(id).bind(now.0).bind(immediate)).await?;
            Ok(JobWritten::Done(JobId(id)))
        }
        JobWrite::Update { id, spec, reset, version } => {
            if !is_version(tx, *id, *version).await? {
                return Ok(JobWritten::Changed);
            }
            let text = format!("SELECT id FROM tj_jobs WHERE name = ? AND id <> ?{}", tx.dialect().lock());
            let others: Vec<(i64,)> = tx.fetch(&Sql::new(text).bind(&*spec.name).bind(id.0)).await?;
            if !others.is_empty() {
                return Ok(JobWritten::NameTaken);
            }
            let text = "UPDATE tj_jobs SET name = ?, descr = ?, trigger_type = ?, cron_expr = ?, interval_seconds = ?, \
                        timezone = ?, mode = ?, command = ?, enabled = ?, allow_mode = ?, max_run_count = ?, \
                        misfire_policy = ?, misfire_window = ?, recovery = ?, \
                        stop_reason = CASE WHEN ? THEN NULL ELSE stop_reason END, updated_ms = ?, \
                        version = version + 1 WHERE id = ?";
            let sql = bind_spec(Sql::new(text), spec).bind(spec.enabled).bind(now.0).bind(id.0);
            tx.execute(&sql).await?;
            if let Some(reset) = reset {
                reset_state(tx, *id, *reset).await?;
            }
            Ok(JobWritten::Done(*id))
        }
        JobWrite::Enable { id, reset } => {
            set_enabled(tx, *id, true, None, now).await?;
            reset_state(tx, *id, *reset).await?;
            Ok(JobWritten::Done(*id))
        }
        JobWrite::Stop { id, reason } => {
            set_enabled(tx, *id, false, *reason, now).await?;
            Ok(JobWritten::Done(*id))
        }
        JobWrite::StopAll => {
            let text = "UPDATE tj_jobs SET enabled = ?, stop_reason = NULL, updated_ms = ?, version = version + 1 \
                        WHERE enabled";
            tx.execute(&Sql::new(text).bind(false).bind(now.0)).await?;
            Ok(JobWritten::Done(JobId(0)))
        }
        JobWrite::DeleteRun { run } => {
            delete_runs(tx, "id", run.0, counted).await?;
            Ok(JobWritten::Done(JobId(0)))
        }
        JobWrite::Delete { id, with_runs, version } => {
            if !is_version(tx, *id, *version).await? {
                return Ok(JobWritten::Changed);
            }
            tx.execute(&Sql::new("DELETE FROM tj_jobs WHERE id = ?").bind(id.0)).await?;
            tx.execute(&Sql::new("DELETE FROM tj_job_state WHERE job_id = ?").bind(id.0)).await?;
            if *with_runs {
                delete_runs(tx, "job_id", id.0, counted).await?;
            }
            Ok(JobWritten::Done(*id))
        }
    }
}

/// Whether the job is the version that is meant; `None` means any.
async fn is_version(tx: &mut Conn, id: JobId, version: Option<i64>) -> Result<bool> {
    let Some(version) = version else { return Ok(true) };
    let text = format!("SELECT version FROM tj_jobs WHERE id = ?{}", tx.dialect().lock());
    Ok(tx.number(&Sql::new(text).bind(id.0)).await? == version)
}

/// The columns that both insert and update write, in their order.
pub(super) fn bind_spec(sql: Sql, spec: &JobSpec) -> Sql {
    let (kind, expr, interval) = spec.trigger.parts();
    sql.bind(&*spec.name)
        .bind(&*spec.desc)
        .bind(kind)
        .bind(expr)
        .bind(interval)
        .bind(spec.timezone.map_or("", |z| z.name()))
        .bind(spec.mode.as_str())
        .bind(&*spec.command)
        .bind(spec.enabled)
        .bind(spec.overlap.code())
        .bind(i64::from(spec.max_run_count))
        .bind(spec.misfire_policy.as_str())
        .bind(i64::try_from(spec.misfire_window.as_secs()).unwrap_or(i64::MAX))
        .bind(spec.recovery.as_str())
}

async fn set_enabled(
    tx: &mut Conn,
    id: JobId,
    on: bool,
    reason: Option<StopReason>,
    now: UtcMs,
) -> Result<()> {
    let text =
        "UPDATE tj_jobs SET enabled = ?, stop_reason = ?, updated_ms = ?, version = version + 1 WHERE id = ?";
    let sql = Sql::new(text).bind(on).bind(reason.map(StopReason::as_str)).bind(now.0).bind(id.0);
    tx.execute(&sql).await?;
    Ok(())
}

async fn reset_state(tx: &mut Conn, id: JobId, reset: StateReset) -> Result<()> {
    let text = "UPDATE tj_job_state SET decided_ms = ?, immediate_ms = ?, crash_streak = 0, \
                run_count = CASE WHEN ? THEN 0 ELSE run_count END WHERE job_id = ?";
    let immediate = reset.immediate.map(|t| t.0);
    let sql = Sql::new(text).bind(reset.decided.0).bind(immediate).bind(reset.run_count).bind(id.0);
    tx.execute(&sql).await?;
    Ok(())
}

/// Deletes runs and takes them off the books: below zero for a moment when the batch that made the
/// records deletes them, as it adds theirs last.
async fn delete_runs(tx: &mut Conn, column: &str, id: i64, counted: &mut Counted) -> Result<()> {
    let text =
        format!("SELECT id, job_id, outcome, bytes FROM tj_runs WHERE {column} = ?{}", tx.dialect().lock());
    let found: Vec<(i64, i64, String, i64)> = tx.fetch(&Sql::new(text).bind(id)).await?;
    for (run, job, outcome, _) in &found {
        if Outcome::parse(outcome).is_none_or(Outcome::is_final) {
            counted.add(*job, RunId(*run), outcome.clone(), -1);
        }
    }
    let bytes: i64 = found.iter().map(|(.., bytes)| bytes).sum();
    let text = format!("DELETE FROM tj_runs WHERE id IN {}", list(found.into_iter().map(|(id, ..)| id)));
    tx.execute(&Sql { keep: false, ..Sql::new(text) }).await?;
    tx.execute(&Sql::new("UPDATE tj_system SET log_bytes = log_bytes - ?").bind(bytes)).await?;
    Ok(())
}
