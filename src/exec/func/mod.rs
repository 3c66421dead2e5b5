//! Runs a function by its name: looks it up, gives it its arguments, and holds it to the action's
//! timeout and the cancel token. The functions themselves are `builtin/<name>.rs` and the user's own
//! (`python/`). One call is one repeat: `times` and `interval` are the caller's.

pub mod builtin;
mod history;
pub mod python;

use crate::clock::Clock;
use crate::domain::Text;
use crate::domain::action::{FuncAction, HttpAction};
use crate::domain::run::{FuncReport, Outcome, Report};
use crate::domain::service::{Database, DatabaseKind, Sms, Smtp};
use crate::exec::Context;
use crate::exec::http::Http;
use crate::exec::output;
pub use builtin::{Builtin, Param, Words};
use builtin::{Call, Output, Work};
pub use history::{FailedRun, Group, History, Never, Summary};
pub use python::catalog::{Failure, Function};
use python::{Python, Reloaded, Why};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a function's code that are shown.
const CODE_MAX: usize = 64 << 10;
/// Functions of the user's own that an error names.
const LISTED_MAX: usize = 100;

/// What functions need of the settings.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The only folder in which File works, absolute.
    pub file_root: PathBuf,
    /// The folders in which Cleanup may delete, absolute.
    pub cleanup_roots: Vec<PathBuf>,
    /// The server's own SQLite file; empty when it has none.
    pub own_database: PathBuf,
    pub databases: Vec<Database>,
    pub smtp: Option<Smtp>,
    pub sms: Option<Sms>,
    /// What Report reads; none in tests of other functions.
    pub history: Option<Arc<dyn History>>,
    pub python: python::Settings,
}

impl Settings {
    /// The SQLite files that this process may have open: while they are, nobody but SQLite may open them.
    fn sqlite_files(&self) -> impl Iterator<Item = &Path> + Clone {
        let own = Some(self.own_database.as_path()).filter(|path| !path.as_os_str().is_empty());
        let theirs = self.databases.iter().filter(|database| database.kind == DatabaseKind::Sqlite);
        own.into_iter().chain(theirs.map(|database| Path::new(&database.url.0)))
    }
}

/// Every function there is, built-in and the user's own.
#[derive(Debug)]
pub struct Functions {
    pub(super) settings: Arc<Settings>,
    python: Arc<Python>,
}

/// What people are shown of the functions.
#[derive(Clone, Debug)]
pub struct Listing {
    pub builtin: &'static [Builtin],
    pub user: Vec<Function>,
    /// What of the user's folder could not be loaded.
    pub failed: Vec<Failure>,
    pub python: python::Status,
}

/// A function that a name leads to.
#[derive(Clone, Debug)]
pub enum Known {
    Builtin(&'static Builtin),
    /// With its code, when that can be shown.
    User(Function, Option<String>),
}

impl Functions {
    pub fn new(settings: Settings) -> Self {
        Self { python: Arc::new(Python::new(settings.python.clone())), settings: Arc::new(settings) }
    }

    pub async fn listing(&self) -> Listing {
        Listing {
            builtin: catalog(),
            user: self.python.functions(),
            failed: self.python.failures(),
            python: self.python.status().await,
        }
    }

    /// The function that a call of this name would reach.
    pub fn known(&self, name: &str) -> Option<Known> {
        let user = || self.python.find(name, CODE_MAX).map(|(function, code)| Known::User(function, code));
        find(name).map(Known::Builtin).or_else(user)
    }

    /// Reads the user's folder again; calls in flight and waiting are not disturbed.
    pub async fn reload(&self) -> Reloaded {
        // On a task of its own: a client that does not wait for the answer must not end it midway.
        let python = self.python.clone();
        tokio::spawn(async move { python.reload(Why::Asked).await }).await.unwrap_or_default()
    }

    pub fn set_watch(&self, watch: bool) {
        self.python.set_watch(watch);
    }

    /// Loads the user's functions and keeps up with the folder. Endless.
    pub async fn tend(&self, clock: &Clock) {
        self.python.tend(clock).await;
    }

