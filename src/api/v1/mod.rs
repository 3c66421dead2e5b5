//! The modern API, `/api/v1/*`: resources and verbs, true statuses, problems (RFC 9457), lists with
//! cursors, jobs with versions. It stands beside `/jobs/*` on the same engine.

mod access;
mod account_params;
mod accounts;
mod audit;
mod bulk;
mod check;
mod cursor;
mod draft;
mod events;
mod functions;
mod jobs;
mod live;
mod logs;
mod overview;
mod params;
mod runs;
mod secrets;
mod session;
mod streams;
mod system;
mod system_params;
mod transfer;
mod views;
mod words;

use super::docs::Shape;
use super::problem::{BadField, Problem};
use super::{Route, Verb, route};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{ComponentsBuilder, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

pub(super) use params::SHOWN_ONLY;
pub(super) use streams::Streams;

#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    route!(Get "/api/v1/session", Open, "Who asks, and whether they must log in", &[], Shape::Bare("Session"), session::session),
    route!(Post "/api/v1/session", Open, "Log in; the session is a cookie", account_params::LOGIN, Shape::Bare("Session"), session::log_in),
    route!(Delete "/api/v1/session", Open, "Log out", &[], Shape::Empty, session::log_out),
    route!(Post "/api/v1/session/claim", Open, "Make the first account with the claim code", account_params::CLAIM, Shape::Bare("Session"), session::claim),
    route!(Post "/api/v1/session/password", Viewer, "Change the password; all sessions and tokens end", account_params::PASSWORD, Shape::Bare("Session"), session::change_password),
    route!(Get "/api/v1/accounts", Admin, "List accounts", &[], Shape::Bare("Accounts"), accounts::list),
    route!(Post "/api/v1/accounts", Admin, "Make an account; from the first one on everybody logs in", account_params::ACCOUNT, Shape::Created("Account"), accounts::add),
    route!(Patch "/api/v1/accounts/{id}", Admin, "Change an account; a new password ends its sessions and tokens", account_params::ACCOUNT_PATCH, Shape::Bare("Account"), accounts::edit),
    route!(Delete "/api/v1/accounts/{id}", Admin, "Delete an account with its sessions and tokens", account_params::ACCOUNT_ID, Shape::Empty, accounts::delete),
    route!(Get "/api/v1/tokens", Viewer, "The caller's sessions and tokens", &[], Shape::Bare("Tokens"), accounts::tokens),
    route!(Post "/api/v1/tokens", Viewer, "Make a token for a program", account_params::TOKEN, Shape::Created("NewTokenView"), accounts::add_token),
    route!(Get "/api/v1/audit", Admin, "Who did what, newest first", audit::LIST, Shape::Bare("AuditEntries"), audit::list),
    route!(Get "/api/v1/audit/export", Admin, "Download the audit log", audit::EXPORT, Shape::File("application/x-ndjson"), audit::export),
    route!(Get "/api/v1/secrets", Admin, "List the secrets of jobs, without their values", &[], Shape::Bare("Secrets"), secrets::list),
    route!(Put "/api/v1/secrets/{name}", Admin, "Keep a secret, or give one another value", secrets::PUT, Shape::Bare("Secret"), secrets::put),
    route!(Delete "/api/v1/secrets/{name}", Admin, "Delete a secret", secrets::DELETE, Shape::Empty, secrets::delete),
    route!(Delete "/api/v1/tokens/{id}", Viewer, "End a session or a token of the caller's", account_params::TOKEN_ID, Shape::Empty, accounts::delete_token),
    route!(Get "/api/v1/overview", Viewer, "What runs, what comes, what failed, and how the day went", &[], Shape::Bare("Overview"), overview::overview),
    route!(Get "/api/v1/jobs", Viewer, "List jobs", params::JOBS, Shape::List("Job"), jobs::list),
    route!(Post "/api/v1/jobs", Admin, "Add a job", params::JOB, Shape::Created("Job"), jobs::add),
    route!(Post "/api/v1/jobs/check", Admin, "Look at a draft: what is wrong, when it would fire", params::JOB_CHECK, Shape::Bare("CheckResult"), check::check),
    route!(Post "/api/v1/jobs/bulk", Operator, "Start, stop, run or delete many jobs", params::BULK, Shape::Bare("BulkResult"), bulk::bulk),
    route!(Get "/api/v1/jobs/export", Viewer, "Download jobs as JSON or YAML", params::EXPORT, Shape::File("application/json"), transfer::export),
    route!(Post "/api/v1/jobs/import", Admin, "Add the jobs of a file; names that are taken are left out", params::IMPORT, Shape::Bare("ImportResult"), transfer::import),
    route!(Get "/api/v1/jobs/{id}", Viewer, "Read one job; its version is the ETag", params::JOB_ID, Shape::Bare("Job"), jobs::one),
    route!(Patch "/api/v1/jobs/{id}", Admin, "Change some fields of a job", params::JOB_PATCH, Shape::Bare("Job"), jobs::edit),
    route!(Delete "/api/v1/jobs/{id}", Admin, "Delete a job; its runs in flight are cancelled", params::JOB_ID, Shape::Empty, jobs::delete),
    route!(Post "/api/v1/jobs/{id}/run", Operator, "Run a job now, also a stopped one; does not wait for the run", params::JOB_ID, Shape::Accepted("Asked"), jobs::run),
    route!(Post "/api/v1/jobs/{id}/stop", Operator, "Stop a job: no more fires, runs in flight are cancelled", params::JOB_ID, Shape::Bare("Job"), jobs::stop),
    route!(Post "/api/v1/jobs/{id}/start", Operator, "Put a job back on its schedule", params::JOB_START, Shape::Bare("Job"), jobs::start),
    route!(Get "/api/v1/jobs/{id}/fires", Viewer, "The next instants at which a job fires", params::JOB_FIRES, Shape::Bare("Fires"), jobs::fires),
    route!(Get "/api/v1/runs", Viewer, "List run records, newest first", params::RUNS, Shape::List("Run"), runs::list),
    route!(Get "/api/v1/runs/{id}", Viewer, "Read one run record, with what it printed", params::RUN, Shape::Bare("RunDetail"), runs::one),
    route!(Get "/api/v1/runs/{id}/output", Viewer, "What one run printed and was answered, as text", params::RUN_OUTPUT, Shape::File("text/plain"), runs::text),
    route!(Post "/api/v1/runs/{id}/stop", Operator, "Cancel one run; its job stays as it is", params::RUN, Shape::Accepted("Asked"), runs::stop),
    route!(Post "/api/v1/runs/{id}/again", Operator, "Run the job of a run once more, as it is now", params::RUN, Shape::Accepted("Asked"), runs::again),
    route!(Post "/api/v1/runs/test", Admin, "Run a draft once; no job is kept, its record is", params::DRAFT_RUN, Shape::Accepted("TestRun"), runs::test),
    route!(Get "/api/v1/runs/{id}/live", Viewer, "What a run prints, while it prints", params::RUN, Shape::Events, live::live),
    route!(Get "/api/v1/system", Admin, "The server: database, scheduler, settings", &[], Shape::Bare("System"), system::system),
    route!(Post "/api/v1/system/reload", Admin, "Read the settings again, whole or not at all", &[], Shape::Bare("SettingsReloaded"), system::reload),
    route!(Post "/api/v1/system/reconcile", Admin, "Bring the scheduler in line with the database", &[], Shape::Bare("Reconciled"), system::reconcile),
    route!(Get "/api/v1/access", Admin, "The address lists in force", &[], Shape::Bare("Access"), access::lists),
    route!(Post "/api/v1/access/{list}", Admin, "Add an entry to an address list", params::ACCESS, Shape::Created("Access"), access::add),
    route!(Delete "/api/v1/access/{list}/{entry}", Admin, "Take an entry off an address list", params::ACCESS, Shape::Bare("Access"), access::remove),
    route!(Get "/api/v1/events", Viewer, "What happens to jobs and runs, as it happens", &[], Shape::Events, events::events),
    route!(Get "/api/v1/functions", Viewer, "List the functions that a func job can name", &[], Shape::Bare("Functions"), functions::list),
    route!(Post "/api/v1/functions/reload", Admin, "Load your own functions again; calls in flight are not disturbed", &[], Shape::Bare("FunctionReload"), functions::reload),
    route!(Get "/api/v1/functions/{name}", Admin, "Read one function, with its code", system_params::FUNCTION, Shape::Bare("FunctionDetail"), functions::one),
    route!(Post "/api/v1/functions/{name}/try", Admin, "Run a function once; its record is kept", system_params::FUNCTION_TRY, Shape::Accepted("TestRun"), functions::try_out),
    route!(Get "/api/v1/logs", Operator, "Read the system log, newest first", system_params::LOGS, Shape::Bare("LogLines"), logs::list),
    route!(Get "/api/v1/logs/live", Operator, "The lines of the system log, as they are written", &[], Shape::Events, logs::live),
];

