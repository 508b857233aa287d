//! A keyspace: its name, how it is partitioned, and its partitions.

use crate::id::{KeyspaceId, PartitionId, ShardId};
use crate::placement::{HashPart, PartitionRange, RangeMap, Ring, Token};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a keyspace's keys find their partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Partitioning {
    /// By the token of the key, or of a part of it. The ring knows the owner of each arc.
    Hash {
        /// The arcs and their owners.
        ring: Ring,
        /// The part of the key that is hashed.
        hashed: HashPart,
    },
    /// By the key itself.
    Range {
        /// The boundaries between partitions.
        map: RangeMap,
        /// The owner of each range, in key order.
        owners: Vec<ShardId>,
    },
}

impl Partitioning {
    /// The index of the partition that a key belongs to.
    ///
    /// A few nanoseconds for a hash keyspace; a search among the boundaries for a range keyspace.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &[u8]) -> usize {
        match self {
            Self::Hash { ring, hashed } => ring.arc_of(ring.token_function().token(hashed.of(key))),
            Self::Range { map, .. } => map.find(key),
        }
    }

    /// The token of a key, in a hash keyspace.
    #[must_use]
    pub fn token(&self, key: &[u8]) -> Option<Token> {
        match self {
            Self::Hash { ring, hashed } => Some(ring.token_function().token(hashed.of(key))),
            Self::Range { .. } => None,
        }
    }

    /// `hash` or `range`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hash { .. } => "hash",
            Self::Range { .. } => "range",
        }
    }

    /// How many partitions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Hash { ring, .. } => ring.len(),
            Self::Range { map, .. } => map.len(),
        }
    }

    /// Never: a keyspace has at least one partition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The owner of the partition with this index.
    #[must_use]
    pub fn owner(&self, index: usize) -> Option<ShardId> {
        match self {
            Self::Hash { ring, .. } => ring.arc(index).map(|arc| arc.owner),
            Self::Range { owners, .. } => owners.get(index).copied(),
        }
    }

    /// The range of the partition with this index.
    #[must_use]
    pub fn range(&self, index: usize) -> Option<PartitionRange> {
        match self {
            Self::Hash { ring, .. } => ring.arc(index).map(|arc| PartitionRange::Tokens(arc.range)),
            Self::Range { map, .. } => map.range(index).map(PartitionRange::Keys),
        }
    }
}

/// The identity of a partition; its range and owner follow from its place in the keyspace. Shown as
/// `5.2`: number 5, generation 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionName {
    /// Its number.
    pub id: PartitionId,
    /// How often it has moved under this number.
    pub generation: u32,
}

impl fmt::Display for PartitionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.id, self.generation)
    }
}

/// A partition: what it holds and who owns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// Its number, which stays when it moves.
    pub id: PartitionId,
    /// Raised by each move, so that an old copy is never taken for the present one.
    pub generation: u32,
    /// The tokens or keys that belong to it.
    #[serde(rename = "span")]
    pub range: PartitionRange,
    /// The shard that holds it.
    pub owner: ShardId,
}

/// A named collection of keys and the partitions that tile it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyspaceLayout {
    pub(super) id: KeyspaceId,
    pub(super) name: String,
    pub(super) partitioning: Partitioning,
    pub(super) partitions: Vec<PartitionName>,
}

impl KeyspaceLayout {
    /// Its number.
    #[must_use]
    pub const fn id(&self) -> KeyspaceId {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How keys find their partition.
    #[must_use]
    pub const fn partitioning(&self) -> &Partitioning {
        &self.partitioning
    }

    /// How many partitions it has.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// The partition with this index, in the order of tokens or keys.
    #[must_use]
    pub fn partition(&self, index: usize) -> Option<PartitionInfo> {
        let name = self.partitions.get(index)?;
        Some(PartitionInfo {
            id: name.id,
            generation: name.generation,
            range: self.partitioning.range(index)?,
            owner: self.partitioning.owner(index)?,
        })
    }

    /// Its partitions, in the order of tokens or keys.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionInfo> {
        (0..self.partitions.len()).filter_map(|index| self.partition(index))
    }

    /// The names of its partitions and their owners, without their ranges.
    pub(crate) fn names(&self) -> impl Iterator<Item = (PartitionName, ShardId)> {
        self.partitions
            .iter()
            .enumerate()
            .filter_map(|(index, name)| Some((*name, self.partitioning.owner(index)?)))
    }
}
