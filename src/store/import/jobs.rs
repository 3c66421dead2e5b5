//! Jobs of the older editions. Each passes the same check as a job that a client sends; a field that
//! does not pass gets a value that does, the job is stopped, and its description says what stood there.

use super::super::Result;
use super::super::db::Conn;
use super::super::sql::Sql;
use super::super::write_job::bind_spec;
use super::read::{ID_MAX, OldRow, Table, cut};
use super::{How, Imported};
use crate::domain::action::Mode;
use crate::domain::job::{DESC_MAX, JobDraft, JobSpec, NAME_MAX, StopReason};
use crate::domain::{FieldError, Text};
use chrono_tz::Tz;
use std::collections::{HashMap, HashSet};

const COLUMNS: &[&str] = &[
    "id",
    "name",
    "desc",
    "cron_expr",
    "mode",
    "command",
    "state",
    "allow_mode",
    "max_run_count",
    "run_count",
    "created_at",
    "updated_at",
    "trigger_type",
    "interval_seconds",
];
const PAGE: i64 = 200;
/// Characters of one text; none that passes the check is longer.
const TEXT_MAX: usize = 4 << 20;
/// Rounds of mending: a mended mode lets the command be looked at, a mended kind the expression.
const ROUNDS: usize = 4;
/// Characters of an original value that a description repeats.
const ORIGINAL_MAX: usize = 400;

/// What stands where a value cannot: a trigger far away and commands that fail, so that starting the
/// job by mistake does nothing and says so.
const NO_CRON: &str = "0 0 1 1 *";
const NO_COMMAND: &str = "exit 1";
const NO_URL: &str = "http://imported.invalid/";
const NO_FUNCTION: &str = "NotImported";

/// The names that are given, and those that still will be asked for.
#[derive(Default)]
struct Names {
    given: HashSet<String>,
    theirs: HashSet<String>,
    next: HashMap<String, u32>,
}

/// Takes all jobs; gives back the greatest id there was.
pub(super) async fn take(tx: &mut Conn, table: &Table, how: &How, done: &mut Imported) -> Result<i64> {
    let mut names = Names::default();
    let mut last = i64::MIN;
    loop {
        let rows = table.after(tx, &["id", "name"], last, PAGE, NAME_MAX * 2).await?;
        names
            .theirs
            .extend(rows.iter().filter_map(|row| row.text("name")).map(|name| name.trim().to_owned()));
        match rows.last().and_then(|row| row.number_or_none("id")) {
            Some(id) => last = id,
            None => break,
        }
    }
    let (mut last, mut greatest) = (i64::MIN, 0);
    loop {
        let rows = table.after(tx, COLUMNS, last, PAGE, TEXT_MAX).await?;
        for row in &rows {
            let id = row.number_or_none("id").filter(|id| (1..ID_MAX).contains(id));
            let Some(id) = id else {
                let given = row.text("id").unwrap_or_default();
                done.not_taken(Text::new(
                    format!("任务 {given}：编号不可用"),
                    format!("job {given}: its id cannot be used"),
                ));
                continue;
            };
            greatest = greatest.max(id);
            take_one(tx, row, id, how, &mut names, done).await?;
        }
        match rows.last().and_then(|row| row.number_or_none("id")) {
            Some(id) => last = id,
            None => break,
        }
    }
    Ok(greatest)
}

