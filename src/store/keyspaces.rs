//! Creating, finding and dropping keyspaces: the changes of a store's topology.

use super::close::in_parallel;
use super::core::Core;
use super::{Keyspace, Store, View, open};
use crate::engine::{Engine, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{KeyspaceId, ShardId};
use crate::os::descriptors::check_room as check_descriptors;
use crate::topology::{self, Change, KeyspaceSpec, PartitionName, Topology, encode_topology};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Store {
    /// Creates a keyspace: durable when it returns, there whole or not at all after a crash.
    ///
    /// Cost: a handle family for each partition, some milliseconds each; shards work in parallel.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if the name is taken;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a bad name or specification, or if a
    /// shard would own more partitions than
    /// [`partitions_per_shard_max`](crate::Options::partitions_per_shard_max);
    /// [`Closed`](ErrorKind::Closed), [`InDoubt`](ErrorKind::InDoubt), [`Io`](ErrorKind::Io), also
    /// if the process may not open as many files as it would need.
    pub fn create_keyspace(&self, name: &str, spec: impl Into<KeyspaceSpec>) -> Result<Keyspace> {
        let spec = spec.into().or_arcs_per_shard(self.inner.core.options.arcs_per_shard);
        let changing = self.inner.changing.lock();
        let change = Change::CreateKeyspace { name: name.to_owned(), spec };
        let next = self.topology().apply(&change)?;
        let created = next.keyspace_named(name).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("keyspace `{name}` was not created"))
        })?;
        let core = &self.inner.core;
        self.check_room(&next)?;
        core.check_writable()?;
        core.check_places()?;
        let view = create_partitions(core, created).inspect_err(|_| {
            // What could not be removed again keeps its numbers: the next keyspace takes others.
            self.inner.topology.store(Arc::new(self.topology().with_numbers_of(&next)));
        })?;
        let keyspace = Keyspace::new(Arc::clone(core), view);
        crate::os::failpoint::hit("keyspace-after-partitions");
        self.commit(&next)?;
        self.publish(next, |keyspaces| {
            keyspaces.insert(keyspace.id(), keyspace.clone());
        });
        drop(changing);
        Ok(keyspace)
    }

    /// The keyspace with a name, created if there is none; the specification matters only then.
    ///
    /// # Errors
    ///
    /// Those of [`create_keyspace`](Self::create_keyspace), except for a name that is taken.
    pub fn keyspace_or_create(
        &self,
        name: &str,
        spec: impl Into<KeyspaceSpec>,
    ) -> Result<Keyspace> {
        match self.keyspace(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            found => return found,
        }
        match self.create_keyspace(name, spec) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.keyspace(name),
            created => created,
        }
    }

    /// The keyspace with a name.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is none.
    pub fn keyspace(&self, name: &str) -> Result<Keyspace> {
        let keyspaces = self.inner.keyspaces.load();
        keyspaces.values().find(|keyspace| keyspace.name() == name).cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("there is no keyspace `{name}`; create it, or list those there are"),
            )
        })
    }

    /// All keyspaces, in the order of their creation.
    #[must_use]
    pub fn keyspaces(&self) -> Vec<Keyspace> {
        self.inner.keyspaces.load().values().cloned().collect()
    }

    /// Drops a keyspace with all its keys: durable when it returns. Writes through handles that
    /// are still held fail from then on; scans and snapshots that are under way stay valid.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is none; [`Closed`](ErrorKind::Closed),
    /// [`InDoubt`](ErrorKind::InDoubt), [`Io`](ErrorKind::Io);
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) in a
    /// [listener](crate::StoreBuilder::listener) of this store, because it waits for reshapes.
    pub fn drop_keyspace(&self, name: &str) -> Result<()> {
        self.reshapes().teller().refuse("drop a keyspace")?;
        let keyspace = self.keyspace(name)?;
        // Before the lock, which a reshape needs to come to its end.
        self.reshapes().close_keyspace(keyspace.id());
        let dropped = self.drop_closed(&keyspace);
        // If it is gone, a reshape finds that out by itself.
        self.reshapes().reopen_keyspace(keyspace.id());
        dropped
    }

    fn drop_closed(&self, keyspace: &Keyspace) -> Result<()> {
        let _changing = self.inner.changing.lock();
        let next = self.topology().apply(&Change::DropKeyspace { id: keyspace.id() })?;
        self.inner.core.check_writable()?;
        let view = keyspace.view();
        // Before the commit, so that no write is acknowledged that the drop then takes away.
        for partition in &view.partitions {
            partition.state.close();
        }
        self.commit(&next)?;
        crate::os::failpoint::hit("drop-after-commit");
        self.publish(next, |keyspaces| {
            keyspaces.remove(&keyspace.id());
        });
        for partition in &view.partitions {
            remove_leftover(&partition.shard, partition.name);
        }
        Ok(())
    }

    /// Shows a committed topology to everybody. `changing` is held.
    pub(super) fn publish(
        &self,
        next: Topology,
        edit: impl FnOnce(&mut BTreeMap<KeyspaceId, Keyspace>),
    ) {
        let mut keyspaces = BTreeMap::clone(&self.inner.keyspaces.load());
        edit(&mut keyspaces);
        self.inner.keyspaces.store(Arc::new(keyspaces));
        self.inner.topology.store(Arc::new(next));
    }

    /// Whether there is room for the partitions of a topology, and for the files of those that are
    /// new in it.
    pub(crate) fn check_room(&self, next: &Topology) -> Result<()> {
        let count = |topology: &Topology| {
            topology.keyspaces().map(|keyspace| keyspace.partition_count()).sum::<usize>()
        };
        if let Some(tables) = self.inner.core.resources.tables_open_max(next.shards().len()) {
            let more = count(next).saturating_sub(count(&self.topology()));
            check_descriptors(more, tables)?;
        }
        let most = self.inner.core.options.partitions_per_shard_max;
        for shard in next.shards() {
            let count = next.partitions_of(shard.id);
            if count > most {
                return Err(Error::invalid(format!(
                    "shard {} would own {count} partitions, more than the {most} that option \
                     partitions_per_shard_max allows; use fewer arcs or split points",
                    shard.id
                )));
            }
        }
        Ok(())
    }

    /// Commits a topology. After an error nobody knows which one is on disk, so the store takes
    /// no more writes; the opening finds out.
    pub(super) fn commit(&self, next: &Topology) -> Result<()> {
        let core = &self.inner.core;
        core.check_places()?;
        // An error here leaves no doubt: nothing is on the disk.
        let record = encode_topology(next)?;
        core.metadata.commit(&record).map_err(|error| self.in_doubt(error))
    }

    pub(super) fn in_doubt(&self, error: Error) -> Error {
        self.inner.core.doubt(&error);
        Error::new(
            ErrorKind::InDoubt,
            format!(
                "a change of the topology may or may not be on disk; open the store anew ({error})"
            ),
        )
        .with_source(error)
    }
}

/// Creates the partitions of a keyspace, the shards in parallel, and opens them. If one fails, those
/// that were created are removed; what cannot be removed is an orphan, which the next opening removes.
fn create_partitions(core: &Core, keyspace: &Arc<topology::KeyspaceLayout>) -> Result<View> {
    let create = |(id, shard): (&ShardId, &ShardEngine)| {
        keyspace
            .names()
            .filter(|(_, owner)| owner == id)
            .try_for_each(|(name, _)| shard.create_partition(name).map(drop))
    };
    // Files that are new have no rows of others.
    let foreign = BTreeMap::new();
    let created =
        in_parallel(core, create).and_then(|()| open::open_view(core, keyspace, &foreign));
    if created.is_err() {
        for (name, owner) in keyspace.names() {
            if let Some(shard) = core.shards.load().get(&owner) {
                remove_leftover(shard, name);
            }
        }
    }
    created
}

/// Drops a partition that the topology does not know any more, or not yet. What cannot be dropped
/// is an orphan, which the next opening drops.
pub(crate) fn remove_leftover(shard: &ShardEngine, name: PartitionName) {
    if let Err(error) = shard.drop_partition(name) {
        tracing::warn!(partition = %name.id, %error, "left a partition behind");
    }
}
