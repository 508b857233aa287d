//! The options of the pool.

use annulus::{Error, ErrorKind, Result};
use std::thread::available_parallelism;

/// The most threads that a pool may have.
const THREADS_MAX: usize = 4096;

/// The bounds of a store's pool of threads: see the [crate](crate#the-pool) for what happens at them.
///
/// ```
/// use annulus_tokio::PoolOptions;
///
/// let options = PoolOptions::new().threads(32).waiting_max(10_000);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolOptions {
    /// The most threads; they are started when they are needed. Threads that wait for a disk, or for
    /// a sync, take no processor: with synced writes, as many as should share a sync. From 1 to
    /// 4,096. Default: four for each processor, and at least 16.
    pub threads: usize,
    /// The most operations that are in the pool, running or next in turn: further ones wait in their
    /// tasks, in order. What is in the pool has its arguments in memory. At least `threads`.
    /// Default: 1,024, or `threads` if they are more.
    pub in_flight_max: usize,
    /// The most tasks that wait for a place in the pool; what comes then is refused with
    /// [`Busy`](ErrorKind::Busy). Default: no bound, because waiting costs the pool nothing, and the
    /// application bounds its tasks.
    pub waiting_max: Option<usize>,
}

impl PoolOptions {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        let threads = available_parallelism().map_or(4, usize::from).saturating_mul(4);
        let threads = threads.clamp(16, THREADS_MAX);
        Self { threads, in_flight_max: threads.max(1024), waiting_max: None }
    }

    /// Sets [`threads`](field@Self::threads).
    #[must_use]
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets [`in_flight_max`](field@Self::in_flight_max).
    #[must_use]
    pub const fn in_flight_max(mut self, operations: usize) -> Self {
        self.in_flight_max = operations;
        self
    }

    /// Sets [`waiting_max`](field@Self::waiting_max).
    #[must_use]
    pub fn waiting_max(mut self, tasks: impl Into<Option<usize>>) -> Self {
        self.waiting_max = tasks.into();
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let Self { threads, in_flight_max, .. } = *self;
        let problem = match () {
            () if threads == 0 || threads > THREADS_MAX => {
                format!("threads is {threads}; it must be from 1 to {THREADS_MAX}")
            }
            () if in_flight_max < threads => format!(
                "in_flight_max is {in_flight_max}, which leaves some of the {threads} threads idle; it \
                 must be at least as many"
            ),
            // The bound of the semaphore that counts them.
            () if in_flight_max > tokio::sync::Semaphore::MAX_PERMITS => {
                format!("in_flight_max is {in_flight_max}; that many cannot be counted")
            }
            () => return Ok(()),
        };
        Err(Error::new(ErrorKind::InvalidArgument, format!("the pool's {problem}")))
    }
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self::new()
    }
}
