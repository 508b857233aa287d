//! Typed keyspaces at the moment of a snapshot.

use super::{Codec, Postcard, TypedKeyspace, TypedScan};
use crate::error::Result;
use crate::read::{ReadOptions, ScanOptions};
use crate::store::Snapshot;
use crate::tuple::{self, Key, KeyFor, PrefixOf, TupleBounds, TuplePrefix};
use std::fmt;

/// A typed keyspace as it was when a snapshot was taken; made by [`TypedKeyspace::at`].
pub struct TypedSnapshot<'a, K, V, C = Postcard> {
    pub(super) keyspace: &'a TypedKeyspace<K, V, C>,
    pub(super) snapshot: &'a Snapshot,
}

impl<K: Key, V, C: Codec<V>> TypedSnapshot<'_, K, V, C> {
    /// Returns the value of a key, or `None`.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::get`]; [`WrongType`](crate::ErrorKind::WrongType) if the value does not
    /// decode.
    pub fn get(&self, key: impl KeyFor<K>) -> Result<Option<V>> {
        self.get_with(key, ReadOptions::new())
    }

    /// Returns the value of a key, read as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), and [`DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded).
    pub fn get_with(&self, key: impl KeyFor<K>, options: ReadOptions) -> Result<Option<V>> {
        let key = tuple::encode(&key);
        let value = self.snapshot.get_with(&self.keyspace.keyspace, &key, options)?;
        self.keyspace.decoded(&key, value)
    }

    /// Returns the rows of a range of keys, in the order of the keys.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::scan`].
    pub fn scan(&self, range: impl TupleBounds<K>) -> Result<TypedScan<K, V, C>>
    where
        C: Clone,
    {
        self.scan_with(range, ScanOptions::new())
    }

    /// Returns the rows of a range of keys, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::scan`].
    pub fn scan_with(
        &self,
        range: impl TupleBounds<K>,
        options: ScanOptions,
    ) -> Result<TypedScan<K, V, C>>
    where
        C: Clone,
    {
        let scan = self.snapshot.scan_with(&self.keyspace.keyspace, range.encoded()?, options)?;
        Ok(TypedScan::new(scan, self.keyspace.name(), self.keyspace.codec.clone()))
    }

    /// Returns the rows whose keys begin with a [prefix](PrefixOf), in order.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::scan`].
    pub fn scan_prefix(&self, prefix: impl PrefixOf<K>) -> Result<TypedScan<K, V, C>>
    where
        C: Clone,
    {
        self.scan(TuplePrefix(prefix))
    }
}

impl<K, V, C> fmt::Debug for TypedSnapshot<'_, K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedSnapshot").field("keyspace", self.keyspace).finish_non_exhaustive()
    }
}
