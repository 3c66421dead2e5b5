//! `/redoc`: the API as one page to read and print, made from `ROUTES` like the OpenAPI document.
//! It needs no script and nothing from outside.

use super::docs::Shape;
use super::extract::{Kind, Param};
use super::{Route, docs, routes};
use serde_json::Value;
use std::fmt::Write;

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>TimerJobs API</title><style>\
body{font:15px/1.5 system-ui,sans-serif;margin:0;color:#1d2530}\
nav{position:fixed;inset:0 auto 0 0;width:290px;overflow:auto;padding:16px;background:#f4f6f8;box-sizing:border-box}\
nav a{display:block;color:inherit;text-decoration:none;padding:2px 0;font-size:13px}\
main{margin-left:290px;max-width:860px;padding:16px 32px}\
section{border-top:1px solid #dde2e8;padding:8px 0 16px}code,pre{font:13px ui-monospace,monospace}\
pre{background:#1d2530;color:#e8edf2;padding:10px;overflow:auto;border-radius:4px}\
h2{font-size:17px}b.get{color:#0a7d33}b.post,b.patch{color:#a15c00}b.delete{color:#b3261e}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:4px 12px 4px 0;border-bottom:1px solid #eef1f4;\
vertical-align:top}i{color:#a00;font-style:normal}\
@media(max-width:760px){nav{position:static;width:auto}main{margin:0}}</style></head><body>";

const ABOUT: &str = "<p><code>/jobs/*</code>: business answers are HTTP 200 with <code>{\"code\", \"msg\", \"data\"}</code>; \
<code>code</code> is 200, 400, 404, 409, 422 or 500. Parameters come from the query string, a JSON body or a form \
body; the body wins. <code>/api/v1/*</code>: true statuses, \
and a <a href=\"#Problem\">Problem</a> when something is wrong. Messages are Chinese unless <code>Accept-Language</code> prefers English. \
<a href=\"/docs/\">Try the calls</a> · <a href=\"/openapi.json\">OpenAPI document</a></p>";

pub(super) fn page() -> String {
    let mut out = String::from(HEAD);
    out += "<nav><strong>TimerJobs API</strong>";
    for route in routes() {
        let (id, verb, path) = (id(route), route.method.word(), route.path);
        push(&mut out, format_args!("<a href=\"#{id}\"><b class=\"{verb}\">{verb}</b> {path}</a>"));
    }
    push(&mut out, format_args!("</nav><main><h1>TimerJobs {}</h1>{ABOUT}", env!("CARGO_PKG_VERSION")));
    for route in routes() {
        section(&mut out, route);
    }
    schemas(&mut out);
    out += "</main></body></html>";
    out
}

/// The fields of what the answers hold, from the document's own schemas.
fn schemas(out: &mut String) {
    let document = serde_json::to_value(docs::document()).unwrap_or_default();
    let all = document.pointer("/components/schemas").and_then(Value::as_object);
    for (name, schema) in all.into_iter().flatten() {
        push(out, format_args!("<section id=\"{name}\"><h2>{name}</h2><table>"));
        for (field, about) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let kind = match &about["type"] {
                Value::Array(kinds) => {
                    kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
                }
                kind => kind.as_str().unwrap_or_default().to_owned(),
            };
            let doc = escaped(about["description"].as_str().unwrap_or_default());
            push(out, format_args!("<tr><td><code>{field}</code></td><td>{kind}</td><td>{doc}</td></tr>"));
        }
        *out += "</table></section>";
    }
}

fn section(out: &mut String, route: &Route) {
    let (id, verb, path, summary) = (id(route), route.method.word(), route.path, escaped(route.summary));
    push(
        out,
        format_args!(
            "<section id=\"{id}\"><h2><b class=\"{verb}\">{}</b> <code>{path}</code></h2><p>{summary}.</p>",
            verb.to_uppercase()
        ),
    );
    if !route.params.is_empty() {
        *out += "<table><tr><th>parameter</th><th>type</th><th>meaning</th></tr>";
        for param in route.params {
            let required = if param.required { " <i>required</i>" } else { "" };
            let (name, kind, doc) = (param.name, kind(param), escaped(param.doc));
            push(
                out,
                format_args!("<tr><td><code>{name}</code>{required}</td><td>{kind}</td><td>{doc}</td></tr>"),
            );
        }
        *out += "</table>";
    }
    let link = |name: &str| format!("<a href=\"#{name}\">{name}</a>");
    let answers = match route.answers {
        Shape::Nothing => "{\"code\", \"msg\", \"data\": null}".to_owned(),
        Shape::Data(name) => format!("{{\"code\", \"msg\", \"data\": {}}}", link(name)),
        Shape::Functions => {
            format!("{{\"code\", \"msg\", \"data\": [{}], \"python\", \"failed\"}}", link("CompatFunction"))
        }
        Shape::Page(name) => {
            format!(
                "{{\"code\", \"msg\", \"data\": [{}], \"total\", \"page_total\", \"pages_total\", \"page\", \"page_size\"}}",
                link(name)
            )
        }
        Shape::Bare(name) | Shape::Accepted(name) | Shape::Created(name) => link(name),
        Shape::List(name) => format!("{{\"items\": [{}], \"next\", \"total\"}}", link(name)),
        Shape::Empty => "204".to_owned(),
        Shape::Events => "text/event-stream".to_owned(),
        Shape::File(media) => media.to_owned(),
    };
    push(out, format_args!("<p>Answers <code>{answers}</code></p></section>"));
}

fn kind(param: &Param) -> String {
    match param.kind {
        Kind::Text => "text".into(),
        Kind::OneOf(words) => words.join(" | "),
        Kind::Int { min: i64::MIN, .. } => "integer".into(),
        Kind::Int { min, max: i64::MAX } => format!("integer, from {min}"),
        Kind::Int { min, max } => format!("integer, {min} to {max}"),
        Kind::Bool => "true | false".into(),
        Kind::Date => "date".into(),
        Kind::Instant => "instant".into(),
        Kind::Words(words) => format!("some of {}", words.join(", ")),
        Kind::Ids => "numbers of jobs".into(),
        Kind::Json(name) => format!("<a href=\"#{name}\">{name}</a>"),
        Kind::Body(media) => media.join(" | "),
    }
}

fn id(route: &Route) -> String {
    format!("{}{}", route.method.word(), route.path.replace(['/', '{', '}'], "-"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Writing to a string cannot fail.
fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}
