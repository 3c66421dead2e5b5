//! What the server tells about itself: the system log, how it is read back, and the metrics.

mod backwards;
mod daily;
pub mod files;
pub mod log;
pub mod metrics;
pub mod pages;
mod tail;
