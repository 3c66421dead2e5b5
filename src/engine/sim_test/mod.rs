//! The engine in a simulated world: its own loop and its own database, a clock that jumps, runs of any length,
//! people that stop and start jobs, commits that are refused or whose answer is lost, a process that dies
//! between any two steps. A world comes from its seed alone; afterwards the records are held against what a
//! job's users know of it, by arithmetic of our own.
//!
//! `SIM_SEED=7 SIM_DAYS=20 cargo test the_world_that_is_asked_for` plays one again.

mod model_test;
mod oracle_test;
mod people_test;
mod world_test;

use crate::store::Kept;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;
use world_test::World;

const DAY: Duration = Duration::from_secs(86_400);
/// Of each world.
const DAYS: u32 = 10;

/// Lets a world pass and looks at all that it left.
async fn passed(seed: u64, days: u32) -> Vec<Kept> {
    let mut world = World::new(seed).await;
    let end = world.elapsed() + DAY * days;
    while world.elapsed() < end {
        world.step().await;
    }
    let (rows, world) = world.finish().await;
    for (id, model) in &world.models {
        model.check(id.0, &rows);
    }
    let mut starts: HashMap<i64, Vec<(i64, i64)>> = HashMap::new();
    for start in &world.starts {
        starts.entry(start.run.0).or_default().push((start.wall, start.epoch));
    }
    for row in &rows {
        let seen = starts.remove(&row.id).unwrap_or_default();
        assert!(row.end_ms.is_some(), "it has no end: {row:?}");
        assert!(seen.len() as i64 <= row.attempt, "{} starts outside: {row:?}", seen.len());
        assert!(row.attempt == 1 || world.reruns(row.job_id), "its job repeats nothing: {row:?}");
        let worked = row.outcome == "success" || row.outcome == "failed";
        assert!(!worked || !seen.is_empty(), "it ended and never began: {row:?}");
        assert!(row.was_claimed() || seen.is_empty(), "it began and should not have: {row:?}");
        for (wall, epoch) in seen {
            // A clock that was set back meanwhile says nothing of what came first.
            assert!(epoch != row.clock_epoch || wall >= row.scheduled_ms, "it began at {wall}: {row:?}");
        }
    }
    assert!(starts.is_empty(), "runs without a record: {starts:?}");
    eprintln!(
        "world {seed}: {} records, {} starts, {} deaths, {} faults, {} jumps",
        rows.len(),
        world.starts.len(),
        world.deaths,
        world.faulted,
        world.jumps
    );
    rows
}

fn played(seed: u64, days: u32) -> Vec<Kept> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = catch_unwind(AssertUnwindSafe(|| runtime.block_on(passed(seed, days))));
    found.unwrap_or_else(|why| {
        eprintln!("SIM_SEED={seed} SIM_DAYS={days} plays this world again");
        resume_unwind(why)
    })
}

fn simulate(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        played(seed, DAYS);
    }
}

macro_rules! fifties {
    ($($name:ident: $seeds:expr),+) => {
        $(#[test]
        fn $name() {
            simulate($seeds);
        })+
    };
}

// A thousand days. Twenty tests, so that they share the processors.
fifties!(
    fifty_days_00: 0..5,
    fifty_days_01: 5..10,
    fifty_days_02: 10..15,
    fifty_days_03: 15..20,
    fifty_days_04: 20..25,
    fifty_days_05: 25..30,
    fifty_days_06: 30..35,
    fifty_days_07: 35..40,
    fifty_days_08: 40..45,
    fifty_days_09: 45..50,
    fifty_days_10: 50..55,
    fifty_days_11: 55..60,
    fifty_days_12: 60..65,
    fifty_days_13: 65..70,
    fifty_days_14: 70..75,
    fifty_days_15: 75..80,
    fifty_days_16: 80..85,
    fifty_days_17: 85..90,
    fifty_days_18: 90..95,
    fifty_days_19: 95..100
);

#[test]
fn the_same_seed_gives_the_same_records() {
    for seed in [3, 1_000] {
        assert_eq!(played(seed, 5), played(seed, 5));
    }
}

/// Any seed, for as long as one likes.
#[test]
fn the_world_that_is_asked_for() {
    let asked =
        |name: &str, usual| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    played(asked("SIM_SEED", 2_000), u32::try_from(asked("SIM_DAYS", 5)).unwrap());
}
