//! Events: what becomes hot, and what cools.

use crate::id::{KeyspaceId, PartitionId, ShardId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OperationKind {
    /// Reads.
    Read,
    /// Writes.
    Write,
}

/// Something became hot or cooled. A key or a partition is hot once, until it has cooled; a
/// partition that is split or merged away is forgotten without an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HeatEvent {
    /// A key takes more than [`hot_key_share`](super::HeatOptions::hot_key_share), even if its
    /// count is too high by all of its error and by three standard errors of the sampling.
    KeyHot(KeyEvent),
    /// A hot key takes less than half of that share.
    KeyCooled(KeyEvent),
    /// A partition takes more than
    /// [`hot_partition_share`](super::HeatOptions::hot_partition_share), even if its load is too
    /// high by three standard errors of the sampling.
    PartitionHot(PartitionEvent),
    /// A hot partition takes less than 70 % of that share.
    PartitionCooled(PartitionEvent),
}

/// A key, and what it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyEvent {
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// The key.
    pub key: Box<[u8]>,
    /// Whether it is read or written.
    pub kind: OperationKind,
    /// Its share of the keyspace's reads, or writes, over the last window.
    pub share: f64,
    /// How often per second.
    pub per_second: f64,
}

/// A partition, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartitionEvent {
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// The partition.
    pub partition: PartitionId,
    /// The shard that holds it.
    pub owner: ShardId,
    /// Its load, over the short half-life.
    pub load: f64,
    /// The load as a share of what is fair for the owner: the total by the weights of the shards.
    pub share: f64,
}

impl fmt::Display for HeatEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyHot(event) => write!(f, "hot: {event}"),
            Self::KeyCooled(event) => write!(f, "cooled: {event}"),
            Self::PartitionHot(event) => write!(f, "hot: {event}"),
            Self::PartitionCooled(event) => write!(f, "cooled: {event}"),
        }
    }
}

impl fmt::Display for KeyEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "key \"{}\" of keyspace {}, {:.1} % of its {}s, {:.0} a second",
            self.key.escape_ascii(),
            self.keyspace,
            self.share * 100.0,
            match self.kind {
                OperationKind::Read => "read",
                OperationKind::Write => "write",
            },
            self.per_second
        )
    }
}

impl fmt::Display for PartitionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "partition {} on shard {}, {:.0} operations a second, {:.2} of a fair shard's",
            self.partition, self.owner, self.load, self.share
        )
    }
}
