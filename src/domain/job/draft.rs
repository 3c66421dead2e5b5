//! From what a client sends to a checked job: every field is looked at, every bad one is named.

use super::{
    DESC_MAX, JobSpec, MISFIRE_WINDOW_DEFAULT, MISFIRE_WINDOW_MAX, MisfirePolicy, NAME_MAX, Overlap,
    Recovery, Trigger,
};
use crate::domain::action::{Mode, text as command_text};
use crate::domain::schedule::{IntervalSchedule, Schedule};
use crate::domain::{FieldError, Text};
use chrono_tz::Tz;
use std::time::Duration;

/// What a client sends: every field as given, none checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobDraft {
    pub name: Option<String>,
    pub desc: Option<String>,
    pub cron_expr: Option<String>,
    pub trigger_type: Option<String>,
    pub interval_seconds: Option<i64>,
    pub timezone: Option<String>,
    pub mode: Option<String>,
    pub command: Option<String>,
    pub state: Option<i64>,
    pub allow_mode: Option<i64>,
    pub max_run_count: Option<i64>,
    pub misfire_policy: Option<String>,
    /// Seconds.
    pub misfire_window: Option<i64>,
    pub recovery: Option<String>,
    /// Fields that were given in the wrong type and are absent above.
    pub unread: Vec<FieldError>,
}

impl JobDraft {
    /// The draft that says what `spec` says; an edit lays the given fields over it.
    pub fn of(spec: &JobSpec) -> Self {
        let (kind, cron_expr, interval) = match &spec.trigger {
            Trigger::Cron(expr) => ("cron", Some(expr.to_string()), None),
            Trigger::Interval(seconds) => ("interval", None, Some(i64::from(*seconds))),
        };
        Self {
            name: Some(spec.name.to_string()),
            desc: Some(spec.desc.to_string()),
            cron_expr,
            trigger_type: Some(kind.into()),
            interval_seconds: interval,
            timezone: spec.timezone.map(|z| z.name().into()),
            mode: Some(spec.mode.as_str().into()),
            command: Some(spec.command.to_string()),
            state: Some(if spec.enabled { 0 } else { 2 }),
            allow_mode: Some(spec.overlap.code()),
            max_run_count: Some(i64::from(spec.max_run_count)),
            misfire_policy: Some(spec.misfire_policy.as_str().into()),
            misfire_window: i64::try_from(spec.misfire_window.as_secs()).ok(),
            recovery: Some(spec.recovery.as_str().into()),
            unread: Vec::new(),
        }
    }

    /// This draft, with what it leaves open taken from `base`. A trigger is taken whole: a new
    /// cron expression makes an interval job a cron job.
    pub fn over(self, base: Self) -> Self {
        // An empty kind says nothing, as in `check_trigger`.
        let kind = self.trigger_type.filter(|kind| !kind.trim().is_empty());
        let new_trigger = match (kind, &self.cron_expr, self.interval_seconds) {
            (Some(kind), _, _) => Some(kind),
            (None, Some(expr), _) if !expr.trim().is_empty() => Some("cron".into()),
            (None, _, Some(n)) if n > 0 => Some("interval".into()),
            _ => None,
        };
        Self {
            name: self.name.or(base.name),
            desc: self.desc.or(base.desc),
            cron_expr: self.cron_expr.or(base.cron_expr),
            trigger_type: new_trigger.or(base.trigger_type),
            interval_seconds: self.interval_seconds.or(base.interval_seconds),
            timezone: self.timezone.or(base.timezone),
            mode: self.mode.or(base.mode),
            command: self.command.or(base.command),
            state: self.state.or(base.state),
            allow_mode: self.allow_mode.or(base.allow_mode),
            max_run_count: self.max_run_count.or(base.max_run_count),
            misfire_policy: self.misfire_policy.or(base.misfire_policy),
            misfire_window: self.misfire_window.or(base.misfire_window),
            recovery: self.recovery.or(base.recovery),
            unread: self.unread,
        }
    }

    /// The draft of a job for one run: it never fires by itself, and `number` makes its name nobody
    /// else's.
    pub fn once(self, number: u64) -> Self {
        let given: String = self.name.unwrap_or_default().chars().take(NAME_MAX / 2).collect();
        Self {
            name: Some(format!("{given} (test {number:016x})")),
            desc: self.desc,
            // A job has a schedule; that of a stopped one means nothing.
            cron_expr: Some("@yearly".into()),
            state: Some(2),
            timezone: self.timezone,
            mode: self.mode,
            command: self.command,
            unread: self.unread,
            ..Self::default()
        }
    }

