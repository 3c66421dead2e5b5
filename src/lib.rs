//! TimerJobs: runs HTTP calls, shell commands and functions on a schedule, and keeps every run's
//! record.
//!
//! The map, from the outside in (docs/ARCHITECTURE.md has the whole of it):
//! - [`cli`] parses the command line; [`app`] wires everything and serves.
//! - `api` speaks HTTP and holds no logic; `engine` decides and is the only writer of jobs and runs.
//! - `store` keeps them, `exec` does a run's work, `telemetry` writes the log.
//! - `domain` holds the rules, pure; `clock` is the only reader of the time; `config` the settings.

mod api;
pub mod app;
mod cli;
pub mod clock;
pub mod config;
mod domain;
mod engine;
mod exec;
#[doc(hidden)]
pub mod inside;
mod password;
mod private;
mod rights;
mod signals;
mod store;
mod supervisor;
mod telemetry;
mod vault;

pub use cli::main;
pub use domain::UtcMs;
pub use domain::event::Event;
pub use domain::job::JobId;
pub use domain::run::{Outcome, RunId};
pub use telemetry::log;
