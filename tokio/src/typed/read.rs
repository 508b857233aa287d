//! Reads of typed keyspaces.

use super::{TypedKeyspace, TypedScan};
use annulus::tuple::{self, Key, KeyFor, PrefixOf, TupleBounds, TuplePrefix};
use annulus::typed::Codec;
use annulus::{ReadOptions, Result, ScanOptions, Value};

impl<K: Key, V, C: Codec<V>> TypedKeyspace<K, V, C> {
    /// Returns the value of a key, or `None`. In the task, if memory has it.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::typed::TypedKeyspace::get`] and of [`Store::run`](crate::Store::run).
    pub async fn get(&self, key: impl KeyFor<K>) -> Result<Option<V>> {
        let key = tuple::encode(&key);
        let value = self.keyspace.get(&key).await?;
        self.decoded(&key, value)
    }

    /// Returns the value of a key, read as the options say: see
    /// [`Keyspace::get_with`](crate::Keyspace::get_with).
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), and
    /// [`DeadlineExceeded`](annulus::ErrorKind::DeadlineExceeded).
    pub async fn get_with(&self, key: impl KeyFor<K>, options: ReadOptions) -> Result<Option<V>> {
        let key = tuple::encode(&key);
        let value = self.keyspace.get_with(&key, options).await?;
        self.decoded(&key, value)
    }

    pub(super) fn decoded(&self, key: &[u8], value: Option<Value>) -> Result<Option<V>> {
        value.map(|value| self.typed.decode_value(key, &value)).transpose()
    }

    /// Returns the values of several keys, in the order of the keys. In the task those that memory has.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub async fn get_many(
        &self,
        keys: impl IntoIterator<Item = impl KeyFor<K>>,
    ) -> Result<Vec<Option<V>>> {
        let keys: Vec<Vec<u8>> = keys.into_iter().map(|key| tuple::encode(&key)).collect();
        let values = self.keyspace.get_many(&keys).await?;
        keys.iter().zip(values).map(|(key, value)| self.decoded(key, value)).collect()
    }

    /// Returns true if a key is there. Its value is not decoded.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::get`](crate::Keyspace::get).
    pub async fn contains(&self, key: impl KeyFor<K>) -> Result<bool> {
        self.keyspace.contains(tuple::encode(&key)).await
    }

    /// Returns the rows of a range of keys, in the order of the keys, as a [stream](TypedScan).
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::scan`](crate::Keyspace::scan).
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
    /// Those of [`scan`](Self::scan).
    pub async fn scan_with(
        &self,
        range: impl TupleBounds<K>,
        options: ScanOptions,
    ) -> Result<TypedScan<K, V, C>>
    where
        C: Clone,
    {
        let range = tuple::encode_bounds::<K>(range)?;
        let scan = self.keyspace.scan_with(range, options).await?;
        Ok(TypedScan::new(scan, self.typed.clone()))
    }

    /// Returns the rows whose keys begin with a [prefix](PrefixOf), in order.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub async fn scan_prefix(&self, prefix: impl PrefixOf<K>) -> Result<TypedScan<K, V, C>>
    where
        C: Clone,
    {
        self.scan(TuplePrefix(prefix)).await
    }

    /// Returns how many keys there are, by counting them. Nothing is decoded.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::count`](crate::Keyspace::count).
    pub async fn count(&self) -> Result<u64> {
        self.keyspace.count().await
    }

    /// Returns how many keys a range has, by counting them. Nothing is decoded.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::count_range`](crate::Keyspace::count_range).
    pub async fn count_range(&self, range: impl TupleBounds<K>) -> Result<u64> {
        self.keyspace.count_range(tuple::encode_bounds::<K>(range)?).await
    }
}
