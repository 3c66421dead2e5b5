//! What lies ahead, against an engine whose clock stands still until the test moves it.

use super::super::core::Core;
use super::super::{Parts, Stop};
use super::*;
use crate::clock::{Clock, Settable};
use crate::config::{JobsConfig, Retention};
use crate::domain::job::{JobDraft, Removal, Story};
use crate::domain::schedule::cron::tests::expression;
use crate::exec::{Executor, Settings};
use crate::store::{JobState, Store};
use crate::vault::Vault;
use proptest::prelude::*;
use tokio::sync::watch;

/// 2026-01-05T08:00:00Z, a Monday.
const START: UtcMs = UtcMs(1_767_600_000_000);
const MINUTE: Duration = Duration::from_secs(60);
const QUARTER: Duration = Duration::from_secs(900);

fn config() -> JobsConfig {
    JobsConfig {
        max_concurrent: 4,
        max_waiting: 100,
        manual_allow_concurrent: true,
        shutdown_grace: Duration::ZERO,
        kill_grace: Duration::ZERO,
        output_limit: 1 << 20,
        retention: Retention {
            runs: 1_000,
            age: 30 * 1_440 * MINUTE,
            bytes: 1 << 30,
            audit: 730 * 1_440 * MINUTE,
            audit_rows: 1_000,
        },
    }
}

struct Server {
    engine: Engine,
    clock: Arc<Settable>,
    store: Store,
    _stop: watch::Sender<Stop>,
    _dir: tempfile::TempDir,
}

async fn server() -> Server {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("jobs.db")).await.unwrap();
    let (clock, (stop, stopped)) = (Settable::new(START), watch::channel(Stop::No));
    let parts = Parts {
        store: store.clone(),
        secrets: Arc::new(Vault::new(
            store.clone(),
            dir.path().join("secrets.key"),
            Clock::Settable(clock.clone()),
        )),
        exec: Executor::new(Settings::default()).unwrap(),
        clock: Clock::Settable(clock.clone()),
        zone: Tz::UTC,
        jobs: config(),
        stop: stopped,
    };
    let (engine, _) = Engine::start(parts).await.unwrap();
    Server { engine, clock, store, _stop: stop, _dir: dir }
}

fn draft(name: &str, cron: &str) -> JobDraft {
    JobDraft {
        name: Some(name.into()),
        cron_expr: Some(cron.into()),
        mode: Some("func".into()),
        command: Some("Test a".into()),
        ..JobDraft::default()
    }
}

fn every(name: &str, seconds: i64) -> JobDraft {
    JobDraft { cron_expr: None, interval_seconds: Some(seconds), ..draft(name, "") }
}

/// Names and seconds after `START`.
fn shown(upcoming: &[Upcoming]) -> Vec<(&str, i64)> {
    upcoming.iter().map(|fire| (fire.name.as_str(), fire.at.since(START) / 1000)).collect()
}

#[tokio::test]
async fn the_next_fires_of_all_enabled_jobs_come_in_order() {
    let server = server().await;
    let engine = &server.engine;
    for job in [
        draft("minutely", "* * * * *"),
        every("ninety", 90),
        draft("hourly", "0 * * * *"),
        JobDraft { max_run_count: Some(2), ..every("twice", 50) },
        JobDraft { state: Some(2), ..draft("stopped", "* * * * * *") },
    ] {
        engine.add(job).await.unwrap();
    }
    let upcoming = engine.upcoming(START.plus(3 * MINUTE), 100);
    let all = [("twice", 50), ("minutely", 60), ("ninety", 90), ("twice", 100), ("minutely", 120)];
    let rest = [("minutely", 180), ("ninety", 180)];
    assert_eq!(shown(&upcoming), [&all[..], &rest[..]].concat());
    let upcoming = engine.upcoming(START.plus(3 * MINUTE), 3);
    assert_eq!(shown(&upcoming), all[..3]);
    assert!(engine.upcoming(START.plus(MINUTE / 2), 100).is_empty());
    assert!(engine.upcoming(START.plus(MINUTE), 0).is_empty());
    // Every job changes the list at once.
    server.clock.advance(2 * MINUTE);
    // What is due is decided in the turn of any request.
    engine.reconcile().await.unwrap();
    let upcoming = engine.upcoming(START.plus(3 * MINUTE), 100);
    assert_eq!(shown(&upcoming), rest, "the two runs of one are used up");
}

fn job(id: i64, draft: JobDraft) -> Arc<Job> {
    Arc::new(Job {
        id: JobId(id),
        spec: draft.check(Tz::UTC).unwrap(),
        removal: Removal::default(),
        story: Story::default(),
    })
}

fn ahead(id: i64, draft: JobDraft, decided: i64, immediate: Option<i64>) -> Ahead {
    let at = |seconds: i64| UtcMs(START.0 + seconds * 1000);
    Ahead { job: job(id, draft), decided: at(decided), immediate: immediate.map(at), run_count: 0 }
}

#[test]
fn an_overdue_or_owed_run_counts_at_its_instant_and_then_from_now_on() {
    let until = START.plus(3 * MINUTE);
    let jobs =
        [ahead(1, draft("late", "* * * * *"), -600, None), ahead(2, draft("owed", "@hourly"), 0, Some(-5))];
    assert_eq!(
        shown(&walk(&jobs, START, until, 100)),
        [("late", -540), ("owed", -5), ("late", 0), ("late", 60), ("late", 120), ("late", 180)]
    );
    let used_up =
        Ahead { run_count: 7, ..ahead(1, JobDraft { max_run_count: Some(7), ..every("a", 1) }, 0, None) };
    assert!(walk(&[used_up], START, until, 100).is_empty());
}

