//! The invariants of a topology, each a separate function.
//!
//! They are checked when a change is applied, when a record is decoded, by `verify`, and by fuzz
//! targets. A violation is a defect or damage, never a state to work with.

use super::keyspace::{KeyspaceLayout, Partitioning};
use super::{ShardInfo, Topology};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

impl Topology {
    /// Checks every invariant: linear in the number of partitions, times the logarithm of it.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) with the first violation found.
    pub fn check(&self) -> Result<()> {
        shards_are_distinct_and_weighted(self)?;
        for (id, keyspace) in &self.keyspaces {
            if *id != keyspace.id {
                return violated(format!("keyspace {} is stored under number {id}", keyspace.id));
            }
            partitions_tile_the_space(keyspace)?;
            owners_exist(self, keyspace)?;
            members_are_the_shards(self, keyspace)?;
        }
        names_are_distinct(self)?;
        numbers_are_used_once(self)
    }
}

fn violated<T>(what: impl Into<String>) -> Result<T> {
    Err(Error::invalid(what))
}

/// There is at least one shard; no two share a directory; each has a weight.
fn shards_are_distinct_and_weighted(topology: &Topology) -> Result<()> {
    if topology.shards.is_empty() {
        return violated("a store needs at least one shard");
    }
    let mut directories: BTreeMap<_, &ShardInfo> = BTreeMap::new();
    for (id, shard) in &topology.shards {
        if *id != shard.id {
            return violated(format!("shard {} is stored under number {id}", shard.id));
        }
        if shard.weight == 0 {
            return violated(format!("shard {id} has weight 0; give it a weight of at least 1"));
        }
        if let Some(other) = directories.insert(&shard.directory, shard) {
            return violated(format!(
                "shards {} and {id} share the directory {}; give each shard one of its own",
                other.id,
                shard.directory.display()
            ));
        }
    }
    Ok(())
}

/// Invariant 1: no gap, no overlap. Rings and range maps tile by construction, which their own
/// checks verify; what remains is that there is one partition for each tile.
fn partitions_tile_the_space(keyspace: &KeyspaceLayout) -> Result<()> {
    match &keyspace.partitioning {
        Partitioning::Hash { ring, .. } => ring.check()?,
        Partitioning::Range { map, .. } => map.check()?,
    }
    keyspace.check_counts()
}

/// Invariant 2: every partition is owned by exactly one shard that exists.
fn owners_exist(topology: &Topology, keyspace: &KeyspaceLayout) -> Result<()> {
    match keyspace.names().find(|(_, owner)| !topology.shards.contains_key(owner)) {
        Some((name, owner)) => violated(format!(
            "partition {} of keyspace `{}` is owned by shard {owner}, which does not exist",
            name.id, keyspace.name
        )),
        None => Ok(()),
    }
}

/// Every shard is a member of every ring, with its weight, whether or not it owns an arc.
fn members_are_the_shards(topology: &Topology, keyspace: &KeyspaceLayout) -> Result<()> {
    let Partitioning::Hash { ring, .. } = &keyspace.partitioning else { return Ok(()) };
    let members = ring.members().iter().map(|member| (member.id, member.weight));
    if !members.eq(topology.shards().map(|shard| (shard.id, shard.weight))) {
        return violated(format!(
            "the members of the ring of keyspace `{}` are not the shards, or have other weights",
            keyspace.name
        ));
    }
    Ok(())
}

fn names_are_distinct(topology: &Topology) -> Result<()> {
    let mut names = BTreeSet::new();
    match topology.keyspaces().find(|keyspace| !names.insert(keyspace.name())) {
        Some(keyspace) => violated(format!("two keyspaces are named `{}`", keyspace.name)),
        None => Ok(()),
    }
}

/// Numbers are unique and below the next one to be assigned.
fn numbers_are_used_once(topology: &Topology) -> Result<()> {
    if let Some((id, _)) = topology.shards.range(topology.next_shard..).next() {
        return violated(format!("shard number {id} was never assigned"));
    }
    let mut partitions = BTreeSet::new();
    for keyspace in topology.keyspaces() {
        if keyspace.id >= topology.next_keyspace {
            return violated(format!("keyspace number {} was never assigned", keyspace.id));
        }
        for name in &keyspace.partitions {
            if name.id >= topology.next_partition {
                return violated(format!("partition number {} was never assigned", name.id));
            }
            if !partitions.insert(name.id) {
                return violated(format!("partition {} appears twice", name.id));
            }
        }
    }
    Ok(())
}
