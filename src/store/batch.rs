//! One transaction for everything that one turn of the engine decided: the group commit. However
//! many fires a batch holds, each table is touched by one statement.

use super::db::Conn;
use super::record::{CLOSED, OPENED, close_row, open_row, report_bytes};
use super::sql::{Dialect, Kind, Rows, Sql, list};
use super::totals::Counted;
use super::{Result, Store, write_job};
use crate::domain::UtcMs;
use crate::domain::audit::Entry;
use crate::domain::job::{Job, JobId, JobSpec, Removal, StopReason};
use crate::domain::run::{Outcome, Reason, Report, RunId, Source};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// What is to be made durable together.
#[derive(Debug, Default)]
pub struct Batch {
    pub now: UtcMs,
    pub opens: Vec<NewRun>,
    pub starts: Vec<RunStart>,
    pub closes: Vec<RunClose>,
    pub cursors: HashMap<JobId, Cursor>,
    pub jobs: Vec<JobWrite>,
    /// What is told of this in the audit log; where one of `jobs` is named, only when that is done.
    pub audit: Vec<(Option<usize>, Entry)>,
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
    pub(super) fn bytes(&self) -> i64 {
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
    pub job: JobId,
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
    Insert {
        spec: Box<JobSpec>,
        removal: Removal,
        immediate: bool,
    },
    /// With `version` only that version of the job is changed.
    Update {
        id: JobId,
        spec: Box<JobSpec>,
        reset: Option<StateReset>,
        version: Option<i64>,
    },
    Enable {
        id: JobId,
        reset: StateReset,
    },
    Stop {
        id: JobId,
        reason: Option<StopReason>,
    },
    StopAll,
    Delete {
        id: JobId,
        with_runs: bool,
        version: Option<i64>,
    },
    DeleteRun {
        run: RunId,
    },
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
    /// It is another version than was meant, and stays as it is.
    Changed,
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

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.opens.is_empty()
            && self.starts.is_empty()
            && self.closes.is_empty()
            && self.cursors.is_empty()
            && self.jobs.is_empty()
            && self.audit.is_empty()
            && self.clock_epoch.is_none()
    }

    pub fn cursor(&mut self, job: JobId) -> &mut Cursor {
        self.cursors.entry(job).or_default()
    }
}

impl Store {
    /// One attempt at `commit`.
    pub(super) async fn commit_once(&self, batch: &Batch) -> Result<Committed> {
        if let Some(done) = self.commit_at_once(batch).await? {
            return Ok(done);
        }
        let mut done = Committed::default();
        let patience = self.write.server().map_or(Duration::MAX, |server| server.link.patience());
        let mut tx = self.write.conn_within(patience).await?.begin().await?;
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
        if !batch.starts.is_empty() {
            tx.execute_all(&self::starts(tx.dialect(), &batch.starts)).await?;
        }
        let mut counted = Counted::default();
        let closed = close_runs(&mut tx, &batch.closes, &mut counted).await?;
        if !batch.cursors.is_empty() {
            let starts = |id: &JobId| starts.get(id).copied().unwrap_or(0);
            tx.execute_all(&cursors(tx.dialect(), batch, starts)).await?;
        }
        for write in &batch.jobs {
            done.jobs.push(write_job::write_job(&mut tx, write, batch.now, &mut counted).await?);
        }
        note(&mut tx, &batch.audit, &done.jobs).await?;
        let mut bytes = closed;
        for run in batch.opens.iter().filter(|r| !done.lost_races.contains(&r.id)) {
            bytes += run.bytes();
            let skipped = done.over_limit.contains(&run.id).then_some(Outcome::Skipped);
            let outcome = skipped.unwrap_or(run.outcome);
            if outcome.is_final() {
                counted.add(run.job.id.0, run.id, outcome.as_str(), 1);
            }
        }
        self.only_ours(tx.execute(&self.seen(batch, bytes)).await?)?;
        counted.save(&mut tx).await?;
        tx.commit().await?;
        Ok(done)
    }

    /// The row that every commit writes: it fails where another server has the database.
    pub(super) fn seen(&self, batch: &Batch, bytes: i64) -> Sql {
        let text = "UPDATE tj_system SET last_seen_ms = ?, log_bytes = log_bytes + ?, \
                    clock_epoch = coalesce(?, clock_epoch)";
        self.in_our_term(Sql::new(text).bind(batch.now.0).bind(bytes).bind(batch.clock_epoch))
    }
}

