//! HTTP: every route in one list (`ROUTES`), which makes the router and the OpenAPI page. It holds
//! no logic: a handler extracts, makes one call to the engine, and shapes the answer.

mod answer;
mod compat;
mod docs;
mod extract;
mod ip_control;
mod live;
mod logs;
mod middleware;
mod params;
mod reference;
mod system;
mod views;

use crate::config::Config;
use crate::config::reload::Reloads;
use crate::domain::UtcMs;
use crate::domain::access::IpRules;
use crate::engine::Engine;
use crate::telemetry::files::{self, Files};
use crate::telemetry::log::Control;
use crate::telemetry::metrics::{self, Metrics};
use answer::Answer;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use extract::{Call, Param};
use ip_control::Lists;
use ipnet::IpNet;
use serde_json::Value;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

/// Who may come in.
#[derive(Clone, Debug)]
struct Access {
    ip: IpRules,
    trusted_proxies: Vec<IpNet>,
    allowed_hosts: Vec<String>,
}

impl Access {
    fn of(config: &Config, ip: IpRules) -> Self {
        Self {
            ip,
            trusted_proxies: config.trusted_proxies.clone(),
            allowed_hosts: config.allowed_hosts.clone(),
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
    settings: RwLock<Value>,
    files: files::Shared,
    log: Control,
    metrics: Arc<Metrics>,
    reloads: Reloads,
    started: UtcMs,
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
        let access = RwLock::new(Arc::new(Access::of(config, lists.in_force())));
        Ok(Self {
            started: engine.now(),
            engine,
            access,
            lists: tokio::sync::Mutex::new(lists),
            settings: RwLock::new(config.snapshot()),
            files: files::Shared::new(files),
            log,
            metrics,
            reloads,
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
    /// For the OpenAPI page.
    summary: &'static str,
    params: &'static [Param],
    /// What `data` (or the bare body) holds, for the OpenAPI page.
    answers: docs::Shape,
    run: fn(Arc<Api>, Call) -> Pending,
}

impl Route {
    /// Beside the API of the older editions: true statuses, and problems instead of the envelope.
    fn is_modern(&self) -> bool {
        self.path.starts_with("/api/v1/")
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
}

/// One line of the list: verb, path, summary, parameters, what it answers, the handler.
macro_rules! route {
    ($verb:ident $path:literal, $summary:literal, $params:expr, $answers:expr, $run:path) => {
        Route {
            method: Verb::$verb,
            path: $path,
            summary: $summary,
            params: $params,
            answers: $answers,
            run: |api, call| Box::pin($run(api, call)),
        }
    };
}

use docs::Shape;

#[rustfmt::skip]
static ROUTES: &[Route] = &[
    route!(Post "/jobs/add", "Add a job", params::JOB, Shape::Data("JobId"), compat::add),
    route!(Post "/jobs/edit", "Change a job: id and any of its fields", params::JOB_EDIT, Shape::Nothing, compat::edit),
    route!(Post "/jobs/del", "Delete a job; its runs in flight are cancelled", params::ID, Shape::Nothing, compat::delete),
    route!(Get "/jobs/list", "List jobs, newest first", params::LIST, Shape::Page("Job"), compat::list),
    route!(Get "/jobs/read", "Read one job", params::ID, Shape::Data("Job"), compat::read),
    route!(Post "/jobs/run", "Run a job now, also a stopped one; does not wait for the run", params::ID, Shape::Data("Triggered"), compat::run),
    route!(Post "/jobs/stop", "Stop a job: no more fires, runs in flight are cancelled", params::ID, Shape::Nothing, compat::stop),
    route!(Post "/jobs/restart", "Put a job back on its schedule", params::RESTART, Shape::Nothing, compat::restart),
    route!(Post "/jobs/runAll", "Run every scheduled job once now", &[], Shape::Data("RunAll"), compat::run_all),
    route!(Post "/jobs/stopAll", "Stop every scheduled job", &[], Shape::Data("StopAll"), compat::stop_all),
    route!(Post "/jobs/addAndRun", "Add a job and run it once now", params::ADD_AND_RUN, Shape::Data("AddAndRun"), compat::add_and_run),
    route!(Post "/jobs/logs", "List one job's run records", params::LOGS, Shape::Page("Run"), compat::logs),
    route!(Get "/jobs/runs", "List the run records of all jobs", params::RUNS, Shape::Page("Run"), compat::runs),
    route!(Get "/jobs/execs", "Read one run record; without exec_id the job's newest", params::EXECS, Shape::Data("Run"), compat::execs),
    route!(Get "/jobs/execs/download", "Download one run's whole output", params::EXEC_DOWNLOAD, Shape::File("text/plain"), logs::run_output),
    route!(Get "/jobs/logs/download", "Download a day's run records, one JSON object a line", params::LOGS_DOWNLOAD, Shape::File("application/x-ndjson"), logs::runs_of_day),
    route!(Post "/jobs/logs/clear", "Delete run records (job) or the system log (zap)", params::LOGS_CLEAR, Shape::Data("Cleared"), logs::clear),
    route!(Get "/jobs/zapLogs", "Read the system log, newest first; with n: its last n lines", params::SYSTEM_LOG, Shape::Page("LogLine"), logs::system_log),
    route!(Get "/jobs/zapLogs/download", "Download the system log of a day", params::DAY, Shape::File("application/x-ndjson"), logs::system_log_of_day),
    route!(Get "/jobs/switchState", "Whether the system log is written", &[], Shape::Data("LogSwitch"), logs::switch),
    route!(Post "/jobs/switchState", "Switch the system log on or off", params::SWITCH, Shape::Data("LogSwitch"), logs::set_switch),
    route!(Get "/jobs/jobStatus", "Count jobs by state", &[], Shape::Bare("JobStatus"), compat::job_status),
    route!(Get "/jobs/jobState", "Count jobs by state, and whether the scheduler runs", &[], Shape::Data("JobState"), compat::job_state),
    route!(Get "/jobs/scheduler", "List what is scheduled, with next and previous run", params::PAGE, Shape::Page("ScheduledJob"), compat::scheduler),
    route!(Post "/jobs/checkJob", "Reconcile the scheduler with the database", &[], Shape::Data("CheckJob"), compat::check_job),
    route!(Get "/jobs/functions", "List the functions that a func job can name", &[], Shape::Functions, compat::functions),
    route!(Post "/jobs/functions/reload", "Load the Python functions again; calls in flight are not disturbed", &[], Shape::Data("FunctionsReloaded"), compat::reload_functions),
    route!(Get "/jobs/dbinfo", "The database: kind, place, version, size", &[], Shape::Bare("DbInfo"), system::database),
    route!(Get "/jobs/config", "The settings in force; what may hold a password is not shown", &[], Shape::Data("Settings"), system::settings),
    route!(Post "/jobs/reload-config", "Read the settings again, whole or not at all", &[], Shape::Data("Reloaded"), system::reload_settings),
    route!(Get "/jobs/ip-control/status", "The address lists in force", &[], Shape::Data("IpControl"), ip_control::status),
    route!(Post "/jobs/ip-control/whitelist/add", "Let an address or CIDR block in", params::IP, Shape::Nothing, ip_control::whitelist_add),
    route!(Post "/jobs/ip-control/whitelist/remove", "Take an entry off the whitelist", params::IP, Shape::Nothing, ip_control::whitelist_remove),
    route!(Post "/jobs/ip-control/blacklist/add", "Refuse an address or CIDR block", params::IP, Shape::Nothing, ip_control::blacklist_add),
    route!(Post "/jobs/ip-control/blacklist/remove", "Take an entry off the blacklist", params::IP, Shape::Nothing, ip_control::blacklist_remove),
    route!(Get "/api/v1/runs/{id}/live", "What a run prints, while it prints", params::RUN, Shape::Events, live::live),
    route!(Post "/api/v1/runs/test", "Run a draft once; no job is kept, its record is", params::DRAFT_RUN, Shape::Accepted("TestRun"), live::test),
    route!(Get "/health", "Whether the server works; 503 with the failing part when it does not", &[], Shape::Bare("Health"), system::health),
    route!(Get "/jobs/health", "Version, uptime and memory", &[], Shape::Data("Process"), system::process),
    route!(Get "/metrics", "Counters for a monitoring system", &[], Shape::File(metrics::MEDIA_TYPE), system::metrics),
    route!(Get "/redoc", "This API as one page to read", &[], Shape::File("text/html"), system::reference),
];

/// The whole service.
pub fn router(api: Arc<Api>, port: u16) -> Router {
    let mut router = docs::router();
    for route in ROUTES {
        let filter = match route.method {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
        };
        let api = api.clone();
        router =
            router.route(route.path, on(filter, move |request: Request| serve(route, api, port, request)));
    }
    router
        .fallback(|request: Request| async move {
            answer::plain(StatusCode::NOT_FOUND, extract::lang(request.headers())).into_response()
        })
        .method_not_allowed_fallback(|request: Request| async move {
            answer::plain(StatusCode::METHOD_NOT_ALLOWED, extract::lang(request.headers())).into_response()
        })
        .layer(axum::middleware::from_fn_with_state(api, middleware::guard))
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(middleware::panicked))
}

async fn serve(route: &'static Route, api: Arc<Api>, port: u16, request: Request<Body>) -> Response {
    let lang = extract::lang(request.headers());
    let is_head = request.method() == Method::HEAD;
    let answer = match Call::read(route.params, request, port).await {
        Ok(call) => (route.run)(api, call).await,
        Err(refusal) => refusal,
    };
    if route.is_modern() { answer.modern(lang, is_head) } else { answer.localised(lang, is_head) }
}
