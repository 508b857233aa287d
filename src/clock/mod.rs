//! The time of a store: the clock that it asks, and the timestamps of its commits.
//!
//! A store asks one [`Clock`], by default that of the system, and makes of its answers a hybrid
//! logical clock (Kulkarni, Demirbas, Madappa, Avva and Leone 2014): every commit gets a
//! [`Timestamp`] that is greater than those of all earlier commits, whether the clock stands still,
//! is set back, or was set back while the store was closed.
//!
//! `docs/time.md` has the argument.

mod hybrid;
mod manual;
mod timestamp;

pub(crate) use hybrid::HybridClock;
pub use manual::ManualClock;
pub use timestamp::Timestamp;

use std::fmt;
use std::time::SystemTime;

/// A source of the time for a store; see [`StoreBuilder::clock`](crate::StoreBuilder::clock).
///
/// It may go back, and differ from other clocks: a store's own time then stands still until the
/// clock has caught up. It must not jump far ahead: the store's time would stay there.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the time. It is called for each commit, with a lock of the log held, and for each
    /// read of a keyspace whose rows expire, so it must be quick, and must not call the store.
    fn now(&self) -> SystemTime;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
