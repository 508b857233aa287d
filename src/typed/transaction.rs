//! Typed keyspaces within a transaction.

use super::scan::decode_row;
use super::{Codec, Postcard, TypedKeyspace};
use crate::error::Result;
use crate::read::ScanOptions;
use crate::store::{Transaction, TransactionScan};
use crate::tuple::{self, Key, KeyFor, PrefixOf, TupleBounds, TuplePrefix};
use std::fmt;
use std::time::{Duration, SystemTime};

/// A typed keyspace within a transaction; made by [`TypedKeyspace::within`].
///
/// Each method does what that of [`Transaction`] with its name does. Added to its errors are those
/// of [`TypedKeyspace`] for what does not encode or decode.
///
/// ```
/// use annulus::{Store, topology::KeyspaceSpec};
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = Store::open(directory.path().join("store"))?;
/// let stock = store.keyspace_or_create("stock", KeyspaceSpec::hash())?.typed::<String, u32>();
/// let orders = store.keyspace_or_create("orders", KeyspaceSpec::range())?;
/// let orders = orders.typed::<(String, u64), u32>();
/// stock.put("lamp", &3)?;
///
/// let number = store.transact(|tx| {
///     let (stock, orders) = (stock.within(tx), orders.within(tx));
///     let left = stock.get("lamp")?.unwrap_or(0);
///     let left = left.checked_sub(2).ok_or_else(|| tx.abort("not enough lamps"))?;
///     stock.put("lamp", &left)?;
///     let number = orders.scan_prefix(("ada",))?.count() as u64;
///     orders.put(("ada", number), &2)?;
///     Ok(number)
/// })?;
/// assert_eq!((stock.get("lamp")?, orders.get(("ada", number))?), (Some(1), Some(2)));
/// # Ok(())
/// # }
/// ```
pub struct TypedTransaction<'a, K, V, C = Postcard> {
    pub(super) keyspace: &'a TypedKeyspace<K, V, C>,
    pub(super) transaction: &'a Transaction,
}

impl<K: Key, V, C: Codec<V>> TypedKeyspace<K, V, C> {
    /// Returns this keyspace as a transaction reads and writes it.
    #[must_use]
    pub const fn within<'a>(
        &'a self,
        transaction: &'a Transaction,
    ) -> TypedTransaction<'a, K, V, C> {
        TypedTransaction { keyspace: self, transaction }
    }
}

impl<'a, K: Key, V, C: Codec<V>> TypedTransaction<'a, K, V, C> {
    /// Returns the value of a key: what the transaction has written, or otherwise what the store
    /// had when it began.
    ///
    /// # Errors
    ///
    /// Those of [`Transaction::get`]; [`WrongType`](crate::ErrorKind::WrongType) if the value does
    /// not decode.
    pub fn get(&self, key: impl KeyFor<K>) -> Result<Option<V>> {
        let key = tuple::encode(&key);
        let value = self.transaction.get(&self.keyspace.keyspace, &key)?;
        self.keyspace.decoded(&key, value)
    }

