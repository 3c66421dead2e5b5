//! Bounded output: a `Capture` keeps the first quarter and the last three quarters of what a job
//! prints, and its memory is bounded from the first byte on. Raw bytes are kept and become text only
//! at the end, so that the count of dropped bytes is exact. It does not read from pipes or sockets.

use super::live::{Live, Stream};
use super::secrets::{self, Secrets};
use std::borrow::Cow;
use std::sync::Arc;

/// Room that is set aside for the line that marks a cut; the line is never longer.
const MARKER_ROOM: usize = 112;

/// The two streams of a run. Their texts together stay within one limit.
#[derive(Debug)]
pub struct Output {
    pub stdout: Sink,
    pub stderr: Sink,
    live: Arc<Live>,
    limit: usize,
}

/// Where one stream of a run goes.
#[derive(Debug)]
pub struct Sink {
    live: Arc<Live>,
    stream: Stream,
    masked: secrets::Stream,
}

impl Sink {
    /// Adds what the job printed, without its secrets.
    pub fn push(&mut self, bytes: &[u8]) {
        let shown = self.masked.pass(bytes);
        if !shown.is_empty() {
            self.live.with(self.stream, |capture| capture.push(&shown));
        }
    }

    /// Adds what was held back because a secret could have begun there.
    fn flush(&mut self) {
        let rest = self.masked.rest();
        if !rest.is_empty() {
            self.live.with(self.stream, |capture| capture.push(&rest));
        }
    }
}

impl Output {
    /// Keeps at most `limit` bytes of text of both streams together, in sight of those who look on.
    pub fn new(live: &Arc<Live>, limit: usize, secrets: &Secrets) -> Self {
        live.begin(limit);
        let sink = |stream| Sink { live: live.clone(), stream, masked: secrets.stream() };
        Self { stdout: sink(Stream::Stdout), stderr: sink(Stream::Stderr), live: live.clone(), limit }
    }

    /// Begins the output of one repeat. The heading is written only to a stream that gets output.
    pub fn section(&mut self, turn: u32, times: u32) {
        let line = format!("--- {turn}/{times} ---\n");
        self.flush();
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.live.with(stream, |capture| capture.heading = Some(line.clone()));
        }
    }

    /// The texts of stdout and stderr. When they do not fit together the larger is shrunk first.
    pub fn finish(mut self) -> (String, String) {
        self.flush();
        let [out, err] = self.live.finish().map(Capture::finish);
        let (out_len, err_len) = (out.text_len(self.limit), err.text_len(self.limit));
        if out_len.saturating_add(err_len) <= self.limit {
            return (out.into_text(self.limit), err.into_text(self.limit));
        }
        let half = self.limit / 2;
        let (out_room, err_room) = if err_len <= half {
            (self.limit - err_len, err_len)
        } else if out_len <= half {
            (out_len, self.limit - out_len)
        } else {
            (half, half)
        };
        (out.into_text(out_room), err.into_text(err_room))
    }

    fn flush(&mut self) {
        self.stdout.flush();
        self.stderr.flush();
    }
}

/// Keeps the first quarter and the last three quarters of what is pushed.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    limit: usize,
    head: Vec<u8>,
    tail: Ring,
    last: Option<u8>,
    /// Written before the next bytes, on a line of its own.
    heading: Option<String>,
}

impl Capture {
    pub fn new(limit: usize) -> Self {
        let tail = Ring { room: limit - limit / 4, ..Ring::default() };
        Self { limit, tail, ..Self::default() }
    }

    /// Adds what the job printed; what does not fit displaces the oldest bytes of the tail.
    pub fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Some(heading) = self.heading.take() {
            if self.last.is_some_and(|b| b != b'\n') {
                self.keep(b"\n");
            }
            self.keep(heading.as_bytes());
        }
        self.keep(bytes);
    }

    /// At most `most` bytes of what follows the first `at` that were pushed, as far as they are kept.
    pub fn after(&self, at: u64, most: usize) -> Window {
        let (head, dropped) = (self.head.len() as u64, self.tail.dropped);
        if at >= head {
            let missed = (head + dropped).saturating_sub(at);
            let bytes = if missed > 0 { Vec::new() } else { self.tail.after(at - head - dropped, most) };
            return Window { missed, bytes, is_cut: false };
        }
        let rest = after(&self.head, at);
        let mut bytes = rest[..most.min(rest.len())].to_vec();
        let is_whole = bytes.len() == rest.len();
        if is_whole && dropped == 0 {
            bytes.extend(self.tail.after(0, most - bytes.len()));
        }
        Window { missed: 0, bytes, is_cut: is_whole && dropped > 0 }
    }

    /// What was kept, ready to become text.
    pub fn finish(self) -> Clip {
        let mut tail = self.tail.buf;
        tail.rotate_left(self.tail.start);
        if self.tail.dropped > 0 {
            return Clip { head: self.head, tail, dropped: self.tail.dropped };
        }
        let mut head = self.head;
        head.extend_from_slice(&tail);
        Clip { head, tail: Vec::new(), dropped: 0 }
    }

    /// The text, within the limit of the capture.
    pub fn into_text(self) -> String {
        let limit = self.limit;
        self.finish().into_text(limit)
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = (self.limit / 4).saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        grow(&mut self.head, room, self.limit / 4);
        self.head.extend_from_slice(first);
        self.tail.push(rest);
        self.last = bytes.last().copied().or(self.last);
    }
}

/// Part of what a capture keeps.
#[derive(Debug)]
pub struct Window {
    /// So many bytes that were asked for are gone; the others come with the next question.
    pub missed: u64,
    pub bytes: Vec<u8>,
    /// What follows these bytes is gone.
    pub is_cut: bool,
}

