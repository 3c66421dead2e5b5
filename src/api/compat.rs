//! `/jobs/*` as the older editions' clients know it: translation only.

use super::Api;
use super::answer::{Answer, Paging};
use super::extract::Call;
use super::views::{FailureView, FunctionView, JobView, RunView, ScheduledView};
use crate::domain::action::Mode;
use crate::domain::job::{JobDraft, JobId, Removal};
use crate::domain::run::{Outcome, Reason, RunId};
use crate::domain::{FieldError, Text, UtcMs};
use crate::engine::{Error, Triggered};
use crate::exec::func::Listing;
use crate::store::{JobFilter, Page, RunRecord, RunsOf};
use chrono::{Days, NaiveDate, NaiveTime, TimeZone};
use chrono_tz::Tz;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn add(api: Arc<Api>, call: Call) -> Answer {
    answer(api.engine.add(draft(&call)).await, |id| {
        Answer::ok("任务创建成功", "job created", json!({"id": id.0}))
    })
}

pub(super) async fn edit(api: Arc<Api>, call: Call) -> Answer {
    done(api.engine.edit(JobId(call.id()), draft(&call), None).await, "任务更新成功", "job updated")
}

pub(super) async fn delete(api: Arc<Api>, call: Call) -> Answer {
    done(api.engine.delete(JobId(call.id()), None).await, "任务删除成功", "job deleted")
}

pub(super) async fn list(api: Arc<Api>, call: Call) -> Answer {
    let filter = JobFilter {
        name: call.text("name").filter(|name| !name.is_empty()),
        state: call.int("state"),
        mode: call.text("mode").and_then(|mode| Mode::parse(&mode)).map(Mode::as_str),
        scheduled: false,
    };
    let (page, size) = call.page();
    answer(api.engine.jobs(&filter, page, size).await, |found| {
        let views: Vec<_> =
            found.items.into_iter().map(|job| JobView::new(job, &api.engine, call.lang)).collect();
        Answer::page(views, Paging { page, size, total: found.total })
    })
}

pub(super) async fn read(api: Arc<Api>, call: Call) -> Answer {
    let id = JobId(call.id());
    let found = api.engine.job(id).await.and_then(|job| job.ok_or(Error::NoJob(id)));
    answer(found, |job| Answer::ok("成功", "ok", JobView::new(job, &api.engine, call.lang)))
}

pub(super) async fn run(api: Arc<Api>, call: Call) -> Answer {
    answer(api.engine.run(JobId(call.id())).await, |triggered| {
        let Triggered { run, skipped } = triggered;
        let reason = skipped.map(Reason::as_str);
        let data = json!({"exec_id": run.to_string(), "skipped": skipped.is_some(), "reason": reason});
        match skipped.map(Reason::text) {
            None => Answer::ok("任务已手动触发", "job triggered", data),
            Some(why) => {
                let text = Text::new(
                    format!("任务已手动触发，但被跳过：{}", why.zh),
                    format!("job skipped: {}", why.en),
                );
                Answer::code(200, text, data)
            }
        }
    })
}

pub(super) async fn stop(api: Arc<Api>, call: Call) -> Answer {
    done(api.engine.stop(JobId(call.id())).await, "任务已停止", "job stopped")
}

pub(super) async fn restart(api: Arc<Api>, call: Call) -> Answer {
    let done_so = api.engine.restart(JobId(call.id()), call.flag("reset_run_count")).await;
    done(done_so, "任务已重启", "job restarted")
}

pub(super) async fn run_all(api: Arc<Api>, _call: Call) -> Answer {
    answer(api.engine.run_all().await, |n| {
        Answer::ok("所有任务已手动触发", "all scheduled jobs triggered", json!({"triggered": n}))
    })
}

pub(super) async fn stop_all(api: Arc<Api>, _call: Call) -> Answer {
    answer(api.engine.stop_all().await, |n| {
        Answer::ok("所有任务已停止", "all jobs stopped", json!({"stopped": n}))
    })
}

