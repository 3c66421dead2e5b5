//! A draft looked at before it is saved: what is wrong with it, when it would fire, and what people
//! should know of that.

use super::draft::{draft, renamed};
use super::transfer::name_taken;
use super::views::Fire;
use crate::api::Api;
use crate::api::answer::Answer;
use crate::api::extract::{Call, Lang};
use crate::api::problem::BadField;
use crate::domain::Text;
use crate::domain::action::{Mode, text};
use crate::domain::job::JobDraft;
use crate::domain::schedule::warnings::Warning;
use crate::engine::Error;
use axum::http::StatusCode;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// Instants that are shown.
const FIRES: usize = 10;

/// What is to be said of a draft.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CheckResult {
    valid: bool,
    errors: Vec<BadField>,
    /// When it fires, in plain words; null while its trigger is wrong.
    words: Option<String>,
    /// The next ten instants, as if it were enabled now.
    next: Vec<Fire>,
    warnings: Vec<WarningView>,
    /// The command text taken apart by its keys; null while it cannot be read.
    form: Option<BTreeMap<&'static str, String>>,
}

/// What people should know before they save it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Warning)]
pub(super) struct WarningView {
    /// never_fires, rare, every_second, both_days, dst_gap, dst_fold or no_secret.
    code: &'static str,
    message: String,
}

pub(super) async fn check(api: Arc<Api>, call: Call) -> Answer {
    match looked_at(&api, &call).await {
        Ok(result) => Answer::bare(StatusCode::OK, result),
        Err(e) => e.into(),
    }
}

async fn looked_at(api: &Api, call: &Call) -> Result<CheckResult, Error> {
    let draft = draft(&call.fields);
    let mut errors = api.engine.check(draft.clone()).err().unwrap_or_default();
    if let Some(name) = draft.name.as_deref().map(str::trim).filter(|name| !name.is_empty())
        && let Some(other) = api.engine.job_named(name).await?
        && call.int("id") != Some(other.0)
    {
        errors.push(name_taken(name));
    }
    let mut result = CheckResult {
        valid: errors.is_empty(),
        errors: BadField::all(&renamed(errors), call.lang),
        words: None,
        next: Vec::new(),
        warnings: Vec::new(),
        form: form(&draft),
    };
    let command = draft.command.clone().unwrap_or_default();
    add_schedule(api, draft, call.lang, &mut result);
    let faults = api.engine.secrets().faults(&command).await.into_iter();
    let view = |text: Text| WarningView { code: "no_secret", message: call.lang.pick(&text).to_owned() };
    result.warnings.extend(faults.map(view));
    Ok(result)
}

/// The trigger alone, whatever else is wrong.
fn add_schedule(api: &Api, draft: JobDraft, lang: Lang, result: &mut CheckResult) {
    let alone = JobDraft {
        name: Some("trigger".into()),
        mode: Some("command".into()),
        command: Some("true".into()),
        cron_expr: draft.cron_expr,
        trigger_type: draft.trigger_type,
        interval_seconds: draft.interval_seconds,
        timezone: draft.timezone,
        ..JobDraft::default()
    };
    let Ok(spec) = api.engine.check(alone) else { return };
    let (now, zone) = (api.engine.now(), spec.timezone.unwrap_or(api.engine.zone()));
    let schedule = spec.schedule;
    result.words = Some(lang.pick(&schedule.words()).to_owned());
    result.next = schedule.fires(now, now, FIRES).into_iter().map(|at| Fire::new(at, zone)).collect();
    let warnings = schedule.warnings(now).into_iter();
    let view = |w: Warning| WarningView { code: w.code, message: lang.pick(&w.text).to_owned() };
    result.warnings = warnings.map(view).collect();
}

fn form(draft: &JobDraft) -> Option<BTreeMap<&'static str, String>> {
    let mode = Mode::parse(draft.mode.as_deref()?)?;
    text::form(mode, draft.command.as_deref()?).map(|fields| fields.into_iter().collect())
}