fn after(bytes: &[u8], at: u64) -> &[u8] {
    usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default()
}

/// The newest `room` bytes; it grows with its contents and never beyond `room`.
#[derive(Clone, Debug, Default)]
struct Ring {
    buf: Vec<u8>,
    /// The oldest byte, once the ring is full.
    start: usize,
    room: usize,
    dropped: u64,
}

impl Ring {
    /// At most `most` bytes after the oldest `at`.
    fn after(&self, at: u64, most: usize) -> Vec<u8> {
        let (old, new) = (&self.buf[self.start..], &self.buf[..self.start]);
        let (old, new) = (after(old, at), after(new, at.saturating_sub(old.len() as u64)));
        let first = &old[..most.min(old.len())];
        [first, &new[..(most - first.len()).min(new.len())]].concat()
    }

    fn push(&mut self, bytes: &[u8]) {
        let skipped = bytes.len().saturating_sub(self.room);
        let bytes = &bytes[skipped..];
        let fresh = (self.room - self.buf.len()).min(bytes.len());
        grow(&mut self.buf, fresh, self.room);
        self.buf.extend_from_slice(&bytes[..fresh]);
        let mut rest = &bytes[fresh..];
        self.dropped = self.dropped.saturating_add((skipped + rest.len()) as u64);
        while !rest.is_empty() {
            let n = rest.len().min(self.buf.len() - self.start);
            self.buf[self.start..self.start + n].copy_from_slice(&rest[..n]);
            self.start = (self.start + n) % self.buf.len();
            rest = &rest[n..];
        }
    }
}

/// Makes room for `more` bytes by doubling, but not beyond `limit`: `Vec`'s own growth would take up
/// to twice the bound.
fn grow(buf: &mut Vec<u8>, more: usize, limit: usize) {
    let need = buf.len() + more;
    if need > buf.capacity() {
        let target = need.max((buf.capacity() * 2).min(limit));
        buf.reserve_exact(target - buf.len());
    }
}

/// What a capture kept: everything in `head`, or both ends around `dropped` bytes.
#[derive(Debug)]
pub struct Clip {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: u64,
}

impl Clip {
    /// The length of the text, exact below `limit` and at least `limit` above it.
    fn text_len(&self, limit: usize) -> usize {
        // A cut clip has filled its own limit, and a broken byte or a NUL triples when it becomes text.
        if self.dropped > 0 { limit } else { text_len(&self.head) }
    }

    /// The text within `limit` bytes, with a line that marks the cut when something is missing.
    pub fn into_text(self, limit: usize) -> String {
        if self.dropped == 0 && text_len(&self.head) <= limit {
            return to_text(&self.head);
        }
        let cut = self.dropped > 0;
        // A limit with no room for the marker is nobody's real setting; the head alone is then kept.
        let room = limit.saturating_sub(MARKER_ROOM);
        let head = &self.head[..prefix(&self.head, if room == 0 { limit } else { room / 4 })];
        if room == 0 {
            return to_text(head);
        }
        let source = if cut { &self.tail } else { &self.head };
        let start = suffix(source, room - room / 4);
        // When nothing had been dropped before, both ends are cut out of the one slice.
        let missing = if cut { self.head.len() - head.len() + start } else { start - head.len() };
        let dropped = self.dropped.saturating_add(missing as u64);
        let marker = format!("\n--- {dropped} bytes cut / 已截去 {dropped} 字节 ---\n");
        [to_text(head).as_str(), &marker, &to_text(&source[start..])].concat()
    }
}

/// The characters that `bytes` become, each with the number of bytes it takes from them. Broken
/// UTF-8 and NUL, which PostgreSQL and many readers refuse, become U+FFFD.
fn units(bytes: &[u8]) -> impl Iterator<Item = (usize, char)> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let broken = chunk.invalid().len();
        let good = chunk
            .valid()
            .chars()
            .map(|c| (c.len_utf8(), if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }));
        good.chain((broken > 0).then_some((broken, char::REPLACEMENT_CHARACTER)))
    })
}

fn text_len(bytes: &[u8]) -> usize {
    units(bytes).map(|(_, c)| c.len_utf8()).sum()
}

/// The text of the whole characters, and how many bytes they are. A character whose rest may still
/// come is left out, unless these bytes are the last.
pub fn text_so_far(bytes: &[u8], is_last: bool) -> (String, usize) {
    let may_go_on = |end: &[u8]| std::str::from_utf8(end).is_err_and(|e| e.error_len().is_none());
    let end = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    let whole = if !is_last && may_go_on(end) { bytes.len() - end.len() } else { bytes.len() };
    (to_text(&bytes[..whole]), whole)
}

fn to_text(bytes: &[u8]) -> String {
    match String::from_utf8_lossy(bytes) {
        text if text.contains('\0') => text.replace('\0', "\u{fffd}"),
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    }
}

/// How many leading bytes become at most `room` bytes of text. A character that the end of `bytes`
/// splits is left out with the rest: the marker takes more room from both ends than a character.
fn prefix(bytes: &[u8], room: usize) -> usize {
    let (mut end, mut used) = (0, 0);
    for (n, c) in units(bytes) {
        used += c.len_utf8();
        if used > room {
            break;
        }
        end += n;
    }
    end
}

/// Where the trailing bytes that become at most `room` bytes of text begin.
fn suffix(bytes: &[u8], room: usize) -> usize {
    let (mut start, mut left) = (0, text_len(bytes));
    for (n, c) in units(bytes) {
        if left <= room {
            break;
        }
        left -= c.len_utf8();
        start += n;
    }
    start
}

#[cfg(test)]
#[path = "output_test.rs"]
mod tests;
