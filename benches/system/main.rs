//! `make bench`: drives the release binary from outside, as its users do, beside what they might take instead
//! and what the machine allows, and writes docs/BENCHMARKS.md.

#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

mod client;
mod fires;
mod held;
mod machine;
mod page;
mod peers;
mod rows;
mod server;
mod servers;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// One value of a row.
pub type Sample = (&'static str, f64);
/// All values of a row, one a run.
pub type Measured = BTreeMap<&'static str, Vec<f64>>;

/// What every measurement needs.
pub struct Context {
    pub binary: PathBuf,
    /// Where peers are installed: kept between runs of the bench. Nobody else may write there, as it is run.
    pub tools: PathBuf,
    /// Their scripts.
    pub peers: PathBuf,
    temp: tempfile::TempDir,
    number: Cell<usize>,
    /// The rates that the first run held.
    known: RefCell<BTreeMap<&'static str, usize>>,
    /// Rows that held the highest rate that was tried.
    topped: RefCell<BTreeSet<&'static str>>,
    /// Peers and services, as they name themselves.
    beside: RefCell<BTreeSet<String>>,
    seconds: u64,
    /// What is measured, as it was at the start: people work on while a bench runs.
    pub commit: String,
    began: Instant,
}

impl Context {
    fn new(options: &Options) -> Result<Self, String> {
        let text = |e: std::io::Error| format!("{}: {e}", options.target.display());
        // The folder of builds lies on a disk; the one of temporary files may be memory.
        let home = options.target.join("bench");
        std::fs::create_dir_all(&home).map_err(text)?;
        let home = home.canonicalize().map_err(text)?;
        Ok(Self {
            binary: options
                .binary
                .canonicalize()
                .map_err(|e| format!("{}: {e}", options.binary.display()))?,
            tools: home.join("peers"),
            peers: Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/system/peers"),
            temp: tempfile::Builder::new().prefix("data-").tempdir_in(&home).map_err(text)?,
            number: Cell::new(0),
            known: RefCell::default(),
            topped: RefCell::default(),
            beside: RefCell::default(),
            seconds: options.seconds,
            commit: page::commit(),
            began: Instant::now(),
        })
    }

    /// A folder that no measurement had before.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.number.set(self.number.get() + 1);
        self.temp.path().join(format!("{name}-{}", self.number.get()))
    }

    /// Where all of it lies.
    pub fn data(&self) -> &Path {
        self.temp.path()
    }

    /// Data of measurements before should not fill the disk for those after.
    pub fn clean(&self, folder: &Path) {
        std::fs::remove_dir_all(folder).ok();
    }

    /// For what shows itself in seconds.
    pub fn short(&self) -> Duration {
        Duration::from_secs((self.seconds / 12).max(3))
    }

    /// For a rate beside which a longer one stands.
    pub fn middling(&self) -> Duration {
        self.short() * 2
    }

    /// For what must last.
    pub fn long(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The rate that the first run held.
    pub fn known(&self, row: &str) -> Option<usize> {
        self.known.borrow().get(row).copied()
    }

    pub fn learn(&self, row: &'static str, rate: usize) {
        self.known.borrow_mut().entry(row).or_insert(rate);
    }

    /// Higher rates were not tried.
    pub fn top(&self, row: &'static str) {
        self.topped.borrow_mut().insert(row);
    }

    pub fn is_topped(&self, row: &str) -> bool {
        self.topped.borrow().contains(row)
    }

    /// A program that is measured, or that a measurement needs, with its version.
    pub fn met(&self, program: String) {
        self.beside.borrow_mut().insert(program);
    }

    pub fn beside(&self) -> Vec<String> {
        self.beside.borrow().iter().cloned().collect()
    }

    /// Since the bench began.
    pub fn took(&self) -> Duration {
        self.began.elapsed()
    }

    pub fn say(&self, text: &str) {
        println!("{:>6.0} s      {text}", self.took().as_secs_f64());
    }
}

type Pending<'a> = Pin<Box<dyn Future<Output = Result<Vec<Sample>, String>> + 'a>>;

/// When a measurement is made.
#[derive(Clone, Copy, PartialEq)]
enum When {
    EachRun,
    /// In the first run only: it takes minutes.
    Once,
    /// The same, and of another program.
    Peer,
}

/// A measurement, which fills one row or several.
struct Bench {
    name: &'static str,
    when: When,
    /// Seconds that it usually takes, with rows as long as they are by default.
    takes: u64,
    run: for<'a> fn(&'a Context) -> Pending<'a>,
}

macro_rules! bench {
    ($name:literal, $when:expr, $takes:literal, $run:path) => {
        Bench { name: $name, when: $when, takes: $takes, run: |ctx| Box::pin($run(ctx)) }
    };
}

use When::{EachRun, Once, Peer};

