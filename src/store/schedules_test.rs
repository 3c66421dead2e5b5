//! The triggers of the enabled jobs, grouped.

use super::store_test::*;
use crate::domain::job::JobDraft;

#[tokio::test]
async fn jobs_with_the_same_trigger_are_one_group() {
    let (store, _dir) = fresh().await;
    let shanghai = || Some("Asia/Shanghai".to_owned());
    let (cron, interval) = (|expr: &str| Some(expr.to_owned()), Some(90));
    for (n, job) in [
        JobDraft { cron_expr: cron("0 2 * * *"), ..draft("a") },
        JobDraft {
            cron_expr: cron("0 2 * * *"),
            mode: Some("func".into()),
            command: cron("Hello"),
            ..draft("b")
        },
        JobDraft { cron_expr: cron("0 2 * * *"), ..draft("c") },
        JobDraft { cron_expr: cron("0 2 * * *"), state: Some(2), ..draft("stopped") },
        JobDraft { cron_expr: None, interval_seconds: interval, ..draft("d") },
        JobDraft { cron_expr: None, interval_seconds: interval, ..draft("e") },
        JobDraft { cron_expr: cron("0 2 * * *"), timezone: shanghai(), ..draft("f") },
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(add_spec(&store, spec(job)).await.id.0, n as i64 + 1);
    }
    let groups = store.schedules(10).await.unwrap();
    let shown: Vec<_> = groups
        .iter()
        .map(|g| {
            (g.trigger_type.as_str(), g.cron_expr.as_str(), g.interval_seconds, g.timezone.as_str(), g.jobs)
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("cron", "0 2 * * *", 0, "", 3),
            ("interval", "", 90, "", 2),
            ("cron", "0 2 * * *", 0, "Asia/Shanghai", 1)
        ]
    );
    assert_eq!(store.schedules(2).await.unwrap().len(), 2);
}
