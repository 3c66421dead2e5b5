//! The audit log: who did what, from where, and how it was before and after. What must never stand in
//! it: passwords, tokens, their hashes, and values of secrets.

use super::UtcMs;
use super::job::{JobId, JobSpec, Trigger};
use super::run::text_enum;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Names of fields and their values.
pub type Fields = Map<String, Value>;

text_enum! {
    /// What was done.
    Act {
        JobAdd = "job.add",
        JobEdit = "job.edit",
        JobDelete = "job.delete",
        JobRun = "job.run",
        JobRunAll = "job.run_all",
        JobStop = "job.stop",
        JobStopAll = "job.stop_all",
        JobStart = "job.start",
        /// A draft or a function was run once.
        RunTest = "run.test",
        RunStop = "run.stop",
        RunsClear = "runs.clear",
        LogClear = "log.clear",
        LogSwitch = "log.switch",
        FunctionsReload = "functions.reload",
        SettingsReload = "settings.reload",
        Reconcile = "scheduler.reconcile",
        AccessAdd = "access.add",
        AccessRemove = "access.remove",
        AccountAdd = "account.add",
        AccountEdit = "account.edit",
        AccountDelete = "account.delete",
        PasswordChange = "account.password",
        LogIn = "session.login",
        LogInFailed = "session.login_failed",
        LogOut = "session.logout",
        TokenAdd = "token.add",
        TokenDelete = "token.delete",
        SecretAdd = "secret.add",
        SecretEdit = "secret.edit",
        SecretDelete = "secret.delete",
    }
}

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The account's name; `owner` where nobody has to log in, `nobody` before logging in, `system`.
    pub actor: String,
    pub role: &'static str,
    /// `session`, `token` with its name, `open`, or `signal`.
    pub via: String,
    /// The client's address; empty: none.
    pub source: String,
}

impl By {
    /// The server itself, or who may send it signals.
    pub fn system() -> Self {
        Self { actor: "system".into(), role: "", via: "signal".into(), source: String::new() }
    }
}

/// What something was done with, as it was called then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// job, run, account, token, secret, list or function; empty: nothing in particular.
    pub kind: &'static str,
    pub id: String,
    pub name: String,
}

/// One row of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub at: UtcMs,
    pub by: Arc<By>,
    pub act: Act,
    pub target: Target,
    pub before: Option<Fields>,
    pub after: Option<Fields>,
}

impl Entry {
    pub fn new(at: UtcMs, by: Arc<By>, act: Act) -> Self {
        Self { at, by, act, target: Target::default(), before: None, after: None }
    }

    pub fn on(self, kind: &'static str, id: impl ToString, name: impl Into<String>) -> Self {
        Self { target: Target { kind, id: id.to_string(), name: name.into() }, ..self }
    }

    pub fn on_job(self, id: Option<JobId>, name: &str) -> Self {
        self.on("job", id.map_or_else(String::new, |id| id.to_string()), name)
    }

    pub fn before(self, fields: Fields) -> Self {
        Self { before: Some(fields), ..self }
    }

    pub fn after(self, fields: Fields) -> Self {
        Self { after: Some(fields), ..self }
    }

    /// The fields that differ, as they were and as they are.
    pub fn changed(self, mut before: Fields, mut after: Fields) -> Self {
        let same: Vec<String> = before
            .iter()
            .filter(|(name, value)| after.get(*name) == Some(value))
            .map(|(n, _)| n.clone())
            .collect();
        for name in same {
            before.remove(&name);
            after.remove(&name);
        }
        self.before(before).after(after)
    }
}

/// Fields from a JSON object.
pub fn fields(value: Value) -> Fields {
    if let Value::Object(fields) = value { fields } else { Fields::new() }
}

/// What a job is, with the names of the modern API.
pub fn job(spec: &JobSpec) -> Fields {
    let trigger = match &spec.trigger {
        Trigger::Cron(expr) => {
            json!({"type": "cron", "cron": expr, "timezone": spec.timezone.map(|zone| zone.name())})
        }
        Trigger::Interval(seconds) => json!({"type": "interval", "seconds": seconds}),
    };
    fields(json!({
        "name": spec.name,
        "description": spec.desc,
        "trigger": trigger,
        "mode": spec.mode.as_str(),
        "command": spec.command,
        "enabled": spec.enabled,
        "overlap": spec.overlap.as_str(),
        "max_run_count": spec.max_run_count,
        "misfire_policy": spec.misfire_policy.as_str(),
        "misfire_window_seconds": spec.misfire_window.as_secs(),
        "recovery": spec.recovery.as_str(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_what_differs() {
        let entry = Entry::new(UtcMs(0), Arc::new(By::system()), Act::JobEdit);
        let before = fields(json!({"name": "a", "command": "x", "gone": 1}));
        let entry = entry.changed(before, fields(json!({"name": "a", "command": "y", "new": 2})));
        assert_eq!(entry.before, Some(fields(json!({"command": "x", "gone": 1}))));
        assert_eq!(entry.after, Some(fields(json!({"command": "y", "new": 2}))));
    }
}
