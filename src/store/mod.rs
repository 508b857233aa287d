//! The store: what an application opens.

mod batch;
mod bounds;
mod core;
mod directory;
mod keyspace;
mod latch;
mod merge;
mod metadata;
mod open;
mod redo;
mod scan;
mod snapshot;
mod stats;
mod view;

pub use batch::Batch;
pub use bounds::KeyBounds;
pub use keyspace::{Keyspace, Swap, Value};
pub use open::{Creation, Recovery, ShardSpec, StoreBuilder};
pub use scan::{Scan, ScanOptions};
pub use snapshot::Snapshot;
pub(crate) use view::View;

pub use stats::{KeyspaceStats, PartitionStats, ShardStats, StoreStats};

use self::core::Core;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{KeyspaceId, ShardId};
use crate::options::Durability;
use crate::shard::{Engine, Shard};
use crate::topology::{self, Change, KeyspaceSpec, Topology};
use crate::verify::Verification;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open store. Cheap to clone; every method may be called from any thread.
///
/// A store is one directory of metadata and its shards, each a RocksDB instance in a directory of
/// its own. It holds [keyspaces](Keyspace), whose keys are placed on shards by hash or by range.
///
/// ```
/// use annulus::{Store, topology::KeyspaceSpec};
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("store");
/// let store = Store::open(path)?;
/// let events = store.create_keyspace("events", KeyspaceSpec::range().split_at(["m"]))?;
/// events.put("login/ada", "09:00")?;
/// events.put("task/7", "done")?;
/// for row in events.prefix("login/")? {
///     let (key, value) = row?;
///     assert_eq!((&key[..], &value[..]), (&b"login/ada"[..], &b"09:00"[..]));
/// }
/// store.close()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    topology: ArcSwap<Topology>,
    keyspaces: ArcSwap<BTreeMap<KeyspaceId, Keyspace>>,
    /// Held by a change of the topology, from reading the present one to publishing the next.
    changing: Mutex<()>,
    recovery: Recovery,
}

impl batch::Views for BTreeMap<KeyspaceId, Keyspace> {
    fn view(&self, keyspace: KeyspaceId) -> Result<Option<Arc<View>>> {
        Ok(self.get(&keyspace).map(Keyspace::view))
    }
}

impl Store {
    fn new(
        core: Arc<Core>,
        topology: Topology,
        keyspaces: BTreeMap<KeyspaceId, Keyspace>,
        recovery: Recovery,
    ) -> Self {
        let inner = Inner {
            core,
            topology: ArcSwap::from_pointee(topology),
            keyspaces: ArcSwap::from_pointee(keyspaces),
            changing: Mutex::new(()),
            recovery,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Opens the store in a directory with the default options, or creates it there with four
    /// shards. [`builder`](Self::builder) says more.
    ///
    /// # Errors
    ///
    /// Those of [`StoreBuilder::open`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::builder(path).open()
    }

    /// Options, shards, and whether to create: everything there is to say about opening.
    pub fn builder(path: impl Into<PathBuf>) -> StoreBuilder {
        StoreBuilder::new(path.into())
    }

    /// The store's directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.core.path
    }

    /// Who owns what, now: an immutable value. Later changes make a new one.
    #[must_use]
    pub fn topology(&self) -> Arc<Topology> {
        self.inner.topology.load_full()
    }

    /// What this opening found to put right.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// Creates a keyspace: durable when it returns, there whole or not at all after a crash.
    ///
    /// Cost: a column family for each partition, some milliseconds each; shards work in parallel.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if the name is taken;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a bad name or specification, or if a
    /// shard would own more partitions than
    /// [`partitions_per_shard_max`](crate::Options::partitions_per_shard_max);
    /// [`Closed`](ErrorKind::Closed), [`InDoubt`](ErrorKind::InDoubt), [`Io`](ErrorKind::Io).
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
        drop(core.pass_gate()?);
        create_partitions(core, created)?;
        crate::failpoint::hit("keyspace-after-partitions");
        self.commit(&next)?;
        let keyspace = Keyspace::new(Arc::clone(core), open::open_view(core, created)?);
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
    /// [`InDoubt`](ErrorKind::InDoubt), [`Io`](ErrorKind::Io).
    pub fn drop_keyspace(&self, name: &str) -> Result<()> {
        let _changing = self.inner.changing.lock();
        let keyspace = self.keyspace(name)?;
        let next = self.topology().apply(&Change::DropKeyspace { id: keyspace.id() })?;
        drop(self.inner.core.pass_gate()?);
        let view = keyspace.view();
        // Before the commit, so that no write is acknowledged that the drop then takes away.
        for partition in &view.partitions {
            partition.retire();
        }
        self.commit(&next)?;
        crate::failpoint::hit("drop-after-commit");
        self.publish(next, |keyspaces| {
            keyspaces.remove(&keyspace.id());
        });
        view.partitions
            .iter()
            .try_for_each(|partition| partition.shard.drop_partition(partition.name))
    }

