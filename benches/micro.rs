//! `cargo bench --bench micro`: what the parts of one fire cost. The whole of it is `benches/system`.

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use std::sync::atomic::{AtomicU32, Ordering};
use timerjobs::inside::{Book, Due, EXPRESSIONS, next_instants, read_cron, read_text};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A hundred next instants of each of the twelve expressions.
#[divan::bench]
fn instants(bencher: Bencher) {
    bencher.counter(ItemsCount::new(1_200_usize)).bench(|| {
        let once = std::cell::Cell::new(true);
        next_instants(|| once.replace(false))
    });
}

/// An expression that was read before.
#[divan::bench(args = EXPRESSIONS)]
fn cron_known(expression: &str) -> bool {
    read_cron(black_box(expression))
}

/// One that never was: no two are the same.
#[divan::bench]
fn cron_new(bencher: Bencher) {
    let made = AtomicU32::new(0);
    bencher
        .with_inputs(|| {
            let number = made.fetch_add(1, Ordering::Relaxed);
            let (second, minute, hour) = (number % 60, number / 60 % 60, number / 3_600 % 24);
            format!("{second} {minute} {hour} {} {} *", 1 + number / 86_400 % 28, 1 + number % 12)
        })
        .bench_values(|expression| read_cron(&expression));
}

#[divan::bench(args = [
    ("func", "【name】Time\n【arg】"),
    ("command", "【command】/usr/local/bin/backup --all\n【workdir】/tmp\n【env】A=1\n【timeout】60"),
    ("http", "【url】https://example.com/hook?x=1\n【mode】POST\n【headers】A:b|||C:d\n【data】{}\n【timeout】10"),
])]
fn command_text(given: (&str, &str)) -> bool {
    read_text(given.0, given.1)
}

/// One fire on time; an hour of a per-second job that is made up for.
#[divan::bench(args = [1, 3_600])]
fn plan(bencher: Bencher, seconds: i64) {
    let due = Due::new("* * * * * *");
    bencher.bench(|| due.plan(black_box(seconds)));
}

/// A turn of the engine on disk: opens so many runs and closes as many.
#[divan::bench(args = [1, 16, 256, 1_000])]
fn batch(bencher: Bencher, fires: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut book = runtime.block_on(Book::new(&folder.path().join("book.db")));
    bencher.counter(ItemsCount::new(fires)).bench_local(|| runtime.block_on(book.turn(fires)));
}
