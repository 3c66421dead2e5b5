//! The rules of the product, pure: no runtime, database, network, file or clock.
//!
//! Glossary, one meaning each:
//! - **job**: what to run and when. **trigger**: the rule that says when (`schedule`).
//! - **fire**: a pair (job, scheduled instant in UTC). Every due fire is decided exactly once.
//! - **misfire**: a fire not started within the lateness limit after its instant.
//! - **run**: the recorded work of one fire or of one manual request. **attempt**: one start of a run.
//! - **outcome**: how a run ended. **clock epoch**: counts the times the wall clock was set back.

pub mod access;
pub mod account;
pub mod action;
pub mod audit;
pub mod egress;
pub mod event;
pub mod ip_changes;
pub mod job;
pub mod plan;
pub mod run;
pub mod schedule;
pub mod secret;
pub mod service;
pub mod text;
pub mod time;

pub use text::{FieldError, Text};
pub use time::UtcMs;
