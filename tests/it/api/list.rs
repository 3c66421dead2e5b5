//! Lists: pages, filters, orders, days.

use super::{ask, bad_fields, code, form, get, post};
use crate::support::TestApp;
use serde_json::{Value, json};

fn ids(answer: &Value) -> Vec<i64> {
    answer["data"].as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect()
}

fn counts(answer: &Value) -> [i64; 5] {
    ["total", "page_total", "pages_total", "page", "page_size"].map(|name| answer[name].as_i64().unwrap())
}

#[tokio::test]
async fn pages_are_flat_and_newest_first() {
    let app = TestApp::start().await;
    let empty = app.get("/jobs/list").await;
    assert_eq!((counts(&empty), &empty["data"]), ([0, 0, 0, 1, 10], &json!([])));
    for i in 1..=23 {
        app.add(json!({"name": format!("job {i}")})).await;
    }
    for (query, wanted_counts, wanted_ids) in [
        ("", [23, 3, 3, 1, 10], (14..=23).rev().collect::<Vec<i64>>()),
        ("?page=2", [23, 3, 3, 2, 10], (4..=13).rev().collect()),
        ("?page=3&size=10", [23, 3, 3, 3, 10], vec![3, 2, 1]),
        ("?page=4", [23, 3, 3, 4, 10], vec![]),
        ("?page=1000000000&size=1000", [23, 1, 1, 1_000_000_000, 1_000], vec![]),
        ("?size=23", [23, 1, 1, 1, 23], (1..=23).rev().collect()),
        ("?size=22&page=2", [23, 2, 2, 2, 22], vec![1]),
        ("?size=1&page=23", [23, 23, 23, 23, 1], vec![1]),
        ("?size=&page=", [23, 3, 3, 1, 10], (14..=23).rev().collect()),
    ] {
        for path in ["/jobs/list", "/jobs/scheduler"] {
            let answer = app.get(&format!("{path}{query}")).await;
            assert_eq!(counts(&answer), wanted_counts, "{path}{query}");
            assert_eq!(ids(&answer), wanted_ids, "{path}{query}");
        }
    }
}

#[tokio::test]
async fn a_page_outside_the_limits_is_named() {
    let app = TestApp::start().await;
    let id = app.add(json!({})).await;
    for bad in ["0", "-1", "1001", "1.5", "x", "99999999999999999999"] {
        let page = if bad == "1001" { "1000000001" } else { bad };
        for path in ["/jobs/list", "/jobs/scheduler"] {
            let answer = app.get(&format!("{path}?page={page}&size={bad}")).await;
            assert_eq!(bad_fields(&answer), ["page", "size"], "{path} {bad}");
            assert_eq!(answer["data"]["errors"][1]["value"], bad, "the value as it was given");
        }
        let answer = app.post("/jobs/logs", json!({"id": id, "page": page, "size": bad, "limit": bad})).await;
        assert_eq!(bad_fields(&answer), ["limit", "page", "size"], "{bad}");
    }
    let answer = app.get("/jobs/list?size=1000").await;
    assert_eq!((code(&answer), &answer["page_size"]), (200, &json!(1_000)));
}

#[tokio::test]
async fn filters_by_part_of_the_name_state_and_mode() {
    let mut app = TestApp::start().await;
    let backup = app.add(json!({"name": "每日备份 Daily"})).await;
    let percent = app.add(json!({"name": "100%_done", "state": 2})).await;
    let http = app.add(json!({"name": "ping", "mode": "http", "command": "http://127.0.0.1:9/"})).await;
    let shell = app.add(json!({"name": "sleeper", "mode": "command", "command": "sleep 60"})).await;
    app.post("/jobs/run", json!({"id": shell})).await;
    app.started(shell).await;
    for (query, wanted) in [
        ("name=备份", vec![backup]),
        ("name=daily", vec![backup]),
        ("name=%25_", vec![percent]),
        ("name=%25", vec![percent]),
        ("name=_", vec![percent]),
        ("name=%27%20OR%201%3D1--", vec![]),
        ("name=", vec![shell, http, percent, backup]),
        ("state=0", vec![http, backup]),
        ("state=1", vec![shell]),
        ("state=2", vec![percent]),
        ("state=", vec![shell, http, percent, backup]),
        ("mode=func", vec![percent, backup]),
        ("mode=function", vec![percent, backup]),
        ("mode=http", vec![http]),
        ("mode=command", vec![shell]),
        ("mode=func&state=2&name=done", vec![percent]),
        ("mode=http&state=2", vec![]),
    ] {
        let answer = app.get(&format!("/jobs/list?{query}")).await;
        assert_eq!(ids(&answer), wanted, "{query}: {answer}");
        assert_eq!(answer["total"], wanted.len(), "{query}");
    }
    let both = ask(get(&app, "/jobs/list?page=0&state=3&mode=ftp")).await;
    assert_eq!(bad_fields(&both), ["mode", "page", "state"]);
    app.post("/jobs/stop", json!({"id": shell})).await;
    app.ended(shell, 1).await;
}

