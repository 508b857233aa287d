//! How often a transaction is run, and how long it waits in between.

use super::TransactionOptions;
use crate::os::backoff::Backoff;
use std::time::{Duration, Instant};

/// How long to wait after a conflict.
const PAUSES: Backoff =
    Backoff { first: Duration::from_micros(20), max: Duration::from_millis(10) };

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
        let pause = PAUSES.wait(self.failed);
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
