//! The report's page. Every list is bounded and says what it leaves out; names of jobs are cut and
//! cannot break the tables.

use super::Output;
use crate::domain::UtcMs;
use crate::domain::run::Outcome;
use crate::exec::func::{Group, Summary};
use chrono::NaiveDate;
use chrono_tz::Tz;
use std::collections::BTreeMap;

const JOBS_MAX: usize = 20;
const SLOWEST_MAX: usize = 10;
const NEVER_MAX: usize = 50;
const NAME_MAX: usize = 60;
const ERROR_MAX: usize = 200;

pub struct Page<'a> {
    pub kind: &'a str,
    pub first: NaiveDate,
    /// The day after the last.
    pub end: NaiveDate,
    pub from: UtcMs,
    pub to: UtcMs,
    pub zone: Tz,
    pub zh: bool,
}

/// One job's numbers.
#[derive(Default)]
struct Job {
    name: String,
    runs: u64,
    succeeded: u64,
    failed: u64,
    not_started: u64,
    timed: u64,
    total_ms: u64,
    max_ms: u64,
}

impl Page<'_> {
    pub fn write(&self, summary: &Summary, limit: usize) -> Output {
        let jobs = jobs(&summary.groups);
        let runs: u64 = jobs.values().map(|job| job.runs).sum();
        let failed: u64 = jobs.values().map(|job| job.failed).sum();
        let mut text = self.head();
        self.totals(&mut text, summary, runs, failed);
        self.jobs(&mut text, &jobs);
        self.slowest(&mut text, &jobs);
        self.failures(&mut text, summary);
        self.never(&mut text, summary);
        if text.len() > limit {
            let mark = self.say("\n\n……（已截断）", "\n\n... (cut)");
            text.truncate(text.floor_char_boundary(limit.saturating_sub(mark.len())));
            text += mark;
        }
        let last = self.end.pred_opt().unwrap_or(self.end);
        let days = if last == self.first { last.to_string() } else { format!("{} - {last}", self.first) };
        let never = summary.never.len();
        let result = if self.zh {
            format!("{days}：执行 {runs} 次，失败 {failed} 次，未执行的任务 {never} 个")
        } else {
            format!("{days}: {runs} runs, {failed} failed, {never} jobs never ran")
        };
        Output { stdout: text, result }
    }

    fn say<'t>(&self, zh: &'t str, en: &'t str) -> &'t str {
        if self.zh { zh } else { en }
    }

    fn head(&self) -> String {
        let title = match self.kind {
            "daily" => self.say("日报", "Daily report"),
            "weekly" => self.say("周报", "Weekly report"),
            _ => self.say("月报", "Monthly report"),
        };
        let (from, to) = (self.from.local_seconds(self.zone), self.to.local_seconds(self.zone));
        let period = self.say("统计区间", "Period");
        let (until, zone) = (self.say("至", "to"), self.zone.name());
        let before = self.say("（不含）", " (exclusive)");
        format!("# TimerJobs {title}\n\n{period}: {from} {until} {to}{before}, {zone}\n")
    }

    fn totals(&self, text: &mut String, summary: &Summary, runs: u64, failed: u64) {
        *text += &format!("\n## {}\n\n", self.say("总计", "Totals"));
        if summary.groups.is_empty() {
            *text += self.say("此区间没有任何记录。\n", "There is no record of this period.\n");
            return;
        }
        let succeeded: u64 = count(&summary.groups, Outcome::Success);
        let rate = match succeeded + failed {
            0 => "-".to_owned(),
            // To one place and rounded down: 99.96 % is not all.
            ended => format!("{}.{} %", succeeded * 100 / ended, succeeded * 1000 / ended % 10),
        };
        *text += &format!(
            "- {}: {runs}\n- {}: {rate}\n",
            self.say("执行次数", "Runs"),
            self.say("成功率", "Success rate")
        );
        let mut by_outcome: BTreeMap<usize, (Outcome, u64, u64)> = BTreeMap::new();
        for group in &summary.groups {
            let entry = by_outcome.entry(group.outcome as usize).or_insert((group.outcome, 0, 0));
            entry.1 += group.runs;
            entry.2 += group.instants;
        }
        for (outcome, records, instants) in by_outcome.into_values() {
            let words = outcome.status();
            let fires = match instants > records && outcome == Outcome::Missed {
                true => format!(" ({instants} {})", self.say("次触发", "fires")),
                false => String::new(),
            };
            *text += &format!("- {}: {records}{fires}\n", self.say(&words.zh, &words.en));
        }
        let mut reasons: BTreeMap<&str, (String, u64)> = BTreeMap::new();
        for group in &summary.groups {
            if let (Some(reason), Outcome::Skipped | Outcome::Missed) = (group.reason, group.outcome) {
                let words = reason.text();
                let words = self.say(&words.zh, &words.en).to_owned();
                reasons.entry(reason.as_str()).or_insert((words, 0)).1 += group.instants;
            }
        }
        if !reasons.is_empty() {
            *text += &format!("\n{}\n\n", self.say("未开始的原因：", "Why fires did not start:"));
            for (words, fires) in reasons.into_values() {
                *text += &format!("- {words}: {fires}\n");
            }
        }
    }

    fn jobs(&self, text: &mut String, jobs: &BTreeMap<i64, Job>) {
        let mut all: Vec<_> = jobs.iter().collect();
        all.sort_by_key(|(id, job)| (std::cmp::Reverse((job.failed, job.runs)), **id));
        let head = self.say(
            "| 任务 | 执行 | 成功 | 失败 | 未开始 | 平均耗时 |",
            "| job | runs | succeeded | failed | not started | average |",
        );
        self.table(
            text,
            self.say("任务（失败多者在前）", "Jobs, those that failed most first"),
            head,
            &all,
            JOBS_MAX,
            |(id, job)| {
                let average = job.total_ms.checked_div(job.timed).map_or("-".into(), duration);
                let Job { runs, succeeded, failed, not_started, .. } = job;
                format!(
                    "| {} | {runs} | {succeeded} | {failed} | {not_started} | {average} |",
                    label(**id, &job.name)
                )
            },
        );
    }

    fn slowest(&self, text: &mut String, jobs: &BTreeMap<i64, Job>) {
        let mut all: Vec<_> = jobs.iter().filter(|(_, job)| job.timed > 0).collect();
        all.sort_by_key(|(id, job)| (std::cmp::Reverse(job.max_ms), **id));
        all.truncate(SLOWEST_MAX);
        let head = self.say("| 任务 | 最长 | 平均 | 次数 |", "| job | longest | average | runs |");
        self.table(text, self.say("最慢", "Slowest"), head, &all, SLOWEST_MAX, |(id, job)| {
            let average = duration(job.total_ms / job.timed);
            format!("| {} | {} | {average} | {} |", label(**id, &job.name), duration(job.max_ms), job.timed)
        });
    }

    fn failures(&self, text: &mut String, summary: &Summary) {
        let head = self.say("| 时间 | 任务 | 结果 | 错误 |", "| time | job | outcome | error |");
        let title = self.say("最近的错误（每个任务一条）", "Last errors, one a job");
        self.table(text, title, head, &summary.failures, summary.failures.len(), |failure| {
            let status = failure.outcome.status();
            let error = failure.error.as_ref().map_or("", |error| self.say(&error.zh, &error.en));
            format!(
                "| {} | {} | {} | {} |",
                failure.at.local_seconds(self.zone),
                label(failure.job, &failure.name),
                self.say(&status.zh, &status.en),
                cell(error, ERROR_MAX)
            )
        });
    }

    fn never(&self, text: &mut String, summary: &Summary) {
        let head = self.say("| 任务 | 应执行次数 |", "| job | times due |");
        let title = self.say("应执行而从未执行的任务", "Jobs that were due and never ran");
        self.table(text, title, head, &summary.never, NEVER_MAX, |job| {
            format!("| {} | {} |", label(job.job, &job.name), job.due)
        });
    }

    /// A table of the first `most` rows; an empty one is left out.
    fn table<T>(
        &self,
        text: &mut String,
        title: &str,
        head: &str,
        rows: &[T],
        most: usize,
        line: impl Fn(&T) -> String,
    ) {
        if rows.is_empty() {
            return;
        }
        let rule = "| --- ".repeat(head.matches('|').count() - 1);
        *text += &format!("\n## {title}\n\n{head}\n{rule}|\n");
        for row in rows.iter().take(most) {
            *text += &line(row);
            text.push('\n');
        }
        if let more @ 1.. = rows.len().saturating_sub(most) {
            let words = self.say("其余未列出", "more are not listed");
            *text += &format!("\n{more} {words}\n");
        }
    }
}

