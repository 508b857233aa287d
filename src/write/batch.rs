//! Batches: several writes, over keyspaces and shards, that take effect together.

use super::condition::Condition;
use crate::catalog::{Catalog, does_not_expire};
use crate::error::{Error, Result};
use crate::expiry::PutLifetime;
use crate::id::KeyspaceId;
use crate::latch::{ALL_STRIPES, StripeSet, stripe_set};
use crate::read::Bounds;

/// The bytes of a counter: an `i64`, little-endian.
pub(super) const COUNTER_BYTES: usize = size_of::<i64>();

/// The most that one batch may hold: RocksDB counts a batch's bytes in 32 bits.
pub(super) const BATCH_BYTES_MAX: usize = 3 << 30;

/// A bookkeeping allowance for each operation: headers here, in the log and in the engine.
const OVERHEAD_BYTES: usize = 32;

/// Several writes that take effect together; committed by [`Store::write`](crate::Store::write),
/// or, if it has [conditions](Self::require), by [`Store::write_if`](crate::Store::write_if).
///
/// Later operations win over earlier ones on the same key. A batch may name any keyspaces of one
/// store, and holds copies of keys and values until it is committed.
///
/// A batch is one record of the store's log, over however many shards. To load much data whose rows
/// need not appear together, make several batches: writers of its keys wait for a batch.
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
    pub(super) conditions: Vec<Condition>,
    bytes: usize,
    key_bytes_max: usize,
    value_bytes_max: usize,
    store: Option<u128>,
    mixed: bool,
    /// A keyspace whose rows do not expire, of which one was to.
    undying: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) keyspace: KeyspaceId,
    pub(crate) write: Write,
    /// How long the row lives that is put; `None` where rows do not expire.
    pub(crate) lifetime: Option<PutLifetime>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    Put { key: Vec<u8>, value: Vec<u8> },
    Delete { key: Vec<u8> },
    DeleteRange { start: Vec<u8>, end: Option<Vec<u8>>, prefix: Vec<u8> },
    Add { key: Vec<u8>, n: i64 },
}

impl Batch {
    /// Creates an empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of operations, without the conditions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Returns about how many bytes it has in memory.
    pub(crate) fn bytes(&self) -> usize {
        let conditions = self.conditions.iter().map(Condition::bytes);
        self.ops.iter().map(|op| op.write.bytes()).chain(conditions).sum()
    }

    /// Returns true if the batch holds no operation. It may have conditions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Adds an operation on a keyspace of a store. `key_bytes` is the length of the longest key
    /// that it names; `lifetime` is `None` where rows do not expire.
    pub(crate) fn push(
        &mut self,
        store: u128,
        keyspace: KeyspaceId,
        key_bytes: usize,
        write: Write,
        lifetime: Option<PutLifetime>,
    ) {
        self.mixed |= *self.store.get_or_insert(store) != store;
        self.bytes += write.bytes();
        self.key_bytes_max = self.key_bytes_max.max(key_bytes);
        let value_bytes = match &write {
            Write::Put { value, .. } => value.len(),
            Write::Add { .. } => COUNTER_BYTES,
            Write::Delete { .. } | Write::DeleteRange { .. } => 0,
        };
        self.value_bytes_max = self.value_bytes_max.max(value_bytes);
        self.ops.push(Op { keyspace, write, lifetime });
    }

    /// Notes that a row of a keyspace was to expire whose rows do not.
    pub(crate) fn note_undying(&mut self, keyspace: &str) {
        self.undying.get_or_insert_with(|| keyspace.to_owned());
    }

    /// Adds a condition on a key of a keyspace of a store.
    pub(crate) fn add_condition(&mut self, store: u128, condition: Condition) {
        self.mixed |= *self.store.get_or_insert(store) != store;
        self.bytes += OVERHEAD_BYTES + condition.bytes();
        self.key_bytes_max = self.key_bytes_max.max(condition.key.len());
        self.conditions.push(condition);
    }

    pub(super) fn check(&self, catalog: &Catalog) -> Result<()> {
        if self.mixed || self.store.is_some_and(|store| store != catalog.home.id) {
            return Err(Error::invalid(
                "a batch names keyspaces of another store; use one for each",
            ));
        }
        if let Some(keyspace) = &self.undying {
            return Err(does_not_expire(keyspace));
        }
        for op in &self.ops {
            if let Write::DeleteRange { start, end, .. } = &op.write {
                Bounds::check_order(start, end.as_deref())?;
            }
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
    pub(super) fn bytes(&self) -> usize {
        OVERHEAD_BYTES
            + match self {
                Self::Put { key, value } => key.len() + value.len(),
                Self::Delete { key } => key.len(),
                Self::DeleteRange { start, end, .. } => {
                    start.len() + end.as_ref().map_or(0, Vec::len)
                }
                Self::Add { key, .. } => key.len() + COUNTER_BYTES,
            }
    }

    pub(crate) fn stripes(&self) -> StripeSet {
        match self {
            Self::Put { key, .. } | Self::Delete { key } | Self::Add { key, .. } => stripe_set(key),
            Self::DeleteRange { .. } => ALL_STRIPES,
        }
    }
}
