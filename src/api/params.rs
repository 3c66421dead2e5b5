//! The parameters that the routes take: their names, types and meaning, for reading a request and for
//! the API's pages alike.

use super::extract::{Kind, Param};

const ANY: Kind = Kind::Int { min: i64::MIN, max: i64::MAX };

pub(super) const fn opt(name: &'static str, kind: Kind, doc: &'static str) -> Param {
    Param { name, kind, required: false, doc, of_job: false }
}

pub(super) const fn job(name: &'static str, kind: Kind, doc: &'static str) -> Param {
    Param { name, kind, required: false, doc, of_job: true }
}

pub(super) const fn req(name: &'static str, kind: Kind, doc: &'static str) -> Param {
    Param { name, kind, required: true, doc, of_job: false }
}

const ID_PARAM: Param = req("id", Kind::Int { min: 1, max: i64::MAX }, "The job's number.");
const PAGE_PARAM: Param = opt("page", Kind::Int { min: 1, max: 1_000_000_000 }, "Page, from 1. Default 1.");
const SIZE_PARAM: Param = opt("size", Kind::Int { min: 1, max: 1_000 }, "Entries on a page. Default 10.");

pub(super) const OUTCOMES: &[&str] =
    &["waiting", "running", "success", "failed", "timeout", "cancelled", "skipped", "missed", "lost"];
const OUTCOME_PARAM: Param = opt("outcome", Kind::OneOf(OUTCOMES), "Only runs with this outcome.");

pub(super) const ID: &[Param] = &[ID_PARAM];
pub(super) const LOGIN: &[Param] =
    &[req("username", Kind::Text, "The user name."), req("password", Kind::Text, "The password.")];
pub(super) const REGISTER: &[Param] = &[
    req("username", Kind::Text, "1 to 100 characters."),
    req("password", Kind::Text, "8 to 200 characters."),
    opt("email", Kind::Text, "For people."),
    opt("role", Kind::OneOf(&["viewer", "operator", "admin"]), "Default admin."),
];
pub(super) const PROFILE: &[Param] = &[
    opt("email", Kind::Text, "For people."),
    opt("password", Kind::Text, "The password as it is, to change it."),
    opt("new_password", Kind::Text, "8 to 200 characters."),
];
pub(super) const ADMIN_STATUS: &[Param] = &[
    req("id", Kind::Int { min: 1, max: i64::MAX }, "The account's number."),
    req("status", Kind::Bool, "1: it may log in; 0: it may not."),
];
pub(super) const PAGE: &[Param] = &[PAGE_PARAM, SIZE_PARAM];
pub(super) const RESTART: &[Param] =
    &[ID_PARAM, opt("reset_run_count", Kind::Bool, "Whether run_count starts at 0 again. Default false.")];
pub(super) const LIST: &[Param] = &[
    PAGE_PARAM,
    SIZE_PARAM,
    opt("name", Kind::Text, "Part of the name."),
    opt("state", Kind::Int { min: 0, max: 2 }, "0 waiting, 1 running now, 2 stopped."),
    opt("mode", Kind::OneOf(&["http", "command", "func", "function"]), "http, command or func."),
];
pub(super) const LOGS: &[Param] = &[
    ID_PARAM,
    PAGE_PARAM,
    SIZE_PARAM,
    opt("limit", Kind::Int { min: 1, max: 1_000 }, "The same as size."),
    opt("date", Kind::Date, "One day of the server's zone, YYYY-MM-DD. Default: all days."),
    OUTCOME_PARAM,
    opt("order", Kind::OneOf(&["desc", "asc"]), "desc (newest first) or asc. Default desc."),
];
pub(super) const RUNS: &[Param] = &[
    opt("id", Kind::Int { min: 1, max: i64::MAX }, "The job's number. Default: all jobs."),
    PAGE_PARAM,
    SIZE_PARAM,
    opt("date", Kind::Date, "One day of the server's zone, YYYY-MM-DD. Default: all days."),
    OUTCOME_PARAM,
    opt("order", Kind::OneOf(&["desc", "asc"]), "desc (newest first) or asc. Default desc."),
];
pub(super) const IP: &[Param] = &[
    req("ip", Kind::Text, "An IPv4 or IPv6 address, or a CIDR block."),
    opt(
        "force",
        Kind::Bool,
        "Make the change also when it locks the caller out or opens to all. Default false.",
    ),
];
const DATE_PARAM: Param =
    opt("date", Kind::Date, "One day of the server's zone, YYYY-MM-DD. Default: today.");