const BENCHES: &[Bench] = &[
    bench!("machine", EachRun, 21, machine::limits),
    bench!("empty", EachRun, 26, held::empty),
    bench!("binary", EachRun, 0, rows::binary),
    bench!("console", EachRun, 1, rows::console),
    bench!("instants", EachRun, 5, rows::instants),
    bench!("held", EachRun, 40, held::held),
    bench!("writes", EachRun, 15, held::writes),
    bench!("lateness", EachRun, 32, fires::lateness),
    bench!("aligned", Once, 32, fires::aligned),
    bench!("herd", EachRun, 28, fires::herd),
    bench!("http", EachRun, 40, fires::http_rate),
    bench!("command", EachRun, 40, fires::command_rate),
    bench!("func", EachRun, 100, fires::func_rate),
    bench!("mariadb", EachRun, 40, servers::mariadb),
    bench!("postgres", EachRun, 40, servers::postgres),
    bench!("apscheduler", Peer, 120, peers::apscheduler),
    bench!("bullmq", Peer, 120, peers::bullmq),
    bench!("cron", Peer, 60, peers::cron),
    bench!("records", Once, 90, held::records),
    bench!("million", Once, 60, held::million),
];

struct Options {
    only: Vec<String>,
    peers: bool,
    runs: usize,
    seconds: u64,
    binary: PathBuf,
    out: PathBuf,
    /// Where cargo builds.
    target: PathBuf,
}

const USAGE: &str = "options: --only NAME,NAME  --no-peers  --runs N (3)  --seconds N (60, of the longest row)  \
                     --binary PATH (target/release/timerjobs)  --out FILE (docs/BENCHMARKS.md; of a part of the \
                     rows target/bench/BENCHMARKS.md)";

impl Options {
    fn read() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let mut options = Self {
            only: Vec::new(),
            peers: true,
            runs: 3,
            seconds: 60,
            binary: target.join("release/timerjobs"),
            out: PathBuf::new(),
            target,
        };
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or(format!("{name} needs a value; {USAGE}"));
            let number = |text: String| match text.parse() {
                Ok(number @ 1..) => Ok(number),
                _ => Err(format!("{name}: {text} is no number above 0; {USAGE}")),
            };
            match name.as_str() {
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--no-peers" => options.peers = false,
                "--runs" => options.runs = usize::try_from(number(value()?)?).unwrap_or(1),
                "--seconds" => options.seconds = number(value()?)?,
                "--binary" => options.binary = value()?.into(),
                "--out" => options.out = value()?.into(),
                _ => return Err(format!("{name}: {USAGE}")),
            }
        }
        if let Some(name) = options.only.iter().find(|name| BENCHES.iter().all(|bench| bench.name != **name))
        {
            let names: Vec<_> = BENCHES.iter().map(|bench| bench.name).collect();
            return Err(format!("--only: there is no {name}; there are {}", names.join(", ")));
        }
        if options.out.as_os_str().is_empty() {
            // The published page has all rows or stays as it is.
            let whole = options.only.is_empty() && options.peers;
            options.out = if whole {
                root.join("docs/BENCHMARKS.md")
            } else {
                options.target.join("bench/BENCHMARKS.md")
            };
        }
        Ok(options)
    }

    /// What is measured, in its order: run and measurement.
    fn plan(&self) -> Vec<(usize, &'static Bench)> {
        let chosen = |bench: &&Bench| {
            (self.only.is_empty() || self.only.iter().any(|name| name == bench.name))
                && (self.peers || bench.when != Peer)
        };
        let run = |run| {
            let due = move |bench: &&Bench| run == 1 || bench.when == EachRun;
            BENCHES.iter().filter(chosen).filter(due).map(move |bench| (run, bench))
        };
        (1..=self.runs).flat_map(run).collect()
    }
}

/// All of the plan; what failed is kept with the reason.
async fn measure(ctx: &Context, options: &Options) -> (Measured, BTreeMap<&'static str, String>) {
    let (mut measured, mut failed) = (Measured::new(), BTreeMap::new());
    let plan = options.plan();
    for (at, (run, bench)) in plan.iter().enumerate() {
        let left: u64 = plan[at..].iter().map(|(_, bench)| bench.takes).sum();
        let left = (left * options.seconds).div_ceil(60 * 60);
        ctx.say(&format!("run {run} of {}: {}; about {left} min to go", options.runs, bench.name));
        match (bench.run)(ctx).await {
            Ok(samples) => {
                for (row, value) in samples {
                    measured.entry(row).or_default().push(value);
                }
            }
            Err(why) => {
                ctx.say(&format!("{}: {why}", bench.name));
                failed.insert(bench.name, why);
            }
        }
    }
    (measured, failed)
}

/// Ctrl-C, or a wish to end from elsewhere.
async fn stopped() -> Result<(), String> {
    let mut end = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    tokio::select! {
        asked = tokio::signal::ctrl_c() => asked.map_err(|e| e.to_string()),
        _ = end.recv() => Ok(()),
    }
}

#[tokio::main]
async fn main() -> Result<(), String> {
    let options = Options::read()?;
    let ctx = Context::new(&options)?;
    let (measured, failed) = tokio::select! {
        found = measure(&ctx, &options) => found,
        end = stopped() => {
            // What was started is killed as its handle is dropped, and the folder goes with the context.
            servers::forget().await;
            end?;
            return Err("stopped".into());
        }
    };
    page::write(
        &options.out,
        &page::Made { ctx: &ctx, measured: &measured, failed: &failed, runs: options.runs },
    )
    .map_err(|e| format!("{}: {e}", options.out.display()))?;
    ctx.say(&format!("written: {}", options.out.display()));
    Ok(())
}
