//! What the modern API shows of jobs and runs. Instants are RFC 3339 in UTC.

use super::words::{ModeWord, OutcomeWord, OverlapWord, PolicyWord, RecoveryWord, SourceWord, StateWord};
use crate::api::extract::Lang;
use crate::api::views::in_language;
use crate::domain::UtcMs;
use crate::domain::job::{Overlap, StopReason};
use crate::domain::run::{Outcome, Reason, RunId};
use crate::engine::Engine;
use crate::store::{JobRecord, RunRecord};
use chrono_tz::Tz;
use serde::Serialize;
use utoipa::ToSchema;

pub(super) fn instant(ms: i64) -> String {
    UtcMs(ms).rfc3339(Tz::UTC)
}

/// Some entries of a list, and the way to the rest.
#[derive(Debug, Serialize)]
pub(super) struct List<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
    pub total: i64,
}

/// When a job fires.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Trigger)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum TriggerView {
    Cron {
        /// 5 fields (minute first) or 6 (second first), or @hourly, @daily, @every 5s, ...
        cron: String,
        /// IANA name; null: the server's zone.
        timezone: Option<String>,
    },
    Interval {
        seconds: i64,
    },
}

/// What people write of a job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobDraft)]
pub(super) struct JobDraftView {
    name: String,
    description: String,
    trigger: TriggerView,
    #[schema(value_type = ModeWord)]
    mode: String,
    command: String,
    enabled: bool,
    #[schema(value_type = OverlapWord)]
    overlap: &'static str,
    /// 0: no limit.
    max_run_count: i64,
    #[schema(value_type = PolicyWord)]
    misfire_policy: String,
    misfire_window_seconds: i64,
    #[schema(value_type = RecoveryWord)]
    recovery: String,
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(super) struct JobView {
    id: i64,
    #[serde(flatten)]
    draft: JobDraftView,
    #[schema(value_type = StateWord)]
    state: &'static str,
    /// Why the system stopped the job; null when it did not.
    stop_reason: Option<String>,
    /// Scheduled runs so far.
    run_count: i64,
    /// Null when the job is stopped or never fires again.
    next_run: Option<String>,
    /// The latest start; null before the first.
    last_run: Option<String>,
    created: String,
    updated: String,
    /// Grows with each change of the job; its ETag.
    version: i64,
}

impl JobDraftView {
    pub fn new(job: JobRecord) -> Self {
        Self {
            overlap: Overlap::from_code(job.allow_mode).map_or("allow", Overlap::as_str),
            trigger: match job.trigger_type.as_str() {
                "interval" => TriggerView::Interval { seconds: job.interval_seconds },
                _ => TriggerView::Cron {
                    cron: job.cron_expr,
                    timezone: Some(job.timezone).filter(|zone| !zone.is_empty()),
                },
            },
            name: job.name,
            description: job.descr,
            mode: job.mode,
            command: job.command,
            enabled: job.enabled,
            max_run_count: job.max_run_count,
            misfire_policy: job.misfire_policy,
            misfire_window_seconds: job.misfire_window,
            recovery: job.recovery,
        }
    }
}

impl JobView {
    pub fn new(job: JobRecord, engine: &Engine, lang: Lang) -> Self {
        let stopped = job.stop_reason.as_deref().and_then(StopReason::parse).filter(|_| !job.enabled);
        Self {
            id: job.id,
            state: match (job.enabled, job.running) {
                (false, _) => "stopped",
                (true, true) => "running",
                (true, false) => "scheduled",
            },
            stop_reason: stopped.map(|reason| lang.pick(&reason.text()).to_owned()),
            run_count: job.state.run_count,
            next_run: engine.next_run(&job).map(|t| instant(t.0)),
            last_run: job.state.last_run_ms.map(instant),
            created: instant(job.created_ms),
            updated: instant(job.updated_ms),
            version: job.version,
            draft: JobDraftView::new(job),
        }
    }
}

/// A run record, without what the run printed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Run)]
pub(super) struct RunView {
    /// Sixteen hexadecimal digits.
    id: String,
    job_id: i64,
    job_name: String,
    #[schema(value_type = ModeWord)]
    mode: String,
    #[schema(value_type = SourceWord)]
    source: String,
    #[schema(value_type = OutcomeWord)]
    outcome: String,
    /// Why a run did not start or was ended: overlap, queue_full, misfire, stopped, crash, ...
    reason: Option<String>,
    /// The reason in the language of the request.
    reason_text: Option<String>,
    /// The instant at which it was due.
    scheduled: String,
    /// Null: it waits, or never started.
    started: Option<String>,
    ended: Option<String>,
    duration_ms: Option<i64>,
    /// From the instant at which it was due to its start.
    delay_ms: Option<i64>,
    attempt: i64,
    exit_code: Option<i64>,
    error: Option<String>,
    /// For missed fires that are told in one record.
    missed: Option<Missed>,
    http: Option<HttpView>,
    func: Option<FuncView>,
    /// One line that sums the run up, or what the function gave back.
    result: Option<String>,
}

/// The instants that one record of missed fires stands for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Missed {
    from: String,
    to: String,
    count: i64,
}

