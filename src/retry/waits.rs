//! The waits between the attempts at one call.

use super::{RetryBudget, RetryOptions};
use crate::error::Error;
use crate::os::backoff::Backoff;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The waits between the attempts at one call: see [`Retry::waits`](super::Retry::waits).
#[derive(Debug)]
pub struct Waits {
    options: RetryOptions,
    budget: Arc<RetryBudget>,
    begun: Instant,
    failures: u32,
    /// What the last error has asked for.
    hint: Arc<Hint>,
}

/// How long to wait at least, as the last error says, in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Hint(AtomicU64);

impl Hint {
    pub(super) fn note(&self, error: &Error) {
        let nanos = error.retry_after().map_or(0, |time| time.as_nanos());
        self.0.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Waits {
    pub(super) fn begin(options: RetryOptions, budget: Arc<RetryBudget>) -> Self {
        Self { options, budget, begun: Instant::now(), failures: 0, hint: Arc::default() }
    }

    pub(super) fn hint(&self) -> &Arc<Hint> {
        &self.hint
    }
}

impl Iterator for Waits {
    type Item = Duration;

    /// Returns how long to wait before the call is made again; `None` if it is not to be.
    fn next(&mut self) -> Option<Duration> {
        self.failures += 1;
        if self.failures >= self.options.attempts_max {
            return None;
        }
        let bounds = Backoff { first: self.options.wait_first, max: self.options.wait_max };
        let hint = Duration::from_nanos(self.hint.0.load(Ordering::Relaxed));
        let wait = hint.saturating_add(bounds.wait(self.failures));
        let until = self.begun.elapsed().saturating_add(wait);
        if self.options.time_max.is_some_and(|most| until >= most) {
            return None;
        }
        // Last: what is not made again costs nothing.
        self.budget.spend().then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_are_spread() {
        let options = RetryOptions::new().attempts_max(9).budget_reserve(1000).time_max(None);
        let budget = Arc::new(options.budget());
        let longest = |place: usize| {
            let wait = |_| Waits::begin(options, Arc::clone(&budget)).nth(place).unwrap();
            (0..16).map(wait).max().unwrap()
        };
        let (first, last) = (longest(0), longest(7));
        assert!(first <= options.wait_first && last <= options.wait_max, "{first:?}, {last:?}");
        assert!(last > options.wait_first, "{last:?}");
        assert_eq!(Waits::begin(options, Arc::clone(&budget)).count(), 8);
    }

    /// A call that is given up for lack of time leaves its token to others.
    #[test]
    fn a_retry_that_is_not_made_costs_nothing() {
        let options = RetryOptions::new().budget_reserve(2);
        let budget = Arc::new(options.budget());
        let waits = |options| Waits::begin(options, Arc::clone(&budget));
        assert_eq!(waits(options.time_max(Duration::ZERO)).next(), None);
        assert_eq!(waits(options.attempts_max(1)).next(), None);
        assert_eq!(budget.tokens(), 2);
        assert_eq!(waits(options).count(), 2);
    }
}
