//! Keeps the run history within its bounds (semantics 13): a pass at start and every minute. Which
//! jobs have too many runs is read from the counts; nothing looks through the runs themselves.

use super::chain;
use crate::clock::Clock;
use crate::config::Retention;
use crate::domain::UtcMs;
use crate::domain::run::RunId;
use crate::store::{Pruned, Result, RunsOf, Store};
use std::time::Duration;
use tokio::sync::watch;

const EVERY: Duration = Duration::from_secs(60);
const REST_MAX: Duration = Duration::from_secs(1);
/// Before every run.
const FIRST: RunId = RunId(-1);

pub(super) async fn run(store: Store, clock: Clock, mut keep: watch::Receiver<Retention>) {
    loop {
        let now = clock.now();
        let bounds = *keep.borrow_and_update();
        match pass(&store, &clock, bounds, now).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "old run records deleted"),
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
                    break;
                }
            }
        }
    }
}

/// Deletes what is too old, too many of one job, or too much in all; answers how many rows went.
async fn pass(store: &Store, clock: &Clock, keep: Retention, now: UtcMs) -> Result<usize> {
    let cutoff = now.minus(keep.age);
    let mut rows = until_done(clock, FIRST, |after| store.prune_older(cutoff, after)).await?;
    for job in store.jobs_with_more_runs(keep.runs).await? {
        if let Some((first, last)) = store.surplus(job, keep.runs).await? {
            let before = RunId(first.0 - 1);
            rows += until_done(clock, before, |after| store.prune_job(job, last, after)).await?;
        }
    }
    let mut next = Some(FIRST);
    while let Some(after) = next {
        let excess = store.system().await?.log_bytes.saturating_sub_unsigned(keep.bytes);
        if excess <= 0 {
            break;
        }
        let pruned = paced(clock, store.prune_oldest(excess, after)).await?;
        rows += pruned.rows;
        next = pruned.more;
    }
    while rows > 0 && paced(clock, store.shrink()).await? {}
    Ok(rows)
}

/// Deletes what somebody asked for and gives the space back; answers how many rows went.
pub(super) async fn clear(store: &Store, clock: &Clock, of: RunsOf) -> Result<usize> {
    let rows = until_done(clock, FIRST, |after| store.prune_asked(of, after)).await?;
    while rows > 0 && paced(clock, store.shrink()).await? {}
    Ok(rows)
}

/// Small batches: between two of them the writer is free for fires.
async fn until_done<F: Future<Output = Result<Pruned>>>(
    clock: &Clock,
    first: RunId,
    prune: impl Fn(RunId) -> F,
) -> Result<usize> {
    let (mut rows, mut next) = (0, Some(first));
    while let Some(after) = next {
        let pruned = paced(clock, prune(after)).await?;
        rows += pruned.rows;
        next = pruned.more;
    }
    Ok(rows)
}

/// Rests as long as the work took: half of the disk's time, at least, is for fires.
async fn paced<T>(clock: &Clock, work: impl Future<Output = T>) -> T {
    let before = clock.read().elapsed;
    let done = work.await;
    tokio::time::sleep(clock.read().elapsed.saturating_sub(before).min(REST_MAX)).await;
    done
}
