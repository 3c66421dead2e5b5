//! The API's own description: complete, valid, true, and served from the binary.

use super::{get, keys, send};
use crate::support::TestApp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The paths of the contract that exist. A path that is added here must be in the document.
const PATHS: &[(&str, &str)] = &[
    ("POST", "/jobs/add"),
    ("POST", "/jobs/edit"),
    ("POST", "/jobs/del"),
    ("GET", "/jobs/list"),
    ("GET", "/jobs/read"),
    ("POST", "/jobs/run"),
    ("POST", "/jobs/stop"),
    ("POST", "/jobs/restart"),
    ("POST", "/jobs/runAll"),
    ("POST", "/jobs/stopAll"),
    ("POST", "/jobs/addAndRun"),
    ("POST", "/jobs/logs"),
    ("GET", "/jobs/runs"),
    ("GET", "/jobs/execs"),
    ("GET", "/jobs/execs/download"),
    ("GET", "/jobs/logs/download"),
    ("POST", "/jobs/logs/clear"),
    ("GET", "/jobs/zapLogs"),
    ("GET", "/jobs/zapLogs/download"),
    ("GET", "/jobs/switchState"),
    ("POST", "/jobs/switchState"),
    ("GET", "/jobs/config"),
    ("POST", "/jobs/reload-config"),
    ("GET", "/metrics"),
    ("GET", "/redoc"),
    ("GET", "/jobs/jobStatus"),
    ("GET", "/jobs/jobState"),
    ("GET", "/jobs/scheduler"),
    ("POST", "/jobs/checkJob"),
    ("GET", "/jobs/functions"),
    ("POST", "/jobs/functions/reload"),
    ("GET", "/jobs/dbinfo"),
    ("GET", "/jobs/ip-control/status"),
    ("POST", "/jobs/ip-control/whitelist/add"),
    ("POST", "/jobs/ip-control/whitelist/remove"),
    ("POST", "/jobs/ip-control/blacklist/add"),
    ("POST", "/jobs/ip-control/blacklist/remove"),
    ("GET", "/jobs/health"),
    ("GET", "/health"),
    ("GET", "/api/v1/system"),
    ("POST", "/api/v1/system/reload"),
    ("POST", "/api/v1/system/reconcile"),
    ("GET", "/api/v1/access"),
    ("POST", "/api/v1/access/{list}"),
    ("DELETE", "/api/v1/access/{list}/{entry}"),
    ("GET", "/api/v1/session"),
    ("POST", "/api/v1/session"),
    ("DELETE", "/api/v1/session"),
    ("POST", "/api/v1/session/claim"),
    ("POST", "/api/v1/session/password"),
    ("GET", "/api/v1/accounts"),
    ("POST", "/api/v1/accounts"),
    ("PATCH", "/api/v1/accounts/{id}"),
    ("DELETE", "/api/v1/accounts/{id}"),
    ("GET", "/api/v1/audit"),
    ("GET", "/api/v1/audit/export"),
    ("GET", "/api/v1/secrets"),
    ("PUT", "/api/v1/secrets/{name}"),
    ("DELETE", "/api/v1/secrets/{name}"),
    ("GET", "/api/v1/tokens"),
    ("POST", "/api/v1/tokens"),
    ("DELETE", "/api/v1/tokens/{id}"),
    ("POST", "/admin/login"),
    ("POST", "/admin/register"),
    ("GET", "/admin/profile"),
    ("POST", "/admin/profile"),
    ("GET", "/admin/list"),
    ("POST", "/admin/status"),
    ("POST", "/admin/delete"),
    ("GET", "/api/v1/overview"),
    ("GET", "/api/v1/jobs"),
    ("POST", "/api/v1/jobs"),
    ("GET", "/api/v1/jobs/{id}"),
    ("PATCH", "/api/v1/jobs/{id}"),
    ("DELETE", "/api/v1/jobs/{id}"),
    ("POST", "/api/v1/jobs/{id}/run"),
    ("POST", "/api/v1/jobs/{id}/stop"),
    ("POST", "/api/v1/jobs/{id}/start"),
    ("GET", "/api/v1/jobs/{id}/fires"),
    ("POST", "/api/v1/jobs/check"),
    ("POST", "/api/v1/jobs/bulk"),
    ("GET", "/api/v1/jobs/export"),
    ("POST", "/api/v1/jobs/import"),
    ("GET", "/api/v1/runs"),
    ("GET", "/api/v1/runs/{id}"),
    ("GET", "/api/v1/runs/{id}/output"),
    ("POST", "/api/v1/runs/{id}/stop"),
    ("POST", "/api/v1/runs/{id}/again"),
    ("GET", "/api/v1/runs/{id}/live"),
    ("POST", "/api/v1/runs/test"),
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/functions"),
    ("POST", "/api/v1/functions/reload"),
    ("GET", "/api/v1/functions/{name}"),
    ("POST", "/api/v1/functions/{name}/try"),
    ("GET", "/api/v1/logs"),
    ("GET", "/api/v1/logs/live"),
];

