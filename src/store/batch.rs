//! One transaction for everything that one turn of the engine decided: the group commit. However
//! many fires a batch holds, each table is touched by one statement.

use super::{Result, Store, write_job};
use crate::domain::UtcMs;
use crate::domain::job::{Job, JobId, JobSpec, Removal, StopReason};
use crate::domain::run::{Outcome, Reason, Report, RunId, Source};
use serde_json::{Value, json};
use sqlx::{Sqlite, Transaction};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What is to be made durable together.
#[derive(Debug, Default)]
pub struct Batch {
    pub now: UtcMs,
    pub opens: Vec<NewRun>,
    pub starts: Vec<RunStart>,
    pub closes: Vec<RunClose>,
    pub cursors: HashMap<JobId, Cursor>,
    pub jobs: Vec<JobWrite>,
    /// The clock was set back: the new epoch.
    pub clock_epoch: Option<i64>,
}

/// A new run record. A record that is final from the start (skipped, missed) carries its reason.
#[derive(Clone, Debug)]
pub struct NewRun {
    pub id: RunId,
    pub job: Arc<Job>,
    /// The scheduled instant, when the run is a fire's; its key together with job and epoch.
    pub fire: Option<UtcMs>,
    pub clock_epoch: i64,
    pub source: Source,
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub scheduled_at: UtcMs,
    pub start: Option<UtcMs>,
    /// For `Missed`: the last instant and how many there were.
    pub missed: Option<(UtcMs, u64)>,
}

impl NewRun {
    /// What the record takes up before it has output, roughly, in bytes.
    fn bytes(&self) -> i64 {
        i64::try_from(200 + self.job.spec.name.len() + self.job.spec.command.len()).unwrap_or(i64::MAX)
    }
}

/// A waiting run gets its turn, or a run starts again; `child` follows once there is a process.
#[derive(Clone, Copy, Debug)]
pub struct RunStart {
    pub run: RunId,
    pub at: UtcMs,
    pub attempt: u32,
    /// Process id and the kernel's start time of it.
    pub child: Option<(u32, u64)>,
}

#[derive(Clone, Debug)]
pub struct RunClose {
    pub run: RunId,
    pub end: UtcMs,
    pub reason: Option<Reason>,
    pub report: Report,
}

/// Moves where a job stands. Fields that are `None` or 0 leave the stored value as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    pub decided: Option<UtcMs>,
    /// Scheduled starts claimed in this batch, to be reserved under `max_run_count` (0: no limit).
    pub starts: u32,
    pub max_run_count: u32,
    pub immediate_done: bool,
    pub last_run: Option<UtcMs>,
    pub crash_streak: Option<i64>,
}

/// A change of a job itself.
#[derive(Debug)]
pub enum JobWrite {
    Insert { spec: Box<JobSpec>, removal: Removal, immediate: bool },
    Update { id: JobId, spec: Box<JobSpec>, reset: Option<StateReset> },
    Enable { id: JobId, reset: StateReset },
    Stop { id: JobId, reason: Option<StopReason> },
    StopAll,
    Delete { id: JobId, with_runs: bool },
    DeleteRun { run: RunId },
}

impl JobWrite {
    /// The one job that this changes.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::Update { id, .. }
            | Self::Enable { id, .. }
            | Self::Stop { id, .. }
            | Self::Delete { id, .. } => Some(*id),
            Self::Insert { .. } | Self::StopAll | Self::DeleteRun { .. } => None,
        }
    }
}

/// A job starts afresh: nothing up to `decided` is owed any more.
#[derive(Clone, Copy, Debug, Default)]
pub struct StateReset {
    pub decided: UtcMs,
    /// The instant of a run that is owed now.
    pub immediate: Option<UtcMs>,
    /// Whether the count of runs starts at 0 again.
    pub run_count: bool,
}

/// How a job's change ended; `StopAll` and `DeleteRun` name no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobWritten {
    Done(JobId),
    NameTaken,
}

#[derive(Debug, Default)]
pub struct Committed {
    /// Runs that another server claimed first: they must not start.
    pub lost_races: HashSet<RunId>,
    /// Runs over their job's limit: recorded as skipped, they must not start.
    pub over_limit: HashSet<RunId>,
    /// One answer for each of `Batch::jobs`.
    pub jobs: Vec<JobWritten>,
}

pub(super) type Tx<'a> = Transaction<'a, Sqlite>;

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.opens.is_empty()
            && self.starts.is_empty()
            && self.closes.is_empty()
            && self.cursors.is_empty()
            && self.jobs.is_empty()
            && self.clock_epoch.is_none()
    }

    pub fn cursor(&mut self, job: JobId) -> &mut Cursor {
        self.cursors.entry(job).or_default()
    }
}

