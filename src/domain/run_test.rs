//! Run ids and the words of a run record (contract, "Run record").

use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

/// 2026-01-05T08:00:00Z.
const NOW: UtcMs = UtcMs(1_767_600_000_000);

#[test]
fn an_id_is_sixteen_hexadecimal_digits() {
    for (id, text) in [
        (RunId(0), "0000000000000000"),
        (RunId(1), "0000000000000001"),
        (RunId(0x0123_4567_89ab_cdef), "0123456789abcdef"),
        (RunId(i64::MAX), "7fffffffffffffff"),
    ] {
        assert_eq!((id.to_string().as_str(), RunId::parse(text)), (text, Some(id)));
    }
    for text in [
        "",
        "1",
        "000000000000000",
        "00000000000000001",
        "000000000000000g",
        "+000000000000001",
        "-000000000000001",
        " 00000000000001 ",
        "8000000000000000",
        "ffffffffffffffff",
        "任务任务任",
        "0x00000000000001",
    ] {
        assert_eq!(RunId::parse(text), None, "{text:?}");
    }
}

#[test]
fn ids_sort_by_the_time_of_creation() {
    let mut ids = RunIds::after(RunId(0));
    let (first, second) = (ids.next(NOW), ids.next(NOW));
    let later = ids.next(UtcMs(NOW.0 + 1));
    assert_eq!(first, RunId::first_at(NOW), "a day is a range of ids");
    assert!(first < second && second < later);
    assert!(first.to_string() < second.to_string() && second.to_string() < later.to_string());
    assert_eq!(later, RunId::first_at(UtcMs(NOW.0 + 1)));
    // What no id can hold is the nearest one that can.
    assert_eq!(RunId::first_at(UtcMs(-1)), RunId(0));
    assert!(RunId::first_at(UtcMs(i64::MAX)) > later);
}

#[test]
fn ids_rise_while_the_clock_stands_still() {
    let mut ids = RunIds::after(RunId(0));
    let all: Vec<RunId> = (0..100_000).map(|_| ids.next(NOW)).collect();
    assert!(all.windows(2).all(|w| w[0] < w[1]));
    assert!(all.last().is_some_and(|id| *id < RunId::first_at(UtcMs(NOW.0 + 1))));
}

#[test]
fn ids_rise_after_a_restart_with_the_clock_set_back() {
    let newest = RunIds::after(RunId(0)).next(NOW);
    let mut ids = RunIds::after(newest);
    let yesterday = UtcMs(NOW.0 - 86_400_000);
    let (a, b) = (ids.next(yesterday), ids.next(yesterday));
    assert!(newest < a && a < b);
    assert_eq!(ids.next(UtcMs(NOW.0 + 5)), RunId::first_at(UtcMs(NOW.0 + 5)), "the clock has caught up");
}

proptest! {
    #[test]
    fn ids_never_repeat_whatever_the_clock_does(
        newest in 0i64..(NOW.0 << 21),
        readings in prop::collection::vec((-100_000i64..100_000, 1usize..5), 1..50),
    ) {
        let mut ids = RunIds::after(RunId(newest));
        let mut last = RunId(newest);
        for (offset, n) in readings {
            for _ in 0..n {
                let id = ids.next(UtcMs(NOW.0 + offset));
                prop_assert!(id > last);
                prop_assert_eq!(RunId::parse(&id.to_string()), Some(id));
                last = id;
            }
        }
    }
}

#[test]
fn outcomes_are_the_contracts_words() {
    for (outcome, text, status, is_final) in [
        (Outcome::Waiting, "waiting", "等待", false),
        (Outcome::Running, "running", "执行中", false),
        (Outcome::Success, "success", "成功", true),
        (Outcome::Failed, "failed", "失败", true),
        (Outcome::Timeout, "timeout", "超时", true),
        (Outcome::Cancelled, "cancelled", "取消", true),
        (Outcome::Skipped, "skipped", "跳过", true),
        (Outcome::Missed, "missed", "错过", true),
        (Outcome::Lost, "lost", "中断", true),
    ] {
        assert_eq!((outcome.as_str(), Outcome::parse(text)), (text, Some(outcome)));
        assert_eq!(outcome.status(), Text::new(status, text));
        assert_eq!(outcome.is_final(), is_final, "{text}");
    }
    assert_eq!(Outcome::parse("Success"), None);
    assert_eq!(Outcome::parse(""), None);
}

#[test]
fn sources_are_the_contracts_words() {
    for (source, text) in [
        (Source::Cron, "cron"),
        (Source::Manual, "manual"),
        (Source::Catchup, "catchup"),
        (Source::Api, "api"),
    ] {
        assert_eq!((source.as_str(), Source::parse(text)), (text, Some(source)));
    }
    assert_eq!(Source::parse("system"), None);
}

#[test]
fn every_reason_has_its_word_and_says_it_in_both_languages() {
    let all = [
        (Reason::Overlap, "overlap"),
        (Reason::ParallelLimit, "parallel_limit"),
        (Reason::QueueFull, "queue_full"),
        (Reason::Policy, "policy"),
        (Reason::Misfire, "misfire"),
        (Reason::ClockCorrection, "clock_correction"),
        (Reason::Stopped, "stopped"),
        (Reason::Deleted, "deleted"),
        (Reason::Shutdown, "shutdown"),
        (Reason::Crash, "crash"),
        (Reason::Limit, "limit"),
    ];
    let mut said = HashSet::new();
    for (reason, word) in all {
        assert_eq!((reason.as_str(), Reason::parse(word)), (word, Some(reason)));
        let text = reason.text();
        assert!(text.zh.chars().any(|c| c > '\u{2e80}') && text.en.is_ascii(), "{word}: {text:?}");
        assert!(said.insert(text.en), "{word}: said twice");
    }
}

#[test]
fn a_failed_report_carries_its_error_and_nothing_else() {
    let error = Text::new("坏了", "it broke");
    let report = Report::failed(error.clone());
    assert_eq!(report, Report { error: Some(error), ..Report::new(Outcome::Failed) });
    assert_eq!(Report::new(Outcome::Success).error, None);
}
