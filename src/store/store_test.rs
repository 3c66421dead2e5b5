//! One batch, one transaction: what it makes durable and what it refuses, against a real file.
//! The helpers here serve the other test files of the store too.

use super::batch::Cursor;
pub(super) use super::testing::{fresh, fresh_file};
use super::*;
use crate::domain::job::{Job, JobDraft, JobId, JobSpec, Removal, Story};
use crate::domain::run::{FuncReport, HttpReport, Outcome, Reason, Report, RunId, Source};
use crate::domain::{Text, UtcMs};
use chrono_tz::Tz;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// 2026-01-05T08:00:00Z.
pub(super) const NOW: UtcMs = UtcMs(1_767_600_000_000);

pub(super) fn draft(name: &str) -> JobDraft {
    JobDraft {
        name: Some(name.into()),
        cron_expr: Some("* * * * *".into()),
        mode: Some("command".into()),
        command: Some("true".into()),
        ..JobDraft::default()
    }
}

pub(super) fn spec(draft: JobDraft) -> JobSpec {
    draft.check(Tz::UTC).unwrap()
}

pub(super) fn insert(spec: JobSpec) -> JobWrite {
    JobWrite::Insert { spec: Box::new(spec), removal: Removal::default(), immediate: false }
}

pub(super) async fn write(store: &Store, jobs: Vec<JobWrite>) -> Vec<JobWritten> {
    store.commit(&Batch { now: NOW, jobs, ..Batch::default() }).await.unwrap().jobs
}

/// A stored job.
pub(super) async fn add_spec(store: &Store, spec: JobSpec) -> Arc<Job> {
    match write(store, vec![insert(spec.clone())]).await[..] {
        [JobWritten::Done(id)] => {
            Arc::new(Job { id, spec, removal: Removal::default(), story: Story::default() })
        }
        ref other => panic!("{other:?}"),
    }
}

pub(super) async fn add(store: &Store, name: &str) -> Arc<Job> {
    add_spec(store, spec(draft(name))).await
}

/// A run that is at work, with an id of its own; `fire` is its instant in ms after `NOW`.
pub(super) fn run(job: &Arc<Job>, fire: Option<i64>) -> NewRun {
    static NEXT: AtomicI64 = AtomicI64::new(0);
    let id = RunId(RunId::first_at(NOW).0 + NEXT.fetch_add(1, Ordering::Relaxed));
    let fire = fire.map(|ms| UtcMs(NOW.0 + ms));
    NewRun {
        id,
        job: job.clone(),
        fire,
        clock_epoch: 0,
        source: if fire.is_some() { Source::Cron } else { Source::Manual },
        outcome: Outcome::Running,
        reason: None,
        scheduled_at: fire.unwrap_or(NOW),
        start: Some(NOW),
        missed: None,
    }
}

pub(super) fn waiting(job: &Arc<Job>, fire: Option<i64>) -> NewRun {
    NewRun { outcome: Outcome::Waiting, start: None, ..run(job, fire) }
}

pub(super) async fn commit_opens(store: &Store, opens: Vec<NewRun>) -> Committed {
    store.commit(&Batch { now: NOW, opens, ..Batch::default() }).await.unwrap()
}

pub(super) fn close(open: &NewRun, report: Report) -> RunClose {
    RunClose { run: open.id, job: open.job.id, end: UtcMs(NOW.0 + 9), reason: None, report }
}

pub(super) async fn commit_closes(store: &Store, closes: Vec<RunClose>) {
    store.commit(&Batch { now: NOW, closes, ..Batch::default() }).await.unwrap();
}

pub(super) async fn get(store: &Store, id: RunId) -> RunRecord {
    store.run(id).await.unwrap().expect("the run exists")
}

async fn outcome(store: &Store, id: RunId) -> (String, Option<String>) {
    let record = get(store, id).await;
    (record.outcome, record.reason)
}

/// What is counted as stored is what is stored.
pub(super) async fn books_balance(store: &Store) {
    let sum = store.raw_number(&format!("SELECT {} FROM tj_runs", store.dialect().sum("bytes"))).await;
    assert_eq!(store.system().await.unwrap().log_bytes, sum, "log_bytes is the sum of tj_runs.bytes");
    totals_test::counts_match(store).await;
}

