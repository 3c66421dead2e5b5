//! Jobs in the modern API: true statuses, problems, versions, lists with cursors.

use super::{get, keys, post, send};
use crate::support::TestApp;
use reqwest::{Method, RequestBuilder, header};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use timerjobs::Outcome;

pub fn call(app: &TestApp, method: Method, path: &str) -> RequestBuilder {
    app.http.request(method, format!("{}/api/v1{path}", app.url)).header("Accept-Language", "en")
}

/// The fields that a problem names.
pub fn named(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("no problem: {problem}"));
    errors.iter().map(|error| error["field"].as_str().unwrap()).collect()
}

pub fn draft(fields: Value) -> Value {
    let mut job = json!({"name": "job", "trigger": {"type": "cron", "cron": "0 0 1 1 *"},
        "mode": "func", "command": "Test a,b"});
    job.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    job
}

pub async fn add(app: &TestApp, fields: Value) -> Value {
    let (status, job) = send(call(app, Method::POST, "/jobs").json(&draft(fields))).await;
    assert_eq!(status, 201, "{job}");
    job
}

async fn names(app: &TestApp, query: &str) -> Vec<String> {
    let (status, list) = send(call(app, Method::GET, &format!("/jobs?{query}"))).await;
    assert_eq!(status, 200, "{list}");
    let items = list["items"].as_array().unwrap();
    items.iter().map(|job| job["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_job_is_made_read_changed_and_deleted() {
    let app = TestApp::start().await;
    let given = json!({
        "name": "full", "description": "what for", "mode": "command", "command": "echo hi", "enabled": false,
        "trigger": {"type": "cron", "cron": "30 9 * * 1-5", "timezone": "Asia/Shanghai"}, "overlap": "queue",
        "max_run_count": 7, "misfire_policy": "skip", "misfire_window_seconds": 60, "recovery": "rerun",
    });
    let answer = call(&app, Method::POST, "/jobs").json(&given).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let place = answer.headers()[header::LOCATION].to_str().unwrap().to_owned();
    assert_eq!(answer.headers()[header::ETAG], "\"1\"");
    let job: Value = answer.json().await.unwrap();
    for (name, value) in given.as_object().unwrap() {
        assert_eq!(&job[name], value, "{name}");
    }
    assert_eq!(place, format!("/api/v1/jobs/{}", job["id"]));
    let shown = json!({"state": "stopped", "version": 1, "run_count": 0, "next_run": null, "last_run": null,
        "stop_reason": null, "created": "2026-01-05T08:00:00.000Z"});
    for (name, value) in shown.as_object().unwrap() {
        assert_eq!(&job[name], value, "{name}");
    }
    let place = place.trim_start_matches("/api/v1");
    let answer = call(&app, Method::GET, place).send().await.unwrap();
    assert_eq!(answer.headers()[header::ETAG], "\"1\"");
    assert_eq!(answer.json::<Value>().await.unwrap(), job);

    // Only what is named changes; a trigger is taken whole.
    let change = json!({"enabled": true, "trigger": {"type": "interval", "seconds": 90}});
    let (status, job) =
        send(call(&app, Method::PATCH, place).header("If-Match", "\"1\"").json(&change)).await;
    assert_eq!((status, &job["version"], &job["description"]), (200, &json!(2), &json!("what for")), "{job}");
    assert_eq!(job["trigger"], json!({"type": "interval", "seconds": 90}));
    assert_eq!((&job["state"], &job["next_run"]), (&json!("scheduled"), &json!("2026-01-05T08:01:30.000Z")));
    let whole = json!({"trigger": {"cron": "@daily"}});
    let (_, job) = send(call(&app, Method::PATCH, place).header("If-Match", "*").json(&whole)).await;
    assert_eq!(job["trigger"], json!({"type": "cron", "cron": "@daily", "timezone": null}));
    let answer = call(&app, Method::DELETE, place).header("If-Match", "3").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (204, ""));
    let (status, problem) = send(call(&app, Method::GET, place)).await;
    assert_eq!((status, &problem["status"]), (404, &json!(404)));
}

#[tokio::test]
async fn two_editors_do_not_overwrite_each_other() {
    let app = TestApp::start().await;
    let place = format!("/jobs/{}", add(&app, json!({})).await["id"]);
    let patch = |version: Option<&str>, name: &str| {
        let request = call(&app, Method::PATCH, &place).json(&json!({"description": name}));
        send(match version {
            Some(version) => request.header("If-Match", version),
            None => request,
        })
    };
    assert_eq!(patch(None, "none").await.0, 428);
    assert_eq!(patch(Some("soon"), "odd").await.0, 422);
    let both = tokio::join!(patch(Some("\"1\""), "first"), patch(Some("\"1\""), "second"));
    let mut statuses = [both.0.0, both.1.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    let (_, job) = send(call(&app, Method::GET, &place)).await;
    let winner = if both.0.0 == 200 { "first" } else { "second" };
    assert_eq!((&job["description"], &job["version"]), (&json!(winner), &json!(2)));
    // Whatever changes a job makes it another version.
    for (verb, version) in [("stop", 3), ("start", 4)] {
        let (status, job) = send(call(&app, Method::POST, &format!("{place}/{verb}"))).await;
        assert_eq!((status, &job["version"]), (200, &json!(version)), "{job}");
    }
    let old = |version| call(&app, Method::DELETE, &place).header("If-Match", version);
    let (status, problem) = send(old("\"3\"")).await;
    assert_eq!(status, 412);
    assert!(problem["title"].as_str().unwrap().contains("changed"), "{problem}");
    assert_eq!(old("\"4\"").send().await.unwrap().status(), 204);
    assert_eq!(send(old("\"4\"")).await.0, 404);
}

#[tokio::test]
async fn what_is_wrong_is_named_by_the_field_that_was_sent() {
    let app = TestApp::start().await;
    let try_add = async |fields: Value| send(call(&app, Method::POST, "/jobs").json(&fields)).await;
    let (status, problem) = try_add(json!({})).await;
    assert_eq!((status, named(&problem)), (422, vec!["name", "trigger.cron", "mode"]));
    assert_eq!(keys(&problem), ["type", "title", "status", "detail", "errors"]);
    for (fields, wrong) in [
        (json!({"trigger": {"cron": "99 * * * *"}}), "trigger.cron"),
        (json!({"trigger": {"type": "interval", "seconds": 0}}), "trigger.seconds"),
        (json!({"trigger": {"type": "moon", "cron": "@daily"}}), "trigger.type"),
        (json!({"trigger": {"cron": "@daily", "timezone": "Mars/Olympus"}}), "trigger.timezone"),
        (json!({"trigger": {"cron": "@daily", "zone": "UTC"}}), "trigger.zone"),
        (json!({"trigger": {"cron": 5}}), "trigger.cron"),
        (json!({"trigger": "@daily"}), "trigger"),
        (json!({"description": "x".repeat(2_001)}), "description"),
        (json!({"description": 5}), "description"),
        (json!({"overlap": "maybe"}), "overlap"),
        (json!({"misfire_window_seconds": 999_999_999}), "misfire_window_seconds"),
        (json!({"enabled": "perhaps"}), "enabled"),
        (json!({"command": "【nmae】x"}), "command"),
        (json!({"descripton": "typo"}), "descripton"),
    ] {
        let (status, problem) = try_add(draft(fields.clone())).await;
        let mut fields_named = named(&problem);
        fields_named.dedup();
        assert_eq!((status, fields_named), (422, vec![wrong]), "{fields}");
        assert!(problem["detail"].as_str().unwrap().starts_with(wrong), "{problem}");
    }
    // What is shown of a job may come back with it.
    let job = add(&app, json!({})).await;
    let (status, problem) = try_add(job.clone()).await;
    assert_eq!((status, problem["title"].as_str().unwrap()), (409, "the name is taken, choose another"));
    let mut copy = job;
    copy["name"] = json!("copy");
    assert_eq!(try_add(copy).await.0, 201);
    for (request, status) in [
        (post(&app, "/api/v1/jobs").body("{"), 400),
        (get(&app, "/api/v1/nothing"), 404),
        (call(&app, Method::PUT, "/jobs"), 405),
        (get(&app, "/api/v1/jobs/0"), 422),
        (get(&app, "/api/v1/jobs/one"), 422),
        (get(&app, "/api/v1/jobs/9223372036854775807"), 404),
        (post(&app, "/api/v1/jobs").header("Content-Type", "text/csv").body("a"), 400),
        (post(&app, "/api/v1/jobs").body("x".repeat((1 << 20) + 1)), 413),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn a_job_is_run_stopped_and_started_again() {
    let mut app = TestApp::start().await;
    let job = add(&app, json!({"enabled": false})).await;
    let (id, place) = (job["id"].as_i64().unwrap(), format!("/jobs/{}", job["id"]));
    let (status, asked) = send(call(&app, Method::POST, &format!("{place}/run"))).await;
    assert_eq!((status, &asked["skipped"]), (202, &Value::Null));
    assert_eq!(app.ended(id, 1).await, [Outcome::Success]);
    let (_, run) = send(call(&app, Method::GET, &format!("/runs/{}", asked["run"].as_str().unwrap()))).await;
    assert_eq!((&run["job_id"], &run["source"]), (&json!(id), &json!("manual")));
    let (_, job) = send(call(&app, Method::POST, &format!("{place}/start")).json(&json!({}))).await;
    assert_eq!((&job["state"], &job["enabled"]), (&json!("scheduled"), &json!(true)));
    let (_, fires) = send(call(&app, Method::GET, &format!("{place}/fires?limit=2"))).await;
    assert_eq!(
        fires["items"][1],
        json!({"at": "2028-01-01T00:00:00.000Z", "local": "2028-01-01 00:00:00",
        "zone": "UTC (UTC+00:00)"})
    );
    assert_eq!(fires["items"].as_array().unwrap().len(), 2);
    let (_, job) = send(call(&app, Method::POST, &format!("{place}/stop"))).await;
    assert_eq!((&job["state"], &job["next_run"]), (&json!("stopped"), &Value::Null));
    let (_, fires) = send(call(&app, Method::GET, &format!("{place}/fires"))).await;
    assert_eq!(fires, json!({"items": []}));
    for verb in ["run", "stop", "start"] {
        assert_eq!(send(call(&app, Method::POST, &format!("/jobs/77/{verb}"))).await.0, 404);
    }
}

#[tokio::test]
async fn a_list_is_walked_whole_in_every_order() {
    let app = TestApp::start().await;
    for n in 0..23 {
        add(
            &app,
            json!({"name": format!("job {n:02}"), "description": if n % 2 == 0 { "Even" } else { "" }}),
        )
        .await;
        app.advance(1);
    }
    let mut first = BTreeSet::new();
    for sort in ["id", "-id", "name", "-name", "updated", "-updated", "last_run", "-last_run"] {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/jobs?sort={sort}&limit=5&cursor={cursor}");
            let (status, list) = send(call(&app, Method::GET, &path)).await;
            assert_eq!((status, &list["total"]), (200, &json!(23)), "{list}");
            all.extend(
                list["items"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap().to_owned()),
            );
            match &list["next"] {
                Value::Null => break,
                next => cursor = next.as_str().unwrap().to_owned(),
            }
        }
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 23, "{sort}");
        assert_eq!(all.len(), 23, "{sort}");
        assert!(all.is_sorted() != sort.starts_with('-'), "{sort}: {all:?}");
        first.insert(all[0].clone());
    }
    assert_eq!(first.len(), 2);
    let (_, list) = send(call(&app, Method::GET, "/jobs?sort=name&limit=1")).await;
    let next = list["next"].as_str().unwrap();
    for (order, cursor) in [("id", next), ("name", "AAAA"), ("-name", next), ("name", "%00")] {
        let (status, problem) =
            send(call(&app, Method::GET, &format!("/jobs?sort={order}&cursor={cursor}"))).await;
        assert_eq!((status, named(&problem)), (422, vec!["cursor"]), "{order} {cursor}");
    }
    assert_eq!(names(&app, "q=EVEN&sort=id&limit=2").await, ["job 00", "job 02"]);
}

#[tokio::test]
async fn a_list_is_searched_and_filtered() {
    let app = TestApp::start().await;
    add(&app, json!({"name": "backup", "mode": "command", "command": "rsync /srv"})).await;
    add(&app, json!({"name": "ping", "mode": "http", "command": "http://127.0.0.1:9/backup%_"})).await;
    add(&app, json!({"name": "对账", "enabled": false})).await;
    assert_eq!(names(&app, "q=BACKUP&sort=name").await, ["backup", "ping"]);
    assert_eq!(names(&app, "q=%25_").await, ["ping"], "no wildcard");
    assert_eq!(names(&app, "q=%E5%AF%B9").await, ["对账"]);
    assert_eq!(names(&app, "state=stopped").await, ["对账"]);
    assert_eq!(names(&app, "state=scheduled&mode=http").await, ["ping"]);
    assert_eq!(names(&app, "state=running").await, [""; 0]);
    let (status, problem) = send(call(&app, Method::GET, "/jobs?state=odd&limit=0&sort=colour&page=2")).await;
    assert_eq!((status, named(&problem)), (422, vec!["state", "sort", "limit", "page"]));
}

#[tokio::test]
async fn many_jobs_are_changed_at_once_each_for_itself() {
    let mut app = TestApp::start().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(add(&app, json!({"name": format!("job {n}")})).await["id"].as_i64().unwrap());
    }
    let all = [ids[0], 99, ids[2]];
    let bulk = async |action: &str| {
        let body = json!({"action": action, "ids": all});
        let (status, done) = send(call(&app, Method::POST, "/jobs/bulk").json(&body)).await;
        assert_eq!(status, 200, "{done}");
        let results = done["results"].as_array().unwrap();
        let told = results.iter().map(|r| (r["id"].as_i64().unwrap(), r["ok"].as_bool().unwrap()));
        assert_eq!(told.collect::<Vec<_>>(), [(ids[0], true), (99, false), (ids[2], true)], "{action}");
        assert_eq!(results[1]["problem"]["status"], 404);
    };
    bulk("stop").await;
    assert_eq!(names(&app, "state=stopped&sort=id").await, ["job 0", "job 2"]);
    bulk("start").await;
    bulk("run").await;
    app.ended(ids[2], 1).await;
    let body = |action: &str, ids: Value| {
        call(&app, Method::POST, "/jobs/bulk").json(&json!({"action": action, "ids": ids}))
    };
    let many: Vec<i64> = (0..1_001).collect();
    for (request, wrong) in [
        (body("explode", json!([1])), "action"),
        (body("stop", json!([])), "ids"),
        (body("stop", json!(["a"])), "ids"),
        (body("stop", json!(many)), "ids"),
    ] {
        let (status, problem) = send(request).await;
        assert_eq!((status, named(&problem)), (422, vec![wrong]));
    }
    let (_, done) = send(body("delete", json!(ids))).await;
    assert!(done["results"].as_array().unwrap().iter().all(|r| r["ok"] == true));
    assert_eq!(names(&app, "").await, [""; 0]);
}
