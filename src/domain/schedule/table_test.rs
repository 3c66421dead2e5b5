//! The committed table of instants, made by an independent program in another language
//! (`tests/data/make_cron_table.py` says how), against the engine.

use super::Schedule;
use crate::domain::UtcMs;
use chrono_tz::Tz;

const TABLE: &str = include_str!("../../../tests/data/cron_table.tsv");

/// Differences that are worth printing; the rest is counted.
const SHOWN: usize = 20;

#[test]
fn every_row_of_the_table_agrees() {
    let mut group: Option<(&str, Tz, Schedule)> = None;
    let (mut rows, mut differing) = (0, Vec::new());
    for line in TABLE.lines() {
        let (left, right) = line.split_once('\t').expect("two columns");
        let Ok(after) = left.parse::<i64>() else {
            let zone: Tz = right.parse().expect("a zone of chrono-tz");
            let schedule = Schedule::parse(left, zone).unwrap_or_else(|e| panic!("{left}: {e}"));
            group = Some((left, zone, schedule));
            continue;
        };
        let (expr, zone, schedule) = group.as_ref().expect("a group is open");
        let expected = UtcMs((after + right.parse::<i64>().expect("seconds")) * 1000);
        let after = UtcMs(after * 1000);
        let next = schedule.next_after(UtcMs(0), after);
        // The same row says that nothing fires between `after` and the answer.
        let only = schedule.count_between(UtcMs(0), after, expected) == 1;
        let last = schedule.last_between(UtcMs(0), after, expected) == Some(expected);
        rows += 1;
        if next != Some(expected) || !only || !last {
            let show = |t: Option<UtcMs>| t.map_or("none".to_owned(), |t| t.rfc3339(*zone));
            differing.push(format!(
                "{expr} in {zone} after {}: expected {}, got {} (count is 1: {only}, last agrees: {last})",
                show(Some(after)),
                show(Some(expected)),
                show(next),
            ));
        }
    }
    assert!(rows >= 3000, "the table has only {rows} rows");
    let shown = differing.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n");
    assert!(differing.is_empty(), "{} of {rows} rows differ:\n{shown}", differing.len());
}