/// Every path of the document with its method and operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((path.clone(), method.to_uppercase(), operation.clone()));
        }
    }
    all
}

fn walk(value: &Value, see: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                see(name, field);
                walk(field, see);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
        _ => {}
    }
}

#[tokio::test]
async fn every_path_is_in_the_document_and_every_one_in_it_answers() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").await;
    let described: BTreeMap<_, _> =
        operations(&document).into_iter().map(|(path, method, it)| ((method, path), it)).collect();
    let known: BTreeSet<_> = PATHS.iter().map(|(m, p)| ((*m).to_owned(), (*p).to_owned())).collect();
    assert_eq!(described.keys().cloned().collect::<BTreeSet<_>>(), known, "add a new path to PATHS");
    for ((method, path), it) in described {
        let id = app.add(json!({"name": format!("{method} {path}")})).await;
        let request = app.http.request(method.parse().unwrap(), format!("{}{path}?id={id}", app.url));
        let answer = request.send().await.unwrap();
        let media = answer.headers()["content-type"].to_str().unwrap().to_owned();
        if path.starts_with("/api/v1/") && answer.status().is_client_error() {
            // Without what it needs it says so.
            assert_eq!(media, "application/problem+json", "{method} {path}");
            assert!(it["responses"]["default"]["content"][&media].is_object(), "{method} {path}");
            continue;
        }
        assert_eq!(answer.status(), 200, "{method} {path}");
        let text = answer.text().await.unwrap();
        if media.starts_with("application/json") {
            let answer: Value = serde_json::from_str(&text).unwrap();
            // No log of today, no such run, a parameter that is missing: all of them say so.
            let may = [200, 404, 422].map(Value::from);
            assert!(answer.get("code").is_none_or(|code| may.contains(code)), "{path}: {answer}");
        } else {
            let described = keys(&it["responses"]["200"]["content"])[0].to_owned();
            assert!(media.starts_with(&described), "{path} is {media}, described as {described}");
        }
    }
}

