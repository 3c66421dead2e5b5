//! Looking on while a run prints: which runs are at work and what each printed (`Hub`), and following
//! one run from wherever it is to its record (`Follow`). The output itself is `exec::live`'s; what a run
//! at work holds goes when it ends.

use super::{Engine, Error};
use crate::domain::event::Event;
use crate::domain::run::{Outcome, RunId};
use crate::exec::live::{Listener, Live, Piece, Stream};
use crate::store::RunRecord;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// The output of the runs at work.
#[derive(Clone, Debug, Default)]
pub(super) struct Hub(Arc<Mutex<HashMap<RunId, Arc<Live>>>>);

impl Hub {
    /// Makes a run's output known until what this gives back is dropped.
    pub fn open(&self, run: RunId) -> Opened {
        let live = Arc::<Live>::default();
        self.runs().insert(run, live.clone());
        Opened { hub: self.clone(), run, live }
    }

    fn listen(&self, run: RunId) -> Option<Listener> {
        self.runs().get(&run)?.listen()
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Live>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run at work. Its end, however it comes, is the end of this.
#[derive(Debug)]
pub(super) struct Opened {
    hub: Hub,
    run: RunId,
    pub live: Arc<Live>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.hub.runs().remove(&self.run);
        self.live.close();
    }
}

/// What comes of following a run.
#[derive(Debug)]
pub enum Step {
    Printed(Piece),
    /// The last: the run's record.
    Ended(Box<RunRecord>),
}

/// One that follows a run.
#[derive(Debug)]
pub struct Follow {
    engine: Engine,
    run: RunId,
    at: At,
    /// Its output was seen while it was printed, so the record's is not shown again.
    is_seen: bool,
}

#[derive(Debug)]
enum At {
    /// It is to be found out where the run is.
    Unknown,
    Work(Listener),
    /// Its record; what is still to be shown of it, the last first.
    Record(Box<RunRecord>, Vec<Piece>),
    End,
}

impl Engine {
    /// Follows a run, from what it printed first to its record; `None`: there is no such run.
    pub async fn follow(&self, run: RunId) -> Result<Option<Follow>, Error> {
        let at = match self.live.listen(run) {
            Some(listener) => At::Work(listener),
            None if self.run_record(run).await?.is_some() => At::Unknown,
            None => return Ok(None),
        };
        Ok(Some(Follow { engine: self.clone(), run, at, is_seen: false }))
    }
}

impl Follow {
    /// What comes next; `None` after the last, or when the server or the record is gone.
    pub async fn next(&mut self) -> Result<Option<Step>, Error> {
        loop {
            match &mut self.at {
                At::Unknown => self.at = self.find().await?,
                At::Work(listener) => {
                    let piece = tokio::select! {
                        biased;
                        piece = listener.next() => piece,
                        // A run that does not even answer KILL is given up with the engine.
                        () = self.engine.commands.closed() => None,
                    };
                    self.is_seen = true;
                    match piece {
                        Some(piece) => return Ok(Some(Step::Printed(piece))),
                        None => self.at = At::Unknown,
                    }
                }
                At::Record(_, rest) if !rest.is_empty() => return Ok(rest.pop().map(Step::Printed)),
                at => {
                    let At::Record(record, _) = std::mem::replace(at, At::End) else { return Ok(None) };
                    return Ok(Some(Step::Ended(record)));
                }
            }
        }
    }

    /// Waits until the run is at work or has its final record.
    async fn find(&self) -> Result<At, Error> {
        loop {
            // Both before the look: what happens after it is an event, or the engine's last word.
            let is_last = self.engine.commands.is_closed();
            let mut events = self.engine.subscribe();
            if !is_last && let Some(listener) = self.engine.live.listen(self.run) {
                return Ok(At::Work(listener));
            }
            match self.engine.run_record(self.run).await? {
                Some(record) if is_final(&record) => {
                    let rest = if self.is_seen { Vec::new() } else { stored(&record) };
                    return Ok(At::Record(Box::new(record), rest));
                }
                None => return Ok(At::End),
                Some(_) if is_last => return Ok(At::End),
                Some(_) => self.told(&mut events).await,
            }
        }
    }

    /// Waits until there may be news of the run.
    async fn told(&self, events: &mut Receiver<Event>) {
        let news = async {
            loop {
                match events.recv().await {
                    Ok(Event::RunStarted { run, .. } | Event::RunEnded { run, .. }) if run == self.run => {
                        return;
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return,
                }
            }
        };
        tokio::select! {
            () = news => {}
            () = self.engine.commands.closed() => {}
        }
    }
}

fn is_final(record: &RunRecord) -> bool {
    Outcome::parse(&record.outcome).is_some_and(Outcome::is_final)
}

/// The output as it is in the record, the last first.
fn stored(record: &RunRecord) -> Vec<Piece> {
    let streams = [(Stream::Stderr, &record.stderr), (Stream::Stdout, &record.stdout)];
    let printed = streams.into_iter().filter_map(|(stream, text)| Some((stream, text.clone()?)));
    printed.filter(|(_, text)| !text.is_empty()).map(|(stream, text)| Piece::Text { stream, text }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_kept_of_a_run_that_has_ended() {
        let hub = Hub::default();
        let run = RunId(7);
        let opened = hub.open(run);
        let mut listener = hub.listen(run).unwrap();
        drop(opened);
        assert_eq!(listener.next().await, None);
        assert!(hub.listen(run).is_none() && hub.runs().is_empty());
    }
}
