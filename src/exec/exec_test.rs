//! Repeats, cancel and bounds, and what the tests of the modes share.

use super::*;
use crate::domain::action::{CommandAction, FuncAction, HttpAction, Repeat, WrittenUrls};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::mpsc::UnboundedReceiver;

pub const SECOND: Duration = Duration::from_secs(1);

/// Far less than the children of these tests live, far more than a busy machine takes.
pub const SOON: Duration = Duration::from_secs(60);

/// For the bounds that are promised in real time.
pub fn stopwatch() -> std::time::Instant {
    #[expect(clippy::disallowed_methods, reason = "how long a kill took is what these tests measure")]
    std::time::Instant::now()
}

/// A context of its own, and the children it is told of.
pub fn context() -> (Context, UnboundedReceiver<ChildStarted>) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (children, told) = tokio::sync::mpsc::unbounded_channel();
    let number = (u64::from(std::process::id()) << 32) | u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
    let ctx = Context {
        exec_id: format!("{number:016x}"),
        job_id: 7,
        job_name: "备份 job".into(),
        attempt: 2,
        scheduled_at: UtcMs(1_767_225_600_123),
        now: UtcMs(1_767_225_601_000),
        zone: Tz::Asia__Shanghai,
        cancel: CancellationToken::new(),
        instance: format!("test-{}", std::process::id()),
        children,
        kill_grace: SECOND,
        output_limit: 1 << 20,
        live: Arc::default(),
        secrets: Secrets::default(),
    };
    (ctx, told)
}

pub fn command(line: &str) -> CommandAction {
    CommandAction {
        command: line.into(),
        workdir: None,
        env: Vec::new(),
        limits: Limits::default(),
        timeout: 30 * SECOND,
        repeat: Repeat::default(),
    }
}

pub fn http(url: &str) -> HttpAction {
    HttpAction {
        url: url.parse().expect("a URL"),
        method: "GET".into(),
        headers: Vec::new(),
        data: None,
        cookies: None,
        proxy: None,
        timeout: 20 * SECOND,
        result: None,
        repeat: Repeat::default(),
        written: WrittenUrls::default(),
    }
}

pub fn executor() -> Executor {
    Executor::new(Settings::default()).expect("an executor")
}

pub async fn execute(action: Action, ctx: &Context) -> Report {
    executor().execute(&action, ctx).await
}

fn repeated(line: &str, times: u32, interval: Duration) -> Action {
    Action::Command(CommandAction { repeat: Repeat { times, interval }, ..command(line) })
}

#[tokio::test]
async fn all_repeats_are_done_and_their_outputs_kept_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    let count = dir.path().join("count");
    let line = format!("echo x >> {0}; wc -l < {0}; echo e >&2", count.display());
    let report = execute(repeated(&line, 3, Duration::ZERO), &context().0).await;
    assert_eq!(report.outcome, Outcome::Success);
    assert_eq!(report.result.as_deref(), Some("3/3"));
    assert_eq!(report.stdout, "--- 1/3 ---\n1\n--- 2/3 ---\n2\n--- 3/3 ---\n3\n");
    assert_eq!(report.stderr, "--- 1/3 ---\ne\n--- 2/3 ---\ne\n--- 3/3 ---\ne\n");
}

#[tokio::test]
async fn one_failure_fails_the_run_and_the_rest_is_still_done() {
    let dir = tempfile::tempdir().expect("a directory");
    let count = dir.path().join("count");
    let line = format!("echo x >> {0}; test $(wc -l < {0}) != 2 || exit 5", count.display());
    let report = execute(repeated(&line, 4, Duration::from_millis(1)), &context().0).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(report.exit_code, Some(5));
    assert_eq!(report.error, Some(Text::new("退出码 5", "exit code 5")));
    assert_eq!(report.result.as_deref(), Some("3/4"));
    assert_eq!(std::fs::read_to_string(count).expect("the count").lines().count(), 4);
}

#[tokio::test]
async fn a_timeout_ends_the_repeats() {
    let mut action = command("echo once; exec sleep 100");
    action.timeout = Duration::from_millis(300);
    action.repeat = Repeat { times: 3, interval: Duration::ZERO };
    let report = execute(Action::Command(action), &context().0).await;
    assert_eq!(report.outcome, Outcome::Timeout);
    assert_eq!(report.stdout, "--- 1/3 ---\nonce\n");
    assert_eq!(report.result.as_deref(), Some("0/3"));
}

#[tokio::test]
async fn a_cancel_ends_the_pause_and_overrides_an_earlier_failure() {
    let (ctx, mut told) = context();
    let cancel = ctx.cancel.clone();
    let run = tokio::spawn(async move { execute(repeated("exit 3", 2, 1000 * SECOND), &ctx).await });
    let child = told.recv().await.expect("a child");
    // The pause begins when the first repeat's child has been reaped.
    while std::path::Path::new(&format!("/proc/{}", child.pid)).exists() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    cancel.cancel();
    let report = tokio::time::timeout(10 * SECOND, run).await.expect("the pause ends").expect("no panic");
    assert_eq!(report.outcome, Outcome::Cancelled);
    assert_eq!(report.result.as_deref(), Some("0/2"));
}

#[tokio::test]
async fn a_run_that_was_cancelled_before_does_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    let (ctx, mut told) = context();
    ctx.cancel.cancel();
    let report = execute(Action::Command(command(&format!("touch {}", file.display()))), &ctx).await;
    assert_eq!(report.outcome, Outcome::Cancelled);
    assert!(report.error.is_some() && !file.exists() && told.try_recv().is_err());
}

#[tokio::test]
async fn the_outputs_of_all_repeats_stay_within_one_limit() {
    let (mut ctx, _told) = context();
    ctx.output_limit = 20_000;
    let line = "head -c 9000 /dev/zero | tr '\\0' o; head -c 3000 /dev/zero | tr '\\0' e >&2";
    let report = execute(repeated(line, 5, Duration::ZERO), &ctx).await;
    assert_eq!(report.result.as_deref(), Some("5/5"));
    assert!(report.stdout.len() + report.stderr.len() <= 20_000);
    assert!(report.stdout.starts_with("--- 1/5 ---\nooo") && report.stdout.contains("bytes cut"));
    assert!(report.stderr.contains("--- 5/5 ---\neee"));
}

#[tokio::test]
async fn functions_are_dispatched_and_their_value_kept() {
    let action = FuncAction {
        name: "no such function, surely".into(),
        args: Vec::new(),
        raw_args: String::new(),
        timeout: SECOND,
        repeat: Repeat { times: 2, interval: Duration::ZERO },
    };
    let report = execute(Action::Func(action), &context().0).await;
    // What such a name leads to is the business of `func`; here it was asked, twice.
    assert!(report.func.is_some() || report.error.is_some());
    assert!(report.result.is_some_and(|result| result.ends_with("/2")));
}
