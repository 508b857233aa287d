//! The writes of a batch, each with the partitions that it concerns.

use super::batch::{Op, Write};
use super::previous::Previous;
use crate::catalog::{KeyspaceState, Keyspaces, OpenPartition, View};
use crate::engine::{Cursor, Direction, Engine, EngineBatch, Read, ShardEngine, WriteBatch as _};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{KeyspaceId, ShardId};
use crate::latch::{Current, HeldStripe, Routed, StripeSet};
use crate::log::{InFlight, Operation};
use crate::placement::{KeyRange, just_after};
use crate::topology::PartitionName;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The source of the views of keyspaces: `None` for one that was dropped.
pub(crate) trait Views {
    fn view(&self, keyspace: KeyspaceId) -> Option<Arc<View>>;
}

impl Views for Keyspaces {
    fn view(&self, keyspace: KeyspaceId) -> Option<Arc<View>> {
        Some(self.get(&keyspace)?.view())
    }
}

impl Views for KeyspaceState {
    fn view(&self, keyspace: KeyspaceId) -> Option<Arc<View>> {
        (keyspace == self.id()).then(|| self.view())
    }
}

/// A batch with the partitions that it concerns.
pub(super) struct RoutedBatch<'a> {
    ops: &'a [Op],
    /// For each shard the operations that concern it, by their index, with the partition.
    writes: BTreeMap<ShardId, Vec<(usize, Arc<OpenPartition>)>>,
    /// The stripes to own of each partition, in lock order.
    stripes: BTreeMap<PartitionName, (Arc<OpenPartition>, StripeSet)>,
    /// The partitions of each deletion of a range without an end, by its index.
    open_ranges: BTreeMap<usize, Vec<Arc<OpenPartition>>>,
}

/// The exclusive ends of ranges without an end, by the index of the operation; none for those that
/// have nothing to delete.
type Ends = BTreeMap<usize, Vec<u8>>;

/// A batch as it is logged and applied.
pub(super) struct ConcreteBatch<'a> {
    ops: &'a [Op],
    ends: Ends,
    /// What is logged of the values before.
    pub(super) previous: Previous,
}

/// One shard's part of a batch.
pub(super) struct Part {
    shard: ShardId,
    engine: Arc<ShardEngine>,
    batch: EngineBatch,
}

impl<'a> RoutedBatch<'a> {
    /// Routes operations.
    ///
    /// # Errors
    ///
    /// `Closed` if a keyspace was dropped.
    pub(super) fn of(ops: &'a [Op], views: &impl Views) -> Result<Self> {
        let mut routes = Self {
            ops,
            writes: BTreeMap::new(),
            stripes: BTreeMap::new(),
            open_ranges: BTreeMap::new(),
        };
        let mut last: Option<(KeyspaceId, Arc<View>)> = None;
        for (index, op) in ops.iter().enumerate() {
            let view = match &last {
                Some((keyspace, view)) if *keyspace == op.keyspace => Arc::clone(view),
                _ => views.view(op.keyspace).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Closed,
                        "a keyspace of the batch was dropped; nothing was written",
                    )
                })?,
            };
            routes.add(index, &op.write, &view)?;
            last = Some((op.keyspace, view));
        }
        Ok(routes)
    }

    fn add(&mut self, index: usize, write: &Write, view: &View) -> Result<()> {
        let partitions = match write {
            Write::Put { key, .. } | Write::Delete { key } => {
                let partition = view.index(key);
                partition..partition + 1
            }
            Write::DeleteRange { start, end, prefix } => {
                let range = KeyRange::new(start, end.as_ref());
                view.intersecting(&range, prefix)
            }
        };
        for partition in partitions {
            let partition = view.partition(partition)?;
            let stripes = self.stripes.entry(partition.name);
            stripes.or_insert_with(|| (Arc::clone(partition), 0)).1 |= write.stripes();
            if matches!(write, Write::DeleteRange { end: None, .. }) {
                self.open_ranges.entry(index).or_default().push(Arc::clone(partition));
            }
            let writes = self.writes.entry(partition.owner).or_default();
            writes.push((index, Arc::clone(partition)));
        }
        Ok(())
    }

    /// Returns the batch with an end for each range. Reads the greatest keys of partitions, so the
    /// caller must own the stripes.
    ///
    /// A range without an end reaches to the greatest key that is in one of its partitions, or that
    /// the same batch has put. Its end is the same for all partitions: a replay may find others.
    pub(super) fn concrete(&self) -> Result<ConcreteBatch<'a>> {
        let mut ends = Ends::new();
        let mut greatest_put: BTreeMap<KeyspaceId, &[u8]> = BTreeMap::new();
        for (index, op) in self.ops.iter().enumerate() {
            match &op.write {
                Write::Put { key, .. } => {
                    let greatest = greatest_put.entry(op.keyspace).or_insert(key);
                    *greatest = key.as_slice().max(greatest);
                }
                Write::DeleteRange { start, end: None, .. } => {
                    let put = greatest_put.get(&op.keyspace).filter(|key| **key >= &**start);
                    let mut end = put.map(|key| just_after(key));
                    for partition in self.open_ranges.get(&index).into_iter().flatten() {
                        end = end.max(end_of_rows(partition, start)?);
                    }
                    ends.extend(end.map(|end| (index, end)));
                }
                Write::Delete { .. } | Write::DeleteRange { .. } => {}
            }
        }
        Ok(ConcreteBatch { ops: self.ops, ends, previous: Previous::new() })
    }

    pub(super) fn ops(&self) -> &'a [Op] {
        self.ops
    }

    /// Returns the partition of a put or a delete, by its index.
    pub(super) fn partition_of(&self, index: usize) -> Option<&OpenPartition> {
        let of_shard = |writes: &'_ Vec<(usize, Arc<OpenPartition>)>| {
            writes.binary_search_by_key(&index, |(index, _)| *index).ok()
        };
        let found = self.writes.values().find_map(|writes| writes.get(of_shard(writes)?));
        found.map(|(_, partition)| &**partition)
    }

    /// Returns the parts of the shards in the engine's form.
    pub(super) fn parts(&self, batch: &ConcreteBatch<'_>) -> Result<Vec<Part>> {
        let mut parts = Vec::with_capacity(self.writes.len());
        for (shard, writes) in &self.writes {
            let mut part: Option<Part> = None;
            for (index, partition) in writes {
                let op = self.ops.get(*index).ok_or_else(|| {
                    let (is, of) = (index, self.ops.len());
                    Error::new(ErrorKind::Internal, format!("operation {is} of {of} was routed"))
                })?;
                let Some(operation) = batch.operation(*index, op) else { continue };
                let part = part.get_or_insert_with(|| Part {
                    shard: *shard,
                    engine: Arc::clone(&partition.shard),
                    batch: EngineBatch::default(),
                });
                add(&mut part.batch, partition, operation);
            }
            parts.extend(part);
        }
        Ok(parts)
    }

    /// Notes that a shard could not apply its part: the partitions that it concerns are behind.
    pub(super) fn fall_behind(&self, part: ShardId, in_flight: &InFlight<'_>, cause: &Error) {
        let partitions = self.stripes.values().map(|(partition, _)| partition);
        for partition in partitions.filter(|partition| partition.owner == part) {
            partition.fall_behind(in_flight.start(), cause);
        }
    }
}