impl Store {
    /// Makes the batch durable as a whole, or not at all: after an error nothing is known but that
    /// the commit itself may have gone through.
    pub async fn commit(&self, batch: &Batch) -> Result<Committed> {
        let mut done = Committed::default();
        let mut tx = self.write.begin_with("BEGIN IMMEDIATE").await?;
        let mut starts: HashMap<JobId, u32> = batch.cursors.iter().map(|(id, c)| (*id, c.starts)).collect();
        done.lost_races = open_runs(&mut tx, &batch.opens).await?;
        for run in batch.opens.iter().filter(|run| done.lost_races.contains(&run.id) && counts(run)) {
            if let Some(n) = starts.get_mut(&run.job.id) {
                *n = n.saturating_sub(1);
            }
        }
        let refused = reserve(&mut tx, batch, &mut starts).await?;
        if !refused.is_empty() {
            done.over_limit = batch
                .opens
                .iter()
                .filter(|r| refused.contains(&r.job.id) && counts(r))
                .map(|r| r.id)
                .collect();
            skip_over_limit(&mut tx, &done.over_limit, batch.now).await?;
        }
        // A run may be opened, started and closed by one turn: in this order.
        start_runs(&mut tx, &batch.starts).await?;
        let closed = close_runs(&mut tx, &batch.closes).await?;
        move_cursors(&mut tx, batch, &starts).await?;
        for write in &batch.jobs {
            done.jobs.push(write_job::write_job(&mut tx, write, batch.now).await?);
        }
        let opened = batch.opens.iter().filter(|r| !done.lost_races.contains(&r.id)).map(NewRun::bytes);
        sqlx::query("UPDATE tj_system SET last_seen_ms = ?, log_bytes = log_bytes + ?, clock_epoch = coalesce(?, clock_epoch)")
            .bind(batch.now.0)
            .bind(opened.sum::<i64>() + closed)
            .bind(batch.clock_epoch)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done)
    }
}

/// Whether a run is a start that `max_run_count` counts.
fn counts(run: &NewRun) -> bool {
    run.fire.is_some() && !run.outcome.is_final()
}

