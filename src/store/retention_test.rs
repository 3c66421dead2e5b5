//! Old records go in small batches; open runs stay, the books balance, the space is given back.

use super::store_test::*;
use super::*;
use crate::domain::UtcMs;
use crate::domain::job::{Job, JobId};
use crate::domain::run::{Outcome, Report, RunId};
use std::sync::Arc;

const NOTHING: Pruned = Pruned { rows: 0, more: None };
const FIRST: RunId = RunId(-1);

/// One batch of what a job has beyond its `keep` newest runs.
/// What lies behind this run, a hundred rows at a time.
pub(super) fn behind(after: RunId) -> Portion {
    Portion { after, most: 100 }
}

async fn prune_job(store: &Store, job: JobId, keep: u32) -> Pruned {
    match store.surplus(job, keep).await.unwrap() {
        Some((first, last)) => store.prune_job(job, last, behind(RunId(first.0 - 1))).await.unwrap(),
        None => NOTHING,
    }
}

/// An ended run created at `at`; a record that is final from the start.
fn ended(job: &Arc<Job>, at: UtcMs, seq: i64) -> NewRun {
    let id = RunId(RunId::first_at(at).0 + seq);
    NewRun { id, outcome: Outcome::Skipped, ..run(job, None) }
}

async fn left(store: &Store, job: &Arc<Job>) -> Vec<i64> {
    let of = RunsOf { job: Some(job.id), day: None, outcome: None };
    store.runs_page(of, false, 1, 10_000).await.unwrap().items.iter().map(|r| r.id).collect()
}

#[tokio::test]
async fn runs_older_than_the_cutoff_go() {
    let (store, _dir) = fresh().await;
    let job = add(&store, "a").await;
    let before = UtcMs(NOW.0 - 1);
    let old = ended(&job, before, 5);
    let open = NewRun { outcome: Outcome::Running, ..ended(&job, before, 6) };
    let queued = NewRun { outcome: Outcome::Waiting, start: None, ..ended(&job, before, 7) };
    let edge = ended(&job, NOW, 0);
    commit_opens(&store, vec![old, open.clone(), queued.clone(), edge.clone()]).await;
    assert_eq!(store.prune_older(NOW, behind(FIRST)).await.unwrap(), Pruned { rows: 1, more: None });
    assert_eq!(left(&store, &job).await, [open.id.0, queued.id.0, edge.id.0], "open runs are never deleted");
    assert_eq!(store.prune_older(NOW, behind(FIRST)).await.unwrap(), NOTHING);
    books_balance(&store).await;
    commit_closes(&store, vec![close(&open, Report::new(Outcome::Success))]).await;
    assert_eq!(store.prune_older(NOW, behind(FIRST)).await.unwrap().rows, 1, "once it has ended it goes");
    books_balance(&store).await;
    let at = store.job(job.id).await.unwrap().unwrap().state.decided_ms;
    assert_eq!(at, NOW.0, "the last decided instant is kept for ever");
}

#[tokio::test]
async fn a_job_keeps_its_newest_runs() {
    let (store, _dir) = fresh().await;
    let (job, other) = (add(&store, "a").await, add(&store, "b").await);
    let mut opens: Vec<_> = (0..10).map(|n| ended(&job, NOW, n)).collect();
    opens[1].outcome = Outcome::Running;
    opens.extend((10..13).map(|n| ended(&other, NOW, n)));
    commit_opens(&store, opens).await;
    let first = RunId::first_at(NOW).0;
    assert_eq!(store.jobs_with_more_runs(3).await.unwrap(), [job.id]);
    assert_eq!(store.jobs_with_more_runs(10).await.unwrap(), []);
    assert_eq!(prune_job(&store, job.id, 10).await, NOTHING);
    assert_eq!(prune_job(&store, job.id, 11).await, NOTHING);
    assert_eq!(prune_job(&store, job.id, 4).await, Pruned { rows: 5, more: None });
    assert_eq!(left(&store, &job).await, [1, 6, 7, 8, 9].map(|n| first + n), "run 1 is still at work");
    assert_eq!(prune_job(&store, job.id, 0).await.rows, 4);
    assert_eq!(left(&store, &other).await.len(), 3, "another job's runs are its own");
    books_balance(&store).await;
}

