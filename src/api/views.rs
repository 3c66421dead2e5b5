//! What clients see of a job and of a run (contract, "Job" and "Run record").

use crate::api::extract::Lang;
use crate::domain::UtcMs;
use crate::domain::job::StopReason;
use crate::domain::run::{Outcome, Reason, RunId};
use crate::engine::Engine;
use crate::exec::func::python::catalog::Parameter;
use crate::exec::func::{Builtin, Failure, Function, Param, Words};
use crate::store::{JobRecord, RunRecord};
use serde::Serialize;
use utoipa::ToSchema;

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CompatJob)]
pub(super) struct JobView {
    id: i64,
    name: String,
    desc: String,
    /// Empty for an interval job.
    cron_expr: String,
    /// http, command or func.
    mode: String,
    command: String,
    /// 0 waiting, 1 running now, 2 stopped.
    state: u8,
    /// 0 parallel, 1 serial, 2 immediate.
    allow_mode: i64,
    /// 0: no limit.
    max_run_count: i64,
    /// Scheduled runs so far.
    run_count: i64,
    /// cron or interval.
    trigger_type: String,
    /// 0 for a cron job.
    interval_seconds: i64,
    /// IANA name; empty: the server's zone.
    timezone: String,
    /// fire_once, skip or fire_all.
    misfire_policy: String,
    /// Seconds.
    misfire_window: i64,
    /// never or rerun.
    recovery: String,
    /// RFC 3339; null when the job is stopped or never fires again.
    next_run: Option<String>,
    /// RFC 3339, the latest start; null before the first.
    prev_run: Option<String>,
    /// Why the system stopped the job; null when it did not.
    stop_reason: Option<String>,
    created_at: String,
    updated_at: String,
}

/// An entry of the scheduler's list; times are local.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduledJob)]
pub(super) struct ScheduledView {
    id: i64,
    name: String,
    desc: String,
    cron_expr: String,
    mode: String,
    command: String,
    state: u8,
    run_count: i64,
    /// YYYY-MM-DD HH:MM:SS
    next_run: Option<String>,
    /// The same as next_run.
    next_run_time: Option<String>,
    /// YYYY-MM-DD HH:MM:SS
    prev_run: Option<String>,
}

/// A run record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CompatRun)]
pub(super) struct RunView {
    exec_id: String,
    job_id: i64,
    job_name: String,
    mode: String,
    command: String,
    /// cron, manual, catchup or api.
    source: String,
    /// RFC 3339
    scheduled_at: String,
    /// Start, local: YYYY-MM-DD HH:MM:SS.mmm; null while the run waits.
    time: Option<String>,
    /// End, in the same form; null before it.
    end_time: Option<String>,
    duration_ms: Option<i64>,
    /// The outcome in the language of the request.
    status: String,
    /// waiting, running, success, failed, timeout, cancelled, skipped, missed or lost.
    outcome: String,
    /// Why a run did not start or was ended: overlap, queue_full, misfire, stopped, crash, ...
    reason: Option<String>,
    attempt: i64,
    exit_code: Option<i64>,
    stdout: String,
    stderr: String,
    error_msg: String,
    result: String,
    /// For missed: the last instant, RFC 3339.
    missed_to: Option<String>,
    /// For missed: how many instants.
    missed_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_resp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    func_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    func_args: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    func_result: Option<String>,
}

/// A function that a func job can name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CompatFunction)]
pub(super) struct FunctionView {
    name: String,
    description: String,
    /// The same as description.
    desc: String,
    parameters: Vec<ParameterView>,
    /// A command text that calls it.
    example: String,
    /// As Python writes it; empty for a built-in function.
    signature: String,
    /// builtin or user
    source: &'static str,
    /// The file in the folder of functions; empty for a built-in function.
    file: String,
    /// Where it begins in the file; null for a built-in function.
    line: Option<u32>,
}

/// An argument of a function.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CompatFunctionParameter)]
pub(super) struct ParameterView {
    name: String,
    description: String,
    required: bool,
    /// As Python writes it; null when there is none.
    default: Option<String>,
}

/// A file that could not be loaded, or a function in it that was not taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CompatFunctionFailure)]
pub(super) struct FailureView {
    file: String,
    line: Option<u32>,
    error: String,
}

impl FailureView {
    pub fn all(failures: &[Failure], lang: Lang) -> Vec<Self> {
        let one =
            |f: &Failure| Self { file: f.file.clone(), line: f.line, error: lang.pick(&f.error).to_owned() };
        failures.iter().map(one).collect()
    }
}

impl FunctionView {
    pub fn builtin(function: &Builtin, lang: Lang) -> Self {
        let pick = |words: &Words| match lang {
            Lang::Zh => words.zh,
            Lang::En => words.en,
        };
        let description = pick(&function.description).to_owned();
        let parameter = |p: &Param| ParameterView {
            name: p.name.to_owned(),
            description: pick(&p.about).to_owned(),
            required: p.required,
            default: None,
        };
        Self {
            name: function.name.to_owned(),
            description: description.clone(),
            desc: description,
            parameters: function.params.iter().map(parameter).collect(),
            example: function.example.to_owned(),
            signature: String::new(),
            source: "builtin",
            file: String::new(),
            line: None,
        }
    }