pub(super) const DAY: &[Param] = &[DATE_PARAM];
pub(super) const LOGS_DOWNLOAD: &[Param] =
    &[opt("id", Kind::Int { min: 1, max: i64::MAX }, "The job's number. Default: all jobs."), DATE_PARAM];
pub(super) const OUTPUT_PARTS: &[&str] = &["stdout", "stderr", "http_resp", "func_result"];
pub(super) const EXEC_DOWNLOAD: &[Param] = &[
    req("exec_id", Kind::Text, "The run."),
    opt("part", Kind::OneOf(OUTPUT_PARTS), "Only this, as it is. Default: all there is."),
];
pub(super) const LOGS_CLEAR: &[Param] = &[
    req("type", Kind::OneOf(&["job", "zap"]), "job: run records; zap: the system log."),
    opt("id", Kind::Int { min: 1, max: i64::MAX }, "For job: only this job's. Default: all jobs'."),
    opt("date", Kind::Date, "Only this day's, YYYY-MM-DD. Default: all days."),
];
pub(super) const SYSTEM_LOG: &[Param] = &[
    PAGE_PARAM,
    SIZE_PARAM,
    opt("date", Kind::Date, "One day of the server's zone, YYYY-MM-DD. Default: all days."),
    opt("level", Kind::OneOf(&["error", "warn", "warning", "info", "debug", "trace"]), "Only this level."),
    opt("text", Kind::Text, "Part of the line, in any case."),
    opt("n", Kind::Int { min: 1, max: 10_000 }, "The last n lines as they are, instead of a page."),
];
pub(super) const SWITCH: &[Param] = &[req("enabled", Kind::Bool, "Whether the system log is written.")];
pub(super) const EXECS: &[Param] = &[
    opt("id", Kind::Int { min: 1, max: i64::MAX }, "The job's number. Needed without exec_id."),
    opt("exec_id", Kind::Text, "The run. Default: the job's newest."),
];

/// The job's own fields. What they may hold is checked by the domain, so the kinds are wide.
pub(super) const JOB_FIELDS: [Param; 14] = [
    job("name", Kind::Text, "1 to 100 characters, unique."),
    job("desc", Kind::Text, "What the job is for."),
    job(
        "cron_expr",
        Kind::Text,
        "5 fields (minute first) or 6 (second first), or @hourly, @daily, @every 5s, ...",
    ),
    job("mode", Kind::Text, "http, command or func."),
    job("command", Kind::Text, "Lines of 【key】value, or the bare URL, command or function call."),
    job("state", ANY, "0 or 1: scheduled; 2: stopped. Default 0."),
    job("allow_mode", ANY, "0 parallel, 1 serial, 2 immediate. Default 0."),
    job("max_run_count", ANY, "Scheduled runs after which the job stops; 0: no limit. Default 0."),
    job("trigger_type", Kind::Text, "cron or interval. Default cron."),
    job("interval_seconds", ANY, "Seconds between fires, for trigger_type interval."),
    job("timezone", Kind::Text, "IANA zone of the cron expression. Default: the server's."),
    job("misfire_policy", Kind::Text, "fire_once, skip or fire_all. Default fire_once."),
    job("misfire_window", ANY, "Seconds for which fire_once makes up for a missed fire. Default 300."),
    job(
        "recovery",
        Kind::Text,
        "never or rerun: a run that was in flight when the server died. Default never.",
    ),
];
pub(super) const JOB: &[Param] = &required_job();
pub(super) const JOB_EDIT: &[Param] = &with_first::<14, 15>(ID_PARAM, JOB_FIELDS);
pub(super) const ADD_AND_RUN: &[Param] = &with_first::<15, 16>(
    job("remove_task", Kind::Bool, "Whether the job goes when its run has ended. Default false."),
    with_first::<14, 15>(
        job("remove_log", Kind::Bool, "Whether the run's record goes when it has ended. Default false."),
        required_job(),
    ),
);

/// Required is for the page only: that they are missing is said by the domain, with the rest.
pub(super) const fn required_job() -> [Param; 14] {
    let mut fields = JOB_FIELDS;
    fields[0].required = true;
    fields[3].required = true;
    fields[4].required = true;
    fields
}

pub(super) const fn with_first<const N: usize, const M: usize>(first: Param, rest: [Param; N]) -> [Param; M] {
    let mut all = [first; M];
    let mut i = 0;
    while i < N {
        all[i + 1] = rest[i];
        i += 1;
    }
    all
}
