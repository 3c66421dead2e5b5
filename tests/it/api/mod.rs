//! What clients of the API see, from outside: every test is a sentence of the contract. One file a
//! topic; what they share is here.

mod answers;
mod auth;
mod console;
mod docs;
mod guard;
mod inputs;
mod ip_control;
mod jobs;
mod list;
mod live;
mod logs;
mod pages;
mod revoked;
mod robust;
mod runs;
mod seed;
mod settings;
mod slow;
mod v1_audit;
mod v1_events;
mod v1_files;
mod v1_functions;
mod v1_jobs;
mod v1_logs;
mod v1_overview;
mod v1_runs;
mod v1_system;
mod validation;
mod wire;

use crate::support::TestApp;
use reqwest::RequestBuilder;
use serde_json::Value;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

fn get(app: &TestApp, path: &str) -> RequestBuilder {
    app.http.get(format!("{}{path}", app.url))
}

fn post(app: &TestApp, path: &str) -> RequestBuilder {
    app.http.post(format!("{}{path}", app.url))
}

/// Pairs in the form of a query string or of a form body.
fn encoded<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn form<K: AsRef<str>, V: AsRef<str>>(
    request: RequestBuilder,
    pairs: impl IntoIterator<Item = (K, V)>,
) -> RequestBuilder {
    request.header("Content-Type", FORM).body(encoded(pairs))
}

/// Sends it; gives back the HTTP status and the JSON of the answer.
async fn send(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|e| panic!("HTTP {status}: {e}: {text}")))
}

/// Sends it; the HTTP status is 200, as for every business answer.
async fn ask(request: RequestBuilder) -> Value {
    let (status, answer) = send(request).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

fn code(answer: &Value) -> u64 {
    answer["code"].as_u64().unwrap_or_else(|| panic!("no code: {answer}"))
}

fn msg(answer: &Value) -> &str {
    answer["msg"].as_str().unwrap_or_else(|| panic!("no msg: {answer}"))
}

/// The names in an object, in the order in which they came.
fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap_or_else(|| panic!("no object: {object}")).keys().map(String::as_str).collect()
}

/// The fields that a 422 names, sorted. Every entry says what is wrong and shows the value.
fn bad_fields(answer: &Value) -> Vec<&str> {
    assert_eq!(code(answer), 422, "{answer}");
    let errors = answer["data"]["errors"].as_array().unwrap_or_else(|| panic!("no errors: {answer}"));
    let mut fields: Vec<_> = errors
        .iter()
        .map(|error| {
            assert_eq!(keys(error), ["field", "message", "value"], "{answer}");
            assert!(!error["message"].as_str().unwrap().is_empty(), "{answer}");
            error["field"].as_str().unwrap()
        })
        .collect();
    fields.sort_unstable();
    fields
}
