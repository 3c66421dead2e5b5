//! Everything that is tested from outside: one binary, its modules mirror the sources.

mod admin;
mod api;
mod cli;
mod copy;
mod crates;
mod deploy;
mod engine;
mod functions;
mod outage;
mod process;
mod readme;
mod secrets;
mod support;
mod tidy;
mod upgrade;
