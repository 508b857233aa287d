//! The opening of an existing store: everything is checked before anything is changed.

use super::breakers::Breakers;
use super::core::Core;
use super::findings::DamagedPartition;
use super::forget::forget;
use super::health::HealthTeller;
use super::index::drop_strays;
use super::log_copies::{self, LogCopies, OpenedLog};
use super::log_directory;
use super::missing::FoundShards;
use super::recovery::{RecoveryReport, check_partitions, roll_back};
use super::retention::retain_changes;
use super::shard_directory::{finish_retiring, note_shard, open_shard};
use super::shard_spec::{ShardSpec, check_specs};
use super::{Options, Store};
use crate::catalog::missing::{self, MissingRecords, MissingShards, Since};
use crate::catalog::openings::{Accepted, Noted, Part};
use crate::catalog::places::{Place, check_overlaps};
use crate::catalog::{
    Catalog, Home, KeyspaceState, Keyspaces, LogKeeper, Metadata, OpenPartition, Shards, View,
};
use crate::engine::{Engine as _, HARDWARE_CHECKSUMS, LogLoss, Resources, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::Expiring;
use crate::id::ShardId;
use crate::log::{CommitLog, CopyRepair, Position};
use crate::os::{failpoint, parallel};
use crate::rebalancer;
use crate::reshape::journal::{self, Intent};
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
    pub(super) allow_missing_shards: bool,
    /// Those that are given up.
    pub(super) forget_shards: Vec<ShardId>,
}

/// Opens a store whose directory is complete and locked.
pub(super) fn load(opening: Opening) -> Result<Store> {
    warn_of_slow_checksums();
    let Opening { home, options, listener, shards: specs, .. } = opening;
    let may_do_without = opening.allow_missing_shards || !opening.forget_shards.is_empty();
    let path = &home.path;
    let directory = metadata_directory(path)?;
    let metadata = Metadata::open(&directory, home.guard(), options.log_damage)?;
    let topology = metadata.topology(home.id)?;
    check_specs(path, &specs, &metadata, &topology)?;
    let intents = journal::intents(&metadata)?;
    let mut reached = reach_shards(&home, &options, &metadata, &topology, may_do_without)?;
    let (topology, forgotten) =
        forget(&home, &metadata, topology, &mut reached, &opening.forget_shards)?;
    let Reached { found, log, lost_of_log, repairs, log_copies, records, first, .. } = reached;
    let (resources, shards) = (reached.resources, reached.shards);
    note_places(&home, &directory, &log_copies, &found)?;
    let mut recovery = RecoveryReport {
        lost: lost(&metadata, lost_of_log, &shards),
        log_copies: repairs,
        damaged: damaged(&shards),
        draining: draining(&topology),
        missing: found.report(&home.path, &topology),
        forgotten,
        ..RecoveryReport::default()
    };
    // IMPORTANT: flush before removing anything that an older topology lists. The last commit may
    // be in the metadata's log only, if its process died before the flush.
    if !failpoint::skip("flush-before-opening-drops") {
        metadata.engine.flush()?;
    }
    check_partitions(&topology, &shards, &intents, &mut recovery)?;
    let missing = found.into_missing(&records, first, Since::Opening);
    roll_back(&metadata, &without_missing_targets(&intents, &missing), &mut recovery)?;
    let catalog = Catalog::new(home, options.limits(), topology, shards, metadata, log, resources);
    let catalog = catalog.without(missing);
    finish_retiring(&catalog, &mut recovery.orphans)?;
    let catalog = Arc::new(catalog);
    catalog.show_keyspaces(open_keyspaces(&catalog)?)?;
    recovery.replayed = replay(&catalog, &**catalog.keyspaces(), &catalog.log)?;
    // IMPORTANT: only now. Until everything is replayed, what a flush has put into files does not
    // count as everything that is in the log before some position.
    catalog.log.finish_replay();
    let missing = catalog.missing();
    let are_back = records.into_keys().filter(|shard| !missing.contains_key(shard));
    missing::forget(&catalog.metadata, are_back)?;
    failpoint::hit("opening-after-replay");
    drop_strays(&catalog, &mut recovery.orphans);
    let core = Core::new(options, catalog, listener);
    keep_log(&core);
    let past = journal::last_number(&core.catalog.metadata);
    let interrupted = intents.last().map_or(0, |(number, _)| *number);
    core.reshaper.registry.begin_numbers_at(past.max(interrupted) + 1);
    let store = Store::new(core, recovery);
    trim_leftovers(store.core());
    rebalancer::start(&store.core().rebalancer);
    Ok(store)
}

