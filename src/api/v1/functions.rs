//! The functions that a func job can name: what there is, one with its code, and trying one out.

use super::views::TestRun;
use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::extract::{Call, Lang};
use crate::domain::job::JobDraft;
use crate::domain::{FieldError, Text};
use crate::engine::Error;
use crate::exec::func::python::Status;
use crate::exec::func::python::catalog::Parameter;
use crate::exec::func::{Builtin, Failure, Function, Known, Param, Words};
use axum::http::StatusCode;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A function.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Function)]
pub(super) struct FunctionView {
    name: String,
    /// builtin, or user: one of your own.
    source: &'static str,
    /// What it does; null when its author does not say.
    doc: Option<String>,
    /// As Python writes it; null for a built-in function.
    signature: Option<String>,
    parameters: Vec<ParameterView>,
    /// A command text that calls it.
    example: String,
    /// The file in the folder of functions; null for a built-in function.
    file: Option<String>,
    /// Where it begins in the file; null for a built-in function.
    line: Option<u32>,
}

/// An argument of a function.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FunctionParameter)]
pub(super) struct ParameterView {
    name: String,
    /// Empty for your own functions.
    description: String,
    required: bool,
    /// As Python writes it; null when there is none.
    default: Option<String>,
}

/// A file that could not be loaded, or a function in it that was not taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FunctionFailure)]
pub(super) struct FailureView {
    file: String,
    line: Option<u32>,
    error: String,
}

/// The Python that runs your own functions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Python)]
pub(super) struct PythonView {
    available: bool,
    version: Option<String>,
    /// Why there is none; null when there is one.
    reason: Option<String>,
    /// making, ready or failed, when there is a requirements.txt; else null.
    environment: Option<&'static str>,
}

/// Every function there is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Functions {
    items: Vec<FunctionView>,
    /// What of your own files is not in force.
    failed: Vec<FailureView>,
    python: PythonView,
}

/// What is wrong in a function's file.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FunctionError {
    line: Option<u32>,
    message: String,
}

/// A function with its code.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FunctionDetail {
    #[serde(flatten)]
    function: FunctionView,
    /// Its lines as they are in force, at most 64 KiB; null for a built-in function.
    code: Option<String>,
    /// What is wrong in its file as it is now: its functions stay as they were. Null when nothing is.
    error: Option<FunctionError>,
}

/// What a reload did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FunctionReload {
    /// The functions of the files that load now.
    loaded: Vec<String>,
    /// Functions that are gone.
    removed: Vec<String>,
    failed: Vec<FailureView>,
}

pub(super) async fn list(api: Arc<Api>, call: Call) -> Answer {
    let found = api.engine.functions().await;
    let builtin = found.builtin.iter().map(|function| FunctionView::builtin(function, call.lang));
    let items = builtin.chain(found.user.into_iter().map(FunctionView::user)).collect();
    let failed = FailureView::all(&found.failed, call.lang);
    let python = PythonView::new(found.python, call.lang);
    Answer::bare(StatusCode::OK, Functions { items, failed, python })
}

pub(super) async fn reload(api: Arc<Api>, call: Call) -> Answer {
    let done = api.engine.reload_functions().await;
    let failed = FailureView::all(&done.failed, call.lang);
    Answer::bare(StatusCode::OK, FunctionReload { loaded: done.loaded, removed: done.removed, failed })
}

pub(super) async fn one(api: Arc<Api>, call: Call) -> Answer {
    let name = call.text("name").unwrap_or_default();
    let detail = match api.engine.function(&name) {
        None => return unknown(&name),
        Some(Known::Builtin(function)) => {
            FunctionDetail { function: FunctionView::builtin(function, call.lang), code: None, error: None }
        }
        Some(Known::User(function, code)) => {
            let failed = api.engine.functions().await.failed;
            let failed = failed.into_iter().find(|failure| failure.file == function.file);
            let error = failed.map(|failure| FunctionError {
                line: failure.line,
                message: call.lang.pick(&failure.error).to_owned(),
            });
            FunctionDetail { function: FunctionView::user(function), code, error }
        }
    };
    Answer::bare(StatusCode::OK, detail)
}

