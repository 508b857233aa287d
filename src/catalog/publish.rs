//! Changes of the topology: made durable, then published.
//!
//! IMPORTANT: everything that can fail comes before the commit. An error between a commit and its
//! publication would leave memory with an older topology than the disk.

use super::{Catalog, KeyspaceState, Keyspaces, OpenPartition, View};
use crate::engine::MetadataBatch;
use crate::error::{Error, ErrorKind, Result};
use crate::id::KeyspaceId;
use crate::os::failpoint;
use crate::topology::{KeyspaceLayout, Topology, encode_topology};
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
        self.check_gives_nothing_away(next)?;
        // Errors up to here leave no doubt: the topology is not on the disk.
        let record = encode_topology(next)?;
        self.sync_log_before_commit()?;
        self.metadata.commit(&record, others).map_err(|error| self.in_doubt(error))
    }

    /// Refuses a topology in which something that is on a missing shard would be elsewhere, or the
    /// shard would be gone. Only a keyspace may go as a whole: nothing of it is wanted then.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub(crate) fn check_gives_nothing_away(&self, next: &Topology) -> Result<()> {
        let missing = self.missing();
        if missing.is_empty() || failpoint::skip("missing-keeps-partitions") {
            return Ok(());
        }
        let present = self.topology();
        for (shard, missing) in &*missing {
            let of_shard = |keyspace: &KeyspaceLayout| -> Vec<_> {
                keyspace.names().filter(|(_, owner)| owner == shard).collect()
            };
            let stays = |keyspace: &Arc<KeyspaceLayout>| {
                let before = present.keyspace(keyspace.id()).map(|before| of_shard(before));
                of_shard(keyspace) == before.unwrap_or_default()
            };
            if next.shard(*shard).is_none() || !next.keyspaces().all(stays) {
                return Err(missing.error(*shard));
            }
        }
        Ok(())
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
        open.extend(self.open().map(|partition| (partition.name, partition)));
        open.extend(made.into_iter().map(|partition| (partition.name, partition)));
        let partitions = keyspace.names().map(|(name, owner)| match open.get(&name) {
            Some(partition) => Ok(Some(Arc::clone(partition))),
            None if self.is_missing(owner) => Ok(None),
            None => Err(Error::new(ErrorKind::Internal, format!("partition {name} is not open"))),
        });
        Ok(self.with_partitions(Arc::clone(keyspace), partitions.collect::<Result<_>>()?))
    }
}

#[cfg(test)]
mod tests {
    use crate::id::{PartitionId, ShardId};
    use crate::topology::{Change, KeyspaceSpec, PartitionName, ReshapeSpec};
    use crate::{ErrorKind, Store};

    /// The second line: what asks for such a change is refused before it comes here.
    #[test]
    fn only_a_keyspace_as_a_whole_goes_from_a_missing_shard() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let store = Store::builder(&path).shards(2).open().unwrap();
        let spec = KeyspaceSpec::range().split_at(["m"]);
        let keyspace = store.create_keyspace("rows", spec).unwrap().id();
        store.close().unwrap();
        drop(store);
        std::fs::remove_dir_all(path.join("shards/1")).unwrap();
        let store = Store::builder(&path).allow_missing_shards(true).open().unwrap();
        let catalog = &store.core().catalog;
        let present = catalog.topology();
        let (missing, there) = (ShardId(1), ShardId(0));
        let moved = |from: ShardId, owner: ShardId| {
            let partitions = present.keyspace(keyspace).unwrap().partitions();
            let source: PartitionId =
                partitions.into_iter().find(|it| it.owner == from).unwrap().id;
            let (sources, owners) = (vec![source], vec![owner]);
            let spec = ReshapeSpec { keyspace, sources, split_points: Vec::new(), owners };
            let (targets, numbered): (Vec<PartitionName>, _) = present.name_targets(&spec).unwrap();
            numbered.apply(&Change::Reshape { spec, targets }).unwrap()
        };
        for refused in [moved(missing, there), moved(there, missing)] {
            let error = catalog.commit(&refused).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
        let draining = Change::DrainShard { id: there, draining: true };
        catalog.check_gives_nothing_away(&present.apply(&draining).unwrap()).unwrap();
        let dropped = present.apply(&Change::DropKeyspace { id: keyspace }).unwrap();
        catalog.check_gives_nothing_away(&dropped).unwrap();
        let gone = dropped.apply(&Change::DrainShard { id: missing, draining: true }).unwrap();
        let gone = gone.apply(&Change::RemoveShard { id: missing }).unwrap();
        let error = catalog.check_gives_nothing_away(&gone).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
}
