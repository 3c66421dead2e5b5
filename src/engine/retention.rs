//! Keeps the run history within its bounds (semantics 13): a pass a minute over the jobs that ran
//! since, and one over all at start, so that a changed setting applies to old data too.

use super::chain;
use crate::clock::Clock;
use crate::config::Retention;
use crate::domain::UtcMs;
use crate::domain::job::JobId;
use crate::store::{Pruned, Result, RunsOf, Store};
use std::time::Duration;
use tokio::sync::watch;

const EVERY: Duration = Duration::from_secs(60);

pub(super) async fn run(store: Store, clock: Clock, mut keep: watch::Receiver<Retention>) {
    let mut since = None;
    loop {
        let now = clock.now();
        let bounds = *keep.borrow_and_update();
        match pass(&store, bounds, now, since).await {
            Ok(0) => since = Some(now),
            Ok(rows) => {
                since = Some(now);
                tracing::info!(rows, "old run records deleted");
            }
            Err(e) => tracing::error!(error = %chain(&e), "old run records could not be deleted"),
        }
        let next = now.plus(EVERY);
        while clock.now() < next && clock.now() >= now {
            tokio::select! {
                () = clock.wait_until(Some(next)) => {}
                changed = keep.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    since = None;
                    break;
                }
            }
        }
    }
}

/// Deletes what is too old, too many of one job, or too much in all; answers how many rows went.
async fn pass(store: &Store, keep: Retention, now: UtcMs, since: Option<UtcMs>) -> Result<usize> {
    let jobs: Vec<JobId> = match since {
        None => store.jobs_with_more_runs(keep.runs).await?,
        // A run may have been claimed a moment before the last pass and committed after it.
        Some(since) => store.jobs_run_since(since.minus(EVERY)).await?,
    };
    let mut rows = until_done(|| store.prune_older(now.minus(keep.age))).await?;
    for job in jobs {
        rows += until_done(|| store.prune_job(job, keep.runs)).await?;
    }
    loop {
        let excess = store.system().await?.log_bytes.saturating_sub_unsigned(keep.bytes);
        if excess <= 0 {
            break;
        }
        let pruned = store.prune_oldest(excess).await?;
        rows += pruned.rows;
        if pruned.rows == 0 {
            break;
        }
    }
    while rows > 0 && store.shrink().await? {}
    Ok(rows)
}

/// Deletes what somebody asked for and gives the space back; answers how many rows went.
pub(super) async fn clear(store: &Store, of: RunsOf) -> Result<usize> {
    let rows = until_done(|| store.prune_asked(of)).await?;
    while rows > 0 && store.shrink().await? {}
    Ok(rows)
}

/// Small batches: between two of them the writer is free for fires.
async fn until_done<F: Future<Output = Result<Pruned>>>(prune: impl Fn() -> F) -> Result<usize> {
    let mut rows = 0;
    loop {
        let pruned = prune().await?;
        rows += pruned.rows;
        if !pruned.more {
            return Ok(rows);
        }
    }
}
