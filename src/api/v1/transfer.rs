//! Jobs as a file: exported as JSON or YAML, and imported again. A file holds `{"jobs": [..]}`; a bare
//! list is taken too.

use super::draft::{draft, refused_errors, renamed};
use super::params::{JOB_FIELDS, SHOWN_ONLY};
use super::views::JobDraftView;
use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::extract::{Call, Fields, unknown};
use crate::api::problem::BadField;
use crate::domain::job::{JobDraft, JobId};
use crate::domain::{FieldError, Text};
use crate::engine::{Engine, Error};
use crate::store::{JobList, JobSort};
use axum::body::Body;
use axum::http::StatusCode;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use utoipa::ToSchema;

pub(super) const MEDIA: &[&str] = &["application/json", "application/yaml"];
/// Jobs read at a time.
const PAGE: i64 = 500;
/// Adds that wait for the engine together, so that one commit serves many.
const TOGETHER: usize = 256;

/// What came of an import.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportResult {
    /// The jobs that were added, or would be.
    added: Vec<ImportedJob>,
    problems: Vec<ImportProblem>,
}

/// A job of the file.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportedJob {
    /// Null: it was only tried.
    id: Option<i64>,
    name: String,
}

/// A job of the file that is not added.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportProblem {
    /// Its place in the file, from 0.
    index: usize,
    name: Option<String>,
    errors: Vec<BadField>,
}

pub(super) async fn export(api: Arc<Api>, call: Call) -> Answer {
    let yaml = call.text("format").as_deref() == Some("yaml");
    let ids: Vec<i64> = call.fields.list("ids").filter_map(Value::as_i64).collect();
    let list = JobList {
        text: None,
        enabled: None,
        running: None,
        mode: None,
        ids: (!ids.is_empty()).then_some(ids),
        sort: JobSort::Id,
        descending: false,
        after: None,
        limit: PAGE,
    };
    let (media, extension) = if yaml { ("application/yaml", "yaml") } else { ("application/json", "json") };
    let name = format!("timerjobs-{}.{extension}", api.files.today());
    let pages = stream::try_unfold(Some((list, true)), move |at| {
        let api = api.clone();
        async move {
            let Some((mut list, first)) = at else { return Ok::<_, Error>(None) };
            let jobs = api.engine.job_list(&list).await?.items;
            let last = jobs.last().filter(|_| jobs.len() as i64 == PAGE).map(|job| list.sort.place(job));
            let is_last = last.is_none();
            list.after = last;
            let drafts: Vec<_> = jobs.into_iter().map(JobDraftView::new).collect();
            let text = if yaml { yaml_page(&drafts, first) } else { json_page(&drafts, first, is_last) };
            Ok(Some((text, (!is_last).then_some((list, false)))))
        }
    });
    Answer::file(media, &name, Body::from_stream(pages))
}

fn json_page(jobs: &[JobDraftView], first: bool, last: bool) -> String {
    let mut text = String::from(if first { "{\"jobs\": [" } else { "" });
    for (at, job) in jobs.iter().enumerate() {
        text += if first && at == 0 { "\n" } else { ",\n" };
        text += &serde_json::to_string(job).unwrap_or_default();
    }
    text += if last { "\n]}\n" } else { "" };
    text
}

fn yaml_page(jobs: &[JobDraftView], first: bool) -> String {
    if jobs.is_empty() {
        return if first { "jobs: []\n".to_owned() } else { String::new() };
    }
    let head = if first { "jobs:\n" } else { "" };
    format!("{head}{}", serde_saphyr::to_string(&jobs).unwrap_or_default())
}

