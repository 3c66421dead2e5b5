//! The OpenAPI page: made from `ROUTES`, so that it cannot drift from the router, and shown by
//! Swagger UI from the binary.

use super::auth::{Identity, Needs};
use super::extract::{Kind, Lang, Param, lang};
use super::views::{FailureView, FunctionView, JobView, ParameterView, RunView, ScheduledView};
use super::{ROUTES, Route, Verb, answer, routes, v1};
use crate::domain::account::Role;
use axum::Router;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use std::sync::{Arc, LazyLock};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
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
    /// It alone, with status 201 and its place.
    Created(&'static str),
    /// It alone, with status 202: what was asked for goes on.
    Accepted(&'static str),
    /// Some of it, with the way to the rest.
    List(&'static str),
    /// Status 204 and no body.
    Empty,
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
        // The path of the older editions.
        .route("/swagger/index.html", get(|| async { Redirect::temporary("/docs/") }))
        .route("/docs", get(|| async { Redirect::temporary("/docs/") }))
        .route("/docs/", get(|headers: HeaderMap| async move { swagger("", lang(&headers)) }))
        .route(
            "/docs/{*file}",
            get(|headers: HeaderMap, Path(file): Path<String>| async move { swagger(&file, lang(&headers)) }),
        )
        .layer(axum::middleware::from_fn(for_viewers))
}

/// What the API can do is told to whoever may look at jobs.
async fn for_viewers(request: Request, next: Next) -> Response {
    let identity = request.extensions().get::<Identity>().cloned().unwrap_or(Identity::Nobody);
    match identity.may(Needs::Viewer) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let (path, lang) = (request.uri().path().to_owned(), lang(request.headers()));
            refusal.respond(&path, lang, false)
        }
    }
}

fn swagger(file: &str, lang: Lang) -> Response {
    // The page would tell validator.swagger.io where the document lies.
    let config = Arc::new(utoipa_swagger_ui::Config::from("/openapi.json").validator_url("none"));
    match utoipa_swagger_ui::serve(file, config) {
        Ok(Some(found)) => {
            ([(header::CONTENT_TYPE, found.content_type)], found.bytes.into_owned()).into_response()
        }
        _ => answer::plain(StatusCode::NOT_FOUND, "/docs", lang),
    }
}

pub(super) fn document() -> OpenApi {
    let mut paths = PathsBuilder::new();
    for route in routes() {
        let method = match route.method {
            Verb::Get => HttpMethod::Get,
            Verb::Post => HttpMethod::Post,
            Verb::Put => HttpMethod::Put,
            Verb::Patch => HttpMethod::Patch,
            Verb::Delete => HttpMethod::Delete,
        };
        // A path that is asked both ways gets both.
        paths = paths.path(route.path, PathItem::new(method, operation(route)));
    }
    let info = InfoBuilder::new()
        .title("TimerJobs")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "/jobs/*: business answers are HTTP 200 with {code, msg, data}; code is 200, 400, 404, 409, 422 or \
             500. Parameters come from the query string, a JSON body or a form body; the body wins.\n\n\
             /api/v1/*: true statuses; what went wrong is a Problem (RFC 9457). Lists are asked with limit and \
             cursor and answer {items, next, total}. A job has a version, its ETag; PATCH and DELETE name it in \
             If-Match.",
        ))
        .build();
    OpenApiBuilder::new().info(info).paths(paths.build()).components(Some(components())).build()
}

fn operation(route: &Route) -> utoipa::openapi::path::Operation {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(operation_id(route)))
        .summary(Some(route.summary))
        .extensions(Some(Extensions::builder().add("x-role", route.needs.role().map(Role::as_str)).build()))
        .tag(tag(route));
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
    let media = others.iter().find_map(|param| match param.kind {
        Kind::Body(media) => Some(media),
        _ => None,
    });
    if let Some(media) = media {
        let content = ContentBuilder::new().schema(Some(simple(Type::String))).build();
        let body =
            media.iter().fold(RequestBodyBuilder::new(), |b, media| b.content(*media, content.clone()));
        operation = operation.request_body(Some(body.build()));
    }
    let asks = matches!(route.method, Verb::Get | Verb::Delete) || media.is_some();
    if asks {
        for param in others.iter().filter(|param| !matches!(param.kind, Kind::Body(_))) {
            operation = operation.parameter(parameter(param, ParameterIn::Query));
        }
    } else if !others.is_empty() {
        operation = operation.request_body(Some(fields_body(route, &others)));
    }
    if v1::names_version(route) {
        let header = ParameterBuilder::new()
            .name("If-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some("The version that is meant, as its ETag gave it; * for any."))
            .schema(Some(simple(Type::String)))
            .build();
        operation = operation.parameter(header);
    }
    let content = ContentBuilder::new().schema(Some(shape_schema(route.answers))).build();
    let (status, media) = match route.answers {
        Shape::File(media) => ("200", media),
        Shape::Events => ("200", "text/event-stream"),
        Shape::Created(_) => ("201", "application/json"),
        Shape::Accepted(_) => ("202", "application/json"),
        Shape::Empty => ("204", ""),
        _ => ("200", "application/json"),
    };
    let response = ResponseBuilder::new().description("The answer");
    let response = if media.is_empty() { response } else { response.content(media, content) };
    operation = operation.response(status, response.build());
    if route.is_modern() {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let refused =
            ResponseBuilder::new().description("Why not").content("application/problem+json", problem);
        operation = operation.response("default", refused.build());
    }
    operation.build()
}

