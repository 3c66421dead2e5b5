//! What the server says about itself: the log now, metrics later.

pub mod log;
