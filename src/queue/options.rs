//! The options of a queue.

use crate::error::{Error, Result};
use crate::setters::setters;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How the jobs of a queue are leased and tried again. Handles of one queue may have different ones:
/// they are not stored.
///
/// ```
/// use annulus::queue::QueueOptions;
/// use std::time::Duration;
///
/// let options = QueueOptions::new().lease(Duration::from_secs(5)).attempts_max(3);
/// assert!(options.validate().is_ok());
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct QueueOptions {
    /// How long a job that was taken is left to its worker, which may [extend](super::Queue::extend)
    /// it. Default: 30 seconds; from a millisecond to a year.
    pub lease: Duration,
    /// How many leases a job gets. One that none of them has finished is dead, and is not taken again.
    /// Default: 5; at least 1.
    pub attempts_max: u32,
    /// How long a job that has failed for the first time waits before it is taken again; twice as long
    /// after each further failure, and never longer than [`retry_max`](field@Self::retry_max).
    /// Default: one second; up to a year.
    pub retry_after: Duration,
    /// The longest such wait. Default: 10 minutes; up to a year.
    pub retry_max: Duration,
    clock: Option<Arc<dyn Fn() -> SystemTime + Send + Sync>>,
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl QueueOptions {
    /// Returns the defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            lease: Duration::from_secs(30),
            attempts_max: 5,
            retry_after: Duration::from_secs(1),
            retry_max: Duration::from_secs(600),
            clock: None,
        }
    }

    setters! {
        lease: Duration,
        attempts_max: u32,
        retry_after: Duration,
        retry_max: Duration,
    }

    /// Sets the clock by which jobs are due and leases run out, for tests that let time pass. It is not
    /// that of the [store](crate::StoreBuilder::clock), which a queue does not ask. Default: that of the
    /// system. All handles of a queue should have the same.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Checks the bounds that the fields state.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), with the option and its bounds.
    pub fn validate(&self) -> Result<()> {
        let Self { lease, attempts_max, retry_after, retry_max, .. } = self;
        let problem = match () {
            () if *lease < Duration::from_millis(1) || *lease > YEAR => {
                format!("lease is {lease:?}; it must be from a millisecond to a year")
            }
            () if *attempts_max == 0 => "attempts_max is 0; it must be at least 1".to_owned(),
            () if *retry_after > YEAR || *retry_max > YEAR => format!(
                "retry_after is {retry_after:?} and retry_max {retry_max:?}; they must be up to a year"
            ),
            () => return Ok(()),
        };
        Err(Error::invalid(format!("the queue's option {problem}")))
    }

    pub(super) fn now(&self) -> SystemTime {
        self.clock.as_ref().map_or_else(SystemTime::now, |clock| clock())
    }

    /// Returns how long a job waits that has failed at its n-th attempt.
    pub(super) fn wait_after(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        self.retry_after.saturating_mul(1 << doublings).min(self.retry_max)
    }
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for QueueOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueOptions")
            .field("lease", &self.lease)
            .field("attempts_max", &self.attempts_max)
            .field("retry_after", &self.retry_after)
            .field("retry_max", &self.retry_max)
            .finish_non_exhaustive()
    }
}
