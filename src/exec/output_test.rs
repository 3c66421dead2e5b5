use super::*;

impl Capture {
    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.head.capacity() + self.tail.buf.capacity()
    }
}

const KIB: usize = 1024;

fn capture(limit: usize, parts: &[&[u8]]) -> Capture {
    let mut capture = Capture::new(limit);
    parts.iter().for_each(|part| capture.push(part));
    capture
}

/// The number that the cut marker names.
fn dropped(text: &str) -> usize {
    let (_, rest) = text.split_once("\n--- ").expect("a cut marker");
    rest.split_once(" bytes cut").expect("a cut marker").0.parse().expect("a number")
}

#[test]
fn small_output_is_kept_as_it_is_and_takes_little_memory() {
    let capture = capture(1024 * KIB, &[b"0123456789"]);
    assert!(capture.memory() < 64);
    assert_eq!(capture.into_text(), "0123456789");
}

#[test]
fn exactly_the_limit_is_not_cut() {
    let all: Vec<u8> = (0..4 * KIB).map(|i| b'a' + (i % 26) as u8).collect();
    for step in [1, 7, 1000, 4096] {
        let parts: Vec<&[u8]> = all.chunks(step).collect();
        assert_eq!(capture(4 * KIB, &parts).into_text().as_bytes(), all, "pushed by {step}");
    }
}

#[test]
fn a_flood_keeps_its_first_quarter_and_its_last_three() {
    let limit = 64 * KIB;
    let all: Vec<u8> = (0..1_000_000u32).flat_map(|i| format!("{i:07}\n").into_bytes()).collect();
    for step in [3, 4096, 100_000, all.len()] {
        let mut capture = Capture::new(limit);
        for part in all.chunks(step) {
            capture.push(part);
            assert!(capture.memory() <= limit, "memory is bounded");
        }
        let text = capture.into_text();
        assert!(text.len() <= limit && text.len() > limit - 2 * MARKER_ROOM, "{}", text.len());
        let head = text.find("\n--- ").expect("a cut marker");
        let tail = text.find("字节 ---\n").expect("a cut marker") + "字节 ---\n".len();
        assert_eq!(&text.as_bytes()[..head], &all[..head], "pushed by {step}");
        assert_eq!(&text.as_bytes()[tail..], &all[all.len() - (text.len() - tail)..], "pushed by {step}");
        assert!(head.abs_diff(limit / 4) <= MARKER_ROOM, "head {head}");
        assert_eq!(dropped(&text), all.len() - head - (text.len() - tail), "pushed by {step}");
    }
}

#[test]
fn broken_utf8_and_nul_become_replacement_characters_within_the_limit() {
    let text = capture(KIB, &[b"a\xff\x00b\xe4\xbd"]).into_text();
    assert_eq!(text, "a\u{fffd}\u{fffd}b\u{fffd}");
    // 1,000 bytes fit raw, but not as 3,000 bytes of text.
    let text = capture(KIB, &[&[0; 1000]]).into_text();
    assert!(text.len() <= KIB && !text.contains('\0'));
    let kept = text.chars().filter(|c| *c == '\u{fffd}').count();
    assert_eq!(dropped(&text), 1000 - kept);
}

#[test]
fn a_character_split_between_two_pushes_or_head_and_tail_stays_whole() {
    let all = "计划任务".repeat(20);
    for limit in all.len()..all.len() + 12 {
        let parts: Vec<&[u8]> = all.as_bytes().chunks(1).collect();
        assert_eq!(capture(limit, &parts).into_text(), all, "limit {limit}");
    }
}

#[test]
fn no_cut_shows_half_a_character() {
    for shift in 0..12 {
        let all = format!("{}{}", "x".repeat(shift), "计🦀é".repeat(2000));
        for limit in [1000, 1001, 1002, 1003] {
            let text = capture(limit, &[all.as_bytes()]).into_text();
            assert!(text.len() <= limit);
            assert!(!text.contains('\u{fffd}'), "shift {shift}, limit {limit}: {text:?}");
            let marker = text.lines().find(|l| l.starts_with("--- ")).expect("a cut marker").len() + 2;
            assert_eq!(dropped(&text), all.len() - (text.len() - marker));
        }
    }
}

#[test]
fn the_larger_stream_gives_way_first() {
    let limit = 8 * KIB;
    let lengths = |out: usize, err: usize| {
        let mut output = Output::new(&Arc::default(), limit, &Secrets::default());
        output.stdout.push(&vec![b'o'; out]);
        output.stderr.push(&vec![b'e'; err]);
        let (out, err) = output.finish();
        assert!(out.len() + err.len() <= limit, "{} + {}", out.len(), err.len());
        (out.len(), err.len())
    };
    assert_eq!(lengths(4 * KIB, 4 * KIB), (4 * KIB, 4 * KIB));
    assert_eq!(lengths(100 * KIB, 100).1, 100);
    assert_eq!(lengths(7 * KIB, 2 * KIB).1, 2 * KIB);
    assert_eq!(lengths(100, 100 * KIB).0, 100);
    let (out, err) = lengths(100 * KIB, 6 * KIB);
    assert!(out > 3 * KIB && err > 3 * KIB, "{out}, {err}");
}

#[test]
fn headings_stand_on_their_own_lines_and_only_before_output() {
    let mut output = Output::new(&Arc::default(), KIB, &Secrets::default());
    for turn in 1..=3 {
        output.section(turn, 3);
        if turn != 2 {
            output.stdout.push(b"no newline");
        }
    }
    let (out, err) = output.finish();
    assert_eq!(out, "--- 1/3 ---\nno newline\n--- 3/3 ---\nno newline");
    assert_eq!(err, "");
}

#[test]
fn absurd_limits_do_no_harm() {
    for limit in 0..300 {
        for len in [0, 1, limit, limit + 1, 10 * limit + 7] {
            let text = capture(limit, &[&vec![0xe4; len]]).into_text();
            assert!(text.len() <= limit, "limit {limit}, len {len}");
        }
    }
}