fn fields_body(route: &Route, fields: &[&Param]) -> RequestBody {
    let object = fields.iter().fold(ObjectBuilder::new(), |object, param| {
        let object = object.property(param.name, kind_schema(param));
        if param.required { object.required(param.name) } else { object }
    });
    let content = ContentBuilder::new().schema(Some(Schema::Object(object.build()))).build();
    let body = RequestBodyBuilder::new().content("application/json", content.clone());
    // Nested fields have no place in a form.
    let body =
        if route.is_modern() { body } else { body.content("application/x-www-form-urlencoded", content) };
    body.required(route.is_modern().then_some(Required::True)).build()
}

/// The modern API's by what they are about.
fn tag(route: &Route) -> &'static str {
    match route.path.strip_prefix("/api/v1/") {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None if route.path.starts_with("/jobs/") => "compatible",
        None => "server",
    }
}

/// Its path; where a path is asked both ways, POST says so. In the modern API the verb comes first.
fn operation_id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/api/v1").trim_start_matches('/');
    let name = path.replace(['/', '-'], "_").replace(['{', '}'], "");
    if route.is_modern() {
        return format!("{}_{name}", route.method.word());
    }
    let twice = ROUTES.iter().filter(|r| r.path == route.path).count() > 1;
    if twice && route.method == Verb::Post { format!("{name}_post") } else { name }
}

fn kind_schema(param: &Param) -> RefOr<Schema> {
    let object = ObjectBuilder::new().description(Some(param.doc));
    let typed = |object: ObjectBuilder, kind| object.schema_type(SchemaType::new(kind));
    RefOr::T(Schema::Object(match param.kind {
        Kind::Json(name) => return Ref::from_schema_name(name).into(),
        Kind::Ids => {
            let numbers =
                ArrayBuilder::new().items(RefOr::T(simple(Type::Integer))).description(Some(param.doc));
            return Schema::Array(numbers.build()).into();
        }
        Kind::Instant => {
            typed(object, Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).build()
        }
        Kind::Text | Kind::Words(_) | Kind::Body(_) => typed(object, Type::String).build(),
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
    }))
}

fn shape_schema(shape: Shape) -> RefOr<Schema> {
    let named = |name: &str| RefOr::Ref(Ref::from_schema_name(name));
    match shape {
        Shape::Bare(name) | Shape::Accepted(name) | Shape::Created(name) => named(name),
        Shape::List(name) => v1::list_schema(name),
        Shape::File(_) | Shape::Events | Shape::Empty => simple(Type::String).into(),
        Shape::Nothing => envelope().build().into(),
        Shape::Functions => {
            let list = |name| ArrayBuilder::new().items(named(name)).build();
            let page =
                envelope().property("data", list("CompatFunction")).property("python", named("PythonState"));
            page.property("failed", list("CompatFunctionFailure")).build().into()
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
        ("Login", &[("token", Type::String), ("user", Type::Object)]),
        (
            "AdminUser",
            &[
                ("id", Type::Integer),
                ("username", Type::String),
                ("email", Type::String),
                ("role", Type::String),
                ("status", Type::Integer),
                ("last_login", Type::String),
                ("created_at", Type::String),
                ("updated_at", Type::String),
            ],
        ),
        ("JobId", &[("id", Type::Integer)]),
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
            "CompatLogLine",
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
            "JobStateCounts",
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
                ("auth", Type::String),
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
    v1::schemas(components).build()
}
