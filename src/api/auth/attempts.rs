//! How often a password may be tried: ten times a minute from one source. Only the source counts, never
//! the account: nobody can lock the owner out by trying his name.

use crate::domain::UtcMs;
use std::collections::HashMap;
use std::net::IpAddr;

/// Wrong tries in a window.
const MOST: u32 = 10;
const WINDOW_MS: i64 = 60_000;
/// Sources that are remembered. With more at once, the oldest windows go first.
const SOURCES_MAX: usize = 10_000;

/// When each source began its window, and how often it was wrong in it.
#[derive(Debug, Default)]
pub(super) struct Attempts(HashMap<IpAddr, (i64, u32)>);

impl Attempts {
    /// Takes a try; an error: how many seconds to wait.
    pub fn take(&mut self, source: IpAddr, now: UtcMs) -> Result<(), i64> {
        let source = network(source);
        if self.0.len() >= SOURCES_MAX && !self.0.contains_key(&source) {
            self.0.retain(|_, (began, _)| now.0 - *began < WINDOW_MS);
            if self.0.len() >= SOURCES_MAX {
                let oldest = self.0.iter().min_by_key(|(_, (began, _))| *began).map(|(source, _)| *source);
                oldest.map(|source| self.0.remove(&source));
            }
        }
        let entry = self.0.entry(source).or_insert((now.0, 0));
        // A clock that was set back begins a window anew.
        if !(0..WINDOW_MS).contains(&(now.0 - entry.0)) {
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
        if let Some((_, n)) = self.0.get_mut(&network(source)) {
            *n = n.saturating_sub(1);
        }
    }
}

/// One customer has a whole /64 of IPv6.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(addr) => IpAddr::V6((u128::from(addr) >> 64 << 64).into()),
        v4 => v4,
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

    #[test]
    fn many_sources_take_bounded_room() {
        let mut attempts = Attempts::default();
        for n in 0..12_000_u32 {
            let source = IpAddr::from(n.to_be_bytes());
            assert_eq!(attempts.take(source, UtcMs(1_000 + i64::from(n))), Ok(()));
        }
        assert_eq!(attempts.0.len(), SOURCES_MAX);
    }
}
