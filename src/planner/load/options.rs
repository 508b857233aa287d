//! When shards are balanced by load, and how far.

use crate::error::{Error, Result};
use crate::heat::SplitOptions;
use crate::heat::split_advice::within;
use crate::setters::setters;
use crate::units;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Who decides that a plan is carried out. The policy makes no difference to the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Policy {
    /// Plans are made when they are asked for.
    Manual,
    /// Plans are made all the time and shown; the operator may carry them out.
    #[default]
    Suggest,
    /// Plans are made all the time and carried out.
    Automatic,
}

/// What a [plan](super::plan_for_load) aims at. A shard's fair share is what its weight asks for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RebalanceOptions {
    /// Who decides. Default: `suggest`.
    pub policy: Policy,
    /// Nothing is done for load until a shard has more than this many times its fair share.
    /// Default: 1.2; at least `imbalance_goal`, at most 100.
    pub imbalance_start: f64,
    /// How many times its fair share a shard may have afterwards. Default: 1.05; 1 to 100.
    pub imbalance_goal: f64,
    /// Nothing is done for bytes until a shard has more than this many times its fair share; then
    /// it is brought halfway to it. Default: 1.5; 1.01 to 100.
    pub bytes_imbalance_start: f64,
    /// The least part of a shard's fair share that a plan must take off some shard to be worth it.
    /// Default: 0.05; 0.001 to 1.
    pub gain_min: f64,
    /// Less load than this, over all shards of a zone, is noise, in operations a second.
    /// Default: 100; not negative.
    pub load_min: f64,
    /// Bytes are left alone until the shards of a zone have this many on average. Default: 64 MiB.
    pub bytes_min: u64,
    /// How long a partition rests after a reshape. Serialized as `cool_down_ms`. Default: a minute.
    #[serde(rename = "cool_down_ms", with = "units::ms")]
    pub cool_down: Duration,
    /// Whether partitions may go to shards of another zone. Shards without a zone are in one zone
    /// together. Default: false.
    pub cross_zones: bool,
    /// Neighbours are merged only while their keyspace has more partitions than this for each
    /// shard. Default: 16; 1 to 65,536.
    pub partitions_per_shard_goal: u32,
    /// The most operations a second that a merged partition may have had at any time. Default: 50;
    /// at most half of `split.load_min`, so that it is not split again soon.
    pub merge_load_max: f64,
    /// The most bytes that a merged partition may have. Default: 64 MiB.
    pub merge_bytes_max: u64,
    /// A shard with this many partitions gets no more. Default: 256; 1 to 65,536.
    pub partitions_per_shard_max: u32,
    /// The most actions in a plan, those that matter most first; 0 is no limit. Default: 64.
    pub actions_max: usize,
    /// When a partition is split.
    pub split: SplitOptions,
    /// How often a plan is made. Serialized as `interval_ms`. Default: 5 seconds; 10 milliseconds to a
    /// day.
    #[serde(rename = "interval_ms", with = "units::ms")]
    pub interval: Duration,
    /// How many reshapes of plans may be in flight at once. Default: 2; 1 to 64.
    pub reshapes_max: usize,
}

impl Default for RebalanceOptions {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            imbalance_start: 1.2,
            imbalance_goal: 1.05,
            bytes_imbalance_start: 1.5,
            gain_min: 0.05,
            load_min: 100.0,
            bytes_min: 64 << 20,
            cool_down: Duration::from_secs(60),
            cross_zones: false,
            partitions_per_shard_goal: 16,
            merge_load_max: 50.0,
            merge_bytes_max: 64 << 20,
            partitions_per_shard_max: 256,
            actions_max: 64,
            split: SplitOptions::default(),
            interval: Duration::from_secs(5),
            reshapes_max: 2,
        }
    }
}

impl RebalanceOptions {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        policy: Policy,
        imbalance_start: f64,
        imbalance_goal: f64,
        bytes_imbalance_start: f64,
        gain_min: f64,
        load_min: f64,
        bytes_min: u64,
        cool_down: Duration,
        cross_zones: bool,
        partitions_per_shard_goal: u32,
        merge_load_max: f64,
        merge_bytes_max: u64,
        partitions_per_shard_max: u32,
        actions_max: usize,
        split: SplitOptions,
        interval: Duration,
        reshapes_max: usize,
    }

    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), naming the field and the bounds.
    pub fn validate(&self) -> Result<()> {
        let bounds = [
            ("imbalance_goal", self.imbalance_goal, 1.0, 100.0),
            ("imbalance_start", self.imbalance_start, self.imbalance_goal, 100.0),
            ("bytes_imbalance_start", self.bytes_imbalance_start, 1.01, 100.0),
            ("gain_min", self.gain_min, 0.001, 1.0),
            ("load_min", self.load_min, 0.0, f64::MAX),
            ("partitions_per_shard_goal", f64::from(self.partitions_per_shard_goal), 1.0, 65_536.0),
            ("partitions_per_shard_max", f64::from(self.partitions_per_shard_max), 1.0, 65_536.0),
            ("reshapes_max", self.reshapes_max as f64, 1.0, 64.0),
        ];
        for (name, value, least, most) in bounds {
            within(&format!("rebalance.{name}"), value, least, most)?;
        }
        units::check("rebalance.interval", self.interval, 10, 86_400_000)?;
        self.split.validate()?;
        let most = self.split.load_min / 2.0;
        if (0.0..=most).contains(&self.merge_load_max) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "option rebalance.merge_load_max is {}; it must be from 0 to {most}, half of \
             rebalance.split.load_min, or merged partitions would be split again",
            self.merge_load_max
        )))
    }

    /// Returns true if a partition that was reshaped this long ago must still rest.
    pub(super) fn cools_down(&self, rested: &Duration) -> bool {
        *rested < self.cool_down
    }

    /// Returns how many times its fair share of bytes a shard may have after a plan.
    pub(super) fn bytes_imbalance_goal(&self) -> f64 {
        1.0 + (self.bytes_imbalance_start - 1.0) / 2.0
    }
}
