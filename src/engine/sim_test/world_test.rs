//! The simulated world: an engine, its database, a clock that the simulation moves, runs that take as long as
//! chance says, and people and faults that come at any moment.

use super::super::{Ticker, lock};
use super::model_test::Model;
use super::oracle_test::rules;
use super::people_test::Asked;
use crate::clock::{Clock, Settable};
use crate::config::{JobsConfig, Retention};
use crate::domain::UtcMs;
use crate::domain::job::{JobId, Overlap, Recovery};
use crate::domain::run::{Outcome, Report, RunId};
use crate::engine::commands::{Command, Finished};
use crate::engine::core::Core;
use crate::engine::{Engine, Health, Parts, Stop, forecast, live};
use crate::exec::{Executor, Settings};
use crate::store::{Fault, Faults, Kept, Place, Store, fresh_file};
use crate::vault::Vault;
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, watch};

/// 2026-01-05T08:00:00Z.
const START: UtcMs = UtcMs(1_767_600_000_000);
pub const MINUTE: u64 = 60_000;

/// SplitMix64: the same seed gives the same world on every machine.
#[derive(Clone)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize].clone()
    }
}

/// A run that is at work: when it is over, by the time that passes, and what it will say.
struct Work {
    job: JobId,
    over: Duration,
    finished: Box<Finished>,
}

/// What was seen outside: a run began to work.
#[derive(Clone, Debug)]
pub struct Start {
    pub run: RunId,
    pub wall: i64,
    pub epoch: i64,
}

/// One life of the process.
pub struct Server {
    pub engine: Engine,
    ticker: Ticker,
    /// What runs say; the simulation hands it on when their time has come.
    heard: mpsc::Receiver<Command>,
    _inbox: mpsc::Sender<Command>,
    _stop: watch::Sender<Stop>,
}

pub struct World {
    pub chance: Chance,
    seed: u64,
    pub clock: Arc<Settable>,
    pub store: Store,
    pub faults: Faults,
    exec: Executor,
    secrets: Arc<Vault>,
    config: JobsConfig,
    pub server: Option<Server>,
    works: BTreeMap<RunId, Work>,
    pub models: BTreeMap<JobId, Model>,
    pub starts: Vec<Start>,
    pub deaths: usize,
    pub faulted: usize,
    pub jumps: usize,
    _place: Place,
}

