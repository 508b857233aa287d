//! Calls on their way into the shards that they concern, where a store is to refuse what is too much.

use super::core::Core;
use super::{Keyspace, Store};
use crate::error::Result;
use crate::id::ShardId;
use crate::overload::{Permit, Priority};
use crate::write::Batch;
use std::collections::BTreeSet;
use std::time::Instant;

impl Store {
    /// Returns a handle of the same store whose batches and transactions are of this importance, when the
    /// store is asked for [more than it can do](crate::Options::overload). Default: `Foreground`.
    #[must_use]
    pub fn with_priority(&self, priority: Priority) -> Self {
        Self { priority, ..self.clone() }
    }
}

impl Keyspace {
    /// Returns a handle of the same keyspace whose reads and writes are of this importance, when the store
    /// is asked for [more than it can do](crate::Options::overload). Default: `Foreground`.
    ///
    /// ```
    /// # use annulus::{Options, OverloadOptions, Priority, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// let options = Options::new().overload(OverloadOptions::new());
    /// let store = Store::builder(directory.path().join("store")).options(options).open()?;
    /// let users = store.create_keyspace("users", KeyspaceSpec::hash())?;
    /// let import = users.with_priority(Priority::Batch);
    /// import.put("ada", "countess")?;
    /// assert!(users.get("ada")?.is_some());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_priority(&self, priority: Priority) -> Self {
        self.with_priority_of(priority)
    }

    /// Admits a call that concerns a key, if calls are admitted at all.
    ///
    /// # Errors
    ///
    /// `Overloaded`, `DeadlineExceeded`: nothing was done.
    #[inline]
    pub(super) fn admit(&self, key: &[u8], bytes: usize) -> Result<Option<Permit>> {
        if self.core().admission.is_none() { Ok(None) } else { self.admit_key(key, bytes) }
    }

    #[cold]
    fn admit_key(&self, key: &[u8], bytes: usize) -> Result<Option<Permit>> {
        let Some(admission) = &self.core().admission else { return Ok(None) };
        let shard = self.state().route(key).partition().owner;
        let (priority, deadline) = (self.priority(), self.deadline());
        admission.admit_one(shard, key.len() + bytes, priority, deadline).map(Some)
    }

    /// The same for a call that concerns several keys, or all of them.
    pub(super) fn admit_all(
        &self,
        keys: Option<&mut dyn Iterator<Item = &[u8]>>,
    ) -> Result<Vec<Permit>> {
        let Some(admission) = &self.core().admission else { return Ok(Vec::new()) };
        let (view, mut bytes) = (self.view(), 0);
        let owner = |index: usize| view.partition(index).map(|partition| partition.owner);
        let shards: BTreeSet<ShardId> = match keys {
            None => view.partitions.iter().map(|partition| partition.owner).collect(),
            Some(keys) => keys
                .map(|key| {
                    bytes += key.len();
                    owner(view.index(key))
                })
                .collect::<Result<_>>()?,
        };
        admission.admit(shards, bytes, self.priority(), self.deadline())
    }
}

impl Core {
    /// Admits a batch to the shards that it concerns.
    pub(super) fn admit_batch(
        &self,
        batch: &Batch,
        priority: Priority,
        deadline: Option<Instant>,
    ) -> Result<Vec<Permit>> {
        let Some(admission) = &self.admission else { return Ok(Vec::new()) };
        let keyspaces = self.catalog.keyspaces();
        let shards = self.writer(deadline, None).shards_of(&**keyspaces, batch)?;
        admission.admit(shards, batch.bytes(), priority, deadline)
    }
}
