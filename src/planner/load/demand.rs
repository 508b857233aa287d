//! What a plan for even load is made from.

use crate::heat::Profile;
use crate::id::{PartitionId, ShardId};
use crate::topology::ReshapeSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a partition is asked for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PartitionDemand {
    /// Operations a second.
    pub load: f64,
    /// The most that it had in any window that is remembered: it is cold only if this is small.
    pub load_max: f64,
    /// How many bytes it has.
    pub bytes: u64,
    /// Where in it the load is; without a profile it is never split.
    pub profile: Option<Arc<Profile>>,
}

/// What a plan is made for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Demand {
    /// What each partition is asked for; one that is not listed has no load and no bytes.
    pub partitions: BTreeMap<PartitionId, PartitionDemand>,
    /// How many bytes each shard has free; one that is not listed has as many as it takes. A
    /// tenth is kept free.
    pub bytes_free: BTreeMap<ShardId, u64>,
    /// Reshapes that have begun. They count as done, and what they concern is not touched.
    pub in_flight: Vec<ReshapeSpec>,
    /// How long ago each partition was reshaped; one that is not listed may be reshaped now.
    pub rested: BTreeMap<PartitionId, Duration>,
}