#[tokio::test]
async fn the_document_is_valid() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3."), "{}", document["openapi"]);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(!document["info"]["title"].as_str().unwrap().is_empty());
    let mut broken = Vec::new();
    let mut urls = Vec::new();
    walk(&document, &mut |name, value| {
        let Some(text) = value.as_str() else { return };
        if name == "$ref" {
            let found = text.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
            if found.is_none() {
                broken.push(text.to_owned());
            }
        }
        if text.contains("://") && name != "description" {
            urls.push(text.to_owned());
        }
    });
    assert_eq!((broken, urls), (Vec::<String>::new(), Vec::<String>::new()));
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        assert!(path.starts_with('/'), "{path}");
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
            "{path}: operationId twice"
        );
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{path}");
        let answers = operation["responses"].as_object().unwrap();
        let response = answers.iter().find(|(status, _)| status.starts_with('2')).unwrap();
        assert!(response.1["description"].is_string(), "{path}");
        if response.0 != "204" {
            let media = keys(&response.1["content"])[0];
            assert!(response.1["content"][media]["schema"].is_object(), "{path}");
        }
        if method == "GET" {
            assert!(operation.get("requestBody").is_none(), "{path}");
        }
        let mut names = BTreeSet::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let in_path = path.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap()));
            let place = match parameter["name"].as_str().unwrap() {
                "If-Match" => "header",
                _ if in_path => "path",
                _ => "query",
            };
            assert_eq!(parameter["in"], place, "{path}");
            assert!(!in_path || parameter["required"] == true, "{path}");
            assert!(parameter["schema"]["type"].is_string(), "{path} {parameter}");
            assert!(parameter["description"].is_string(), "{path} {parameter}");
            assert!(names.insert(parameter["name"].as_str().unwrap()), "{path}: {parameter} twice");
        }
        for (kind, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            let schema = &content["schema"];
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(
                    schema["properties"].get(required.as_str().unwrap()).is_some(),
                    "{path} {kind} {required}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_document_names_the_fields_of_the_answers() {
    let mut app = TestApp::start().await;
    let id = app.add(json!({})).await;
    app.post("/jobs/run", json!({"id": id})).await;
    app.ended(id, 1).await;
    let document = app.get("/openapi.json").await;
    for (schema, value) in [
        ("CompatJob", app.job(id).await),
        ("CompatRun", app.runs(id).await.remove(0)),
        ("ScheduledJob", app.get("/jobs/scheduler").await["data"][0].clone()),
        ("CompatFunction", app.get("/jobs/functions").await["data"][0].clone()),
        ("JobStatus", app.get("/jobs/jobStatus").await),
        ("JobStateCounts", app.get("/jobs/jobState").await["data"].clone()),
        ("Health", app.get("/health").await),
        ("Process", app.get("/jobs/health").await["data"].clone()),
        ("Triggered", app.post("/jobs/run", json!({"id": id})).await["data"].clone()),
        ("CheckJob", app.post("/jobs/checkJob", json!({})).await["data"].clone()),
        ("LogSwitch", app.get("/jobs/switchState").await["data"].clone()),
        ("Reloaded", app.post("/jobs/reload-config", json!({})).await["data"].clone()),
        ("Cleared", app.post("/jobs/logs/clear", json!({"type": "job", "id": id})).await["data"].clone()),
    ] {
        let described = &document["components"]["schemas"][schema];
        let properties =
            described["properties"].as_object().unwrap_or_else(|| panic!("{schema}: {described}"));
        for (name, field) in value.as_object().unwrap() {
            let property = properties.get(name).unwrap_or_else(|| panic!("{schema} does not say {name}"));
            assert!(fits(property, field), "{schema}.{name} is {field}, described as {property}");
        }
        for required in described["required"].as_array().into_iter().flatten() {
            assert!(value.get(required.as_str().unwrap()).is_some(), "{schema}: {required} is missing");
        }
    }
}

/// Whether a value is of the type that the property names. `Triggered.reason` may be null though
/// its plain schema cannot say so.
fn fits(property: &Value, value: &Value) -> bool {
    let kinds: Vec<_> = match &property["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        Value::String(kind) => vec![kind.as_str()],
        _ => return true,
    };
    kinds.iter().any(|kind| match *kind {
        "string" => value.is_string() || value.is_null() && kinds.len() == 1,
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    })
}

#[tokio::test]
async fn the_document_says_what_each_call_takes() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").await;
    let names = |path: &str| -> BTreeSet<String> {
        let item = &document["paths"][path];
        let query = item["get"]["parameters"].as_array().into_iter().flatten();
        let query = query.map(|p| p["name"].as_str().unwrap().to_owned());
        let body = &item["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"];
        query.chain(body.as_object().into_iter().flatten().map(|(name, _)| name.clone())).collect()
    };
    for (path, wanted) in [
        ("/jobs/list", &["page", "size", "name", "state", "mode"][..]),
        ("/jobs/read", &["id"]),
        ("/jobs/run", &["id"]),
        ("/jobs/restart", &["id", "reset_run_count"]),
        ("/jobs/logs", &["id", "page", "limit", "size", "date", "outcome", "order"]),
        ("/jobs/runs", &["id", "page", "size", "date", "outcome", "order"]),
        ("/jobs/execs", &["id", "exec_id"]),
        ("/jobs/scheduler", &["page", "size"]),
    ] {
        assert_eq!(names(path), wanted.iter().map(|&n| n.to_owned()).collect(), "{path}");
    }
    let job = [
        "name",
        "desc",
        "cron_expr",
        "mode",
        "command",
        "state",
        "allow_mode",
        "max_run_count",
        "trigger_type",
        "interval_seconds",
    ];
    for path in ["/jobs/add", "/jobs/edit", "/jobs/addAndRun"] {
        assert!(job.iter().all(|field| names(path).contains(*field)), "{path}");
    }
    assert!(names("/jobs/edit").contains("id") && !names("/jobs/add").contains("id"));
    assert!(
        names("/jobs/addAndRun").contains("remove_task") && names("/jobs/addAndRun").contains("remove_log")
    );
}

