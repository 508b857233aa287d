//! The options of reads.

use crate::setters::setters;
use std::time::Duration;

/// The settings of one get, scan or count.
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
    /// Returns the defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self { timeout: None, bypass_cache: false }
    }

    setters! {
        bypass_cache: bool;
        optional timeout: Duration,
    }
}
