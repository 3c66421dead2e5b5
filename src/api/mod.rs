//! HTTP: every route in one list (`ROUTES`, and `v1::ROUTES` for the modern API), which makes the
//! router and the OpenAPI page. It holds no logic: a handler extracts, makes one call to the engine,
//! and shapes the answer.

mod admin;
mod answer;
mod auth;
mod body;
mod compat;
mod console;
mod cors;
mod docs;
mod extract;
mod ip_control;
mod logs;
mod middleware;
mod params;
mod problem;
mod rates;
mod reference;
mod serve;
mod sources;
mod system;
mod v1;
mod views;

use crate::config::reload::Reloads;
use crate::config::{Config, Described, Rate};
use crate::domain::UtcMs;
use crate::domain::access::IpRules;
use crate::engine::Engine;
use crate::telemetry::files::{self, Files};
use crate::telemetry::log::Control;
use crate::telemetry::metrics::{self, Metrics};
use answer::Answer;
use auth::{Auth, Identity, Needs};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use extract::{Call, Param};
use ip_control::Lists;
use ipnet::IpNet;
use rates::Rates;
use serde_json::Value;
use serve::Limits;
pub use serve::serve;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

/// Who may come in.
#[derive(Clone, Debug)]
struct Access {
    ip: IpRules,
    trusted_proxies: Vec<IpNet>,
    allowed_hosts: Vec<String>,
    cors_origins: Vec<String>,
    rate: Rate,
    limits: Limits,
}

impl Access {
    fn of(config: &Config, ip: IpRules) -> Self {
        Self {
            ip,
            trusted_proxies: config.trusted_proxies.clone(),
            allowed_hosts: config.allowed_hosts.clone(),
            cors_origins: config.clients.cors_origins.clone(),
            rate: config.clients.rate,
            limits: Limits { connections: config.clients.connections, timeout: config.clients.timeout },
        }
    }
}

/// What every handler can use.
#[derive(Debug)]
pub struct Api {
    engine: Engine,
    access: RwLock<Arc<Access>>,
    lists: tokio::sync::Mutex<Lists>,
    /// Those in force, to be shown.
    settings: RwLock<(Value, Vec<Described>)>,
    auth: Auth,
    rates: Rates,
    files: files::Shared,
    log: Control,
    metrics: Arc<Metrics>,
    reloads: Reloads,
    started: UtcMs,
    streams: v1::Streams,
}

/// What the service is built from.
pub struct Parts {
    pub engine: Engine,
    pub files: Files,
    pub log: Control,
    pub metrics: Arc<Metrics>,
    pub reloads: Reloads,
}

impl Api {
    pub async fn new(parts: Parts, config: &Config) -> Result<Self, crate::engine::Error> {
        let Parts { engine, files, log, metrics, reloads } = parts;
        let lists =
            Lists { configured: config.ip.clone(), changes: ip_control::stored_changes(&engine).await? };
        let claim_file = config.data_dir.join("claim-code");
        let auth = Auth::new(config.auth, engine.clone(), claim_file).await?;
        let access = RwLock::new(Arc::new(Access::of(config, lists.in_force())));
        Ok(Self {
            started: engine.now(),
            engine,
            access,
            lists: tokio::sync::Mutex::new(lists),
            settings: RwLock::new((config.snapshot(), config.described())),
            auth,
            rates: Rates::default(),
            files: files::Shared::new(files),
            log,
            metrics,
            reloads,
            streams: v1::Streams::default(),
        })
    }