    /// Checks every field and names each bad one.
    pub fn check(mut self, server_zone: Tz) -> Result<JobSpec, Vec<FieldError>> {
        let mut unread = std::mem::take(&mut self.unread);
        let checked = self.check_values(server_zone);
        if unread.is_empty() {
            return checked;
        }
        // That a field which could not be read is missing is not said a second time.
        let mut others = checked.err().unwrap_or_default();
        others.retain(|error| unread.iter().all(|u| u.field != error.field));
        unread.append(&mut others);
        Err(unread)
    }

    fn check_values(self, server_zone: Tz) -> Result<JobSpec, Vec<FieldError>> {
        let mut bad = Vec::new();
        let name = keep(&mut bad, check_name(self.name));
        let desc = keep(&mut bad, check_desc(self.desc));
        let timezone = keep(&mut bad, check_zone(self.timezone));
        let zone = timezone.flatten().unwrap_or(server_zone);
        let trigger =
            keep(&mut bad, check_trigger(self.trigger_type, self.cron_expr, self.interval_seconds, zone));
        let mode = keep(&mut bad, check_mode(self.mode));
        let command = self.command.unwrap_or_default();
        if let Some(Err(errors)) = mode.map(|mode| command_text::parse(mode, &command)) {
            bad.extend(errors);
        }
        let enabled = keep(&mut bad, check_state(self.state));
        let overlap = keep(&mut bad, check_overlap(self.allow_mode));
        let max_run_count =
            keep(&mut bad, ranged("max_run_count", self.max_run_count, 0, 0, i64::from(u32::MAX)));
        let misfire_policy = keep(
            &mut bad,
            one_of(
                "misfire_policy",
                self.misfire_policy,
                MisfirePolicy::FireOnce,
                MisfirePolicy::parse,
                "fire_once, skip, fire_all",
            ),
        );
        let misfire_window = keep(
            &mut bad,
            ranged("misfire_window", self.misfire_window, MISFIRE_WINDOW_DEFAULT, 0, MISFIRE_WINDOW_MAX),
        );
        let recovery = keep(
            &mut bad,
            one_of("recovery", self.recovery, Recovery::Never, Recovery::parse, "never, rerun"),
        );

        match (
            name,
            desc,
            timezone,
            trigger,
            mode,
            enabled,
            overlap,
            max_run_count,
            misfire_policy,
            misfire_window,
            recovery,
        ) {
            (
                Some(name),
                Some(desc),
                Some(timezone),
                Some((trigger, schedule)),
                Some(mode),
                Some(enabled),
                Some(overlap),
                Some(max_run_count),
                Some(misfire_policy),
                Some(misfire_window),
                Some(recovery),
            ) if bad.is_empty() => Ok(JobSpec {
                name,
                desc,
                trigger,
                timezone,
                schedule,
                mode,
                command: command.into(),
                enabled,
                overlap,
                max_run_count: u32::try_from(max_run_count).unwrap_or(u32::MAX),
                misfire_policy,
                misfire_window: Duration::from_secs(misfire_window.unsigned_abs()),
                recovery,
            }),
            _ => Err(bad),
        }
    }
}

/// The value, or its error laid aside so that the other fields are checked too.
fn keep<T>(bad: &mut Vec<FieldError>, checked: Result<T, FieldError>) -> Option<T> {
    checked.map_err(|e| bad.push(e)).ok()
}

fn check_name(name: Option<String>) -> Result<Box<str>, FieldError> {
    let name = name.unwrap_or_default();
    let trimmed = name.trim();
    match trimmed.chars().count() {
        0 => Err(FieldError::new("name", Text::new("任务名称必填", "a name is required"), name)),
        n if n > NAME_MAX => Err(FieldError::new(
            "name",
            Text::new(
                format!("任务名称最多 {NAME_MAX} 个字符，现为 {n} 个"),
                format!("at most {NAME_MAX} characters, this has {n}"),
            ),
            name,
        )),
        _ if trimmed.contains(char::is_control) => Err(FieldError::new(
            "name",
            Text::new("任务名称不能包含控制字符", "control characters are not allowed in a name"),
            name,
        )),
        _ => Ok(trimmed.into()),
    }
}

fn check_desc(desc: Option<String>) -> Result<Box<str>, FieldError> {
    let desc = desc.unwrap_or_default();
    let n = desc.chars().count();
    if n > DESC_MAX {
        let text = Text::new(
            format!("描述最多 {DESC_MAX} 个字符，现为 {n} 个"),
            format!("at most {DESC_MAX} characters, this has {n}"),
        );
        return Err(FieldError::new("desc", text, n));
    }
    if desc.contains('\0') {
        return Err(FieldError::new(
            "desc",
            Text::new("描述不能包含 NUL 字符", "a NUL character is not allowed"),
            "",
        ));
    }
    Ok(desc.into())
}