async fn take_one(
    tx: &mut Conn,
    row: &OldRow,
    id: i64,
    how: &How,
    names: &mut Names,
    done: &mut Imported,
) -> Result<()> {
    let (draft, desc_cut) = draft(row, id);
    let shown = cut(row.text("name").unwrap_or_default(), 60).to_owned();
    let mut changes = Vec::new();
    let (mut spec, wrong) = match mended(draft, how.zone) {
        Ok(checked) => checked,
        Err(wrong) => {
            let (zh, en) = in_words(&wrong);
            done.not_taken(Text::new(
                format!("任务 {id}“{shown}”：{zh}"),
                format!("job {id} {shown:?}: {en}"),
            ));
            return Ok(());
        }
    };
    if !wrong.is_empty() {
        spec.desc = described(row, &spec.desc, &wrong).into();
        let (zh, en) = in_words(&wrong);
        changes.push(Text::new(format!("已停止：{zh}"), format!("stopped: {en}")));
    }
    if desc_cut {
        changes.push(Text::new("描述已截短", "its description was cut"));
    }
    let name = names.unique(&spec.name);
    if *name != *spec.name {
        changes.push(Text::new(format!("名称重复，改为“{name}”"), format!("same name, now {name:?}")));
        spec.name = name.into();
    }
    let count = match row.number("run_count") {
        Ok(count) => count.unwrap_or(0),
        Err(_) => {
            changes.push(Text::new("执行次数不是数字，从 0 开始", "run_count is no number, it starts at 0"));
            0
        }
    };
    let count = count.clamp(0, ID_MAX);
    let reached = spec.max_run_count > 0 && count >= i64::from(spec.max_run_count);
    let stopped_by_limit = reached && spec.enabled;
    spec.enabled &= !reached;
    insert(tx, row, id, &spec, count, stopped_by_limit, how).await?;
    done.jobs += 1;
    for change in changes {
        done.changed(Text::new(
            format!("任务 {id}“{shown}”：{}", change.zh),
            format!("job {id} {shown:?}: {}", change.en),
        ));
    }
    Ok(())
}

async fn insert(
    tx: &mut Conn,
    row: &OldRow,
    id: i64,
    spec: &JobSpec,
    run_count: i64,
    limit: bool,
    how: &How,
) -> Result<()> {
    let created = row.instant("created_at", Tz::UTC).unwrap_or(how.now);
    let updated = row.instant("updated_at", Tz::UTC).unwrap_or(created);
    let text = "INSERT INTO tj_jobs (id, name, descr, trigger_type, cron_expr, interval_seconds, timezone, mode, \
                command, enabled, allow_mode, max_run_count, misfire_policy, misfire_window, recovery, \
                remove_task, remove_log, stop_reason, created_ms, updated_ms) \
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let sql = bind_spec(Sql::new(text).bind(id), spec).bind(false).bind(false);
    let sql = sql.bind(limit.then_some(StopReason::Limit.as_str())).bind(created.0).bind(updated.0);
    tx.execute(&sql).await?;
    // Nothing is owed for the time before: the job goes on from now.
    let text = "INSERT INTO tj_job_state (job_id, decided_ms, run_count, immediate_ms, last_run_ms, crash_streak) \
                VALUES (?, ?, ?, NULL, NULL, 0)";
    tx.execute(&Sql::new(text).bind(id).bind(how.now.0).bind(run_count)).await?;
    Ok(())
}

/// What the row says, and whether its description had to be cut.
fn draft(row: &OldRow, id: i64) -> (JobDraft, bool) {
    let mut unread = Vec::new();
    let mut number = |column| {
        row.number(column).unwrap_or_else(|e| {
            unread.push(e);
            None
        })
    };
    let (state, allow_mode) = (number("state"), number("allow_mode"));
    let (max_run_count, interval_seconds) = (number("max_run_count"), number("interval_seconds"));
    let desc = row.text("desc").unwrap_or_default().replace('\0', " ");
    let short = cut(&desc, DESC_MAX).to_owned();
    // A name that is missing is made up at once: the id says which job it is.
    let name = row.text("name").filter(|name| !name.trim().is_empty());
    let draft = JobDraft {
        name: Some(name.map_or_else(|| format!("job {id}"), str::to_owned)),
        cron_expr: row.owned("cron_expr"),
        trigger_type: row.owned("trigger_type"),
        interval_seconds,
        mode: row.owned("mode"),
        command: row.owned("command"),
        state,
        allow_mode,
        max_run_count,
        unread,
        ..JobDraft::default()
    };
    let cut = short.len() < desc.len();
    (JobDraft { desc: Some(short), ..draft }, cut)
}