#[tokio::test]
async fn the_pages_come_from_the_binary_alone() {
    let app = TestApp::start().await;
    let page = get(&app, "/docs").send().await.unwrap();
    assert_eq!((page.status().as_u16(), page.url().path()), (200, "/docs/"));
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let html = page.text().await.unwrap();
    assert!(!html.contains("://") && !html.contains("=\"//"), "{html}");
    let mut assets = 0;
    for (before, after) in [("src=\"", '"'), ("href=\"", '"')] {
        for rest in html.split(before).skip(1) {
            let name = rest.split(after).next().unwrap().trim_start_matches("./");
            let asset = get(&app, &format!("/docs/{name}")).send().await.unwrap();
            assert_eq!(asset.status(), 200, "{name}");
            assert!(!asset.bytes().await.unwrap().is_empty(), "{name}");
            assets += 1;
        }
    }
    assert!(assets >= 3, "{html}");
}

#[tokio::test]
async fn the_page_shows_our_document_and_asks_no_foreign_validator() {
    let app = TestApp::start().await;
    let start = get(&app, "/docs/swagger-initializer.js").send().await.unwrap().text().await.unwrap();
    assert!(start.contains("/openapi.json"), "{start}");
    assert!(!start.contains("://"), "{start}");
    assert!(
        start.contains("validatorUrl"),
        "Swagger UI sends the document's address to validator.swagger.io: {start}"
    );
}

#[tokio::test]
async fn an_asset_that_is_not_there_is_a_404_in_the_envelope() {
    let app = TestApp::start().await;
    for path in ["/docs/nothing.js", "/docs/%2e%2e/%2e%2e/etc/passwd", "/docs/a/b/c"] {
        let (status, answer) = send(get(&app, path).header("Accept-Language", "en")).await;
        assert_eq!((status, &answer["code"]), (404, &json!(404)), "{path}");
        assert!(answer["msg"].as_str().unwrap().contains("no such path"), "{answer}");
    }
}

/// The console's types are made from this file; `make openapi` writes it anew.
#[tokio::test]
async fn the_committed_document_is_the_servers() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").await;
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/web/openapi.json");
    if std::env::var_os("WRITE_OPENAPI").is_some() {
        std::fs::write(path, text).unwrap();
    } else {
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == text, "web/openapi.json is not what the server answers: make openapi");
    }
}
