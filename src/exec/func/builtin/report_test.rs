//! The periods, on the clocks of several zones, and the page. The numbers' own test is the store's,
//! the whole of it `tests/it/engine/report.rs`.

use super::super::testing::{context, run_with};
use super::*;
use crate::domain::run::{Outcome, Reason, Report};
use crate::exec::Context;
use crate::exec::func::{FailedRun, Group, History, Never, Settings, Summary};
use std::sync::{Arc, Mutex};

/// Gives one summary and remembers the periods it was asked for.
#[derive(Debug, Default)]
struct Told {
    summary: Summary,
    asked: Mutex<Vec<(UtcMs, UtcMs)>>,
}

impl History for Told {
    fn summary(&self, from: UtcMs, to: UtcMs) -> BoxFuture<'_, Result<Summary, Text>> {
        self.asked.lock().unwrap().push((from, to));
        Box::pin(async { Ok(self.summary.clone()) })
    }
}

async fn go(told: &Arc<Told>, raw: &str, ctx: &Context) -> Report {
    run_with(&BUILTIN, raw, ctx, Settings { history: Some(told.clone()), ..Settings::default() }).await
}

#[tokio::test]
async fn periods_are_whole_days_of_the_jobs_zone() {
    // The day after the clocks went forward in New York, and the day of Sao Paulo that began at 01:00.
    for (zone, at, raw, from, to) in [
        ("Asia/Shanghai", "2026-03-10T00:30:00Z", "daily", "2026-03-08T16:00:00Z", "2026-03-09T16:00:00Z"),
        ("America/New_York", "2026-03-09T12:00:00Z", "daily", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
        ("UTC", "2026-03-10T00:00:00Z", "weekly", "2026-03-03T00:00:00Z", "2026-03-10T00:00:00Z"),
        ("UTC", "2026-01-31T23:59:59Z", "monthly", "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        (
            "America/Sao_Paulo",
            "2018-11-05T12:00:00Z",
            "Daily",
            "2018-11-04T03:00:00Z",
            "2018-11-05T02:00:00Z",
        ),
    ] {
        let told = Arc::new(Told::default());
        let instant =
            |text: &str| UtcMs(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis());
        let ctx = Context { zone: zone.parse().unwrap(), scheduled_at: instant(at), ..context() };
        let report = go(&told, raw, &ctx).await;
        assert_eq!(report.outcome, Outcome::Success, "{:?}", report.error);
        assert_eq!(*told.asked.lock().unwrap(), [(instant(from), instant(to))], "{zone} {at} {raw}");
        assert!(report.stdout.contains("没有任何记录"), "{}", report.stdout);
    }
}

fn group(job: i64, outcome: Outcome, runs: u64, max_ms: u64) -> Group {
    let name = format!("任务|{job}\n");
    Group {
        job,
        name,
        outcome,
        reason: None,
        runs,
        instants: runs,
        timed: runs,
        total_ms: max_ms * runs / 2,
        max_ms,
    }
}

fn summary() -> Summary {
    let missed = Group {
        reason: Some(Reason::Misfire),
        instants: 40,
        timed: 0,
        total_ms: 0,
        ..group(2, Outcome::Missed, 2, 0)
    };
    Summary {
        groups: vec![
            group(1, Outcome::Success, 997, 2_500),
            group(1, Outcome::Failed, 2, 90_000),
            group(2, Outcome::Success, 2_000, 8),
            missed,
        ],
        failures: vec![FailedRun {
            job: 1,
            name: "任务|1".into(),
            at: UtcMs(1_136_239_445_000),
            outcome: Outcome::Failed,
            error: Some(Text::new("磁盘|满", "disk |full")),
        }],
        never: vec![Never { job: 9, name: "夜里".into(), due: 7 }],
    }
}

#[tokio::test]
async fn the_page_says_it_all() {
    let told = Arc::new(Told { summary: summary(), ..Told::default() });
    let report = go(&told, "weekly,en", &context()).await;
    assert_eq!(
        report.stdout,
        "# TimerJobs Weekly report\n\n\
         Period: 2005-12-27 00:00:00 to 2006-01-03 00:00:00 (exclusive), Asia/Shanghai\n\n\
         ## Totals\n\n- Runs: 2999\n- Success rate: 99.9 %\n- success: 2997\n- failed: 2\n- missed: 2 (40 fires)\n\n\
         Why fires did not start:\n\n- the fire was missed and lies outside what the misfire policy makes up for: 40\n\n\
         ## Jobs, those that failed most first\n\n\
         | job | runs | succeeded | failed | not started | average |\n| --- | --- | --- | --- | --- | --- |\n\
         | 任务\\|1  (#1) | 999 | 997 | 2 | 0 | 1.3 s |\n| 任务\\|2  (#2) | 2000 | 2000 | 0 | 40 | 4 ms |\n\n\
         ## Slowest\n\n| job | longest | average | runs |\n| --- | --- | --- | --- |\n\
         | 任务\\|1  (#1) | 1 min 30 s | 1.3 s | 999 |\n| 任务\\|2  (#2) | 8 ms | 4 ms | 2000 |\n\n\
         ## Last errors, one a job\n\n| time | job | outcome | error |\n| --- | --- | --- | --- |\n\
         | 2006-01-03 06:04:05 | 任务\\|1 (#1) | failed | disk \\|full |\n\n\
         ## Jobs that were due and never ran\n\n| job | times due |\n| --- | --- |\n| 夜里 (#9) | 7 |\n"
    );
    assert_eq!(
        report.result.as_deref(),
        Some("2005-12-27 - 2006-01-02: 2999 runs, 2 failed, 1 jobs never ran")
    );
    let report = go(&told, "daily", &context()).await;
    assert!(
        report
            .stdout
            .starts_with("# TimerJobs 日报\n\n统计区间: 2006-01-02 00:00:00 至 2006-01-03 00:00:00（不含）")
    );
    assert!(report.stdout.contains("| 2006-01-03 06:04:05 | 任务\\|1 (#1) | 失败 | 磁盘\\|满 |"));
    assert_eq!(report.result.as_deref(), Some("2006-01-02：执行 2999 次，失败 2 次，未执行的任务 1 个"));
}

#[tokio::test]
async fn long_lists_are_cut_and_say_so() {
    let groups = (0..5_000).map(|job| group(job, Outcome::Success, 1, 1)).collect();
    let never = (0..5_000).map(|job| Never { job, name: "x".repeat(200), due: 1 }).collect();
    let told = Arc::new(Told { summary: Summary { groups, never, ..Summary::default() }, ..Told::default() });
    let report = go(&told, "daily,en", &context()).await;
    assert!(
        report.stdout.contains("4980 more are not listed")
            && report.stdout.contains("4950 more are not listed")
    );
    assert!(report.stdout.len() < 8_000, "{}", report.stdout.len());
    let report = go(&told, "daily,en", &Context { output_limit: 500, ..context() }).await;
    assert!(report.stdout.len() <= 500 && report.stdout.ends_with("(cut)"), "{}", report.stdout);
}

#[tokio::test]
async fn a_bad_call_is_told_the_mend() {
    let told = Arc::new(Told::default());
    for (raw, part) in [("", "none of daily"), ("yearly", "none of daily"), ("daily,fr", "neither zh nor en")]
    {
        let en = go(&told, raw, &context()).await.error.unwrap().en;
        assert!(en.contains(part), "{raw}: {en}");
    }
}
