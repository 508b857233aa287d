//! Batches: several writes, over keyspaces and shards, that take effect together.

use super::bounds::{Bounds, KeyBounds};
use super::core::Core;
use super::keyspace::Keyspace;
use super::keyspace::slow_down;
use super::redo::RedoRecord;
use super::view::{Partition, View};
use crate::access::{ALL_STRIPES, AtWork, StripeSet, stripe_set};
use crate::error::{Error, ErrorKind, Result};
use crate::heat::Access;
use crate::hot_cache::HotCache;
use crate::id::{KeyspaceId, ShardId};
use crate::options::Durability;
use crate::placement::KeySpan;
use crate::sampler::Seen;
use crate::shard::{Batch as _, Cursor, Direction, Engine, EngineBatch, KeyRange, Read, Shard};
use crate::topology::PartitionName;
use parking_lot::{RwLockReadGuard, RwLockWriteGuard};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// The most that one batch may hold: RocksDB counts a batch's bytes in 32 bits.
const BATCH_BYTES_MAX: usize = 3 << 30;

/// Several writes that take effect together; committed by [`Store::write`](crate::Store::write).
///
/// Later operations win over earlier ones on the same key. A batch may name any keyspaces of one
/// store, and holds copies of keys and values until it is committed.
///
/// A batch that concerns one shard is one write; one over several shards writes a record besides.
/// To load much data whose rows need not appear together, make a batch for each shard:
/// [`Keyspace::placement`] tells the owner of a key.
///
/// ```
/// # use annulus::{Batch, Store, topology::KeyspaceSpec};
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = Store::open(directory.path().join("store"))?;
/// let accounts = store.create_keyspace("accounts", KeyspaceSpec::hash())?;
/// let journal = store.create_keyspace("journal", KeyspaceSpec::range())?;
///
/// let mut transfer = Batch::new();
/// transfer.put(&accounts, "alice", "60");
/// transfer.put(&accounts, "bob", "40");
/// transfer.put(&journal, "2026-11-21/0001", "alice -> bob: 40");
/// store.write(transfer)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub(super) ops: Vec<Op>,
    bytes: usize,
    key_bytes_max: usize,
    value_bytes_max: usize,
    store: Option<u128>,
    mixed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Op {
    pub(super) keyspace: KeyspaceId,
    pub(super) write: Write,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Write {
    Put { key: Vec<u8>, value: Vec<u8> },
    Delete { key: Vec<u8> },
    DeleteRange { start: Vec<u8>, end: Option<Vec<u8>>, prefix: Vec<u8> },
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a put.
    pub fn put(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.key_bytes_max = self.key_bytes_max.max(key.len());
        self.value_bytes_max = self.value_bytes_max.max(value.len());
        self.add(keyspace, Write::Put { key: key.to_vec(), value: value.to_vec() });
    }

    /// Adds a delete; the key need not be there.
    pub fn delete(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>) {
        let key = key.as_ref();
        self.key_bytes_max = self.key_bytes_max.max(key.len());
        self.add(keyspace, Write::Delete { key: key.to_vec() });
    }

    /// Adds the delete of a range of keys, also of those that earlier operations of this batch put.
    pub fn delete_range(&mut self, keyspace: &Keyspace, range: impl KeyBounds) {
        for bound in [range.start(), range.end()] {
            if let Bound::Included(key) | Bound::Excluded(key) = bound {
                self.key_bytes_max = self.key_bytes_max.max(key.len());
            }
        }
        let Bounds { range: KeyRange { start, end }, prefix } = Bounds::of(&range);
        self.add(keyspace, Write::DeleteRange { start, end, prefix });
    }

    /// How many operations it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether it holds no operation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    fn add(&mut self, keyspace: &Keyspace, write: Write) {
        let store = keyspace.store_id();
        self.mixed |= *self.store.get_or_insert(store) != store;
        self.bytes += write.bytes();
        self.ops.push(Op { keyspace: keyspace.id(), write });
    }

    fn check(&self, core: &Core) -> Result<()> {
        if self.mixed || self.store.is_some_and(|store| store != core.id) {
            return Err(Error::invalid(
                "a batch names keyspaces of another store; use one for each",
            ));
        }
        core.check_key_bytes(self.key_bytes_max)?;
        core.check_value_bytes(self.value_bytes_max)?;
        if self.bytes > BATCH_BYTES_MAX {
            return Err(Error::invalid(format!(
                "a batch holds {} bytes, the most is {BATCH_BYTES_MAX}; divide it",
                self.bytes
            )));
        }
        Ok(())
    }
}

