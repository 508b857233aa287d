//! The immutable value that says everything about placement: shards, keyspaces, partitions.
//!
//! A [`Topology`] is never edited. A [`Change`] is applied to it and gives the next one, whose
//! [epoch](Topology::epoch) is one higher; the [invariants](Topology::check) are checked before
//! anybody sees it. Nothing here touches a disk, a clock or a thread: the same code serves the
//! store, simulations and fuzz targets.
//!
//! ```
//! use annulus::placement::HashPart;
//! use annulus::topology::{Change, KeyspaceSpec, ShardInfo, Topology};
//! use annulus::ShardId;
//!
//! # fn main() -> annulus::Result<()> {
//! let shards = (0..4).map(|n| ShardInfo::new(ShardId(n), format!("shards/{n}")));
//! let empty = Topology::new(shards)?;
//! let next = empty.apply(&Change::CreateKeyspace {
//!     name: "users".into(),
//!     spec: KeyspaceSpec::hash().arcs_per_shard(8).into(),
//! })?;
//! assert_eq!(next.epoch().0, empty.epoch().0 + 1);
//! assert_eq!(next.keyspace_named("users").map(|k| k.partition_count()), Some(32));
//! # Ok(())
//! # }
//! ```

mod change;
mod encoding;
mod invariants;
mod keyspace;
pub(crate) mod path;
mod reshape;
mod shards;
mod split_point;

pub use change::{Change, HashSpec, KeyspaceSpec, RangeSpec};
pub use encoding::{FORMAT, decode_topology, encode_topology};
#[cfg(feature = "rocksdb")]
pub(crate) use encoding::{decode, encode};
pub use keyspace::{KeyspaceLayout, PartitionInfo, PartitionName, Partitioning};
pub use reshape::{ReshapeKind, ReshapeSpec};
pub use split_point::SplitPoint;

use crate::error::Result;
use crate::id::{Epoch, KeyspaceId, PartitionId, ShardId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What the topology knows of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShardInfo {
    /// The shard's number.
    pub id: ShardId,
    /// Where it lives: an absolute path, or one from the store's own directory on. In JSON it is text,
    /// or a list of bytes if it is no text.
    #[serde(with = "path")]
    pub directory: PathBuf,
    /// Its share of hash keyspaces, relative to the other shards; at least 1.
    pub weight: u32,
    /// What fails together with it (a disk, a controller), if that is known.
    pub zone: Option<String>,
    /// Whether it is on its way out: it keeps what it has, and gets no partition of a new keyspace.
    pub draining: bool,
}

impl ShardInfo {
    /// A shard of weight 1, in no zone, not draining.
    pub fn new(id: ShardId, directory: impl Into<PathBuf>) -> Self {
        Self { id, directory: directory.into(), weight: 1, zone: None, draining: false }
    }

    /// The same shard with another weight.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// The same shard in a zone.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }
}

/// Everything about placement, at one epoch.
///
/// Cloning is cheap: keyspaces are shared between topologies that do not change them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    pub(super) epoch: Epoch,
    pub(super) shards: BTreeMap<ShardId, ShardInfo>,
    pub(super) keyspaces: BTreeMap<KeyspaceId, Arc<KeyspaceLayout>>,
    pub(super) next_keyspace: KeyspaceId,
    pub(super) next_partition: PartitionId,
    pub(super) next_shard: ShardId,
}

impl Topology {
    /// A topology of these shards, without keyspaces, at epoch 1.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if there is no shard, if two have
    /// the same number or directory, or if a weight is zero.
    pub fn new(infos: impl IntoIterator<Item = ShardInfo>) -> Result<Self> {
        let mut by_id = BTreeMap::new();
        for shard in infos {
            let id = shard.id;
            if by_id.insert(id, shard).is_some() {
                return Err(crate::error::Error::invalid(format!(
                    "shard {id} is listed twice; give each shard a number of its own"
                )));
            }
        }
        let next_shard = match by_id.last_key_value() {
            Some((id, _)) => shards::next_shard_after(*id)?,
            None => ShardId(0),
        };
        let topology = Self {
            epoch: Epoch(1),
            shards: by_id,
            keyspaces: BTreeMap::new(),
            next_keyspace: KeyspaceId(1),
            next_partition: PartitionId(1),
            next_shard,
        };
        topology.check()?;
        Ok(topology)
    }

    /// This topology, which from now on gives the numbers that `other` would give: for after a
    /// change that came to nothing but may have left its numbers on a disk.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn with_numbers_of(&self, other: &Self) -> Self {
        Self {
            next_keyspace: other.next_keyspace,
            next_partition: other.next_partition,
            next_shard: other.next_shard,
            ..self.clone()
        }
    }

    /// Whether a partition's number was ever given, in this topology or an earlier one.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn has_given(&self, id: PartitionId) -> bool {
        id < self.next_partition
    }

    /// The version of this topology.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The shards, by number.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = &ShardInfo> {
        self.shards.values()
    }

    /// The shard with this number.
    #[must_use]
    pub fn shard(&self, id: ShardId) -> Option<&ShardInfo> {
        self.shards.get(&id)
    }

    /// The number that the next shard gets. Numbers of removed shards are never given again.
    #[must_use]
    pub const fn next_shard(&self) -> ShardId {
        self.next_shard
    }

    /// The keyspaces, in the order of their creation.
    pub fn keyspaces(&self) -> impl ExactSizeIterator<Item = &Arc<KeyspaceLayout>> {
        self.keyspaces.values()
    }

    /// The keyspace with this number.
    #[must_use]
    pub fn keyspace(&self, id: KeyspaceId) -> Option<&Arc<KeyspaceLayout>> {
        self.keyspaces.get(&id)
    }

    /// The keyspace with this name. Linear in the number of keyspaces.
    #[must_use]
    pub fn keyspace_named(&self, name: &str) -> Option<&Arc<KeyspaceLayout>> {
        self.keyspaces().find(|keyspace| keyspace.name() == name)
    }

    /// How many partitions a shard owns over all keyspaces. Linear in the number of partitions.
    #[must_use]
    pub fn partitions_of(&self, shard: ShardId) -> usize {
        self.keyspaces()
            .map(|keyspace| keyspace.partitions().filter(|p| p.owner == shard).count())
            .sum()
    }
}
