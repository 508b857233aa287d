//! What each shard has while a plan is made.

use super::{Sizes, bytes_of};
use crate::id::ShardId;
use crate::topology::Topology;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Over all keyspaces.
pub(super) struct Loads {
    by_shard: BTreeMap<ShardId, Load>,
}

struct Load {
    weight: u32,
    draining: bool,
    bytes: u128,
    partitions: u128,
}

impl Loads {
    pub(super) fn new(topology: &Topology, sizes: &Sizes) -> Self {
        let load = |shard: &crate::topology::ShardInfo| Load {
            weight: shard.weight,
            draining: shard.draining,
            bytes: 0,
            partitions: 0,
        };
        let mut by_shard: BTreeMap<ShardId, Load> =
            topology.shards().map(|shard| (shard.id, load(shard))).collect();
        for partition in topology.keyspaces().flat_map(|keyspace| keyspace.partitions()) {
            if let Some(load) = by_shard.get_mut(&partition.owner) {
                load.bytes += u128::from(bytes_of(sizes, partition.id));
                load.partitions += 1;
            }
        }
        Self { by_shard }
    }

    /// Books bytes, and a partition with them, from one shard to another.
    pub(super) fn shift(&mut self, from: ShardId, to: ShardId, bytes: u64) {
        if let Some(from) = self.by_shard.get_mut(&from) {
            from.bytes = from.bytes.saturating_sub(bytes.into());
            from.partitions = from.partitions.saturating_sub(1);
        }
        if let Some(to) = self.by_shard.get_mut(&to) {
            to.bytes += u128::from(bytes);
            to.partitions += 1;
        }
    }

    /// The shard with the least for its weight, of those that take something. Without bytes, as
    /// in a new store, the number of partitions decides.
    pub(super) fn least(&self, except: ShardId) -> Option<ShardId> {
        let takers = self.by_shard.iter().filter(|(id, load)| **id != except && !load.draining);
        takers.min_by(|(_, one), (_, other)| one.compare(other)).map(|(id, _)| *id)
    }
}

impl Load {
    fn compare(&self, other: &Self) -> Ordering {
        let per_weight = |one: u128, two: u128| {
            (one * u128::from(other.weight)).cmp(&(two * u128::from(self.weight)))
        };
        let by_bytes = per_weight(self.bytes, other.bytes);
        by_bytes.then_with(|| per_weight(self.partitions, other.partitions))
    }
}
