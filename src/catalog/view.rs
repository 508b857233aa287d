//! A keyspace as readers and writers see it: the partitions of one topology with their handles.

use super::behind::Behind;
use crate::engine::{Engine as _, EnginePartition, EngineSnapshot, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::Expiring;
use crate::id::ShardId;
use crate::latch::{Current, PartitionState, PartitionStatus};
use crate::placement::KeyRange;
use crate::topology::{self, PartitionName, Partitioning};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
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

    /// Returns the snapshot of the partition's shard in a cut, and takes it if the cut has none yet.
    ///
    /// # Errors
    ///
    /// That of the shard.
    pub(crate) fn snapshot_in<'c>(
        &self,
        cut: &'c mut BTreeMap<ShardId, EngineSnapshot>,
    ) -> Result<&'c EngineSnapshot> {
        match cut.entry(self.owner) {
            Entry::Occupied(taken) => Ok(taken.into_mut()),
            Entry::Vacant(missing) => Ok(missing.insert(self.shard.snapshot()?)),
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
    pub(crate) partitions: Box<[Arc<OpenPartition>]>,
}

impl View {
    /// Returns what is shared of the keyspace if its rows expire.
    #[inline]
    pub(crate) fn expiring(&self) -> Option<&Arc<Expiring>> {
        self.partitions.first()?.expiring.as_ref()
    }

    /// Returns the index of the partition that a key belongs to.
    #[inline]
    pub(crate) fn index(&self, key: &[u8]) -> usize {
        self.keyspace.partitioning().find(key)
    }

    pub(crate) fn partition(&self, index: usize) -> Result<&Arc<OpenPartition>> {
        self.partitions.get(index).ok_or_else(no_such_index)
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
