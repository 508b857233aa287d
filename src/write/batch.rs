//! Batches: several writes, over keyspaces and shards, that take effect together.

use super::Writer;
use super::redo::RedoRecord;
use super::routed::{RoutedBatch, Views};
use crate::cache::HotCache;
use crate::catalog::Catalog;
use crate::engine::Durability;
use crate::error::{Error, Result};
use crate::heat::Operation;
use crate::id::KeyspaceId;
use crate::latch::{ALL_STRIPES, AtWork, StripeSet, stripe_set};
use crate::sampling::{SampledOperation, Sampler};
use serde::{Deserialize, Serialize};
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
/// [`Keyspace::placement`](crate::Keyspace::placement) tells the owner of a key.
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
    pub(crate) ops: Vec<Op>,
    bytes: usize,
    key_bytes_max: usize,
    value_bytes_max: usize,
    store: Option<u128>,
    mixed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Op {
    pub(crate) keyspace: KeyspaceId,
    pub(crate) write: Write,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Write {
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

    /// Adds an operation on a keyspace of a store. `key_bytes` is the length of the longest key that
    /// it names.
    pub(crate) fn add(
        &mut self,
        store: u128,
        keyspace: KeyspaceId,
        key_bytes: usize,
        write: Write,
    ) {
        self.mixed |= *self.store.get_or_insert(store) != store;
        self.bytes += write.bytes();
        self.key_bytes_max = self.key_bytes_max.max(key_bytes);
        if let Write::Put { value, .. } = &write {
            self.value_bytes_max = self.value_bytes_max.max(value.len());
        }
        self.ops.push(Op { keyspace, write });
    }

    fn check(&self, catalog: &Catalog) -> Result<()> {
        if self.mixed || self.store.is_some_and(|store| store != catalog.home.id) {
            return Err(Error::invalid(
                "a batch names keyspaces of another store; use one for each",
            ));
        }
        catalog.check_key_bytes(self.key_bytes_max)?;
        catalog.check_value_bytes(self.value_bytes_max)?;
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

    pub(crate) fn stripes(&self) -> StripeSet {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => stripe_set(key),
            Self::DeleteRange { .. } => ALL_STRIPES,
        }
    }
}

/// Lets a reshape keep up with its writers: after the write, with nothing held.
#[inline]
pub(crate) fn slow_down(delay: Option<Duration>) {
    if let Some(delay) = delay {
        std::thread::sleep(delay);
    }
}

/// Commits a batch. The protocol for several shards is argued in `redo.rs`.
pub(crate) fn commit(
    writer: Writer<'_>,
    views: &impl Views,
    batch: Batch,
    durability: Durability,
) -> Result<()> {
    batch.check(writer.catalog)?;
    loop {
        match try_commit(writer, views, &batch, durability) {
            Ok(None) => {}
            Ok(Some(delay)) => {
                writer.redo.settle_if_due(writer.catalog);
                slow_down(delay);
                return Ok(());
            }
            Err(error) => {
                // Refused, perhaps, for a shard that can be synced by now.
                writer.redo.settle_if_due(writer.catalog);
                return Err(error);
            }
        }
    }
}

/// Commits a batch, unless a partition was superseded since it was routed; gives how long the
/// writer should wait.
fn try_commit(
    writer: Writer<'_>,
    views: &impl Views,
    batch: &Batch,
    durability: Durability,
) -> Result<Option<Option<Duration>>> {
    let gate = writer.catalog.gate.pass();
    let routes = RoutedBatch::of(&batch.ops, views, false)?;
    let several = routes.shards().nth(1).is_some();
    // Owned, not shared: batches with a key in common get their numbers in the order in which they
    // are applied, so that a replay ends with the same value.
    let held = routes.hold(several);
    writer.catalog.check_writable()?;
    if !routes.are_current()? {
        return Ok(None);
    }
    let part = |shard| Ok((shard, routes.part(shard)?));
    let parts = routes.shards().map(part).collect::<Result<Vec<_>>>()?;
    let at_work = writer.cache.map(|cache| announce(cache, &batch.ops));
    let written = if several {
        writer.redo.commit(writer.catalog, &RedoRecord::of(&batch.ops), parts, durability)
    } else {
        parts.into_iter().try_for_each(|(_, part)| part.write(durability))
    };
    drop(at_work);
    let delay = routes.record();
    drop((held, gate));
    record(writer.sampler, &batch.ops);
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

/// Records the writes of a batch that are sampled.
fn record(sampler: &Sampler, ops: &[Op]) {
    for op in ops {
        if let Some(sampled) = sampler.begin() {
            let key = match &op.write {
                Write::Put { key, .. } | Write::Delete { key } => key,
                Write::DeleteRange { start, .. } => start,
            };
            sampler.tell(SampledOperation {
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
