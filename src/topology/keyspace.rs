//! Keyspaces: the name of each, how it is partitioned, and its partitions.

use super::time_to_live::TimeToLive;
use crate::error::{Error, Result};
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
    /// Returns the index of the partition that a key belongs to.
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

    /// Returns the token of a key, in a hash keyspace.
    #[must_use]
    pub fn token(&self, key: &[u8]) -> Option<Token> {
        match self {
            Self::Hash { ring, hashed } => Some(ring.token_function().token(hashed.of(key))),
            Self::Range { .. } => None,
        }
    }

    /// Returns `hash` or `range`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Hash { .. } => "hash",
            Self::Range { .. } => "range",
        }
    }

    /// Returns how many partitions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Hash { ring, .. } => ring.len(),
            Self::Range { map, .. } => map.len(),
        }
    }

    /// Returns false: a keyspace has at least one partition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the owner of the partition with this index; `None` if there is none.
    #[must_use]
    pub fn owner(&self, index: usize) -> Option<ShardId> {
        match self {
            Self::Hash { ring, .. } => ring.arc(index).map(|arc| arc.owner),
            Self::Range { owners, .. } => owners.get(index).copied(),
        }
    }

    /// Returns the range of the partition with this index; `None` if there is none.
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

/// A partition: what it holds and which shard owns it.
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
#[serde(try_from = "Fields")]
pub struct KeyspaceLayout {
    pub(super) id: KeyspaceId,
    pub(super) name: String,
    pub(super) partitioning: Partitioning,
    pub(super) partitions: Vec<PartitionName>,
    /// How long its rows live, if they expire. Encoded apart, see `encoding.rs`.
    #[serde(skip)]
    pub(super) time_to_live: Option<TimeToLive>,
}

impl KeyspaceLayout {
    /// Returns how long its rows live; `None` if they do not expire.
    #[must_use]
    pub const fn time_to_live(&self) -> Option<TimeToLive> {
        self.time_to_live
    }

    /// Returns its number.
    #[must_use]
    pub const fn id(&self) -> KeyspaceId {
        self.id
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how keys find their partition.
    #[must_use]
    pub const fn partitioning(&self) -> &Partitioning {
        &self.partitioning
    }

    /// Returns how many partitions it has.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// Returns the partition with this index, in the order of tokens or keys; `None` if there
    /// is no such partition.
    #[must_use]
    pub fn partition(&self, index: usize) -> Option<PartitionInfo> {
        (index < self.partitions.len()).then(|| self.describe(index))
    }

    /// Returns its partitions, in the order of tokens or keys.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionInfo> {
        (0..self.partitions.len()).map(|index| self.describe(index))
    }

    /// Returns the names of its partitions and their owners, without their ranges.
    pub(crate) fn names(&self) -> impl Iterator<Item = (PartitionName, ShardId)> {
        (0..self.partitions.len()).map(|index| (self.name_of(index), self.owner(index)))
    }

    /// Returns the index of the partition with this number. Linear in the number of partitions.
    pub(crate) fn index_of(&self, id: PartitionId) -> Option<usize> {
        self.partitions.iter().position(|name| name.id == id)
    }

    fn describe(&self, index: usize) -> PartitionInfo {
        let PartitionName { id, generation } = self.name_of(index);
        PartitionInfo { id, generation, range: self.range(index), owner: self.owner(index) }
    }

    /// Returns the name of the partition with this index, which must be below their number.
    #[expect(clippy::indexing_slicing, reason = "indices come from the partitions themselves")]
    pub(super) fn name_of(&self, index: usize) -> PartitionName {
        self.partitions[index]
    }

    /// Returns what the partition with this index covers, which must be below their number.
    #[expect(clippy::expect_used, reason = "checked when a keyspace is made and decoded")]
    pub(crate) fn range(&self, index: usize) -> PartitionRange {
        self.partitioning.range(index).expect("a keyspace has a range for each partition")
    }

    /// Returns the owner of the partition with this index, which must be below their number.
    #[expect(clippy::expect_used, reason = "checked when a keyspace is made and decoded")]
    pub(crate) fn owner(&self, index: usize) -> ShardId {
        self.partitioning.owner(index).expect("a keyspace has an owner for each partition")
    }

    /// Checks that there is one partition, and one owner, for each range.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`.
    pub(super) fn check_counts(&self) -> Result<()> {
        let (name, ranges) = (&self.name, self.partitioning.len());
        let owners = match &self.partitioning {
            Partitioning::Hash { ring, .. } => ring.len(),
            Partitioning::Range { owners, .. } => owners.len(),
        };
        if owners != ranges {
            return Err(Error::invalid(format!(
                "keyspace `{name}` has {ranges} ranges and {owners} owners"
            )));
        }
        let partitions = self.partitions.len();
        if partitions != ranges {
            return Err(Error::invalid(format!(
                "keyspace `{name}` has {ranges} ranges and {partitions} partitions"
            )));
        }
        Ok(())
    }
}

/// What a decoded keyspace is checked from.
#[derive(Deserialize)]
#[serde(rename = "KeyspaceLayout")]
struct Fields {
    id: KeyspaceId,
    name: String,
    partitioning: Partitioning,
    partitions: Vec<PartitionName>,
}

impl TryFrom<Fields> for KeyspaceLayout {
    type Error = Error;

    fn try_from(fields: Fields) -> Result<Self> {
        let Fields { id, name, partitioning, partitions } = fields;
        let keyspace = Self { id, name, partitioning, partitions, time_to_live: None };
        keyspace.check_counts()?;
        Ok(keyspace)
    }
}
