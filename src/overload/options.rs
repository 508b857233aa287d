//! The options of what a store does at overload.

use crate::error::{Error, Result};
use crate::setters::setters;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How important a call is when a store is asked for more than it can do. It matters only with
/// [`Options::overload`](crate::Options::overload).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Priority {
    /// Somebody waits for it.
    #[default]
    Foreground,
    /// It has time, and is to be done soon: imports, reports.
    Batch,
    /// It is to be done when nothing else is: checks, clean-ups.
    Background,
}

impl Priority {
    pub(super) const COUNT: usize = 3;

    pub(super) const fn line(self) -> usize {
        match self {
            Self::Foreground => 0,
            Self::Batch => 1,
            Self::Background => 2,
        }
    }
}

/// What a store does when it is asked for more than it can do.
///
/// ```
/// use annulus::{Options, OverloadOptions};
///
/// let options = Options::new().overload(OverloadOptions::new().queue_max(200));
/// assert!(options.validate().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OverloadOptions {
    /// How many calls a shard works on at the same time, at least. Default: 4; from 1.
    pub concurrency_min: u32,
    /// And at most. In between, it follows the latency of calls. Default: 512; at most 100,000.
    pub concurrency_max: u32,
    /// How many calls wait for a shard, at most; others are refused at once. Default: 256.
    pub queue_max: usize,
    /// How long a call waits for its turn at overload, which is when others have waited for longer than
    /// `queue_patience` without a pause. Default: 5 ms.
    #[serde(rename = "queue_time_ms", with = "crate::units::ms")]
    pub queue_time: Duration,
    /// How long a call waits at other times. Default: 100 ms; not less than `queue_time`.
    #[serde(rename = "queue_patience_ms", with = "crate::units::ms")]
    pub queue_patience: Duration,
    /// Bytes of keys, values and batches that are in memory on behalf of calls that wait or are worked
    /// on, over all shards; calls that would exceed it are refused at once, unless there is no other.
    /// Default: 256 MiB.
    pub memory_max: usize,
}

impl Default for OverloadOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OverloadOptions {
    /// Returns the defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            concurrency_min: 4,
            concurrency_max: 512,
            queue_max: 256,
            queue_time: Duration::from_millis(5),
            queue_patience: Duration::from_millis(100),
            memory_max: 256 << 20,
        }
    }

    setters! {
        concurrency_min: u32,
        concurrency_max: u32,
        queue_max: usize,
        queue_time: Duration,
        queue_patience: Duration,
        memory_max: usize,
    }

    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), naming the field and the bounds.
    pub fn validate(&self) -> Result<()> {
        let (least, most) = (self.concurrency_min, self.concurrency_max);
        if least == 0 || most > 100_000 || least > most {
            return Err(Error::invalid(format!(
                "options concurrency_min and concurrency_max of overload are {least} and {most}; they \
                 must be from 1 to 100000, and the second must not be less than the first"
            )));
        }
        if self.queue_patience < self.queue_time {
            return Err(Error::invalid(format!(
                "option queue_patience of overload is {:?}; it must not be less than queue_time, {:?}",
                self.queue_patience, self.queue_time
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_bounds_are_named() {
        let options = OverloadOptions::new();
        for (options, name) in [
            (options.concurrency_min(0), "concurrency_min"),
            (options.concurrency_max(3), "concurrency_max"),
            (options.queue_time(Duration::from_secs(1)), "queue_patience"),
        ] {
            let error = options.validate().unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        assert!(options.validate().is_ok());
    }
}