/// The job with every fault mended, and the faults; or what cannot be mended.
fn mended(mut draft: JobDraft, zone: Tz) -> std::result::Result<(JobSpec, Vec<FieldError>), Vec<FieldError>> {
    let mut wrong = Vec::new();
    for _ in 0..ROUNDS {
        match draft.clone().check(zone) {
            Ok(spec) => return Ok((spec, wrong)),
            Err(errors) => {
                draft.unread.clear();
                draft.state = Some(2);
                errors.iter().for_each(|error| mend(&mut draft, error));
                wrong.extend(errors);
            }
        }
    }
    Err(wrong)
}

fn mend(draft: &mut JobDraft, error: &FieldError) {
    match error.field.as_ref() {
        "name" => {
            let name = draft.name.take().unwrap_or_default().replace(char::is_control, " ");
            draft.name = Some(cut(name.trim(), NAME_MAX).to_owned());
        }
        "cron_expr" | "interval_seconds" => {
            draft.trigger_type = Some("cron".into());
            draft.cron_expr = Some(NO_CRON.into());
        }
        "trigger_type" => draft.trigger_type = Some("cron".into()),
        "mode" => {
            draft.mode = Some(Mode::Command.as_str().into());
            draft.command = Some(NO_COMMAND.into());
        }
        "allow_mode" => draft.allow_mode = None,
        "max_run_count" => draft.max_run_count = None,
        "state" => {}
        _ => {
            let nothing = match draft.mode.as_deref().and_then(Mode::parse) {
                Some(Mode::Http) => NO_URL,
                Some(Mode::Func) => NO_FUNCTION,
                _ => NO_COMMAND,
            };
            draft.command = Some(nothing.into());
        }
    }
}

/// The faults in one line of each language, bounded.
fn in_words(wrong: &[FieldError]) -> (String, String) {
    let line = |text: fn(&Text) -> &str| {
        let parts: Vec<_> = wrong.iter().map(|e| format!("{}: {}", e.field, text(&e.message))).collect();
        cut(&parts.join("; "), 300).to_owned()
    };
    (line(|text| &text.zh), line(|text| &text.en))
}

/// The description, followed by what was wrong and what stood there.
fn described(row: &OldRow, desc: &str, wrong: &[FieldError]) -> String {
    let mut note = "导入时已停止 / stopped when it was imported".to_owned();
    let mut seen = HashSet::new();
    for error in wrong {
        // A line of a command text is not worth more than the whole of it.
        note = format!(
            "{note}\n{}: {} / {}",
            error.field,
            cut(&error.message.zh, 150),
            cut(&error.message.en, 150)
        );
        let originals: &[&str] =
            if error.field == "mode" { &["mode", "command"] } else { &[error.field.as_ref()] };
        for column in originals.iter().filter(|column| seen.insert(**column)) {
            let original = row.text(column).unwrap_or("NULL").replace('\0', " ");
            note = format!("{note}\n{column} = {}", cut(&original, ORIGINAL_MAX));
            if original.chars().nth(ORIGINAL_MAX).is_some() {
                note.push('…');
            }
        }
    }
    let note = cut(&note, DESC_MAX * 3 / 4).to_owned();
    if desc.is_empty() {
        return note;
    }
    let room = DESC_MAX - note.chars().count() - 1;
    format!("{}\n{note}", cut(desc, room))
}

impl Names {
    /// The name, or the first ` (2)`, ` (3)`, … of it that nobody has or will ask for.
    fn unique(&mut self, name: &str) -> String {
        if self.given.insert(name.to_owned()) {
            return name.to_owned();
        }
        let mut n = self.next.get(name).copied().unwrap_or(2);
        loop {
            let suffix = format!(" ({n})");
            n += 1;
            let candidate = format!("{}{suffix}", cut(name, NAME_MAX - suffix.len()).trim_end());
            if !self.theirs.contains(&candidate) && self.given.insert(candidate.clone()) {
                self.next.insert(name.to_owned(), n);
                return candidate;
            }
        }
    }
}
