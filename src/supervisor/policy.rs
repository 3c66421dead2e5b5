//! When a dead server is started again (semantics 11). Pure: the time comes in as an argument.

use std::collections::VecDeque;
use std::time::Duration;

const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// A server that lived this long starts with a clean sheet.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// Restarts are counted over this time.
const WINDOW: Duration = Duration::from_secs(600);

/// What to do about a server that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    RestartAfter(Duration),
    GiveUp,
}

/// What the supervisor remembers of earlier deaths.
#[derive(Debug)]
pub struct Policy {
    first_delay: Duration,
    max_restarts: usize,
    /// When the restarts in the window were decided, oldest first.
    restarts: VecDeque<Duration>,
    next_delay: Duration,
}

impl Policy {
    pub fn new(first_delay: Duration, max_restarts: usize) -> Self {
        Self { first_delay, max_restarts, restarts: VecDeque::new(), next_delay: first_delay }
    }

    /// The server died at `now` after it had lived for `lived`.
    pub fn server_died(&mut self, now: Duration, lived: Duration) -> Verdict {
        if lived >= FORGET_AFTER {
            self.restarts.clear();
            self.next_delay = self.first_delay;
        }
        while self.restarts.front().is_some_and(|at| now.saturating_sub(*at) >= WINDOW) {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= self.max_restarts {
            return Verdict::GiveUp;
        }
        self.restarts.push_back(now);
        let delay = self.next_delay;
        self.next_delay = (delay * 2).min(LONGEST_DELAY);
        Verdict::RestartAfter(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds deaths (`lived` seconds each, waits included) and gives the delays; `None` is giving up.
    fn delays(first: u64, max: usize, lives: &[u64]) -> Vec<Option<u64>> {
        let mut policy = Policy::new(Duration::from_secs(first), max);
        let mut now = Duration::from_secs(1_000);
        let mut out = Vec::new();
        for lived in lives.iter().copied().map(Duration::from_secs) {
            now += lived;
            out.push(match policy.server_died(now, lived) {
                Verdict::RestartAfter(delay) => {
                    now += delay;
                    Some(delay.as_secs())
                }
                Verdict::GiveUp => None,
            });
        }
        out
    }

    #[test]
    fn delays_double_are_forgotten_and_end() {
        let some = |list: &[u64]| list.iter().copied().map(Some).collect::<Vec<_>>();
        // Doubling to the longest, and no restart after the last that is allowed.
        let mut wanted = some(&[1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        wanted.push(None);
        assert_eq!(delays(1, 10, &[0; 11]), wanted);
        // The setting is the first delay.
        assert_eq!(delays(5, 10, &[0; 5]), some(&[5, 10, 20, 40, 60]));
        // 59 s are not healthy enough, 60 s are.
        assert_eq!(delays(1, 10, &[0, 59, 60, 0]), some(&[1, 2, 1, 2]));
        // Whoever lives on for a while is restarted for ever.
        assert_eq!(delays(1, 2, &[60; 50]), some(&[1; 50]));
        // Restarts that are older than the window no longer count.
        assert_eq!(delays(59, 12, &[59; 30]).iter().filter(|d| d.is_none()).count(), 0);
        assert_eq!(delays(1, 0, &[0]), [None]);
        assert_eq!(delays(0, 3, &[0; 4]), [Some(0), Some(0), Some(0), None]);
    }
}