proptest! {
    /// Of any jobs, the first that are due hold the first fires of all.
    #[test]
    fn a_few_jobs_suffice(
        jobs in prop::collection::vec((1i64..400, 0i64..400, prop::option::of(0i64..100)), 1..40),
        most in 1usize..30, length in 1u32..20,
    ) {
        let reading = Clock::Settable(Settable::new(START)).read();
        let mut core = Core::new(&config(), Tz::UTC, crate::domain::run::RunId(0), 0, reading);
        let mut all = Vec::new();
        for (n, (seconds, since, owed)) in (1..).zip(jobs) {
            // Some of them are overdue.
            let one = ahead(n, every(&format!("job {n}"), seconds), -since, owed);
            let immediate_ms = one.immediate.map(|at| at.0);
            core.install(one.job.clone(), &JobState { decided_ms: one.decided.0, immediate_ms, ..JobState::default() });
            all.push(one);
        }
        let until = START.plus(length * MINUTE);
        let some = core.ahead(until, most);
        prop_assert!(some.len() <= most);
        prop_assert_eq!(walk(&some, START, until, most), walk(&all, START, until, most));
    }
}

fn group(cron: &str, jobs: i64) -> SameSchedule {
    let (trigger_type, timezone) = ("cron".into(), String::new());
    SameSchedule { trigger_type, cron_expr: cron.into(), interval_seconds: 0, timezone, jobs }
}

fn interval(seconds: i64, jobs: i64) -> SameSchedule {
    SameSchedule { trigger_type: "interval".into(), interval_seconds: seconds, ..group("", jobs) }
}

fn quarters(groups: &[SameSchedule], slots: usize) -> Load {
    count(groups, Tz::UTC, Question { from: START, slot_ms: 900_000, slots })
}

#[test]
fn a_slot_holds_its_beginning_and_not_its_end() {
    assert_eq!(quarters(&[group("0 * * * *", 3)], 5).slots, [3, 0, 0, 0, 3]);
    assert_eq!(quarters(&[group("14,15,59 8 * * *", 1)], 4).slots, [1, 1, 0, 1]);
    assert_eq!(quarters(&[group("*/15 * * * *", 1), group("* * * * * *", 2)], 2).slots, [1_801, 1_801]);
    assert_eq!(quarters(&[group("* * * * *", 1)], 0).slots, [0; 0]);
}

#[test]
fn intervals_are_spread_evenly() {
    assert_eq!(quarters(&[interval(60, 1)], 2).slots, [15, 15]);
    assert_eq!(quarters(&[interval(3_600, 1_000)], 8).slots, [250; 8]);
    assert_eq!(quarters(&[interval(3_600, 1)], 8).slots, [0, 0, 0, 1, 0, 0, 0, 1]);
    assert_eq!(quarters(&[interval(86_400, 2)], 96).slots.iter().sum::<u64>(), 2);
}

#[test]
fn what_cannot_be_read_makes_a_load_incomplete() {
    assert!(quarters(&[group("@daily", 1)], 4).complete);
    for unreadable in [group("soon", 1), interval(0, 1)] {
        let load = quarters(&[unreadable, group("0 9 * * *", 2)], 5);
        assert_eq!((load.slots.as_slice(), load.complete), (&[0, 0, 0, 0, 2][..], false));
    }
}

proptest! {
    /// Looking fires up and counting slot by slot come to the same.
    #[test]
    fn both_ways_of_counting_agree(expr in expression(), slots in 1usize..200) {
        let Ok(schedule) = Schedule::parse(&expr, Tz::America__New_York) else { return Ok(()) };
        // The zone's clock is set back within the day after.
        let question = Question { from: UtcMs(1_793_491_200_000), slot_ms: 900_000, slots };
        let mut added = vec![0; slots];
        add_counted(&mut added, question, 2, &schedule);
        let before = |n: usize| UtcMs(question.from.0 + 900_000 * n as i64 - 1);
        let counted = (0..slots).map(|n| 2 * schedule.count_between(UtcMs(0), before(n), before(n + 1)));
        prop_assert_eq!(added, counted.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn the_load_counts_enabled_jobs_in_their_zones_and_is_kept_for_a_minute() {
    let server = server().await;
    let engine = &server.engine;
    for job in [
        draft("a", "30 8 * * *"),
        draft("b", "30 8 * * *"),
        JobDraft { timezone: Some("Asia/Shanghai".into()), ..draft("c", "45 16 * * *") },
        JobDraft { state: Some(2), ..draft("stopped", "* * * * *") },
    ] {
        engine.add(job).await.unwrap();
    }
    let load = engine.load(START, QUARTER, 4).await.unwrap();
    assert_eq!(load, Load { from: START, slots: vec![0, 0, 2, 1], complete: true });
    engine.add(draft("d", "0 8 * * *")).await.unwrap();
    // The same slots are meant all through the first of them, and are told again.
    server.clock.advance(Duration::from_secs(59));
    assert_eq!(engine.load(START.plus(Duration::from_secs(59)), QUARTER, 4).await.unwrap(), load);
    assert_eq!(engine.load(START, QUARTER, 1).await.unwrap().slots, [1], "another question");
    server.clock.advance(MINUTE);
    assert_eq!(engine.load(START.plus(2 * MINUTE), QUARTER, 4).await.unwrap().slots, [1, 0, 2, 1]);
    server.clock.advance(15 * MINUTE);
    let load = engine.load(START.plus(17 * MINUTE), QUARTER, 2).await.unwrap();
    assert_eq!(load, Load { from: START.plus(QUARTER), slots: vec![0, 2], complete: true });
    server.store.close().await;
    assert!(matches!(engine.load(START, QUARTER, 2).await, Err(Error::Store(_))));
}
