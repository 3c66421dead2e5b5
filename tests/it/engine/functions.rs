//! Functions that need the server's own data, over a real server.

use crate::support::TestApp;
use serde_json::json;
use timerjobs::Outcome;

#[tokio::test]
async fn a_report_tells_of_the_day_before() {
    let mut app = TestApp::with(&[("TZ", "UTC")]).await;
    let good = app.add(json!({"name": "good", "cron_expr": "0 1 8 * * *"})).await;
    let bad = app.add(json!({"name": "bad", "cron_expr": "0 2 8 * * *", "command": "Math +"})).await;
    // Stopped, and not due: neither is missed by anybody.
    app.add(json!({"name": "off", "cron_expr": "0 1 8 * * *", "state": 2})).await;
    let late = json!({"name": "late", "cron_expr": "0 30 8 * * *", "misfire_policy": "skip"});
    let late = app.add(late).await;
    app.add(json!({"name": "rare", "cron_expr": "0 0 0 1 7 *"})).await;
    let id =
        app.add(json!({"name": "report", "cron_expr": "0 0 3 * * *", "command": "Report daily,en"})).await;
    app.advance(60);
    assert_eq!(app.ended(good, 1).await, [Outcome::Success]);
    app.advance(60);
    assert_eq!(app.ended(bad, 1).await, [Outcome::Failed]);
    // 03:00 of the next day.
    app.advance(19 * 3600 - 120);
    assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
    let runs = app.runs(id).await;
    let text = runs[0]["stdout"].as_str().unwrap();
    for part in [
        "Period: 2026-01-05 00:00:00 to 2026-01-06 00:00:00 (exclusive), UTC",
        "- Runs: 2\n- Success rate: 50.0 %\n",
        &format!("| bad (#{bad}) | 1 | 0 | 1 | 0 |"),
        &format!("| good (#{good}) | 1 | 1 | 0 | 0 |"),
        "## Last errors",
        // Its instant went by while the clock jumped. The record of it is of the day it was noticed.
        &format!("| job | times due |\n| --- | --- |\n| late (#{late}) | 1 |\n"),
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    for part in ["off", "rare"] {
        assert!(!text.contains(part), "{part}\n{text}");
    }
    assert_eq!(runs[0]["func_result"], "2026-01-05: 2 runs, 1 failed, 1 jobs never ran");
}

#[tokio::test]
async fn the_servers_own_database_is_saved_and_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("jobs.db");
    let url = format!("sqlite:///{}", own.display());
    let mut app = TestApp::with(&[("DATABASE_URL", &url), ("FUNC_DATABASES", &url)]).await;
    let target = folder.path().join("saved");
    let command = format!("Backup database,{}", target.display());
    let save = app.add(json!({"name": "save", "cron_expr": "0 1 8 * * *", "command": command})).await;
    let ask = app.add(json!({"name": "ask", "cron_expr": "0 2 8 * * *", "command": "Database query,SELECT * FROM users"})).await;
    app.advance(60);
    assert_eq!(app.ended(save, 1).await, [Outcome::Success]);
    app.advance(60);
    assert_eq!(app.ended(ask, 1).await, [Outcome::Failed]);
    let result = app.runs(save).await[0]["result"].as_str().unwrap().to_owned();
    assert!(result.contains("saved/jobs-") && result.contains("integrity ok"), "{result}");
    let error = app.runs(ask).await[0]["error_msg"].as_str().unwrap().to_owned();
    assert!(error.contains("本服务自己的数据库"), "{error}");
}