    fn access(&self) -> Arc<Access> {
        self.access.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Pending = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// One path: how it is asked, what it takes, what it does.
#[derive(Clone, Copy)]
struct Route {
    method: Verb,
    path: &'static str,
    /// Who may ask.
    needs: Needs,
    /// For the OpenAPI page.
    summary: &'static str,
    params: &'static [Param],
    /// What `data` (or the bare body) holds, for the OpenAPI page.
    answers: docs::Shape,
    run: fn(Arc<Api>, Call) -> Pending,
}

impl Route {
    fn is_modern(&self) -> bool {
        answer::is_modern(self.path)
    }

    /// Whether the parameter is a part of the path.
    fn in_path(&self, param: &Param) -> bool {
        self.path.contains(&format!("{{{}}}", param.name))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// One line of the list: verb, path, who may ask, summary, parameters, what it answers, the handler.
macro_rules! route {
    ($verb:ident $path:literal, $needs:ident, $summary:literal, $params:expr, $answers:expr, $run:path) => {
        Route {
            method: Verb::$verb,
            path: $path,
            needs: $crate::api::auth::Needs::$needs,
            summary: $summary,
            params: $params,
            answers: $answers,
            run: |api, call| Box::pin($run(api, call)),
        }
    };
}
use route;

use docs::Shape;

#[rustfmt::skip]
static ROUTES: &[Route] = &[
    route!(Post "/jobs/add", Admin, "Add a job", params::JOB, Shape::Data("JobId"), compat::add),
    route!(Post "/jobs/edit", Admin, "Change a job: id and any of its fields", params::JOB_EDIT, Shape::Nothing, compat::edit),
    route!(Post "/jobs/del", Admin, "Delete a job; its runs in flight are cancelled", params::ID, Shape::Nothing, compat::delete),
    route!(Get "/jobs/list", Viewer, "List jobs, newest first", params::LIST, Shape::Page("CompatJob"), compat::list),
    route!(Get "/jobs/read", Viewer, "Read one job", params::ID, Shape::Data("CompatJob"), compat::read),
    route!(Post "/jobs/run", Operator, "Run a job now, also a stopped one; does not wait for the run", params::ID, Shape::Data("Triggered"), compat::run),
    route!(Post "/jobs/stop", Operator, "Stop a job: no more fires, runs in flight are cancelled", params::ID, Shape::Nothing, compat::stop),
    route!(Post "/jobs/restart", Operator, "Put a job back on its schedule", params::RESTART, Shape::Nothing, compat::restart),
    route!(Post "/jobs/runAll", Operator, "Run every scheduled job once now", &[], Shape::Data("RunAll"), compat::run_all),
    route!(Post "/jobs/stopAll", Operator, "Stop every scheduled job", &[], Shape::Data("StopAll"), compat::stop_all),
    route!(Post "/jobs/addAndRun", Admin, "Add a job and run it once now", params::ADD_AND_RUN, Shape::Data("AddAndRun"), compat::add_and_run),
    route!(Post "/jobs/logs", Viewer, "List one job's run records", params::LOGS, Shape::Page("CompatRun"), compat::logs),
    route!(Get "/jobs/runs", Viewer, "List the run records of all jobs", params::RUNS, Shape::Page("CompatRun"), compat::runs),
    route!(Get "/jobs/execs", Viewer, "Read one run record; without exec_id the job's newest", params::EXECS, Shape::Data("CompatRun"), compat::execs),
    route!(Get "/jobs/execs/download", Viewer, "Download one run's whole output", params::EXEC_DOWNLOAD, Shape::File("text/plain"), logs::run_output),
    route!(Get "/jobs/logs/download", Viewer, "Download a day's run records, one JSON object a line", params::LOGS_DOWNLOAD, Shape::File("application/x-ndjson"), logs::runs_of_day),
    route!(Post "/jobs/logs/clear", Admin, "Delete run records (job) or the system log (zap)", params::LOGS_CLEAR, Shape::Data("Cleared"), logs::clear),
    route!(Get "/jobs/zapLogs", Operator, "Read the system log, newest first; with n: its last n lines", params::SYSTEM_LOG, Shape::Page("CompatLogLine"), logs::system_log),
    route!(Get "/jobs/zapLogs/download", Operator, "Download the system log of a day", params::DAY, Shape::File("application/x-ndjson"), logs::system_log_of_day),
    route!(Get "/jobs/switchState", Operator, "Whether the system log is written", &[], Shape::Data("LogSwitch"), logs::switch),
    route!(Post "/jobs/switchState", Admin, "Switch the system log on or off", params::SWITCH, Shape::Data("LogSwitch"), logs::set_switch),
    route!(Get "/jobs/jobStatus", Viewer, "Count jobs by state", &[], Shape::Bare("JobStatus"), compat::job_status),
    route!(Get "/jobs/jobState", Viewer, "Count jobs by state, and whether the scheduler runs", &[], Shape::Data("JobStateCounts"), compat::job_state),
    route!(Get "/jobs/scheduler", Viewer, "List what is scheduled, with next and previous run", params::PAGE, Shape::Page("ScheduledJob"), compat::scheduler),
    route!(Post "/jobs/checkJob", Operator, "Reconcile the scheduler with the database", &[], Shape::Data("CheckJob"), compat::check_job),
    route!(Get "/jobs/functions", Viewer, "List the functions that a func job can name", &[], Shape::Functions, compat::functions),
    route!(Post "/jobs/functions/reload", Admin, "Load the Python functions again; calls in flight are not disturbed", &[], Shape::Data("FunctionsReloaded"), compat::reload_functions),
    route!(Get "/jobs/dbinfo", Viewer, "The database: kind, place, version, size", &[], Shape::Bare("DbInfo"), system::database),
    route!(Get "/jobs/config", Admin, "The settings in force; what may hold a password is not shown", &[], Shape::Data("Settings"), system::settings),
    route!(Post "/jobs/reload-config", Admin, "Read the settings again, whole or not at all", &[], Shape::Data("Reloaded"), system::reload_settings),
    route!(Get "/jobs/ip-control/status", Admin, "The address lists in force", &[], Shape::Data("IpControl"), ip_control::status),
    route!(Post "/jobs/ip-control/whitelist/add", Admin, "Let an address or CIDR block in", params::IP, Shape::Nothing, ip_control::whitelist_add),
    route!(Post "/jobs/ip-control/whitelist/remove", Admin, "Take an entry off the whitelist", params::IP, Shape::Nothing, ip_control::whitelist_remove),
    route!(Post "/jobs/ip-control/blacklist/add", Admin, "Refuse an address or CIDR block", params::IP, Shape::Nothing, ip_control::blacklist_add),
    route!(Post "/jobs/ip-control/blacklist/remove", Admin, "Take an entry off the blacklist", params::IP, Shape::Nothing, ip_control::blacklist_remove),
    route!(Post "/admin/login", Open, "Log in; the token goes into Authorization: Bearer", params::LOGIN, Shape::Data("Login"), admin::login),
    route!(Post "/admin/register", Admin, "Make an account; from the first one on everybody logs in", params::REGISTER, Shape::Data("JobId"), admin::register),
    route!(Get "/admin/profile", Viewer, "The account that asks", &[], Shape::Data("AdminUser"), admin::profile),
    route!(Post "/admin/profile", Viewer, "Change one's own mail address or password", params::PROFILE, Shape::Nothing, admin::edit_profile),
    route!(Get "/admin/list", Admin, "List accounts", params::PAGE, Shape::Page("AdminUser"), admin::list),
    route!(Post "/admin/status", Admin, "Let an account log in, or not", params::ADMIN_STATUS, Shape::Nothing, admin::status),
    route!(Post "/admin/delete", Admin, "Delete an account", params::ID, Shape::Nothing, admin::delete),
    route!(Get "/health", Open, "Whether the server works; 503 with the failing part when it does not", &[], Shape::Bare("Health"), system::health),
    route!(Get "/jobs/health", Viewer, "Version, uptime and memory", &[], Shape::Data("Process"), system::process),
    route!(Get "/metrics", Viewer, "Counters for a monitoring system", &[], Shape::File(metrics::MEDIA_TYPE), system::metrics),
    route!(Get "/redoc", Viewer, "This API as one page to read", &[], Shape::File("text/html"), system::reference),
];

/// Every route there is.
fn routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(v1::ROUTES)
}

/// The whole service.
fn router(api: Arc<Api>, port: u16) -> Router {
    let mut router = docs::router().merge(console::router());
    for route in routes() {
        let filter = match route.method {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
            Verb::Put => MethodFilter::PUT,
            Verb::Patch => MethodFilter::PATCH,
            Verb::Delete => MethodFilter::DELETE,
        };
        let api = api.clone();
        router =
            router.route(route.path, on(filter, move |request: Request| handle(route, api, port, request)));
    }
    router
        .fallback(|request: Request| async move { plain(StatusCode::NOT_FOUND, &request) })
        .method_not_allowed_fallback(|request: Request| async move {
            plain(StatusCode::METHOD_NOT_ALLOWED, &request)
        })
        .layer(axum::middleware::from_fn_with_state(api, middleware::guard))
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(middleware::panicked))
}

fn plain(status: StatusCode, request: &Request) -> Response {
    answer::plain(status, request.uri().path(), extract::lang(request.headers()))
}

async fn handle(route: &'static Route, api: Arc<Api>, port: u16, request: Request<Body>) -> Response {
    let lang = extract::lang(request.headers());
    let is_head = request.method() == Method::HEAD;
    let identity = request.extensions().get::<Identity>().cloned().unwrap_or(Identity::Nobody);
    let answer = match identity.may(route.needs) {
        Ok(()) => match Call::read(route, request, port, identity, api.access().limits).await {
            Ok(call) => {
                let by = call.identity.by(call.client);
                crate::engine::as_by(by, (route.run)(api, call)).await
            }
            Err(refusal) => refusal,
        },
        Err(refusal) => refusal,
    };
    answer.respond(route.path, lang, is_head)
}
