//! What a run prints, to be looked at while it prints. The run writes into the two captures that its
//! record will be made of, and who looks on reads out of the same captures, each from a place of its
//! own. So nothing is copied while nobody looks, a listener has no queue that could grow, and the run
//! never waits for one: who is too slow finds that a capture has moved on, and is told what is missing.

use super::output::{Capture, text_so_far};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Bytes that a listener takes at a time; the run may have to wait while they are copied.
const PIECE: usize = 32 * 1024;
/// Bytes of a character beyond its first.
const CONTINUATION_MAX: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// What a listener is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Whole characters, each as the record has it.
    Text { stream: Stream, text: String },
    /// The listener was too slow, or came too late, for so many bytes.
    Missed { stream: Stream, bytes: u64 },
}

/// The output of one run, shared by the run and those who look on.
#[derive(Debug, Default)]
pub struct Live {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By `Stream`.
    captures: [Capture; 2],
    listeners: usize,
    /// Nothing more is printed.
    is_over: bool,
}

impl Live {
    /// From what was printed first; `None`: it is over.
    pub fn listen(self: &Arc<Self>) -> Option<Listener> {
        let mut state = self.state();
        if state.is_over {
            return None;
        }
        state.listeners += 1;
        Some(Listener { live: self.clone(), places: [Place::default(); 2], next: Stream::Stdout })
    }

    /// Nothing more comes: those who look on read what is left.
    pub fn close(&self) {
        self.state().is_over = true;
        self.changed.notify_waiters();
    }

    pub(super) fn begin(&self, limit: usize) {
        self.state().captures = [Capture::new(limit), Capture::new(limit)];
    }

    pub(super) fn with(&self, stream: Stream, change: impl FnOnce(&mut Capture)) {
        let mut state = self.state();
        change(&mut state.captures[stream as usize]);
        let is_watched = state.listeners > 0;
        drop(state);
        if is_watched {
            self.changed.notify_waiters();
        }
    }

    /// Ends it and gives back what was kept; a copy of it, when somebody has yet to read it.
    pub(super) fn finish(&self) -> [Capture; 2] {
        let mut state = self.state();
        state.is_over = true;
        let kept =
            if state.listeners > 0 { state.captures.clone() } else { std::mem::take(&mut state.captures) };
        drop(state);
        self.changed.notify_waiters();
        kept
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that looks on.
#[derive(Debug)]
pub struct Listener {
    live: Arc<Live>,
    /// By `Stream`.
    places: [Place; 2],
    /// Whose turn it is: a flood on one stream must not hide the other.
    next: Stream,
}

/// How far a stream has been read.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    at: u64,
    /// Bytes are missing before it, perhaps the first of a character.
    is_torn: bool,
}

/// What one look at a stream finds.
enum Look {
    Found(Piece),
    Wait,
    Over,
}

impl Listener {
    /// What comes next; `None`: all has been read and nothing more comes. It may be dropped while it
    /// waits: nothing is lost.
    pub async fn next(&mut self) -> Option<Piece> {
        let live = self.live.clone();
        loop {
            // Made before the look: what is printed after the look ends the wait.
            let changed = live.changed.notified();
            let first = self.next;
            let second = if first == Stream::Stdout { Stream::Stderr } else { Stream::Stdout };
            self.next = second;
            match self.look(first) {
                Look::Found(piece) => return Some(piece),
                look => match (look, self.look(second)) {
                    (_, Look::Found(piece)) => {
                        self.next = first;
                        return Some(piece);
                    }
                    (Look::Over, Look::Over) => return None,
                    _ => changed.await,
                },
            }
        }
    }

    fn look(&mut self, stream: Stream) -> Look {
        let place = &mut self.places[stream as usize];
        loop {
            let (window, is_over) = {
                let state = self.live.state();
                (state.captures[stream as usize].after(place.at, PIECE), state.is_over)
            };
            if window.missed > 0 {
                *place = Place { at: place.at + window.missed, is_torn: true };
                return Look::Found(Piece::Missed { stream, bytes: window.missed });
            }
            if window.bytes.is_empty() {
                return if is_over { Look::Over } else { Look::Wait };
            }
            let skipped = if place.is_torn { continuations(&window.bytes) } else { 0 };
            let is_last = window.is_cut || (is_over && window.bytes.len() < PIECE);
            let (text, used) = text_so_far(&window.bytes[skipped..], is_last);
            *place = Place { at: place.at + (skipped + used) as u64, is_torn: false };
            if !text.is_empty() {
                return Look::Found(Piece::Text { stream, text });
            }
            if skipped + used == 0 {
                // The rest of a character is still to come.
                return Look::Wait;
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.live.state().listeners -= 1;
    }
}

/// The bytes at the start that only end a character.
fn continuations(bytes: &[u8]) -> usize {
    bytes.iter().take(CONTINUATION_MAX).take_while(|b| *b & 0b1100_0000 == 0b1000_0000).count()
}

#[cfg(test)]
#[path = "live_test.rs"]
mod tests;