fn check_zone(zone: Option<String>) -> Result<Option<Tz>, FieldError> {
    match zone.as_deref().map(str::trim) {
        None | Some("") => Ok(None),
        Some(name) => name.parse().map(Some).map_err(|_| {
            let text = Text::new(
                "未知时区，请使用 IANA 名称，如 Asia/Shanghai",
                "unknown time zone, use an IANA name such as Asia/Shanghai",
            );
            FieldError::new("timezone", text, name)
        }),
    }
}

fn check_trigger(
    kind: Option<String>,
    cron_expr: Option<String>,
    interval_seconds: Option<i64>,
    zone: Tz,
) -> Result<(Trigger, Schedule), FieldError> {
    let expr = cron_expr.unwrap_or_default();
    let expr = expr.trim();
    let kind = match kind.as_deref().map(|k| k.trim().to_ascii_lowercase()) {
        Some(kind) if !kind.is_empty() => kind,
        _ if expr.is_empty() && interval_seconds.is_some_and(|n| n > 0) => "interval".into(),
        _ => "cron".into(),
    };
    match kind.as_str() {
        "cron" if expr.is_empty() => Err(FieldError::new(
            "cron_expr",
            Text::new(
                "Cron 表达式必填，例如 \"0 2 * * *\" 表示每天 2 点",
                "a cron expression is required, for example \"0 2 * * *\" for every day at 2",
            ),
            expr,
        )),
        "cron" => match Schedule::parse(expr, zone) {
            Ok(schedule) => Ok((Trigger::Cron(expr.into()), schedule)),
            Err(text) => Err(FieldError::new("cron_expr", text, expr)),
        },
        "interval" => {
            let seconds = interval_seconds.unwrap_or(0);
            let checked = u32::try_from(seconds).ok().filter(|n| *n > 0);
            let checked = checked.and_then(|n| Some((n, IntervalSchedule::every(u64::from(n)).ok()?)));
            checked.map(|(n, schedule)| (Trigger::Interval(n), Schedule::Interval(schedule))).ok_or_else(
                || {
                    let text = Text::new(
                        "间隔秒数须为 1 到 31622400 的整数",
                        "a whole number of seconds from 1 to 31622400",
                    );
                    FieldError::new("interval_seconds", text, seconds)
                },
            )
        }
        _ => Err(FieldError::new(
            "trigger_type",
            Text::new("只能是 cron 或 interval", "must be cron or interval"),
            kind,
        )),
    }
}

fn check_mode(mode: Option<String>) -> Result<Mode, FieldError> {
    let mode = mode.unwrap_or_default();
    Mode::parse(&mode).ok_or_else(|| {
        FieldError::new(
            "mode",
            Text::new("执行模式只能是 http、command 或 func", "must be http, command or func"),
            mode,
        )
    })
}

fn check_state(state: Option<i64>) -> Result<bool, FieldError> {
    match state {
        None | Some(0 | 1) => Ok(true),
        Some(2) => Ok(false),
        Some(other) => Err(FieldError::new(
            "state",
            Text::new(
                "状态只能是 0（等待）、1（执行中）或 2（停止）",
                "must be 0 or 1 (enabled) or 2 (stopped)",
            ),
            other,
        )),
    }
}

fn check_overlap(code: Option<i64>) -> Result<Overlap, FieldError> {
    let code = code.unwrap_or(0);
    Overlap::from_code(code).ok_or_else(|| {
        let text = Text::new(
            "执行模式只能是 0（并行）、1（串行）或 2（立即执行）",
            "must be 0 (parallel), 1 (serial) or 2 (immediate)",
        );
        FieldError::new("allow_mode", text, code)
    })
}

fn ranged(
    field: &'static str,
    value: Option<i64>,
    default: i64,
    min: i64,
    max: i64,
) -> Result<i64, FieldError> {
    let value = value.unwrap_or(default);
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    let text =
        Text::new(format!("须为 {min} 到 {max} 的整数"), format!("a whole number from {min} to {max}"));
    Err(FieldError::new(field, text, value))
}

fn one_of<T>(
    field: &'static str,
    value: Option<String>,
    default: T,
    parse: impl Fn(&str) -> Option<T>,
    names: &str,
) -> Result<T, FieldError> {
    match value.as_deref().map(str::trim) {
        None | Some("") => Ok(default),
        Some(given) => parse(given).ok_or_else(|| {
            FieldError::new(
                field,
                Text::new(format!("只能是 {names}"), format!("must be one of {names}")),
                given,
            )
        }),
    }
}

#[cfg(test)]
#[path = "draft_test.rs"]
mod draft_test;
