//! What may happen to a commit, on command: for tests of what the engine makes of it.

use super::{Error, Result};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written: the file is locked, the device has an error, the disk is full.
    Refused,
    /// It is written, and nobody is told.
    Unanswered,
    /// The process dies before it is written.
    DiesBefore,
    /// The process dies when it is written, before anybody is told.
    DiesAfter,
}

/// What is to happen next; one for all handles of a store.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    next: Arc<Mutex<Option<Fault>>>,
    /// Small writes that are refused afterwards, so that the database stays away for a while.
    refusals: Arc<AtomicU32>,
    died: Arc<Notify>,
}

impl Faults {
    pub fn arm(&self, fault: Fault, refusals: u32) {
        *self.next() = Some(fault);
        self.refusals.store(refusals, Ordering::Relaxed);
    }

    /// Nothing happens any more; what was armed and did not happen.
    pub fn disarm(&self) -> Option<Fault> {
        self.refusals.store(0, Ordering::Relaxed);
        self.next().take()
    }

    /// Comes back when the process would have died; what it was doing then goes no further.
    pub async fn died(&self) {
        self.died.notified().await;
    }

    fn next(&self) -> std::sync::MutexGuard<'_, Option<Fault>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub async fn strike<T>(&self, commit: impl Future<Output = Result<T>>) -> Result<T> {
        let next = self.next().take();
        match next {
            None => commit.await,
            Some(Fault::Refused) => Err(injected()),
            Some(Fault::Unanswered) => {
                commit.await?;
                Err(injected())
            }
            Some(Fault::DiesBefore) => self.die().await,
            Some(Fault::DiesAfter) => {
                commit.await?;
                self.die().await
            }
        }
    }

    pub fn probe(&self) -> Result<()> {
        let refused = self.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if refused.is_ok() { Err(injected()) } else { Ok(()) }
    }

    async fn die<T>(&self) -> T {
        self.died.notify_one();
        std::future::pending().await
    }
}

fn injected() -> Error {
    Error::Database(sqlx::Error::Io(io::Error::other("injected")))
}
