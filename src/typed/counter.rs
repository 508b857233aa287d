//! Typed keyspaces whose values are counters.

use super::{Codec, CodecError, TypedKeyspace, TypedTransaction};
use crate::engine::Durability;
use crate::error::Result;
use crate::tuple::{self, Key, KeyFor};
use crate::write::Batch;

/// The codec of counters: an `i64` in the 8 bytes of [`Keyspace::add`](crate::Keyspace::add), so
/// that [`TypedKeyspace::add`] and calls that add to bytes have the same counters.
///
/// ```
/// use annulus::typed::Counter;
/// use annulus::{Store, topology::KeyspaceSpec};
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = Store::open(directory.path().join("store"))?;
/// let visits = store.keyspace_or_create("visits", KeyspaceSpec::hash())?;
/// // By page and by day.
/// let visits = visits.typed_with::<(String, u32), i64, _>(Counter);
/// assert_eq!(visits.add(("/index.html", 20_614), 1)?, 1);
/// assert_eq!(visits.add(("/index.html", 20_614), 2)?, 3);
/// assert_eq!(visits.get(("/index.html", 20_614))?, Some(3));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counter;

impl Codec<i64> for Counter {
    fn encode(&self, value: &i64) -> Result<Vec<u8>, CodecError> {
        Ok(value.to_le_bytes().to_vec())
    }

    fn decode(&self, bytes: &[u8]) -> Result<i64, CodecError> {
        Ok(i64::from_le_bytes(bytes.try_into()?))
    }
}

impl<K: Key> TypedKeyspace<K, i64, Counter> {
    /// Adds to a counter, in one step, and returns what it is then; one that is not there counts as
    /// zero.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::add`](crate::Keyspace::add).
    pub fn add(&self, counter: impl KeyFor<K>, n: i64) -> Result<i64> {
        self.keyspace.add(tuple::encode(&counter), n)
    }

    /// Adds to a counter, with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add).
    pub fn add_with(&self, counter: impl KeyFor<K>, n: i64, durability: Durability) -> Result<i64> {
        self.keyspace.add_with(tuple::encode(&counter), n, durability)
    }

    /// Adds an addition to a batch, as [`Batch::add`] does.
    pub fn add_in(&self, batch: &mut Batch, counter: impl KeyFor<K>, n: i64) {
        batch.add(&self.keyspace, tuple::encode(&counter), n);
    }
}

impl<K: Key> TypedTransaction<'_, K, i64, Counter> {
    /// Adds to a counter, and returns what it is then. This reads the counter.
    ///
    /// # Errors
    ///
    /// Those of [`Transaction::add`](crate::Transaction::add).
    pub fn add(&self, counter: impl KeyFor<K>, n: i64) -> Result<i64> {
        self.transaction.add(&self.keyspace.keyspace, tuple::encode(&counter), n)
    }
}