impl ConcreteBatch<'_> {
    /// Returns the operations that have an effect, in their order, each after what is logged of the
    /// value before.
    pub(super) fn operations(&self) -> impl Iterator<Item = Operation<'_>> + Clone {
        self.ops.iter().enumerate().flat_map(|(index, op)| {
            [self.previous(index, op), self.operation(index, op)].into_iter().flatten()
        })
    }

    fn previous<'o>(&'o self, index: usize, op: &'o Op) -> Option<Operation<'o>> {
        let value = self.previous.get(&index)?.as_deref();
        match op {
            Op { keyspace, write: Write::Put { key, .. } | Write::Delete { key } } => {
                Some(Operation::Previous { keyspace: *keyspace, key, value })
            }
            Op { write: Write::DeleteRange { .. }, .. } => None,
        }
    }

    /// Returns an operation with its end; `None` if it is a range in which there is nothing.
    fn operation<'o>(&'o self, index: usize, op: &'o Op) -> Option<Operation<'o>> {
        let Op { keyspace, write } = op;
        let keyspace = *keyspace;
        Some(match write {
            Write::Put { key, value } => Operation::Put { keyspace, key, value },
            Write::Delete { key } => Operation::Delete { keyspace, key },
            Write::DeleteRange { start, end, .. } => {
                let end = end.as_ref().or_else(|| self.ends.get(&index))?;
                if start >= end {
                    return None;
                }
                Operation::DeleteRange { keyspace, start, end }
            }
        })
    }
}

impl Part {
    pub(super) fn shard(&self) -> ShardId {
        self.shard
    }

    pub(super) fn apply(self) -> Result<()> {
        self.engine.write(self.batch)
    }
}

/// Adds an operation to a batch, as far as it concerns a partition.
pub(super) fn add(batch: &mut EngineBatch, partition: &OpenPartition, operation: Operation<'_>) {
    match operation {
        Operation::Put { key, value, .. } => batch.put(&partition.handle, key, value),
        Operation::Delete { key, .. } => batch.delete(&partition.handle, key),
        Operation::DeleteRange { start, end, .. } => {
            batch.delete_range(&partition.handle, start, end);
        }
        Operation::Previous { .. } => {}
    }
}

/// Returns about how many bytes an operation takes in a batch.
pub(super) fn bytes_of(operation: Operation<'_>) -> usize {
    /// Bookkeeping, next to keys and value.
    const OVERHEAD_BYTES: usize = 16;
    OVERHEAD_BYTES
        + match operation {
            Operation::Put { key, value, .. } => key.len() + value.len(),
            Operation::Delete { key, .. } => key.len(),
            Operation::DeleteRange { start, end, .. } => start.len() + end.len(),
            Operation::Previous { .. } => 0,
        }
}

/// Returns what is just after the greatest key of a partition, if it has any from `start` on.
fn end_of_rows(partition: &OpenPartition, start: &[u8]) -> Result<Option<Vec<u8>>> {
    let rest = KeyRange { start: start.into(), end: None };
    let read = Read::PRESENT;
    let cursor = partition.shard.cursor(&partition.handle, &rest, Direction::Reverse, read)?;
    cursor.status()?;
    Ok(cursor.key().map(just_after))
}

impl Current for RoutedBatch<'_> {
    type Error = Error;

    fn is_current(&self) -> Result<bool> {
        for (partition, _) in self.stripes.values() {
            if !partition.is_current()? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Routed for RoutedBatch<'_> {
    type Stripes<'a>
        = Vec<HeldStripe<'a>>
    where
        Self: 'a;

    /// Owns the stripes of all partitions, in lock order.
    fn take_stripes(&self) -> Vec<HeldStripe<'_>> {
        let mut held = Vec::new();
        for (partition, set) in self.stripes.values() {
            partition.state.latch.own_set(*set, &mut held);
        }
        held
    }
}
