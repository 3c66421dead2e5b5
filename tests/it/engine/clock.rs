//! Misfires and jumps of the wall clock (semantics 3, 4, 7 and 8).

use super::column;
use crate::support::{START, TestApp};
use serde_json::{Value, json};
use std::time::Duration;
use timerjobs::Outcome;

fn hours(n: i64) -> i64 {
    n * 3_600_000
}

#[tokio::test]
async fn after_downtime_each_policy_does_what_it_says() {
    let mut app = TestApp::start().await;
    let once = app.add(json!({"name": "once", "cron_expr": "0 * * * * *"})).await;
    let skip = app.add(json!({"name": "skip", "cron_expr": "0 * * * * *", "misfire_policy": "skip"})).await;
    let all = app.add(json!({"name": "all", "cron_expr": "0 * * * * *", "misfire_policy": "fire_all"})).await;
    let stale = app.add(json!({"name": "stale", "cron_expr": "0 0 * * * *"})).await;
    app.settled().await;
    let stopped = app.shut_down().await;
    stopped.clock.advance(Duration::from_secs(2 * 3600 + 30 * 60 + 30));
    app = stopped.start_again().await;
    app.until(async |app| app.runs(all).await.iter().filter(|r| r["outcome"] == "success").count() == 101)
        .await;

    // 150 minutes passed; the last instant, 10:30:00, is 30 s ago: late, not missed.
    let runs = app.runs(once).await;
    assert_eq!(column(&runs, "outcome"), ["missed", "success", "success"]);
    assert_eq!(runs[0]["missed_count"], 148);
    assert_eq!(runs[0]["scheduled_at"], "2026-01-05T08:01:00.000Z");
    assert_eq!(runs[0]["missed_to"], "2026-01-05T10:28:00.000Z");
    assert_eq!(runs[0]["status"], "错过");
    assert_eq!(
        (&runs[1]["source"], &runs[1]["scheduled_at"]),
        (&json!("catchup"), &json!("2026-01-05T10:29:00.000Z"))
    );
    assert_eq!(
        (&runs[2]["source"], &runs[2]["scheduled_at"]),
        (&json!("cron"), &json!("2026-01-05T10:30:00.000Z"))
    );

    let runs = app.runs(skip).await;
    assert_eq!(column(&runs, "outcome"), ["missed", "success"]);
    assert_eq!((&runs[0]["missed_count"], &runs[0]["reason"]), (&json!(149), &json!("policy")));

    let runs = app.runs(all).await;
    let missed: Vec<&Value> = runs.iter().filter(|r| r["outcome"] == "missed").collect();
    assert_eq!((missed.len(), &missed[0]["missed_count"]), (1, &json!(49)));
    assert_eq!(runs.iter().filter(|r| r["source"] == "catchup").count(), 100);

    // Its newest missed instant, 10:00, is older than the window of 300 s.
    let runs = app.runs(stale).await;
    assert_eq!(column(&runs, "outcome"), ["missed"]);
    assert_eq!((&runs[0]["missed_count"], &runs[0]["reason"]), (&json!(2), &json!("misfire")));
    assert_eq!(app.job(stale).await["next_run"], "2026-01-05T11:00:00.000Z");
}

#[tokio::test]
async fn a_month_away_costs_one_row_for_a_job_of_every_second() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"cron_expr": "* * * * * *", "misfire_policy": "skip"})).await;
    app.settled().await;
    let stopped = app.shut_down().await;
    stopped.clock.advance(Duration::from_secs(30 * 86_400));
    app = stopped.start_again().await;
    app.until(async |app| app.runs(id).await.len() == 62).await;
    let runs = app.runs(id).await;
    assert_eq!(runs[0]["missed_count"], 30 * 86_400 - 61);
}

#[tokio::test]
async fn a_clock_set_forward_an_hour_makes_misfires() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({"cron_expr": "0 */10 * * * *"})).await;
    app.settled().await;
    app.clock.set_wall(timerjobs::UtcMs(START.0 + hours(1) + 120_000));
    app.ended(id, 2).await;
    let runs = app.runs(id).await;
    assert_eq!(column(&runs, "outcome"), ["missed", "success"]);
    assert_eq!((&runs[0]["missed_count"], &runs[1]["source"]), (&json!(5), &json!("catchup")));
}