/// Tells of the changes that were made.
async fn note(tx: &mut Conn, audit: &[(Option<usize>, Entry)], done: &[JobWritten]) -> Result<()> {
    let made = audit.iter().filter_map(|(write, entry)| match write.map(|at| done.get(at)) {
        None => Some(entry.clone()),
        // Only now a new job has its number.
        Some(Some(JobWritten::Done(job))) if entry.target.kind == "job" => {
            Some(entry.clone().on_job(Some(*job), &entry.target.name))
        }
        Some(Some(JobWritten::Done(_))) => Some(entry.clone()),
        Some(_) => None,
    });
    let made: Vec<Entry> = made.collect();
    tx.note(&made.iter().collect::<Vec<_>>()).await
}

/// Whether a run is a start that `max_run_count` counts.
fn counts(run: &NewRun) -> bool {
    run.fire.is_some() && !run.outcome.is_final()
}

pub(super) fn opens(dialect: Dialect, runs: &[NewRun]) -> Vec<Sql> {
    Rows::new(OPENED, runs.iter().map(open_row).collect()).insert(dialect, "tj_runs", "id")
}

/// Inserts the runs; gives back those whose fire is already taken.
async fn open_runs(tx: &mut Conn, runs: &[NewRun]) -> Result<HashSet<RunId>> {
    if runs.is_empty() {
        return Ok(HashSet::new());
    }
    tx.execute_all(&opens(tx.dialect(), runs)).await?;
    let text = format!("SELECT id FROM tj_runs WHERE id IN {}", list(runs.iter().map(|r| r.id.0)));
    let won: Vec<(i64,)> = tx.fetch(&Sql { keep: false, ..Sql::new(text) }).await?;
    let won: HashSet<i64> = won.into_iter().map(|(id,)| id).collect();
    Ok(runs.iter().map(|r| r.id).filter(|id| !won.contains(&id.0)).collect())
}

const OPEN: &str = "tj_runs.outcome IN ('waiting', 'running')";

/// A run that has ended stays as it is.
pub(super) fn starts(dialect: Dialect, starts: &[RunStart]) -> Vec<Sql> {
    const COLUMNS: &[(&str, Kind)] = &[
        ("id", Kind::Int),
        ("at", Kind::Int),
        ("attempt", Kind::Int),
        ("pid", Kind::Int),
        ("pid_start", Kind::Int),
    ];
    let row = |s: &RunStart| {
        let child = s.child.map(|(pid, start)| (i64::from(pid), i64::try_from(start).unwrap_or(i64::MAX)));
        vec![
            s.run.0.into(),
            s.at.0.into(),
            i64::from(s.attempt).into(),
            child.map(|c| c.0).into(),
            child.map(|c| c.1).into(),
        ]
    };
    let set = [
        ("outcome", "'running'"),
        ("start_ms", "v.at"),
        ("attempt", "v.attempt"),
        ("pid", "coalesce(v.pid, tj_runs.pid)"),
        ("pid_start", "coalesce(v.pid_start, tj_runs.pid_start)"),
    ];
    let condition = format!("tj_runs.id = v.id AND {OPEN}");
    let rows = Rows::new(COLUMNS, starts.iter().map(row).collect());
    rows.update(dialect, "tj_runs", &set, &condition)
}

/// A run that has ended stays as it is.
pub(super) fn closes(dialect: Dialect, closes: &[&RunClose]) -> Vec<Sql> {
    let value = |name: &str| {
        if name == "bytes" { "tj_runs.bytes + v.bytes".into() } else { format!("v.{name}") }
    };
    let set: Vec<_> = CLOSED[1..].iter().map(|(name, _)| (*name, value(name))).collect();
    let set: Vec<_> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let rows = Rows::new(CLOSED, closes.iter().map(|close| close_row(close)).collect());
    rows.update(dialect, "tj_runs", &set, &format!("tj_runs.id = v.id AND {OPEN}"))
}

/// Closes the runs that are open, each by its first close; gives back the bytes that came in.
async fn close_runs(tx: &mut Conn, closes: &[RunClose], counted: &mut Counted) -> Result<i64> {
    if closes.is_empty() {
        return Ok(0);
    }
    let ids = list(closes.iter().map(|close| close.run.0));
    let text = format!("SELECT id, job_id FROM tj_runs WHERE id IN {ids} AND {OPEN}{}", tx.dialect().lock());
    let open: Vec<(i64, i64)> = tx.fetch(&Sql { keep: false, ..Sql::new(text) }).await?;
    let mut open: HashMap<i64, i64> = open.into_iter().collect();
    let mut first = Vec::new();
    for close in closes {
        if let Some(job) = open.remove(&close.run.0) {
            counted.add(job, close.run, close.report.outcome.as_str(), 1);
            first.push(close);
        }
    }
    if !first.is_empty() {
        tx.execute_all(&self::closes(tx.dialect(), &first)).await?;
    }
    Ok(first.iter().map(|close| report_bytes(&close.report)).sum())
}

