//! The moment up to which expired rows may be reclaimed: no reader that goes on sees them.

use super::stored::Moment;
use crate::clock::HybridClock;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The moments at which readers of a store go on reading: snapshots, transactions and reshapes.
#[derive(Debug)]
pub(crate) struct Horizon {
    clock: Arc<HybridClock>,
    /// How many readers hold each moment.
    held: Mutex<BTreeMap<Moment, usize>>,
}

/// A moment that a reader holds until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    horizon: Arc<Horizon>,
    at: Moment,
}

impl Horizon {
    pub(crate) fn new(clock: Arc<HybridClock>) -> Arc<Self> {
        Arc::new(Self { clock, held: Mutex::default() })
    }

    /// Returns the present moment, which is never before an earlier one.
    pub(crate) fn now(&self) -> Moment {
        Moment::of(self.clock.now())
    }

    /// Holds the present moment.
    pub(crate) fn hold(self: &Arc<Self>) -> Held {
        let mut held = self.held.lock();
        // IMPORTANT: under the lock. A compaction that does not see this moment has looked at the
        // clock before it, and so reclaims nothing that expires later than this.
        let at = self.now();
        *held.entry(at).or_default() += 1;
        drop(held);
        Held { horizon: Arc::clone(self), at }
    }

    /// Returns the moment up to which what has expired is needed by no reader, present or future;
    /// and the present one.
    pub(crate) fn reclaimable(&self) -> (Moment, Moment) {
        let held = self.held.lock();
        let now = self.now();
        if crate::os::failpoint::skip("expiry-horizon") {
            return (now, now);
        }
        (held.keys().next().map_or(now, |oldest| now.min(*oldest)), now)
    }
}

impl Held {
    pub(crate) const fn at(&self) -> Moment {
        self.at
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.horizon.held.lock();
        if let Some(readers) = held.get_mut(&self.at) {
            *readers -= 1;
            if *readers == 0 {
                held.remove(&self.at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn the_oldest_reader_bounds_what_is_reclaimed() {
        let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(1000));
        let horizon = Horizon::new(Arc::new(HybridClock::new(Arc::new(clock.clone()))));
        let step = || clock.advance(Duration::from_secs(1));
        assert_eq!(horizon.reclaimable(), (horizon.now(), horizon.now()));
        let first = horizon.hold();
        let again = horizon.hold();
        step();
        let second = horizon.hold();
        step();
        assert!(first.at() < second.at() && first.at() == again.at());
        assert_eq!(horizon.reclaimable(), (first.at(), horizon.now()));
        drop(first);
        assert_eq!(horizon.reclaimable(), (again.at(), horizon.now()));
        drop(again);
        assert_eq!(horizon.reclaimable(), (second.at(), horizon.now()));
        drop(second);
        assert_eq!(horizon.reclaimable(), (horizon.now(), horizon.now()));
    }
}
