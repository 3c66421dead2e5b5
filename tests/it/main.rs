//! Everything that is tested from outside: one binary, its modules mirror the sources.

mod admin;
mod api;
mod cli;
mod deploy;
mod engine;
mod functions;
mod process;
mod readme;
mod support;
mod tidy;
mod upgrade;
