//! Lists of runs: their totals come from the counts, their pages from the nearer end of an index.

use super::retention_test::behind;
use super::store_test::*;
use super::*;
use crate::domain::UtcMs;
use crate::domain::job::{Job, JobId};
use crate::domain::run::{Outcome, Report, RunId};
use std::sync::Arc;

const OUTCOMES: [Outcome; 9] = [
    Outcome::Waiting,
    Outcome::Running,
    Outcome::Success,
    Outcome::Failed,
    Outcome::Timeout,
    Outcome::Cancelled,
    Outcome::Skipped,
    Outcome::Missed,
    Outcome::Lost,
];
const SLOT: i64 = 900_000;

/// Runs of two jobs with every outcome, some in this quarter of an hour and some in the one before.
async fn all_kinds(store: &Store) -> Vec<(JobId, RunId, Outcome)> {
    let jobs = [add(store, "a").await, add(store, "b").await];
    let (mut made, mut opens, mut closes) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..60_usize {
        let at = UtcMs(NOW.0 / SLOT * SLOT + if n < 23 { -1 } else { 0 });
        let (job, outcome) = (&jobs[n % 2], OUTCOMES[n / 2 % OUTCOMES.len()]);
        let id = RunId(RunId::first_at(at).0 + n as i64);
        let open: &Arc<Job> = job;
        opens.push(match outcome {
            Outcome::Waiting => NewRun { id, ..waiting(open, None) },
            Outcome::Skipped | Outcome::Missed => NewRun { id, outcome, ..run(open, None) },
            _ => NewRun { id, ..run(open, None) },
        });
        if opens[n].outcome == Outcome::Running && outcome != Outcome::Running {
            closes.push(close(&opens[n], Report::new(outcome)));
        }
        made.push((job.id, id, outcome));
    }
    commit_opens(store, opens).await;
    commit_closes(store, closes).await;
    made
}

/// The counts are those of the runs that are there.
pub(super) async fn counts_match(store: &Store) {
    let slot = if store.dialect() == Dialect::MySql {
        "CAST((id >> 21) DIV 900000 AS SIGNED)"
    } else {
        "(id >> 21) / 900000"
    };
    // The numbers have the columns' type.
    let ended =
        [("job_id", "job_id * 0 - 1"), ("job_id * 0", "job_id * 0 - 1"), ("job_id * 0", slot)].map(|of| {
            format!(
                "SELECT {} AS job, {} AS slot, outcome, count(*) AS runs FROM tj_runs \
             WHERE outcome NOT IN ('waiting', 'running') GROUP BY 1, 2, 3",
                of.0, of.1
            )
        });
    let text = format!("SELECT job, slot, outcome, runs FROM ({}) AS u", ended.join(" UNION ALL "));
    let mut there: Vec<(i64, i64, String, i64)> = store.write.fetch(&Sql::new(text)).await.unwrap();
    let text = "SELECT job_id, slot, outcome, runs FROM tj_run_counts";
    let mut counted: Vec<(i64, i64, String, i64)> = store.write.fetch(&Sql::new(text)).await.unwrap();
    there.sort();
    counted.sort();
    assert_eq!(counted, there);
}

/// Every list that the API can ask for.
fn lists() -> Vec<RunsOf> {
    let start = NOW.0 / SLOT * SLOT;
    let days = [None, Some((start - SLOT, start)), Some((start, start + SLOT)), Some((start - 1, start + 1))];
    let mut lists = Vec::new();
    for job in [None, Some(JobId(1)), Some(JobId(2)), Some(JobId(99))] {
        for day in days.map(|day| day.map(|(from, to)| (UtcMs(from), UtcMs(to)))) {
            lists.push(RunsOf { job, day, outcome: None });
            lists.extend(OUTCOMES.map(|outcome| RunsOf { job, day, outcome: Some(outcome) }));
        }
    }
    lists
}

