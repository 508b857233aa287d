//! The opening of an existing store: everything is checked before anything is changed.

use super::core::Core;
use super::disks::DiskKeeper;
use super::findings::DamagedPartition;
use super::log_copies::{self, LogCopies, OpenedLog};
use super::log_directory;
use super::recovery::{RecoveryReport, check_partitions, roll_back};
use super::retention::retain_changes;
use super::shard_directory::{check_shard, finish_retiring, note_shard, open_shard};
use super::shard_spec::{ShardSpec, check_specs};
use super::{Options, Store};
use crate::catalog::directory::DirectoryLock;
use crate::catalog::openings;
use crate::catalog::places::{Place, check_overlaps};
use crate::catalog::{
    Catalog, Home, KeyspaceState, Keyspaces, LogKeeper, Metadata, OpenPartition, Shards, View,
};
use crate::engine::{Engine as _, HARDWARE_CHECKSUMS, LockGuard, LogLoss, Resources, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::Expiring;
use crate::id::ShardId;
use crate::os::parallel;
use crate::rebalancer;
use crate::reshape::journal;
use crate::reshape::{self, Listener};
use crate::topology::{self, PartitionName, Topology};
use crate::write::{BringUp, replay};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

/// Warns, once per process, of a build in which every write costs more than necessary.
fn warn_of_slow_checksums() {
    static WARNED: Once = Once::new();
    if !HARDWARE_CHECKSUMS {
        WARNED.call_once(|| {
            tracing::warn!(
                "RocksDB was compiled to compute checksums in software; build with \
                 RUSTFLAGS=\"-C target-feature=+sse4.2,+pclmulqdq\" (x86-64) or \
                 \"-C target-feature=+crc,+aes\" (aarch64)"
            );
        });
    }
}

/// What is known about a store before its engines are open.
#[derive(Clone)]
pub(super) struct Opening {
    pub(super) home: Home,
    pub(super) options: Options,
    pub(super) listener: Option<Listener>,
    /// What the builder specifies; empty if it specifies no shard.
    pub(super) shards: Vec<ShardSpec>,
}

/// Opens a store whose directory is complete and locked.
pub(super) fn load(opening: Opening) -> Result<Store> {
    warn_of_slow_checksums();
    let Opening { home, options, listener, shards: specs } = opening;
    let path = &home.path;
    let directory = metadata_directory(path)?;
    let metadata = Metadata::open(&directory, home.guard(), options.log_damage)?;
    let topology = metadata.topology(home.id)?;
    check_specs(path, &specs, &metadata, &topology)?;
    let intents = journal::intents(&metadata)?;
    // IMPORTANT: check all identities before opening any engine, so that a refused opening changes
    // nothing.
    let mut directories = Vec::new();
    for shard in topology.shards() {
        directories.push((shard.id, check_shard(path, shard, home.id)?));
    }
    log_directory::settle(path)?;
    let mut log_copies = LogCopies::find(path, metadata.log_copies()?)?;
    let shards = topology.shards().map(|shard| (shard.id, &*shard.directory));
    check_overlaps(path, log_copies::given(&options), shards)?;
    let locks = directories.iter().map(|(_, directory)| DirectoryLock::take_shard(directory));
    let locks = locks.collect::<Result<Vec<_>>>()?;
    log_copies.lock()?;
    let checked = openings::check(&metadata, path, &parts(&directories, &log_copies))?;
    // Before the opening is noted: a log that is refused leaves everything as it is.
    let OpenedLog { log, lost: lost_of_log, repairs, copies: log_copies } =
        log_copies.open(&options, &home, &metadata)?;
    checked.note(&metadata, path, &parts(&directories, &log_copies))?;
    let resources = resources(&options, &home, &topology);
    let locked = |((id, directory), lock)| (id, (directory, home.guard_with(lock)));
    let locked: Vec<(ShardId, (PathBuf, LockGuard))> =
        directories.into_iter().zip(locks).map(locked).collect();
    let shards = open_shards(&locked, |_, (directory, guard)| {
        open_shard(directory, &resources, guard, &log)
    })?;
    home.places.add(Place::note("the store's metadata", &directory)?);
    // A log that has two copies goes on with one if it cannot reach the other.
    if let [only] = log_copies.current().collect::<Vec<_>>()[..] {
        home.places.add(Place::note(log_copies::name_of(only), &only.path)?);
    }
    for (id, (directory, _)) in &locked {
        note_shard(&home.places, *id, directory)?;
    }
    let mut recovery = RecoveryReport {
        lost: lost(&metadata, lost_of_log, &shards),
        log_copies: repairs,
        damaged: damaged(&shards),
        draining: draining(&topology),
        ..RecoveryReport::default()
    };
    // IMPORTANT: flush before removing anything that an older topology lists. The last commit may
    // be in the metadata's log only, if its process died before the flush.
    if !crate::os::failpoint::skip("flush-before-opening-drops") {
        metadata.engine.flush()?;
    }
    check_partitions(&topology, &shards, &intents, &mut recovery)?;
    roll_back(&metadata, &intents, &mut recovery)?;
    let catalog = Catalog::new(home, options.limits(), topology, shards, metadata, log, resources);
    finish_retiring(&catalog, &mut recovery.orphans)?;
    let catalog = Arc::new(catalog);
    catalog.show_keyspaces(open_keyspaces(&catalog)?)?;
    recovery.replayed = replay(&catalog, &**catalog.keyspaces(), &catalog.log)?;
    // IMPORTANT: only now. Until everything is replayed, what a flush has put into files does not
    // count as everything that is in the log before some position.
    catalog.log.finish_replay();
    crate::os::failpoint::hit("opening-after-replay");
    let core = Core::new(options, catalog, listener);
    keep_log(&core);
    DiskKeeper::start(&core);
    let past = journal::last_number(&core.catalog.metadata);
    let interrupted = intents.last().map_or(0, |(number, _)| *number);
    core.reshaper.registry.begin_numbers_at(past.max(interrupted) + 1);
    let store = Store::new(core, recovery);
    trim_leftovers(store.core());
    rebalancer::start(&store.core().rebalancer);
    Ok(store)
}

/// Returns what the shards of a store share, which knows the partitions whose rows expire.
pub(super) fn resources(options: &Options, home: &Home, topology: &Topology) -> Resources {
    let resources = Resources::new(&options.engine(), topology.shards().len());
    for keyspace in topology.keyspaces() {
        note_expiring(&resources, home, keyspace);
    }
    resources
}

/// Notes the partitions of a keyspace whose rows expire, before they are made or opened.
pub(super) fn note_expiring(
    resources: &Resources,
    home: &Home,
    keyspace: &topology::KeyspaceLayout,
) {
    let Some(time_to_live) = keyspace.time_to_live() else { return };
    let expiring = Expiring::new(&home.horizon, time_to_live);
    for (name, _) in keyspace.names() {
        resources.expiring.add(name, &expiring);
    }
}

/// Starts what keeps the log short, and partitions and consumers up to it.
fn keep_log(core: &Core) {
    let mut bring_up = BringUp::default();
    let look = move |catalog: &Catalog| {
        bring_up.look(catalog);
    };
    let limits = core.hold_limits();
    let retain = move |catalog: &Catalog| retain_changes(catalog, limits);
    *core.log_keeper.lock() = LogKeeper::start(&core.catalog, look, retain);
}

/// Returns the directory of the metadata, which must exist.
pub(super) fn metadata_directory(store: &Path) -> Result<PathBuf> {
    let directory = store.join("metadata");
    if ShardEngine::exists(&directory)? {
        return Ok(directory);
    }
    let place = directory.display();
    Err(Error::new(
        ErrorKind::Damaged,
        format!("the store's metadata {place} is missing; restore it from a copy"),
    ))
}

/// Returns the parts of a store that know their last opening, by name and directory.
pub(super) fn parts(shards: &[(ShardId, PathBuf)], log: &LogCopies) -> Vec<(String, PathBuf)> {
    let shards = shards.iter().map(|(id, directory)| (format!("shard {id}"), directory.clone()));
    shards.chain(log.parts()).collect()
}

/// Returns what the logs, and the lists of the shards' files, had lost.
pub(super) fn lost(
    metadata: &Metadata,
    of_log: impl IntoIterator<Item = LogLoss>,
    shards: &Shards,
) -> Vec<LogLoss> {
    let of_shards = shards.values().flat_map(|shard| shard.lost());
    let of_metadata = metadata.engine.lost().iter();
    of_metadata.cloned().chain(of_log).chain(of_shards.cloned()).collect()
}

/// Returns the partitions that were found damaged.
pub(super) fn damaged(shards: &Shards) -> Vec<DamagedPartition> {
    let describe = |shard, (name, why): (&PartitionName, &String)| {
        tracing::error!(%shard, partition = %name, "damaged: {why}");
        DamagedPartition { partition: name.id, shard, reason: why.clone() }
    };
    let of_shard = |(id, shard): (&ShardId, &Arc<ShardEngine>)| {
        shard.damaged().iter().map(|entry| describe(*id, entry)).collect::<Vec<_>>()
    };
    shards.iter().flat_map(of_shard).collect()
}

/// Returns the shards that are being removed.
pub(super) fn draining(topology: &Topology) -> Vec<ShardId> {
    topology.shards().filter(|shard| shard.draining).map(|shard| shard.id).collect()
}

/// Opens all shards, in parallel.
pub(super) fn open_shards<T: Sync>(
    shards: &[(ShardId, T)],
    open: impl Fn(ShardId, &T) -> Result<ShardEngine> + Sync,
) -> Result<Shards> {
    let opened = parallel::each(shards, |(id, shard)| open(*id, shard));
    let engine = |((id, _), opened): (&(ShardId, T), std::thread::Result<Result<ShardEngine>>)| {
        let id = *id;
        let engine = opened
            .map_err(|_| Error::new(ErrorKind::Internal, format!("opening shard {id} panicked")))?;
        let engine = engine.map_err(|error| {
            Error::new(error.kind(), format!("cannot open shard {id}")).with_source(error)
        })?;
        Ok((id, Arc::new(engine)))
    };
    shards.iter().zip(opened).map(engine).collect()
}

/// Opens the keyspaces of a store whose partitions are all there.
pub(super) fn open_keyspaces(catalog: &Catalog) -> Result<Keyspaces> {
    let foreign = journal::out_of_range(&catalog.metadata)?;
    let open = |keyspace: &Arc<topology::KeyspaceLayout>| {
        let view = open_view(catalog, keyspace, &foreign)?;
        Ok((keyspace.id(), Arc::new(KeyspaceState::new(view))))
    };
    catalog.topology().keyspaces().map(open).collect()
}

/// Opens the view of a keyspace whose partitions are all there.
pub(super) fn open_view(
    catalog: &Catalog,
    keyspace: &Arc<topology::KeyspaceLayout>,
    foreign: &BTreeMap<PartitionName, u32>,
) -> Result<View> {
    let shards = catalog.shards();
    let partitions = keyspace
        .names()
        .map(|(name, owner)| {
            let shard = shards.get(&owner);
            let opened = shard.and_then(|shard| Some((shard, shard.partition(name)?)));
            let (shard, handle) = opened.ok_or_else(|| {
                Error::new(ErrorKind::Internal, format!("partition {} is not open", name.id))
            })?;
            let permille = foreign.get(&name).copied().unwrap_or(0);
            let partition = OpenPartition::new(name, owner, Arc::clone(shard), handle);
            Ok(Arc::new(partition.with_out_of_range(permille)))
        })
        .collect::<Result<_>>()?;
    Ok(View { keyspace: Arc::clone(keyspace), partitions })
}

/// Queues for trimming the partitions that have shared files since before this opening.
fn trim_leftovers(core: &Core) {
    if !core.options.reshape.trim {
        return;
    }
    let mut any = false;
    for keyspace in core.catalog.keyspaces().values() {
        let view = keyspace.view();
        for partition in view.partitions.iter().filter(|p| p.out_of_range_permille > 0) {
            core.reshaper.registry.trim_later(partition.name);
            any = true;
        }
    }
    if any {
        reshape::start_trimming(&core.reshaper);
    }
}
