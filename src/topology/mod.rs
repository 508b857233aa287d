//! The topology: an immutable value of shards, keyspaces and partitions, and its changes.
//!
//! A [`Topology`] is never edited. Applying a [`Change`] returns the next one, whose
//! [epoch](Topology::epoch) is one higher; the [invariants](Topology::check) are checked before it
//! is returned. Nothing here touches a disk, a clock or a thread: the same code serves the
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
mod spec;
mod split_point;
mod time_to_live;

pub use change::Change;
pub use encoding::{FORMAT, decode_topology, encode_topology};
pub(crate) use encoding::{decode, encode};
pub use keyspace::{KeyspaceLayout, PartitionInfo, PartitionName, Partitioning};
pub use reshape::{ReshapeKind, ReshapeSpec};
pub use spec::{HashSpec, KeyspaceSpec, RangeSpec};
pub use split_point::SplitPoint;
pub use time_to_live::TimeToLive;

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
    /// The path of its directory: absolute, or relative to the store's directory. In JSON it is
    /// text, or a list of bytes if it is not text.
    #[serde(with = "path")]
    pub directory: PathBuf,
    /// Its share of hash keyspaces, relative to the other shards; at least 1.
    pub weight: u32,
    /// What fails together with it (a disk, a controller), if known.
    pub zone: Option<String>,
    /// Whether it is being emptied: it keeps what it has until that is moved, and gets no partition
    /// of a new keyspace.
    pub draining: bool,
}

impl ShardInfo {
    /// Returns a shard of weight 1, in no zone, not draining.
    pub fn new(id: ShardId, directory: impl Into<PathBuf>) -> Self {
        Self { id, directory: directory.into(), weight: 1, zone: None, draining: false }
    }

    /// Sets its weight.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets its zone.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }
}

/// Everything about placement, at one epoch.
///
/// Cloning is cheap: keyspaces are shared between topologies that do not change them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topology {
    pub(super) epoch: Epoch,
    pub(super) shards: BTreeMap<ShardId, ShardInfo>,
    pub(super) keyspaces: BTreeMap<KeyspaceId, Arc<KeyspaceLayout>>,
    pub(super) next_keyspace: KeyspaceId,
    pub(super) next_partition: PartitionId,
    pub(super) next_shard: ShardId,
    /// Whether there is or was a keyspace whose rows expire: the log may still have puts of one that
    /// was dropped.
    #[serde(skip)]
    pub(super) has_had_expiry: bool,
}

impl Topology {
    /// Returns this topology with the next numbers of `other`: for use after a change that was
    /// given up but may have left its numbers on a disk.
    pub(crate) fn with_numbers_of(&self, other: &Self) -> Self {
        Self {
            next_keyspace: other.next_keyspace,
            next_partition: other.next_partition,
            next_shard: other.next_shard,
            ..self.clone()
        }
    }

    /// Returns this topology with its shards changed in what placement does not depend on.
    pub(crate) fn with_shards(&self, change: impl Fn(&ShardInfo) -> ShardInfo) -> Self {
        let shards = self.shards.iter().map(|(id, shard)| (*id, change(shard))).collect();
        Self { shards, ..self.clone() }
    }

    /// Returns true if a partition's number was ever assigned, in this topology or an earlier one.
    pub(crate) fn has_given(&self, id: PartitionId) -> bool {
        id < self.next_partition
    }

    /// Returns true if a keyspace's number was ever assigned, in this topology or an earlier one.
    pub(crate) fn has_given_keyspace(&self, id: KeyspaceId) -> bool {
        id < self.next_keyspace
    }

    /// Returns the version of this topology.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the shards, by number.
    #[must_use]
    pub fn shards(&self) -> impl ExactSizeIterator<Item = &ShardInfo> {
        self.shards.values()
    }

    /// Returns the shard with this number.
    #[must_use]
    pub fn shard(&self, id: ShardId) -> Option<&ShardInfo> {
        self.shards.get(&id)
    }

    /// Returns the number that the next shard gets. Numbers of removed shards are never reused.
    #[must_use]
    pub const fn next_shard(&self) -> ShardId {
        self.next_shard
    }

    /// Returns the keyspaces, in the order of their creation.
    #[must_use]
    pub fn keyspaces(&self) -> impl ExactSizeIterator<Item = &Arc<KeyspaceLayout>> {
        self.keyspaces.values()
    }

    /// Returns the keyspace with this number.
    #[must_use]
    pub fn keyspace(&self, id: KeyspaceId) -> Option<&Arc<KeyspaceLayout>> {
        self.keyspaces.get(&id)
    }

    /// Returns the keyspace with this name. Linear in the number of keyspaces.
    #[must_use]
    pub fn keyspace_named(&self, name: &str) -> Option<&Arc<KeyspaceLayout>> {
        self.keyspaces().find(|keyspace| keyspace.name() == name)
    }

    /// Returns how many partitions a shard owns over all keyspaces. Linear in the number of
    /// partitions.
    #[must_use]
    pub fn partitions_of(&self, shard: ShardId) -> usize {
        self.keyspaces()
            .map(|keyspace| keyspace.names().filter(|(_, owner)| *owner == shard).count())
            .sum()
    }
}
