//! A clock that is set by hand.

use super::Clock;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A clock that stands still until it is set, for tests and simulations. Clones of it are the same
/// clock.
///
/// ```
/// use annulus::clock::ManualClock;
/// use annulus::{Store, topology::KeyspaceSpec};
/// use std::time::{Duration, SystemTime};
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
/// let store = Store::builder(directory.path().join("store")).clock(clock.clone()).open()?;
/// let before = store.now();
/// clock.advance(Duration::from_secs(86_400));
/// assert_eq!(store.now().time().duration_since(before.time()).unwrap().as_secs(), 86_400);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<SystemTime>>);

impl ManualClock {
    /// Creates a clock that shows a time.
    #[must_use]
    pub fn at(time: SystemTime) -> Self {
        Self(Arc::new(Mutex::new(time)))
    }

    /// Sets the time, also to an earlier one.
    pub fn set(&self, time: SystemTime) {
        *self.0.lock() = time;
    }

    /// Moves the time forward. It stays where it is if a [`SystemTime`] cannot be that late.
    pub fn advance(&self, by: Duration) {
        let mut time = self.0.lock();
        *time = time.checked_add(by).unwrap_or(*time);
    }

    /// Moves the time back. It stays where it is if a [`SystemTime`] cannot be that early.
    pub fn rewind(&self, by: Duration) {
        let mut time = self.0.lock();
        *time = time.checked_sub(by).unwrap_or(*time);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *self.0.lock()
    }
}