pub(super) async fn import(api: Arc<Api>, call: Call) -> Answer {
    let entries = match read(&call.body.0, &call.body.1) {
        Ok(entries) => entries,
        Err(text) => return Answer::Invalid(vec![FieldError::new("body", text, Value::Null)]),
    };
    let drafts: Vec<_> = entries.into_iter().map(entry).collect();
    let names: Vec<String> = drafts.iter().filter_map(|draft| draft.name.clone()).collect();
    let taken: HashSet<String> = match api.engine.taken_names(&names).await {
        Ok(taken) => taken.into_iter().collect(),
        Err(e) => return e.into(),
    };
    let dry = call.flag("dry_run");
    let (engine, lang) = (&api.engine, call.lang);
    let mut seen = HashSet::new();
    let tries = drafts.into_iter().map(|mut draft| {
        let name = draft.name.as_ref().map(|name| name.trim().to_owned());
        if let Some(name) = &name
            && (taken.contains(name) || !seen.insert(name.clone()))
        {
            draft.unread.push(name_taken(name));
        }
        (name, draft)
    });
    let tries: Vec<_> = tries.collect();
    let each =
        move |(name, draft): (Option<String>, JobDraft)| async move { (name, add(engine, draft, dry).await) };
    let done: Vec<_> = stream::iter(tries).map(each).buffered(TOGETHER).collect().await;
    let mut result = ImportResult { added: Vec::new(), problems: Vec::new() };
    for (index, (name, done)) in done.into_iter().enumerate() {
        match done {
            Ok(id) => {
                result.added.push(ImportedJob { id: id.map(|id| id.0), name: name.unwrap_or_default() });
            }
            Err(Refusal::Fields(errors)) => {
                result.problems.push(ImportProblem { index, name, errors: BadField::all(&errors, lang) });
            }
            Err(Refusal::All(e)) => return e.into(),
        }
    }
    tracing::info!(client = %call.client, dry, added = result.added.len(), problems = result.problems.len(), "jobs were imported");
    Answer::bare(StatusCode::OK, result)
}

/// Why a job was not added.
enum Refusal {
    Fields(Vec<FieldError>),
    /// Nothing more can be added.
    All(Error),
}

async fn add(engine: &Engine, draft: JobDraft, dry: bool) -> Result<Option<JobId>, Refusal> {
    if dry {
        return engine.check(draft).map(|_| None).map_err(|errors| Refusal::Fields(renamed(errors)));
    }
    let name = draft.name.clone().unwrap_or_default();
    engine.add(draft).await.map(Some).map_err(|e| match e {
        Error::NameTaken => Refusal::Fields(vec![name_taken(&name)]),
        e => refused_errors(e).map_or_else(Refusal::All, Refusal::Fields),
    })
}

pub(super) fn name_taken(name: &str) -> FieldError {
    let text = Text::new("任务名称已存在，请换一个", "the name is taken, choose another");
    FieldError::new("name", text, name)
}

/// One entry of the file as a draft; what is wrong with it stands in `unread`.
fn entry(value: Value) -> JobDraft {
    let Value::Object(mut given) = value else {
        let text = Text::new("须为一个任务对象", "must be an object, a job");
        return JobDraft { unread: vec![FieldError::new("body", text, Value::Null)], ..JobDraft::default() };
    };
    let mut fields = Fields::read(&JOB_FIELDS, &mut given);
    fields
        .unread
        .extend(given.keys().filter(|name| !SHOWN_ONLY.contains(&name.as_str())).map(|n| unknown(n)));
    draft(&fields)
}

/// The jobs of a file, JSON by its media type or its first character, else YAML.
fn read(media: &str, body: &[u8]) -> Result<Vec<Value>, Text> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let first = body.iter().find(|b| !b.is_ascii_whitespace());
    let yaml = media.contains("yaml") || !(media.contains("json") || matches!(first, Some(b'{' | b'[')));
    let parsed: Result<Value, String> = if yaml {
        let plain = serde_saphyr::options! { with_snippet: false };
        serde_saphyr::from_slice_with_options(body, plain).map_err(|e| e.to_string())
    } else {
        serde_json::from_slice(body).map_err(|e| e.to_string())
    };
    let kind = if yaml { "YAML" } else { "JSON" };
    let value = parsed.map_err(|e| {
        Text::new(format!("文件不是有效的 {kind}：{e}"), format!("the file is not valid {kind}: {e}"))
    })?;
    let jobs = match value {
        Value::Array(jobs) => Some(jobs),
        Value::Object(mut fields) => match fields.shift_remove("jobs") {
            Some(Value::Array(jobs)) => Some(jobs),
            _ => None,
        },
        _ => None,
    };
    jobs.ok_or_else(|| {
        Text::new(
            "文件须为 {\"jobs\": [任务, ...]} 或任务列表",
            "the file must hold {\"jobs\": [a job, ...]} or a list of jobs",
        )
    })
}