impl Write {
    fn bytes(&self) -> usize {
        // A bookkeeping allowance for each operation: headers here, in the log and in the record.
        const OVERHEAD_BYTES: usize = 32;
        OVERHEAD_BYTES
            + match self {
                Self::Put { key, value } => key.len() + value.len(),
                Self::Delete { key } => key.len(),
                Self::DeleteRange { start, end, .. } => {
                    start.len() + end.as_ref().map_or(0, Vec::len)
                }
            }
    }

    fn stripes(&self) -> StripeSet {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => stripe_set(key),
            Self::DeleteRange { .. } => ALL_STRIPES,
        }
    }
}

/// Where the views of a batch's keyspaces come from.
pub(super) trait Views {
    fn view(&self, keyspace: KeyspaceId) -> Result<Option<Arc<View>>>;
}

/// One write, routed.
struct Routed<'a> {
    partition: Arc<Partition>,
    write: &'a Write,
}

/// A batch's writes by shard, with the stripes to take of each partition, in lock order.
pub(super) struct Routes<'a> {
    writes: BTreeMap<ShardId, Vec<Routed<'a>>>,
    stripes: BTreeMap<PartitionName, Stripes>,
}

/// What a batch takes of one partition's latch.
struct Stripes {
    partition: Arc<Partition>,
    set: StripeSet,
    /// A delete without an end looks for the greatest key first: nobody may write meanwhile.
    own: bool,
}

/// A stripe that a batch holds, either way.
enum Held<'a> {
    Shared { _guard: RwLockReadGuard<'a, ()> },
    Owned { _guard: RwLockWriteGuard<'a, ()> },
}

impl Stripes {
    /// Takes the stripes, in order.
    fn take(&self, own: bool) -> Vec<Held<'_>> {
        let latch = &self.partition.access.latch;
        if own || self.own {
            latch.own_set(self.set).map(|guard| Held::Owned { _guard: guard }).collect()
        } else {
            latch.share_set(self.set).map(|guard| Held::Shared { _guard: guard }).collect()
        }
    }
}

