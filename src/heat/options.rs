//! The options of the tracker.

use super::rates::Windows;
use crate::error::{Error, Result};
use crate::setters::setters;
use crate::units;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The settings of the tracker.
///
/// ```
/// use annulus::heat::HeatOptions;
///
/// let options = HeatOptions::new().hot_key_share(0.05);
/// options.validate()?;
/// assert!(options.hot_key_share(2.0).validate().is_err());
/// # Ok::<(), annulus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HeatOptions {
    /// The length of a window of the hot keys. A key that is no longer used is forgotten after two
    /// windows. Serialized as `window_ms`. Default: 1 second; 10 milliseconds to an hour.
    #[serde(rename = "window_ms", with = "units::ms")]
    pub window: Duration,
    /// The half-life of the short rates, which decide whether a partition is hot. Serialized as
    /// `half_life_short_ms`. Default: 5 seconds; 100 milliseconds to a day, like the other two, and
    /// not above the medium one.
    #[serde(rename = "half_life_short_ms", with = "units::ms")]
    pub half_life_short: Duration,
    /// The half-life of the medium rates and of the samples of a partition. Serialized as
    /// `half_life_medium_ms`. Default: a minute; not above the long one.
    #[serde(rename = "half_life_medium_ms", with = "units::ms")]
    pub half_life_medium: Duration,
    /// The half-life of the long rates. Serialized as `half_life_long_ms`. Default: 10 minutes.
    #[serde(rename = "half_life_long_ms", with = "units::ms")]
    pub half_life_long: Duration,
    /// How many keys are counted in each keyspace in each window, separately for reads and writes.
    /// A count is too high by at most the stream's total divided by this. Default: 256; 16 to
    /// 65,536.
    pub hot_keys_tracked: usize,
    /// How many sampled accesses of each partition are kept; in addition, a quarter as many scans.
    /// Default: 256; 16 to 65,536.
    pub samples_per_partition: usize,
    /// The share of its keyspace's reads, or writes, above which a key is hot; it cools below half
    /// of that. Default: 0.10; 0.001 to 1, and at least 4 / `hot_keys_tracked`, because the error
    /// of a count would hide a smaller share.
    pub hot_key_share: f64,
    /// The share of its shard's fair load above which a partition is hot; it cools below 70 % of
    /// that. Default: 0.5; 0.001 to 1,000.
    pub hot_partition_share: f64,
    /// The longest key, in bytes, that can be reported as hot. Longer ones count towards loads, and
    /// are cut to this length as places where a partition may be split. Default: 1,024; 8 to
    /// 65,536.
    pub key_bytes_max: usize,
    /// The initial length of an interval of the history. Serialized as `trail_slot_ms`. Default: 1
    /// second; 10 milliseconds to a day.
    #[serde(rename = "trail_slot_ms", with = "units::ms")]
    pub history_interval: Duration,
}

impl Default for HeatOptions {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(1),
            half_life_short: Duration::from_secs(5),
            half_life_medium: Duration::from_secs(60),
            half_life_long: Duration::from_secs(600),
            hot_keys_tracked: 256,
            samples_per_partition: 256,
            hot_key_share: 0.10,
            hot_partition_share: 0.5,
            key_bytes_max: 1_024,
            history_interval: Duration::from_secs(1),
        }
    }
}

impl HeatOptions {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        window: Duration,
        half_life_short: Duration,
        half_life_medium: Duration,
        half_life_long: Duration,
        hot_keys_tracked: usize,
        samples_per_partition: usize,
        hot_key_share: f64,
        hot_partition_share: f64,
        key_bytes_max: usize,
        history_interval: Duration,
    }

    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), naming the field and the bounds.
    pub fn validate(&self) -> Result<()> {
        const DAY_MS: u64 = 86_400_000;
        units::check("heat.window", self.window, 10, 3_600_000)?;
        units::check("heat.half_life_short", self.half_life_short, 100, DAY_MS)?;
        units::check("heat.half_life_medium", self.half_life_medium, 100, DAY_MS)?;
        units::check("heat.half_life_long", self.half_life_long, 100, DAY_MS)?;
        units::check("heat.history_interval", self.history_interval, 10, DAY_MS)?;
        let bounds = [
            ("heat.hot_keys_tracked", self.hot_keys_tracked, 16, 65_536),
            ("heat.samples_per_partition", self.samples_per_partition, 16, 65_536),
            ("heat.key_bytes_max", self.key_bytes_max, 8, 65_536),
        ];
        for (name, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(out_of_bounds(name, value, least, most));
            }
        }
        let (short, medium) = (self.half_life_short, self.half_life_medium);
        if short > medium || medium > self.half_life_long {
            return Err(Error::invalid(
                "options heat.half_life_short, _medium and _long must not descend",
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

    /// Returns the length of a window, at least the shortest, because one of 0 would never end.
    pub(super) fn window_or_least(&self) -> Duration {
        self.window.max(Duration::from_millis(1))
    }

    /// Returns the half-lives in seconds.
    pub(super) fn half_lives(&self) -> Windows<f64> {
        Windows {
            short: self.half_life_short,
            medium: self.half_life_medium,
            long: self.half_life_long,
        }
        .map(|half_life| half_life.max(Duration::from_millis(1)).as_secs_f64())
    }

    pub(super) fn scans_per_partition(&self) -> usize {
        self.samples_per_partition / 4
    }
}

fn out_of_bounds<T: std::fmt::Display>(name: &str, value: T, least: T, most: T) -> Error {
    Error::invalid(format!("option {name} is {value}; it must be from {least} to {most}"))
}
