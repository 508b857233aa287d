//! The writes of a batch, each with the partitions that it concerns.

use super::batch::{Batch, Op, Write};
use super::condition::{Condition, Unmet};
use super::counter::{Sums, sums};
use super::present::present;
use crate::catalog::{KeyspaceState, Keyspaces, OpenPartition, View};
use crate::engine::{Cursor, Direction, Engine, EngineBatch, Read, ShardEngine, WriteBatch as _};
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::{ExpiringValue, WriteMoment};
use crate::id::{KeyspaceId, ShardId};
use crate::latch::{Current, HeldStripe, Routed, StripeSet, stripe_set};
use crate::log::{InFlight, Operation};
use crate::os::failpoint;
use crate::placement::{KeyRange, just_after};
use crate::topology::PartitionName;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The value before each write of one key that logs it, by the index of the operation.
pub(super) type Previous = BTreeMap<usize, Option<Vec<u8>>>;

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
    /// Each condition with the partition of its key.
    conditions: Vec<(&'a Condition, Arc<OpenPartition>)>,
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
    sums: Sums,
    /// The values as they are stored of puts of rows that expire, by the index of the operation.
    stored: BTreeMap<usize, Vec<u8>>,
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
    /// Routes a batch.
    ///
    /// # Errors
    ///
    /// `Closed` if a keyspace was dropped.
    pub(super) fn of(batch: &'a Batch, views: &impl Views) -> Result<Self> {
        let mut routes = Self {
            ops: &batch.ops,
            conditions: Vec::with_capacity(batch.conditions.len()),
            writes: BTreeMap::new(),
            stripes: BTreeMap::new(),
            open_ranges: BTreeMap::new(),
        };
        let mut last: Option<(KeyspaceId, Arc<View>)> = None;
        let mut view = |keyspace| match &last {
            Some((of, view)) if *of == keyspace => Ok(Arc::clone(view)),
            _ => {
                let view = views.view(keyspace).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Closed,
                        "a keyspace of the batch was dropped; nothing was written",
                    )
                })?;
                last = Some((keyspace, Arc::clone(&view)));
                Ok(view)
            }
        };
        for condition in &batch.conditions {
            routes.require(condition, &*view(condition.keyspace)?)?;
        }
        for (index, op) in batch.ops.iter().enumerate() {
            routes.add(index, op, &*view(op.keyspace)?)?;
        }
        Ok(routes)
    }

    fn require(&mut self, condition: &'a Condition, view: &View) -> Result<()> {
        let partition = view.partition(view.index(&condition.key))?;
        // IMPORTANT: a key that is only looked at has its stripe owned, too: no write of it comes
        // between the look and the record.
        if !failpoint::skip("own-required") {
            self.own(partition, stripe_set(&condition.key));
        }
        self.conditions.push((condition, Arc::clone(partition)));
        Ok(())
    }

    fn own(&mut self, partition: &Arc<OpenPartition>, stripes: StripeSet) {
        let owned = self.stripes.entry(partition.name);
        owned.or_insert_with(|| (Arc::clone(partition), 0)).1 |= stripes;
    }

    fn add(&mut self, index: usize, op: &'a Op, view: &View) -> Result<()> {
        let write = &op.write;
        let partitions = match write {
            Write::Put { key, .. } | Write::Delete { key } | Write::Add { key, .. } => {
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
            self.own(partition, write.stripes());
            if let Write::DeleteRange { end: None, .. } = write {
                self.open_ranges.entry(index).or_default().push(Arc::clone(partition));
            }
            let writes = self.writes.entry(partition.owner).or_default();
            writes.push((index, Arc::clone(partition)));
        }
        Ok(())
    }

    /// Returns the conditions that do not hold. Reads their keys, so the caller must own the stripes.
    pub(super) fn unmet(&self, moment: &WriteMoment) -> Result<Vec<Unmet>> {
        let mut unmet = Vec::new();
        for (condition, partition) in &self.conditions {
            let found = present(partition, &condition.key, moment)?;
            if !condition.holds(found.as_deref()) {
                let (keyspace, key) = (condition.keyspace, condition.key.clone());
                unmet.push(Unmet { keyspace, key, found });
            }
        }
        Ok(unmet)
    }

    /// Returns the batch with an end for each range and a sum for each addition. Reads counters and
    /// the greatest keys of partitions, so the caller must own the stripes.
    ///
    /// A range without an end reaches to the greatest key that is in one of its partitions, or that
    /// the same batch has put. Its end is the same for all partitions: a replay may find others.
    pub(super) fn concrete(&self, moment: &WriteMoment) -> Result<ConcreteBatch<'a>> {
        let read = |index: usize, key: &[u8]| present(self.partition_of(index)?, key, moment);
        let sums = sums(self.ops, read)?;
        let mut ends = Ends::new();
        let mut greatest_put: BTreeMap<KeyspaceId, &[u8]> = BTreeMap::new();
        for (index, op) in self.ops.iter().enumerate() {
            match &op.write {
                Write::Put { key, .. } | Write::Add { key, .. } => {
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
        let stored = self.stored(&sums, moment)?;
        Ok(ConcreteBatch { ops: self.ops, ends, sums, stored, previous: Previous::new() })
    }

    /// Returns the values as they are stored of puts of rows that expire.
    fn stored(&self, sums: &Sums, moment: &WriteMoment) -> Result<BTreeMap<usize, Vec<u8>>> {
        let mut stored = BTreeMap::new();
        for (index, op) in self.ops.iter().enumerate() {
            let Some(lifetime) = op.lifetime else { continue };
            let value = match &op.write {
                Write::Put { value, .. } => Some(value.as_slice()),
                Write::Add { .. } => sums.get(&index).map(|sum| sum.as_slice()),
                Write::Delete { .. } | Write::DeleteRange { .. } => None,
            };
            if let (Some(value), Some(expiring)) = (value, &self.partition_of(index)?.expiring) {
                stored.insert(index, expiring.store(value, lifetime, moment));
            }
        }
        Ok(stored)
    }

    pub(super) fn ops(&self) -> &'a [Op] {
        self.ops
    }

    /// Returns the partition of a write of one key, by its index.
    pub(super) fn partition_of(&self, index: usize) -> Result<&OpenPartition> {
        let of_shard = |writes: &'_ Vec<(usize, Arc<OpenPartition>)>| {
            writes.binary_search_by_key(&index, |(index, _)| *index).ok()
        };
        let found = self.writes.values().find_map(|writes| writes.get(of_shard(writes)?));
        found.map(|(_, partition)| &**partition).ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                format!("operation {index} of a batch has no partition"),
            )
        })
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
                    batch: partition.shard.batch(),
                });
                add(&mut part.batch, partition, operation);
            }
            parts.extend(part);
        }
        Ok(parts)
    }

    /// Notes that a shard could not apply its part: the partitions that it concerns are behind.
    pub(super) fn fall_behind(&self, part: ShardId, in_flight: &InFlight<'_>, cause: &Error) {
        // Not those of which only a condition speaks: they lack nothing.
        let written = self.writes.get(&part).into_iter().flatten();
        let partitions: BTreeMap<_, _> =
            written.map(|(_, partition)| (partition.name, partition)).collect();
        for partition in partitions.values() {
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
        match &op.write {
            Write::Put { key, .. } | Write::Delete { key } | Write::Add { key, .. } => {
                Some(Operation::Previous { keyspace: op.keyspace, key, value })
            }
            Write::DeleteRange { .. } => None,
        }
    }

    /// Returns an operation with its end, an addition as the put of its sum; `None` if it is a
    /// range in which there is nothing.
    pub(super) fn operation<'o>(&'o self, index: usize, op: &'o Op) -> Option<Operation<'o>> {
        let Op { keyspace, write, .. } = op;
        let keyspace = *keyspace;
        if let (Some(stored), Write::Put { key, .. } | Write::Add { key, .. }) =
            (self.stored.get(&index), write)
        {
            return Some(Operation::PutUntil { keyspace, key, value: ExpiringValue::new(stored) });
        }
        Some(match write {
            Write::Put { key, value } => Operation::Put { keyspace, key, value },
            Write::Delete { key } => Operation::Delete { keyspace, key },
            Write::Add { key, .. } => {
                Operation::Put { keyspace, key, value: self.sums.get(&index)? }
            }
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
        Operation::PutUntil { key, value, .. } => {
            batch.put(&partition.handle, key, value.bytes());
        }
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
            Operation::PutUntil { key, value, .. } => key.len() + value.bytes().len(),
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