/// The last request of an http run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HttpCall)]
pub(super) struct HttpView {
    method: String,
    url: String,
    /// Null: no answer came.
    status: Option<i64>,
}

/// The function that a func run called.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FunctionCall)]
pub(super) struct FuncView {
    name: String,
    args: String,
}

/// A run record, whole.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RunDetail {
    #[serde(flatten)]
    run: RunView,
    command: String,
    stdout: String,
    stderr: String,
    /// The body of the last HTTP answer.
    http_body: Option<String>,
}

impl RunView {
    pub fn new(run: RunRecord, lang: Lang) -> Self {
        let reason = run.reason.as_deref().and_then(Reason::parse);
        let missed = run.missed_to_ms.zip(run.missed_count);
        // A record of what never started holds the moment at which that was decided.
        let never = matches!(Outcome::parse(&run.outcome), Some(Outcome::Skipped | Outcome::Missed));
        let start = run.start_ms.filter(|_| !never);
        Self {
            id: RunId(run.id).to_string(),
            reason_text: reason.map(|reason| lang.pick(&reason.text()).to_owned()),
            scheduled: instant(run.scheduled_ms),
            started: start.map(instant),
            ended: run.end_ms.map(instant),
            duration_ms: start.zip(run.end_ms).map(|(start, end)| end - start),
            delay_ms: start.map(|start| start - run.scheduled_ms),
            error: run.error.map(|stored| in_language(&stored, lang)),
            missed: missed.map(|(to, count)| Missed {
                from: instant(run.scheduled_ms),
                to: instant(to),
                count,
            }),
            http: run.http_url.map(|url| HttpView {
                method: run.http_method.unwrap_or_default(),
                url,
                status: run.http_status,
            }),
            func: run.func_name.map(|name| FuncView { name, args: run.func_args.unwrap_or_default() }),
            result: run.func_result.filter(|result| !result.is_empty()).or(run.result),
            job_id: run.job_id,
            job_name: run.job_name,
            mode: run.mode,
            source: run.source,
            outcome: run.outcome,
            reason: run.reason,
            attempt: run.attempt,
            exit_code: run.exit_code,
        }
    }
}

impl RunDetail {
    pub fn new(mut run: RunRecord, lang: Lang) -> Self {
        Self {
            command: std::mem::take(&mut run.command),
            stdout: run.stdout.take().unwrap_or_default(),
            stderr: run.stderr.take().unwrap_or_default(),
            http_body: run.http_resp.take(),
            run: RunView::new(run, lang),
        }
    }
}

/// The address lists in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Access {
    pub enabled: bool,
    /// The address that asks.
    pub you: String,
    /// Empty: everybody may come in who is not on the blacklist.
    pub whitelist: Vec<String>,
    pub blacklist: Vec<String>,
}

/// An instant at which a job fires.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Fire {
    at: String,
    /// On the clock of the job's zone: YYYY-MM-DD HH:MM:SS.
    local: String,
    /// The zone and its offset at that instant, such as Asia/Shanghai (UTC+08:00).
    zone: String,
}

/// The next instants at which a job fires, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Fires {
    pub items: Vec<Fire>,
}

impl Fire {
    pub fn new(at: UtcMs, zone: Tz) -> Self {
        let offset = at.to_zone(zone).format("UTC%:z");
        Self { at: instant(at.0), local: at.local_seconds(zone), zone: format!("{} ({offset})", zone.name()) }
    }
}

/// A run that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Asked {
    /// Null when there is none, as the job was gone at once.
    pub run: Option<String>,
    /// Why it does not start, in the language of the request; null when it does.
    pub skipped: Option<String>,
}

/// A draft's run.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TestRun {
    pub run: Option<String>,
    /// The job that was made for it, and that goes with its end.
    pub job: i64,
}