    /// Ends the processes that have no call; after this none is started to wait.
    pub async fn close(&self) {
        self.python.close().await;
    }
}

/// What functions work with.
#[derive(Clone, Copy)]
pub struct Tools<'a> {
    pub http: &'a Http,
    /// Bytes kept of the body of a response.
    pub keep: usize,
    pub functions: &'a Functions,
}

/// Every built-in function, in the order in which they are listed to people.
pub fn catalog() -> &'static [Builtin] {
    builtin::ALL
}

/// Calls the action's function once. What a function of the user's prints goes to `output` as it
/// comes; a built-in one's is in the report.
///
/// `action.timeout` and `ctx.cancel` apply to the call; a function that only computes is not
/// interrupted midway, as all of them are short. The texts of the report are cut to
/// `ctx.output_limit` bytes. A built-in function comes before one of the user's. A name that no function
/// has is a `Failed` that lists the names.
pub async fn run(
    action: &FuncAction,
    ctx: &Context,
    tools: &Tools<'_>,
    output: &mut output::Output,
) -> Report {
    let Some(function) = find(&action.name) else {
        let python = &tools.functions.python;
        return match python.run(action, ctx, output).await {
            Some(report) => report,
            None => report(action, &action.name, ctx, Err(unknown(&action.name, python).await)),
        };
    };
    let call = Call { args: &action.args, raw: &action.raw_args, ctx, settings: &tools.functions.settings };
    let ended = match function.work {
        Work::Sync(work) => held(action, ctx, async { work(&call) }).await,
        Work::Async(work) => held(action, ctx, work(&call, tools.http)).await,
        Work::Blocking(work) => blocking(work, action, ctx, tools).await,
        Work::Http(request) => match request(&call) {
            Ok(request) => {
                let request = HttpAction { timeout: action.timeout, ..request };
                let done = tools.http.run(&request, ctx, tools.keep).await;
                return over_http(action, function.name, done);
            }
            Err(error) => Ok(Err(error)),
        },
    };
    match ended {
        Ok(result) => report(action, function.name, ctx, result),
        Err(outcome) => {
            let why = interrupted(outcome, action);
            Report { outcome, ..report(action, function.name, ctx, Err(why)) }
        }
    }
}

/// The work's result, or the outcome with which the timeout or the cancel token ended it.
async fn held<T>(action: &FuncAction, ctx: &Context, work: impl Future<Output = T>) -> Result<T, Outcome> {
    tokio::select! {
        biased;
        () = ctx.cancel.cancelled() => Err(Outcome::Cancelled),
        done = tokio::time::timeout(action.timeout, work) => done.map_err(|_| Outcome::Timeout),
    }
}

/// Work that waits for the disk, on a thread of its own. A thread cannot be ended from outside: it
/// looks at `ctx.cancel`, which here also tells of the timeout, and has the grace of a process to do so.
async fn blocking(
    work: fn(&Call) -> Result<Output, Text>,
    action: &FuncAction,
    ctx: &Context,
    tools: &Tools<'_>,
) -> Result<Result<Output, Text>, Outcome> {
    let stop = ctx.cancel.child_token();
    let inner = Context { cancel: stop.clone(), ..ctx.clone() };
    let (args, raw, settings) =
        (action.args.clone(), action.raw_args.clone(), tools.functions.settings.clone());
    let mut thread = tokio::task::spawn_blocking(move || {
        work(&Call { args: &args, raw: &raw, ctx: &inner, settings: &settings })
    });
    // Also when the whole run is dropped, the thread is told.
    let _told = stop.clone().drop_guard();
    let ended = held(action, ctx, &mut thread).await;
    if ended.is_err() {
        stop.cancel();
        let grace = ctx.kill_grace.max(Duration::from_millis(1));
        tokio::time::timeout(grace, thread).await.ok();
    }
    ended.map(|joined| {
        joined.unwrap_or_else(|_| {
            let name = &action.name;
            Err(Text::new(
                format!("函数 {name} 内部出错，详见日志"),
                format!("function {name} broke down; the log says more"),
            ))
        })
    })
}