/// Whether the route changes a version of something, which the client names in If-Match.
pub(super) fn names_version(route: &Route) -> bool {
    route.path == "/api/v1/jobs/{id}" && matches!(route.method, Verb::Patch | Verb::Delete)
}

/// `{items, next, total}`.
pub(super) fn list_schema(name: &str) -> RefOr<Schema> {
    let items = ArrayBuilder::new().items(Ref::from_schema_name(name));
    let next = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("The cursor of what follows; null at the end."));
    let total = ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer));
    let list = ObjectBuilder::new()
        .property("items", items)
        .property("next", next)
        .property("total", total)
        .required("items")
        .required("next")
        .required("total");
    Schema::Object(list.build()).into()
}

/// What the routes take and answer, for the OpenAPI page.
pub(super) fn schemas(components: ComponentsBuilder) -> ComponentsBuilder {
    let shown: &[(String, RefOr<Schema>)] = &[
        shown::<Problem>(),
        shown::<BadField>(),
        shown::<overview::Overview>(),
        shown::<overview::JobCounts>(),
        shown::<overview::UpcomingView>(),
        shown::<overview::Day>(),
        shown::<overview::Hour>(),
        shown::<overview::LoadSlot>(),
        shown::<overview::HealthView>(),
        shown::<session::SessionView>(),
        shown::<accounts::AccountView>(),
        shown::<accounts::AccountList>(),
        shown::<accounts::TokenView>(),
        shown::<accounts::TokenList>(),
        shown::<accounts::NewTokenView>(),
        shown::<audit::AuditEntry>(),
        shown::<audit::AuditTarget>(),
        shown::<audit::AuditEntries>(),
        shown::<secrets::SecretView>(),
        shown::<secrets::SecretList>(),
        shown::<system::SystemView>(),
        shown::<system::DatabaseView>(),
        shown::<system::SchedulerView>(),
        shown::<system::SettingView>(),
        shown::<system::SettingsReloaded>(),
        shown::<system::Reconciled>(),
        shown::<views::Access>(),
        shown::<views::JobDraftView>(),
        shown::<views::JobView>(),
        shown::<check::CheckResult>(),
        shown::<check::WarningView>(),
        shown::<bulk::BulkResult>(),
        shown::<bulk::BulkEntry>(),
        shown::<transfer::ImportResult>(),
        shown::<transfer::ImportedJob>(),
        shown::<transfer::ImportProblem>(),
        shown::<views::Fires>(),
        shown::<views::Fire>(),
        shown::<views::RunView>(),
        shown::<views::RunDetail>(),
        shown::<views::Missed>(),
        shown::<views::HttpView>(),
        shown::<views::FuncView>(),
        shown::<views::Asked>(),
        shown::<views::TestRun>(),
        shown::<functions::Functions>(),
        shown::<functions::FunctionView>(),
        shown::<functions::ParameterView>(),
        shown::<functions::FailureView>(),
        shown::<functions::PythonView>(),
        shown::<functions::FunctionDetail>(),
        shown::<functions::FunctionError>(),
        shown::<functions::FunctionReload>(),
        shown::<logs::LogLines>(),
        shown::<logs::LogLine>(),
    ];
    let components = words::schemas(components).schema("Trigger", views::TriggerView::schema());
    shown.iter().fold(components, |components, (name, schema)| components.schema(name, schema.clone()))
}

/// Every field of an answer is there, if only with null.
fn shown<T: ToSchema>() -> (String, RefOr<Schema>) {
    let mut schema = <T as PartialSchema>::schema();
    if let RefOr::T(schema) = &mut schema {
        require_all(schema);
    }
    (T::name().into_owned(), schema)
}

fn require_all(schema: &mut Schema) {
    match schema {
        Schema::Object(object) => object.required = object.properties.keys().cloned().collect(),
        Schema::AllOf(parts) => {
            let parts = parts.items.iter_mut();
            parts.for_each(|part| {
                if let RefOr::T(part) = part {
                    require_all(part)
                }
            });
        }
        _ => {}
    }
}