#[tokio::test]
async fn the_list_holds_whole_jobs() {
    let app = TestApp::start().await;
    let id = app.add(json!({"name": "whole", "desc": "d"})).await;
    assert_eq!(app.get("/jobs/list").await["data"][0], app.job(id).await);
}

#[tokio::test]
async fn the_scheduler_lists_what_is_scheduled_with_local_times() {
    let mut app = TestApp::with(&[("TZ", "Asia/Shanghai")]).await;
    let id = app.add(json!({"name": "on", "desc": "d", "cron_expr": "0 */5 * * * *"})).await;
    app.add(json!({"name": "off", "state": 2})).await;
    app.advance(300);
    app.ended(id, 1).await;
    let answer = app.get("/jobs/scheduler").await;
    assert_eq!((&answer["total"], &answer["total_tasks"]), (&json!(1), &json!(1)));
    assert_eq!(answer["scheduler_running"], true);
    assert_eq!(
        answer["data"],
        json!([{
            "id": id, "name": "on", "desc": "d", "cron_expr": "0 */5 * * * *", "mode": "func",
            "command": "Test a,b", "state": 0, "run_count": 1, "next_run": "2026-01-05 16:10:00",
            "next_run_time": "2026-01-05 16:10:00", "prev_run": "2026-01-05 16:05:00"
        }])
    );
}

#[tokio::test]
async fn run_records_are_paged_ordered_and_cut_by_day() {
    // Midnight in Shanghai is 16:00 UTC: the test's clock starts at 16:00 there.
    let mut app = TestApp::with(&[("TZ", "Asia/Shanghai")]).await;
    let id = app.add(json!({"cron_expr": "@yearly"})).await;
    for _ in 0..3 {
        app.post("/jobs/run", json!({"id": id})).await;
        app.ended(id, 1).await;
    }
    app.advance(8 * 3_600);
    app.post("/jobs/run", json!({"id": id})).await;
    app.ended(id, 1).await;

    let times = |answer: &Value| -> Vec<String> {
        answer["data"].as_array().unwrap().iter().map(|r| r["time"].as_str().unwrap().to_owned()).collect()
    };
    let newest = app.post("/jobs/logs", json!({"id": id})).await;
    assert_eq!(counts(&newest), [4, 1, 1, 1, 10]);
    assert_eq!(times(&newest)[0], "2026-01-06 00:00:00.000");
    let oldest = app.post("/jobs/logs", json!({"id": id, "order": "asc", "limit": 3})).await;
    assert_eq!(counts(&oldest), [4, 2, 2, 1, 3]);
    assert_eq!(times(&oldest), ["2026-01-05 16:00:00.000"; 3]);
    let last = app.post("/jobs/logs", json!({"id": id, "order": "ASC", "size": 3, "page": 2})).await;
    assert_eq!(times(&last), ["2026-01-06 00:00:00.000"]);
    for (date, n) in [("2026-01-05", 3), ("2026-01-06", 1), ("2026-01-07", 0), ("", 4)] {
        let answer = app.post("/jobs/logs", json!({"id": id, "date": date})).await;
        assert_eq!((code(&answer), &answer["total"]), (200, &json!(n)), "{date}");
    }
    for date in [
        "2026-02-30",
        "05.01.2026",
        "yesterday",
        "2026-01-05T00:00:00",
        "\0",
        "123456-12-31",
        "+262142-12-31",
    ] {
        let answer = app.post("/jobs/logs", json!({"id": id, "date": date})).await;
        assert_eq!(bad_fields(&answer), ["date"], "{date:?}");
    }
    let answer = app.post("/jobs/logs", json!({"id": id, "date": 20_260_105, "order": "up"})).await;
    assert_eq!(bad_fields(&answer), ["date", "order"]);
    // The paging of the older editions' clients, as a form and in the query.
    let answer = ask(form(post(&app, &format!("/jobs/logs?id={id}&limit=1")), [("page", "4")])).await;
    assert_eq!(counts(&answer), [4, 4, 4, 4, 1]);
}
