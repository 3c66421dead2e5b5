//! The parameters of the modern API.

use super::{bulk, transfer, words};
use crate::api::extract::{Kind, Param};
use crate::api::params::{OUTCOMES, OUTPUT_PARTS, job, opt, req, with_first};

const ANY: Kind = Kind::Int { min: i64::MIN, max: i64::MAX };

/// What is shown of a job and is not for clients to set. It may come back with the rest.
pub(in crate::api) const SHOWN_ONLY: [&str; 9] =
    ["id", "state", "stop_reason", "run_count", "next_run", "last_run", "created", "updated", "version"];

const JOB_ID_PARAM: Param = req("id", Kind::Int { min: 1, max: i64::MAX }, "The job's number.");
const RUN_ID_PARAM: Param = req("id", Kind::Text, "The run's id.");
pub(super) const LIMIT_PARAM: Param =
    opt("limit", Kind::Int { min: 1, max: 200 }, "Entries of a page. Default 20.");
pub(super) const CURSOR_PARAM: Param = opt("cursor", Kind::Text, "Where the page before ended: its next.");

pub(super) const JOBS: &[Param] = &[
    opt("q", Kind::Text, "Part of the name, the description or the command text."),
    opt("state", Kind::OneOf(words::STATES), "Only jobs in this state."),
    opt("mode", Kind::OneOf(words::MODES), "Only jobs of this mode."),
    opt("sort", Kind::OneOf(SORTS), "What to sort by; with - in front the greatest first. Default -id."),
    LIMIT_PARAM,
    CURSOR_PARAM,
];
const SORTS: &[&str] = &["id", "-id", "name", "-name", "updated", "-updated", "last_run", "-last_run"];
pub(super) const JOB_ID: &[Param] = &[JOB_ID_PARAM];
pub(super) const JOB_START: &[Param] = &[
    JOB_ID_PARAM,
    opt("reset_run_count", Kind::Bool, "Whether run_count starts at 0 again. Default false."),
];
pub(super) const JOB_FIRES: &[Param] =
    &[JOB_ID_PARAM, opt("limit", Kind::Int { min: 1, max: 100 }, "How many instants. Default 10.")];
pub(super) const ACCESS: &[Param] = &[
    req("list", Kind::OneOf(&["whitelist", "blacklist"]), "Which list."),
    req("entry", Kind::Text, "An IPv4 or IPv6 address, or a CIDR block."),
    opt("force", Kind::Bool, "Also when it locks the caller out or opens to all. Default false."),
];
pub(super) const BULK: &[Param] = &[
    req("action", Kind::OneOf(bulk::ACTIONS), "What to do with each."),
    req("ids", Kind::Ids, "The jobs, at most 1000."),
];
pub(super) const EXPORT: &[Param] = &[
    opt("format", Kind::OneOf(&["json", "yaml"]), "Default json."),
    opt("ids", Kind::Ids, "Only these jobs, with commas between. Default: all."),
];
pub(super) const IMPORT: &[Param] = &[
    opt("dry_run", Kind::Bool, "Only say what would come of it. Default false."),
    req("body", Kind::Body(transfer::MEDIA), "{\"jobs\": [...]} or a list of jobs."),
];
pub(super) const RUNS: &[Param] = &[
    opt("job", Kind::Int { min: 1, max: i64::MAX }, "The job's number. Default: all jobs."),
    opt("outcome", Kind::Words(OUTCOMES), "Only runs with one of these outcomes, with commas between."),
    opt("from", Kind::Instant, "Only runs recorded at or after it."),
    opt("to", Kind::Instant, "Only runs recorded before it."),
    LIMIT_PARAM,
    CURSOR_PARAM,
];
pub(super) const RUN: &[Param] = &[RUN_ID_PARAM];
pub(super) const RUN_OUTPUT: &[Param] = &[
    RUN_ID_PARAM,
    opt("download", Kind::Bool, "As a file to save. Default false."),
    opt("part", Kind::OneOf(OUTPUT_PARTS), "Only this. Default: all there is."),
];

/// A job's own fields. What they may hold is checked by the domain, so the kinds are wide.
pub(super) const JOB_FIELDS: [Param; 11] = [
    job("name", Kind::Text, "1 to 100 characters, unique."),
    job("description", Kind::Text, "What the job is for."),
    job("trigger", Kind::Json("Trigger"), "When it fires."),
    job("mode", Kind::OneOf(words::MODES), "What its command text is."),
    job("command", Kind::Text, "Lines of 【key】value, or the bare URL, command or function call."),
    job("enabled", Kind::Bool, "Whether it is on its schedule. Default true."),
    job(
        "overlap",
        Kind::OneOf(words::OVERLAPS),
        "What a fire does while a run is in flight: run beside it, be skipped, or wait. Default allow.",
    ),
    job("max_run_count", ANY, "Scheduled runs after which the job stops; 0: no limit. Default 0."),
    job(
        "misfire_policy",
        Kind::OneOf(words::POLICIES),
        "What becomes of fires that were missed. Default fire_once.",
    ),
    job("misfire_window_seconds", ANY, "How long fire_once makes up for a missed fire. Default 300."),
    job(
        "recovery",
        Kind::OneOf(words::RECOVERIES),
        "What becomes of a run that was in flight when the server died. Default never.",
    ),
];
/// Of a run alone, the trigger and the name do not matter.
pub(super) const DRAFT_RUN: &[Param] = &JOB_FIELDS;
pub(super) const JOB: &[Param] = &required_job();
pub(super) const JOB_CHECK: &[Param] = &with_first::<11, 12>(
    opt("id", Kind::Int { min: 1, max: i64::MAX }, "The job that is edited: its own name is not taken."),
    JOB_FIELDS,
);
pub(super) const JOB_PATCH: &[Param] = &with_first::<11, 12>(JOB_ID_PARAM, JOB_FIELDS);

/// Required is for the page only: that they are missing is said by the domain, with the rest.
const fn required_job() -> [Param; 11] {
    let mut fields = JOB_FIELDS;
    fields[0].required = true;
    fields[2].required = true;
    fields[3].required = true;
    fields[4].required = true;
    fields
}
