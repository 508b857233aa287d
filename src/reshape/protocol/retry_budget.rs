//! The budget of attempts for what writers may prevent a reshape from doing.

use std::time::{Duration, Instant};

/// Even this many failed attempts prove nothing if they take only a moment: a writer that holds its
/// stripe may be preempted, or be waiting for a slow disk.
const TRIES_MIN: u32 = 1000;

/// Nor do attempts over a long time prove anything, if they were few.
const TIME_MIN: Duration = Duration::from_secs(60);

/// A budget that is exhausted after both many attempts and a long time.
pub(super) struct RetryBudget {
    begun: Instant,
    tries: u32,
}

impl RetryBudget {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), tries: 0 }
    }

    /// Counts an attempt. Returns false if the budget is exhausted.
    pub(super) fn allows_another(&mut self) -> bool {
        self.tries = self.tries.saturating_add(1);
        self.tries <= TRIES_MIN || self.begun.elapsed() < TIME_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_after_many_attempts_and_a_long_time_but_not_after_one_of_them() {
        let mut budget = RetryBudget::new();
        assert!((0..=TRIES_MIN).all(|_| budget.allows_another()), "a moment says nothing");
        let long_ago = Instant::now().checked_sub(TIME_MIN).unwrap();
        assert!(!RetryBudget { begun: long_ago, tries: TRIES_MIN }.allows_another());
        assert!(
            RetryBudget { begun: long_ago, tries: 7 }.allows_another(),
            "a few attempts say nothing"
        );
    }
}
