//! Plans: reshapes to carry out, and notes on what was left out.

use crate::id::{KeyspaceId, PartitionId, ShardId};
use crate::topology::{ReshapeKind, ReshapeSpec, SplitPoint};
use serde::{Deserialize, Serialize};

/// Where a step splits its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StepSplitPoint {
    /// At this key or token.
    At(SplitPoint),
    /// Before the key that has this share of the partition's bytes before it: from 1 to 999
    /// thousandths. Finding it requires reading the data.
    Bytes {
        /// The share, in thousandths.
        permille: u32,
    },
}

/// One reshape of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// The keyspace of the partitions.
    pub keyspace: KeyspaceId,
    /// The partitions that are replaced, in the order of their tokens or keys.
    pub sources: Vec<PartitionId>,
    /// Where the targets meet.
    #[serde(rename = "cuts")]
    pub split_points: Vec<StepSplitPoint>,
    /// The owner of each target: one more than split points.
    pub owners: Vec<ShardId>,
    /// How it changes the number of partitions.
    pub kind: ReshapeKind,
    /// How many bytes change shard, by estimate.
    pub moved_bytes: u64,
    /// How many bytes the sources have, all of which may have to be rewritten.
    pub bytes: u64,
    /// Why it is planned.
    pub reason: String,
}

impl Step {
    /// Returns the reshape, or `None` while a split point is [still to be
    /// found](StepSplitPoint::Bytes).
    #[must_use]
    pub fn spec(&self) -> Option<ReshapeSpec> {
        let known = |point: &StepSplitPoint| match point {
            StepSplitPoint::At(point) => Some(point.clone()),
            StepSplitPoint::Bytes { .. } => None,
        };
        Some(ReshapeSpec {
            keyspace: self.keyspace,
            sources: self.sources.clone(),
            split_points: self.split_points.iter().map(known).collect::<Option<_>>()?,
            owners: self.owners.clone(),
        })
    }
}

/// What to do for a [`Request`](super::Request).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// Reshapes that may be carried out in any order or at the same time: no partition is the
    /// source of two.
    pub steps: Vec<Step>,
    /// What was considered and not done, with figures.
    pub notes: Vec<String>,
}

impl Plan {
    /// Returns how many bytes change shard, by estimate.
    #[must_use]
    pub fn moved_bytes(&self) -> u64 {
        self.steps.iter().fold(0, |sum, step| sum.saturating_add(step.moved_bytes))
    }
}
