//! Jobs as files, and drafts looked at before they are saved.

use super::v1_jobs::{add, call, draft, named};
use super::{post, send};
use crate::support::TestApp;
use reqwest::Method;
use serde_json::{Value, json};

async fn export(app: &TestApp, query: &str) -> (String, String) {
    let answer = call(app, Method::GET, &format!("/jobs/export?{query}")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let media = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(answer.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"), "{media}");
    (media, answer.text().await.unwrap())
}

async fn import(app: &TestApp, query: &str, media: &str, body: &str) -> (u16, Value) {
    let request = call(app, Method::POST, &format!("/jobs/import?{query}"));
    send(request.header("Content-Type", media).body(body.to_owned())).await
}

/// Its jobs as they were written, without what the server adds.
async fn drafts(app: &TestApp) -> Vec<Value> {
    let (_, text) = export(app, "").await;
    serde_json::from_str::<Value>(&text).unwrap()["jobs"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_is_exported_comes_back_as_it_was() {
    let from = TestApp::start().await;
    add(
        &from,
        json!({"name": "a: \"quoted\" # no comment", "description": "two\nlines\n\n  indented 任务 🗄"}),
    )
    .await;
    add(
        &from,
        json!({"name": "yes", "mode": "command", "command": "【command】echo '- x'\n【timeout】60\n"}),
    )
    .await;
    add(&from, json!({"name": "0755", "trigger": {"type": "interval", "seconds": 5}, "enabled": false}))
        .await;
    for n in 0..520 {
        add(&from, json!({"name": format!("job {n}"), "enabled": false})).await;
    }
    let before = drafts(&from).await;
    assert_eq!(before.len(), 523);
    for (format, media) in [("json", "application/json"), ("yaml", "application/yaml")] {
        let (shown, text) = export(&from, &format!("format={format}")).await;
        assert_eq!(shown, media);
        let to = TestApp::start().await;
        let (status, tried) = import(&to, "dry_run=true", media, &text).await;
        assert_eq!((status, &tried["problems"]), (200, &json!([])), "{format}");
        assert_eq!(tried["added"][0], json!({"id": null, "name": before[0]["name"]}));
        assert_eq!(drafts(&to).await.len(), 0, "nothing was added");
        let (status, done) = import(&to, "", media, &text).await;
        assert_eq!((status, &done["problems"]), (200, &json!([])), "{format}");
        let mut after = drafts(&to).await;
        let name = |job: &Value| job["name"].as_str().unwrap().to_owned();
        let mut wanted = before.clone();
        after.sort_by_key(name);
        wanted.sort_by_key(name);
        assert_eq!(after, wanted, "{format}");
    }
    let (_, some) = export(&from, "ids=2,3").await;
    assert_eq!(serde_json::from_str::<Value>(&some).unwrap()["jobs"].as_array().unwrap().len(), 2);
    let (_, none) = export(&from, "ids=9999&format=yaml").await;
    assert_eq!(none, "jobs: []\n");
}

#[tokio::test]
async fn each_job_of_a_file_is_taken_or_refused_by_itself() {
    let app = TestApp::start().await;
    add(&app, json!({"name": "taken"})).await;
    let file = json!([
        draft(json!({"name": "good"})),
        draft(json!({"name": "taken"})),
        draft(json!({"name": "good"})),
        draft(json!({"name": "bad", "trigger": {"cron": "99 * * * *"}, "colour": "red"})),
        "no job",
        {"command": 5},
    ]);
    for dry in [true, false] {
        let (status, done) =
            import(&app, &format!("dry_run={dry}"), "application/json", &file.to_string()).await;
        assert_eq!(status, 200, "{done}");
        assert_eq!(done["added"].as_array().unwrap().len(), 1);
        let problems: Vec<_> = done["problems"].as_array().unwrap().iter().collect();
        let told: Vec<_> =
            problems.iter().map(|p| (p["index"].as_u64().unwrap(), p["name"].as_str(), named(p))).collect();
        assert_eq!(
            told[..3],
            [
                (1, Some("taken"), vec!["name"]),
                (2, Some("good"), vec!["name"]),
                (3, Some("bad"), vec!["colour", "trigger.cron"]),
            ]
        );
        assert_eq!((told[3].0, told[3].2[0]), (4, "body"));
        assert_eq!(told[4], (5, None, vec!["command", "name", "trigger.cron", "mode"]));
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_says_why() {
    let app = TestApp::start().await;
    for (media, text, why) in [
        ("application/json", "{\"jobs\": [", "not valid JSON"),
        ("application/yaml", "jobs: [a", "not valid YAML"),
        ("application/yaml", "jobs: {a: 1}", "list of jobs"),
        ("application/json", "3", "list of jobs"),
        ("text/plain", "", "list of jobs"),
        // A few lines that would unfold to gigabytes.
        ("application/yaml", &bomb(), "not valid YAML"),
    ] {
        let (status, problem) = import(&app, "", media, text).await;
        assert_eq!((status, named(&problem)), (400, vec!["body"]), "{text}");
        assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
    }
    // A file may be larger than other requests; curl calls it a form.
    let large = format!("[{}]", draft(json!({"name": "large"}))) + &" ".repeat(2 << 20);
    let (status, done) = import(&app, "", "application/x-www-form-urlencoded", &large).await;
    assert_eq!((status, done["added"].as_array().unwrap().len()), (200, 1), "{done}");
}

fn bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let all = vec![format!("*a{}", n - 1); 10].join(", ");
        text += &format!("a{n}: &a{n} [{all}]\n");
    }
    text + "jobs: *a11\n"
}

#[tokio::test]
async fn a_draft_is_looked_at_before_it_is_saved() {
    let app = TestApp::start().await;
    let taken = add(&app, json!({"name": "taken"})).await;
    let check = async |fields: Value| {
        let (status, seen) = send(call(&app, Method::POST, "/jobs/check").json(&fields)).await;
        assert_eq!(status, 200, "{seen}");
        seen
    };
    let good = draft(json!({"trigger": {"cron": "30 9 * * 1-5", "timezone": "Asia/Shanghai"},
        "command": "【name】Test\n【arg】a,b"}));
    let seen = check(good.clone()).await;
    assert_eq!((&seen["valid"], &seen["errors"], &seen["warnings"]), (&json!(true), &json!([]), &json!([])));
    assert_eq!(seen["words"], "Monday to Friday at 09:30");
    assert_eq!(seen["form"], json!({"name": "Test", "arg": "a,b"}));
    assert_eq!(seen["next"].as_array().unwrap().len(), 10);
    assert_eq!(
        seen["next"][0],
        json!({"at": "2026-01-06T01:30:00.000Z", "local": "2026-01-06 09:30:00",
        "zone": "Asia/Shanghai (UTC+08:00)"})
    );
    let (_, chinese) = send(post(&app, "/api/v1/jobs/check").json(&good)).await;
    assert_eq!(chinese["words"].as_str().unwrap(), "每周一至周五 09:30");

    // The trigger is told of whatever else is wrong, and the rest when the trigger is.
    let seen = check(json!({"trigger": {"cron": "0 0 13 * 5"}})).await;
    assert_eq!((&seen["valid"], named(&seen)), (&json!(false), vec!["name", "mode"]));
    assert_eq!(seen["warnings"][0]["code"], "both_days");
    let seen = check(draft(json!({"name": "taken", "trigger": {"cron": "61 * * * *"}}))).await;
    assert_eq!(named(&seen), ["trigger.cron", "name"]);
    assert_eq!((&seen["words"], &seen["next"]), (&Value::Null, &json!([])));
    // A job may keep its own name.
    let own = draft(json!({"name": "taken", "id": taken["id"]}));
    assert_eq!(check(own).await["valid"], true);
}
