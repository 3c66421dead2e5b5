//! What people do, and the machine: jobs are added, stopped, started, run, deleted; the process is killed; the
//! clock is set. Each is told to the job's model, so that the records can be held against it.

use super::model_test::Model;
use super::oracle_test::{HOUR, Rule, rules};
use super::world_test::{MINUTE, World};
use crate::domain::UtcMs;
use crate::domain::audit::{Act, By};
use crate::domain::job::{JobDraft, JobId, Overlap, Recovery, Removal};
use crate::engine::Error;
use crate::engine::commands::Command;
use crate::engine::ticker::lock;
use crate::store::Fault;
use chrono_tz::Tz;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What somebody asks for.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    Stop(JobId),
    Restart(JobId, bool),
    Delete(JobId),
}

impl World {
    pub async fn add(&mut self, rule: Rule) {
        let overlap = self.chance.of(&[Overlap::Parallel, Overlap::Serial, Overlap::Immediate]);
        let recovery = self.chance.of(&[Recovery::Never, Recovery::Rerun]);
        let max_run_count = self.chance.of(&[0, 0, 0, 7]);
        let draft = JobDraft {
            name: Some(format!("job {}", self.models.len())),
            cron_expr: rule.cron.map(Into::into),
            trigger_type: Some(if rule.cron.is_some() { "cron" } else { "interval" }.into()),
            interval_seconds: rule.cron.is_none().then(|| rule.seconds()),
            timezone: rule.cron.map(|_| rule.zone.into()),
            mode: Some("func".into()),
            command: Some("【name】Time\n【arg】".into()),
            allow_mode: Some(overlap.code()),
            max_run_count: Some(i64::from(max_run_count)),
            misfire_policy: Some(self.chance.of(&["fire_once", "skip", "fire_all"]).into()),
            misfire_window: Some(self.chance.of(&[300, 3_600])),
            recovery: Some(recovery.as_str().into()),
            ..JobDraft::default()
        };
        let spec = Box::new(draft.check(Tz::UTC).unwrap());
        let (reply, answer) = oneshot::channel();
        let newest = self.store.newest_run().await.unwrap();
        let (from, by) = (self.wall(), Arc::new(By::system()));
        let add = Command::Add { spec, removal: Removal::default(), run: false, act: Act::JobAdd, by, reply };
        self.settle(vec![add]).await;
        let id = answer.await.unwrap().unwrap().id;
        let mut model =
            Model { rule, overlap, recovery, max_run_count, armed: Vec::new(), lives: vec![newest] };
        model.arm(from, newest, overlap == Overlap::Immediate);
        self.models.insert(id, model);
        self.follow().await;
    }

    /// A person, or the machine, does something.
    pub async fn somebody(&mut self) {
        let ids: Vec<JobId> = self.models.keys().copied().collect();
        let id = self.chance.of(&ids);
        match self.chance.below(20) {
            0..3 => self.ask(Asked::Stop(id)).await,
            3..10 => {
                let reset = self.chance.one_in(2);
                self.ask(Asked::Restart(id, reset)).await;
            }
            10..15 => {
                let (reply, _) = oneshot::channel();
                self.settle(vec![Command::Run { id, by: Arc::new(By::system()), reply }]).await;
            }
            15 => {
                let away = self.chance.of(&[1_000, MINUTE, 20 * MINUTE, 8 * HOUR.unsigned_abs()]);
                let away = Duration::from_millis(self.chance.below(away));
                self.die(away).await;
                self.settle(Vec::new()).await;
            }
            16 | 17 => self.jump().await,
            18 if self.models.len() < 8 => {
                self.faults.disarm();
                let rule = self.chance.of(&rules());
                self.add(rule).await;
            }
            19 if self.models.len() > 3 && self.chance.one_in(4) => self.ask(Asked::Delete(id)).await,
            _ => {}
        }
    }

    pub async fn ask(&mut self, act: Asked) {
        let (Asked::Stop(id) | Asked::Restart(id, _) | Asked::Delete(id)) = act;
        // Where a start may use up the last of a limit, an answer that was lost tells too little.
        if self.models[&id].max_run_count > 0 {
            self.faults.disarm();
        }
        let (now, newest) = (self.wall(), self.store.newest_run().await.unwrap());
        let before = self.entry(id);
        let by = Arc::new(By::system());
        let (reply, answer) = oneshot::channel::<Result<(), Error>>();
        let command = match act {
            Asked::Stop(_) => Command::Stop { id, by, reply },
            Asked::Restart(_, reset_run_count) => Command::Restart { id, reset_run_count, by, reply },
            Asked::Delete(_) => Command::Delete { id, version: None, by, reply },
        };
        self.settle(vec![command]).await;
        let after = self.entry(id);
        let last = self.store.newest_run().await.unwrap();
        // Where nobody was told, its version says whether it happened.
        let answered = answer.await.is_ok_and(|done| done.is_ok());
        let done = answered || before.map(|b| b.0) != after.map(|a| a.0);
        let Some((_, _, decided)) = before.filter(|_| done) else { return };
        let model = self.models.get_mut(&id).expect("it is known");
        match act {
            Asked::Stop(_) | Asked::Delete(_) => model.disarm(now.max(decided), last),
            Asked::Restart(..) if !after.is_some_and(|a| a.1) && !answered => {}
            Asked::Restart(_, reset) => {
                model.disarm(now.max(decided), last);
                model.arm(now, newest, model.overlap == Overlap::Immediate);
                if reset {
                    model.lives.push(newest);
                }
            }
        }
        self.follow().await;
    }

    /// Version, whether it is enabled, and up to which instant all is decided.
    fn entry(&mut self, id: JobId) -> Option<(i64, bool, i64)> {
        let core = self.server().engine.core.clone();
        let core = lock(&core);
        let entry = core.jobs.get(&id)?;
        Some((entry.job.story.version, entry.job.spec.enabled, entry.decided.0))
    }

    /// Somebody sets the wall clock.
    async fn jump(&mut self) {
        if matches!(self.faults.disarm(), Some(Fault::Refused | Fault::Unanswered)) {
            self.faults.arm(Fault::Refused, 1);
        }
        let by = self.chance.below(3 * HOUR.unsigned_abs()) as i64 - 3 * HOUR / 2;
        let by = if self.chance.one_in(4) { by + by.signum() * 3 * HOUR } else { by };
        if by.abs() < 60_000 {
            return;
        }
        self.jumps += 1;
        let (before, epoch) = (self.wall(), self.epoch());
        let newest = self.store.newest_run().await.unwrap();
        self.clock.set_wall(UtcMs(before + by));
        // The clock is looked at each second, whether something is due or not.
        self.turn(Vec::new()).await;
        self.settle(Vec::new()).await;
        let carried = self.epoch() > epoch;
        assert_eq!(carried, !(0..=3 * HOUR).contains(&by), "a jump by {by} ms");
        let correction = by.abs() > 3 * HOUR;
        for model in self.models.values_mut().filter(|model| carried && model.is_armed()) {
            let anchor = model.armed.last().map_or(0, |armed| armed.anchor);
            if model.rule.fixed && !correction {
                continue;
            }
            model.disarm(before, newest);
            model.arm(before + by, newest, false);
            if let Some(armed) = model.armed.last_mut() {
                armed.anchor = anchor + by;
            }
        }
        self.follow().await;
    }
}
