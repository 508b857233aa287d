//! The options of reshapes.

use crate::error::{Error, Result};
use crate::setters::setters;
use crate::units;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// How partitions get to their new shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Transport {
    /// Hard links to the source's files, in time proportional to their number. Needs a single
    /// source, on the filesystem of the target.
    Link,
    /// Rows, read from a snapshot and written as new files, in time proportional to the bytes.
    Copy,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "link",
            Self::Copy => "copy",
        })
    }
}

/// How much of the targets is compared with the sources before a reshape is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Check {
    /// Nothing beyond the engine's checksums.
    None,
    /// Some thousand rows, spread over the files.
    #[default]
    Sampled,
    /// Every row.
    Full,
}

/// How much reshapes may disturb the application. Can be changed while they run:
/// [`Store::set_throttle`](crate::Store::set_throttle).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Throttle {
    /// The most bytes per second that all reshapes together copy. Default: no limit.
    pub bytes_per_second: Option<u64>,
    /// The highest p99 latency of reads and writes during reshapes, as a multiple of what it was
    /// before: 1.5 allows it to rise by half. While it is higher, the rate of copying is halved
    /// repeatedly; while it is lower, the rate grows in small steps. Default: no limit; at least 1.
    pub latency_rise_max: Option<f64>,
}

/// How reshapes are carried out.
///
/// ```
/// use annulus::reshape::{Check, ReshapeOptions, Throttle, Transport};
///
/// let slow = Throttle::new().bytes_per_second(10 << 20).latency_rise_max(1.5);
/// let options = ReshapeOptions::new().transport(Transport::Copy).check(Check::Full).throttle(slow);
/// assert!(options.validate().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ReshapeOptions {
    /// The transport; `None` uses links wherever they are possible, and copies where a link fails,
    /// as it does from a shard that refuses to write files. Default: `None`.
    pub transport: Option<Transport>,
    /// What is compared before the commit. Default: `Sampled`.
    pub check: Check,
    /// How long writes may have to wait while a partition is handed over: if copying what is left
    /// would take longer, another round is made first. One sync of the log and one of the metadata
    /// are part of the wait, however long they take. Serialized as `pause_ms_target`. Default: 5
    /// milliseconds; 1 millisecond to a minute.
    #[serde(rename = "pause_ms_target", with = "units::ms")]
    pub pause_target: Duration,
    /// Rewrites partitions that share files after a split, in the background, until each has only
    /// its own rows. Default: true.
    pub trim: bool,
    /// The most reshapes in which a shard takes part at once. Default: 2; 1 to 64.
    pub per_shard_max: usize,
    /// How much they may disturb the application. Default: no limit.
    pub throttle: Throttle,
}

impl Default for ReshapeOptions {
    fn default() -> Self {
        Self {
            transport: None,
            check: Check::default(),
            pause_target: Duration::from_millis(5),
            trim: true,
            per_shard_max: 2,
            throttle: Throttle::default(),
        }
    }
}

impl ReshapeOptions {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        check: Check,
        pause_target: Duration,
        trim: bool,
        per_shard_max: usize,
        throttle: Throttle;
        optional transport: Transport,
    }

    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), naming the field and the bounds.
    pub fn validate(&self) -> Result<()> {
        units::check("reshape.pause_target", self.pause_target, 1, 60_000)?;
        if !(1..=64).contains(&self.per_shard_max) {
            return Err(Error::invalid(format!(
                "option reshape.per_shard_max is {}; it must be from 1 to 64",
                self.per_shard_max
            )));
        }
        self.throttle.validate()
    }
}

impl Throttle {
    /// Returns the defaults: no limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        ; optional bytes_per_second: u64, latency_rise_max: f64,
    }

    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), naming the field and the bounds.
    pub fn validate(&self) -> Result<()> {
        if self.bytes_per_second == Some(0) {
            return Err(Error::invalid(
                "option bytes_per_second is 0; give at least 1, or pause the job instead",
            ));
        }
        if self.latency_rise_max.is_some_and(|rise| rise.is_nan() || rise < 1.0) {
            return Err(Error::invalid("option latency_rise_max must be at least 1"));
        }
        Ok(())
    }
}