    /// Shows a committed topology to everybody. `changing` is held.
    fn publish(&self, next: Topology, edit: impl FnOnce(&mut BTreeMap<KeyspaceId, Keyspace>)) {
        let mut keyspaces = BTreeMap::clone(&self.inner.keyspaces.load());
        edit(&mut keyspaces);
        self.inner.keyspaces.store(Arc::new(keyspaces));
        self.inner.topology.store(Arc::new(next));
    }

    fn check_room(&self, next: &Topology) -> Result<()> {
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
    fn commit(&self, next: &Topology) -> Result<()> {
        let core = &self.inner.core;
        core.metadata.commit(next).map_err(|error| {
            core.doubt();
            Error::new(
                ErrorKind::InDoubt,
                format!("a change of the topology may or may not be on disk; open the store anew ({error})"),
            )
            .with_source(error)
        })
    }

    /// Commits a batch with the store's default durability: all of it takes effect, or nothing.
    ///
    /// After a crash of the process a batch is there whole or not at all, at either durability.
    /// After a power cut that holds for `Synced` batches, and for `Buffered` ones that concern a
    /// single shard; a `Buffered` batch over several shards may be cut. A [`Snapshot`] sees it
    /// whole or not at all; single reads may see some of its keys before others.
    ///
    /// Cost: on one shard, one write. On several, a record in the metadata (one sync, if synced)
    /// and a write to each shard.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for keys or values that are too long, or
    /// keyspaces of another store; [`Closed`](ErrorKind::Closed) if a keyspace was dropped, and
    /// nothing was written; [`InDoubt`](ErrorKind::InDoubt) if an error came between the parts:
    /// reopening the store completes the batch.
    pub fn write(&self, batch: Batch) -> Result<()> {
        self.write_with(batch, self.inner.core.options.durability)
    }

    /// Commits a batch with a durability of its own.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write).
    pub fn write_with(&self, batch: Batch, durability: Durability) -> Result<()> {
        batch::commit(&self.inner.core, &**self.inner.keyspaces.load(), batch, durability)
    }

    /// Everything as it is now, for as long as the snapshot is held.
    ///
    /// Cost: writers wait for some microseconds, and it waits for the writes under way.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after the store was closed.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.check_open()?;
        Ok(Snapshot::take(&self.inner.core, || {
            self.keyspaces().iter().map(|keyspace| (keyspace.id(), keyspace.view())).collect()
        }))
    }

    /// Makes every write that was acknowledged survive a power cut.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) if a shard cannot be synced; [`Closed`](ErrorKind::Closed).
    pub fn sync(&self) -> Result<()> {
        self.check_open()?;
        on_every_shard(&self.inner.core, Shard::sync)?;
        self.inner.core.metadata.engine.sync()
    }

    /// Moves what is in write buffers into files, so that the next opening has nothing to read
    /// back.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) if a shard cannot be written; [`Closed`](ErrorKind::Closed).
    pub fn flush(&self) -> Result<()> {
        self.check_open()?;
        on_every_shard(&self.inner.core, Shard::flush)
    }