/// Takes the starts off the limited jobs' counts; gives back the jobs that have not enough left.
async fn reserve(tx: &mut Conn, batch: &Batch, starts: &mut HashMap<JobId, u32>) -> Result<HashSet<JobId>> {
    const COLUMNS: &[(&str, Kind)] = &[("id", Kind::Int), ("n", Kind::Int)];
    let limited: HashMap<i64, (u32, u32)> = batch
        .cursors
        .iter()
        .filter(|(_, c)| c.max_run_count > 0)
        .map(|(id, c)| (id.0, (starts.get(id).copied().unwrap_or(0), c.max_run_count)))
        .filter(|(_, (n, _))| *n > 0)
        .collect();
    if limited.is_empty() {
        return Ok(HashSet::new());
    }
    // The rows are locked, so that what is read here is what is counted on below.
    let ids = list(limited.keys().copied());
    let text =
        format!("SELECT job_id, run_count FROM tj_job_state WHERE job_id IN {ids}{}", tx.dialect().lock());
    let counts: Vec<(i64, i64)> = tx.fetch(&Sql { keep: false, ..Sql::new(text) }).await?;
    let granted: HashMap<i64, u32> = counts
        .into_iter()
        .filter_map(|(id, count)| {
            let (n, most) = limited.get(&id)?;
            (count + i64::from(*n) <= i64::from(*most)).then_some((id, *n))
        })
        .collect();
    if !granted.is_empty() {
        let rows = granted.iter().map(|(id, n)| vec![(*id).into(), i64::from(*n).into()]).collect();
        let set = [("run_count", "tj_job_state.run_count + v.n")];
        let rows = Rows::new(COLUMNS, rows);
        tx.execute_all(&rows.update(tx.dialect(), "tj_job_state", &set, "tj_job_state.job_id = v.id"))
            .await?;
    }
    // What is reserved here must not be counted again when the cursor moves.
    for id in limited.keys() {
        starts.insert(JobId(*id), 0);
    }
    Ok(limited.into_keys().filter(|id| !granted.contains_key(id)).map(JobId).collect())
}

async fn skip_over_limit(tx: &mut Conn, runs: &HashSet<RunId>, now: UtcMs) -> Result<()> {
    let text = format!(
        "UPDATE tj_runs SET outcome = 'skipped', reason = 'limit', end_ms = ? WHERE id IN {}",
        list(runs.iter().map(|id| id.0))
    );
    tx.execute(&Sql { keep: false, ..Sql::new(text) }.bind(now.0)).await?;
    Ok(())
}

/// `starts` are what is still to be counted of each job.
pub(super) fn cursors(dialect: Dialect, batch: &Batch, starts: impl Fn(&JobId) -> u32) -> Vec<Sql> {
    const COLUMNS: &[(&str, Kind)] = &[
        ("id", Kind::Int),
        ("decided", Kind::Int),
        ("n", Kind::Int),
        ("done", Kind::Int),
        ("last_run", Kind::Int),
        ("streak", Kind::Int),
    ];
    let row = |(id, c): (&JobId, &Cursor)| {
        let n = starts(id);
        vec![
            id.0.into(),
            c.decided.map(|t| t.0).into(),
            i64::from(n).into(),
            i64::from(c.immediate_done).into(),
            c.last_run.map(|t| t.0).into(),
            c.crash_streak.into(),
        ]
    };
    // In one order, so that two servers never wait for each other crosswise.
    let mut cursors: Vec<_> = batch.cursors.iter().collect();
    cursors.sort_unstable_by_key(|(id, _)| **id);
    let set = [
        ("decided_ms", "coalesce(v.decided, tj_job_state.decided_ms)"),
        ("run_count", "tj_job_state.run_count + v.n"),
        ("immediate_ms", "CASE WHEN v.done = 1 THEN NULL ELSE tj_job_state.immediate_ms END"),
        ("last_run_ms", "coalesce(v.last_run, tj_job_state.last_run_ms)"),
        ("crash_streak", "coalesce(v.streak, tj_job_state.crash_streak)"),
    ];
    let rows = Rows::new(COLUMNS, cursors.into_iter().map(row).collect());
    rows.update(dialect, "tj_job_state", &set, "tj_job_state.job_id = v.id")
}