/// Notes the directories of a store, so that it is noticed when their paths name others.
fn note_places(
    home: &Home,
    metadata: &Path,
    log_copies: &LogCopies,
    found: &FoundShards,
) -> Result<()> {
    home.places.add(Place::note("the store's metadata", metadata)?);
    // A log that has two copies goes on with one if it cannot reach the other.
    if let [only] = log_copies.current().collect::<Vec<_>>()[..] {
        home.places.add(Place::note(log_copies::name_of(only), &only.path)?);
    }
    for shard in &found.there {
        note_shard(&home.places, shard.id, &shard.directory)?;
    }
    Ok(())
}

/// The shards and the log of a store that is being opened.
pub(super) struct Reached {
    pub(super) found: FoundShards,
    pub(super) log: Arc<CommitLog>,
    lost_of_log: Vec<LogLoss>,
    repairs: Vec<CopyRepair>,
    log_copies: LogCopies,
    /// The records of shards that are missing, or were until now.
    pub(super) records: MissingRecords,
    /// The first position of the log.
    first: Position,
    pub(super) resources: Resources,
    pub(super) shards: Shards,
}

/// Checks and locks the shards and the log, notes the opening in them, and opens their engines.
fn reach_shards(
    home: &Home,
    options: &Options,
    metadata: &Metadata,
    topology: &Topology,
    may_do_without: bool,
) -> Result<Reached> {
    // IMPORTANT: check all identities before opening any engine, so that a refused opening changes
    // nothing.
    let accepted = Accepted::read(metadata, missing::records(metadata)?)?;
    let mut found = FoundShards::find(&home.path, home.id, topology, &accepted, may_do_without)?;
    log_directory::settle(&home.path)?;
    let mut log_copies = LogCopies::find(&home.path, metadata.log_copies()?)?;
    let there: Vec<ShardId> = found.there.iter().map(|shard| shard.id).collect();
    let shards = topology.shards().filter(|shard| there.contains(&shard.id));
    let shards = shards.map(|shard| (shard.id, &*shard.directory));
    check_overlaps(&home.path, log_copies::given(options), shards)?;
    found.lock(home)?;
    log_copies.lock()?;
    let checked = accepted.check_all(&home.path, &parts(&found, &log_copies))?;
    // Before the opening is noted: a log that is refused leaves everything as it is.
    let OpenedLog { log, lost: lost_of_log, repairs, copies: log_copies } =
        log_copies.open(options, home, metadata)?;
    let first = log.first();
    found.check_log(checked.missing(), first, options.log_damage)?;
    let noted: Vec<ShardId> = found.missing().collect();
    let parts = parts(&found, &log_copies);
    let Noted { mut records, accepted, not_noted } =
        checked.note(metadata, &home.path, &parts, (&noted, first))?;
    found.bear_not_noted(not_noted)?;
    let resources = resources(options, home, topology);
    let shards =
        found.open(topology, |directory, guard| open_shard(directory, &resources, guard, &log))?;
    let was_noted = |shard| noted.contains(&shard);
    found.note_late(metadata, &mut records, was_noted, &accepted, first)?;
    failpoint::hit("missing-after-record");
    Ok(Reached { found, log, lost_of_log, repairs, log_copies, records, first, resources, shards })
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
    let mut breakers = Breakers::new(&core.catalog);
    let mut teller = HealthTeller::new(&core.reshaper.registry);
    let look = move |catalog: &Catalog| {
        bring_up.look(catalog);
        breakers.look(catalog, bring_up.refusing());
        teller.tell_changes(catalog);
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

/// Returns the parts of a store that know their last opening.
pub(super) fn parts(shards: &FoundShards, log: &LogCopies) -> Vec<Part> {
    let of_log = log.parts();
    let of_log = of_log.map(|(what, directory)| Part { what, directory, shard: None });
    shards.parts().chain(of_log).collect()
}

/// Returns the intents that can be rolled back. Those with a target on a missing shard say, when it is
/// back, that the target may be dropped.
fn without_missing_targets(
    intents: &[(u64, Intent)],
    missing: &MissingShards,
) -> Vec<(u64, Intent)> {
    let skip = failpoint::skip("missing-keeps-intent");
    let ends = |(_, intent): &&(u64, Intent)| {
        skip || intent.targets.iter().all(|(_, shard)| !missing.contains_key(shard))
    };
    intents.iter().filter(ends).cloned().collect()
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
    shards: &[T],
    id: impl Fn(&T) -> ShardId,
    open: impl Fn(&T) -> Result<ShardEngine> + Sync,
) -> Vec<Result<Arc<ShardEngine>>> {
    let opened = parallel::each(shards, open);
    let engine = |(shard, opened): (&T, std::thread::Result<Result<ShardEngine>>)| {
        let id = id(shard);
        let engine = opened
            .map_err(|_| Error::new(ErrorKind::Internal, format!("opening shard {id} panicked")))?;
        let engine = engine.map_err(|error| {
            Error::new(error.kind(), format!("cannot open shard {id}")).with_source(error)
        })?;
        Ok(Arc::new(engine))
    };
    shards.iter().zip(opened).map(engine).collect()
}

/// Opens the keyspaces of a store whose partitions are all there, or on a missing shard.
pub(super) fn open_keyspaces(catalog: &Catalog) -> Result<Keyspaces> {
    let foreign = journal::out_of_range(&catalog.metadata)?;
    let open = |keyspace: &Arc<topology::KeyspaceLayout>| {
        let view = open_view(catalog, keyspace, &foreign)?;
        Ok((keyspace.id(), Arc::new(KeyspaceState::new(view))))
    };
    catalog.topology().keyspaces().map(open).collect()
}

/// Opens the view of a keyspace whose partitions are all there, or on a missing shard.
pub(super) fn open_view(
    catalog: &Catalog,
    keyspace: &Arc<topology::KeyspaceLayout>,
    foreign: &BTreeMap<PartitionName, u32>,
) -> Result<View> {
    let (shards, missing) = (catalog.shards(), catalog.missing());
    let open = |(name, owner)| {
        if missing.contains_key(&owner) {
            return Ok(None);
        }
        let shard = shards.get(&owner);
        let opened = shard.and_then(|shard| Some((shard, shard.partition(name)?)));
        let (shard, handle) = opened.ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("partition {} is not open", name.id))
        })?;
        let permille = foreign.get(&name).copied().unwrap_or(0);
        let partition = OpenPartition::new(name, owner, Arc::clone(shard), handle);
        Ok(Some(Arc::new(partition.with_out_of_range(permille))))
    };
    let partitions = keyspace.names().map(open).collect::<Result<_>>()?;
    let expiring = &catalog.resources.expiring;
    let expiring = keyspace.names().find_map(|(name, _)| expiring.get(name));
    Ok(View::new(Arc::clone(keyspace), partitions, expiring, missing))
}

/// Queues for trimming the partitions that have shared files since before this opening.
fn trim_leftovers(core: &Core) {
    if !core.options.reshape.trim {
        return;
    }
    let mut any = false;
    for keyspace in core.catalog.keyspaces().values() {
        let view = keyspace.view();
        for partition in view.open().filter(|p| p.out_of_range_permille > 0) {
            core.reshaper.registry.trim_later(partition.name);
            any = true;
        }
    }
    if any {
        reshape::start_trimming(&core.reshaper);
    }
}
