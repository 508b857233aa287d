//! Reads: in the task where memory has the answer, otherwise on the pool.

use super::Keyspace;
use crate::scan::Scan;
use annulus::{KeyBounds, Prefix, ReadOptions, Result, ScanOptions, Value};
use std::time::Instant;
use tokio::task::coop::consume_budget;

/// Returns the options of a read that has been waiting since a moment for its turn.
fn left_of(options: ReadOptions, since: Instant) -> ReadOptions {
    let left = options.timeout.map(|timeout| timeout.saturating_sub(since.elapsed()));
    options.timeout(left)
}

impl Keyspace {
    /// Returns the value of a key, or `None`: [`annulus::Keyspace::get`]. In the task, if memory has
    /// it.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Keyspace::get`] and of [`Store::run`](crate::Store::run).
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        consume_budget().await;
        self.inner.pool().check_open()?;
        if let Some(known) = self.keyspace.get_from_memory(&key)?.known() {
            return Ok(known);
        }
        let key = key.as_ref().to_vec();
        self.run(|keyspace| keyspace.get(key)).await
    }

    /// As [`annulus::Keyspace::get_with`]. The time runs from the first poll, and so includes that of
    /// waiting for the pool; it is looked at when the pool comes to the read.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), and
    /// [`DeadlineExceeded`](annulus::ErrorKind::DeadlineExceeded).
    pub async fn get_with(
        &self,
        key: impl AsRef<[u8]>,
        options: ReadOptions,
    ) -> Result<Option<Value>> {
        consume_budget().await;
        self.inner.pool().check_open()?;
        if let Some(known) = self.keyspace.get_from_memory(&key)?.known() {
            return Ok(known);
        }
        let (key, since) = (key.as_ref().to_vec(), Instant::now());
        self.run(move |keyspace| keyspace.get_with(key, left_of(options, since))).await
    }

    /// Returns the values of several keys, in the order of the keys:
    /// [`annulus::Keyspace::get_many`]. In the task those that memory has; the others in one call on
    /// the pool.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub async fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Value>>> {
        consume_budget().await;
        self.inner.pool().check_open()?;
        let (mut values, mut left, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for key in keys {
            let read = self.keyspace.get_from_memory(&key)?.known();
            if read.is_none() {
                places.push(values.len());
                left.push(key.as_ref().to_vec());
            }
            values.push(read.flatten());
        }
        if left.is_empty() {
            return Ok(values);
        }
        let found = self.run(|keyspace| keyspace.get_many(left)).await?;
        for (place, value) in places.into_iter().zip(found) {
            if let Some(slot) = values.get_mut(place) {
                *slot = value;
            }
        }
        Ok(values)
    }

    /// Returns true if a key is there: [`annulus::Keyspace::contains`].
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub async fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get(key).await?.is_some())
    }

    /// Returns the rows of a range of keys, in order: [`annulus::Keyspace::scan`], as a
    /// [stream](Scan). The range must own its keys, or borrow static ones.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Keyspace::scan`] and of [`Store::run`](crate::Store::run).
    pub async fn scan(&self, range: impl KeyBounds + Send + 'static) -> Result<Scan> {
        self.scan_with(range, ScanOptions::new()).await
    }

    /// As [`annulus::Keyspace::scan_with`].
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub async fn scan_with(
        &self,
        range: impl KeyBounds + Send + 'static,
        options: ScanOptions,
    ) -> Result<Scan> {
        let since = Instant::now();
        let keyspace = self.keyspace.clone();
        Scan::open(&self.inner, move || {
            keyspace.scan_with(range, options.read(left_of(options.read, since)))
        })
        .await
    }

    /// Returns the rows whose keys begin with a prefix, in order.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub async fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Scan> {
        self.scan(Prefix::new(prefix.as_ref())).await
    }

    /// Returns how many keys there are, by counting them: [`annulus::Keyspace::count`]. It occupies a
    /// thread of the pool all the while.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Keyspace::count`] and of [`Store::run`](crate::Store::run).
    pub async fn count(&self) -> Result<u64> {
        self.run(annulus::Keyspace::count).await
    }

    /// Returns how many keys a range has, by counting them: [`annulus::Keyspace::count_range`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Keyspace::count_range`] and of [`Store::run`](crate::Store::run).
    pub async fn count_range(&self, range: impl KeyBounds + Send + 'static) -> Result<u64> {
        self.run(|keyspace| keyspace.count_range(range)).await
    }
}
