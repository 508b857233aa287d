//! Reads of typed keyspaces.

use super::{Codec, TypedKeyspace, TypedScan, TypedSnapshot};
use crate::error::Result;
use crate::read::{KeyBounds, RawBounds, ReadOptions, ScanOptions, Value};
use crate::store::Snapshot;
use crate::tuple::{self, EncodedRange, Key, KeyFor, PrefixOf, TupleBounds, TuplePrefix};
use std::ops::Bound;

impl KeyBounds for EncodedRange {}

impl RawBounds for EncodedRange {
    fn start(&self) -> Bound<&[u8]> {
        Bound::Included(&self.range.start)
    }

    fn end(&self) -> Bound<&[u8]> {
        self.range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded)
    }

    fn prefix(&self) -> &[u8] {
        &self.prefix
    }
}

impl<K: Key, V, C: Codec<V>> TypedKeyspace<K, V, C> {
    /// Returns the value of a key, or `None`.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::get`](crate::Keyspace::get);
    /// [`WrongType`](crate::ErrorKind::WrongType) if the value does not decode.
    pub fn get(&self, key: impl KeyFor<K>) -> Result<Option<V>> {
        let key = tuple::encode(&key);
        self.decoded(&key, self.keyspace.get(&key)?)
    }

    /// Returns the value of a key, read as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), and [`DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded).
    pub fn get_with(&self, key: impl KeyFor<K>, options: ReadOptions) -> Result<Option<V>> {
        let key = tuple::encode(&key);
        self.decoded(&key, self.keyspace.get_with(&key, options)?)
    }

    pub(super) fn decoded(&self, key: &[u8], value: Option<Value>) -> Result<Option<V>> {
        value.map(|value| self.decode(key, &value)).transpose()
    }

    /// Returns the values of several keys, in the order of the keys, each at some moment during the
    /// call.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn get_many(
        &self,
        keys: impl IntoIterator<Item = impl KeyFor<K>>,
    ) -> Result<Vec<Option<V>>> {
        self.get_many_with(keys, ReadOptions::new())
    }

    /// Returns the values of several keys, read as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`get_with`](Self::get_with).
    pub fn get_many_with(
        &self,
        keys: impl IntoIterator<Item = impl KeyFor<K>>,
        options: ReadOptions,
    ) -> Result<Vec<Option<V>>> {
        let keys: Vec<Vec<u8>> = keys.into_iter().map(|key| tuple::encode(&key)).collect();
        let values = self.keyspace.get_many_with(&keys, options)?;
        keys.iter().zip(values).map(|(key, value)| self.decoded(key, value)).collect()
    }

    /// Returns true if a key is there. Its value is not decoded.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::get`](crate::Keyspace::get).
    pub fn contains(&self, key: impl KeyFor<K>) -> Result<bool> {
        self.keyspace.contains(tuple::encode(&key))
    }

    /// Returns the rows of a range of keys, in the order of the keys.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::scan`](crate::Keyspace::scan), among them
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for an inverted range.
    pub fn scan(&self, range: impl TupleBounds<K>) -> Result<TypedScan<K, V, C>>
    where
        C: Clone,
    {
        self.scan_with(range, ScanOptions::new())
    }

    /// Returns the rows of a range of keys, as the options say: in reverse, for example, or only a
    /// few.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub fn scan_with(
        &self,
        range: impl TupleBounds<K>,
        options: ScanOptions,
    ) -> Result<TypedScan<K, V, C>>
    where
        C: Clone,
    {
        let scan = self.keyspace.scan_with(range.encoded()?, options)?;
        Ok(TypedScan::new(scan, self.name(), self.codec.clone()))
    }

    /// Returns the rows whose keys begin with a [prefix](PrefixOf), in order: [`scan`](Self::scan)
    /// of a [`TuplePrefix`].
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub fn scan_prefix(&self, prefix: impl PrefixOf<K>) -> Result<TypedScan<K, V, C>>
    where
        C: Clone,
    {
        self.scan(TuplePrefix(prefix))
    }

    /// Returns how many keys there are, by counting them. Nothing is decoded.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::count`](crate::Keyspace::count).
    pub fn count(&self) -> Result<u64> {
        self.keyspace.count()
    }

    /// Returns how many keys a range has, by counting them. Nothing is decoded.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::count_range`](crate::Keyspace::count_range).
    pub fn count_range(&self, range: impl TupleBounds<K>) -> Result<u64> {
        self.count_range_with(range, ReadOptions::new())
    }

    /// Returns how many keys a range has, read as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::count_range_with`](crate::Keyspace::count_range_with).
    pub fn count_range_with(
        &self,
        range: impl TupleBounds<K>,
        options: ReadOptions,
    ) -> Result<u64> {
        self.keyspace.count_range_with(range.encoded()?, options)
    }

    /// Returns this keyspace as it was when a snapshot was taken.
    #[must_use]
    pub const fn at<'a>(&'a self, snapshot: &'a Snapshot) -> TypedSnapshot<'a, K, V, C> {
        TypedSnapshot { keyspace: self, snapshot }
    }
}
