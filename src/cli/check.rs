//! `config check`: what is set and where it was read, or everything that is wrong with it.

use super::environment;
use crate::config::{self, DEFAULT_FILE, Flags, shown};
use std::process::ExitCode;

pub fn run(flags: &Flags) -> ExitCode {
    let checked = config::check(flags, environment);
    if let Err(wrong) = &checked.config {
        for line in &wrong.0 {
            eprintln!("{line}");
        }
        return ExitCode::FAILURE;
    }
    match &checked.file {
        Some(file) => println!("ok, {}", shown(file)),
        None => println!("ok, no file: there is no {DEFAULT_FILE} in this folder"),
    }
    for given in &checked.given {
        println!("{} = {} ({})", given.key, given.shown, given.origin);
    }
    ExitCode::SUCCESS
}
