//! What must stay cheap, counted in allocations, which are the same on every machine and at every load. A
//! program of its own, as it counts with an allocator of its own. When a bound is passed on purpose, say so
//! in the commit and measure what it costs (`cargo bench --bench micro`).

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use timerjobs::inside::{Book, Due, EXPRESSIONS, next_instants, read_cron, read_text};

thread_local! {
    /// Allocations of this thread so far.
    static MADE: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: it hands everything to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MADE.with(|made| made.set(made.get() + 1));
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = MADE.get();
    let done = work();
    (MADE.get() - before, done)
}

fn once() -> impl Fn() -> bool {
    let left = Cell::new(true);
    move || left.replace(false)
}

#[test]
fn next_instants_take_no_memory() {
    // The zones' tables are made once.
    next_instants(once());
    // What is left is the list of the twelve.
    let (made, done) = allocations(|| next_instants(once()));
    assert_eq!(done, 1_200);
    assert!(made <= 4, "{made}");
}

#[test]
fn an_expression_that_was_read_is_not_read_again() {
    for expression in EXPRESSIONS {
        assert!(read_cron(expression));
        let (made, _) = allocations(|| read_cron(expression));
        assert_eq!(made, 0, "{expression}");
    }
}

#[test]
fn planning_makes_lists_only() {
    let due = Due::new("* * * * * *");
    let (made, fires) = allocations(|| due.plan(1));
    assert_eq!(fires, 1);
    assert!(made <= 1, "{made}");
    // An hour away: the last minute is late, the rest is one fire and one record.
    let (made, fires) = allocations(|| due.plan(3_600));
    assert!(fires > 60);
    assert!(made <= 8, "{made}");
    // A month away costs no more.
    let (made, fires) = allocations(|| due.plan(30 * 86_400));
    assert!(fires > 60);
    assert!(made <= 8, "{made}");
}

#[test]
fn a_command_text_is_read_with_few_copies() {
    let (made, good) = allocations(|| read_text("func", "【name】Time\n【arg】"));
    assert!(good);
    assert!(made <= 4, "{made}");
}

/// The engine's side of a batch: the database works on a thread of its own.
#[test]
fn a_batch_costs_few_allocations_a_fire() {
    const FIRES: u64 = 1_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut book = runtime.block_on(Book::new(&folder.path().join("book.db")));
    for _ in 0..2 {
        runtime.block_on(book.turn(1_000));
    }
    let (made, ()) = allocations(|| runtime.block_on(book.turn(1_000)));
    assert!(made / FIRES <= 12, "{made} for {FIRES} opened and closed");
}
