//! Typed keyspaces at the moment of a snapshot.

use super::{TypedKeyspace, TypedScan};
use crate::snapshot::Snapshot;
use annulus::tuple::{self, Key, KeyFor, PrefixOf, TupleBounds, TuplePrefix};
use annulus::typed::{Codec, Postcard};
use annulus::{Result, ScanOptions};
use std::fmt;

/// A typed keyspace as it was when a snapshot was taken; made by [`TypedKeyspace::at`].
pub struct TypedSnapshot<'a, K, V, C = Postcard> {
    keyspace: &'a TypedKeyspace<K, V, C>,
    snapshot: &'a Snapshot,
}

impl<K: Key, V, C: Codec<V>> TypedKeyspace<K, V, C> {
    /// Returns this keyspace as it was when a snapshot was taken.
    #[must_use]
    pub const fn at<'a>(&'a self, snapshot: &'a Snapshot) -> TypedSnapshot<'a, K, V, C> {
        TypedSnapshot { keyspace: self, snapshot }
    }
}

impl<K: Key, V, C: Codec<V>> TypedSnapshot<'_, K, V, C> {
    /// Returns the value of a key, or `None`. In the task, if memory has it.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::typed::TypedSnapshot::get`] and of [`Store::run`](crate::Store::run).
    pub async fn get(&self, key: impl KeyFor<K>) -> Result<Option<V>> {
        let key = tuple::encode(&key);
        let value = self.snapshot.get(self.keyspace.keyspace(), &key).await?;
        self.keyspace.decoded(&key, value)
    }

    /// Returns the rows of a range of keys, in the order of the keys, as a [stream](TypedScan).
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::scan`].
    pub async fn scan(&self, range: impl TupleBounds<K>) -> Result<TypedScan<K, V, C>>
    where
        C: Clone,
    {
        self.scan_with(range, ScanOptions::new()).await
    }

    /// Returns the rows of a range of keys, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::scan`].
    pub async fn scan_with(
        &self,
        range: impl TupleBounds<K>,
        options: ScanOptions,
    ) -> Result<TypedScan<K, V, C>>
    where
        C: Clone,
    {
        let range = tuple::encode_bounds::<K>(range)?;
        let scan = self.snapshot.scan_with(self.keyspace.keyspace(), range, options).await?;
        Ok(TypedScan::new(scan, self.keyspace.blocking().clone()))
    }

    /// Returns the rows whose keys begin with a [prefix](PrefixOf), in order.
    ///
    /// # Errors
    ///
    /// Those of [`Snapshot::scan`].
    pub async fn scan_prefix(&self, prefix: impl PrefixOf<K>) -> Result<TypedScan<K, V, C>>
    where
        C: Clone,
    {
        self.scan(TuplePrefix(prefix)).await
    }
}

impl<K, V, C> fmt::Debug for TypedSnapshot<'_, K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedSnapshot").field("keyspace", self.keyspace).finish_non_exhaustive()
    }
}
