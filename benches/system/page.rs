//! docs/BENCHMARKS.md: figures, and behind them what a person has to say (notes.md).

use super::rows::{Goal, ROWS, Row};
use super::{Context, Measured, machine};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::process::Command;

const NOTES: &str = include_str!("notes.md");

/// What a page is made of.
pub struct Made<'a> {
    pub ctx: &'a Context,
    pub measured: &'a Measured,
    pub failed: &'a BTreeMap<&'static str, String>,
    pub runs: usize,
}

pub fn write(out: &Path, made: &Made) -> io::Result<()> {
    let Made { ctx, measured, failed, runs } = made;
    let mut page = String::new();
    let date = chrono::Utc::now().format("%Y-%m-%d");
    let (short, middling, long) = (ctx.short().as_secs(), ctx.middling().as_secs(), ctx.long().as_secs());
    // Writing to a text cannot fail.
    let _ = write!(
        page,
        "# Benchmarks\n\nMade by `make bench` on {date}, of version {}, commit {}, in {:.0} minutes: {runs} runs, the \
         median and from-to of each row. Everything ran on one machine and over loopback, the load beside the \
         server: {}.\n\n\
         How each row is measured stands in `benches/system/`. A rate counts only when every fire of every second \
         has its record in the database and none was more than a second late; the fires lie evenly in the second \
         unless a row says otherwise. The first run looks for the highest rate in steps of {short} s, each of which \
         may be tried twice, and holds it, \
         func fires on SQLite for {long} s, the other rates and the peers' for {middling} s; the later runs hold \
         that rate, or the next lower one that they can. Lateness is from the scheduled instant to the end of the \
         work, which is empty: so it holds the claim, its way to the disk, and the start.\n\n\
         To repeat it: `make bench`, or `make bench ARGS=\"--only func,herd --runs 1\"` for a part, which goes to \
         `target/bench/` and leaves this page alone. `ARGS=\"--no-peers\"` leaves out what has to be installed.\n\n\
         | what | goal | median | from - to | | best peer beside it | part of the machine's limit |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
        env!("CARGO_PKG_VERSION"),
        ctx.commit,
        ctx.took().as_secs_f64() / 60.0,
        machine::described(ctx.data()),
    );
    for row in ROWS {
        let Some(values) = measured.get(row.id).filter(|values| !values.is_empty()) else { continue };
        page.push_str(&line(row, values, made));
    }
    let beside = ctx.beside();
    if !beside.is_empty() {
        let _ = write!(
            page,
            "\nBeside it ran: {}. \"At least\" is the highest rate that was tried.\n",
            beside.join(", ")
        );
    }
    for (bench, why) in *failed {
        let _ = write!(page, "\nNot measured, or not in each run: `{bench}`: {}\n", why.replace('\n', " "));
    }
    let _ = write!(page, "\n{NOTES}");
    std::fs::write(out, page)
}

/// The commit that is checked out.
pub fn commit() -> String {
    let asked = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=10"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    asked.map_or_else(|_| "unknown".into(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

fn line(row: &Row, values: &[f64], Made { ctx, measured, .. }: &Made) -> String {
    let middle = median(values);
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    let (goal, met) = match row.goal {
        Goal::AtLeast(goal) => {
            (format!("≥ {}", shown(goal)), if middle >= goal { "met" } else { "**missed**" })
        }
        Goal::AtMost(goal) => {
            (format!("≤ {}", shown(goal)), if middle <= goal { "met" } else { "**missed**" })
        }
        Goal::None => (String::new(), ""),
    };
    let spread =
        if values.len() > 1 { format!("{} - {}", shown(low), shown(high)) } else { "one run".into() };
    let beside = |other: &str| {
        let other = median(measured.get(other)?);
        (other > 0.0).then_some(middle / other)
    };
    let peers = row.peers.iter().filter_map(|peer| beside(peer));
    // The best of them is the one that leaves us least; where less is better, we are so many times below it.
    let peer = match row.goal {
        Goal::AtMost(_) => peers.max_by(f64::total_cmp).map(|ratio| format!("{:.1} times less", 1.0 / ratio)),
        _ => peers.min_by(f64::total_cmp).map(|ratio| format!("{ratio:.1} times")),
    };
    let limit = row.limit.and_then(beside).map(|ratio| format!("{:.0} %", ratio * 100.0));
    let least = if ctx.is_topped(row.id) { "at least " } else { "" };
    format!(
        "| {} | {goal} | {least}{} {} | {spread} | {met} | {} | {} |\n",
        row.what,
        shown(middle),
        row.unit,
        peer.unwrap_or_default(),
        limit.unwrap_or_default()
    )
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Three digits that count, thousands apart.
fn shown(value: f64) -> String {
    if value >= 1_000.0 {
        let digits = format!("{value:.0}");
        let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
        return groups.join(",");
    }
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 1.0 => format!("{v:.1}"),
        v => format!("{v:.3}"),
    }
}
