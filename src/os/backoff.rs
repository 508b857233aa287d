//! How long to wait before something that has failed is tried again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits whose bound doubles with each failure in a row. Each wait is any time up to the bound, so
/// that what has failed at the same moment is not tried again at the same moment ("full jitter":
/// Brooker, "Exponential Backoff and Jitter", 2015).
#[derive(Debug)]
pub(crate) struct Backoff {
    /// The bound after the first failure.
    pub(crate) first: Duration,
    /// The bound after many.
    pub(crate) max: Duration,
}

impl Backoff {
    /// Returns how long to wait after this many failures in a row.
    pub(crate) fn wait(&self, failures: u32) -> Duration {
        part(self.bound(failures), random())
    }

    fn bound(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.max)
    }
}

/// Returns a part of a time; zero is the least random number's, and almost all of it the greatest's.
fn part(whole: Duration, random: u64) -> Duration {
    Duration::from_nanos(((whole.as_nanos() * u128::from(random)) >> 64) as u64)
}

/// Returns a random number: the standard library seeds its hash maps with them.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff =
        Backoff { first: Duration::from_millis(200), max: Duration::from_secs(5) };

    #[test]
    fn bounds_double_up_to_the_last_one() {
        let bounds: Vec<_> = (1..8).map(|failures| BACKOFF.bound(failures).as_millis()).collect();
        assert_eq!(bounds, [200, 400, 800, 1600, 3200, 5000, 5000]);
        for many in [32, 33, u32::MAX] {
            assert_eq!(BACKOFF.bound(many), BACKOFF.max);
        }
    }

    #[test]
    fn a_wait_is_any_time_up_to_the_bound() {
        assert_eq!(part(BACKOFF.max, 0), Duration::ZERO);
        assert_eq!(part(BACKOFF.max, u64::MAX / 2 + 1), BACKOFF.max / 2);
        assert_eq!(part(BACKOFF.max, u64::MAX) + Duration::from_nanos(1), BACKOFF.max);
        let waits: Vec<_> = (0..8).map(|_| BACKOFF.wait(5)).collect();
        assert!(waits.iter().all(|wait| *wait < BACKOFF.bound(5)), "{waits:?}");
        assert!(waits.windows(2).any(|two| two.first() != two.last()), "{waits:?}");
    }
}
