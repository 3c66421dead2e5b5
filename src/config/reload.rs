//! Asking a running server to read its settings again: the signal and the API ask the same way,
//! one request after the other.

use super::ConfigError;
use crate::domain::audit::By;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What a reload changed, by the settings' keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Settings that are in force now.
    pub changed: Vec<&'static str>,
    /// Settings that differ but are read only at start.
    pub needs_restart: Vec<&'static str>,
}

/// How a reload ended; after an error everything is as it was.
pub type Answer = Result<Reloaded, ConfigError>;

/// Asks; a clone asks the same server.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<Request>);

/// Who asks, and where the answer goes.
pub type Request = (Arc<By>, oneshot::Sender<Answer>);

/// What was asked, for the one who reloads.
pub type Requests = mpsc::Receiver<Request>;

pub fn channel() -> (Reloads, Requests) {
    let (ask, asked) = mpsc::channel(1);
    (Reloads(ask), asked)
}

impl Reloads {
    /// Reads the settings again and puts them in force, whole or not at all.
    pub async fn reload(&self, by: Arc<By>) -> Answer {
        let gone = || ConfigError(vec!["the server is shutting down".into()]);
        let (reply, answer) = oneshot::channel();
        self.0.send((by, reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}
