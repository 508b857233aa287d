//! The hybrid logical clock: timestamps that only grow, close to what a clock shows.

use super::{Clock, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The time of one store. It never goes back, whatever its clock does.
#[derive(Debug)]
pub(crate) struct HybridClock {
    clock: Arc<dyn Clock>,
    /// The greatest timestamp that was issued or shown.
    latest: AtomicU64,
}

impl HybridClock {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, latest: AtomicU64::new(0) }
    }

    /// Issues the timestamp of a commit: greater than all that were issued or shown before.
    pub(crate) fn issue(&self) -> Timestamp {
        let shown = Timestamp::of(self.clock.now());
        let after = |latest| shown.max(Timestamp::from_number(latest).next());
        let raise = |latest| Some(after(latest).get());
        match self.latest.fetch_update(Ordering::AcqRel, Ordering::Acquire, raise) {
            Ok(latest) | Err(latest) => after(latest),
        }
    }

    /// Returns the time: not before any that was issued or shown. What is issued later is greater.
    pub(crate) fn now(&self) -> Timestamp {
        let shown = Timestamp::of(self.clock.now());
        let latest = self.latest();
        // Most readers come within a millisecond of one another, and only the first writes.
        if shown <= latest { latest } else { self.raise(shown) }
    }

    /// Returns the greatest timestamp that was issued or shown.
    pub(crate) fn latest(&self) -> Timestamp {
        Timestamp::from_number(self.latest.load(Ordering::Acquire))
    }

    /// Makes the time not less than a timestamp, which an earlier opening has issued. Returns the
    /// time.
    pub(crate) fn raise(&self, to: Timestamp) -> Timestamp {
        let before = self.latest.fetch_max(to.get(), Ordering::AcqRel);
        to.max(Timestamp::from_number(before))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ManualClock;
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn at(millis: u64) -> (ManualClock, HybridClock) {
        let manual = ManualClock::at(UNIX_EPOCH + Duration::from_millis(millis));
        (manual.clone(), HybridClock::new(Arc::new(manual)))
    }

    #[test]
    fn timestamps_grow_while_the_clock_stands_still_or_goes_back() {
        let (manual, hybrid) = at(1000);
        let texts = |n: usize| -> Vec<_> { (0..n).map(|_| hybrid.issue().to_string()).collect() };
        assert_eq!(texts(3), ["1000.0", "1000.1", "1000.2"]);
        manual.set(UNIX_EPOCH + Duration::from_millis(900));
        assert_eq!(texts(1), ["1000.3"]);
        assert_eq!(hybrid.now().to_string(), "1000.3");
        manual.set(UNIX_EPOCH + Duration::from_millis(1001));
        assert_eq!(texts(2), ["1001.0", "1001.1"]);
    }

    #[test]
    fn what_was_shown_is_before_what_is_issued_later() {
        let (manual, hybrid) = at(1000);
        let shown = hybrid.now();
        assert!(shown < hybrid.issue());
        manual.advance(Duration::from_millis(5));
        let shown = hybrid.now();
        manual.set(UNIX_EPOCH);
        assert_eq!(hybrid.now(), shown, "the time does not go back for readers, either");
        assert!(shown < hybrid.issue());
    }

    #[test]
    fn an_earlier_opening_bounds_it() {
        let (_, hybrid) = at(1000);
        hybrid.raise(Timestamp::from_millis(5000));
        assert_eq!(hybrid.issue().to_string(), "5000.1");
        hybrid.raise(Timestamp::from_millis(10));
        assert_eq!(hybrid.issue().to_string(), "5000.2");
    }

    #[test]
    fn threads_get_different_timestamps_each_in_growing_order() {
        let (_, hybrid) = at(1000);
        let issue = || (0..5000).map(|_| hybrid.issue()).collect::<Vec<_>>();
        let mut all: Vec<Timestamp> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(issue)).collect();
            let each = threads.into_iter().map(|thread| thread.join().unwrap());
            each.inspect(|issued| assert!(issued.is_sorted())).flatten().collect()
        });
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 20_000);
    }
}
