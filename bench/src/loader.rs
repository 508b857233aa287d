//! A loader that writes many rows fast.

use annulus::{Batch, Durability, Keyspace, ShardId, Store};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// The maximum number of rows committed together. Large enough that the cost of a commit vanishes
/// among them.
const ROWS_MAX: usize = 4_000;

/// The maximum number of bytes committed together, unless a single row has more.
const BYTES_MAX: usize = 8 << 20;

/// Collects rows into one batch per shard: each is a single write, whereas a batch over several
/// shards would also be written to the metadata.
#[derive(Debug)]
pub struct Loader<'s> {
    store: &'s Store,
    keyspace: &'s Keyspace,
    durability: Durability,
    /// All rows of a key are in one of them, in order.
    pending: BTreeMap<ShardId, Batch>,
    rows: usize,
    bytes: usize,
}

impl<'s> Loader<'s> {
    /// Creates a loader without rows.
    pub const fn new(store: &'s Store, keyspace: &'s Keyspace, durability: Durability) -> Self {
        Self { store, keyspace, durability, pending: BTreeMap::new(), rows: 0, bytes: 0 }
    }

    /// Adds a row. Commits if enough have accumulated, and returns whether it did.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> annulus::Result<bool> {
        let keyspace = self.keyspace;
        self.batch_of(key).put(keyspace, key, value);
        self.has_added(key, value)
    }

    /// Adds a row that lives until a time, or for ever. Commits if enough have accumulated, and returns
    /// whether it did.
    ///
    /// # Errors
    ///
    /// Those of the store; `InvalidArgument` if the rows of the keyspace do not expire.
    pub fn put_until(
        &mut self,
        key: &[u8],
        value: &[u8],
        until: Option<SystemTime>,
    ) -> annulus::Result<bool> {
        let keyspace = self.keyspace;
        self.batch_of(key).put_until(keyspace, key, value, until);
        self.has_added(key, value)
    }

    fn batch_of(&mut self, key: &[u8]) -> &mut Batch {
        let placement = self.keyspace.placement();
        let partitioning = placement.partitioning();
        let owner = partitioning.owner(partitioning.find(key)).unwrap_or_default();
        self.pending.entry(owner).or_default()
    }

    fn has_added(&mut self, key: &[u8], value: &[u8]) -> annulus::Result<bool> {
        self.rows += 1;
        self.bytes += key.len() + value.len();
        let full = self.rows >= ROWS_MAX || self.bytes >= BYTES_MAX;
        if full {
            self.commit()?;
        }
        Ok(full)
    }

    /// Commits what was added. Rows that are already in the store do no harm.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn commit(&mut self) -> annulus::Result<()> {
        for batch in std::mem::take(&mut self.pending).into_values() {
            self.store.write_with(batch, self.durability)?;
        }
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}
