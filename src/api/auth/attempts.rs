//! How often a password may be tried: ten times a minute from one source. Only the source counts, never
//! the account: nobody can lock the owner out by trying his name.

use crate::api::sources::Sources;
use crate::domain::UtcMs;
use std::net::IpAddr;

/// Wrong tries in a window.
const MOST: u32 = 10;
const WINDOW_MS: i64 = 60_000;

/// When each source began its window, and how often it was wrong in it.
#[derive(Debug, Default)]
pub(super) struct Attempts(Sources<(i64, u32)>);

impl Attempts {
    /// Takes a try; an error: how many seconds to wait.
    pub fn take(&mut self, source: IpAddr, now: UtcMs) -> Result<(), i64> {
        let entry = self.0.seen(source, now);
        // The first window; and a clock that was set back begins one anew.
        if entry.1 == 0 || !(0..WINDOW_MS).contains(&(now.0 - entry.0)) {
            *entry = (now.0, 0);
        }
        if entry.1 >= MOST {
            return Err((WINDOW_MS - (now.0 - entry.0) + 999) / 1_000);
        }
        entry.1 += 1;
        Ok(())
    }

    /// The try was right: it is not held against the source.
    pub fn give_back(&mut self, source: IpAddr) {
        if let Some((_, n)) = self.0.known(source) {
            *n = n.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_tries_a_minute_and_source() {
        let mut attempts = Attempts::default();
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), "2001:db8::1".parse().unwrap());
        for _ in 0..10 {
            assert_eq!(attempts.take(a, UtcMs(1_000)), Ok(()));
        }
        assert_eq!(attempts.take(a, UtcMs(31_000)), Err(30));
        assert_eq!(attempts.take(b, UtcMs(31_000)), Ok(()), "others are not held up");
        assert_eq!(attempts.take(a, UtcMs(61_000)), Ok(()));
        for _ in 0..20 {
            assert_eq!(attempts.take(a, UtcMs(61_000)), Ok(()));
            attempts.give_back(a);
        }
        for n in 0..9 {
            let neighbour = format!("2001:db8::{n}").parse().unwrap();
            assert_eq!(attempts.take(neighbour, UtcMs(31_000)), Ok(()));
        }
        assert!(attempts.take("2001:db8::ffff".parse().unwrap(), UtcMs(31_000)).is_err());
    }
}
