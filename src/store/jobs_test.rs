//! Changes of jobs within a batch, and the lists that are read of jobs and runs.

use super::store_test::*;
use super::*;
use crate::domain::UtcMs;
use crate::domain::job::{JobDraft, JobId, Removal, StopReason};
use crate::domain::run::{Outcome, Reason, Report, RunId};
use chrono_tz::Tz;

async fn names(store: &Store, filter: JobFilter) -> Vec<String> {
    let page = store.jobs_page(&filter, 1, 100).await.unwrap();
    assert_eq!(page.total, page.items.len() as i64, "{filter:?}");
    page.items.into_iter().map(|j| j.name).collect()
}

async fn record(store: &Store, id: JobId) -> JobRecord {
    store.job(id).await.unwrap().expect("the job exists")
}

/// Where a reset puts a job, and what it owes.
const RESET: UtcMs = UtcMs(NOW.0 + 7);
const OWED: UtcMs = UtcMs(NOW.0 + 8);

#[tokio::test]
async fn a_job_comes_back_as_it_was_written() {
    let (store, _dir) = fresh().await;
    let full = JobDraft {
        desc: Some("two\nlines, 'quoted' 🗄".into()),
        timezone: Some("America/New_York".into()),
        command: Some("【command】echo \"任务\"\n【times】3".into()),
        state: Some(2),
        allow_mode: Some(2),
        max_run_count: Some(4_294_967_295),
        misfire_policy: Some("fire_all".into()),
        misfire_window: Some(604_800),
        recovery: Some("rerun".into()),
        ..draft("full")
    };
    let interval = JobDraft { cron_expr: None, interval_seconds: Some(31_622_400), ..draft("interval") };
    for given in [full, interval, draft("least")] {
        let spec = spec(given);
        let job = add_spec(&store, spec.clone()).await;
        let read = record(&store, job.id).await.into_job(Tz::UTC).unwrap();
        assert_eq!((read.id, JobDraft::of(&read.spec)), (job.id, JobDraft::of(&spec)));
        assert_eq!((read.spec.action(), read.spec.schedule), (spec.action(), spec.schedule));
        assert_eq!(read.removal, Removal::default());
    }
    assert!(store.job(JobId(99)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_record_that_cannot_be_read_says_which_and_why() {
    let (store, _dir) = fresh().await;
    let job = add(&store, "a").await;
    store.raw("UPDATE tj_jobs SET mode = 'telnet'").await;
    let error = record(&store, job.id).await.into_job(Tz::UTC).expect_err("refused").to_string();
    assert!(error.contains("job 1 (a)") && error.contains("mode: "), "{error}");
}

#[tokio::test]
async fn a_taken_name_is_refused_and_the_rest_of_the_batch_goes_on() {
    let (store, _dir) = fresh().await;
    let job = add(&store, "a").await;
    let open = run(&job, Some(0));
    let batch = Batch {
        now: NOW,
        opens: vec![open.clone()],
        jobs: ["b", "a", "b", "A", "c"].map(|name| insert(spec(draft(name)))).into(),
        ..Batch::default()
    };
    let done = store.commit(&batch).await.unwrap().jobs;
    let [JobWritten::Done(b), taken, twin, JobWritten::Done(upper), JobWritten::Done(c)] = done[..] else {
        panic!("{done:?}");
    };
    assert_eq!([taken, twin], [JobWritten::NameTaken; 2]);
    assert!(job.id < b && b < upper && upper < c);
    assert_eq!(names(&store, JobFilter::default()).await, ["c", "A", "b", "a"]);
    assert!(store.run(open.id).await.unwrap().is_some());

    let update = |id, draft: JobDraft| JobWrite::Update {
        id,
        spec: Box::new(spec(draft)),
        reset: Some(StateReset { decided: RESET, immediate: Some(OWED), run_count: true }),
        version: None,
    };
    let mut batch = Batch { now: UtcMs(NOW.0 + 5), ..Batch::default() };
    batch.cursor(b).decided = Some(UtcMs(NOW.0 + 1));
    batch.cursor(b).starts = 7;
    batch.jobs = vec![
        update(b, JobDraft { desc: Some("new".into()), ..draft("a") }),
        update(c, JobDraft { desc: Some("new".into()), ..draft("c") }),
    ];
    assert_eq!(store.commit(&batch).await.unwrap().jobs, [JobWritten::NameTaken, JobWritten::Done(c)]);
    let left = record(&store, b).await;
    assert_eq!((left.name.as_str(), left.descr.as_str(), left.updated_ms), ("b", "", NOW.0));
    assert_eq!((left.state.decided_ms, left.state.run_count), (NOW.0 + 1, 7), "its cursor moved, no reset");
    assert_eq!(left.state.immediate_ms, None);
    let changed = record(&store, c).await;
    assert_eq!((changed.descr.as_str(), changed.updated_ms, changed.created_ms), ("new", NOW.0 + 5, NOW.0));
    assert_eq!((changed.state.decided_ms, changed.state.immediate_ms), (RESET.0, Some(OWED.0)));
}

#[tokio::test]
async fn stopping_and_enabling() {
    let (store, _dir) = fresh().await;
    let (a, b) = (add(&store, "a").await.id, add(&store, "b").await.id);
    let mut batch = Batch { now: NOW, ..Batch::default() };
    batch.cursor(a).starts = 3;
    batch.cursor(a).crash_streak = Some(3);
    batch.jobs = vec![JobWrite::Stop { id: a, reason: Some(StopReason::Crash) }];
    store.commit(&batch).await.unwrap();
    let stopped = record(&store, a).await;
    assert_eq!((stopped.enabled, stopped.stop_reason.as_deref()), (false, Some("crash")));
    assert!(record(&store, b).await.enabled);

    let enable = |reset| JobWrite::Enable { id: a, reset };
    write(&store, vec![enable(StateReset { decided: RESET, immediate: Some(OWED), run_count: false })]).await;
    let again = record(&store, a).await;
    assert_eq!((again.enabled, again.stop_reason, again.state.crash_streak), (true, None, 0));
    assert_eq!((again.state.run_count, again.state.immediate_ms), (3, Some(OWED.0)));
    write(&store, vec![enable(StateReset { decided: RESET, immediate: None, run_count: true })]).await;
    let again = record(&store, a).await;
    assert_eq!((again.state.run_count, again.state.immediate_ms), (0, None));

    write(&store, vec![JobWrite::Stop { id: a, reason: Some(StopReason::Limit) }, JobWrite::StopAll]).await;
    assert!(!record(&store, b).await.enabled);
    assert_eq!(record(&store, a).await.stop_reason.as_deref(), Some("limit"), "it was stopped before");
    // An edit that enables takes the reason away; one that leaves it stopped does not.
    let edit = |state| JobWrite::Update {
        id: a,
        spec: Box::new(spec(JobDraft { state: Some(state), ..draft("a") })),
        reset: None,
        version: None,
    };
    write(&store, vec![edit(2)]).await;
    assert_eq!(record(&store, a).await.stop_reason.as_deref(), Some("limit"));
    write(&store, vec![edit(0)]).await;
    assert_eq!(record(&store, a).await.stop_reason, None);
}

#[tokio::test]
async fn deleting_with_and_without_runs() {
    let (store, _dir) = fresh().await;
    let (a, b, c) = (add(&store, "a").await, add(&store, "b").await, add(&store, "c").await);
    let runs =
        [run(&a, None), run(&a, Some(0)), run(&b, None), run(&b, Some(0)), run(&c, None), run(&c, None)];
    commit_opens(&store, runs.to_vec()).await;
    let output = Report { stdout: "x".repeat(5_000), ..Report::new(Outcome::Success) };
    commit_closes(&store, runs.iter().map(|r| close(r, output.clone())).collect()).await;
    // A record made in the batch that deletes goes too.
    let last = run(&b, None);
    let batch = Batch {
        now: NOW,
        opens: vec![last],
        jobs: vec![
            JobWrite::Delete { id: a.id, with_runs: false, version: None },
            JobWrite::Delete { id: b.id, with_runs: true, version: None },
            JobWrite::DeleteRun { run: runs[4].id },
            JobWrite::DeleteRun { run: RunId(1) },
        ],
        ..Batch::default()
    };
    store.commit(&batch).await.unwrap();
    assert_eq!(names(&store, JobFilter::default()).await, ["c"]);
    assert!(store.job(a.id).await.unwrap().is_none());
    let total = async |job| {
        let of = RunsOf { job: Some(job), day: None, outcome: None };
        store.runs_page(of, true, 1, 10).await.unwrap().total
    };
    assert_eq!((total(a.id).await, total(b.id).await, total(c.id).await), (2, 0, 1));
    books_balance(&store).await;
    // A run of a deleted job still ends; one whose record is gone ends without a trace.
    commit_closes(&store, vec![close(&runs[2], output.clone()), close(&runs[4], output)]).await;
    books_balance(&store).await;
    assert_eq!(store.raw_number("SELECT count(*) FROM tj_job_state").await, 1);
    write(&store, vec![JobWrite::Delete { id: c.id, with_runs: true, version: None }]).await;
    assert!(add(&store, "a").await.id > c.id, "a number is never used twice, a name may be");
}

#[tokio::test]
async fn lists_filter_by_name_state_and_mode() {
    let (store, _dir) = fresh().await;
    let http =
        JobDraft { mode: Some("http".into()), command: Some("http://x.y/".into()), ..draft("100%_done") };
    let backup = add(&store, "备份数据库").await;
    add(&store, "Backup DB").await;
    add_spec(&store, spec(http)).await;
    let off = add_spec(&store, spec(JobDraft { state: Some(2), ..draft("backup off") })).await;
    // A run waiting is not a run at work; a stopped job that runs by hand stays stopped.
    let queued = add(&store, "queued").await;
    commit_opens(
        &store,
        vec![run(&backup, Some(0)), run(&backup, None), run(&off, None), waiting(&queued, None)],
    )
    .await;
    let like = |name: &str| JobFilter { name: Some(name.into()), ..JobFilter::default() };
    for (part, want) in [
        ("", vec!["queued", "backup off", "100%_done", "Backup DB", "备份数据库"]),
        ("backup", vec!["backup off", "Backup DB"]),
        ("BACKUP ", vec!["backup off", "Backup DB"]),
        ("数据", vec!["备份数据库"]),
        ("%", vec!["100%_done"]),
        ("_", vec!["100%_done"]),
        ("'; DROP TABLE tj_jobs; --", vec![]),
        ("nothing", vec![]),
    ] {
        assert_eq!(names(&store, like(part)).await, want, "{part:?}");
    }
    let state = |state| JobFilter { state: Some(state), ..JobFilter::default() };
    assert_eq!(names(&store, state(0)).await, ["queued", "100%_done", "Backup DB"]);
    assert_eq!(names(&store, state(1)).await, ["备份数据库"]);
    assert_eq!(names(&store, state(2)).await, ["backup off"]);
    let mode = |mode| JobFilter { mode: Some(mode), ..JobFilter::default() };
    assert_eq!(names(&store, mode("http")).await, ["100%_done"]);
    assert_eq!(names(&store, mode("func")).await, [""; 0]);
    let scheduled = JobFilter { scheduled: true, ..like("b") };
    assert_eq!(names(&store, scheduled).await, ["Backup DB"]);
    assert_eq!(names(&store, JobFilter { mode: Some("command"), ..state(2) }).await, ["backup off"]);
    let counts = StateCounts { total: 5, running: 1, waiting: 3, stopped: 1 };
    assert_eq!(store.job_counts().await.unwrap(), counts);
    assert!(record(&store, backup.id).await.running && record(&store, off.id).await.running);
    assert!(!record(&store, queued.id).await.running);
}

#[tokio::test]
async fn pages_of_jobs() {
    let (store, _dir) = fresh().await;
    write(&store, (1..=25).map(|n| insert(spec(draft(&format!("job {n}"))))).collect()).await;
    let ids = async |page, size| {
        let page = store.jobs_page(&JobFilter::default(), page, size).await.unwrap();
        assert_eq!(page.total, 25);
        page.items.iter().map(|j| j.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(1, 10).await, (16..=25).rev().collect::<Vec<_>>(), "newest first");
    assert_eq!(ids(3, 10).await, (1..=5).rev().collect::<Vec<_>>());
    assert_eq!(ids(4, 10).await, [0; 0]);
    assert_eq!(ids(i64::MAX, 1_000).await, [0; 0]);
    let part = store.jobs_page(&JobFilter { name: Some("job 2".into()), ..JobFilter::default() }, 2, 5).await;
    let part = part.unwrap();
    assert_eq!((part.total, part.items.len()), (7, 2), "the total counts what the filter lets through");
    let after = async |id, limit| -> Vec<i64> {
        store.jobs_after(JobId(id), limit).await.unwrap().iter().map(|j| j.id).collect()
    };
    assert_eq!(after(0, 3).await, [1, 2, 3]);
    assert_eq!(after(23, 3).await, [24, 25]);
    assert_eq!(after(25, 3).await, [0; 0]);
}

#[tokio::test]
async fn pages_of_runs_and_runs_by_day() {
    let (store, _dir) = fresh().await;
    let (job, other) = (add(&store, "a").await, add(&store, "b").await);
    assert_eq!(store.newest_run().await.unwrap(), RunId(0));
    let day = |n: i64| UtcMs(NOW.0 + n * 86_400_000);
    let created = |at: UtcMs, seq: i64| NewRun { id: RunId(RunId::first_at(at).0 + seq), ..run(&job, None) };
    let last_ms = UtcMs(day(1).0 - 1);
    let runs = [created(UtcMs(NOW.0 - 1), 9), created(NOW, 0), created(last_ms, 7), created(day(1), 0)];
    let ids = runs.clone().map(|r| r.id.0);
    commit_opens(&store, runs.to_vec()).await;
    commit_opens(&store, vec![run(&other, None)]).await;
    let page = async |day, newest_first, page, size| {
        let of = RunsOf { job: Some(job.id), day, outcome: None };
        let page = store.runs_page(of, newest_first, page, size).await.unwrap();
        (page.total, page.items.iter().map(|r| r.id).collect::<Vec<_>>())
    };
    assert_eq!(page(None, false, 1, 10).await, (4, ids.to_vec()));
    assert_eq!(page(None, true, 1, 3).await, (4, vec![ids[3], ids[2], ids[1]]));
    assert_eq!(page(None, true, 2, 3).await, (4, vec![ids[0]]));
    assert_eq!(page(None, true, 3, 3).await, (4, vec![]));
    let today = Some((NOW, day(1)));
    assert_eq!(page(today, false, 1, 10).await, (2, vec![ids[1], ids[2]]), "[from, to)");
    assert_eq!(page(Some((day(1), day(2))), true, 1, 10).await, (1, vec![ids[3]]));
    assert_eq!(page(Some((day(5), day(6))), true, 1, 10).await, (0, vec![]));
    assert_eq!(store.newest_run().await.unwrap(), runs[3].id);
    let found = store.existing_runs(&[runs[0].id, RunId(5), runs[3].id]).await.unwrap();
    assert_eq!(found, [runs[0].id, runs[3].id]);
    assert_eq!(store.existing_runs(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn a_record_says_what_was_decided() {
    let (store, _dir) = fresh().await;
    let job = add(&store, "a").await;
    let at_work = run(&job, Some(3));
    let missed = NewRun {
        outcome: Outcome::Missed,
        reason: Some(Reason::Misfire),
        missed: Some((UtcMs(NOW.0 + 500), u64::from(u32::MAX))),
        ..run(&job, Some(4))
    };
    let queued = waiting(&job, Some(5));
    commit_opens(&store, vec![at_work.clone(), missed.clone(), queued.clone()]).await;
    let r = get(&store, at_work.id).await;
    assert_eq!((r.job_id, r.job_name.as_str(), r.mode.as_str()), (job.id.0, "a", "command"));
    assert_eq!((r.command.as_str(), r.source.as_str(), r.outcome.as_str()), ("true", "cron", "running"));
    assert_eq!((r.scheduled_ms, r.start_ms, r.end_ms, r.attempt), (NOW.0 + 3, Some(NOW.0), None, 1));
    assert_eq!((r.missed_to_ms, r.missed_count, r.stdout), (None, None, None));
    let r = get(&store, missed.id).await;
    assert_eq!((r.outcome.as_str(), r.reason.as_deref()), ("missed", Some("misfire")));
    assert_eq!((r.missed_to_ms, r.missed_count), (Some(NOW.0 + 500), Some(4_294_967_295)));
    assert!(r.end_ms.is_some(), "it is final from the start");
    let r = get(&store, queued.id).await;
    assert_eq!((r.outcome.as_str(), r.start_ms, r.end_ms), ("waiting", None, None));
    // After a crash the open ones are found, oldest first.
    let open = store.open_runs().await.unwrap();
    let open: Vec<_> = open.iter().map(|r| (r.id, r.job_id, r.outcome.as_str(), r.scheduled_ms)).collect();
    let want = [(&at_work, "running", 3), (&queued, "waiting", 5)];
    assert_eq!(open, want.map(|(r, outcome, at)| (r.id.0, job.id.0, outcome, NOW.0 + at)));
}

/// With five million runs stored, what lists jobs must not read them.
#[tokio::test]
async fn open_runs_are_found_by_their_own_index() {
    let (store, _dir) = fresh_file().await;
    for sql in [jobs::select().text, runs::open_runs(Dialect::Sqlite), jobs::COUNTS.to_owned()] {
        let plan: Vec<(i64, i64, i64, String)> =
            store.read.fetch(&Sql::new(format!("EXPLAIN QUERY PLAN {sql}"))).await.unwrap();
        let steps: Vec<_> = plan
            .into_iter()
            .map(|row| row.3)
            .filter(|step| step.contains(" r ") || step.contains("tj_runs"))
            .collect();
        assert!(
            !steps.is_empty() && steps.iter().all(|step| step.contains("tj_runs_open")),
            "{sql}: {steps:?}"
        );
    }
}

#[tokio::test]
async fn runs_are_listed_by_outcome_and_over_all_jobs() {
    let (store, _dir) = fresh().await;
    let (a, b) = (add(&store, "a").await, add(&store, "b").await);
    let opens: Vec<_> = [&a, &a, &b, &b].map(|job| run(job, None)).into();
    commit_opens(&store, opens.clone()).await;
    let outcomes = [Outcome::Success, Outcome::Failed, Outcome::Failed, Outcome::Timeout];
    let closes = opens.iter().zip(outcomes).map(|(open, outcome)| close(open, Report::new(outcome)));
    commit_closes(&store, closes.collect()).await;
    let day = Some((NOW, UtcMs(NOW.0 + 1_000)));
    let listed = async |job: Option<JobId>, outcome| {
        let page = store.runs_page(RunsOf { job, day, outcome }, true, 1, 10).await.unwrap();
        assert_eq!(page.total, page.items.len() as i64);
        page.items.into_iter().map(|run| run.id).collect::<Vec<_>>()
    };
    let ids: Vec<i64> = opens.iter().map(|open| open.id.0).collect();
    assert_eq!(listed(None, None).await, [ids[3], ids[2], ids[1], ids[0]]);
    assert_eq!(listed(None, Some(Outcome::Failed)).await, [ids[2], ids[1]]);
    assert_eq!(listed(Some(b.id), Some(Outcome::Failed)).await, [ids[2]]);
    assert_eq!(listed(None, Some(Outcome::Success)).await, [ids[0]]);
    assert_eq!(listed(None, Some(Outcome::Lost)).await, [0; 0]);
}
