//! The lines of the system log as they are written, for those who look on. The thread that writes the
//! file hands them over: whoever logs waits for nobody, and without a listener nothing is copied.

use std::io::{self, Write};
use std::sync::Arc;
use tokio::sync::broadcast;

/// Lines that a slow listener may fall behind before it loses the oldest.
const LINES_MAX: usize = 1_024;

/// Tells lines to whoever listens; a clone tells the same.
#[derive(Clone, Debug)]
pub struct Tail(broadcast::Sender<Arc<str>>);

impl Default for Tail {
    fn default() -> Self {
        Self(broadcast::channel(LINES_MAX).0)
    }
}

impl Tail {
    /// The lines from now on, each a JSON object.
    pub fn listen(&self) -> broadcast::Receiver<Arc<str>> {
        self.0.subscribe()
    }

    /// A writer that also tells what goes through it.
    pub fn tee<W: Write>(&self, inner: W) -> Tee<W> {
        Tee { inner, tail: self.clone() }
    }
}

/// Tells each line that is written. It is given one at a time, by `write_all`: a part of one is not told.
#[derive(Debug)]
pub struct Tee<W> {
    inner: W,
    tail: Tail,
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.inner.write(part)
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        let written = self.inner.write_all(line);
        // Told also when the disk is full: then most of all.
        if self.tail.0.receiver_count() > 0 {
            self.tail.0.send(String::from_utf8_lossy(line).trim_end().into()).ok();
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
