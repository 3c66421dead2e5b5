//! Keeps the run history within its bounds (semantics 13): a pass at start and every minute. Which
//! jobs have too many runs is read from the counts; nothing looks through the runs themselves.

use super::chain;
use crate::clock::Clock;
use crate::config::Retention;
use crate::domain::UtcMs;
use crate::domain::run::RunId;
use crate::store::{Portion, Pruned, Result, RunsOf, Store};
use std::time::Duration;
use tokio::sync::watch;

const EVERY: Duration = Duration::from_secs(60);
const REST_MAX: Duration = Duration::from_secs(1);
/// A step that takes less may be larger, one that takes more must be smaller: fires wait for it.
const QUICK: Duration = Duration::from_millis(30);
const SLOW: Duration = Duration::from_millis(100);
const ROWS_MIN: i64 = 50;
const ROWS_MAX: i64 = 2_000;
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
    let mut pace = Pace::new(clock);
    let cutoff = now.minus(keep.age);
    let mut rows = pace.until_done(FIRST, |portion| store.prune_older(cutoff, portion)).await?;
    for job in store.jobs_with_more_runs(keep.runs).await? {
        if let Some((first, last)) = store.surplus(job, keep.runs).await? {
            let before = RunId(first.0 - 1);
            rows += pace.until_done(before, |portion| store.prune_job(job, last, portion)).await?;
        }
    }
    let mut next = Some(FIRST);
    while let Some(after) = next {
        let excess = store.system().await?.log_bytes.saturating_sub_unsigned(keep.bytes);
        if excess <= 0 {
            break;
        }
        let portion = Portion { after, most: pace.rows };
        let pruned = pace.step(store.prune_oldest(excess, portion)).await?;
        rows += pruned.rows;
        next = pruned.more;
    }
    let audit = now.minus(keep.audit);
    loop {
        let most = pace.rows;
        let gone = pace.step(store.prune_audit(audit, keep.audit_rows, most)).await?;
        rows += gone;
        if (gone as i64) < most {
            break;
        }
    }
    while rows > 0 && pace.step(store.shrink()).await? {}
    Ok(rows)
}

/// Deletes what somebody asked for and gives the space back; answers how many rows went.
pub(super) async fn clear(store: &Store, clock: &Clock, of: RunsOf) -> Result<usize> {
    let mut pace = Pace::new(clock);
    let rows = pace.until_done(FIRST, |portion| store.prune_asked(of, portion)).await?;
    while rows > 0 && pace.step(store.shrink()).await? {}
    Ok(rows)
}

/// How fast the work may go: in steps that the writer can be without, with rests between them.
struct Pace<'a> {
    clock: &'a Clock,
    /// Rows that the next step may delete.
    rows: i64,
}

impl<'a> Pace<'a> {
    fn new(clock: &'a Clock) -> Self {
        Self { clock, rows: 100 }
    }

    async fn until_done<F: Future<Output = Result<Pruned>>>(
        &mut self,
        first: RunId,
        prune: impl Fn(Portion) -> F,
    ) -> Result<usize> {
        let (mut rows, mut next) = (0, Some(first));
        while let Some(after) = next {
            let pruned = self.step(prune(Portion { after, most: self.rows })).await?;
            rows += pruned.rows;
            next = pruned.more;
        }
        Ok(rows)
    }

    /// Rests as long as the work took: half of the disk's time, at least, is for fires.
    async fn step<T>(&mut self, work: impl Future<Output = T>) -> T {
        let before = self.clock.read().elapsed;
        let done = work.await;
        let took = self.clock.read().elapsed.saturating_sub(before);
        self.adapt(took);
        tokio::time::sleep(took.min(REST_MAX)).await;
        done
    }

    /// A row to delete may be a read from the disk in each index, or nearly nothing: what the last step
    /// took decides how large the next one is.
    fn adapt(&mut self, took: Duration) {
        if took < QUICK {
            self.rows = (self.rows * 2).min(ROWS_MAX);
        } else if took > SLOW {
            self.rows = (self.rows / 2).max(ROWS_MIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_while_they_are_quick_and_shrink_when_they_are_slow() {
        let mut pace = Pace::new(&Clock::System);
        let steps =
            [(1, 200), (29, 400), (30, 400), (100, 400), (101, 200), (900, 100), (900, 50), (900, 50)];
        for (millis, rows) in steps {
            pace.adapt(Duration::from_millis(millis));
            assert_eq!(pace.rows, rows, "{millis} ms");
        }
        for _ in 0..9 {
            pace.adapt(Duration::ZERO);
        }
        assert_eq!(pace.rows, ROWS_MAX);
    }
}
