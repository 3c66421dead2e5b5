//! The OpenAPI page: made from `ROUTES`, so that it cannot drift from the router, and shown by
//! Swagger UI from the binary.

use super::extract::{Kind, Lang, Param, lang};
use super::views::{FailureView, FunctionView, JobView, ParameterView, RunView, ScheduledView};
use super::{ROUTES, Route, Verb, answer};
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use std::sync::{Arc, LazyLock};
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, Ref,
    RefOr, Required, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

/// What an answer holds, by the name of its schema.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// The envelope with `data: null`.
    Nothing,
    /// The envelope around it.
    Data(&'static str),
    /// The paged envelope around a list of it.
    Page(&'static str),
    /// The envelope around the functions, and beside them how Python stands.
    Functions,
    /// It alone.
    Bare(&'static str),
    /// It alone, with status 202: what was asked for goes on.
    Accepted(&'static str),
    /// Server-sent events.
    Events,
    /// No JSON, but this media type.
    File(&'static str),
}

pub(super) fn router() -> Router {
    static JSON: LazyLock<String> = LazyLock::new(|| document().to_json().unwrap_or_default());
    let json = || async { ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], JSON.as_str()) };
    Router::new()
        .route("/openapi.json", get(json))
        .route("/", get(|| async { Redirect::temporary("/docs/") }))
        // The path of the older editions.
        .route("/swagger/index.html", get(|| async { Redirect::temporary("/docs/") }))
        .route("/docs", get(|| async { Redirect::temporary("/docs/") }))
        .route("/docs/", get(|headers: HeaderMap| async move { swagger("", lang(&headers)) }))
        .route(
            "/docs/{*file}",
            get(|headers: HeaderMap, Path(file): Path<String>| async move { swagger(&file, lang(&headers)) }),
        )
}

fn swagger(file: &str, lang: Lang) -> Response {
    // The page would tell validator.swagger.io where the document lies.
    let config = Arc::new(utoipa_swagger_ui::Config::from("/openapi.json").validator_url("none"));
    match utoipa_swagger_ui::serve(file, config) {
        Ok(Some(found)) => {
            ([(header::CONTENT_TYPE, found.content_type)], found.bytes.into_owned()).into_response()
        }
        _ => answer::plain(StatusCode::NOT_FOUND, lang),
    }
}

pub(super) fn document() -> OpenApi {
    let mut paths = PathsBuilder::new();
    for route in ROUTES {
        let method = match route.method {
            Verb::Get => HttpMethod::Get,
            Verb::Post => HttpMethod::Post,
        };
        // A path that is asked both ways gets both.
        paths = paths.path(route.path, PathItem::new(method, operation(route)));
    }
    let info = InfoBuilder::new()
        .title("TimerJobs")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Business answers are HTTP 200 with {code, msg, data}; code is 200, 400, 404, 409, 422 or 500. \
             Parameters come from the query string, a JSON body or a form body; the body wins.",
        ))
        .build();
    OpenApiBuilder::new().info(info).paths(paths.build()).components(Some(components())).build()
}

fn operation(route: &Route) -> utoipa::openapi::path::Operation {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(operation_id(route)))
        .summary(Some(route.summary))
        .tag(if route.path.starts_with("/jobs/") { "jobs" } else { "system" });
    let (in_path, others): (Vec<&Param>, Vec<&Param>) =
        route.params.iter().partition(|param| route.in_path(param));
    let parameter = |param: &Param, place| {
        ParameterBuilder::new()
            .name(param.name)
            .parameter_in(place)
            .required(if param.required { Required::True } else { Required::False })
            .description(Some(param.doc))
            .schema(Some(kind_schema(param)))
            .build()
    };
    for param in in_path {
        operation = operation.parameter(parameter(param, ParameterIn::Path));
    }
    match route.method {
        Verb::Get => {
            for param in others {
                operation = operation.parameter(parameter(param, ParameterIn::Query));
            }
        }
        Verb::Post if others.is_empty() => {}
        Verb::Post => {
            let fields = others.iter().fold(ObjectBuilder::new(), |object, param| {
                let object = object.property(param.name, kind_schema(param));
                if param.required { object.required(param.name) } else { object }
            });
            let content = ContentBuilder::new().schema(Some(Schema::Object(fields.build()))).build();
            let body = RequestBodyBuilder::new()
                .content("application/json", content.clone())
                .content("application/x-www-form-urlencoded", content)
                .build();
            operation = operation.request_body(Some(body));
        }
    }
    let content = ContentBuilder::new().schema(Some(shape_schema(route.answers))).build();
    let (status, media) = match route.answers {
        Shape::File(media) => ("200", media),
        Shape::Events => ("200", "text/event-stream"),
        Shape::Accepted(_) => ("202", "application/json"),
        _ => ("200", "application/json"),
    };
    let response = ResponseBuilder::new().description("The answer").content(media, content).build();
    operation = operation.response(status, response);
    if route.is_modern() {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let refused =
            ResponseBuilder::new().description("Why not").content("application/problem+json", problem);
        operation = operation.response("default", refused.build());
    }
    operation.build()
}

/// Its path; where a path is asked both ways, POST says so.
fn operation_id(route: &Route) -> String {
    let name = route.path.trim_start_matches('/').replace(['/', '-'], "_").replace(['{', '}'], "");
    let twice = ROUTES.iter().filter(|r| r.path == route.path).count() > 1;
    if twice && route.method == Verb::Post { format!("{name}_post") } else { name }
}