/// The report of a function that is one HTTP request: the request's own, with the function's name.
fn over_http(action: &FuncAction, name: &str, done: Report) -> Report {
    let result = done.result.clone().unwrap_or_default();
    let func = Some(FuncReport { name: name.to_owned(), args: action.raw_args.clone(), result });
    Report { func, ..done }
}

/// The function of that exact name, else the first whose name differs in ASCII case only.
fn find(name: &str) -> Option<&'static Builtin> {
    let all = catalog();
    all.iter().find(|f| f.name == name).or_else(|| all.iter().find(|f| f.name.eq_ignore_ascii_case(name)))
}

fn report(action: &FuncAction, name: &str, ctx: &Context, result: Result<Output, Text>) -> Report {
    let (mut report, result) = match result {
        Ok(output) => {
            let [stdout, result] = [output.stdout, output.result].map(|text| cut(text, ctx));
            (Report { stdout, result: Some(result.clone()), ..Report::new(Outcome::Success) }, result)
        }
        Err(error) => (Report::failed(error), String::new()),
    };
    report.func = Some(FuncReport { name: name.to_owned(), args: action.raw_args.clone(), result });
    report
}

/// Lists the functions, and says why the user's own are missing when they cannot be had.
async fn unknown(name: &str, python: &Python) -> Text {
    let own = python.functions();
    let mut known: Vec<&str> = catalog().iter().map(|f| f.name).collect();
    known.extend(own.iter().map(|f| f.name.as_str()).take(LISTED_MAX));
    let known = known.join(", ");
    let text = Text::new(
        format!("函数 {name} 不存在，可用的函数：{known}"),
        format!("there is no function {name}; the functions are {known}"),
    );
    match python.reason().await {
        Some(why) => Text::new(format!("{}。{}", text.zh, why.zh), format!("{}. {}", text.en, why.en)),
        None => text,
    }
}

fn interrupted(outcome: Outcome, action: &FuncAction) -> Text {
    let (name, seconds) = (&action.name, action.timeout.as_secs_f64());
    match outcome {
        Outcome::Timeout => Text::new(
            format!("函数 {name} 执行超过 {seconds} 秒"),
            format!("function {name} ran past its timeout of {seconds} s"),
        ),
        _ => Text::new(format!("函数 {name} 已被取消"), format!("function {name} was cancelled")),
    }
}

/// What is kept of a text, cut between characters. Half a secret would not be known as one any more.
fn cut(mut text: String, ctx: &Context) -> String {
    ctx.secrets.hide(&mut text);
    text.truncate(text.floor_char_boundary(ctx.output_limit));
    text
}

#[cfg(test)]
mod tests {
    use super::builtin::testing::context;
    use super::*;
    use crate::domain::action::Repeat;
    use std::time::Duration;

    fn action(name: &str, raw: &str) -> FuncAction {
        FuncAction {
            name: name.into(),
            args: vec![raw.into()],
            raw_args: raw.into(),
            timeout: Duration::from_secs(30),
            repeat: Repeat::default(),
        }
    }

    async fn go(action: &FuncAction, ctx: &Context) -> Report {
        let http = Http::new(1 << 20, Arc::default()).unwrap();
        let functions = Functions::new(Settings::default());
        let tools = Tools { http: &http, keep: 1 << 20, functions: &functions };
        run(action, ctx, &tools, &mut output::Output::new(&ctx.live, ctx.output_limit, &ctx.secrets)).await
    }

    #[tokio::test]
    async fn a_function_is_found_by_name_in_any_case() {
        for name in ["Hello", "hello", "HELLO"] {
            let report = go(&action(name, "张三"), &context()).await;
            assert_eq!(report.outcome, Outcome::Success);
            assert_eq!(report.result.as_deref(), Some("Hello, 张三!"));
            assert_eq!(report.stdout, "Hello, 张三!");
            let func =
                FuncReport { name: "Hello".into(), args: "张三".into(), result: "Hello, 张三!".into() };
            assert_eq!(report.func, Some(func));
        }
    }

