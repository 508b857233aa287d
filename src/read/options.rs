//! How to read.

use std::time::Duration;

/// How to read: the settings of one get, scan or count.
///
/// ```
/// use annulus::ReadOptions;
/// use std::time::Duration;
///
/// let options = ReadOptions::new().timeout(Duration::from_millis(50));
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Give up with [`DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded) after this long. A
    /// scan's time runs from its creation. Default: never.
    pub timeout: Option<Duration>,
    /// Leave the block cache as it is: for scans of data that will not be read again soon.
    /// Default: false.
    pub bypass_cache: bool,
}

impl ReadOptions {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self { timeout: None, bypass_cache: false }
    }

    /// Sets [`timeout`](Self::timeout).
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets [`bypass_cache`](Self::bypass_cache).
    #[must_use]
    pub const fn bypass_cache(mut self, bypass: bool) -> Self {
        self.bypass_cache = bypass;
        self
    }
}
