//! When a partition is split for its load.

use crate::error::{Error, Result};
use crate::setters::setters;
use serde::{Deserialize, Serialize};

/// What a [decision to split](super::decide) is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SplitOptions {
    /// A partition with less load is not split, in operations a second. Default: 100; not negative.
    pub load_min: f64,
    /// How many samples of equal weight a profile must be worth
    /// ([`Profile::effective`](crate::heat::Profile::effective)). Default: 64; 2 to 1,000,000.
    pub samples_min: u32,
    /// The most of the load that one half may get. Default: 0.6; from 0.5, less than 1.
    pub half_share_max: f64,
    /// The least share of the load for which a single key or token gets a partition of its own,
    /// when no cut makes halves because of it. Default: 0.2, which is what it takes to stand in
    /// the way of all halves at the default of `half_share_max`; 0.01 to 1.
    pub isolate_share_min: f64,
    /// The least share of the writes that must have gone beyond everything before them, for the
    /// keys to count as appended. Default: 0.8; 0.5 to 1.
    pub rising_share_min: f64,
    /// The most of the scans that a cut may cut, because each then costs one more partition to
    /// read. Default: 0.3; 0 to 1.
    pub scans_cut_max: f64,
}

impl Default for SplitOptions {
    fn default() -> Self {
        Self {
            load_min: 100.0,
            samples_min: 64,
            half_share_max: 0.6,
            isolate_share_min: 0.2,
            rising_share_min: 0.8,
            scans_cut_max: 0.3,
        }
    }
}

impl SplitOptions {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        load_min: f64,
        samples_min: u32,
        half_share_max: f64,
        isolate_share_min: f64,
        rising_share_min: f64,
        scans_cut_max: f64,
    }

    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), naming the field and the bounds.
    pub fn validate(&self) -> Result<()> {
        let bounds = [
            ("split.load_min", self.load_min, 0.0, f64::MAX),
            ("split.samples_min", f64::from(self.samples_min), 2.0, 1e6),
            ("split.half_share_max", self.half_share_max, 0.5, 0.999),
            ("split.isolate_share_min", self.isolate_share_min, 0.01, 1.0),
            ("split.rising_share_min", self.rising_share_min, 0.5, 1.0),
            ("split.scans_cut_max", self.scans_cut_max, 0.0, 1.0),
        ];
        bounds
            .into_iter()
            .try_for_each(|(name, value, least, most)| within(name, value, least, most))
    }
}

/// Checks that an option lies within its bounds.
pub(crate) fn within(name: &str, value: f64, least: f64, most: f64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let bounds = match most {
        f64::MAX => format!("at least {least}, and a number"),
        _ => format!("from {least} to {most}"),
    };
    Err(Error::invalid(format!("option {name} is {value}; it must be {bounds}")))
}