    pub fn user(function: Function) -> Self {
        let parameter = |p: Parameter| ParameterView {
            name: p.name,
            description: String::new(),
            required: p.required,
            default: p.default,
        };
        Self {
            example: function.example(),
            name: function.name,
            description: function.doc.clone(),
            desc: function.doc,
            parameters: function.params.into_iter().map(parameter).collect(),
            signature: function.signature,
            source: "user",
            file: function.file,
            line: Some(function.line),
        }
    }
}

fn state(job: &JobRecord) -> u8 {
    match (job.enabled, job.running) {
        (false, _) => 2,
        (true, true) => 1,
        (true, false) => 0,
    }
}

impl JobView {
    pub fn new(job: JobRecord, engine: &Engine, lang: Lang) -> Self {
        let time = |ms: i64| UtcMs(ms).rfc3339(engine.zone());
        let reason = job.stop_reason.as_deref().and_then(StopReason::parse).filter(|_| !job.enabled);
        Self {
            state: state(&job),
            next_run: engine.next_run(&job).map(|t| t.rfc3339(engine.zone())),
            prev_run: job.state.last_run_ms.map(time),
            stop_reason: reason.map(|r| lang.pick(&r.text()).to_owned()),
            created_at: time(job.created_ms),
            updated_at: time(job.updated_ms),
            id: job.id,
            name: job.name,
            desc: job.descr,
            cron_expr: job.cron_expr,
            mode: job.mode,
            command: job.command,
            allow_mode: job.allow_mode,
            max_run_count: job.max_run_count,
            run_count: job.state.run_count,
            trigger_type: job.trigger_type,
            interval_seconds: job.interval_seconds,
            timezone: job.timezone,
            misfire_policy: job.misfire_policy,
            misfire_window: job.misfire_window,
            recovery: job.recovery,
        }
    }
}

impl ScheduledView {
    pub fn new(job: JobRecord, engine: &Engine) -> Self {
        let next = engine.next_run(&job).map(|t| t.local_seconds(engine.zone()));
        Self {
            state: state(&job),
            next_run: next.clone(),
            next_run_time: next,
            prev_run: job.state.last_run_ms.map(|ms| UtcMs(ms).local_seconds(engine.zone())),
            id: job.id,
            name: job.name,
            desc: job.descr,
            cron_expr: job.cron_expr,
            mode: job.mode,
            command: job.command,
            run_count: job.state.run_count,
        }
    }
}

impl RunView {
    pub fn new(run: RunRecord, engine: &Engine, lang: Lang) -> Self {
        let zone = engine.zone();
        let local = |ms: i64| UtcMs(ms).local_millis(zone);
        let status = Outcome::parse(&run.outcome).map(|o| lang.pick(&o.status()).to_owned());
        Self {
            exec_id: RunId(run.id).to_string(),
            scheduled_at: UtcMs(run.scheduled_ms).rfc3339(zone),
            time: run.start_ms.map(local),
            end_time: run.end_ms.map(local),
            duration_ms: run.start_ms.zip(run.end_ms).map(|(start, end)| end - start),
            status: status.unwrap_or_default(),
            error_msg: error_msg(&run, lang),
            missed_to: run.missed_to_ms.map(|ms| UtcMs(ms).rfc3339(zone)),
            job_id: run.job_id,
            job_name: run.job_name,
            mode: run.mode,
            command: run.command,
            source: run.source,
            outcome: run.outcome,
            reason: run.reason,
            attempt: run.attempt,
            exit_code: run.exit_code,
            stdout: run.stdout.unwrap_or_default(),
            stderr: run.stderr.unwrap_or_default(),
            result: run.result.unwrap_or_default(),
            missed_count: run.missed_count,
            http_url: run.http_url,
            http_method: run.http_method,
            http_status: run.http_status,
            http_resp: run.http_resp,
            func_name: run.func_name,
            func_args: run.func_args,
            func_result: run.func_result,
        }
    }
}

/// The stored error; without one, the reason in words.
fn error_msg(run: &RunRecord, lang: Lang) -> String {
    let reason = run.reason.as_deref().and_then(Reason::parse);
    match (&run.error, reason) {
        (Some(stored), _) => in_language(stored, lang),
        (None, Some(reason)) => lang.pick(&reason.text()).to_owned(),
        (None, None) => String::new(),
    }
}

/// Errors are stored in both languages.
pub(super) fn in_language(stored: &str, lang: Lang) -> String {
    let key = match lang {
        Lang::Zh => "zh",
        Lang::En => "en",
    };
    let text: Option<serde_json::Value> = serde_json::from_str(stored).ok();
    text.and_then(|t| t.get(key)?.as_str().map(str::to_owned)).unwrap_or_else(|| stored.to_owned())
}