impl<'a> Routes<'a> {
    /// Routes operations; those on a keyspace that is gone are left out if `skip_gone`, and are
    /// an error otherwise.
    pub(super) fn of(ops: &'a [Op], views: &impl Views, skip_gone: bool) -> Result<Self> {
        let mut routes = Self { writes: BTreeMap::new(), stripes: BTreeMap::new() };
        let mut last: Option<(KeyspaceId, Arc<View>)> = None;
        for op in ops {
            let view = match &last {
                Some((keyspace, view)) if *keyspace == op.keyspace => Arc::clone(view),
                _ => match views.view(op.keyspace)? {
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
            routes.add(&op.write, &view);
            last = Some((op.keyspace, view));
        }
        Ok(routes)
    }

    fn add(&mut self, write: &'a Write, view: &View) {
        let indexes = match write {
            Write::Put { key, .. } | Write::Delete { key } => {
                let index = view.index(key);
                index..index + 1
            }
            Write::DeleteRange { start, end, prefix } => {
                let range = KeyRange { start: start.clone(), end: end.clone() };
                view.intersecting(&range, prefix)
            }
        };
        for index in indexes {
            let Some(partition) = view.partitions.get(index).map(Arc::clone) else { continue };
            let stripes = self.stripes.entry(partition.name).or_insert_with(|| Stripes {
                partition: Arc::clone(&partition),
                set: 0,
                own: false,
            });
            stripes.set |= write.stripes();
            stripes.own |= matches!(write, Write::DeleteRange { end: None, .. });
            self.writes.entry(partition.owner).or_default().push(Routed { partition, write });
        }
    }

    /// Leaves out the writes to some partitions.
    pub(super) fn leave_out(&mut self, partition: impl Fn(PartitionName) -> bool) {
        for writes in self.writes.values_mut() {
            writes.retain(|routed| !partition(routed.partition.name));
        }
    }

    /// Whether all partitions are current.
    fn are_current(&self) -> Result<bool> {
        for stripes in self.stripes.values() {
            if !stripes.partition.is_current()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Records the writes, after them, for the reshapes of their partitions. Gives how long to
    /// wait when nothing is held any more.
    fn record(&self) -> Option<Duration> {
        let record = |Routed { partition, write }: &Routed<'_>| match write {
            Write::Put { key, .. } | Write::Delete { key } => partition.access.record(key),
            Write::DeleteRange { start, end, .. } => {
                partition.access.record_range(|| KeySpan::new(start, end.as_ref()))
            }
        };
        self.writes.values().flatten().filter_map(record).max()
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = ShardId> {
        self.writes.keys().copied()
    }

    /// The part of one shard in the engine's form. Reads the ends of open ranges, so the stripes
    /// of their partitions must be owned.
    pub(super) fn part(&self, shard: ShardId) -> Result<Part> {
        let mut part = Part { shard: None, batch: EngineBatch::default() };
        let mut greatest_put: BTreeMap<PartitionName, &[u8]> = BTreeMap::new();
        for Routed { partition, write } in self.writes.get(&shard).into_iter().flatten() {
            let column = &*partition.column;
            part.shard = Some(Arc::clone(&partition.shard));
            match write {
                Write::Put { key, value } => {
                    let greatest = greatest_put.entry(partition.name).or_insert(key);
                    *greatest = key.as_slice().max(greatest);
                    part.batch.put(column, key, value);
                }
                Write::Delete { key } => part.batch.delete(column, key),
                Write::DeleteRange { start, end, .. } => {
                    let put = greatest_put.get(&partition.name).copied();
                    if let Some(end) = range_end(partition, start, end.as_deref(), put)? {
                        part.batch.delete_range(column, start, &end);
                    }
                }
            }
        }
        Ok(part)
    }
}

/// The exclusive end of a range to delete. RocksDB needs one; a range without an end reaches to
/// the greatest key that is there, or that the same batch has put. `None`: nothing to delete.
fn range_end(
    partition: &Partition,
    start: &[u8],
    end: Option<&[u8]>,
    greatest_put: Option<&[u8]>,
) -> Result<Option<Vec<u8>>> {
    if let Some(end) = end {
        return Ok(Some(end.to_vec()));
    }
    let rest = KeyRange { start: start.to_vec(), end: None };
    let read = Read::PRESENT;
    let cursor = partition.shard.cursor(&partition.column, &rest, Direction::Reverse, read)?;
    let greatest = cursor.key().max(greatest_put.filter(|key| *key >= start));
    Ok(greatest.map(super::bounds::just_after))
}

/// One shard's part of a batch.
pub(super) struct Part {
    pub(super) shard: Option<Arc<Engine>>,
    pub(super) batch: EngineBatch,
}

impl Part {
    pub(super) fn write(self, durability: Durability) -> Result<()> {
        match self.shard {
            Some(shard) => shard.write(self.batch, durability),
            None => Ok(()),
        }
    }
}

/// Commits a batch. The protocol for several shards is argued in `redo.rs`.
pub(super) fn commit(
    core: &Core,
    views: &impl Views,
    batch: Batch,
    durability: Durability,
) -> Result<()> {
    batch.check(core)?;
    loop {
        if let Some(delay) = try_commit(core, views, &batch, durability)? {
            core.redo.settle_if_due(core);
            slow_down(delay);
            return Ok(());
        }
    }
}

/// Commits a batch, unless a partition was superseded since it was routed; gives how long the
/// writer should wait.
fn try_commit(
    core: &Core,
    views: &impl Views,
    batch: &Batch,
    durability: Durability,
) -> Result<Option<Option<Duration>>> {
    let gate = core.gate.pass();
    let routes = Routes::of(&batch.ops, views, false)?;
    let several = routes.writes.len() > 1;
    // Owned, not shared: batches with a key in common get their numbers in the order in which they
    // are applied, so that a replay ends with the same value.
    let held: Vec<Held<'_>> =
        routes.stripes.values().flat_map(|stripes| stripes.take(several)).collect();
    core.check_writable()?;
    if !routes.are_current()? {
        return Ok(None);
    }
    let parts = routes.shards().map(|shard| routes.part(shard)).collect::<Result<Vec<_>>>()?;
    let at_work = core.hot_cache.as_ref().map(|cache| announce(cache, &batch.ops));
    let written = if several {
        core.redo.commit(core, &RedoRecord::of(&batch.ops), parts, durability)
    } else {
        parts.into_iter().try_for_each(|part| part.write(durability))
    };
    drop(at_work);
    let delay = routes.record();
    drop((held, gate));
    tell(core, &batch.ops);
    written.map(|()| Some(delay))
}

/// Announces the writes of a batch to the cache of hot keys.
fn announce<'a>(cache: &'a HotCache, ops: &[Op]) -> Vec<AtWork<'a>> {
    let announce = |op: &Op| match &op.write {
        Write::Put { key, .. } | Write::Delete { key } => cache.write(op.keyspace, key),
        Write::DeleteRange { .. } => cache.write_all(),
    };
    ops.iter().map(announce).collect()
}

/// Tells of the writes of a batch that are sampled.
fn tell(core: &Core, ops: &[Op]) {
    for op in ops {
        if let Some(sampled) = core.sampler.begin() {
            let key = match &op.write {
                Write::Put { key, .. } | Write::Delete { key } => key,
                Write::DeleteRange { start, .. } => start,
            };
            core.sampler.tell(Seen {
                keyspace: op.keyspace,
                key,
                access: Access::Write,
                bytes: op.write.bytes(),
                weight: sampled.weight(),
                took: None,
            });
        }
    }
}
