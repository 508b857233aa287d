//! Batches: several writes, over keyspaces and shards, that take effect together.

use super::redo::RedoRecord;
use super::routed::{Part, RoutedBatch, Views};
use super::{Writer, finish};
use crate::cache::HotCache;
use crate::catalog::{Catalog, PassedGate};
use crate::engine::Durability;
use crate::error::{Error, Result};
use crate::heat::Operation;
use crate::id::{KeyspaceId, ShardId};
use crate::latch::{ALL_STRIPES, AtWork, Site, StripeSet, enter, stripe_set};
use crate::sampling::{SampledOperation, Sampler};
use serde::{Deserialize, Serialize};

/// The most that one batch may hold: RocksDB counts a batch's bytes in 32 bits.
const BATCH_BYTES_MAX: usize = 3 << 30;

/// Several writes that take effect together; committed by [`Store::write`](crate::Store::write).
///
/// Later operations win over earlier ones on the same key. A batch may name any keyspaces of one
/// store, and holds copies of keys and values until it is committed.
///
/// A batch that concerns one shard is one write; one over several shards writes a record as well.
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
    /// Creates an empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Returns true if the batch holds no operation.
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

/// A batch that is not yet routed.
struct BatchWrite<'a, V> {
    catalog: &'a Catalog,
    views: &'a V,
    ops: &'a [Op],
}

impl<V: Views> Site for BatchWrite<'_, V> {
    type Error = Error;
    type Gate<'a>
        = PassedGate<'a>
    where
        Self: 'a;
    type Routed<'a>
        = RoutedBatch<'a>
    where
        Self: 'a;

    fn pass_gate(&self) -> PassedGate<'_> {
        self.catalog.gate.pass()
    }

    fn route(&self) -> Result<RoutedBatch<'_>> {
        RoutedBatch::of(self.ops, self.views, false)
    }

    fn check_writable(&self) -> Result<()> {
        self.catalog.check_writable()
    }
}

impl Writer<'_> {
    /// Commits a batch. `redo.rs` argues the protocol for several shards.
    pub(crate) fn commit(
        &self,
        views: &impl Views,
        batch: Batch,
        durability: Durability,
    ) -> Result<()> {
        batch.check(self.catalog)?;
        let site = BatchWrite { catalog: self.catalog, views, ops: &batch.ops };
        let written = enter(&site, |ticket| {
            let routes = ticket.routed();
            let part = |shard| Ok((shard, routes.part(shard)?));
            let parts = routes.shards().map(part).collect::<Result<Vec<_>>>()?;
            Ok(ticket.write(|| self.write_parts(&batch.ops, routes, parts, durability)))
        });
        let written = written.and_then(|written| written);
        // If the batch was refused, then perhaps because of a shard that can be synced by now.
        self.redo.settle_if_due(self.catalog);
        finish(written?, || record(self.sampler, &batch.ops))
    }

    fn write_parts(
        &self,
        ops: &[Op],
        routes: &RoutedBatch<'_>,
        parts: Vec<(ShardId, Part)>,
        durability: Durability,
    ) -> Result<()> {
        let _at_work = self.cache.map(|cache| announce(cache, ops));
        if routes.is_distributed() {
            self.redo.commit(self.catalog, &RedoRecord::of(ops), parts, durability)
        } else {
            parts.into_iter().try_for_each(|(_, part)| part.write(durability))
        }
    }
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
