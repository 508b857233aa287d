//! The options of the tracker.

use super::rates::Windows;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How heat is tracked.
///
/// ```
/// use annulus::heat::HeatOptions;
///
/// let options = HeatOptions { hot_key_share: 0.05, ..HeatOptions::default() };
/// options.validate()?;
/// assert!(HeatOptions { window_ms: 0, ..options }.validate().is_err());
/// # Ok::<(), annulus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeatOptions {
    /// How long a window of the hot keys is, in milliseconds. A key that stops is forgotten after
    /// two. Default: 1,000; 10 to 3,600,000.
    pub window_ms: u32,
    /// The half-life of the short rates, in milliseconds: what decides whether a partition is
    /// hot. Default: 5,000; 100 to 86,400,000, like the other two, and not above the medium one.
    pub half_life_short_ms: u32,
    /// The half-life of the medium rates and of the samples of a partition, in milliseconds.
    /// Default: 60,000; not above the long one.
    pub half_life_medium_ms: u32,
    /// The half-life of the long rates, in milliseconds. Default: 600,000.
    pub half_life_long_ms: u32,
    /// How many keys are counted in each keyspace, reads and writes apart, in each window. A
    /// count is too high by at most the stream's total divided by this. Default: 256; 16 to
    /// 65,536.
    pub hot_keys_tracked: usize,
    /// How many sampled accesses are kept of each partition; of scans a quarter as many again.
    /// Default: 256; 16 to 65,536.
    pub samples_per_partition: usize,
    /// The share of its keyspace's reads, or writes, above which a key is hot; it cools below half
    /// of that. Default: 0.10; 0.001 to 1, and at least 4 / `hot_keys_tracked`, because the error
    /// of a count would hide less.
    pub hot_key_share: f64,
    /// The share of what is a fair load for its shard above which a partition is hot; it cools
    /// below 70 % of that. Default: 0.5; 0.001 to 1,000.
    pub hot_partition_share: f64,
    /// The longest key, in bytes, that can be reported as hot. Longer ones count for loads, and
    /// as places where a partition may be split they are kept up to this length. Default: 1,024;
    /// 8 to 65,536.
    pub key_bytes_max: usize,
    /// How long an interval of the history is at first, in milliseconds. Default: 1,000; 10 to
    /// 86,400,000.
    pub trail_slot_ms: u32,
}

impl Default for HeatOptions {
    fn default() -> Self {
        Self {
            window_ms: 1_000,
            half_life_short_ms: 5_000,
            half_life_medium_ms: 60_000,
            half_life_long_ms: 600_000,
            hot_keys_tracked: 256,
            samples_per_partition: 256,
            hot_key_share: 0.10,
            hot_partition_share: 0.5,
            key_bytes_max: 1_024,
            trail_slot_ms: 1_000,
        }
    }
}

impl HeatOptions {
    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), naming the field and the bounds.
    pub fn validate(&self) -> Result<()> {
        const DAY_MS: usize = 86_400_000;
        let bounds = [
            ("heat.window_ms", self.window_ms as usize, 10, 3_600_000),
            ("heat.half_life_short_ms", self.half_life_short_ms as usize, 100, DAY_MS),
            ("heat.half_life_medium_ms", self.half_life_medium_ms as usize, 100, DAY_MS),
            ("heat.half_life_long_ms", self.half_life_long_ms as usize, 100, DAY_MS),
            ("heat.hot_keys_tracked", self.hot_keys_tracked, 16, 65_536),
            ("heat.samples_per_partition", self.samples_per_partition, 16, 65_536),
            ("heat.key_bytes_max", self.key_bytes_max, 8, 65_536),
            ("heat.trail_slot_ms", self.trail_slot_ms as usize, 10, DAY_MS),
        ];
        for (name, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(out_of_bounds(name, value, least, most));
            }
        }
        let (short, medium) = (self.half_life_short_ms, self.half_life_medium_ms);
        if short > medium || medium > self.half_life_long_ms {
            return Err(Error::invalid(
                "options heat.half_life_short_ms, _medium_ms and _long_ms must not descend",
            ));
        }
        self.validate_shares()
    }

    fn validate_shares(&self) -> Result<()> {
        let key_share_min = (4.0 / self.hot_keys_tracked as f64).max(0.001);
        let bounds = [
            ("heat.hot_key_share", self.hot_key_share, key_share_min, 1.0),
            ("heat.hot_partition_share", self.hot_partition_share, 0.001, 1_000.0),
        ];
        for (name, value, least, most) in bounds {
            // NaN is in no range.
            if !(least..=most).contains(&value) {
                return Err(out_of_bounds(name, value, least, most));
            }
        }
        Ok(())
    }

    pub(super) fn window(&self) -> Duration {
        // A window of 0 would never end.
        Duration::from_millis(self.window_ms.max(1).into())
    }

    /// In seconds.
    pub(super) fn half_lives(&self) -> Windows<f64> {
        Windows {
            short: self.half_life_short_ms,
            medium: self.half_life_medium_ms,
            long: self.half_life_long_ms,
        }
        .map(|ms| f64::from(ms.max(1)) / 1_000.0)
    }

    pub(super) fn scans_per_partition(&self) -> usize {
        self.samples_per_partition / 4
    }
}

fn out_of_bounds<T: std::fmt::Display>(name: &str, value: T, least: T, most: T) -> Error {
    Error::invalid(format!("option {name} is {value}; it must be from {least} to {most}"))
}