#[tokio::test]
async fn the_oldest_of_all_go_in_batches() {
    let (store, _dir) = fresh().await;
    let (job, other) = (add(&store, "a").await, add(&store, "b").await);
    let mut opens: Vec<_> = (0..220).map(|n| ended(if n % 2 == 0 { &job } else { &other }, NOW, n)).collect();
    opens[0].outcome = Outcome::Running;
    commit_opens(&store, opens).await;
    let first = RunId::first_at(NOW).0;
    assert_eq!(
        store.prune_oldest(i64::MAX, behind(FIRST)).await.unwrap(),
        Pruned { rows: 100, more: Some(RunId(first + 100)) }
    );
    books_balance(&store).await;
    assert_eq!(left(&store, &job).await[..2], [first, first + 102]);
    assert_eq!(left(&store, &other).await[0], first + 101);
    assert_eq!(
        store.prune_oldest(i64::MAX, behind(FIRST)).await.unwrap(),
        Pruned { rows: 100, more: Some(RunId(first + 200)) }
    );
    assert_eq!(store.prune_oldest(i64::MAX, behind(FIRST)).await.unwrap(), Pruned { rows: 19, more: None });
    assert_eq!(store.prune_oldest(i64::MAX, behind(FIRST)).await.unwrap(), NOTHING);
    assert_eq!((left(&store, &job).await, left(&store, &other).await), (vec![first], vec![]));
    books_balance(&store).await;
}

#[tokio::test]
async fn much_output_is_deleted_bit_by_bit_and_its_space_given_back() {
    let (store, dir) = fresh_file().await;
    let job = add(&store, "a").await;
    let mib = Report { stdout: "x".repeat(1 << 20), ..Report::new(Outcome::Success) };
    let opens: Vec<_> =
        (0..20).map(|n| NewRun { outcome: Outcome::Running, ..ended(&job, NOW, n) }).collect();
    commit_opens(&store, opens.clone()).await;
    for open in &opens {
        commit_closes(&store, vec![close(open, mib.clone())]).await;
    }
    books_balance(&store).await;
    assert!(store.system().await.unwrap().log_bytes >= 20 << 20);
    store.close().await;
    let path = dir.path();
    let full = std::fs::metadata(&path).unwrap().len();
    assert!(full > 20 << 20);

    let store = Store::open(&path).await.unwrap();
    let pruned = prune_job(&store, job.id, 1).await;
    assert_eq!(pruned, Pruned { rows: 8, more: Some(opens[7].id) }, "about 8 MiB in one transaction");
    books_balance(&store).await;
    while store.shrink().await.unwrap() {}
    store.close().await;
    let smaller = std::fs::metadata(&path).unwrap().len();
    assert!(full - smaller > 7 << 20, "{full} bytes, then {smaller}");

    let store = Store::open(&path).await.unwrap();
    while store.prune_oldest(i64::MAX, behind(FIRST)).await.unwrap().more.is_some() {}
    while store.shrink().await.unwrap() {}
    books_balance(&store).await;
    assert_eq!(store.system().await.unwrap().log_bytes, 0);
    store.close().await;
    let empty = std::fs::metadata(&path).unwrap().len();
    assert!(empty < 1 << 20, "{full} bytes, then {empty}");
}

#[tokio::test]
async fn a_file_that_keeps_its_pages_does_not_keep_us_shrinking() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("older.db");
    // Another program made this file: it has a table, and no auto_vacuum.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let older = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("CREATE TABLE xiaohus_jobs (id INTEGER)").execute(&older).await.unwrap();
    older.close().await;
    let store = Store::open(&path).await.unwrap();
    let job = add(&store, "a").await;
    let opens: Vec<_> = (0..400).map(|n| ended(&job, NOW, n)).collect();
    commit_opens(&store, opens).await;
    while store.prune_oldest(i64::MAX, behind(FIRST)).await.unwrap().more.is_some() {}
    assert!(!store.shrink().await.unwrap(), "there is nothing to be had");
}
