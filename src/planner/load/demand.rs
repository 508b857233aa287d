//! The input of a plan for even load.

use crate::heat::Profile;
use crate::id::{PartitionId, ShardId};
use crate::setters::setters;
use crate::topology::ReshapeSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The demand on a partition.
///
/// ```
/// use annulus::planner::load::PartitionDemand;
///
/// let demand = PartitionDemand::new().load(1_000.0).load_max(2_000.0).bytes(64 << 20);
/// assert!(demand.profile.is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartitionDemand {
    /// Operations a second.
    pub load: f64,
    /// The maximum in any window that is remembered: it is cold only if this is small.
    pub load_max: f64,
    /// The bytes it has.
    pub bytes: u64,
    /// Where in the partition its load is; without a profile it is never split.
    pub profile: Option<Arc<Profile>>,
}

impl PartitionDemand {
    /// Returns a demand for nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        load: f64, load_max: f64, bytes: u64;
        optional profile: Arc<Profile>,
    }
}

/// The input of a plan; begins with [`default`](Self::default), for which there is no demand.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Demand {
    /// The demand on each partition; one that is not listed has no load and no bytes.
    pub partitions: BTreeMap<PartitionId, PartitionDemand>,
    /// How many bytes each shard has free; one that is not listed is unlimited. A tenth is kept
    /// free.
    pub bytes_free: BTreeMap<ShardId, u64>,
    /// Reshapes in flight. They count as done, and what they concern is not touched.
    pub in_flight: Vec<ReshapeSpec>,
    /// How long ago each partition was reshaped; one that is not listed may be reshaped now.
    pub rested: BTreeMap<PartitionId, Duration>,
}
