//! The open connections: what each waits for and since when. Time is counted in sweeps, so that nothing
//! here reads a clock, and a server that was held up (suspended, no processor) blames no client for it.

use super::{Limits, TICK};
use crate::api::sources::network;
use axum::http::Request;
use hyper::body::{Body, Incoming};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A moment, or a time: so many sweeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sweep(pub u64);

impl Sweep {
    pub fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// No sweep is so near that it has not been at least this long.
    fn lasting(time: Duration) -> Self {
        Self((time.as_millis() / TICK.as_millis()) as u64 + 1)
    }
}

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Accepted, and nothing has come yet.
    New,
    /// A part of a request's head has come.
    Head,
    /// The body of a request is on its way.
    Receiving,
    /// We are at work, or the answer is leaving.
    Serving,
    /// The answer has left.
    Idle,
}

impl Phase {
    fn of(n: u8) -> Self {
        [Self::New, Self::Head, Self::Receiving, Self::Serving][..]
            .get(n as usize)
            .copied()
            .unwrap_or(Self::Idle)
    }
}

/// One client's connection, as the crowd sees it. Its own task writes, the sweep reads.
#[derive(Debug)]
pub(in crate::api) struct Connection {
    id: u64,
    /// Whom it counts for.
    source: IpAddr,
    /// This machine, or a proxy that is trusted.
    near: bool,
    phase: AtomicU8,
    /// The sweep since which it is in its phase.
    since: AtomicU64,
    /// The sweep since which the client takes nothing of what is written; 0: it does.
    stuck: AtomicU64,
    /// A head took too long: the client is told so.
    late: AtomicBool,
    cut: CancellationToken,
    crowd: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Counts from 1.
    now: AtomicU64,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    open: BTreeMap<u64, Arc<Connection>>,
    by_source: HashMap<IpAddr, usize>,
    next: u64,
    /// How many gave way since that was last said, and when it was.
    gave_way: u64,
    said: u64,
}

/// All connections.
#[derive(Debug)]
pub(super) struct Crowd(Arc<Shared>);

impl Default for Crowd {
    fn default() -> Self {
        Self(Arc::new(Shared { now: AtomicU64::new(1), places: Mutex::default() }))
    }
}

impl Crowd {
    pub fn now(&self) -> Sweep {
        Sweep(self.0.now.load(Ordering::Acquire))
    }

    /// A place for a new connection; another one gives way when there is none. `None`: every connection
    /// that might is being served.
    pub fn admit(&self, peer: IpAddr, near: bool, limits: Limits) -> Option<Member> {
        let source = network(peer);
        let mut places = self.0.places();
        let of_source = places.by_source.get(&source).copied().unwrap_or_default();
        if !near && of_source >= limits.per_source() {
            places.give_way(|other| other.source == source && !other.near)?;
        } else if places.open.len() >= limits.connections {
            places.give_way(|_| true)?;
        }
        let id = places.next;
        places.next += 1;
        let connection = Arc::new(Connection {
            id,
            source,
            near,
            phase: AtomicU8::new(Phase::New as u8),
            since: AtomicU64::new(self.now().0),
            stuck: AtomicU64::new(0),
            late: AtomicBool::new(false),
            cut: CancellationToken::new(),
            crowd: self.0.clone(),
        });
        places.open.insert(id, connection.clone());
        *places.by_source.entry(source).or_default() += 1;
        Some(Member(connection))
    }

