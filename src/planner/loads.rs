//! What each shard has at a point of a plan.

use super::sizes::{Sizes, bytes_of};
use crate::id::ShardId;
use crate::topology::{ShardInfo, Topology};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Bytes and partitions of each shard, over all keyspaces.
pub(super) struct Loads {
    /// Has an entry for each shard of the topology.
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
        let load = |shard: &ShardInfo| Load {
            weight: shard.weight,
            draining: shard.draining,
            bytes: 0,
            partitions: 0,
        };
        let by_shard = topology.shards().map(|shard| (shard.id, load(shard))).collect();
        let mut loads = Self { by_shard };
        for partition in topology.keyspaces().flat_map(|keyspace| keyspace.partitions()) {
            let load = loads.load_mut(partition.owner);
            load.bytes += u128::from(bytes_of(sizes, partition.id));
            load.partitions += 1;
        }
        loads
    }

    /// Moves bytes, and a partition with them, from one shard to another.
    pub(super) fn shift(&mut self, from: ShardId, to: ShardId, bytes: u64) {
        let from = self.load_mut(from);
        from.bytes = from.bytes.saturating_sub(bytes.into());
        // A shard may give up more pieces than it has partitions.
        from.partitions = from.partitions.saturating_sub(1);
        let to = self.load_mut(to);
        to.bytes += u128::from(bytes);
        to.partitions += 1;
    }

    #[expect(clippy::expect_used, reason = "plans name shards of the topology only")]
    fn load_mut(&mut self, shard: ShardId) -> &mut Load {
        self.by_shard.get_mut(&shard).expect("the topology has the shard")
    }

    /// Returns the shard with the least for its weight among those that receive something; `None`
    /// if there is none. Without bytes, as in a new store, the number of partitions decides.
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
