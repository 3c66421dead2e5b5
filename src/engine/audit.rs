//! Who is at work: the request that is being served says it once, and whatever it changes is told of
//! under that name. The log itself is the store's; see `domain::audit`.

use super::{Engine, Error};
use crate::domain::audit::{Act, By, Entry};
use crate::store::{AuditList, AuditRow, chain};
use std::sync::Arc;

tokio::task_local! {
    static BY: Arc<By>;
}

/// Does the work in this name.
pub async fn as_by<T>(by: By, work: impl Future<Output = T>) -> T {
    BY.scope(Arc::new(by), work).await
}

/// In whose name this is done; outside of a request it is the system itself.
pub fn as_whom() -> Arc<By> {
    BY.try_with(Arc::clone).unwrap_or_else(|_| Arc::new(By::system()))
}

impl Engine {
    /// A row for the log, of now and of who is at work.
    pub fn entry(&self, act: Act) -> Entry {
        Entry::new(self.now(), as_whom(), act)
    }

    /// Tells of what was done outside the database. It is done already, so a database that is away
    /// refuses nothing: the system log then has the row.
    pub async fn note(&self, entry: Entry) {
        if let Err(e) = self.store.note(&entry).await {
            tracing::error!(error = %chain(&e), ?entry, "the audit log cannot be written");
        }
    }

    /// A page of the log, newest first.
    pub async fn audit(&self, of: &AuditList) -> Result<Vec<AuditRow>, Error> {
        Ok(self.store.audit_list(of).await?)
    }
}
