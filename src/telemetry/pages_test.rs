use super::*;
use crate::clock::{Clock, Settable};
use crate::config::{Config, Flags};
use crate::domain::UtcMs;
use crate::telemetry::backwards::BLOCK;
use std::fs;
use std::io::Write;

/// Today is 2026-01-05.
fn log(folder: &Path) -> Files {
    let config = Config::load(&Flags::default(), |name| match name {
        "LOG_FILE" => Some(folder.join("app.log").display().to_string()),
        "TZ" => Some("UTC".into()),
        _ => None,
    });
    Files::new(&config.unwrap(), Clock::Settable(Settable::new(UtcMs(1_767_600_000_000))))
}

fn line(day: u32, n: usize, level: &str) -> String {
    format!("{{\"timestamp\":\"2026-01-{day:02}\",\"level\":\"{level}\",\"message\":\"{n}\"}}\n")
}

/// Every third line is an error.
fn lines(day: u32, of: std::ops::Range<usize>) -> String {
    of.map(|n| line(day, n, if n % 3 == 0 { "ERROR" } else { "INFO" })).collect()
}

fn append(folder: &Path, name: &str, text: &str) {
    let file = fs::File::options().create(true).append(true).open(folder.join(name));
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

fn numbers(found: &Listed) -> Vec<usize> {
    let number = |line: &String| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].as_str().unwrap().parse().unwrap()
    };
    found.lines.iter().map(number).collect()
}

fn page(log: &Files, filter: &Filter, after: Option<Mark>, most: usize) -> Listed {
    // As it comes back from a client.
    let after = after.map(|mark| Mark::parse(&mark.text()).unwrap());
    log.list(filter, after, most).unwrap().expect("the file is there")
}

#[test]
fn pages_follow_each_other_through_the_days_whatever_happens_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    append(folder.path(), "app.2026-01-04.log", &lines(4, 0..10));
    append(folder.path(), "app.log", &lines(5, 10..20));
    let log = log(folder.path());
    let any = Filter::default();
    let first = page(&log, &any, None, 4);
    assert_eq!(numbers(&first), [19, 18, 17, 16]);
    append(folder.path(), "app.log", &lines(5, 20..30));
    let second = page(&log, &any, first.next, 4);
    assert_eq!(numbers(&second), [15, 14, 13, 12]);
    // Midnight: the file gets its day's name.
    fs::rename(folder.path().join("app.log"), folder.path().join("app.2026-01-05.log")).unwrap();
    append(folder.path(), "app.log", &lines(6, 30..40));
    let third = page(&log, &any, second.next, 4);
    assert_eq!(numbers(&third), [11, 10, 9, 8], "over the end of a file");
    let last = page(&log, &any, third.next, 8);
    assert_eq!((numbers(&last), last.next), ((0..8).rev().collect(), None));
}

#[test]
fn a_page_costs_what_it_shows_wherever_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    append(folder.path(), "app.log", &lines(5, 0..40_000));
    let log = log(folder.path());
    let deep = Mark { at: 1_000_000, ..page(&log, &Filter::default(), None, 1).next.unwrap() };
    let mut left = SCAN_MAX;
    let found = log.list_within(&Filter::default(), Some(deep), 100, &mut left).unwrap().unwrap();
    assert_eq!((found.lines.len(), SCAN_MAX - left), (100, BLOCK));
}

#[test]
fn a_search_through_much_goes_on_page_by_page_and_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    append(folder.path(), "app.2026-01-04.log", &lines(4, 0..5_000));
    append(folder.path(), "app.log", &lines(5, 5_000..9_000));
    let log = log(folder.path());
    let errors = Filter { levels: vec!["ERROR".into()], ..Filter::default() };
    for budget in [4_000, BLOCK, BLOCK * 3 + 17] {
        let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let found = log.list_within(&errors, after, 70, &mut budget.clone()).unwrap().unwrap();
            assert!(found.lines.len() <= 70);
            seen.extend(numbers(&found));
            pages += 1;
            match found.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert!(pages >= 3_000 / 70, "{pages}");
        assert_eq!(seen, (0..9_000).rev().filter(|n| n % 3 == 0).collect::<Vec<_>>(), "{budget}");
    }
}

#[test]
fn a_file_that_was_cleared_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    append(folder.path(), "app.log", &lines(5, 0..10));
    let log = log(folder.path());
    let first = page(&log, &Filter::default(), None, 4);
    log.clear(None).unwrap();
    assert!(log.list(&Filter::default(), first.next, 4).unwrap().is_none());
    append(folder.path(), "app.log", &lines(5, 50..60));
    assert!(log.list(&Filter::default(), first.next, 4).unwrap().is_none());
    assert_eq!(numbers(&page(&log, &Filter::default(), None, 2)), [59, 58]);
}

#[test]
fn an_empty_log_and_a_day_without_one_have_no_lines() {
    let folder = tempfile::tempdir().unwrap();
    let log = log(folder.path());
    let empty = page(&log, &Filter::default(), None, 4);
    assert_eq!((numbers(&empty), empty.next), (vec![], None));
    append(folder.path(), "app.log", &lines(5, 0..10));
    let day = Filter { day: "2026-01-04".parse().ok(), ..Filter::default() };
    assert_eq!(numbers(&page(&log, &day, None, 4)), [0; 0]);
    for text in ["", "12", "x-1", "1-x"] {
        assert_eq!(Mark::parse(text), None, "{text}");
    }
}
