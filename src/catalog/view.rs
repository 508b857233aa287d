//! A keyspace as readers and writers see it: the partitions of one topology with their handles.

use super::behind::Behind;
use super::missing::{Missing, MissingShards};
use crate::engine::{EnginePartition, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::Expiring;
use crate::id::{PartitionId, ShardId};
use crate::latch::{Current, PartitionState, PartitionStatus};
use crate::placement::KeyRange;
use crate::topology::{self, PartitionName, Partitioning};
use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Arc, OnceLock};

/// An open partition: where it is, and its latch and status.
pub(crate) struct OpenPartition {
    pub(crate) name: PartitionName,
    pub(crate) owner: ShardId,
    pub(crate) shard: Arc<ShardEngine>,
    pub(crate) handle: EnginePartition,
    pub(crate) state: PartitionState,
    /// What is shared of its keyspace, if its rows expire.
    pub(crate) expiring: Option<Arc<Expiring>>,
    /// What it lacks of what the log has, if it is behind.
    pub(super) behind: OnceLock<Behind>,
    /// About how much of its files, in thousandths, lies outside its range: files that it shares, or
    /// shared, with others. If not zero, cursors must expect rows outside the range and skip them.
    pub(crate) out_of_range_permille: u32,
}

impl OpenPartition {
    pub(crate) fn new(
        name: PartitionName,
        owner: ShardId,
        shard: Arc<ShardEngine>,
        handle: EnginePartition,
    ) -> Self {
        Self {
            expiring: shard.expiring(name),
            name,
            owner,
            shard,
            handle,
            state: PartitionState::default(),
            behind: OnceLock::new(),
            out_of_range_permille: 0,
        }
    }

    /// The same, with about this much of the files outside its range.
    pub(crate) fn with_out_of_range(mut self, permille: u32) -> Self {
        self.out_of_range_permille = permille;
        self
    }
}

impl Current for OpenPartition {
    type Error = Error;

    #[inline]
    fn is_current(&self) -> Result<bool> {
        if self.state.is_usable() { Ok(true) } else { self.why_not_usable() }
    }
}

impl OpenPartition {
    /// Checks that the partition has everything that the log has, apart from what is in flight.
    ///
    /// # Errors
    ///
    /// `Busy`, with the cause.
    pub(crate) fn check_up_to_date(&self) -> Result<()> {
        if self.state.is_behind() { Err(self.behind_error()) } else { Ok(()) }
    }

    #[cold]
    fn behind_error(&self) -> Error {
        let error = self.behind.get().map(|behind| behind.error(self.name.id, self.owner));
        error.unwrap_or_else(|| {
            Error::new(ErrorKind::Internal, "a partition is marked as behind without a cause")
        })
    }

    /// Returns false if the partition is superseded, and otherwise why it cannot be used.
    #[cold]
    fn why_not_usable(&self) -> Result<bool> {
        match self.state.status() {
            PartitionStatus::Current => Err(self.behind_error()),
            PartitionStatus::Superseded => Ok(false),
            PartitionStatus::Closed => Err(Error::new(
                ErrorKind::Closed,
                "the keyspace was dropped or its store closed; open it again",
            )),
        }
    }
}

/// The partitions of a keyspace at one topology.
pub(crate) struct View {
    pub(crate) keyspace: Arc<topology::KeyspaceLayout>,
    /// `None` for those of missing shards.
    pub(super) partitions: Box<[Option<Arc<OpenPartition>>]>,
    /// What is shared of the keyspace, if its rows expire.
    expiring: Option<Arc<Expiring>>,
    missing: Arc<MissingShards>,
}

impl View {
    /// Returns the view of a keyspace with its partitions, in their order.
    pub(crate) fn new(
        keyspace: Arc<topology::KeyspaceLayout>,
        partitions: Box<[Option<Arc<OpenPartition>>]>,
        expiring: Option<Arc<Expiring>>,
        missing: Arc<MissingShards>,
    ) -> Self {
        Self { keyspace, partitions, expiring, missing }
    }

