//! How often a transaction is run, and how long it waits in between.

use super::TransactionOptions;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// The longest wait after the first conflict; it doubles with each one.
const PAUSE_FIRST: Duration = Duration::from_micros(20);

/// The longest wait of all.
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// The attempts at one transaction.
#[derive(Debug)]
pub(crate) struct Attempts {
    options: TransactionOptions,
    begun: Instant,
    failed: u32,
}

impl Attempts {
    pub(crate) fn new(options: TransactionOptions) -> Self {
        Self { options, begun: Instant::now(), failed: 0 }
    }

    /// Returns true if the next attempt is to keep other writes out.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.options.exclusive_after.is_some_and(|conflicts| self.failed >= conflicts)
    }

    /// Counts a conflict, and waits. Returns false if there is to be no other attempt.
    pub(crate) fn go_on(&mut self) -> bool {
        self.failed += 1;
        if self.failed >= self.options.attempts_max {
            return false;
        }
        let pause = pause(self.failed, random());
        let until = self.begun.elapsed().saturating_add(pause);
        if self.options.time_max.is_some_and(|most| until >= most) {
            return false;
        }
        std::thread::sleep(pause);
        true
    }

    /// Returns how many there have been.
    pub(crate) fn failed(&self) -> u32 {
        self.failed
    }
}

/// Returns how long to wait after this many conflicts: any time up to a bound that doubles, so that
/// transactions that have met do not meet again ("full jitter": Brooker 2015).
fn pause(failed: u32, random: u64) -> Duration {
    let doubled = PAUSE_FIRST.saturating_mul(1_u32.checked_shl(failed - 1).unwrap_or(u32::MAX));
    let most = doubled.min(PAUSE_MAX).as_nanos();
    Duration::from_nanos(((u128::from(random) * most) >> 64) as u64)
}

/// Returns a random number: the standard library seeds its hash maps with them.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        assert_eq!(pause(1, 0), Duration::ZERO);
        let longest = |failed| pause(failed, u64::MAX) + Duration::from_nanos(1);
        assert_eq!(longest(1), PAUSE_FIRST);
        assert_eq!(longest(3), PAUSE_FIRST * 4);
        assert_eq!(pause(3, u64::MAX / 2), PAUSE_FIRST * 2 - Duration::from_nanos(1));
        for many in [12, 32, 33, u32::MAX] {
            assert_eq!(longest(many), PAUSE_MAX);
        }
    }

    #[test]
    fn attempts_are_bounded_and_the_last_ones_exclusive() {
        let options = TransactionOptions::new().attempts_max(4).exclusive_after(2).time_max(None);
        let mut attempts = Attempts::new(options);
        let mut exclusive = vec![attempts.is_exclusive()];
        while attempts.go_on() {
            exclusive.push(attempts.is_exclusive());
        }
        assert_eq!(exclusive, [false, false, true, true]);
        assert_eq!(attempts.failed(), 4);
        assert!(!Attempts::new(options.attempts_max(1)).go_on());
        assert!(!Attempts::new(options.time_max(Duration::ZERO)).go_on());
        let mut never = Attempts::new(options.exclusive_after(None));
        assert!((0..3).all(|_| never.go_on() && !never.is_exclusive()));
    }

    #[test]
    fn random_numbers_differ() {
        assert!((0..8).map(|_| random()).collect::<std::collections::BTreeSet<_>>().len() > 1);
    }
}