/// Inserts the runs; gives back those whose fire is already taken.
async fn open_runs(tx: &mut Tx<'_>, runs: &[NewRun]) -> Result<HashSet<RunId>> {
    if runs.is_empty() {
        return Ok(HashSet::new());
    }
    let rows: Vec<Value> = runs.iter().map(open_row).collect();
    let won: Vec<i64> = sqlx::query_scalar(
        "INSERT INTO tj_runs (id, job_id, fire_ms, clock_epoch, job_name, mode, command, source, outcome, reason, \
         scheduled_ms, start_ms, end_ms, attempt, missed_to_ms, missed_count, bytes) \
         SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, \
         value->>9, value->>10, value->>11, value->>12, 1, value->>13, value->>14, value->>15 \
         FROM json_each(?) WHERE true ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(Value::from(rows).to_string())
    .fetch_all(&mut **tx)
    .await?;
    let won: HashSet<i64> = won.into_iter().collect();
    Ok(runs.iter().map(|r| r.id).filter(|id| !won.contains(&id.0)).collect())
}

fn open_row(run: &NewRun) -> Value {
    let spec = &run.job.spec;
    // A record that is final from the start ends when it is made.
    let end = run.outcome.is_final().then(|| run.start.unwrap_or(run.scheduled_at).0);
    json!([
        run.id.0,
        run.job.id.0,
        run.fire.map(|t| t.0),
        run.clock_epoch,
        spec.name,
        spec.action.mode().as_str(),
        spec.command,
        run.source.as_str(),
        run.outcome.as_str(),
        run.reason.map(Reason::as_str),
        run.scheduled_at.0,
        run.start.map(|t| t.0),
        end,
        run.missed.map(|(to, _)| to.0),
        run.missed.map(|(_, count)| count),
        run.bytes(),
    ])
}

async fn start_runs(tx: &mut Tx<'_>, starts: &[RunStart]) -> Result<()> {
    if starts.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = starts
        .iter()
        .map(|s| json!([s.run.0, s.at.0, s.attempt, s.child.map(|c| c.0), s.child.map(|c| c.1)]))
        .collect();
    sqlx::query(
        "UPDATE tj_runs SET outcome = 'running', start_ms = v.at, attempt = v.attempt, \
         pid = coalesce(v.pid, tj_runs.pid), pid_start = coalesce(v.pid_start, tj_runs.pid_start) \
         FROM (SELECT value->>0 AS id, value->>1 AS at, value->>2 AS attempt, value->>3 AS pid, value->>4 AS pid_start \
               FROM json_each(?)) AS v \
         WHERE tj_runs.id = v.id AND tj_runs.outcome IN ('waiting', 'running')",
    )
    .bind(Value::from(rows).to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Closes the runs that are open, each by its first close; gives back the bytes that came in.
async fn close_runs(tx: &mut Tx<'_>, closes: &[RunClose]) -> Result<i64> {
    if closes.is_empty() {
        return Ok(0);
    }
    let mut first = HashMap::new();
    for close in closes {
        first.entry(close.run.0).or_insert(close);
    }
    let rows: Vec<Value> = first.values().map(|close| close_row(close)).collect();
    let closed: Vec<i64> = sqlx::query_scalar(
        "UPDATE tj_runs SET outcome = v.j->>1, reason = v.j->>2, end_ms = v.j->>3, bytes = bytes + (v.j->>4), \
         exit_code = v.j->>5, error = v.j->>6, result = v.j->>7, http_method = v.j->>8, http_status = v.j->>9, \
         http_url = v.j->>10, func_name = v.j->>11, func_args = v.j->>12, func_result = v.j->>13, stdout = v.j->>14, \
         stderr = v.j->>15, http_resp = v.j->>16 \
         FROM (SELECT value AS j FROM json_each(?)) AS v \
         WHERE tj_runs.id = v.j->>0 AND tj_runs.outcome IN ('waiting', 'running') RETURNING id",
    )
    .bind(Value::from(rows).to_string())
    .fetch_all(&mut **tx)
    .await?;
    Ok(closed.iter().filter_map(|id| first.get(id)).map(|close| report_bytes(&close.report)).sum())
}

fn close_row(close: &RunClose) -> Value {
    let r = &close.report;
    json!([
        close.run.0,
        r.outcome.as_str(),
        close.reason.map(Reason::as_str),
        close.end.0,
        report_bytes(r),
        r.exit_code,
        r.error.as_ref().map(|e| json!(e).to_string()),
        r.result,
        r.http.as_ref().map(|h| &h.method),
        r.http.as_ref().map(|h| h.status),
        r.http.as_ref().map(|h| &h.url),
        r.func.as_ref().map(|f| &f.name),
        r.func.as_ref().map(|f| &f.args),
        r.func.as_ref().map(|f| &f.result),
        r.stdout,
        r.stderr,
        r.http.as_ref().map(|h| &h.response),
    ])
}

fn report_bytes(r: &Report) -> i64 {
    let http = r.http.as_ref().map_or(0, |h| h.response.len() + h.url.len());
    let func = r.func.as_ref().map_or(0, |f| f.args.len() + f.result.len());
    let text = r.stdout.len() + r.stderr.len() + r.result.as_ref().map_or(0, String::len);
    i64::try_from(text + http + func).unwrap_or(i64::MAX)
}

/// Takes the starts off the limited jobs' counts; gives back the jobs that have not enough left.
async fn reserve(tx: &mut Tx<'_>, batch: &Batch, starts: &mut HashMap<JobId, u32>) -> Result<HashSet<JobId>> {
    let limited: Vec<(JobId, u32, u32)> = batch
        .cursors
        .iter()
        .filter(|(_, c)| c.max_run_count > 0)
        .map(|(id, c)| (*id, starts.get(id).copied().unwrap_or(0), c.max_run_count))
        .filter(|(_, n, _)| *n > 0)
        .collect();
    if limited.is_empty() {
        return Ok(HashSet::new());
    }
    let rows: Vec<Value> = limited.iter().map(|(id, n, max)| json!([id.0, n, max])).collect();
    let granted: Vec<i64> = sqlx::query_scalar(
        "UPDATE tj_job_state SET run_count = run_count + v.n \
         FROM (SELECT value->>0 AS id, value->>1 AS n, value->>2 AS most FROM json_each(?)) AS v \
         WHERE tj_job_state.job_id = v.id AND tj_job_state.run_count + v.n <= v.most RETURNING job_id",
    )
    .bind(Value::from(rows).to_string())
    .fetch_all(&mut **tx)
    .await?;
    let granted: HashSet<i64> = granted.into_iter().collect();
    // What is reserved here must not be counted again when the cursor moves.
    for (id, _, _) in &limited {
        starts.insert(*id, 0);
    }
    Ok(limited.into_iter().map(|(id, _, _)| id).filter(|id| !granted.contains(&id.0)).collect())
}

async fn skip_over_limit(tx: &mut Tx<'_>, runs: &HashSet<RunId>, now: UtcMs) -> Result<()> {
    let ids = Value::from(runs.iter().map(|id| id.0).collect::<Vec<_>>()).to_string();
    sqlx::query(
        "UPDATE tj_runs SET outcome = 'skipped', reason = 'limit', end_ms = ? \
         WHERE id IN (SELECT value FROM json_each(?))",
    )
    .bind(now.0)
    .bind(ids)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn move_cursors(tx: &mut Tx<'_>, batch: &Batch, starts: &HashMap<JobId, u32>) -> Result<()> {
    if batch.cursors.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = batch
        .cursors
        .iter()
        .map(|(id, c)| {
            let n = starts.get(id).copied().unwrap_or(0);
            json!([
                id.0,
                c.decided.map(|t| t.0),
                n,
                c.immediate_done,
                c.last_run.map(|t| t.0),
                c.crash_streak
            ])
        })
        .collect();
    sqlx::query(
        "UPDATE tj_job_state SET decided_ms = coalesce(v.j->>1, decided_ms), run_count = run_count + (v.j->>2), \
         immediate_ms = CASE WHEN v.j->>3 THEN NULL ELSE immediate_ms END, \
         last_run_ms = coalesce(v.j->>4, last_run_ms), crash_streak = coalesce(v.j->>5, crash_streak) \
         FROM (SELECT value AS j FROM json_each(?)) AS v WHERE tj_job_state.job_id = v.j->>0",
    )
    .bind(Value::from(rows).to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