#[tokio::test]
async fn a_clock_set_back_an_hour_repeats_no_fixed_time_and_keeps_every_cadence() {
    let mut app = TestApp::start().await;
    let fixed = app.add(json!({"name": "fixed", "cron_expr": "0 30 8 * * *"})).await;
    let wildcard = app.add(json!({"name": "wildcard", "cron_expr": "0 */30 * * * *"})).await;
    let interval =
        app.add(json!({"name": "interval", "trigger_type": "interval", "interval_seconds": 1000})).await;
    app.advance(1800);
    app.ended(fixed, 1).await;
    app.settled().await;
    assert_eq!(app.runs(interval).await.len(), 1);
    // 08:30 becomes 07:30.
    app.clock.set_wall(timerjobs::UtcMs(START.0 - hours(1) / 2));
    app.settled().await;
    app.advance(200);
    app.ended(interval, 1).await;
    app.advance(3600);
    app.until(async |app| app.runs(wildcard).await.len() == 3).await;
    app.settled().await;
    assert_eq!(app.runs(fixed).await.len(), 1, "08:30 was decided before the clock was set back");
    assert_eq!(
        column(&app.runs(wildcard).await, "scheduled_at"),
        ["2026-01-05T08:30:00.000Z", "2026-01-05T08:00:00.000Z", "2026-01-05T08:30:00.000Z"]
    );
    let due = app.runs(interval).await;
    assert_eq!(due[1]["scheduled_at"], "2026-01-05T07:33:20.000Z", "1000 s after the first, elapsed");
    assert_eq!(app.job(fixed).await["next_run"], "2026-01-06T08:30:00.000Z");
}

#[tokio::test]
async fn beyond_three_hours_it_is_a_correction_with_one_summary_row() {
    for by in [4, -4] {
        let mut app = TestApp::start().await;
        let id = app.add(json!({"cron_expr": "0 0 * * * *"})).await;
        app.settled().await;
        app.clock.set_wall(timerjobs::UtcMs(START.0 + hours(by) + 60_000));
        assert_eq!(app.ended(id, 1).await, [Outcome::Missed], "{by} h");
        let runs = app.runs(id).await;
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0]["reason"], "clock_correction");
        assert_eq!(runs[0]["missed_count"], if by > 0 { 4 } else { 0 });
        app.advance(3540);
        assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
        let next = timerjobs::UtcMs(START.0 + hours(by) + hours(1)).rfc3339(chrono_tz::Tz::UTC);
        assert_eq!(app.runs(id).await[1]["scheduled_at"], next.as_str());
    }
}

#[tokio::test]
async fn a_job_that_was_stopped_in_a_wrong_future_fires_again_after_the_correction() {
    let mut app = TestApp::start().await;
    app.clock.set_wall(timerjobs::UtcMs(START.0 + hours(24 * 365 * 4)));
    let id = app.add(json!({"cron_expr": "0 * * * * *"})).await;
    app.advance(60);
    app.ended(id, 1).await;
    app.post("/jobs/stop", json!({"id": id})).await;
    app.clock.set_wall(START);
    app.settled().await;
    app.post("/jobs/restart", json!({"id": id})).await;
    assert_eq!(app.job(id).await["next_run"], "2026-01-05T08:01:00.000Z");
    app.advance(60);
    assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
}

#[tokio::test]
async fn a_clock_set_back_while_the_server_was_down_repeats_no_fixed_time() {
    let mut app = TestApp::start().await;
    let fixed = app.add(json!({"name": "fixed", "cron_expr": "0 30 8 * * *"})).await;
    let wildcard = app.add(json!({"name": "wildcard", "cron_expr": "0 30 * * * *"})).await;
    app.advance(1800);
    app.ended(wildcard, 1).await;
    app.settled().await;
    let stopped = app.shut_down().await;
    stopped.clock.set_wall(START);
    app = stopped.start_again().await;
    app.advance(1800);
    app.ended(wildcard, 1).await;
    app.settled().await;
    assert_eq!((app.runs(fixed).await.len(), app.runs(wildcard).await.len()), (1, 2));
}