fn jobs(groups: &[Group]) -> BTreeMap<i64, Job> {
    let mut jobs: BTreeMap<i64, Job> = BTreeMap::new();
    for group in groups {
        let job = jobs.entry(group.job).or_default();
        job.name.clone_from(&group.name);
        match group.outcome {
            Outcome::Skipped | Outcome::Missed | Outcome::Waiting => job.not_started += group.instants,
            outcome => {
                job.runs += group.runs;
                job.succeeded += if outcome == Outcome::Success { group.runs } else { 0 };
                job.failed += if is_failure(outcome) { group.runs } else { 0 };
            }
        }
        job.timed += group.timed;
        job.total_ms += group.total_ms;
        job.max_ms = job.max_ms.max(group.max_ms);
    }
    jobs
}

pub fn is_failure(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failed | Outcome::Timeout | Outcome::Lost)
}

fn count(groups: &[Group], outcome: Outcome) -> u64 {
    groups.iter().filter(|group| group.outcome == outcome).map(|group| group.runs).sum()
}

fn label(id: i64, name: &str) -> String {
    format!("{} (#{id})", cell(name, NAME_MAX))
}

/// Text for a cell of a table: one line, no bars, not too long.
fn cell(text: &str, most: usize) -> String {
    let mut out: String = text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out.replace('|', "\\|")
}

fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}
