//! Writes to typed keyspaces. What they write is encoded by the call, before the future is polled.

use super::TypedKeyspace;
use annulus::tuple::{self, Key, KeyFor, TupleBounds};
use annulus::typed::{Codec, Counter};
use annulus::{Durability, Result, Swap};
use std::future::Future;
use std::time::{Duration, SystemTime};

impl<K: Key, V, C: Codec<V>> TypedKeyspace<K, V, C> {
    /// Puts a value, replacing any that is there.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::typed::TypedKeyspace::put`] and of [`Store::run`](crate::Store::run), as of
    /// every write.
    pub fn put(&self, key: impl KeyFor<K>, value: &V) -> impl Future<Output = Result<()>> {
        let row = self.typed.encode_row(key, value);
        async move {
            let (key, value) = row?;
            self.keyspace.put(key, value).await
        }
    }

    /// Puts a value with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn put_with(
        &self,
        key: impl KeyFor<K>,
        value: &V,
        durability: Durability,
    ) -> impl Future<Output = Result<()>> {
        let row = self.typed.encode_row(key, value);
        async move {
            let (key, value) = row?;
            self.keyspace.put_with(key, value, durability).await
        }
    }

    /// Puts a value for a time, at whose end the row has expired.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::typed::TypedKeyspace::put_for`] and of [`Store::run`](crate::Store::run).
    pub fn put_for(
        &self,
        key: impl KeyFor<K>,
        value: &V,
        lifetime: Duration,
    ) -> impl Future<Output = Result<()>> {
        let row = self.typed.encode_row(key, value);
        async move {
            let (key, value) = row?;
            self.keyspace.put_for(key, value, lifetime).await
        }
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
    ) -> impl Future<Output = Result<()>> {
        let (row, until) = (self.typed.encode_row(key, value), until.into());
        async move {
            let (key, value) = row?;
            self.keyspace.put_until(key, value, until).await
        }
    }

    /// Deletes a key, if it is there.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::delete`](crate::Keyspace::delete).
    pub async fn delete(&self, key: impl KeyFor<K>) -> Result<()> {
        self.keyspace.delete(tuple::encode(&key)).await
    }

    /// Deletes all keys of a range, in one step.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::delete_range`](crate::Keyspace::delete_range).
    pub async fn delete_range(&self, range: impl TupleBounds<K>) -> Result<()> {
        self.keyspace.delete_range(tuple::encode_bounds::<K>(range)?).await
    }

    /// Puts a value if the key is absent; [`Swap::Found`] has the value that is there otherwise.
    ///
    /// # Errors
    ///
    /// Those of [`compare_and_swap`](Self::compare_and_swap).
    pub fn put_if_absent(
        &self,
        key: impl KeyFor<K>,
        value: &V,
    ) -> impl Future<Output = Result<Swap<V>>> {
        let row = self.typed.encode_row(key, value);
        async move {
            let (key, value) = row?;
            let swap = self.keyspace.put_if_absent(&key, value).await?;
            self.decoded_swap(&key, swap)
        }
    }

    /// Puts a value for a time if the key is absent, or its row has expired.
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for) and [`compare_and_swap`](Self::compare_and_swap).
    pub fn put_if_absent_for(
        &self,
        key: impl KeyFor<K>,
        value: &V,
        lifetime: Duration,
    ) -> impl Future<Output = Result<Swap<V>>> {
        let row = self.typed.encode_row(key, value);
        async move {
            let (key, value) = row?;
            let swap = self.keyspace.put_if_absent_for(&key, value, lifetime).await?;
            self.decoded_swap(&key, swap)
        }
    }

    /// Replaces a value if it is the expected one; `None` stands for absence on both sides. Encodings are
    /// compared, as by [`annulus::typed::TypedKeyspace::compare_and_swap`].
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put) and [`get`](Self::get).
    pub fn compare_and_swap(
        &self,
        key: impl KeyFor<K>,
        expected: Option<&V>,
        new: Option<&V>,
    ) -> impl Future<Output = Result<Swap<V>>> {
        let encode = |value| self.typed.encode_row(&key, value).map(|(_, value)| value);
        let (expected, new) = (expected.map(encode).transpose(), new.map(encode).transpose());
        let key = tuple::encode(&key);
        async move {
            let (expected, new) = (expected?, new?);
            let (expected, new) = (expected.as_deref(), new.as_deref());
            let swap = self.keyspace.compare_and_swap(&key, expected, new).await?;
            self.decoded_swap(&key, swap)
        }
    }

    fn decoded_swap(&self, key: &[u8], swap: Swap) -> Result<Swap<V>> {
        Ok(match swap {
            Swap::Swapped => Swap::Swapped,
            Swap::Found(found) => Swap::Found(self.decoded(key, found)?),
        })
    }

    /// Replaces a key's value by what `change` makes of it, in one step:
    /// [`annulus::typed::TypedKeyspace::update`], which says what `change` must not do. It runs on the
    /// pool.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::typed::TypedKeyspace::update`] and of [`Store::run`](crate::Store::run).
    ///
    /// # Panics
    ///
    /// If `change` does; nothing was written.
    pub async fn update(
        &self,
        key: impl KeyFor<K>,
        change: impl FnOnce(Option<V>) -> Option<V> + Send + 'static,
    ) -> Result<Option<V>>
    where
        K: KeyFor<K> + Send + 'static,
        V: Send + 'static,
        C: Clone + Send + Sync + 'static,
    {
        let key = self.typed.decode_key(&tuple::encode(&key))?;
        let typed = self.typed.clone();
        self.keyspace.run(move |_| typed.update(key, change)).await
    }
}

impl<K: Key> TypedKeyspace<K, i64, Counter> {
    /// Adds to a counter, in one step, and returns what it is then.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::add`](crate::Keyspace::add).
    pub async fn add(&self, counter: impl KeyFor<K>, n: i64) -> Result<i64> {
        self.keyspace.add(tuple::encode(&counter), n).await
    }
}