    /// An eighth of the connections less, of those that can be spared: who comes next finds room, and most
    /// who are here notice nothing.
    pub fn make_room(&self) {
        let mut places = self.0.places();
        for _ in 0..places.open.len().div_ceil(8) {
            places.give_way(|_| true);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.places().open.is_empty()
    }

    /// Time has passed: whoever is overdue is cut.
    pub fn sweep(&self, limits: Limits) {
        let now = Sweep(self.0.now.fetch_add(1, Ordering::AcqRel) + 1);
        let mut places = self.0.places();
        let overdue: Vec<_> =
            places.open.values().filter(|c| c.is_overdue(now, limits)).map(|c| c.id).collect();
        for id in overdue {
            places.cut(id);
        }
        if places.gave_way > 0 && now.since(Sweep(places.said)) >= super::SAY_AGAIN {
            tracing::warn!(
                closed = places.gave_way,
                open = places.open.len(),
                "connections that waited for their clients were closed, as others wanted their places (MAX_CONNECTIONS)"
            );
            (places.gave_way, places.said) = (0, now.0);
        }
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    /// The one that can best be spared: strangers before our own, then who has waited longest.
    fn give_way(&mut self, may: impl Fn(&Connection) -> bool) -> Option<()> {
        let spare = self.open.values().filter(|c| may(c));
        let spare = spare.filter_map(|c| Some((c.near, c.rank()?, c.since.load(Ordering::Acquire), c.id)));
        let (.., id) = spare.min()?;
        self.gave_way += 1;
        self.cut(id);
        Some(())
    }

    fn cut(&mut self, id: u64) {
        if let Some(connection) = self.leave(id) {
            connection.cut.cancel();
        }
    }

    fn leave(&mut self, id: u64) -> Option<Arc<Connection>> {
        let connection = self.open.remove(&id)?;
        if let Some(n) = self.by_source.get_mut(&connection.source) {
            *n -= 1;
            if *n == 0 {
                self.by_source.remove(&connection.source);
            }
        }
        Some(connection)
    }
}

/// A connection's place, as long as its task lives.
#[derive(Debug)]
pub(super) struct Member(pub Arc<Connection>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.crowd.places().leave(self.0.id);
    }
}

impl Connection {
    /// A request has come, its head at least.
    pub(super) fn asked(&self, request: &Request<Incoming>) {
        self.enter(if request.body().is_end_stream() { Phase::Serving } else { Phase::Receiving });
    }

    /// The body of the request has come.
    pub(in crate::api) fn received(&self) {
        self.enter(Phase::Serving);
    }

    /// The answer has left, as far as we know.
    pub(super) fn answered(&self) {
        self.enter(Phase::Idle);
    }

    /// Something has come from the client.
    pub(super) fn read(&self) {
        match self.phase() {
            // The time of the first head counts from the start: what comes first may be one byte.
            Phase::New => self.phase.store(Phase::Head as u8, Ordering::Release),
            Phase::Idle => self.enter(Phase::Head),
            Phase::Head | Phase::Receiving | Phase::Serving => {}
        }
    }

    /// Whether the client took what was to be written.
    pub(super) fn wrote(&self, taken: bool) {
        let stuck = self.stuck.load(Ordering::Acquire);
        if taken && stuck != 0 {
            self.stuck.store(0, Ordering::Release);
        } else if !taken && stuck == 0 {
            self.stuck.store(self.now().0, Ordering::Release);
        }
    }

    /// Waits until somebody decides that it ends.
    pub(super) async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// Whether it was cut because a head took too long.
    pub(super) fn is_late(&self) -> bool {
        self.late.load(Ordering::Acquire)
    }

    fn phase(&self) -> Phase {
        Phase::of(self.phase.load(Ordering::Acquire))
    }

    /// The moment first: whoever sees the new phase sees its moment too.
    fn enter(&self, phase: Phase) {
        self.since.store(self.now().0, Ordering::Release);
        self.phase.store(phase as u8, Ordering::Release);
    }

    fn now(&self) -> Sweep {
        Sweep(self.crowd.now.load(Ordering::Acquire))
    }

    fn is_overdue(&self, now: Sweep, limits: Limits) -> bool {
        let phase = self.phase();
        let waited = now.since(Sweep(self.since.load(Ordering::Acquire)));
        let most = match phase {
            Phase::New | Phase::Head => Some(limits.timeout),
            Phase::Idle => Some(limits.idle()),
            // `Call::read` counts the time of a body; the work is ours.
            Phase::Receiving | Phase::Serving => None,
        };
        let stuck = self.stuck.load(Ordering::Acquire);
        let is_stuck = stuck != 0 && now.since(Sweep(stuck)) >= Sweep::lasting(limits.stuck());
        let is_late = most.is_some_and(|most| waited >= Sweep::lasting(most));
        self.late.store(is_late && stuck == 0 && phase == Phase::Head, Ordering::Release);
        is_stuck || is_late
    }

    /// How well it can be spared, the lowest first; `None`: we owe it an answer.
    fn rank(&self) -> Option<u8> {
        match self.phase() {
            Phase::New | Phase::Head | Phase::Idle => Some(0),
            _ if self.stuck.load(Ordering::Acquire) != 0 => Some(1),
            Phase::Receiving => Some(2),
            Phase::Serving => None,
        }
    }
}

#[cfg(test)]
#[path = "crowd_test.rs"]
mod tests;