    /// Returns the view in which an engine is not open any more, or open again: other shards are
    /// missing, and the partitions of this one are those of `opened`.
    pub(super) fn with_shard(
        &self,
        shard: ShardId,
        opened: &BTreeMap<PartitionName, Arc<OpenPartition>>,
        missing: &Arc<MissingShards>,
    ) -> Self {
        let slot = |((name, owner), slot): (_, &Option<_>)| match owner == shard {
            true => opened.get(&name).cloned(),
            false => slot.clone(),
        };
        let partitions = self.keyspace.names().zip(&self.partitions).map(slot).collect();
        let missing = Arc::clone(missing);
        Self { missing, ..self.with_partitions(Arc::clone(&self.keyspace), partitions) }
    }

    /// The same keyspace with other partitions.
    pub(super) fn with_partitions(
        &self,
        keyspace: Arc<topology::KeyspaceLayout>,
        partitions: Box<[Option<Arc<OpenPartition>>]>,
    ) -> Self {
        let (expiring, missing) = (self.expiring.clone(), Arc::clone(&self.missing));
        Self { keyspace, partitions, expiring, missing }
    }

    /// Returns what is shared of the keyspace if its rows expire.
    #[inline]
    pub(crate) fn expiring(&self) -> Option<&Arc<Expiring>> {
        self.expiring.as_ref()
    }

    /// Returns the index of a partition.
    pub(crate) fn position(&self, id: PartitionId) -> Option<usize> {
        self.keyspace.names().position(|(name, _)| name.id == id)
    }

    /// Returns the partitions that are there, in their order.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Arc<OpenPartition>> {
        self.partitions.iter().flatten()
    }

    /// Returns a partition by its index, if it is there.
    pub(crate) fn open_at(&self, index: usize) -> Option<&Arc<OpenPartition>> {
        self.partitions.get(index)?.as_ref()
    }

    /// Returns the missing shard of a partition, if it is missing.
    pub(crate) fn missing(&self, index: usize) -> Option<(ShardId, &Missing)> {
        match self.partitions.get(index) {
            Some(None) => self.missing_shard_of(index),
            _ => None,
        }
    }

    /// Returns true if a shard is missing.
    pub(super) fn is_missing(&self, shard: ShardId) -> bool {
        self.missing.contains_key(&shard)
    }

    fn missing_shard_of(&self, index: usize) -> Option<(ShardId, &Missing)> {
        let owner = self.keyspace.partitioning().owner(index)?;
        Some((owner, self.missing.get(&owner)?))
    }

    /// Returns the index of the partition that a key belongs to.
    #[inline]
    pub(crate) fn index(&self, key: &[u8]) -> usize {
        self.keyspace.partitioning().find(key)
    }

    /// Returns a partition by its index.
    ///
    /// # Errors
    ///
    /// `Unavailable` if its shard is missing.
    #[inline]
    pub(crate) fn partition(&self, index: usize) -> Result<&Arc<OpenPartition>> {
        match self.partitions.get(index) {
            Some(Some(partition)) => Ok(partition),
            _ => Err(self.not_there(index)),
        }
    }

    #[cold]
    fn not_there(&self, index: usize) -> Error {
        let missing = self.missing_shard_of(index);
        missing.map_or_else(no_such_index, |(shard, missing)| missing.error(shard))
    }

    /// Returns the indexes of the partitions that may hold keys of a range. `prefix` is what all
    /// keys of the range begin with.
    pub(crate) fn intersecting(&self, range: &KeyRange, prefix: &[u8]) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        match self.keyspace.partitioning() {
            Partitioning::Hash { ring, hashed } => match hashed.fixed_by_prefix(prefix) {
                Some(part) => {
                    let arc = ring.arc_of(ring.token_function().token(part));
                    arc..arc + 1
                }
                None => 0..self.partitions.len(),
            },
            Partitioning::Range { map, .. } => {
                let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                map.intersecting::<[u8], _>((Bound::Included(&*range.start), end))
            }
        }
    }
}

#[cold]
fn no_such_index() -> Error {
    Error::new(ErrorKind::Internal, "a keyspace has fewer partitions than its topology says")
}
