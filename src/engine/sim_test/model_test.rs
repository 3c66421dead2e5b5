//! What a job was asked to do, as its users know it, and whether the records agree with that.

use super::oracle_test::Rule;
use crate::domain::job::{Overlap, Recovery};
use crate::domain::run::RunId;
use crate::store::Kept;
use std::collections::BTreeMap;

/// A time in which a job was armed: what was due in it must be recorded, once.
#[derive(Clone, Debug)]
pub struct Armed {
    /// Instants after this one, up to that one, by the wall clock as it was then.
    pub from: i64,
    pub to: Option<i64>,
    /// An interval counts from here.
    pub anchor: i64,
    /// Records made in it have ids above this one, up to that one: they rise also when the clock goes back.
    pub newest: RunId,
    pub last: Option<RunId>,
    /// A queueing job runs at once when it is armed.
    pub owed: bool,
}

#[derive(Clone, Debug)]
pub struct Model {
    pub rule: Rule,
    pub overlap: Overlap,
    pub recovery: Recovery,
    pub max_run_count: u32,
    pub armed: Vec<Armed>,
    /// Where its count of starts began anew: the newest run of then.
    pub lives: Vec<RunId>,
}

impl Model {
    pub fn is_armed(&self) -> bool {
        self.armed.last().is_some_and(|armed| armed.to.is_none())
    }

    pub fn arm(&mut self, from: i64, newest: RunId, owed: bool) {
        self.armed.push(Armed { from, to: None, anchor: from, newest, last: None, owed });
    }

    pub fn disarm(&mut self, to: i64, last: RunId) {
        if let Some(armed) = self.armed.last_mut().filter(|armed| armed.to.is_none()) {
            armed.to = Some(to);
            armed.last = Some(last);
        }
    }

    /// Every due fire ends in exactly one recorded way, nothing else is recorded, and no more starts were
    /// claimed than the job may have.
    pub fn check(&self, id: i64, rows: &[Kept]) {
        let mut claimed: BTreeMap<i64, usize> = BTreeMap::new();
        let fires: Vec<&Kept> = rows.iter().filter(|row| row.job_id == id && row.fire_ms.is_some()).collect();
        for armed in &self.armed {
            let (to, last) = (armed.to.expect("all is over"), armed.last.expect("all is over"));
            let within: Vec<&Kept> =
                fires.iter().copied().filter(|row| row.id > armed.newest.0 && row.id <= last.0).collect();
            let due = self.rule.between(armed.anchor, armed.from, to);
            for at in &due {
                let found: Vec<&&Kept> = within.iter().filter(|row| covers(row, *at)).collect();
                assert_eq!(found.len(), 1, "job {id}, due at {at}: {found:?}; {armed:?}");
                *claimed.entry(found[0].id).or_default() += 1;
            }
            if armed.owed {
                let found = within.iter().find(|row| {
                    !claimed.contains_key(&row.id)
                        && row.fire_ms.is_some_and(|at| (0..=1).contains(&(at - armed.from)))
                });
                let found =
                    found.unwrap_or_else(|| panic!("job {id}: the run owed at {} has no record", armed.from));
                claimed.insert(found.id, 1);
            }
        }
        for row in &fires {
            let covered = claimed.get(&row.id).copied().unwrap_or(0);
            let told = if row.outcome == "missed" { row.missed_count.unwrap_or(0) } else { 1 };
            assert_eq!(
                covered as i64, told,
                "job {id}: {row:?} stands for {covered} due fires; {:?}",
                self.armed
            );
        }
        self.check_limit(id, rows);
    }

    fn check_limit(&self, id: i64, rows: &[Kept]) {
        if self.max_run_count == 0 {
            return;
        }
        for (n, began) in self.lives.iter().enumerate() {
            let ended = self.lives.get(n + 1).map_or(i64::MAX, |next| next.0);
            let starts = rows.iter().filter(|row| {
                row.job_id == id
                    && row.id > began.0
                    && row.id <= ended
                    && row.is_scheduled()
                    && row.was_claimed()
            });
            let starts = starts.count();
            assert!(
                starts <= self.max_run_count as usize,
                "job {id}: {starts} of {} starts",
                self.max_run_count
            );
        }
    }
}

/// The instant is the row's own, or one of those that it sums up.
fn covers(row: &Kept, at: i64) -> bool {
    match row.missed_to_ms {
        Some(to) => row.fire_ms.is_some_and(|from| (from..=to).contains(&at)),
        None => row.fire_ms == Some(at),
    }
}
