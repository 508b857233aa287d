//! Changes: each leads from the present topology to the next one, or is refused with the reason.

use super::keyspace::{KeyspaceLayout, PartitionName, Partitioning};
use super::reshape::{ReshapeSpec, used_up};
use super::shards::member;
use super::spec::{HashSpec, KeyspaceSpec, RangeSpec};
use super::{ShardInfo, TimeToLive, Topology};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Epoch, KeyspaceId, PartitionId, ShardId};
use crate::placement::{RangeMap, Ring};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The longest name of a keyspace, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// A change of the topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Change {
    /// A new keyspace.
    CreateKeyspace {
        /// Its name: 1 to 255 bytes, without control characters, not taken yet.
        name: String,
        /// Its partitioning.
        spec: KeyspaceSpec,
    },
    /// The end of a keyspace and of all its keys.
    DropKeyspace {
        /// Its number.
        id: KeyspaceId,
    },
    /// Neighbouring partitions are replaced by others that cover the same. The topology may be
    /// later than the one that named the targets, as long as the sources are still there and the
    /// owners exist. A source that has moved in between counts as still there, unless this is a
    /// move, too: the caller that copies the data makes sure that the same partitions are not
    /// reshaped otherwise in the meantime.
    Reshape {
        /// Which partitions become which.
        spec: ReshapeSpec,
        /// The targets' names, from [`Topology::name_targets`].
        targets: Vec<PartitionName>,
    },
    /// A new shard, which owns nothing yet.
    AddShard {
        /// The shard; its number is [`Topology::next_shard`].
        shard: ShardInfo,
    },
    /// The beginning or the end of draining a shard: a draining shard gets no partition of a new
    /// keyspace.
    DrainShard {
        /// Its number.
        id: ShardId,
        /// Whether it drains from now on.
        draining: bool,
    },
    /// The end of a shard that owns nothing.
    RemoveShard {
        /// Its number.
        id: ShardId,
    },
    /// Another weight for a shard. Nothing moves by itself.
    SetWeight {
        /// Its number.
        id: ShardId,
        /// Its weight, at least 1.
        weight: u32,
    },
}

impl Topology {
    /// Returns the topology after a change, one epoch later. Linear in the size of what changes,
    /// plus the check of the invariants.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) for a name, a shard's number or a directory that
    /// is taken, [`NotFound`](ErrorKind::NotFound) for a keyspace, a partition or a shard that does
    /// not exist, [`InvalidArgument`](ErrorKind::InvalidArgument) for a bad name, bad split points
    /// or too many arcs, for a reshape that [does not fit](Topology::target_ranges), a shard number
    /// that is not the next, a weight of 0, and the removal of a shard that owns partitions or is
    /// the last. The present topology is untouched.
    pub fn apply(&self, change: &Change) -> Result<Self> {
        let mut next = self.clone();
        next.epoch = Epoch(self.epoch.0.checked_add(1).ok_or_else(|| used_up("epochs"))?);
        match change {
            Change::CreateKeyspace { name, spec } => next.create_keyspace(name, spec)?,
            Change::DropKeyspace { id } => {
                next.keyspaces.remove(id).ok_or_else(|| {
                    Error::new(
                        ErrorKind::NotFound,
                        format!("there is no keyspace with number {id}"),
                    )
                })?;
            }
            Change::Reshape { spec, targets } => next.reshape(spec, targets)?,
            Change::AddShard { shard } => next.add_shard(shard)?,
            Change::DrainShard { id, draining } => next.drain_shard(*id, *draining)?,
            Change::RemoveShard { id } => next.remove_shard(*id)?,
            Change::SetWeight { id, weight } => next.set_weight(*id, *weight)?,
        }
        next.check()?;
        Ok(next)
    }

    fn create_keyspace(&mut self, name: &str, spec: &KeyspaceSpec) -> Result<()> {
        check_name(name)?;
        if self.keyspace_named(name).is_some() {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("keyspace `{name}` exists already; open it, or choose another name"),
            ));
        }
        spec.expiry().map_or(Ok(()), TimeToLive::check)?;
        let partitioning = self.partition(spec)?;
        let count = partitioning.len() as u64;
        let first = self.next_partition.0;
        let end = first.checked_add(count).ok_or_else(|| used_up("partition numbers"))?;
        let id = self.next_keyspace;
        let partitions =
            (first..end).map(|id| PartitionName { id: PartitionId(id), generation: 0 }).collect();
        let next = id.0.checked_add(1).ok_or_else(|| used_up("keyspace numbers"))?;
        self.next_keyspace = KeyspaceId(next);
        self.next_partition = PartitionId(end);
        let (name, time_to_live) = (name.to_owned(), spec.expiry());
        self.has_had_expiry |= time_to_live.is_some();
        let keyspace = KeyspaceLayout { id, name, partitioning, partitions, time_to_live };
        self.keyspaces.insert(id, Arc::new(keyspace));
        Ok(())
    }

    /// Returns the first partitioning of a new keyspace.
    fn partition(&self, spec: &KeyspaceSpec) -> Result<Partitioning> {
        if self.shards.values().all(|shard| shard.draining) {
            return Err(Error::invalid(
                "every shard is draining, so none can take a new keyspace: add a shard, or stop \
                 draining one",
            ));
        }
        match spec {
            KeyspaceSpec::Hash(HashSpec { hashed, arcs_per_shard, .. }) => {
                let mut ring = Ring::builder();
                if let Some(arcs) = arcs_per_shard {
                    ring = ring.arcs_per_shard(*arcs);
                }
                let (draining, staying): (Vec<_>, Vec<_>) =
                    self.shards.values().partition(|shard| shard.draining);
                let mut ring = ring.shards(staying.into_iter().map(member)).build()?;
                for shard in draining {
                    ring = ring.join(member(shard))?;
                }
                Ok(Partitioning::Hash { ring, hashed: *hashed })
            }
            KeyspaceSpec::Range(RangeSpec { boundaries, .. }) => {
                let map = RangeMap::new(boundaries)?;
                let owners = self.distribute(map.len());
                Ok(Partitioning::Range { map, owners })
            }
        }
    }

    /// Returns owners for `count` ranges in key order: each shard that is not draining gets a run
    /// of neighbours in proportion to its weight. A keyspace with fewer ranges than shards begins
    /// at the shard that owns the fewest partitions, so that small keyspaces do not pile up on the
    /// first shard.
    fn distribute(&self, count: usize) -> Vec<ShardId> {
        let mut order: Vec<&ShardInfo> =
            self.shards.values().filter(|shard| !shard.draining).collect();
        if count < order.len() {
            order.sort_by_key(|shard| (self.partitions_of(shard.id), shard.id));
            return order.iter().take(count).map(|shard| shard.id).collect();
        }
        let total: u128 = order.iter().map(|shard| u128::from(shard.weight)).sum();
        let mut owners = Vec::with_capacity(count);
        let mut weight_so_far = 0;
        for shard in order {
            weight_so_far += u128::from(shard.weight);
            let end = (count as u128 * weight_so_far / total) as usize;
            owners.resize(end, shard.id);
        }
        owners
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Error::invalid(format!(
            "a keyspace's name has 1 to {NAME_BYTES_MAX} bytes, this one has {}",
            name.len()
        )));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "the keyspace name {name:?} contains a control character; leave it out"
        )));
    }
    Ok(())
}