pub(super) async fn add_and_run(api: Arc<Api>, call: Call) -> Answer {
    let removal = Removal { task: call.flag("remove_task"), log: call.flag("remove_log") };
    answer(api.engine.add_and_run(draft(&call), removal).await, |added| {
        let exec_id = added.triggered.map(|t| t.run.to_string());
        let data = json!({"job_id": added.id.0, "exec_id": exec_id});
        Answer::ok("任务创建成功并已触发", "job created and triggered", data)
    })
}

pub(super) async fn logs(api: Arc<Api>, call: Call) -> Answer {
    let job = JobId(call.id());
    let found = async {
        let found = runs_page(&api, &call).await?;
        if found.total == 0 && api.engine.job(job).await?.is_none() {
            return Err(Error::NoJob(job));
        }
        Ok(found)
    };
    answer(found.await, |found| runs_answer(&api, &call, found))
}

/// The records of all jobs.
pub(super) async fn runs(api: Arc<Api>, call: Call) -> Answer {
    answer(runs_page(&api, &call).await, |found| runs_answer(&api, &call, found))
}

async fn runs_page(api: &Api, call: &Call) -> Result<Page<RunRecord>, Error> {
    let newest_first = call.text("order").as_deref() != Some("asc");
    let day = call.text("date").and_then(|date| day(date.parse().ok()?, api.engine.zone()));
    let outcome = call.text("outcome").and_then(|outcome| Outcome::parse(&outcome));
    let of = RunsOf { job: call.int("id").map(JobId), day, outcome };
    let (page, size) = call.page();
    api.engine.runs(of, newest_first, page, size).await
}

fn runs_answer(api: &Api, call: &Call, found: Page<RunRecord>) -> Answer {
    let (page, size) = call.page();
    let views: Vec<_> =
        found.items.into_iter().map(|run| RunView::new(run, &api.engine, call.lang)).collect();
    Answer::page(views, Paging { page, size, total: found.total })
}

pub(super) async fn execs(api: Arc<Api>, call: Call) -> Answer {
    let job = call.int("id").map(JobId);
    let found = match call.text("exec_id").filter(|id| !id.trim().is_empty()) {
        Some(exec_id) => match RunId::parse(exec_id.trim()) {
            Some(run) => api.engine.run_record(run).await,
            None => Ok(None),
        },
        None if job.is_none() => {
            let text = Text::new("必填：任务 id，或执行 exec_id", "is required, or exec_id");
            return Answer::Invalid(vec![FieldError::new("id", text, Value::Null)]);
        }
        None => {
            let of = RunsOf { job, ..RunsOf::default() };
            api.engine.runs(of, true, 1, 1).await.map(|page| page.items.into_iter().next())
        }
    };
    answer(found, |run| {
        let of_job = |run: &RunRecord| job.is_none_or(|job| run.job_id == job.0);
        let view = run.filter(of_job).map(|run| RunView::new(run, &api.engine, call.lang));
        Answer::ok("成功", "ok", view)
    })
}

pub(super) async fn job_status(api: Arc<Api>, _call: Call) -> Answer {
    answer(api.engine.counts().await, |c| {
        let body = json!({
            "total": c.total, "running": c.running, "waiting": c.waiting, "stopped": c.stopped,
            "task_count": c.running + c.waiting, "scheduler_running": api.engine.is_running(),
        });
        Answer::bare(axum::http::StatusCode::OK, body)
    })
}

pub(super) async fn job_state(api: Arc<Api>, _call: Call) -> Answer {
    answer(api.engine.counts().await, |c| {
        let data = json!({
            "total": c.total, "running": c.running, "waiting": c.waiting, "stopped": c.stopped,
            "num": c.running + c.waiting, "state": api.engine.is_running(),
        });
        Answer::ok("成功", "ok", data)
    })
}