fn kind_schema(param: &Param) -> Schema {
    let object = ObjectBuilder::new().description(Some(param.doc));
    let typed = |object: ObjectBuilder, kind| object.schema_type(SchemaType::new(kind));
    Schema::Object(match param.kind {
        Kind::Text => typed(object, Type::String).build(),
        Kind::OneOf(words) => typed(object, Type::String).enum_values(Some(words.iter().copied())).build(),
        Kind::Bool => typed(object, Type::Boolean).build(),
        Kind::Date => {
            typed(object, Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Date))).build()
        }
        Kind::Int { min, max } => {
            let object = typed(object, Type::Integer);
            let object = if min == i64::MIN { object } else { object.minimum(Some(min)) };
            if max == i64::MAX { object.build() } else { object.maximum(Some(max)).build() }
        }
    })
}

fn shape_schema(shape: Shape) -> RefOr<Schema> {
    let named = |name: &str| RefOr::Ref(Ref::from_schema_name(name));
    match shape {
        Shape::Bare(name) | Shape::Accepted(name) => named(name),
        Shape::File(_) | Shape::Events => simple(Type::String).into(),
        Shape::Nothing => envelope().build().into(),
        Shape::Functions => {
            let list = |name| ArrayBuilder::new().items(named(name)).build();
            let page = envelope().property("data", list("Function")).property("python", named("PythonState"));
            page.property("failed", list("FunctionFailure")).build().into()
        }
        Shape::Data(name) => envelope().property("data", named(name)).build().into(),
        Shape::Page(name) => {
            let list = ArrayBuilder::new().items(named(name)).build();
            let counts = ["total", "page_total", "pages_total", "page", "page_size"];
            let page = envelope().property("data", list);
            counts
                .into_iter()
                .fold(page, |page, name| page.property(name, simple(Type::Integer)))
                .build()
                .into()
        }
    }
}

fn envelope() -> ObjectBuilder {
    ObjectBuilder::new().property("code", simple(Type::Integer)).property("msg", simple(Type::String))
}

fn simple(kind: Type) -> Schema {
    Schema::Object(ObjectBuilder::new().schema_type(SchemaType::new(kind)).build())
}

fn components() -> utoipa::openapi::Components {
    let small: &[(&str, &[(&str, Type)])] = &[
        ("JobId", &[("id", Type::Integer)]),
        ("TestRun", &[("run", Type::String), ("job", Type::Integer)]),
        (
            "Problem",
            &[
                ("type", Type::String),
                ("title", Type::String),
                ("status", Type::Integer),
                ("errors", Type::Array),
            ],
        ),
        ("Triggered", &[("exec_id", Type::String), ("skipped", Type::Boolean), ("reason", Type::String)]),
        ("RunAll", &[("triggered", Type::Integer)]),
        ("StopAll", &[("stopped", Type::Integer)]),
        ("AddAndRun", &[("job_id", Type::Integer), ("exec_id", Type::String)]),
        (
            "DbInfo",
            &[
                ("db_type", Type::String),
                ("db_url", Type::String),
                ("table_prefix", Type::String),
                ("version", Type::String),
                ("size_bytes", Type::Integer),
            ],
        ),
        (
            "PythonState",
            &[
                ("available", Type::Boolean),
                ("version", Type::String),
                ("reason", Type::String),
                ("environment", Type::String),
            ],
        ),
        ("FunctionsReloaded", &[("loaded", Type::Array), ("removed", Type::Array), ("failed", Type::Array)]),
        ("IpControl", &[("enabled", Type::Boolean), ("whitelist", Type::Array), ("blacklist", Type::Array)]),
        ("Cleared", &[("cleared", Type::Integer)]),
        ("LogSwitch", &[("log_enabled", Type::Boolean), ("zapLogSwitch", Type::Boolean)]),
        (
            "LogLine",
            &[
                ("level", Type::String),
                ("time", Type::String),
                ("caller", Type::String),
                ("msg", Type::String),
            ],
        ),
        ("Settings", &[]),
        ("Reloaded", &[("changed", Type::Array), ("needs_restart", Type::Array)]),
        ("CheckJob", &[("added", Type::Integer), ("removed", Type::Integer), ("updated", Type::Integer)]),
        (
            "JobStatus",
            &[
                ("total", Type::Integer),
                ("running", Type::Integer),
                ("waiting", Type::Integer),
                ("stopped", Type::Integer),
                ("task_count", Type::Integer),
                ("scheduler_running", Type::Boolean),
            ],
        ),
        (
            "JobState",
            &[
                ("total", Type::Integer),
                ("running", Type::Integer),
                ("waiting", Type::Integer),
                ("stopped", Type::Integer),
                ("num", Type::Integer),
                ("state", Type::Boolean),
            ],
        ),
        (
            "Health",
            &[
                ("status", Type::String),
                ("database", Type::String),
                ("scheduler", Type::String),
                ("version", Type::String),
                ("uptime", Type::Integer),
            ],
        ),
        (
            "Process",
            &[
                ("app_name", Type::String),
                ("app_version", Type::String),
                ("server_port", Type::Integer),
                ("timestamp", Type::String),
                ("uptime", Type::Integer),
                ("memory", Type::Object),
                ("goroutines", Type::Integer),
            ],
        ),
    ];
    let mut components = ComponentsBuilder::new()
        .schema(FunctionView::name(), FunctionView::schema())
        .schema(FailureView::name(), FailureView::schema())
        .schema(ParameterView::name(), ParameterView::schema())
        .schema(JobView::name(), JobView::schema())
        .schema(RunView::name(), RunView::schema())
        .schema(ScheduledView::name(), ScheduledView::schema());
    for (name, fields) in small {
        let object = fields
            .iter()
            .fold(ObjectBuilder::new(), |o, (field, kind)| o.property(*field, simple(kind.clone())));
        components = components.schema(*name, object.build());
    }
    components.build()
}