#[tokio::test]
async fn totals_and_pages_are_those_of_the_runs() {
    let (store, _dir) = fresh().await;
    let made = all_kinds(&store).await;
    books_balance(&store).await;
    for of in lists() {
        let within = |id: RunId| of.day.is_none_or(|(from, to)| (from..to).contains(&id.created_at()));
        let of_these = |(job, id, outcome): &&(JobId, RunId, Outcome)| {
            of.job.is_none_or(|j| j == *job) && within(*id) && of.outcome.is_none_or(|o| o == *outcome)
        };
        let mut wanted: Vec<i64> = made.iter().filter(of_these).map(|(_, id, _)| id.0).collect();
        for newest_first in [false, true] {
            for size in [7, 100] {
                let mut listed = Vec::new();
                for page in 1..=wanted.len() as i64 / size + 2 {
                    let found = store.runs_page(of, newest_first, page, size).await.unwrap();
                    assert_eq!(found.total, wanted.len() as i64, "{of:?}");
                    assert!(found.items.len() as i64 <= size);
                    listed.extend(found.items.into_iter().map(|run| run.id));
                }
                assert_eq!(listed, wanted, "{of:?}, newest first: {newest_first}, {size} a page");
            }
            wanted.reverse();
        }
    }
    let far = store.runs_page(RunsOf::default(), true, i64::MAX, 1_000).await.unwrap();
    assert_eq!((far.total, far.items.len()), (60, 0));
}

#[tokio::test]
async fn what_is_deleted_is_no_longer_counted() {
    let (store, _dir) = fresh().await;
    let made = all_kinds(&store).await;
    let (first, second) = (made[0].0, made[1].0);
    let gone = made.iter().find(|(job, _, outcome)| (*job, *outcome) == (second, Outcome::Failed)).unwrap();
    let deletes = vec![
        JobWrite::DeleteRun { run: gone.1 },
        JobWrite::Delete { id: first, with_runs: true, version: None },
    ];
    store.commit(&Batch { now: NOW, jobs: deletes, ..Batch::default() }).await.unwrap();
    books_balance(&store).await;
    let of = |job| RunsOf { job: Some(job), ..RunsOf::default() };
    assert_eq!(store.total(of(first)).await.unwrap(), 0);
    assert_eq!(store.total(of(second)).await.unwrap(), 29);
    while store.prune_asked(of(second), behind(RunId(-1))).await.unwrap().more.is_some() {}
    books_balance(&store).await;
    let left = made.iter().filter(|(job, _, outcome)| *job == second && !outcome.is_final()).count() as i64;
    assert_eq!(store.total(RunsOf::default()).await.unwrap(), left, "open runs stay");
    assert_eq!(
        store.raw_number("SELECT count(*) FROM tj_run_counts").await,
        0,
        "a count of nothing is no row"
    );
}

/// With five million runs stored, no list may sort them or read those that it does not show.
#[tokio::test]
async fn every_list_is_read_in_the_order_of_an_index() {
    let (store, _dir) = fresh_file().await;
    for of in lists() {
        let open = of.outcome.is_some_and(|outcome| !outcome.is_final());
        let mut sql = Sql::new("EXPLAIN QUERY PLAN ");
        of.push_ids(&mut sql, Dialect::Sqlite, true);
        sql.push(" LIMIT 10 OFFSET 0");
        let plan: Vec<(i64, i64, i64, String)> = store.read.fetch(&sql).await.unwrap();
        let plan: Vec<_> = plan.into_iter().map(|step| step.3).collect();
        let unusual = of.outcome.is_some_and(|o| o.is_final() && o != Outcome::Success);
        let index = match of {
            _ if open => "tj_runs_open",
            RunsOf { job: Some(_), .. } if unusual => "tj_runs_unusual_job (job_id=? AND outcome=?",
            RunsOf { job: Some(_), .. } => "tj_runs_job (job_id=?",
            _ if unusual => "tj_runs_unusual (outcome=?",
            RunsOf { day: Some(_), .. } => "SEARCH tj_runs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
            _ => "SCAN tj_runs",
        };
        assert!(plan[0].contains(index), "{of:?}: {plan:?}");
        // The open runs are few.
        assert!(open || plan.len() == 1, "{of:?}: {plan:?}");
    }
}
