//! Batches: several writes, over keyspaces and shards, that take effect together.

use super::core::Core;
use super::key_bounds::{Bounds, KeyBounds};
use super::keyspace::Keyspace;
use super::keyspace::slow_down;
use super::redo::RedoRecord;
use super::routed::{RoutedBatch, Views};
use crate::cache::HotCache;
use crate::error::{Error, Result};
use crate::heat::Operation;
use crate::id::KeyspaceId;
use crate::latch::{ALL_STRIPES, AtWork, StripeSet, stripe_set};
use crate::options::Durability;
use crate::placement::KeyRange;
use crate::sampling::SampledOperation;
use serde::{Deserialize, Serialize};
use std::ops::Bound;
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
        self.add(
            keyspace,
            Write::DeleteRange { start: start.into(), end: end.map(Into::into), prefix },
        );
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

    pub(super) fn stripes(&self) -> StripeSet {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => stripe_set(key),
            Self::DeleteRange { .. } => ALL_STRIPES,
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
        match try_commit(core, views, &batch, durability) {
            Ok(None) => {}
            Ok(Some(delay)) => {
                core.redo.settle_if_due(core);
                slow_down(delay);
                return Ok(());
            }
            Err(error) => {
                // Refused, perhaps, for a shard that can be synced by now.
                core.redo.settle_if_due(core);
                return Err(error);
            }
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
    let routes = RoutedBatch::of(&batch.ops, views, false)?;
    let several = routes.shards().nth(1).is_some();
    // Owned, not shared: batches with a key in common get their numbers in the order in which they
    // are applied, so that a replay ends with the same value.
    let held = routes.hold(several);
    core.check_writable()?;
    if !routes.are_current()? {
        return Ok(None);
    }
    let part = |shard| Ok((shard, routes.part(shard)?));
    let parts = routes.shards().map(part).collect::<Result<Vec<_>>>()?;
    let at_work = core.hot_cache.as_ref().map(|cache| announce(cache, &batch.ops));
    let written = if several {
        core.redo.commit(core, &RedoRecord::of(&batch.ops), parts, durability)
    } else {
        parts.into_iter().try_for_each(|(_, part)| part.write(durability))
    };
    drop(at_work);
    let delay = routes.record();
    drop((held, gate));
    tell(core, &batch.ops);
    written.map(|()| Some(delay))
}

/// Announces the writes of a batch to the cache of hot keys.
fn announce<'a>(cache: &'a HotCache, ops: &[Op]) -> Vec<AtWork<'a>> {
    let key = |op: &Op| match &op.write {
        Write::Put { key, .. } | Write::Delete { key } => Some(cache.hash(op.keyspace, key)),
        Write::DeleteRange { .. } => None,
    };
    let mut at_work = cache.write_each(ops.iter().filter_map(key).collect());
    if ops.iter().any(|op| matches!(op.write, Write::DeleteRange { .. })) {
        at_work.push(cache.write_all());
    }
    at_work
}

/// Tells of the writes of a batch that are sampled.
fn tell(core: &Core, ops: &[Op]) {
    for op in ops {
        if let Some(sampled) = core.sampler.begin() {
            let key = match &op.write {
                Write::Put { key, .. } | Write::Delete { key } => key,
                Write::DeleteRange { start, .. } => start,
            };
            core.sampler.tell(SampledOperation {
                keyspace: op.keyspace,
                key,
                access: Operation::Write,
                bytes: op.write.bytes(),
                weight: sampled.weight(),
                took: None,
            });
        }
    }
}