    /// What the store occupies.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) if a shard cannot say.
    pub fn stats(&self) -> Result<StoreStats> {
        let topology = self.topology();
        let keyspaces = self
            .keyspaces()
            .iter()
            .map(|keyspace| {
                Ok(KeyspaceStats {
                    name: keyspace.name().to_owned(),
                    partitioning: keyspace.placement().partitioning().name(),
                    partitions: keyspace.stats()?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let core = &self.inner.core;
        let shards = topology.shards().map(|shard| shard_stats(core, shard, &keyspaces)).collect();
        Ok(StoreStats {
            epoch: topology.epoch(),
            shards,
            keyspaces,
            cache_bytes: core.resources.cache_bytes_used(),
            write_buffer_bytes: core.resources.write_buffer_bytes_used(),
        })
    }

    /// Reads the whole store, as of one moment, and checks it: the invariants of the topology,
    /// that each key stands in the partition that routing names, in order, and every checksum on
    /// the way. Reads and writes go on meanwhile.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after the store was closed. What is wrong with the data is
    /// in the report, not an error.
    pub fn verify(&self) -> Result<Verification> {
        let snapshot = self.snapshot()?;
        let mut report = Verification::default();
        if let Err(violation) = self.topology().check() {
            report.problems.push(violation.to_string());
        }
        for view in snapshot.views() {
            let cut = |shard| snapshot.cut().get(&shard).cloned();
            let keyspace = crate::verify::keyspace(view, cut, &mut report.problems);
            report.keyspaces.push(keyspace);
        }
        report.recovered.clone_from(&self.recovery().orphans);
        Ok(report)
    }

    /// Ends all writes, then flushes and syncs everything, so that the next opening is fast and
    /// nothing is lost to a power cut. A store that is only dropped loses no acknowledged write
    /// either, as far as its durability goes, but the next opening reads it back from the logs.
    ///
    /// The directory can be opened again when the last handle is gone: stores, keyspaces, scans,
    /// snapshots and values. Closing twice does no harm.
    ///
    /// # Errors
    ///
    /// The first error of a shard; the others are closed all the same.
    pub fn close(&self) -> Result<()> {
        let core = &self.inner.core;
        if !core.mark_closed() {
            return Ok(());
        }
        // Waits for the writes that passed before the mark.
        drop(core.gate.close());
        for keyspace in self.keyspaces() {
            keyspace.view().partitions.iter().for_each(|partition| partition.retire());
        }
        let settled = core.redo.settle(core);
        let flushed = on_every_shard(core, Shard::flush);
        let synced = on_every_shard(core, Shard::sync);
        let metadata = core.metadata.engine.flush();
        core.shards.values().for_each(|shard| shard.quiesce());
        core.metadata.engine.quiesce();
        settled.and(flushed).and(synced).and(metadata)
    }

    fn check_open(&self) -> Result<()> {
        if self.inner.core.is_closed() {
            return Err(Error::new(ErrorKind::Closed, "the store is closed; open it again"));
        }
        Ok(())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path())
            .field("epoch", &self.topology().epoch())
            .finish_non_exhaustive()
    }
}

fn shard_stats(
    core: &Core,
    shard: &topology::ShardInfo,
    keyspaces: &[KeyspaceStats],
) -> ShardStats {
    let mut stats = ShardStats {
        id: shard.id,
        directory: core.path.join(&shard.directory),
        weight: shard.weight,
        zone: shard.zone.clone(),
        partitions: 0,
        keys_estimated: 0,
        bytes_on_disk: 0,
        bytes_in_memory: 0,
    };
    let partitions = keyspaces.iter().flat_map(|keyspace| &keyspace.partitions);
    for partition in partitions.filter(|partition| partition.owner == shard.id) {
        stats.partitions += 1;
        stats.keys_estimated += partition.keys_estimated;
        stats.bytes_on_disk += partition.bytes_on_disk;
        stats.bytes_in_memory += partition.bytes_in_memory;
    }
    stats
}

/// Creates the partitions of a keyspace, the shards in parallel. If one fails, those that were
/// created are removed; what cannot be removed is an orphan, which the next opening removes.
fn create_partitions(core: &Core, keyspace: &topology::Keyspace) -> Result<()> {
    let create = |(id, shard): (&ShardId, &Engine)| {
        keyspace
            .names()
            .filter(|(_, owner)| owner == id)
            .try_for_each(|(name, _)| shard.create_partition(name).map(drop))
    };
    let created = in_parallel(core, create);
    if created.is_err() {
        for (name, owner) in keyspace.names() {
            let shard = core.shards.get(&owner);
            if let Some(shard) = shard.filter(|shard| shard.partition(name).is_some()) {
                if let Err(error) = shard.drop_partition(name) {
                    tracing::warn!(partition = %name.id, %error, "left behind by a failed change");
                }
            }
        }
    }
    created
}

fn on_every_shard(core: &Core, job: impl Fn(&Engine) -> Result<()> + Sync) -> Result<()> {
    in_parallel(core, |(_, shard)| job(shard))
}

/// Runs a job for every shard, in parallel, to the end even if one fails; gives the first error.
fn in_parallel(core: &Core, job: impl Fn((&ShardId, &Engine)) -> Result<()> + Sync) -> Result<()> {
    let job = &job;
    std::thread::scope(|scope| {
        let running: Vec<_> =
            core.shards.iter().map(|(id, shard)| scope.spawn(move || job((id, shard)))).collect();
        running
            .into_iter()
            .map(|thread| {
                let panicked = || Error::new(ErrorKind::Internal, "a shard's worker panicked");
                thread.join().unwrap_or_else(|_| Err(panicked()))
            })
            .fold(Ok(()), Result::and)
    })
}
