//! Doors into the library for the benches and for the test of what things cost, which stand outside of it.
//! Nothing else comes this way.

use crate::domain::UtcMs;
use crate::domain::action::{Mode, text};
use crate::domain::job::{Job, JobDraft, JobId, MisfirePolicy, Overlap, Removal, Story};
use crate::domain::plan::{View, plan};
use crate::domain::run::{Outcome, Report, RunId, Source};
use crate::domain::schedule::Schedule;
use crate::store::{Batch, NewRun, RunClose, Store};
use chrono_tz::Tz;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What operations people write, from every second to a leap day.
pub const EXPRESSIONS: [&str; 12] = [
    "* * * * * *",
    "*/5 * * * *",
    "0 * * * *",
    "30 2 * * *",
    "0 9-17 * * MON-FRI",
    "0 0 1 * *",
    "0 0 L * *",
    "15 10 * * 5#2",
    "0 12 15W * *",
    "*/10 8-20 1,15 * *",
    "0 0 29 2 *",
    "0 30 23 * * SUN",
];

/// 2026-01-05T08:00:00Z.
const START: UtcMs = UtcMs(1_767_600_000_000);

/// Computes next instants of all expressions in turn, in zones with and without daylight saving, as long as
/// it is told to go on; how many.
pub fn next_instants(go_on: impl Fn() -> bool) -> u32 {
    let zones = [Tz::UTC, Tz::Asia__Shanghai, Tz::America__New_York];
    let compiled = EXPRESSIONS.iter().enumerate().map(|(n, expr)| Schedule::parse(expr, zones[n % 3]));
    let mut clocks: Vec<(Schedule, UtcMs)> = compiled.flatten().map(|schedule| (schedule, START)).collect();
    let mut done = 0;
    while go_on() {
        for _ in 0..100 {
            for (schedule, at) in &mut clocks {
                *at = schedule.next_after(*at, *at).unwrap_or(START);
                done += 1;
            }
        }
    }
    black_box(&clocks);
    done
}

/// Reads a cron expression.
pub fn read_cron(expr: &str) -> bool {
    Schedule::parse(black_box(expr), Tz::UTC).is_ok()
}

/// Reads a command text of a mode.
pub fn read_text(mode: &str, command: &str) -> bool {
    Mode::parse(mode).is_some_and(|mode| text::parse(mode, black_box(command)).is_ok())
}

/// A job that is due, to be planned again and again.
pub struct Due(Schedule);

impl Due {
    /// # Panics
    /// When the expression is none.
    pub fn new(expr: &str) -> Self {
        Self(Schedule::parse(expr, Tz::UTC).expect("a cron expression"))
    }

    /// Decides what is due after so many seconds; how many fires.
    pub fn plan(&self, seconds: i64) -> usize {
        let view = View {
            schedule: &self.0,
            overlap: Overlap::Parallel,
            misfire_policy: MisfirePolicy::FireOnce,
            misfire_window: Duration::from_secs(300),
            decided: START,
            immediate: None,
            remaining: None,
            running: 0,
            waiting: 0,
            room: 1_000,
        };
        plan(black_box(&view), UtcMs(START.0 + seconds * 1_000)).fires.len()
    }
}

/// A database file with one job, whose fires are committed in batches of any size.
pub struct Book {
    store: Store,
    job: Arc<Job>,
    next: i64,
    open: Vec<NewRun>,
}

impl Book {
    /// # Panics
    /// When the file cannot be made.
    pub async fn new(file: &Path) -> Self {
        let store = Store::open(file).await.expect("a new database");
        let draft = JobDraft {
            name: Some("bench".into()),
            cron_expr: Some("* * * * * *".into()),
            mode: Some("func".into()),
            command: Some("【name】Time\n【arg】".into()),
            ..JobDraft::default()
        };
        let spec = draft.check(Tz::UTC).expect("a job");
        let job = Job { id: JobId(1), spec, removal: Removal::default(), story: Story::default() };
        Self { store, job: Arc::new(job), next: RunId::first_at(START).0, open: Vec::new() }
    }

    /// Opens so many runs and closes those that the batch before opened, as a busy turn does.
    ///
    /// # Panics
    /// When they cannot be committed.
    pub async fn turn(&mut self, fires: usize) {
        let mut batch = Batch { now: START, ..Batch::default() };
        batch.closes = self.open.drain(..).map(close).collect();
        for _ in 0..fires {
            self.next += 1;
            batch.opens.push(NewRun {
                id: RunId(self.next),
                job: self.job.clone(),
                fire: Some(UtcMs(self.next)),
                clock_epoch: 0,
                source: Source::Cron,
                outcome: Outcome::Running,
                reason: None,
                scheduled_at: START,
                start: Some(START),
                missed: None,
            });
        }
        batch.cursor(self.job.id).decided = Some(START);
        self.open.clone_from(&batch.opens);
        self.store.commit(&batch).await.expect("a batch is committed");
    }
}

fn close(open: NewRun) -> RunClose {
    let report = Report { stdout: "done".into(), ..Report::new(Outcome::Success) };
    RunClose { run: open.id, job: open.job.id, end: START, reason: None, report }
}
