//! Writing one change of a job, within a batch's transaction.

use super::Result;
use super::batch::{JobWrite, JobWritten, StateReset, Tx};
use crate::domain::UtcMs;
use crate::domain::job::{JobId, StopReason, Trigger};

/// Binds the columns that both insert and update write, in their order.
macro_rules! bind_spec {
    ($query:expr, $spec:expr) => {{
        let spec = $spec;
        let (kind, expr, interval) = match &spec.trigger {
            Trigger::Cron(expr) => ("cron", expr.as_str(), 0),
            Trigger::Interval(seconds) => ("interval", "", *seconds),
        };
        $query
            .bind(&spec.name)
            .bind(&spec.desc)
            .bind(kind)
            .bind(expr)
            .bind(interval)
            .bind(spec.timezone.map_or("", |z| z.name()))
            .bind(spec.action.mode().as_str())
            .bind(&spec.command)
            .bind(spec.enabled)
            .bind(spec.overlap.code())
            .bind(spec.max_run_count)
            .bind(spec.misfire_policy.as_str())
            .bind(i64::try_from(spec.misfire_window.as_secs()).unwrap_or(i64::MAX))
            .bind(spec.recovery.as_str())
    }};
}

/// Makes the change; a taken name changes nothing.
pub(super) async fn write_job(tx: &mut Tx<'_>, write: &JobWrite, now: UtcMs) -> Result<JobWritten> {
    match write {
        JobWrite::Insert { spec, removal, immediate } => {
            let sql = "INSERT INTO tj_jobs (name, descr, trigger_type, cron_expr, interval_seconds, timezone, mode, command, \
                       enabled, allow_mode, max_run_count, misfire_policy, misfire_window, recovery, remove_task, remove_log, \
                       created_ms, updated_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
                       ON CONFLICT (name) DO NOTHING RETURNING id";
            let query = bind_spec!(sqlx::query_scalar::<_, i64>(sql), spec);
            let query = query.bind(removal.task).bind(removal.log).bind(now.0).bind(now.0);
            let Some(id) = query.fetch_optional(&mut **tx).await? else { return Ok(JobWritten::NameTaken) };
            sqlx::query("INSERT INTO tj_job_state VALUES (?, ?, 0, ?, NULL, 0)")
                .bind(id)
                .bind(now.0)
                .bind(immediate.then_some(now.0))
                .execute(&mut **tx)
                .await?;
            Ok(JobWritten::Done(JobId(id)))
        }
        JobWrite::Update { id, spec, reset } => {
            let sql = "UPDATE OR IGNORE tj_jobs SET name = ?, descr = ?, trigger_type = ?, cron_expr = ?, interval_seconds = ?, \
                       timezone = ?, mode = ?, command = ?, enabled = ?, allow_mode = ?, max_run_count = ?, misfire_policy = ?, \
                       misfire_window = ?, recovery = ?, stop_reason = CASE WHEN ? THEN NULL ELSE stop_reason END, \
                       updated_ms = ? WHERE id = ?";
            let query = bind_spec!(sqlx::query(sql), spec).bind(spec.enabled).bind(now.0).bind(id.0);
            if query.execute(&mut **tx).await?.rows_affected() == 0 {
                return Ok(JobWritten::NameTaken);
            }
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
            let sql = "UPDATE tj_jobs SET enabled = 0, stop_reason = NULL, updated_ms = ? WHERE enabled";
            sqlx::query(sql).bind(now.0).execute(&mut **tx).await?;
            Ok(JobWritten::Done(JobId(0)))
        }
        JobWrite::DeleteRun { run } => {
            let sql = "DELETE FROM tj_runs WHERE id = ? RETURNING bytes";
            let freed: Vec<i64> = sqlx::query_scalar(sql).bind(run.0).fetch_all(&mut **tx).await?;
            take_off_books(tx, freed.iter().sum()).await?;
            Ok(JobWritten::Done(JobId(0)))
        }
        JobWrite::Delete { id, with_runs } => {
            sqlx::query("DELETE FROM tj_jobs WHERE id = ?").bind(id.0).execute(&mut **tx).await?;
            sqlx::query("DELETE FROM tj_job_state WHERE job_id = ?").bind(id.0).execute(&mut **tx).await?;
            if *with_runs {
                let sql = "DELETE FROM tj_runs WHERE job_id = ? RETURNING bytes";
                let freed: Vec<i64> = sqlx::query_scalar(sql).bind(id.0).fetch_all(&mut **tx).await?;
                take_off_books(tx, freed.iter().sum()).await?;
            }
            Ok(JobWritten::Done(*id))
        }
    }
}

async fn set_enabled(
    tx: &mut Tx<'_>,
    id: JobId,
    on: bool,
    reason: Option<StopReason>,
    now: UtcMs,
) -> Result<()> {
    sqlx::query("UPDATE tj_jobs SET enabled = ?, stop_reason = ?, updated_ms = ? WHERE id = ?")
        .bind(on)
        .bind(reason.map(StopReason::as_str))
        .bind(now.0)
        .bind(id.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn reset_state(tx: &mut Tx<'_>, id: JobId, reset: StateReset) -> Result<()> {
    sqlx::query(
        "UPDATE tj_job_state SET decided_ms = ?, immediate_ms = ?, crash_streak = 0, \
         run_count = CASE WHEN ? THEN 0 ELSE run_count END WHERE job_id = ?",
    )
    .bind(reset.decided.0)
    .bind(reset.immediate.map(|t| t.0))
    .bind(reset.run_count)
    .bind(id.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Below zero for a moment when the batch that made the records deletes them: it adds theirs last.
async fn take_off_books(tx: &mut Tx<'_>, bytes: i64) -> Result<()> {
    sqlx::query("UPDATE tj_system SET log_bytes = log_bytes - ?").bind(bytes).execute(&mut **tx).await?;
    Ok(())
}
