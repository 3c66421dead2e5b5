//! What a monitoring system reads at `/metrics`, counted from the engine's events: it never asks
//! the engine and never slows a fire. Series of one job end with the job.

use crate::domain::event::Event;
use crate::domain::job::{Job, JobId};
use crate::domain::run::Outcome;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Jobs with series of their own; what runs beyond is counted under an empty `job_id`.
const JOBS_MAX: usize = 1_000;
/// Seconds.
const DURATIONS: [f64; 12] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0];
const DELAYS: [f64; 8] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 60.0, 300.0];

/// The media type of what `text` gives.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfJob {
    job_id: String,
    job_name: String,
    mode: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    state: &'static str,
}

type Histograms = Family<OfJob, Histogram, fn() -> Histogram>;

/// Counters of this server since its start.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    exec: Family<OfJob, Counter>,
    failed: Family<OfJob, Counter>,
    duration: Histograms,
    outcomes: Family<OfOutcome, Counter>,
    delay: Histogram,
    unseen: Counter,
    running: Gauge,
    jobs: Family<OfState, Gauge>,
    resident: Gauge,
    uptime: Gauge,
    labels: Mutex<Labels>,
}

#[derive(Debug, Default)]
struct Labels {
    of: HashMap<JobId, OfJob>,
    /// Jobs that are gone, the newest last: a run that was cancelled with its job ends after it.
    gone: VecDeque<JobId>,
}

/// What is asked for at the moment of reading.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Jobs with a run in flight, others that are scheduled, and stopped ones.
    pub running: i64,
    pub waiting: i64,
    pub stopped: i64,
    /// Bytes.
    pub resident: i64,
    /// Seconds.
    pub uptime: i64,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let exec = Family::default();
        registry.register("jobs_exec", "Runs that have ended", exec.clone());
        let failed = Family::default();
        registry.register("jobs_exec_fail", "Runs that failed, timed out or were lost", failed.clone());
        let duration = Histograms::new_with_constructor(|| Histogram::new(DURATIONS));
        let help = "From a run's start to its end";
        registry.register_with_unit("jobs_exec_duration", help, Unit::Seconds, duration.clone());
        let outcomes = Family::default();
        registry.register("jobs_outcome", "Runs and fires by how they ended", outcomes.clone());
        let delay = Histogram::new(DELAYS);
        let help = "From the instant a fire is scheduled at to its start";
        registry.register_with_unit("jobs_start_delay", help, Unit::Seconds, delay.clone());
        let unseen = Counter::default();
        registry.register("jobs_events_uncounted", "Events that came too fast to be counted", unseen.clone());
        let running = Gauge::default();
        registry.register("jobs_running", "Jobs with a run in flight", running.clone());
        let jobs = Family::default();
        registry.register("jobs", "Jobs by state", jobs.clone());
        let resident = Gauge::default();
        registry.register("process_resident_memory_bytes", "Memory of this process", resident.clone());
        let uptime = Gauge::default();
        registry.register("process_uptime_seconds", "Time since the start of this process", uptime.clone());
        let build = prometheus_client::metrics::info::Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("timerjobs_build", "The version of this server", build);
        let labels = Mutex::default();
        Self {
            registry,
            exec,
            failed,
            duration,
            outcomes,
            delay,
            unseen,
            running,
            jobs,
            resident,
            uptime,
            labels,
        }
    }
}

impl Metrics {
    /// Counts until the engine ends.
    pub async fn listen(self: Arc<Self>, mut events: broadcast::Receiver<Event>) {
        loop {
            match events.recv().await {
                Ok(event) => self.count(&event),
                Err(RecvError::Lagged(n)) => drop(self.unseen.inc_by(n)),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Everything in the text form that monitoring systems read.
    pub fn text(&self, now: Now) -> String {
        let of = |state| self.jobs.get_or_create_owned(&OfState { state });
        of("running").set(now.running);
        of("waiting").set(now.waiting);
        of("stopped").set(now.stopped);
        self.running.set(now.running);
        self.resident.set(now.resident);
        self.uptime.set(now.uptime);
        let mut out = String::new();
        if let Err(e) = text::encode(&mut out, &self.registry) {
            tracing::error!("the metrics cannot be written: {e}");
        }
        out
    }

    fn count(&self, event: &Event) {
        match event {
            Event::RunStarted { delay: Some(delay), .. } => self.delay.observe(delay.as_secs_f64()),
            Event::RunStarted { .. } | Event::JobChanged { .. } => {}
            Event::JobDeleted { job } => {
                let mut labels = self.labels();
                if labels.gone.len() == JOBS_MAX {
                    labels.gone.pop_front();
                }
                labels.gone.push_back(*job);
                if let Some(labels) = labels.of.remove(job) {
                    self.forget(&labels);
                }
            }
            Event::RunEnded { of, outcome, took, .. } => {
                self.outcomes.get_or_create_owned(&OfOutcome { outcome: outcome.as_str() }).inc();
                if let Some(job) = of
                    && (took.is_some() || *outcome == Outcome::Lost)
                {
                    let labels = self.label(job);
                    self.exec.get_or_create_owned(&labels).inc();
                    if let Some(took) = took {
                        self.duration.get_or_create_owned(&labels).observe(took.as_secs_f64());
                    }
                    let failed = self.failed.get_or_create_owned(&labels);
                    if matches!(outcome, Outcome::Failed | Outcome::Timeout | Outcome::Lost) {
                        failed.inc();
                    }
                }
            }
        }
    }

    /// The labels of the job's series. A job that got a new name starts new ones.
    fn label(&self, job: &Job) -> OfJob {
        let mode = job.spec.mode.as_str();
        let mut labels = self.labels();
        let known = labels.of.get(&job.id);
        if let Some(known) = known.filter(|l| *l.job_name == *job.spec.name && l.mode == mode) {
            return known.clone();
        }
        if let Some(old) = known.cloned() {
            self.forget(&old);
        } else if labels.of.len() >= JOBS_MAX || labels.gone.contains(&job.id) {
            return OfJob { job_id: String::new(), job_name: String::new(), mode: mode.to_owned() };
        }
        let new =
            OfJob { job_id: job.id.to_string(), job_name: job.spec.name.to_string(), mode: mode.to_owned() };
        labels.of.insert(job.id, new.clone());
        new
    }

    fn forget(&self, labels: &OfJob) {
        self.exec.remove(labels);
        self.failed.remove(labels);
        self.duration.remove(labels);
    }

    fn labels(&self) -> std::sync::MutexGuard<'_, Labels> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