/// Claims `opens` under a job's limit, as the engine does.
async fn claim(store: &Store, job: &Arc<Job>, opens: Vec<NewRun>) -> Committed {
    let mut batch = Batch { now: NOW, opens, ..Batch::default() };
    let cursor = batch.cursor(job.id);
    cursor.max_run_count = job.spec.max_run_count;
    let starts = batch.opens.iter().filter(|r| r.fire.is_some() && !r.outcome.is_final()).count();
    batch.cursor(job.id).starts = u32::try_from(starts).unwrap();
    store.commit(&batch).await.unwrap()
}

async fn state(store: &Store, id: JobId) -> JobState {
    store.job(id).await.unwrap().unwrap().state
}

#[tokio::test]
async fn a_fire_is_claimed_once() {
    let (store, _dir) = fresh().await;
    let (job, other) = (add(&store, "a").await, add(&store, "b").await);
    let first = run(&job, Some(0));
    assert!(commit_opens(&store, vec![first.clone()]).await.lost_races.is_empty());
    let again = run(&job, Some(0));
    let skipped = NewRun { outcome: Outcome::Skipped, reason: Some(Reason::Overlap), ..run(&job, Some(0)) };
    let free = [
        NewRun { clock_epoch: 1, ..run(&job, Some(0)) },
        run(&job, Some(1)),
        run(&other, Some(0)),
        run(&job, None),
        run(&job, None),
        run(&job, None),
    ];
    let mut opens = vec![again.clone(), skipped.clone()];
    opens.extend(free.clone());
    let done = commit_opens(&store, opens).await;
    assert_eq!(done.lost_races, [again.id, skipped.id].into());
    for lost in [again, skipped] {
        assert!(store.run(lost.id).await.unwrap().is_none(), "a lost claim leaves no record");
    }
    for won in free {
        assert_eq!(outcome(&store, won.id).await, ("running".into(), None));
    }
    let twins = [run(&job, Some(2)), run(&job, Some(2))];
    let done = commit_opens(&store, twins.to_vec()).await;
    assert_eq!(done.lost_races.len(), 1, "also within one batch");
    books_balance(&store).await;
}

#[tokio::test]
async fn the_limit_is_reserved_with_the_claim() {
    let (store, _dir) = fresh().await;
    let job = add_spec(&store, spec(JobDraft { max_run_count: Some(3), ..draft("limited") })).await;
    let done = claim(&store, &job, vec![run(&job, Some(0)), waiting(&job, Some(1))]).await;
    assert!(done.over_limit.is_empty());
    assert_eq!(state(&store, job.id).await.run_count, 2);

    let (over, manual) = ([run(&job, Some(2)), waiting(&job, Some(3))], run(&job, None));
    let missed = NewRun { outcome: Outcome::Missed, reason: Some(Reason::Misfire), ..run(&job, Some(4)) };
    let mut opens = over.to_vec();
    opens.extend([manual.clone(), missed.clone()]);
    let done = claim(&store, &job, opens).await;
    assert_eq!(done.over_limit, over.iter().map(|r| r.id).collect());
    for run in over {
        assert_eq!(outcome(&store, run.id).await, ("skipped".into(), Some("limit".into())));
        assert_eq!(get(&store, run.id).await.end_ms, Some(NOW.0));
    }
    assert_eq!(outcome(&store, manual.id).await.0, "running", "a manual run does not count");
    assert_eq!(outcome(&store, missed.id).await, ("missed".into(), Some("misfire".into())));
    assert_eq!(state(&store, job.id).await.run_count, 2);

    assert!(claim(&store, &job, vec![run(&job, Some(5))]).await.over_limit.is_empty());
    assert_eq!(claim(&store, &job, vec![run(&job, Some(6))]).await.over_limit.len(), 1);
    assert_eq!(state(&store, job.id).await.run_count, 3, "never one more");
    books_balance(&store).await;
}

#[tokio::test]
async fn a_lost_race_uses_up_no_start() {
    let (store, _dir) = fresh().await;
    let limited = add_spec(&store, spec(JobDraft { max_run_count: Some(2), ..draft("limited") })).await;
    for job in [limited, add(&store, "free").await] {
        claim(&store, &job, vec![run(&job, Some(0))]).await;
        let (lost, won) = (run(&job, Some(0)), run(&job, Some(1)));
        let done = claim(&store, &job, vec![lost.clone(), won.clone()]).await;
        assert_eq!((done.lost_races, done.over_limit.len()), ([lost.id].into(), 0));
        assert_eq!(outcome(&store, won.id).await.0, "running");
        assert_eq!(state(&store, job.id).await.run_count, 2, "{}", job.spec.name);
    }
    // A record that was no start gives none back when it loses.
    let job = add(&store, "skipping").await;
    claim(&store, &job, vec![run(&job, Some(0))]).await;
    let skipped = NewRun { outcome: Outcome::Skipped, ..run(&job, Some(0)) };
    for opens in [vec![skipped, run(&job, Some(1))], vec![run(&job, Some(2))]] {
        claim(&store, &job, opens).await;
    }
    assert_eq!(state(&store, job.id).await.run_count, 3);
}

