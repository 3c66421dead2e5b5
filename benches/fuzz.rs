//! `cargo bench --bench fuzz -- 60`: throws mutated texts at what reads texts of strangers, so many seconds each:
//! cron expressions, command texts, settings. A panic ends it with the text; the slowest reading of 4 KiB is
//! told in processor time, which other work on the machine does not lengthen.

use rustix::time::{ClockId, Timespec, clock_gettime};
use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use timerjobs::config::{Config, Flags};
use timerjobs::inside::{EXPRESSIONS, read_cron, read_text};

/// What is promised holds for texts up to this size, bytes.
const SIZE: usize = 4_096;

const TEXTS: [&str; 7] = [
    "【url】http://127.0.0.1:1/a?b=${secret:KEY}\n【mode】POST\n【headers】A:1|||B:2\n【data】{\"a\": [1, 2]}\n【timeout】5",
    "【command】echo ${secret:KEY} | tr a-z A-Z\n【workdir】/tmp\n【env】A=1|||B=2\n【memory】64M\n【cpu】1",
    "【name】Math\n【arg】+,\"1,5\",2\\,3\n【times】3\n【interval】1",
    "【name】Echo\n【arg】[\"a\", 1, null, {\"b\": []}]",
    "http://127.0.0.1:1/",
    "echo done",
    "【】【【url】】【url】x\r\n\u{feff}【timeout】-1【times】99999999999999999999",
];

const SETTINGS: [&str; 3] = [
    include_str!("../deploy/config.toml"),
    "[server]\nhost = \"127.0.0.1\"\nport = 8080\n[jobs]\nmax_concurrent = 64\n[egress]\nallow = [\"10.0.0.0/8\"]\n",
    "[database]\nurl = \"postgres://u:p@h/d\"\n[functions]\ndatabases = [\"a=mysql://u@h/d\"]\n[log]\nlevel = \"INFO\"\n",
];

/// About as many as are asked for.
const VARIABLES: usize = 100;

/// How often a text is read that took longer than all before.
const TRIES: u32 = 5;

const TOKENS: [&str; 22] = [
    "*",
    "/",
    "-",
    ",",
    "#",
    "L",
    "W",
    "?",
    "0",
    "59",
    "99999999999999999999",
    "【",
    "】",
    "|||",
    "${secret:",
    "}",
    "\"",
    "\\",
    "\n",
    "\0",
    "\u{1f600}",
    "= [",
];

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) >> 1).unwrap_or(0) % n.max(1)
    }

    /// A place between two characters.
    fn place(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// A text from these, changed a few times; one in four is repeated until it has the full size.
fn mutated(chance: &mut Chance, from: &[&str]) -> String {
    let mut text = from[chance.below(from.len())].to_owned();
    for _ in 0..chance.below(6) {
        let (a, b) = (chance.place(&text), chance.place(&text));
        let part = a.min(b)..a.max(b);
        match chance.below(5) {
            0 => text.replace_range(part, ""),
            1 => text.insert_str(a, TOKENS[chance.below(TOKENS.len())]),
            2 => {
                let copy = text[part].to_owned();
                text.insert_str(a, &copy);
            }
            3 => text.replace_range(part, TOKENS[chance.below(TOKENS.len())]),
            _ => text.insert(a, char::from_u32(chance.below(0x3_0000) as u32).unwrap_or('\u{fffd}')),
        }
    }
    if chance.below(4) == 0 && !text.is_empty() {
        text = text.repeat(SIZE.div_ceil(text.len()));
    }
    let mut end = text.len().min(SIZE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// Seconds on a clock.
fn seconds(clock: ClockId) -> f64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    tv_sec as f64 + tv_nsec as f64 / 1e9
}

/// Reads mutated texts for so long; false after a panic.
fn fuzz(name: &str, time: f64, from: &[&str], mut read: impl FnMut(&str)) -> bool {
    let (mut chance, end) = (Chance(1), seconds(ClockId::Monotonic) + time);
    let (mut cases, mut slowest, mut which) = (0_u64, 0.0_f64, String::new());
    while seconds(ClockId::Monotonic) < end {
        let text = mutated(&mut chance, from);
        let mut took = f64::INFINITY;
        // The slowest is the one that is slow every time: an interrupt, or a neighbour on the machine, is not the text's.
        for _ in 0..TRIES {
            let before = seconds(ClockId::ThreadCPUTime);
            if catch_unwind(AssertUnwindSafe(|| read(black_box(&text)))).is_err() {
                println!("{name}: panics on {text:?}");
                return false;
            }
            took = took.min(seconds(ClockId::ThreadCPUTime) - before);
            if took <= slowest {
                break;
            }
        }
        cases += 1;
        if took > slowest {
            (slowest, which) = (took, text);
        }
    }
    let mut begin = String::new();
    let _ = write!(begin, "{:?}", which.chars().take(60).collect::<String>());
    println!("{name}: {cases} texts, slowest {:.3} ms: {begin}", slowest * 1e3);
    true
}

/// As a file, and by variables: each of them a line, so that all together are no longer than the text; whose turn
/// comes first depends on its length.
fn settings(text: &str, file: &Path) {
    if std::fs::write(file, text).is_ok() {
        let flags = Flags { config: Some(file.to_owned()), ..Flags::default() };
        black_box(Config::load(&flags, |_| None).is_ok());
        let (skipped, lines) = (Cell::new(text.len() % VARIABLES), RefCell::new(text.lines()));
        let line = |_: &str| match skipped.get() {
            0 => lines.borrow_mut().next().map(str::to_owned),
            n => {
                skipped.set(n - 1);
                None
            }
        };
        black_box(Config::load(&Flags::default(), line).is_ok());
    }
}

fn main() -> ExitCode {
    let time = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(2.0);
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("config.toml");
    let modes = ["http", "command", "func"];
    let mut mode = 0;
    let good = [
        fuzz("cron", time, &EXPRESSIONS, |text| {
            black_box(read_cron(text));
        }),
        fuzz("text", time, &TEXTS, |text| {
            mode += 1;
            black_box(read_text(modes[mode % modes.len()], text));
        }),
        fuzz("settings", time, &SETTINGS, |text| settings(text, &file)),
    ];
    if good.into_iter().all(|good| good) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
