//! Bounded output: a `Capture` keeps the first quarter and the last three quarters of what a job
//! prints, and its memory is bounded from the first byte on. Raw bytes are kept and become text only
//! at the end, so that the count of dropped bytes is exact. It does not read from pipes or sockets.

use std::borrow::Cow;

/// Room that is set aside for the line that marks a cut; the line is never longer.
const MARKER_ROOM: usize = 112;

/// The two streams of a run. Their texts together stay within one limit.
#[derive(Debug)]
pub struct Output {
    pub stdout: Capture,
    pub stderr: Capture,
    limit: usize,
}

impl Output {
    /// Keeps at most `limit` bytes of text of both streams together.
    pub fn new(limit: usize) -> Self {
        Self { stdout: Capture::new(limit), stderr: Capture::new(limit), limit }
    }

    /// Begins the output of one repeat. The heading is written only to a stream that gets output.
    pub fn section(&mut self, turn: u32, times: u32) {
        let line = format!("--- {turn}/{times} ---\n");
        self.stdout.heading = Some(line.clone());
        self.stderr.heading = Some(line);
    }

    /// The texts of stdout and stderr. When they do not fit together the larger is shrunk first.
    pub fn finish(self) -> (String, String) {
        let (out, err) = (self.stdout.finish(), self.stderr.finish());
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
}

/// Keeps the first quarter and the last three quarters of what is pushed.
#[derive(Debug)]
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
        let tail = Ring { buf: Vec::new(), start: 0, room: limit - limit / 4, dropped: 0 };
        Self { limit, head: Vec::new(), tail, last: None, heading: None }
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

/// The newest `room` bytes; it grows with its contents and never beyond `room`.
#[derive(Debug)]
struct Ring {
    buf: Vec<u8>,
    /// The oldest byte, once the ring is full.
    start: usize,
    room: usize,
    dropped: u64,
}

impl Ring {
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