pub(super) async fn scheduler(api: Arc<Api>, call: Call) -> Answer {
    let (page, size) = call.page();
    let filter = JobFilter { scheduled: true, ..JobFilter::default() };
    answer(api.engine.jobs(&filter, page, size).await, |found| {
        let views: Vec<_> = found.items.into_iter().map(|job| ScheduledView::new(job, &api.engine)).collect();
        Answer::page(views, Paging { page, size, total: found.total })
            .with("scheduler_running", api.engine.is_running())
            .with("total_tasks", found.total)
    })
}

pub(super) async fn check_job(api: Arc<Api>, _call: Call) -> Answer {
    answer(api.engine.reconcile().await, |r| {
        let data = json!({"added": r.added, "removed": r.removed, "updated": r.updated});
        Answer::ok("任务调度器已校准", "scheduler reconciled with the database", data)
    })
}

pub(super) async fn functions(api: Arc<Api>, call: Call) -> Answer {
    let Listing { builtin, user, failed, python } = api.engine.functions().await;
    let mut views: Vec<_> = builtin.iter().map(|f| FunctionView::builtin(f, call.lang)).collect();
    views.extend(user.into_iter().map(FunctionView::user));
    let (version, reason) = match &python.version {
        Ok(version) => (Some(version), None),
        Err(reason) => (None, Some(call.lang.pick(reason))),
    };
    let state = json!({
        "available": version.is_some(), "version": version, "reason": reason, "environment": python.environment,
    });
    Answer::ok("成功", "ok", views).with("python", state).with("failed", FailureView::all(&failed, call.lang))
}

pub(super) async fn reload_functions(api: Arc<Api>, call: Call) -> Answer {
    let done = api.engine.reload_functions().await;
    let failed = FailureView::all(&done.failed, call.lang);
    let text = Text::new(
        format!(
            "函数已热加载：{} 个可用，{} 个移除，{} 处失败",
            done.loaded.len(),
            done.removed.len(),
            failed.len()
        ),
        format!(
            "functions reloaded: {} loaded, {} removed, {} failed",
            done.loaded.len(),
            done.removed.len(),
            failed.len()
        ),
    );
    let data = json!({"loaded": done.loaded, "removed": done.removed, "failed": failed});
    Answer::code(200, text, data)
}

pub(super) fn answer<T>(result: Result<T, Error>, shape: impl FnOnce(T) -> Answer) -> Answer {
    result.map_or_else(Answer::from, shape)
}

fn done(result: Result<(), Error>, zh: &str, en: &str) -> Answer {
    answer(result, |()| Answer::ok(zh, en, Value::Null))
}

fn draft(call: &Call) -> JobDraft {
    JobDraft {
        name: call.text("name"),
        desc: call.text("desc"),
        cron_expr: call.text("cron_expr"),
        trigger_type: call.text("trigger_type"),
        interval_seconds: call.int("interval_seconds"),
        timezone: call.text("timezone"),
        mode: call.text("mode"),
        command: call.text("command"),
        state: call.int("state"),
        allow_mode: call.int("allow_mode"),
        max_run_count: call.int("max_run_count"),
        misfire_policy: call.text("misfire_policy"),
        misfire_window: call.int("misfire_window"),
        recovery: call.text("recovery"),
        unread: call.fields.unread.clone(),
    }
}

/// The instants between which a day of the zone lies; a day that begins in a gap begins after it.
pub(super) fn day(date: NaiveDate, zone: Tz) -> Option<(UtcMs, UtcMs)> {
    let midnight = |date: NaiveDate| {
        let mut at = date.and_time(NaiveTime::MIN);
        loop {
            if let Some(found) = zone.from_local_datetime(&at).earliest() {
                return Some(UtcMs::from_utc(found.to_utc()));
            }
            at = at.checked_add_signed(chrono::Duration::minutes(15))?;
        }
    };
    Some((midnight(date)?, midnight(date.checked_add_days(Days::new(1))?)?))
}