impl World {
    pub async fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let (store, place) = fresh_file().await;
        // Processes die here, not machines.
        store.raw("PRAGMA synchronous = OFF").await;
        let clock = Settable::new(START);
        let secrets = Vault::new(store.clone(), place.folder().join("key"), Clock::Settable(clock.clone()));
        let config = JobsConfig {
            max_concurrent: 2 + chance.below(6) as usize,
            max_waiting: 20,
            // Then serial holds for manual runs too.
            manual_allow_concurrent: false,
            shutdown_grace: Duration::ZERO,
            kill_grace: Duration::ZERO,
            output_limit: 1 << 10,
            retention: Retention {
                runs: u32::MAX,
                age: Duration::MAX,
                bytes: u64::MAX,
                audit: Duration::MAX,
                audit_rows: i64::MAX,
            },
        };
        let mut world = Self {
            chance,
            seed,
            faults: store.faults(),
            secrets: Arc::new(secrets),
            store,
            clock,
            exec: Executor::new(Settings::default()).unwrap(),
            config,
            server: None,
            works: BTreeMap::new(),
            models: BTreeMap::new(),
            starts: Vec::new(),
            deaths: 0,
            faulted: 0,
            jumps: 0,
            _place: place,
        };
        world.boot().await;
        let mut rules = rules();
        for _ in 0..5 {
            let n = world.chance.below(rules.len() as u64) as usize;
            world.add(rules.swap_remove(n)).await;
        }
        world
    }

    pub fn wall(&self) -> i64 {
        self.clock_now().0
    }

    fn clock_now(&self) -> UtcMs {
        Clock::Settable(self.clock.clone()).now()
    }

    pub fn elapsed(&self) -> Duration {
        Clock::Settable(self.clock.clone()).read().elapsed
    }

    pub fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("it runs")
    }

    /// Starts the process; it may die while it does.
    async fn boot(&mut self) {
        loop {
            let faults = self.faults.clone();
            let server = tokio::select! {
                server = self.started() => server,
                () = faults.died() => {
                    self.deaths += 1;
                    continue;
                }
            };
            self.server = Some(server);
            self.hear().await;
            return self.follow().await;
        }
    }

    /// As `Engine::start` does, with the loop in our hands and the ends of runs coming to us.
    async fn started(&self) -> Server {
        let clock = Clock::Settable(self.clock.clone());
        let store = self.store.clone().take_over().await.unwrap();
        let system = store.system().await.unwrap();
        let newest = store.newest_run().await.unwrap();
        let core = Core::new(&self.config, Tz::UTC, newest, system.clock_epoch, clock.read());
        let (commands, heard) = mpsc::channel(4_096);
        let engine = Engine {
            commands,
            events: broadcast::channel(16).0,
            store: self.store.clone(),
            clock: clock.clone(),
            zone: Tz::UTC,
            core: Arc::new(Mutex::new(core)),
            limits: self.exec.command_limits().clone(),
            health: Health::default(),
            functions: self.exec.functions().clone(),
            secrets: self.secrets.clone(),
            live: live::Hub::default(),
            counted: forecast::Counted::default(),
        };
        let (inbox, nobody) = mpsc::channel(1);
        let (stop, stopped) = watch::channel(Stop::No);
        let parts = Parts {
            store,
            secrets: self.secrets.clone(),
            exec: self.exec.clone(),
            clock,
            zone: Tz::UTC,
            jobs: self.config.clone(),
            stop: stopped,
        };
        let (keep, _) = watch::channel(parts.jobs.retention);
        let ticker = Ticker::new(&engine, parts, &system, nobody, keep).await.unwrap();
        Server { engine, ticker, heard, _inbox: inbox, _stop: stop }
    }

    /// The process is gone with all that it did; after a while it is started again.
    pub async fn die(&mut self, away: Duration) {
        self.deaths += 1;
        self.server = None;
        self.works.clear();
        self.clock.advance(away);
        self.boot().await;
    }

    /// One turn. False: the process died in it, and runs again.
    pub async fn turn(&mut self, commands: Vec<Command>) -> bool {
        let faults = self.faults.clone();
        let ticker = &mut self.server().ticker;
        // A database that is away is looked at again at once: no time passes here.
        ticker.pause = Duration::ZERO;
        let lives = tokio::select! {
            () = ticker.turn(commands) => true,
            () = faults.died() => false,
        };
        if lives {
            self.hear().await;
        } else {
            let away = Duration::from_millis(self.chance.below(5_000));
            self.die(away).await;
        }
        lives
    }

    /// Waits until every run that the engine thinks at work has been heard of: that is its start.
    async fn hear(&mut self) {
        let (now, wall, epoch) = (self.elapsed(), self.wall(), self.epoch());
        loop {
            let core = self.server().engine.core.clone();
            if lock(&core).in_flight.keys().all(|run| self.works.contains_key(run)) {
                break;
            }
            let Some(Command::Finished(mut finished)) = self.server().heard.recv().await else { continue };
            let (run, job) = (finished.run, finished.job.clone());
            // Its length depends on nothing but the seed and its name.
            let mut chance = Chance::new(self.seed ^ run.0.unsigned_abs());
            let over =
                now + Duration::from_millis(chance.below(chance.clone().of(&[50, MINUTE, 25 * MINUTE])));
            if chance.one_in(8) {
                finished.report = Report::new(Outcome::Failed);
            }
            let beside = self.works.values().filter(|work| work.job == job.id).count();
            let most = if job.spec.overlap == Overlap::Parallel { 64 } else { 1 };
            assert!(beside < most, "job {}: run {run} starts beside {beside} others", job.id);
            self.starts.push(Start { run, wall, epoch });
            let twice = self.works.insert(run, Work { job: job.id, over, finished });
            assert!(twice.is_none(), "run {run} starts while it is at work");
            assert!(self.works.len() <= self.config.max_concurrent, "{} runs at once", self.works.len());
        }
    }

    pub fn epoch(&mut self) -> i64 {
        let core = self.server().engine.core.clone();
        lock(&core).clock_epoch
    }

    /// Runs whose time is over, and those that were cancelled.
    fn over(&mut self) -> Vec<Command> {
        let (now, core) = (self.elapsed(), self.server().engine.core.clone());
        let core = lock(&core);
        let mut over = Vec::new();
        for (run, work) in &mut self.works {
            let cancelled = core.in_flight.get(run).is_some_and(|at_work| at_work.cancel.is_cancelled());
            if cancelled {
                work.finished.report = Report::new(Outcome::Cancelled);
            }
            if cancelled || work.over <= now {
                over.push(*run);
            }
        }
        over.iter()
            .filter_map(|run| self.works.remove(run))
            .map(|work| Command::Finished(work.finished))
            .collect()
    }

    /// Turns until nothing is left to do at this moment.
    pub async fn settle(&mut self, mut commands: Vec<Command>) {
        loop {
            commands.extend(self.over());
            let now = self.clock_now();
            let server = self.server();
            let due = server.ticker.core().next_due().is_some_and(|at| at <= now);
            if commands.is_empty() && server.ticker.is_idle() && !due {
                break;
            }
            self.turn(std::mem::take(&mut commands)).await;
        }
        self.follow().await;
    }

    /// Jobs that the system stopped by itself are not armed any more.
    pub async fn follow(&mut self) {
        let newest = self.store.newest_run().await.unwrap();
        let core = self.server().engine.core.clone();
        let core = lock(&core);
        for (id, model) in self.models.iter_mut().filter(|(_, model)| model.is_armed()) {
            let Some(entry) = core.jobs.get(id) else { continue };
            if !entry.job.spec.enabled && entry.job.story.stop_reason.is_some() {
                model.disarm(entry.decided.0, newest);
            }
        }
    }

    /// Lets time pass until something is to happen.
    pub async fn step(&mut self) {
        let (now, wall) = (self.elapsed(), self.clock_now());
        let due = self.server().ticker.core().next_due();
        let due = due.map(|at| now + Duration::from_millis(at.since(wall).max(0).unsigned_abs()));
        let over = self.works.values().map(|work| work.over).min();
        let somebody = now + Duration::from_millis(self.chance.below(90 * MINUTE));
        let first = due.into_iter().chain(over).fold(somebody, Duration::min);
        // The process may wake late: a busy machine, a laptop that slept.
        let late = match self.chance.below(200) {
            0 => self.chance.below(30 * MINUTE),
            1..10 => self.chance.below(2_000),
            _ => 0,
        };
        self.clock.advance(first.saturating_sub(now) + Duration::from_millis(late));
        let armed = self.chance.one_in(50);
        if armed {
            let fault = [Fault::Refused, Fault::Unanswered, Fault::DiesBefore, Fault::DiesAfter];
            let (fault, refusals) = (self.chance.of(&fault), self.chance.below(3));
            self.faults.arm(fault, refusals as u32);
        }
        self.settle(Vec::new()).await;
        if first == somebody {
            self.somebody().await;
        }
        self.faulted += usize::from(self.faults.disarm().is_none() && armed);
    }

    /// Whether the job's runs start again after a crash.
    pub fn reruns(&self, id: i64) -> bool {
        self.models.get(&JobId(id)).is_some_and(|model| model.recovery == Recovery::Rerun)
    }

    /// The rest of the time: everything is stopped and ends.
    pub async fn finish(mut self) -> (Vec<Kept>, Self) {
        self.faults.disarm();
        let ids: Vec<JobId> = self.models.keys().copied().collect();
        for id in ids {
            self.ask(Asked::Stop(id)).await;
        }
        while !self.works.is_empty() {
            let over = self.works.values().map(|work| work.over).min().unwrap_or_default();
            self.clock.advance(over.saturating_sub(self.elapsed()));
            self.settle(Vec::new()).await;
        }
        let rows = self.store.kept().await;
        (rows, self)
    }
}
