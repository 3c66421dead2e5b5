//! The audit log: every change is told of with who, from where, and how it was before.

use super::send;
use super::v1_jobs::{call, draft};
use crate::support::TestApp;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PASSWORD: &str = "correct horse";
const NEW_PASSWORD: &str = "battery staple";

/// What changes nothing that lasts.
const SILENT: &[&str] = &[
    "POST /jobs/logs",
    "POST /api/v1/jobs/check",
    // Only with a claim code, and then the account that it makes is told of.
    "POST /api/v1/session/claim",
];

async fn rows(app: &TestApp, token: &str, query: &str) -> Vec<Value> {
    let (status, list) = send(call(app, Method::GET, &format!("/audit?{query}")).bearer_auth(token)).await;
    assert_eq!(status, 200, "{list}");
    list["items"].as_array().unwrap().clone()
}

/// One step: the route, its path, the body, and what the log then says first.
type Step = (&'static str, &'static str, Value, &'static str);

fn steps() -> Vec<Step> {
    let job = |name: &str| draft(json!({"name": name}));
    let old =
        |name: &str| json!({"name": name, "cron_expr": "0 0 1 1 *", "mode": "func", "command": "Test a"});
    vec![
        ("POST /jobs/add", "/jobs/add", old("one"), "job.add"),
        ("POST /api/v1/jobs", "/api/v1/jobs", job("two"), "job.add"),
        ("POST /jobs/addAndRun", "/jobs/addAndRun", old("three"), "job.add"),
        ("POST /api/v1/jobs/import", "/api/v1/jobs/import", json!({"jobs": [job("four")]}), "job.add"),
        ("POST /jobs/edit", "/jobs/edit", json!({"id": 1, "desc": "new"}), "job.edit"),
        ("PATCH /api/v1/jobs/{id}", "/api/v1/jobs/2", json!({"description": "new"}), "job.edit"),
        ("POST /jobs/run", "/jobs/run", json!({"id": 1}), "job.run"),
        ("POST /api/v1/jobs/{id}/run", "/api/v1/jobs/2/run", Value::Null, "job.run"),
        ("POST /jobs/runAll", "/jobs/runAll", Value::Null, "job.run_all"),
        ("POST /jobs/stop", "/jobs/stop", json!({"id": 1}), "job.stop"),
        ("POST /api/v1/jobs/{id}/stop", "/api/v1/jobs/2/stop", Value::Null, "job.stop"),
        ("POST /jobs/restart", "/jobs/restart", json!({"id": 1}), "job.start"),
        ("POST /api/v1/jobs/{id}/start", "/api/v1/jobs/2/start", Value::Null, "job.start"),
        ("POST /api/v1/jobs/bulk", "/api/v1/jobs/bulk", json!({"action": "stop", "ids": [2]}), "job.stop"),
        ("POST /jobs/stopAll", "/jobs/stopAll", Value::Null, "job.stop_all"),
        ("POST /api/v1/runs/test", "/api/v1/runs/test", job("tried"), "run.test"),
        ("POST /api/v1/functions/{name}/try", "/api/v1/functions/Test/try", json!({"args": "x"}), "run.test"),
        ("POST /jobs/logs/clear", "/jobs/logs/clear", json!({"type": "job", "id": 1}), "runs.clear"),
        ("POST /jobs/switchState", "/jobs/switchState", json!({"enabled": true}), "log.switch"),
        ("POST /jobs/checkJob", "/jobs/checkJob", Value::Null, "scheduler.reconcile"),
        ("POST /api/v1/system/reconcile", "/api/v1/system/reconcile", Value::Null, "scheduler.reconcile"),
        ("POST /jobs/reload-config", "/jobs/reload-config", Value::Null, "settings.reload"),
        ("POST /api/v1/system/reload", "/api/v1/system/reload", Value::Null, "settings.reload"),
        ("POST /jobs/functions/reload", "/jobs/functions/reload", Value::Null, "functions.reload"),
        ("POST /api/v1/functions/reload", "/api/v1/functions/reload", Value::Null, "functions.reload"),
        (
            "POST /jobs/ip-control/blacklist/add",
            "/jobs/ip-control/blacklist/add",
            json!({"ip": "192.0.2.1"}),
            "access.add",
        ),
        (
            "POST /jobs/ip-control/blacklist/remove",
            "/jobs/ip-control/blacklist/remove",
            json!({"ip": "192.0.2.1"}),
            "access.remove",
        ),
        (
            "POST /jobs/ip-control/whitelist/add",
            "/jobs/ip-control/whitelist/add",
            json!({"ip": "192.0.2.2"}),
            "access.add",
        ),
        (
            "POST /jobs/ip-control/whitelist/remove",
            "/jobs/ip-control/whitelist/remove",
            json!({"ip": "192.0.2.2"}),
            "access.remove",
        ),
        (
            "POST /api/v1/access/{list}",
            "/api/v1/access/blacklist",
            json!({"entry": "192.0.2.3"}),
            "access.add",
        ),
        (
            "DELETE /api/v1/access/{list}/{entry}",
            "/api/v1/access/blacklist/192.0.2.3",
            Value::Null,
            "access.remove",
        ),
        (
            "POST /api/v1/accounts",
            "/api/v1/accounts",
            json!({"username": "b", "password": PASSWORD}),
            "account.add",
        ),
        (
            "POST /admin/register",
            "/admin/register",
            json!({"username": "c", "password": PASSWORD}),
            "account.add",
        ),
        (
            "PATCH /api/v1/accounts/{id}",
            "/api/v1/accounts/2",
            json!({"role": "operator", "password": NEW_PASSWORD}),
            "account.edit",
        ),
        ("POST /admin/status", "/admin/status", json!({"id": 3, "status": 0}), "account.edit"),
        ("POST /admin/profile", "/admin/profile", json!({"email": "a@example.com"}), "account.edit"),
        ("DELETE /api/v1/accounts/{id}", "/api/v1/accounts/2", Value::Null, "account.delete"),
        ("POST /admin/delete", "/admin/delete", json!({"id": 3}), "account.delete"),
        ("POST /api/v1/tokens", "/api/v1/tokens", json!({"name": "ci"}), "token.add"),
        ("DELETE /api/v1/tokens/{id}", "/api/v1/tokens/3", Value::Null, "token.delete"),
        ("PUT /api/v1/secrets/{name}", "/api/v1/secrets/KEY", json!({"value": "hunter2000"}), "secret.add"),
        ("PUT /api/v1/secrets/{name}", "/api/v1/secrets/KEY", json!({"value": "hunter3000"}), "secret.edit"),
        ("DELETE /api/v1/secrets/{name}", "/api/v1/secrets/KEY", Value::Null, "secret.delete"),
        ("POST /jobs/del", "/jobs/del", json!({"id": 1}), "job.delete"),
        ("DELETE /api/v1/jobs/{id}", "/api/v1/jobs/2", Value::Null, "job.delete"),
        (
            "POST /admin/login",
            "/admin/login",
            json!({"username": "a", "password": PASSWORD}),
            "session.login",
        ),
        (
            "POST /api/v1/session",
            "/api/v1/session",
            json!({"username": "a", "password": "wrong one"}),
            "session.login_failed",
        ),
    ]
}

async fn ask(app: &TestApp, token: &str, route: &str, path: &str, body: &Value) -> (u16, String) {
    let method: Method = route.split(' ').next().unwrap().parse().unwrap();
    let mut request =
        app.http.request(method, format!("{}{path}", app.url)).header("If-Match", "*").bearer_auth(token);
    if !body.is_null() {
        request = request.json(body);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// A route that changes something and is not told of fails here, and so does a new one that is in
/// neither list.
#[tokio::test]
async fn every_change_is_told_of() {
    let app = TestApp::start().await;
    let first = json!({"username": "a", "password": PASSWORD, "role": "admin"});
    let (status, made) = send(call(&app, Method::POST, "/accounts").json(&first)).await;
    assert_eq!(status, 201, "{made}");
    let login = app.post("/admin/login", json!({"username": "a", "password": PASSWORD})).await;
    let token = login["data"]["token"].as_str().unwrap().to_owned();
    let all = rows(&app, &token, "").await;
    let acts: Vec<_> = all.iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(acts, ["session.login", "session.login", "account.add"]);
    assert_eq!((&all[2]["actor"], &all[2]["via"]), (&json!("owner"), &json!("open")));
    let mut told: BTreeSet<String> = SILENT.iter().map(|route| (*route).to_owned()).collect();
    for (route, path, body, act) in steps() {
        let newest = rows(&app, &token, "limit=1").await[0]["id"].as_i64().unwrap();
        let (status, answer) = ask(&app, &token, route, path, &body).await;
        assert!(status < 300 || act.ends_with("_failed"), "{route}: {status} {answer}");
        let fresh = rows(&app, &token, "limit=3").await;
        let fresh: Vec<_> = fresh.iter().filter(|row| row["id"].as_i64() > Some(newest)).collect();
        assert_eq!(fresh.len(), 1, "{route} {answer}: {fresh:?}");
        assert_eq!(fresh[0]["action"], act, "{route}");
        assert_eq!(fresh[0]["source"], "127.0.0.1", "{route}");
        if act != "session.login_failed" {
            assert_eq!((&fresh[0]["actor"], &fresh[0]["role"]), (&json!("a"), &json!("admin")), "{route}");
        }
        told.insert(route.to_owned());
    }
    // Those that end the session that asks, and a run that must be there.
    let waiting = draft(json!({"name": "long", "mode": "command", "command": "sleep 60"}));
    let (_, made) = ask(&app, &token, "POST", "/api/v1/jobs", &waiting).await;
    let id = serde_json::from_str::<Value>(&made).unwrap()["id"].clone();
    let (_, begun) = ask(&app, &token, "POST", &format!("/api/v1/jobs/{id}/run"), &Value::Null).await;
    let run = serde_json::from_str::<Value>(&begun).unwrap()["run"].as_str().unwrap().to_owned();
    for (route, path, body, act) in [
        ("POST /api/v1/runs/{id}/stop", format!("/api/v1/runs/{run}/stop"), Value::Null, "run.stop"),
        ("POST /api/v1/runs/{id}/again", format!("/api/v1/runs/{run}/again"), Value::Null, "job.run"),
        ("DELETE /api/v1/session", "/api/v1/session".into(), Value::Null, "session.logout"),
    ] {
        let (status, answer) = ask(&app, &token, route, &path, &body).await;
        assert!(status < 300, "{route}: {status} {answer}");
        told.insert(route.to_owned());
        if act != "session.logout" {
            assert_eq!(rows(&app, &token, "limit=1").await[0]["action"], act);
        }
    }
    let token = relogin(&app, PASSWORD).await;
    assert_eq!(rows(&app, &token, "limit=2").await[1]["action"], "session.logout");
    let body = json!({"password": PASSWORD, "new_password": NEW_PASSWORD});
    let (status, _) = ask(&app, &token, "POST", "/api/v1/session/password", &body).await;
    assert_eq!(status, 200);
    told.insert("POST /api/v1/session/password".into());
    let token = relogin(&app, NEW_PASSWORD).await;
    let found = rows(&app, &token, "action=account.password").await;
    assert_eq!((found.len(), &found[0]["after"]), (1, &json!({"password": "changed"})));

    let document = send(super::get(&app, "/openapi.json").bearer_auth(&token)).await.1;
    let mut routes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|method| *method != "get") {
            routes.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    assert_eq!(told, routes, "each route is either told of or named as one that changes nothing");
    // None of the passwords and secrets that were sent stands in the log.
    let log = send_text(&app, &token, "/api/v1/audit/export").await;
    for secret in [PASSWORD, NEW_PASSWORD, "hunter2000", "hunter3000", "$argon2"] {
        assert!(!log.contains(secret), "{secret}");
    }
    assert_eq!(log.lines().count(), rows(&app, &token, "limit=200").await.len());
}

async fn relogin(app: &TestApp, password: &str) -> String {
    let login = app.post("/admin/login", json!({"username": "a", "password": password})).await;
    login["data"]["token"].as_str().unwrap().to_owned()
}

async fn send_text(app: &TestApp, token: &str, path: &str) -> String {
    app.http.get(format!("{}{path}", app.url)).bearer_auth(token).send().await.unwrap().text().await.unwrap()
}

async fn list(app: &TestApp, query: &str) -> Value {
    send(call(app, Method::GET, &format!("/audit?{query}"))).await.1
}

#[tokio::test]
async fn a_change_shows_what_differs_and_a_refused_one_is_none() {
    let app = TestApp::start().await;
    let (_, job) = send(call(&app, Method::POST, "/jobs").json(&draft(json!({"name": "a"})))).await;
    let path = format!("/jobs/{}", job["id"]);
    let change = json!({"name": "b", "command": "Test c", "max_run_count": 0});
    send(call(&app, Method::PATCH, &path).header("If-Match", "*").json(&change)).await;
    let row = list(&app, "limit=1").await["items"][0].clone();
    assert_eq!(row["target"], json!({"kind": "job", "id": job["id"].to_string(), "name": "a"}));
    assert_eq!(row["before"], json!({"name": "a", "command": "Test a,b"}));
    assert_eq!(row["after"], json!({"name": "b", "command": "Test c"}));
    // Neither of these changes anything.
    send(call(&app, Method::POST, "/jobs").json(&draft(json!({"name": "b"})))).await;
    send(call(&app, Method::PATCH, &path).header("If-Match", "\"1\"").json(&change)).await;
    send(call(&app, Method::DELETE, "/jobs/99").header("If-Match", "*")).await;
    send(call(&app, Method::POST, "/jobs/99/run")).await;
    assert_eq!(list(&app, "").await["items"].as_array().unwrap().len(), 2);
    let gone = call(&app, Method::DELETE, &path).header("If-Match", "*").send().await.unwrap();
    assert_eq!(gone.status(), 204);
    let row = list(&app, "limit=1").await["items"][0].clone();
    assert_eq!((&row["before"]["name"], &row["after"]), (&json!("b"), &Value::Null));
}

#[tokio::test]
async fn the_log_is_searched_and_walked_and_kept_for_its_days() {
    let app = TestApp::with(&[("RETENTION_AUDIT_DAYS", "2")]).await;
    for n in 0..5 {
        send(call(&app, Method::POST, "/jobs").json(&draft(json!({"name": format!("=job {n}")})))).await;
        app.advance(3_600);
    }
    send(call(&app, Method::POST, "/jobs/1/stop")).await;
    let ids = |list: &Value| -> Vec<i64> {
        list["items"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(&list(&app, "").await), [6, 5, 4, 3, 2, 1]);
    assert_eq!(ids(&list(&app, "action=job.add&limit=2").await), [5, 4]);
    assert_eq!(ids(&list(&app, "action=job.&limit=2&cursor=5").await), [4, 3]);
    assert_eq!(ids(&list(&app, "action=session.").await), [] as [i64; 0]);
    assert_eq!(ids(&list(&app, "q=job:1").await), [6, 1]);
    assert_eq!(ids(&list(&app, "q=job%203").await), [4]);
    assert_eq!(ids(&list(&app, "actor=owner&limit=1").await), [6]);
    assert_eq!(ids(&list(&app, "actor=somebody").await), [] as [i64; 0]);
    let between = "from=2026-01-05T09:00:00Z&to=2026-01-05T11:00:00Z";
    assert_eq!(ids(&list(&app, between).await), [3, 2]);
    let first = list(&app, "limit=4").await;
    assert_eq!(
        ids(&list(&app, &format!("limit=4&cursor={}", first["next"].as_str().unwrap())).await),
        [2, 1]
    );
    assert_eq!(list(&app, "from=yesterday").await["errors"][0]["field"], "from");
    assert_eq!(list(&app, "cursor=x").await["status"], 422);
    let csv = send_text(&app, "", "/api/v1/audit/export?format=csv&action=job.stop").await;
    let lines: Vec<_> = csv.lines().collect();
    assert!(lines[0].starts_with("id,at,actor,"), "{csv}");
    assert!(lines[1].contains(",owner,admin,open,127.0.0.1,job.stop,job,1,'=job 0,"), "{csv}");
    assert_eq!(lines.len(), 2);
    // Two days later the older ones go, by themselves.
    app.advance(2 * 86_400 - 2 * 3_600);
    app.until(async |app| ids(&list(app, "").await) == [6, 5, 4]).await;
}

#[tokio::test]
async fn of_very_many_rows_the_newest_are_kept() {
    let app = TestApp::with(&[("RETENTION_AUDIT_ROWS", "3")]).await;
    for n in 0..5 {
        send(call(&app, Method::POST, "/jobs").json(&draft(json!({"name": format!("job {n}")})))).await;
    }
    app.advance(61);
    let ids = async |app: &TestApp| {
        let list = list(app, "").await;
        list["items"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    app.until(async |app| ids(app).await == [5, 4, 3]).await;
}
