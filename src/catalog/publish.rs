//! Changes of the topology: made durable, then published.
//!
//! IMPORTANT: everything that can fail comes before the commit. An error between a commit and its
//! publication would leave memory with an older topology than the disk.

use super::{Catalog, KeyspaceState, Keyspaces, OpenPartition, View};
use crate::engine::MetadataBatch;
use crate::error::{Error, ErrorKind, Result};
use crate::id::KeyspaceId;
use crate::os::failpoint;
use crate::topology::{Topology, encode_topology};
use parking_lot::MutexGuard;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Catalog {
    /// Excludes other changes of the topology, from reading the present one to publishing the next.
    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock()
    }

    /// The same, unless it would have to wait.
    pub(crate) fn try_changing(&self) -> Option<MutexGuard<'_, ()>> {
        self.changing.try_lock()
    }

    /// Commits a topology alone; see [`commit_with`](Self::commit_with).
    pub(crate) fn commit(&self, next: &Topology) -> Result<()> {
        self.commit_with(next, MetadataBatch::default())
    }

    /// Commits a topology together with other records. After an error no one knows which one is on
    /// disk, so the store takes no more writes; the next opening finds out.
    ///
    /// # Errors
    ///
    /// `Io` if the store's paths name something else, the log cannot be synced, or the topology
    /// cannot be encoded: nothing was written. `InDoubt`.
    pub(crate) fn commit_with(&self, next: &Topology, others: MetadataBatch) -> Result<()> {
        self.check_places()?;
        // Errors up to here leave no doubt: the topology is not on the disk.
        let record = encode_topology(next)?;
        self.sync_log_before_commit()?;
        self.metadata.commit(&record, others).map_err(|error| self.in_doubt(error))
    }

    /// Syncs the log up to its end, as each commit of a topology requires.
    ///
    /// IMPORTANT: the metadata is synced by itself. If a power cut could take the end of the log and
    /// leave a topology that was committed after it, what remains would not be one prefix: a keyspace
    /// would be gone, or created, and a write that was acknowledged before that would be missing.
    pub(crate) fn sync_log_before_commit(&self) -> Result<()> {
        if failpoint::skip("log-before-commit") { Ok(()) } else { self.log.sync() }
    }

    /// Returns the error of a change that may or may not be on disk. The store takes no more
    /// writes.
    pub(crate) fn in_doubt(&self, error: Error) -> Error {
        self.mark_in_doubt(&error);
        Error::new(
            ErrorKind::InDoubt,
            "a change of the topology may or may not be on disk; open the store again",
        )
        .with_source(error)
    }

    /// Publishes a committed topology with other keyspaces. Changes of the topology are excluded.
    pub(crate) fn publish(&self, next: Topology, edit: impl FnOnce(&mut Keyspaces)) {
        let mut keyspaces = Keyspaces::clone(&self.keyspaces.load());
        edit(&mut keyspaces);
        self.keyspaces.store(Arc::new(keyspaces));
        self.topology.store(Arc::new(next));
    }

    /// Publishes a topology that has assigned more numbers. Changes of the topology are excluded.
    pub(crate) fn set_numbers(&self, numbered: Topology) {
        self.topology.store(Arc::new(numbered));
    }

    /// Publishes a committed topology in which one keyspace has other partitions. Changes of the
    /// topology are excluded.
    pub(crate) fn publish_view(&self, next: Topology, keyspace: &KeyspaceState, view: View) {
        keyspace.publish(view);
        self.topology.store(Arc::new(next));
    }

    /// Returns the views of a topology in which every partition is where it is now. Changes of the
    /// topology are excluded.
    pub(crate) fn views_of(&self, next: &Topology) -> Result<Vec<(Arc<KeyspaceState>, View)>> {
        let of_one = |keyspace: &Arc<KeyspaceState>| {
            let view = keyspace.view().with_reshaped(next, keyspace.id(), [])?;
            Ok((Arc::clone(keyspace), view))
        };
        self.keyspaces.load().values().map(of_one).collect()
    }

    /// Publishes a committed topology with its views. Changes of the topology are excluded.
    pub(crate) fn publish_views(&self, next: Topology, views: Vec<(Arc<KeyspaceState>, View)>) {
        for (keyspace, view) in views {
            keyspace.publish(view);
        }
        self.topology.store(Arc::new(next));
    }
}

impl View {
    /// Returns the view of a keyspace in a later topology, in which `made` are new.
    pub(crate) fn with_reshaped<'a>(
        &'a self,
        next: &Topology,
        id: KeyspaceId,
        made: impl IntoIterator<Item = &'a Arc<OpenPartition>>,
    ) -> Result<Self> {
        let keyspace = next.keyspace(id).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("keyspace {id} is not in its topology"))
        })?;
        let mut open: BTreeMap<_, &Arc<OpenPartition>> = BTreeMap::new();
        open.extend(self.partitions.iter().map(|partition| (partition.name, partition)));
        open.extend(made.into_iter().map(|partition| (partition.name, partition)));
        let partitions = keyspace.names().map(|(name, _)| {
            open.get(&name).copied().cloned().ok_or_else(|| {
                Error::new(ErrorKind::Internal, format!("partition {name} is not open"))
            })
        });
        Ok(Self { keyspace: Arc::clone(keyspace), partitions: partitions.collect::<Result<_>>()? })
    }
}
