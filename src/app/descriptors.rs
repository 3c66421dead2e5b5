//! Open files: the system's usual limit is less than the connections that the settings allow.

use crate::config::Config;

/// Of a run at most: its pipes, its socket or the wire of its worker.
const OF_A_RUN: u64 = 8;
/// Databases, logs, the console's files, and what libraries open.
const OF_OURS: u64 = 256;

/// Raises our limit to what the settings need, no further: commands inherit it, and some programs close
/// every number up to it when they start.
#[cfg(unix)]
pub fn make_room(config: &Config) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = config.clients.connections as u64 + config.jobs.max_concurrent as u64 * OF_A_RUN + OF_OURS;
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|current| *current < wanted) else { return };
    let raised = limit.maximum.map_or(wanted, |most| most.min(wanted));
    let done = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum });
    if done.is_err() || raised < wanted {
        tracing::warn!(
            limit = if done.is_ok() { raised } else { current },
            wanted,
            "fewer open files are allowed than MAX_CONNECTIONS and JOBS_MAX_CONCURRENT may need; raise the limit (ulimit -Hn, LimitNOFILE=) or lower them"
        );
    }
}

#[cfg(not(unix))]
pub fn make_room(_config: &Config) {}
