//! How often one address may ask: a bucket that fills by the second, and holds a burst.

use super::answer::{Answer, refusal};
use super::sources::Sources;
use crate::config::Rate;
use crate::domain::{Text, UtcMs};
use axum::http::{StatusCode, header};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// One request, in the bucket's measure: what flows in within a millisecond at one a second is 1.
const ONE: i64 = 1_000;

/// What each address has left.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<Sources<Bucket>>);

/// `None`: full.
#[derive(Debug, Default)]
struct Bucket(Option<Level>);

#[derive(Clone, Copy, Debug)]
struct Level {
    left: i64,
    at: i64,
}

impl Rates {
    /// Takes a request of this address; an error: it has to wait.
    pub fn take(&self, client: IpAddr, rate: Rate, now: UtcMs) -> Result<(), Answer> {
        if rate.per_second == 0 {
            return Ok(());
        }
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources.seen(client, now).take(rate, now).map_err(|seconds| {
            let text = Text::new(
                format!("请求过于频繁，请在 {seconds} 秒后重试（RATE_LIMIT）"),
                format!("too many requests, wait {seconds} seconds (RATE_LIMIT)"),
            );
            refusal(StatusCode::TOO_MANY_REQUESTS, text).header(header::RETRY_AFTER, &seconds.to_string())
        })
    }
}

impl Bucket {
    fn take(&mut self, rate: Rate, now: UtcMs) -> Result<(), i64> {
        let (flow, most) = (i64::from(rate.per_second), i64::from(rate.burst) * ONE);
        let level = self.0.unwrap_or(Level { left: most, at: now.0 });
        // A clock that was set back brings nothing, and takes nothing away.
        let passed = (now.0 - level.at).max(0);
        let left = level.left.saturating_add(passed.saturating_mul(flow)).min(most);
        let taken = if left >= ONE { Ok(left - ONE) } else { Err((ONE - left).div_euclid(flow * ONE) + 1) };
        self.0 = Some(Level { left: *taken.as_ref().unwrap_or(&left), at: now.0 });
        taken.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_so_many_a_second() {
        let rate = Rate { per_second: 2, burst: 5 };
        let mut bucket = Bucket::default();
        let mut take = |ms| bucket.take(rate, UtcMs(ms));
        for _ in 0..5 {
            assert_eq!(take(10_000), Ok(()));
        }
        assert_eq!(take(10_000), Err(1));
        assert_eq!(take(10_499), Err(1));
        assert_eq!(take(10_500), Ok(()), "who asks too early does not wait longer for it");
        assert_eq!(take(10_500), Err(1));
        assert_eq!(take(4_000), Err(1), "a clock that was set back");
        assert_eq!(take(4_500), Ok(()));
        for _ in 0..5 {
            assert_eq!(take(900_000), Ok(()));
        }
        assert_eq!(take(900_000), Err(1), "a pause brings no more than a burst");
    }

    #[test]
    fn addresses_do_not_share_and_zero_is_no_limit() {
        let rates = Rates::default();
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let rate = Rate { per_second: 1, burst: 1 };
        assert!(rates.take(a, rate, UtcMs(0)).is_ok());
        assert!(rates.take(a, rate, UtcMs(0)).is_err());
        assert!(rates.take(b, rate, UtcMs(0)).is_ok());
        for _ in 0..100 {
            assert!(rates.take(a, Rate::default(), UtcMs(0)).is_ok());
        }
    }
}
