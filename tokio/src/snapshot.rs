//! Snapshots.

use crate::inner::Inner;
use crate::keyspace::Keyspace;
use crate::scan::Scan;
use annulus::{KeyBounds, Prefix, Result, ScanOptions, Value};
use std::sync::Arc;
use tokio::task::coop::consume_budget;

/// Everything in the store as it was at one moment: [`annulus::Snapshot`]. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshot {
    snapshot: annulus::Snapshot,
    inner: Arc<Inner>,
}

impl Snapshot {
    pub(crate) fn new(snapshot: annulus::Snapshot, inner: &Arc<Inner>) -> Self {
        Self { snapshot, inner: Arc::clone(inner) }
    }

    /// Returns the snapshot for threads that may wait.
    #[must_use]
    pub const fn blocking(&self) -> &annulus::Snapshot {
        &self.snapshot
    }

    /// Returns the value of a key: [`annulus::Snapshot::get`]. In the task, if memory has it.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Snapshot::get`] and of [`Store::run`](crate::Store::run).
    pub async fn get(&self, keyspace: &Keyspace, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        consume_budget().await;
        self.inner.pool().check_open()?;
        let keyspace = keyspace.blocking();
        if let Some(known) = self.snapshot.get_from_memory(keyspace, &key)?.known() {
            return Ok(known);
        }
        let (snapshot, keyspace) = (self.snapshot.clone(), keyspace.clone());
        let key = key.as_ref().to_vec();
        self.inner.pool().run(move || snapshot.get(&keyspace, key)).await
    }

    /// Returns the values of several keys, in the order of the keys: [`annulus::Snapshot::get_many`],
    /// on the pool.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub async fn get_many<K: AsRef<[u8]>>(
        &self,
        keyspace: &Keyspace,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Value>>> {
        let keys: Vec<Vec<u8>> = keys.into_iter().map(|key| key.as_ref().to_vec()).collect();
        let (snapshot, keyspace) = (self.snapshot.clone(), keyspace.blocking().clone());
        self.inner.pool().run(move || snapshot.get_many(&keyspace, keys)).await
    }

    /// Returns the rows of a range of keys, in order: [`annulus::Snapshot::scan`], as a
    /// [stream](Scan).
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Snapshot::scan`] and of [`Store::run`](crate::Store::run).
    pub async fn scan(
        &self,
        keyspace: &Keyspace,
        range: impl KeyBounds + Send + 'static,
    ) -> Result<Scan> {
        self.scan_with(keyspace, range, ScanOptions::new()).await
    }

    /// As [`annulus::Snapshot::scan_with`].
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub async fn scan_with(
        &self,
        keyspace: &Keyspace,
        range: impl KeyBounds + Send + 'static,
        options: ScanOptions,
    ) -> Result<Scan> {
        let (snapshot, keyspace) = (self.snapshot.clone(), keyspace.blocking().clone());
        Scan::open(&self.inner, move || snapshot.scan_with(&keyspace, range, options)).await
    }

    /// Returns the rows whose keys begin with a prefix, in order.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub async fn scan_prefix(&self, keyspace: &Keyspace, prefix: impl AsRef<[u8]>) -> Result<Scan> {
        self.scan(keyspace, Prefix::new(prefix.as_ref())).await
    }
}