#[tokio::test]
async fn the_system_row_follows_the_batches() {
    let (store, _dir) = fresh().await;
    for (now, clock_epoch, want) in [(5, None, 0), (6, Some(3), 3), (4, None, 3)] {
        store.commit(&Batch { now: UtcMs(now), clock_epoch, ..Batch::default() }).await.unwrap();
        let system = store.system().await.unwrap();
        assert_eq!((system.last_seen_ms, system.clock_epoch), (now, want));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_holds_between_nodes() {
    let (store, place) = fresh().await;
    let job = add_spec(&store, spec(JobDraft { max_run_count: Some(5), ..draft("limited") })).await;
    // Eight nodes, each with connections of its own, claim the same twenty fires.
    let mut nodes = vec![store.clone()];
    for _ in 1..8 {
        nodes.push(place.open().await);
    }
    let claims = nodes.iter().flat_map(|node| (0..20).map(move |n| (node.clone(), n))).map(|(node, n)| {
        let job = job.clone();
        tokio::spawn(async move { (n, claim(&node, &job, vec![run(&job, Some(n))]).await) })
    });
    let done = futures_util::future::join_all(claims).await;
    let done: Vec<_> = done.into_iter().map(|d| d.unwrap()).collect();
    for fire in 0..20 {
        let won = done.iter().filter(|(n, d)| *n == fire && d.lost_races.is_empty()).count();
        assert_eq!(won, 1, "one node wins fire {fire}");
    }
    let over = done.iter().filter(|(_, d)| !d.over_limit.is_empty() && d.lost_races.is_empty()).count();
    assert_eq!(over, 15);
    assert_eq!(store.open_runs().await.unwrap().len(), 5);
    assert_eq!(state(&store, job.id).await.run_count, 5);
}

#[tokio::test]
async fn cursors_move_with_the_batch_and_only_where_told() {
    let (store, _dir) = fresh().await;
    let spec = Box::new(spec(draft("a")));
    let removal = Removal { task: true, log: false };
    let written = write(&store, vec![JobWrite::Insert { spec, removal, immediate: true }]).await;
    assert_eq!(written, [JobWritten::Done(JobId(1))]);
    let other = add(&store, "b").await;
    let id = JobId(1);
    let at = state(&store, id).await;
    assert_eq!((at.decided_ms, at.immediate_ms, at.run_count), (NOW.0, Some(NOW.0), 0));
    assert_eq!((at.last_run_ms, at.crash_streak), (None, 0));
    let record = store.job(id).await.unwrap().unwrap();
    assert_eq!((record.remove_task, record.remove_log), (true, false));

    let move_to = async |cursor: Cursor| {
        let batch = Batch { now: NOW, cursors: [(id, cursor)].into(), ..Batch::default() };
        store.commit(&batch).await.unwrap();
        let s = state(&store, id).await;
        (s.decided_ms - NOW.0, s.immediate_ms.is_some(), s.run_count, s.last_run_ms, s.crash_streak)
    };
    let after = |ms: i64| Some(UtcMs(NOW.0 + ms));
    let idle = Cursor::default();
    assert_eq!(move_to(idle).await, (0, true, 0, None, 0));
    assert_eq!(move_to(Cursor { decided: after(5), ..idle }).await, (5, true, 0, None, 0));
    assert_eq!(move_to(Cursor { starts: 2, ..idle }).await, (5, true, 2, None, 0));
    assert_eq!(move_to(Cursor { immediate_done: true, ..idle }).await, (5, false, 2, None, 0));
    assert_eq!(move_to(Cursor { crash_streak: Some(2), ..idle }).await, (5, false, 2, None, 2));
    let run = Cursor { last_run: Some(UtcMs(77)), crash_streak: Some(0), ..idle };
    assert_eq!(move_to(run).await, (5, false, 2, Some(77), 0));
    assert_eq!(move_to(idle).await, (5, false, 2, Some(77), 0));
    assert_eq!(state(&store, other.id).await.decided_ms, NOW.0, "another job's stays where it was");
}

#[tokio::test]
async fn waiting_runs_start_once_and_ended_ones_never_again() {
    let (store, _dir) = fresh().await;
    let job = add(&store, "a").await;
    let (queued, ended) = (waiting(&job, Some(0)), run(&job, Some(1)));
    commit_opens(&store, vec![queued.clone(), ended.clone()]).await;
    commit_closes(&store, vec![close(&ended, Report::new(Outcome::Success))]).await;
    let start = |run: RunId, attempt: u32, child| RunStart { run, at: UtcMs(NOW.0 + 5), attempt, child };
    // A fire that waits for a run which ends within the same turn starts within it.
    let moved_up = waiting(&job, Some(2));
    let batch = Batch {
        now: NOW,
        opens: vec![moved_up.clone()],
        starts: vec![
            start(queued.id, 2, Some((41, 7))),
            start(ended.id, 2, None),
            start(moved_up.id, 1, None),
        ],
        ..Batch::default()
    };
    store.commit(&batch).await.unwrap();
    let record = get(&store, queued.id).await;
    assert_eq!((record.outcome.as_str(), record.start_ms, record.attempt), ("running", Some(NOW.0 + 5), 2));
    assert_eq!(outcome(&store, ended.id).await.0, "success");
    let record = get(&store, moved_up.id).await;
    assert_eq!((record.outcome.as_str(), record.start_ms), ("running", Some(NOW.0 + 5)));
    store.commit(&Batch { starts: vec![start(queued.id, 3, None)], ..Batch::default() }).await.unwrap();
    let open = store.open_runs().await.unwrap();
    let known: Vec<_> = open.iter().map(|r| (r.id, r.pid, r.pid_start, r.attempt)).collect();
    assert_eq!(known, [(queued.id.0, Some(41), Some(7), 3), (moved_up.id.0, None, None, 1)]);
}

#[tokio::test]
async fn closing_twice_is_closing_once() {
    let (store, _dir) = fresh().await;
    let job = add(&store, "a").await;
    let (running, queued) = (run(&job, Some(0)), waiting(&job, Some(1)));
    let skipped = NewRun { outcome: Outcome::Skipped, reason: Some(Reason::Overlap), ..run(&job, Some(2)) };
    commit_opens(&store, vec![running.clone(), queued.clone(), skipped.clone()]).await;
    let said = |text: &str| Report { stdout: text.into(), ..Report::new(Outcome::Success) };
    let stopped =
        RunClose { reason: Some(Reason::Stopped), ..close(&queued, Report::new(Outcome::Cancelled)) };
    commit_closes(&store, vec![close(&running, said("first")), stopped]).await;
    books_balance(&store).await;
    let late = Report { exit_code: Some(1), stdout: "late".repeat(1_000), ..Report::new(Outcome::Failed) };
    let unknown = NewRun { id: RunId(12_345), ..run(&job, None) };
    let again = [&running, &queued, &skipped, &unknown].map(|open| close(open, late.clone()));
    commit_closes(&store, again.to_vec()).await;
    let record = get(&store, running.id).await;
    assert_eq!((record.outcome.as_str(), record.stdout.as_deref()), ("success", Some("first")));
    assert_eq!((record.end_ms, record.exit_code), (Some(NOW.0 + 9), None));
    assert_eq!(outcome(&store, queued.id).await, ("cancelled".into(), Some("stopped".into())));
    assert_eq!(outcome(&store, skipped.id).await, ("skipped".into(), Some("overlap".into())));
    assert!(store.run(unknown.id).await.unwrap().is_none());
    books_balance(&store).await;
    let third = run(&job, None);
    commit_opens(&store, vec![third.clone()]).await;
    commit_closes(&store, vec![close(&third, said("one")), close(&third, said("and another"))]).await;
    assert_eq!(get(&store, third.id).await.stdout.as_deref(), Some("one"), "the first end is the end");
    books_balance(&store).await;
}

#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let (store, _dir) = fresh().await;
    let job = add(&store, "a").await;
    let open = run(&job, Some(0));
    commit_opens(&store, vec![open.clone()]).await;
    let before = store.system().await.unwrap();
    let (from, to) = ("tj_job_state", "tj_gone");
    store.raw(&format!("ALTER TABLE {from} RENAME TO {to}")).await;
    let new = run(&job, Some(1));
    let mut batch = Batch {
        now: UtcMs(NOW.0 + 60_000),
        opens: vec![new.clone()],
        starts: vec![RunStart { run: open.id, at: NOW, attempt: 9, child: None }],
        closes: vec![close(&open, Report::new(Outcome::Success))],
        // The state of the new job has no table: this is the statement that fails, the last but one.
        jobs: vec![JobWrite::Stop { id: job.id, reason: None }, insert(spec(draft("b")))],
        clock_epoch: Some(4),
        ..Batch::default()
    };
    assert!(store.commit(&batch).await.is_err());
    store.raw(&format!("ALTER TABLE {to} RENAME TO {from}")).await;

    let record = get(&store, open.id).await;
    assert_eq!((record.outcome.as_str(), record.attempt, record.end_ms), ("running", 1, None));
    assert_eq!(store.existing_runs(&[new.id, open.id]).await.unwrap(), [open.id]);
    let counts = store.job_counts().await.unwrap();
    assert_eq!((counts.total, counts.stopped), (1, 0));
    let after = store.system().await.unwrap();
    assert_eq!((after.clock_epoch, after.last_seen_ms), (before.clock_epoch, before.last_seen_ms));
    books_balance(&store).await;
    // Nothing of it lingers: the same batch goes through once the table is back.
    batch.cursor(job.id).decided = Some(batch.now);
    store.commit(&batch).await.unwrap();
    assert_eq!(outcome(&store, open.id).await.0, "success");
    let after = store.system().await.unwrap();
    assert_eq!((after.clock_epoch, after.last_seen_ms), (4, NOW.0 + 60_000));
    books_balance(&store).await;
}

#[test]
fn only_a_batch_that_writes_nothing_is_empty() {
    assert!(Batch { now: NOW, ..Batch::default() }.is_empty());
    assert!(!Batch { clock_epoch: Some(1), ..Batch::default() }.is_empty());
    assert!(!Batch { cursors: [(JobId(1), Cursor::default())].into(), ..Batch::default() }.is_empty());
    assert!(!Batch { jobs: vec![JobWrite::StopAll], ..Batch::default() }.is_empty());
}

#[tokio::test]
async fn text_survives_unchanged() {
    let (store, _dir) = fresh().await;
    let nasty = "'single' \"double\" `back` \\ \\u0041 %s ; -- \r\n\t\u{1}\u{7f}\u{2028} 任务 🗄 𝄞 e\u{301} \u{feff}{}[]$";
    let job = add_spec(&store, spec(JobDraft { name: Some("'\"🗄 任务".into()), ..draft("") })).await;
    let mib = "𝄞\n\"x".repeat((1 << 20) / 7);
    for (stdout, stderr) in [
        (nasty.to_owned(), mib.clone()),
        (mib, nasty.to_owned()),
        (String::new(), "before\0after".to_owned()),
        ("\0".to_owned(), "null".to_owned()),
        ("123".to_owned(), "1e5".to_owned()),
        ("true".to_owned(), "{\"a\":1}".to_owned()),
    ] {
        let open = run(&job, None);
        commit_opens(&store, vec![open.clone()]).await;
        let http = HttpReport {
            url: format!("https://example.com/?q={nasty}"),
            method: "PATCH".into(),
            status: Some(418),
            response: stderr.clone(),
        };
        let func = FuncReport { name: nasty.into(), args: stdout.clone(), result: nasty.into() };
        let report = Report {
            outcome: Outcome::Failed,
            error: Some(Text::new(nasty, stderr.clone())),
            result: Some(stdout.clone()),
            exit_code: Some(-1),
            stdout: stdout.clone(),
            stderr: stderr.clone(),
            http: Some(http.clone()),
            func: Some(func.clone()),
        };
        commit_closes(&store, vec![close(&open, report)]).await;
        let r = get(&store, open.id).await;
        // Not assert_eq: a failure would print megabytes.
        let same = |got: &Option<String>, want: &str| match store.dialect() {
            // PostgreSQL's texts have no NUL.
            Dialect::Postgres => got.as_deref() == Some(want.replace('\0', "\u{fffd}").as_str()),
            _ => got.as_deref() == Some(want),
        };
        assert!(same(&r.stdout, &stdout) && same(&r.stderr, &stderr) && same(&r.result, &stdout));
        assert!(same(&r.http_url, &http.url) && same(&r.http_resp, &stderr) && same(&r.http_method, "PATCH"));
        assert!(same(&r.func_name, nasty) && same(&r.func_args, &stdout) && same(&r.func_result, nasty));
        let error = serde_json::json!({ "zh": nasty, "en": stderr });
        assert!(serde_json::from_str::<serde_json::Value>(&r.error.unwrap()).unwrap() == error);
        assert_eq!((r.http_status, r.exit_code, r.job_name.as_str()), (Some(418), Some(-1), "'\"🗄 任务"));
    }
    books_balance(&store).await;
}
