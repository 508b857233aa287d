//! The creation, lookup and dropping of keyspaces.

use super::core::Core;
use super::each_shard::in_parallel;
use super::{Keyspace, Store, open};
use crate::catalog::{
    Catalog, KeyspaceState, Metadata, OWN_PREFIX, View, index_names, remove_leftover,
};
use crate::engine::{Engine, MetadataBatch, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::os::failpoint;
use crate::topology::{self, Change, KeyspaceSpec};
use crate::transaction::refuse_while_running;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Store {
    /// Creates a keyspace. It is durable when this returns; after a crash it is there whole or not
    /// at all.
    ///
    /// Cost: one column family for each partition, a few milliseconds each; shards work in
    /// parallel.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if the name is taken;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a bad name or specification, or if a
    /// shard would own more partitions than
    /// [`partitions_per_shard_max`](crate::Options::partitions_per_shard_max);
    /// [`Closed`](ErrorKind::Closed), [`InDoubt`](ErrorKind::InDoubt), [`Io`](ErrorKind::Io), the
    /// latter also if the process may not open as many files as it would need.
    pub fn create_keyspace(&self, name: &str, spec: impl Into<KeyspaceSpec>) -> Result<Keyspace> {
        check_not_own(name)?;
        make_keyspace(self.core(), name, spec.into())
    }

    /// Returns the keyspace with a name, or creates it if there is none. One that is there must be
    /// what the specification asks for.
    ///
    /// Compared are hash or range, the hashed part, how long rows live, and, where the
    /// specification sets them, arcs per shard and split points: with those of the keyspace's
    /// creation, because it splits and merges later, or with its present split points. Use
    /// [`keyspace`](Self::keyspace) for one that may be partitioned in any way.
    ///
    /// ```
    /// # use annulus::{ErrorKind, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// store.keyspace_or_create("log", KeyspaceSpec::range().split_at(["2026-07"]))?;
    /// store.keyspace_or_create("log", KeyspaceSpec::range())?;
    /// let other = store.keyspace_or_create("log", KeyspaceSpec::hash()).unwrap_err();
    /// assert_eq!(other.kind(), ErrorKind::InvalidArgument);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`create_keyspace`](Self::create_keyspace), except for a name that is taken;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) also if the keyspace is there with another
    /// specification.
    pub fn keyspace_or_create(
        &self,
        name: &str,
        spec: impl Into<KeyspaceSpec>,
    ) -> Result<Keyspace> {
        let spec = spec.into();
        match self.keyspace(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            found => return self.check_spec(found?, &spec),
        }
        match self.create_keyspace(name, spec.clone()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.check_spec(self.keyspace(name)?, &spec)
            }
            created => created,
        }
    }

    /// Returns the keyspace, if it is what a specification asks for.
    fn check_spec(&self, keyspace: Keyspace, asked: &KeyspaceSpec) -> Result<Keyspace> {
        let created = self.core().catalog.metadata.spec(keyspace.id())?;
        let layout = keyspace.placement();
        let present = layout.partitioning();
        let expiry = layout.time_to_live();
        if asked.expiry() == expiry && asked.is_met_by(created.as_ref(), present) {
            return Ok(keyspace);
        }
        let created = created.unwrap_or_else(|| KeyspaceSpec::of(present)).with_expiry(expiry);
        Err(Error::invalid(format!(
            "keyspace `{}` was created {created}, and is asked for {asked}: ask for what it is, or \
             choose another name",
            keyspace.name()
        )))
    }

    /// Returns the keyspace with a name.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is none.
    pub fn keyspace(&self, name: &str) -> Result<Keyspace> {
        check_not_own(name)?;
        find(self.core(), name).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("there is no keyspace `{name}`; create it, or list those there are"),
            )
        })
    }

    /// Returns all keyspaces, in the order of their creation, without those of the
    /// [consumers](Self::consumers) and the [responses](Self::transact_once).
    #[must_use]
    pub fn keyspaces(&self) -> Vec<Keyspace> {
        let mut keyspaces = self.all_keyspaces();
        keyspaces.retain(|keyspace| !keyspace.name().starts_with(OWN_PREFIX));
        keyspaces
    }

    /// The same, with the store's own.
    pub(super) fn all_keyspaces(&self) -> Vec<Keyspace> {
        let keyspaces = self.core().catalog.keyspaces();
        keyspaces.values().map(|keyspace| Keyspace::new(self.core(), keyspace)).collect()
    }

    /// Drops a keyspace with all its keys and [indexes](crate::index), the indexes first; this is
    /// durable when the call returns. Writes through
    /// handles that are still held fail from then on; open scans and snapshots stay valid.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is none; [`Closed`](ErrorKind::Closed),
    /// [`InDoubt`](ErrorKind::InDoubt), [`Io`](ErrorKind::Io);
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) in a
    /// [listener](crate::StoreBuilder::listener) of this store, because it waits for reshapes.
    pub fn drop_keyspace(&self, name: &str) -> Result<()> {
        let registry = &self.core().reshaper.registry;
        registry.teller().refuse("drop a keyspace")?;
        let catalog = &self.core().catalog;
        refuse_while_running(catalog.home.id, "drop a keyspace")?;
        catalog.check_open()?;
        // IMPORTANT: until the keyspace is gone, so that it gets no index that would outlive it.
        let _declaring = (!failpoint::skip("index-outlives")).then(|| catalog.declaring.lock());
        let keyspace = self.keyspace(name)?;
        for index in index_names(&catalog.keyspaces(), keyspace.id()) {
            keyspace.drop_index_alone(&index)?;
        }
        drop_keyspace(self.core(), &keyspace)
    }
}

