//! The shards of a topology, and their changes: shards join and leave without partitions. Reshapes
//! in between move data.

use super::keyspace::{KeyspaceLayout, Partitioning};
use super::{ShardInfo, Topology};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Epoch, KeyspaceId, PartitionId, ShardId};
use crate::placement::{Member, Ring};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Topology {
    /// Returns a topology of these shards, without keyspaces, at epoch 1.
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
                return Err(Error::invalid(format!(
                    "shard {id} is listed twice; give each shard a number of its own"
                )));
            }
        }
        let next_shard = match by_id.last_key_value() {
            Some((id, _)) => next_shard_after(*id)?,
            None => ShardId(0),
        };
        let topology = Self {
            epoch: Epoch(1),
            shards: by_id,
            keyspaces: BTreeMap::new(),
            next_keyspace: KeyspaceId(1),
            next_partition: PartitionId(1),
            next_shard,
            has_had_expiry: false,
        };
        topology.check()?;
        Ok(topology)
    }

    pub(super) fn add_shard(&mut self, shard: &ShardInfo) -> Result<()> {
        let (id, next) = (shard.id, self.next_shard);
        if self.shards.contains_key(&id) {
            let message = format!("there is a shard {id} already; the next number is {next}");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        if id != next {
            return Err(Error::invalid(format!(
                "the next shard has number {next}, not {id}: numbers are assigned in order, and \
                 never reused"
            )));
        }
        if let Some(other) = self.shards.values().find(|other| other.directory == shard.directory) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "shard {} is in the directory {} already; choose another one",
                    other.id,
                    shard.directory.display()
                ),
            ));
        }
        self.next_shard = next_shard_after(id)?;
        let member = member(shard);
        self.edit_rings(|ring| ring.join(member.clone()))?;
        self.shards.insert(id, shard.clone());
        Ok(())
    }

    pub(super) fn drain_shard(&mut self, id: ShardId, draining: bool) -> Result<()> {
        let mut shard = self.require_shard(id)?.clone();
        shard.draining = draining;
        self.shards.insert(id, shard);
        Ok(())
    }

    pub(super) fn remove_shard(&mut self, id: ShardId) -> Result<()> {
        self.require_shard(id)?;
        if self.shards.len() == 1 {
            return Err(Error::invalid(format!(
                "shard {id} is the last one: add another one first"
            )));
        }
        let owned = self.partitions_of(id);
        if owned > 0 {
            return Err(Error::invalid(format!(
                "shard {id} still owns {owned} partitions: move them to other shards first"
            )));
        }
        self.shards.remove(&id);
        self.edit_rings(|ring| ring.leave(id))
    }

    pub(super) fn set_weight(&mut self, id: ShardId, weight: u32) -> Result<()> {
        let mut shard = self.require_shard(id)?.clone();
        if weight == 0 {
            return Err(Error::invalid(format!(
                "shard {id} cannot have weight 0: give at least 1, or remove the shard"
            )));
        }
        shard.weight = weight;
        self.shards.insert(id, shard);
        self.edit_rings(|ring| ring.reweigh(id, weight))
    }

    /// Changes the members of every ring. Arcs and partitions stay as they are.
    fn edit_rings(&mut self, edit: impl Fn(&Ring) -> Result<Ring>) -> Result<()> {
        for keyspace in self.keyspaces.values_mut() {
            let Partitioning::Hash { ring, hashed } = &keyspace.partitioning else { continue };
            let partitioning = Partitioning::Hash { ring: edit(ring)?, hashed: *hashed };
            *keyspace =
                Arc::new(KeyspaceLayout { partitioning, ..KeyspaceLayout::clone(keyspace) });
        }
        Ok(())
    }
}

/// Returns a shard in the form that its rings use.
pub(super) fn member(shard: &ShardInfo) -> Member {
    let member = Member::new(shard.id).weight(shard.weight);
    match &shard.zone {
        Some(zone) => member.zone(zone.as_str()),
        None => member,
    }
}

/// Returns the number that is assigned after `id`.
pub(super) fn next_shard_after(id: ShardId) -> Result<ShardId> {
    id.0.checked_add(1).map(ShardId).ok_or_else(|| {
        Error::invalid(format!("shard number {id} is the last there is; give a lower one"))
    })
}
