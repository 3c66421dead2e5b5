//! Everything that the console's first page shows, in one answer: what runs, what comes, what failed,
//! how the day went. None of it costs more for a longer history.

use super::views::{RunView, instant};
use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::extract::Call;
use crate::api::system::{memory, uptime_seconds};
use crate::domain::UtcMs;
use crate::domain::run::Outcome;
use crate::engine::{Error, Load, Upcoming};
use crate::store::{RunList, SlotCount};
use axum::http::StatusCode;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

const HOUR_MS: i64 = 3_600_000;
const HOURS: i64 = 24;
/// Fires of the next hour that are told.
const UPCOMING: usize = 200;
const RUNNING: i64 = 50;
const FAILURES: i64 = 10;
const MINUTE: Duration = Duration::from_secs(60);
const MINUTES: usize = 60;
const QUARTER: Duration = Duration::from_secs(900);
/// A day of them.
const QUARTERS: usize = 96;
const FAILED: [Outcome; 3] = [Outcome::Failed, Outcome::Timeout, Outcome::Lost];

/// The state of the whole server.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Overview {
    now: String,
    jobs: JobCounts,
    /// What runs now, at most 50, the newest first.
    running: Vec<RunView>,
    /// The next fires of the hour to come, at most 200.
    upcoming: Vec<UpcomingView>,
    /// How many fires the next hour brings, by minutes.
    hour: Vec<LoadSlot>,
    /// The last failures of the last 24 hours, at most 10.
    failures: Vec<RunView>,
    day: Day,
    /// How many fires the next 24 hours bring, by quarters of an hour.
    load: Vec<LoadSlot>,
    /// Whether `load` counts every job.
    load_complete: bool,
    health: HealthView,
}

/// Jobs by state.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobCounts {
    total: i64,
    scheduled: i64,
    running: i64,
    stopped: i64,
}

/// A fire to come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Upcoming)]
pub(super) struct UpcomingView {
    job: i64,
    name: String,
    at: String,
}

/// The runs that ended in the last 24 hours.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Day {
    runs: i64,
    success: i64,
    /// Failed, timed out, or lost in a crash.
    failed: i64,
    /// Successes among successes and failures, 0 to 1; null when there were neither.
    rate: Option<f64>,
    /// 24 hours, the last one still going on.
    per_hour: Vec<Hour>,
}

/// The runs of an hour, by how they ended.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Hour {
    at: String,
    success: i64,
    failed: i64,
    /// Cancelled, skipped or missed.
    other: i64,
}

/// A stretch of time to come.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LoadSlot {
    at: String,
    fires: u64,
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServerHealth)]
pub(super) struct HealthView {
    /// ok, or what is wrong.
    database: String,
    /// ok, or waiting for the database.
    scheduler: String,
    version: String,
    uptime_seconds: i64,
    memory_bytes: u64,
    timezone: String,
}

pub(super) async fn overview(api: Arc<Api>, call: Call) -> Answer {
    match gathered(&api, &call).await {
        Ok(overview) => Answer::bare(StatusCode::OK, overview),
        Err(e) => e.into(),
    }
}

async fn gathered(api: &Api, call: &Call) -> Result<Overview, Error> {
    let engine = &api.engine;
    let now = engine.now();
    let first = UtcMs((now.0.div_euclid(HOUR_MS) - (HOURS - 1)) * HOUR_MS);
    let runs = async |outcomes: &[Outcome], from: Option<UtcMs>, limit: i64| {
        let of = RunList { job: None, outcomes: outcomes.to_vec(), from, to: None, before: None, limit };
        let found = engine.run_list(&of).await?;
        Ok::<_, Error>(found.items.into_iter().map(|run| RunView::new(run, call.lang)).collect::<Vec<_>>())
    };
    let counts = engine.counts().await?;
    let until = UtcMs(now.0 + HOUR_MS);
    let upcoming = engine.upcoming(until, UPCOMING);
    let hour = engine.load(now, MINUTE, MINUTES).await?;
    let load = engine.load(now, QUARTER, QUARTERS).await?;
    Ok(Overview {
        now: instant(now.0),
        jobs: JobCounts {
            total: counts.total,
            scheduled: counts.waiting,
            running: counts.running,
            stopped: counts.stopped,
        },
        running: runs(&[Outcome::Running], None, RUNNING).await?,
        upcoming: upcoming.into_iter().map(UpcomingView::new).collect(),
        failures: runs(&FAILED, Some(UtcMs(now.0 - HOURS * HOUR_MS)), FAILURES).await?,
        day: Day::new(first, &engine.counts_since(first).await?),
        hour: slots(&hour, MINUTE),
        load_complete: load.complete,
        load: slots(&load, QUARTER),
        health: health(api).await,
    })
}

impl UpcomingView {
    fn new(fire: Upcoming) -> Self {
        Self { job: fire.job.0, name: fire.name, at: instant(fire.at.0) }
    }
}

impl Day {
    fn new(first: UtcMs, counts: &[SlotCount]) -> Self {
        let mut per_hour: Vec<Hour> =
            (0..HOURS).map(|n| Hour { at: instant(first.0 + n * HOUR_MS), ..Hour::default() }).collect();
        for SlotCount { at, outcome, runs } in counts {
            let hour = usize::try_from(at.since(first).div_euclid(HOUR_MS)).unwrap_or(usize::MAX);
            let Some(hour) = per_hour.get_mut(hour) else { continue };
            match Outcome::parse(outcome) {
                Some(Outcome::Success) => hour.success += runs,
                Some(outcome) if FAILED.contains(&outcome) => hour.failed += runs,
                _ => hour.other += runs,
            }
        }
        let sum = |of: fn(&Hour) -> i64| per_hour.iter().map(of).sum::<i64>();
        let (success, failed) = (sum(|hour| hour.success), sum(|hour| hour.failed));
        let judged = success + failed;
        Self {
            runs: judged + sum(|hour| hour.other),
            success,
            failed,
            rate: (judged > 0).then(|| success as f64 / judged as f64),
            per_hour,
        }
    }
}

fn slots(load: &Load, slot: Duration) -> Vec<LoadSlot> {
    let step = i64::try_from(slot.as_millis()).unwrap_or(i64::MAX);
    let at = (0..).map(|n| instant(load.from.0 + n * step));
    at.zip(&load.slots).map(|(at, fires)| LoadSlot { at, fires: *fires }).collect()
}

async fn health(api: &Api) -> HealthView {
    let problem = api.engine.problem().await;
    let scheduler = if problem.is_none() { "ok" } else { "waiting for the database" };
    HealthView {
        database: problem.unwrap_or_else(|| "ok".to_owned()),
        scheduler: scheduler.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: uptime_seconds(api),
        memory_bytes: memory().0,
        timezone: api.engine.zone().name().to_owned(),
    }
}