/// Returns the keyspace with a name, which may be the store's own.
pub(super) fn find(core: &Arc<Core>, name: &str) -> Option<Keyspace> {
    let keyspaces = core.catalog.keyspaces();
    let found = keyspaces.values().find(|keyspace| keyspace.name() == name);
    found.map(|keyspace| Keyspace::new(core, keyspace))
}

/// Creates a keyspace, which may be the store's own.
pub(super) fn make_keyspace(core: &Arc<Core>, name: &str, spec: KeyspaceSpec) -> Result<Keyspace> {
    let catalog = &core.catalog;
    refuse_while_running(catalog.home.id, "create a keyspace")?;
    let spec = spec.or_arcs_per_shard(core.options.arcs_per_shard);
    let changing = catalog.changing();
    let change = Change::CreateKeyspace { name: name.to_owned(), spec: spec.clone() };
    let present = catalog.topology();
    let next = present.apply(&change)?;
    let created = next.keyspace_named(name).ok_or_else(|| {
        Error::new(ErrorKind::Internal, format!("keyspace `{name}` was not created"))
    })?;
    let mut records = MetadataBatch::default();
    Metadata::note_spec(&mut records, created.id(), &spec)?;
    created.names().try_for_each(|(_, owner)| catalog.check_there(owner))?;
    catalog.check_room(&next)?;
    catalog.check_writable()?;
    catalog.check_places()?;
    let view = create_partitions(catalog, created).inspect_err(|_| {
        // Partitions that could not be removed keep their numbers: the next keyspace takes
        // others.
        catalog.set_numbers(present.with_numbers_of(&next));
    })?;
    let state = Arc::new(KeyspaceState::new(view));
    failpoint::hit("keyspace-after-partitions");
    catalog.commit_with(&next, records)?;
    catalog.note_own_keyspace(&state);
    catalog.publish(next, |keyspaces| {
        keyspaces.insert(state.id(), Arc::clone(&state));
    });
    drop(changing);
    Ok(Keyspace::new(core, &state))
}

/// Refuses the names of keyspaces that are the store's own.
fn check_not_own(name: &str) -> Result<()> {
    if name.starts_with(OWN_PREFIX) {
        return Err(Error::invalid(format!(
            "names of keyspaces that begin with `{OWN_PREFIX}` are the store's own; choose another \
             one, or use Store::consumers"
        )));
    }
    Ok(())
}

/// Drops a keyspace, which may be the store's own.
pub(super) fn drop_keyspace(core: &Core, keyspace: &Keyspace) -> Result<()> {
    let registry = &core.reshaper.registry;
    // Before taking the lock, which a reshape needs in order to end.
    registry.close_keyspace(keyspace.id());
    let dropped = drop_closed(&core.catalog, keyspace.state());
    // If the keyspace is gone, a reshape notices that by itself.
    registry.reopen_keyspace(keyspace.id());
    dropped
}

/// Drops a keyspace none of whose partitions is being reshaped.
pub(super) fn drop_closed(catalog: &Catalog, keyspace: &KeyspaceState) -> Result<()> {
    let _changing = catalog.changing();
    let next = catalog.topology().apply(&Change::DropKeyspace { id: keyspace.id() })?;
    let mut records = MetadataBatch::default();
    Metadata::forget_spec(&mut records, keyspace.id());
    catalog.check_writable()?;
    // A log that has failed refuses the commit, after the partitions were closed.
    catalog.log.check()?;
    let view = keyspace.view();
    // Before the commit, so that no write is acknowledged and then lost to the drop.
    for partition in view.open() {
        partition.state.close();
    }
    catalog.commit_with(&next, records)?;
    failpoint::hit("drop-after-commit");
    catalog.publish(next, |keyspaces| {
        keyspaces.remove(&keyspace.id());
    });
    // Those of a missing shard are orphans when it is back, and are dropped then.
    for partition in view.open() {
        remove_leftover(&partition.shard, partition.name);
    }
    Ok(())
}

/// Creates the partitions of a keyspace, the shards in parallel, and opens them. If one fails, the
/// partitions already created are removed; any that cannot be removed are orphans, which the next
/// opening removes.
fn create_partitions(catalog: &Catalog, keyspace: &Arc<topology::KeyspaceLayout>) -> Result<View> {
    open::note_expiring(&catalog.resources, &catalog.home, keyspace);
    let create = |(id, shard): (&ShardId, &ShardEngine)| {
        keyspace
            .names()
            .filter(|(_, owner)| owner == id)
            .try_for_each(|(name, _)| shard.create_partition(name).map(drop))
    };
    // New files have no rows of other partitions.
    let foreign = BTreeMap::new();
    let created =
        in_parallel(catalog, create).and_then(|()| open::open_view(catalog, keyspace, &foreign));
    if created.is_err() {
        for (name, owner) in keyspace.names() {
            if let Some(shard) = catalog.shards().get(&owner) {
                remove_leftover(shard, name);
            }
        }
    }
    created
}
