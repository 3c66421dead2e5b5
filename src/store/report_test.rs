//! The numbers of a report: only the period's runs, by job, outcome and reason.

use super::store_test::*;
use crate::domain::UtcMs;
use crate::domain::run::{Outcome, Reason, Report, RunId};

const HOUR: i64 = 3_600_000;

#[tokio::test]
async fn runs_are_counted_within_the_period() {
    let (store, _dir) = fresh().await;
    let (a, b) = (add(&store, "a").await, add(&store, "b").await);
    let at = |ms: i64| RunId(RunId::first_at(UtcMs(NOW.0 + ms)).0);
    let open = |id: RunId| super::NewRun { id, ..run(&a, None) };
    // The last of the period before, the first and the last of this one, the first of the next.
    let ids = [RunId(at(0).0 - 1), at(0), at(1), RunId(at(HOUR).0 - 1), at(HOUR)];
    let opens = ids.map(open).to_vec();
    commit_opens(&store, opens.clone()).await;
    let done = |n: usize, ms: i64, outcome| super::RunClose {
        end: UtcMs(NOW.0 + ms),
        ..close(&opens[n], Report::new(outcome))
    };
    commit_closes(
        &store,
        vec![
            done(0, 7, Outcome::Success),
            done(1, 10, Outcome::Success),
            done(2, 30, Outcome::Success),
            // The clock was set back while it ran.
            done(3, -50, Outcome::Failed),
        ],
    )
    .await;
    let skipped = super::NewRun {
        id: RunId(at(5).0),
        outcome: Outcome::Skipped,
        reason: Some(Reason::Overlap),
        start: None,
        ..run(&b, Some(5))
    };
    commit_opens(&store, vec![skipped]).await;
    let mut groups = store.run_groups(NOW, UtcMs(NOW.0 + HOUR)).await.unwrap();
    groups.sort_by_key(|g| (g.job_id, g.outcome.clone()));
    let seen: Vec<_> = groups
        .iter()
        .map(|g| (g.job_name.as_str(), g.outcome.as_str(), g.runs, g.started, g.timed, g.total_ms, g.max_ms))
        .collect();
    assert_eq!(
        seen,
        [("a", "failed", 1, 1, 1, 0, 0), ("a", "success", 2, 2, 2, 40, 30), ("b", "skipped", 1, 0, 0, 0, 0)]
    );
    assert_eq!(groups[2].reason.as_deref(), Some("overlap"));
    let failures = store.run_failures(&[groups[0].last_id]).await.unwrap();
    assert_eq!((failures[0].id, failures[0].outcome.as_str()), (ids[3].0, "failed"));
    let idle = |started: Vec<i64>, to| {
        let store = store.clone();
        async move {
            let jobs = store.enabled_jobs_but(&started, to, 10).await.unwrap();
            jobs.into_iter().map(|job| job.name).collect::<Vec<_>>()
        }
    };
    assert_eq!(idle(vec![a.id.0], UtcMs(NOW.0 + HOUR)).await, ["b"]);
    assert!(idle(vec![], NOW).await.is_empty(), "made at the end of the period");
}
