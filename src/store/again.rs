//! A batch that the server undid because two transactions stood in each other's way is tried again
//! at once: it was rolled back for certain, so nothing of it can be there twice.

use super::{Batch, Committed, Error, Result, Store};
use sqlx::mysql::MySqlDatabaseError;

/// Further attempts after the first; whoever loses more often waits with the rest of the engine.
const RETRIES: u32 = 4;
/// MySQL: deadlock; the wait for a lock took too long.
const MYSQL: [u16; 2] = [1213, 1205];
/// PostgreSQL: serialization failure; deadlock.
const POSTGRES: [&str; 2] = ["40001", "40P01"];

impl Store {
    /// Makes the batch durable as a whole, or not at all: after an error nothing is known but that
    /// the commit itself may have gone through.
    pub async fn commit(&self, batch: &Batch) -> Result<Committed> {
        self.still_there()?;
        let done = self.try_commit(batch);
        #[cfg(test)]
        let done = self.faults.strike(done);
        let done = done.await;
        if let Some(server) = self.write.server() {
            server.link.note_commit(&done);
        }
        done
    }

    async fn try_commit(&self, batch: &Batch) -> Result<Committed> {
        for _ in 0..RETRIES {
            match self.commit_once(batch).await {
                Err(e) if undone(&e) => {
                    tracing::debug!("the transaction lost against another one; it is tried again");
                }
                done => return done,
            }
        }
        self.commit_once(batch).await
    }
}

/// Whether the server rolled the transaction back and another attempt may succeed.
fn undone(e: &Error) -> bool {
    let Error::Database(sqlx::Error::Database(e)) = e else { return false };
    match e.try_downcast_ref::<MySqlDatabaseError>() {
        Some(e) => MYSQL.contains(&e.number()),
        None => e.code().is_some_and(|code| POSTGRES.contains(&code.as_ref())),
    }
}
