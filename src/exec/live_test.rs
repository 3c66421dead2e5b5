use super::*;
use crate::exec::output::Output;
use crate::exec::secrets::Secrets;
use futures_util::FutureExt;

const KIB: usize = 1024;

struct Run {
    live: Arc<Live>,
    output: Output,
}

fn run(limit: usize) -> Run {
    let live = Arc::default();
    Run { output: Output::new(&live, limit, &Secrets::default()), live }
}

impl Run {
    fn listen(&self) -> Listener {
        self.live.listen().expect("it is not over")
    }
}

/// What there is to read now: the text of each stream and the bytes missed of it.
#[derive(Debug, Default, PartialEq)]
struct Read {
    text: [String; 2],
    missed: [u64; 2],
    is_over: bool,
}

impl Read {
    fn more(&mut self, listener: &mut Listener) {
        while let Some(piece) = listener.next().now_or_never() {
            match piece {
                Some(Piece::Text { stream, text }) => self.text[stream as usize] += &text,
                Some(Piece::Missed { stream, bytes }) => self.missed[stream as usize] += bytes,
                None => {
                    self.is_over = true;
                    return;
                }
            }
        }
    }
}

fn read(listener: &mut Listener) -> Read {
    let mut read = Read::default();
    read.more(listener);
    read
}

#[test]
fn everyone_sees_what_the_record_says_however_it_comes() {
    let text = "计划🦀é\0\n".repeat(300);
    let broken = b"a\xff\x00b\xe4\xbd\xe4".repeat(200);
    for all in [text.as_bytes(), &broken, b"", b"\xe4"] {
        for step in [1, 2, 3, 5, 1000, 100_000] {
            let mut run = run(64 * KIB);
            let (mut first, mut seen) = (run.listen(), Read::default());
            let mut late = None;
            for (i, part) in all.chunks(step).enumerate() {
                run.output.stdout.push(part);
                if i % 3 == 0 {
                    seen.more(&mut first);
                }
                late = late.or_else(|| (i == 7).then(|| run.listen()));
            }
            let mut late = late.unwrap_or_else(|| run.listen());
            let record = run.output.finish();
            seen.more(&mut first);
            let whole = Read { text: [record.0, String::new()], missed: [0, 0], is_over: true };
            assert_eq!(seen, whole, "by {step}");
            assert_eq!(read(&mut late), whole, "late, by {step}");
        }
    }
}

#[test]
fn half_a_character_waits_for_its_rest() {
    let mut run = run(KIB);
    let mut listener = run.listen();
    run.output.stdout.push(b"a\xe8\xae");
    run.output.stderr.push(b"e");
    assert_eq!(read(&mut listener).text, ["a", "e"]);
    run.output.stdout.push(b"\xa1b");
    assert_eq!(read(&mut listener).text, ["计b", ""]);
}

#[test]
fn who_is_too_slow_is_told_how_much_is_missing() {
    // Characters of three bytes, so that what is left begins inside one now and then.
    let all = "计".repeat(100_000);
    for limit in [8 * KIB, 8 * KIB + 1, 8 * KIB + 2, 100 * KIB] {
        for step in [4096, 10_007] {
            let mut run = run(limit);
            let (mut listener, mut late, mut seen) = (run.listen(), run.listen(), Read::default());
            run.output.stdout.push("计".as_bytes());
            seen.more(&mut listener);
            for part in all.as_bytes().chunks(step) {
                run.output.stdout.push(part);
            }
            run.output.stderr.push(b"still there");
            run.output.finish();
            seen.more(&mut listener);
            for read in [seen, read(&mut late)] {
                let text = read.text[0].replace('\u{fffd}', "");
                assert!(read.is_over && read.missed[0] > 0, "{limit} {step}");
                assert!(text.chars().all(|c| c == '计') && read.text[1] == "still there");
                // At each edge of the gap some bytes of a character may be left over.
                let lost = all.len() + 3 - text.len() - usize::try_from(read.missed[0]).unwrap();
                assert!(lost <= 4, "{limit} {step}: {lost}");
            }
        }
    }
}

#[test]
fn a_listener_that_never_reads_takes_no_memory_and_what_nobody_reads_goes() {
    let mut run = run(100 * KIB);
    let idle = [run.listen(), run.listen()];
    let part = vec![b'x'; 64 * KIB];
    for _ in 0..1024 {
        run.output.stdout.push(&part);
        run.output.stderr.push(&part);
    }
    let memory = |live: &Live| live.state().captures.iter().map(Capture::memory).sum::<usize>();
    assert!(memory(&run.live) <= 200 * KIB);
    drop(idle);
    run.output.finish();
    assert_eq!(memory(&run.live), 0);
    assert!(run.live.listen().is_none());
}

#[tokio::test]
async fn a_wait_ends_with_the_next_byte_and_with_the_run() {
    let mut run = run(KIB);
    let mut listener = run.listen();
    let (seen, ()) = tokio::join!(listener.next(), async { run.output.stderr.push(b"x") });
    assert_eq!(seen, Some(Piece::Text { stream: Stream::Stderr, text: "x".into() }));
    let (seen, ()) = tokio::join!(listener.next(), async { run.live.close() });
    assert_eq!(seen, None);
}