    /// Returns the values of several keys, in the order of the keys.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn get_many(
        &self,
        keys: impl IntoIterator<Item = impl KeyFor<K>>,
    ) -> Result<Vec<Option<V>>> {
        let keys: Vec<Vec<u8>> = keys.into_iter().map(|key| tuple::encode(&key)).collect();
        let values = self.transaction.get_many(&self.keyspace.keyspace, &keys)?;
        keys.iter().zip(values).map(|(key, value)| self.keyspace.decoded(key, value)).collect()
    }

    /// Returns true if a key is there. Its value is not decoded.
    ///
    /// # Errors
    ///
    /// Those of [`Transaction::contains`].
    pub fn contains(&self, key: impl KeyFor<K>) -> Result<bool> {
        self.transaction.contains(&self.keyspace.keyspace, tuple::encode(&key))
    }

    /// Returns the rows of a range of keys, in order, with what the transaction has written before
    /// the call.
    ///
    /// # Errors
    ///
    /// Those of [`Transaction::scan`].
    pub fn scan(&self, range: impl TupleBounds<K>) -> Result<TypedTransactionScan<'a, K, V, C>> {
        self.scan_with(range, ScanOptions::new())
    }

    /// Returns the rows of a range of keys, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub fn scan_with(
        &self,
        range: impl TupleBounds<K>,
        options: ScanOptions,
    ) -> Result<TypedTransactionScan<'a, K, V, C>> {
        let keyspace = &self.keyspace.keyspace;
        let scan = self.transaction.scan_with(keyspace, range.encoded()?, options)?;
        Ok(TypedTransactionScan { scan, keyspace: self.keyspace })
    }

    /// Returns the rows whose keys begin with a [prefix](PrefixOf), in order.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub fn scan_prefix(
        &self,
        prefix: impl PrefixOf<K>,
    ) -> Result<TypedTransactionScan<'a, K, V, C>> {
        self.scan(TuplePrefix(prefix))
    }

    /// Puts a value, replacing any that is there.
    ///
    /// # Errors
    ///
    /// Those of [`Transaction::put`], and
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the value cannot be encoded.
    pub fn put(&self, key: impl KeyFor<K>, value: &V) -> Result<()> {
        let key = tuple::encode(&key);
        let value = self.keyspace.encode(&key, value)?;
        self.transaction.put(&self.keyspace.keyspace, &key, value)
    }

    /// Puts a value for a time, which begins when the transaction is committed.
    ///
    /// # Errors
    ///
    /// Those of [`Transaction::put_for`], and
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the value cannot be encoded.
    pub fn put_for(&self, key: impl KeyFor<K>, value: &V, lifetime: Duration) -> Result<()> {
        let key = tuple::encode(&key);
        let value = self.keyspace.encode(&key, value)?;
        self.transaction.put_for(&self.keyspace.keyspace, &key, value, lifetime)
    }

    /// Puts a value until a time, or for ever.
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub fn put_until(
        &self,
        key: impl KeyFor<K>,
        value: &V,
        until: impl Into<Option<SystemTime>>,
    ) -> Result<()> {
        let key = tuple::encode(&key);
        let value = self.keyspace.encode(&key, value)?;
        self.transaction.put_until(&self.keyspace.keyspace, &key, value, until)
    }

    /// Deletes a key, if it is there.
    ///
    /// # Errors
    ///
    /// Those of [`Transaction::delete`].
    pub fn delete(&self, key: impl KeyFor<K>) -> Result<()> {
        self.transaction.delete(&self.keyspace.keyspace, tuple::encode(&key))
    }

    /// Deletes all keys of a range: those that are there when the transaction is committed, and
    /// those that it has put before this call.
    ///
    /// # Errors
    ///
    /// Those of [`Transaction::delete_range`].
    pub fn delete_range(&self, range: impl TupleBounds<K>) -> Result<()> {
        self.transaction.delete_range(&self.keyspace.keyspace, range.encoded()?)
    }
}

impl<K, V, C> fmt::Debug for TypedTransaction<'_, K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedTransaction")
            .field("keyspace", self.keyspace)
            .field("transaction", self.transaction)
            .finish()
    }
}

/// Rows as a transaction sees them, in the order of their keys, each decoded: an iterator of keys
/// and values.
///
/// What the transaction relies on is what a [`TransactionScan`] has passed. A row that does not
/// decode is an error of kind [`WrongType`](crate::ErrorKind::WrongType), and the scan goes on with
/// the next row if it is asked to. Every other error ends it.
pub struct TypedTransactionScan<'t, K, V, C = Postcard> {
    scan: TransactionScan<'t>,
    keyspace: &'t TypedKeyspace<K, V, C>,
}

impl<K: Key, V, C: Codec<V>> Iterator for TypedTransactionScan<'_, K, V, C> {
    type Item = Result<(K, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.scan.next_row().transpose()?;
        Some(row.and_then(|row| decode_row(&self.keyspace.codec, self.keyspace.name(), row)))
    }
}

impl<K: Key, V, C: Codec<V>> std::iter::FusedIterator for TypedTransactionScan<'_, K, V, C> {}

impl<K, V, C> fmt::Debug for TypedTransactionScan<'_, K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedTransactionScan")
            .field("keyspace", self.keyspace)
            .finish_non_exhaustive()
    }
}
