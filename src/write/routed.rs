//! The writes of a batch, each with the partitions that it concerns.

use super::batch::{Op, Write};
use crate::catalog::{KeyspaceState, Keyspaces, OpenPartition, View};
use crate::engine::Durability;
use crate::engine::{Cursor, Direction, Engine, EngineBatch, Read, ShardEngine, WriteBatch as _};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{KeyspaceId, ShardId};
use crate::latch::{Current, HeldStripe, Routed, StripeSet};
use crate::placement::{KeyRange, just_after};
use crate::topology::PartitionName;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The source of the views of a batch's keyspaces: `None` for one that was dropped.
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

/// One write, routed.
struct RoutedWrite<'a> {
    partition: Arc<OpenPartition>,
    write: &'a Write,
}

/// A batch's writes by shard, with the stripes to take of each partition, in lock order.
pub(crate) struct RoutedBatch<'a> {
    writes: BTreeMap<ShardId, Vec<RoutedWrite<'a>>>,
    stripes: BTreeMap<PartitionName, Stripes>,
}

/// What a batch takes of one partition's latch.
struct Stripes {
    partition: Arc<OpenPartition>,
    set: StripeSet,
    /// A delete without an end looks for the greatest key first: no thread may write until it is
    /// done.
    own: bool,
}

impl Stripes {
    /// Takes the stripes, in order.
    fn take(&self, own: bool) -> impl Iterator<Item = HeldStripe<'_>> {
        self.partition.state.latch.hold_set(self.set, own || self.own)
    }
}

impl<'a> RoutedBatch<'a> {
    /// Routes operations. Those on a dropped keyspace are left out if `skip_gone`, and are an error
    /// otherwise.
    pub(crate) fn of(ops: &'a [Op], views: &impl Views, skip_gone: bool) -> Result<Self> {
        let mut routes = Self { writes: BTreeMap::new(), stripes: BTreeMap::new() };
        let mut last: Option<(KeyspaceId, Arc<View>)> = None;
        for op in ops {
            let view = match &last {
                Some((keyspace, view)) if *keyspace == op.keyspace => Arc::clone(view),
                _ => match views.view(op.keyspace) {
                    Some(view) => view,
                    None if skip_gone => continue,
                    None => {
                        return Err(Error::new(
                            ErrorKind::Closed,
                            "a keyspace of the batch was dropped; nothing was written",
                        ));
                    }
                },
            };
            routes.add(&op.write, &view)?;
            last = Some((op.keyspace, view));
        }
        Ok(routes)
    }

    fn add(&mut self, write: &'a Write, view: &View) -> Result<()> {
        let indexes = match write {
            Write::Put { key, .. } | Write::Delete { key } => {
                let index = view.index(key);
                index..index + 1
            }
            Write::DeleteRange { start, end, prefix } => {
                let range = KeyRange::new(start, end.as_ref());
                view.intersecting(&range, prefix)
            }
        };
        for index in indexes {
            let partition = Arc::clone(view.partition(index)?);
            let stripes = self.stripes.entry(partition.name).or_insert_with(|| Stripes {
                partition: Arc::clone(&partition),
                set: 0,
                own: false,
            });
            stripes.set |= write.stripes();
            stripes.own |= matches!(write, Write::DeleteRange { end: None, .. });
            self.writes.entry(partition.owner).or_default().push(RoutedWrite { partition, write });
        }
        Ok(())
    }

    /// Leaves out the writes to certain partitions.
    pub(crate) fn leave_out(&mut self, partition: impl Fn(PartitionName) -> bool) {
        for writes in self.writes.values_mut() {
            writes.retain(|routed| !partition(routed.partition.name));
        }
    }

    /// Returns true if the batch concerns several shards.
    pub(crate) fn is_distributed(&self) -> bool {
        self.writes.len() > 1
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = ShardId> {
        self.writes.keys().copied()
    }

    /// Returns the part of one shard in the engine's form. Reads the ends of open ranges, so the
    /// caller must own the stripes of their partitions.
    pub(crate) fn part(&self, shard: ShardId) -> Result<Part> {
        let mut part = Part { shard: None, batch: EngineBatch::default() };
        let mut greatest_put: BTreeMap<PartitionName, &[u8]> = BTreeMap::new();
        for RoutedWrite { partition, write } in self.writes.get(&shard).into_iter().flatten() {
            let handle = &*partition.handle;
            part.shard = Some(Arc::clone(&partition.shard));
            match write {
                Write::Put { key, value } => {
                    let greatest = greatest_put.entry(partition.name).or_insert(key);
                    *greatest = key.as_slice().max(greatest);
                    part.batch.put(handle, key, value);
                }
                Write::Delete { key } => part.batch.delete(handle, key),
                Write::DeleteRange { start, end, .. } => {
                    let put = greatest_put.get(&partition.name).copied();
                    if let Some(end) = range_end(partition, start, end.as_deref(), put)? {
                        part.batch.delete_range(handle, start, &end);
                    }
                }
            }
        }
        Ok(part)
    }
}

impl Current for RoutedBatch<'_> {
    type Error = Error;

    fn is_current(&self) -> Result<bool> {
        for stripes in self.stripes.values() {
            if !stripes.partition.is_current()? {
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

    /// Takes the stripes of all partitions, in lock order.
    ///
    /// A batch over several shards owns them instead of sharing them: batches with a key in common
    /// get their numbers in the order in which they are applied, so that a replay ends with the
    /// same value.
    fn take_stripes(&self) -> Vec<HeldStripe<'_>> {
        let several = self.is_distributed();
        self.stripes.values().flat_map(|stripes| stripes.take(several)).collect()
    }

    fn record(&self) -> Option<Duration> {
        let record = |RoutedWrite { partition, write }: &RoutedWrite<'_>| match write {
            Write::Put { key, .. } | Write::Delete { key } => partition.state.record(key),
            Write::DeleteRange { start, end, .. } => {
                partition.state.record_range(|| KeyRange::new(start, end.as_ref()))
            }
        };
        self.writes.values().flatten().filter_map(record).max()
    }
}

/// Returns the exclusive end of a range to delete. RocksDB needs one; a range without an end
/// reaches to the greatest key that is there, or that the same batch has put. `None`: nothing to
/// delete.
fn range_end(
    partition: &OpenPartition,
    start: &[u8],
    end: Option<&[u8]>,
    greatest_put: Option<&[u8]>,
) -> Result<Option<Vec<u8>>> {
    if let Some(end) = end {
        return Ok(Some(end.to_vec()));
    }
    let rest = KeyRange { start: start.into(), end: None };
    let read = Read::PRESENT;
    let cursor = partition.shard.cursor(&partition.handle, &rest, Direction::Reverse, read)?;
    let greatest = cursor.key().max(greatest_put.filter(|key| *key >= start));
    Ok(greatest.map(just_after))
}

/// One shard's part of a batch.
pub(crate) struct Part {
    pub(crate) shard: Option<Arc<ShardEngine>>,
    pub(crate) batch: EngineBatch,
}

impl Part {
    pub(crate) fn write(self, durability: Durability) -> Result<()> {
        match self.shard {
            Some(shard) => shard.write(self.batch, durability),
            None => Ok(()),
        }
    }
}