/// Runs a function once; its record stays, as that of any draft.
pub(super) async fn try_out(api: Arc<Api>, call: Call) -> Answer {
    let name = call.text("name").unwrap_or_default();
    let name = match api.engine.function(&name) {
        None => return unknown(&name),
        Some(Known::Builtin(function)) => function.name.to_owned(),
        Some(Known::User(function, _)) => function.name,
    };
    let args = call.text("args").unwrap_or_default();
    if let Err(error) = only_args(&args) {
        return Answer::Invalid(vec![error]);
    }
    let command = if args.trim().is_empty() {
        format!("【name】{name}")
    } else {
        format!("【name】{name}\n【arg】{args}")
    };
    let draft = JobDraft {
        name: Some(name),
        mode: Some("func".to_owned()),
        command: Some(command),
        ..JobDraft::default()
    };
    match api.engine.try_out(draft).await {
        Ok(added) => {
            let run = added.triggered.map(|triggered| triggered.run.to_string());
            Answer::bare(StatusCode::ACCEPTED, TestRun { run, job: added.id.0 })
        }
        Err(Error::Invalid(mut errors)) => {
            // The arguments are all that the client has written of the command text.
            errors.iter_mut().for_each(|error| error.field = "args".into());
            Answer::Invalid(errors)
        }
        Err(e) => e.into(),
    }
}

/// A line like 【timeout】 would be read as a key of the command text, and no longer be an argument.
fn only_args(args: &str) -> Result<(), FieldError> {
    let Some(line) = args.split('\n').skip(1).find(|line| line.starts_with('【')) else { return Ok(()) };
    let text = Text::new(
        "有一行以【开头，会被当作【键】；请在该行行首加一个空格，或把参数写成 JSON 列表，例如 [\"一\\n【二】\"]",
        "a line begins with 【 and would be read as a key; put a space in front of it, or write the arguments \
         as a JSON list such as [\"one\\n【two】\"]",
    );
    Err(FieldError::new("args", text, line.chars().take(200).collect::<String>()))
}

fn unknown(name: &str) -> Answer {
    let name: String = name.chars().take(100).collect();
    Answer::code(404, Text::new(format!("函数 {name} 不存在"), format!("there is no function {name}")), ())
}

impl FunctionView {
    fn builtin(function: &Builtin, lang: Lang) -> Self {
        let pick = |words: &Words| match lang {
            Lang::Zh => words.zh.to_owned(),
            Lang::En => words.en.to_owned(),
        };
        let parameter = |param: &Param| ParameterView {
            name: param.name.to_owned(),
            description: pick(&param.about),
            required: param.required,
            default: None,
        };
        Self {
            name: function.name.to_owned(),
            source: "builtin",
            doc: Some(pick(&function.description)),
            signature: None,
            parameters: function.params.iter().map(parameter).collect(),
            example: function.example.to_owned(),
            file: None,
            line: None,
        }
    }

    fn user(function: Function) -> Self {
        let parameter = |param: Parameter| ParameterView {
            name: param.name,
            description: String::new(),
            required: param.required,
            default: param.default,
        };
        Self {
            example: function.example(),
            name: function.name,
            source: "user",
            doc: Some(function.doc).filter(|doc| !doc.is_empty()),
            signature: Some(function.signature),
            parameters: function.params.into_iter().map(parameter).collect(),
            file: Some(function.file),
            line: Some(function.line),
        }
    }
}

impl FailureView {
    fn all(failures: &[Failure], lang: Lang) -> Vec<Self> {
        let one =
            |f: &Failure| Self { file: f.file.clone(), line: f.line, error: lang.pick(&f.error).to_owned() };
        failures.iter().map(one).collect()
    }
}

impl PythonView {
    fn new(status: Status, lang: Lang) -> Self {
        let (version, reason) = match status.version {
            Ok(version) => (Some(version), None),
            Err(reason) => (None, Some(lang.pick(&reason).to_owned())),
        };
        Self { available: version.is_some(), version, reason, environment: status.environment }
    }
}
