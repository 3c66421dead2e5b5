//! What is known of the way to a database server, shared by all connections to it: how long the
//! engine waits for an answer, and whether the server was away a moment ago.
//!
//! A server that fails over, or whose packets are dropped, tells nobody. Without limits of our own a
//! commit would hang for as long as TCP tries, and the server that came back would wait for us.

use super::Error;
use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long the engine waits for one statement of a commit at first, and for a sign of life. An
/// answer takes milliseconds; two tries of TCP to connect fit in (after 0 and 1 s).
pub(super) const FIRST_PATIENCE: Duration = Duration::from_secs(3);

/// The same once we are stopping: the whole of it must end in time.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// MySQL: shutting down; read only, by an option, a transaction or the storage engine; killed.
const GOING_MYSQL: [u16; 5] = [1053, 1290, 1792, 1836, 1927];
/// PostgreSQL: read only; shutting down, crashed, starting.
const GOING_POSTGRES: [&str; 4] = ["25006", "57P01", "57P02", "57P03"];

#[derive(Debug)]
pub(super) struct Link {
    /// The last word was a failure: what is idle since before that is not trusted, and nobody waits
    /// long for a connection.
    away: AtomicBool,
    /// A commit ran out of time, and nobody knows yet whether the server is slow or gone.
    in_doubt: AtomicBool,
    patience_ms: AtomicU64,
}

impl Default for Link {
    fn default() -> Self {
        let patience_ms = AtomicU64::new(millis(FIRST_PATIENCE));
        Self { away: AtomicBool::new(false), in_doubt: AtomicBool::new(false), patience_ms }
    }
}

impl Link {
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Takes note of how a statement, or getting a connection, ended.
    pub fn note<T>(&self, done: &Result<T, Error>) {
        self.away.store(done.as_ref().is_err_and(breaks), Ordering::Relaxed);
    }

    /// A connection turned out to be dead.
    pub fn lost(&self) {
        self.away.store(true, Ordering::Relaxed);
    }

    /// How long a statement of a commit may take.
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms.load(Ordering::Relaxed))
    }

    /// How long a sign of life may take.
    pub fn probe_patience(&self) -> Duration {
        self.patience().min(FIRST_PATIENCE)
    }

    /// Leaves little patience, until a commit goes through.
    pub fn hurry(&self) {
        self.adapt(|_| millis(LAST_PATIENCE));
    }

    /// Takes note of how a commit ended: patience that was needed goes again only slowly.
    pub fn note_commit<T>(&self, done: &Result<T, Error>) {
        self.in_doubt.store(matches!(done, Err(Error::TimedOut(_))), Ordering::Relaxed);
        if done.is_ok() {
            self.adapt(|ms| (ms - ms / 10).max(millis(FIRST_PATIENCE)));
        }
    }

    /// The server took a small write. When a commit ran out of time just before, it is slow, and the
    /// next commit gets more.
    pub fn note_life(&self, most: Duration) {
        if self.in_doubt.swap(false, Ordering::Relaxed) {
            self.adapt(|ms| (ms * 2).min(millis(most).max(millis(FIRST_PATIENCE))));
        }
    }

    fn adapt(&self, change: impl Fn(u64) -> u64) {
        let update =
            self.patience_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ms| Some(change(ms)));
        update.ok();
    }
}

/// Whether nothing more is to be expected of the connection on which this happened. A refusal of one
/// statement leaves it in order.
pub(super) fn breaks(e: &Error) -> bool {
    match e {
        Error::Database(sqlx::Error::Database(e)) => is_going(e.as_ref()),
        // These are about what came back, not about the way.
        Error::Database(
            sqlx::Error::RowNotFound | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_),
        ) => false,
        Error::Database(_) | Error::TimedOut(_) => true,
        Error::FileGone(_) | Error::Data(_) | Error::TakenOver => false,
    }
}

/// The server goes away, or takes no writes any more: after a failover the connections to the old
/// primary would go on to read there.
fn is_going(e: &dyn DatabaseError) -> bool {
    match e.try_downcast_ref::<MySqlDatabaseError>() {
        Some(e) => GOING_MYSQL.contains(&e.number()),
        None => e.code().is_some_and(|code| GOING_POSTGRES.contains(&code.as_ref())),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(30);

    fn timed_out() -> Result<(), Error> {
        Err(Error::TimedOut(3))
    }

    #[test]
    fn a_slow_server_gets_more_time_and_a_dead_one_does_not() {
        let link = Link::default();
        for _ in 0..10 {
            link.note_commit(&timed_out());
            link.note_commit(&Err::<(), _>(Error::Database(sqlx::Error::PoolTimedOut)));
            link.note_life(MOST);
        }
        assert_eq!(link.patience(), FIRST_PATIENCE, "it was gone, not slow");
        for seconds in [6, 12, 24, 30, 30] {
            link.note_commit(&timed_out());
            link.note_life(MOST);
            assert_eq!(link.patience(), Duration::from_secs(seconds));
        }
        link.note_life(MOST);
        link.note_commit(&Ok(()));
        assert_eq!((link.patience(), link.probe_patience()), (Duration::from_secs(27), FIRST_PATIENCE));
        for _ in 0..30 {
            link.note_commit(&Ok(()));
        }
        assert_eq!(link.patience(), FIRST_PATIENCE);
        link.hurry();
        assert_eq!((link.patience(), link.probe_patience()), (LAST_PATIENCE, LAST_PATIENCE));
    }
}
