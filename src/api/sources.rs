//! Something remembered of each source of requests, in bounded room: whoever has many addresses makes
//! others forgotten, never the memory grow.

use crate::domain::UtcMs;
use std::collections::HashMap;
use std::net::IpAddr;

/// Sources that are remembered. With more at once, those that were not seen for longest go first.
const MOST: usize = 10_000;
/// So many go at once, so that not every new source means a look at all of them.
const AT_ONCE: usize = MOST / 10;

/// When each source was last seen, and what is remembered of it.
#[derive(Debug)]
pub(super) struct Sources<T>(HashMap<IpAddr, (i64, T)>);

impl<T> Default for Sources<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Default> Sources<T> {
    /// What is remembered of it; nothing, when it is new.
    pub fn seen(&mut self, source: IpAddr, now: UtcMs) -> &mut T {
        let source = network(source);
        if self.0.len() >= MOST && !self.0.contains_key(&source) {
            let mut seen: Vec<i64> = self.0.values().map(|(seen, _)| *seen).collect();
            let last = *seen.select_nth_unstable(AT_ONCE - 1).1;
            let mut left = AT_ONCE;
            self.0.retain(|_, (seen, _)| {
                let goes = left > 0 && *seen <= last;
                left -= usize::from(goes);
                !goes
            });
        }
        let entry = self.0.entry(source).or_default();
        entry.0 = now.0;
        &mut entry.1
    }

    /// What is remembered of one that may be forgotten.
    pub fn known(&mut self, source: IpAddr) -> Option<&mut T> {
        self.0.get_mut(&network(source)).map(|(_, known)| known)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Whom an address counts for: one customer has a whole /64 of IPv6.
pub(super) fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(addr) => IpAddr::V6((u128::from(addr) >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_sources_take_bounded_room_and_who_was_seen_last_stays() {
        let mut sources = Sources::<u32>::default();
        let steady = IpAddr::from([192, 0, 2, 1]);
        for n in 0..25_000_u32 {
            *sources.seen(IpAddr::from(n.to_be_bytes()), UtcMs(i64::from(n))) += 1;
            *sources.seen(steady, UtcMs(i64::from(n))) += 1;
        }
        assert!(sources.len() <= MOST, "{}", sources.len());
        assert_eq!(sources.known(steady), Some(&mut 25_000));
        assert_eq!(sources.known(IpAddr::from(24_999_u32.to_be_bytes())), Some(&mut 1));
        assert_eq!(sources.known(IpAddr::from(7_u32.to_be_bytes())), None);
    }
}
