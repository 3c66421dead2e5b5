//! The engine through its API, with a clock that the test moves.

mod bounds;
mod clock;
mod egress;
mod fires;
mod functions;
mod limits;
mod overlap;
mod recovery;
mod shutdown;
mod trouble;
mod upgrade;

use crate::support::TestApp;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A command job that runs until its gate is opened.
pub struct Gate(PathBuf);

impl Gate {
    pub fn new(app: &TestApp, name: &str) -> Self {
        Self(app.folder().join(name))
    }

    pub fn command(&self) -> String {
        format!("【command】while [ ! -e '{}' ]; do sleep 0.02; done\n【timeout】60", self.0.display())
    }

    pub fn open(&self) {
        std::fs::write(&self.0, "").unwrap();
    }
}

/// The fields of a command job that waits at the gate.
pub fn gated(gate: &Gate, fields: Value) -> Value {
    let mut job = json!({"mode": "command", "command": gate.command()});
    job.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    job
}

pub fn column<'a>(runs: &'a [Value], name: &str) -> Vec<&'a str> {
    runs.iter().map(|run| run[name].as_str().unwrap_or("")).collect()
}