    #[tokio::test]
    async fn an_unknown_name_fails_and_lists_the_known_ones() {
        let report = go(&action("Helo", "x"), &context()).await;
        assert_eq!(report.outcome, Outcome::Failed);
        let error = report.error.unwrap();
        assert_eq!(
            error.en,
            "there is no function Helo; the functions are Dayin, Test, Hello, Time, Echo, Math, File, Database, Email, SMS, Webhook, Backup, Cleanup, Monitor, Report"
        );
        assert!(error.zh.contains("Helo") && error.zh.contains("Math"));
        assert_eq!(report.func.unwrap().name, "Helo");
    }

    #[tokio::test]
    async fn a_failing_function_is_a_failed_report() {
        let report = go(&action("Math", "+"), &context()).await;
        assert_eq!((report.outcome, report.result), (Outcome::Failed, None));
        assert!(report.error.is_some());
    }

    #[tokio::test]
    async fn a_cancelled_context_runs_nothing() {
        let ctx = context();
        ctx.cancel.cancel();
        let report = go(&action("Hello", ""), &ctx).await;
        assert_eq!(report.outcome, Outcome::Cancelled);
        assert_eq!(report.error.unwrap().en, "function Hello was cancelled");
    }

    #[tokio::test]
    async fn output_is_cut_between_characters() {
        let mut ctx = context();
        ctx.output_limit = 4;
        let report = go(&action("Echo", "张三"), &ctx).await;
        assert_eq!(report.stdout, "张");
    }

    #[test]
    fn names_are_unique_and_described() {
        let mut seen = std::collections::HashSet::new();
        for f in catalog() {
            assert!(seen.insert(f.name.to_ascii_lowercase()), "{} is listed twice", f.name);
            assert!(!f.description.zh.is_empty() && !f.description.en.is_empty());
            assert!(f.example.starts_with(f.name));
        }
    }

    #[tokio::test]
    async fn every_example_parses_and_runs() {
        for f in catalog() {
            let Ok(crate::domain::action::Action::Func(action)) =
                crate::domain::action::text::parse(crate::domain::action::Mode::Func, f.example)
            else {
                panic!("the example of {} does not parse", f.name)
            };
            // The others need files or a network; their own tests bring them.
            if !matches!(f.work, Work::Sync(_)) {
                continue;
            }
            assert_eq!(go(&action, &context()).await.outcome, Outcome::Success, "{}", f.example);
        }
    }

    /// Waits until it is told to stop, then says so.
    fn until_stopped(call: &Call) -> Result<Output, Text> {
        while !call.ctx.cancel.is_cancelled() {
            std::thread::yield_now();
        }
        call.ctx.children.send(crate::exec::ChildStarted { pid: 1, start: 0 }).ok();
        Ok(Output::same(String::new()))
    }

    #[tokio::test]
    async fn a_thread_is_told_of_timeout_and_cancel() {
        let http = Http::new(1 << 20, Arc::default()).unwrap();
        let functions = Functions::new(Settings::default());
        let tools = Tools { http: &http, keep: 0, functions: &functions };
        for cancel in [false, true] {
            let (children, mut told) = tokio::sync::mpsc::unbounded_channel();
            let ctx = Context { children, kill_grace: Duration::from_secs(30), ..context() };
            let timeout = if cancel { Duration::from_secs(30) } else { Duration::from_millis(1) };
            let action = FuncAction { timeout, ..action("Wait", "") };
            let token = ctx.cancel.clone();
            let work = blocking(until_stopped, &action, &ctx, &tools);
            let (ended, ()) = tokio::join!(work, async {
                if cancel {
                    token.cancel();
                }
            });
            assert_eq!(ended.unwrap_err(), if cancel { Outcome::Cancelled } else { Outcome::Timeout });
            // The thread has ended within its grace, before the run.
            assert!(told.try_recv().is_ok());
        }
    }
}
