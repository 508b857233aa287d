//! The circuit breaker of each shard: taken out when it has failed, probed, and taken back.
//!
//! | breaker | the shard | what ends it |
//! |---|---|---|
//! | closed | serves, or RocksDB recovers by itself, and [`BringUp`](crate::write::BringUp) what is behind | [`REFUSALS_MAX`] refusals in a row of what its partitions lack open it |
//! | open | is refused at once | when nothing holds its engine any more, and a wait with full jitter is over, a probe begins |
//! | half open | is refused, except for the probe: it opens the engine, and one thread applies what the log has and flushes it | if all of that succeeds, the breaker is closed; otherwise it is open again, and the wait doubles |
//!
//! [`taken_out`](crate::catalog) has the steps. A shard that was missing at the opening has an open breaker
//! from the beginning.
//!
//! **A full disk** is left to RocksDB, which looks for room every five seconds: as long as there is none,
//! nothing is gained by closing the engine, and what can still be read of the shard would be lost. If there
//! has been room for [`ROOM_MAX`] and the shard refuses all the same, the breaker opens.

use super::missing::is_full;
use super::open::damaged;
use super::recovery::{RecoveryReport, check_partitions, wanted_partitions};
use super::shard_directory::{check_shard, note_shard, open_shard};
use crate::catalog::directory::DirectoryLock;
use crate::catalog::missing::{self, Since};
use crate::catalog::places::check_overlaps;
use crate::catalog::{Catalog, OpenPartition, OpenPartitions, Shards, View, openings};
use crate::engine::{Engine as _, Held, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{KeyspaceId, ShardId};
use crate::os::backoff::Backoff;
use crate::os::failpoint;
use crate::reshape::journal;
use crate::topology::{KeyspaceLayout, Topology};
use crate::write::{Refusing, Replayed, replay_from};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// After how many refusals in a row a shard has failed. With the waits between them that takes about six
/// seconds: longer than RocksDB takes to notice that a full disk has room again.
const REFUSALS_MAX: u32 = 6;

/// How long RocksDB is given to notice that a disk that was full has room again.
const ROOM_MAX: Duration = Duration::from_secs(15);

/// What counts as room.
const ROOM_BYTES: u64 = 16 << 20;

/// The waits between probes.
const PROBES: Backoff = Backoff { first: Duration::from_millis(500), max: Duration::from_secs(60) };

/// For how long a shard that was taken back must serve until its failures before are forgotten.
const CALM: Duration = Duration::from_secs(60);

/// Why a shard is not opened whose engine is held.
const HELD: &str = "it was taken out, because it failed; it is opened again when the snapshots, scans and \
                    values are dropped that are held of it from before";

/// How long the writes in progress are waited for. If they take longer, the next look waits again.
const DRAIN_MAX: Duration = Duration::from_millis(20);

/// The breakers of the shards of a store that are, or were lately, open.
pub(super) struct Breakers {
    catalog: Weak<Catalog>,
    breakers: BTreeMap<ShardId, Breaker>,
    /// Since when the full disks of shards have had room.
    room_since: BTreeMap<ShardId, Instant>,
    stop: Arc<AtomicBool>,
}

/// A breaker that is open, half open, or was closed lately.
struct Breaker {
    /// What is held of the engine that was taken out.
    held: Option<Held>,
    /// The thread that lets go of the engine: closing it may take long.
    closing: Option<JoinHandle<()>>,
    /// How often in a row it could not be closed, or not for long.
    failures: u32,
    state: BreakerState,
}

enum BreakerState {
    Open { until: Instant },
    HalfOpen { probe: JoinHandle<Result<()>> },
    Closed { since: Instant },
}

impl Breakers {
    /// Returns the breakers of a store that is opened: those of missing shards are open.
    pub(super) fn new(catalog: &Arc<Catalog>) -> Self {
        let of_missing = |shard: &ShardId| (*shard, Breaker::open(1));
        Self {
            catalog: Arc::downgrade(catalog),
            breakers: catalog.missing().keys().map(of_missing).collect(),
            room_since: BTreeMap::new(),
            stop: Arc::default(),
        }
    }

    /// Opens the breakers of shards that have failed, and closes those of shards that can be opened.
    pub(super) fn look<'a>(
        &mut self,
        catalog: &Catalog,
        refusing: impl Iterator<Item = Refusing<'a>>,
    ) {
        for Refusing { shard, refusals, error } in refusing {
            if refusals >= REFUSALS_MAX && !self.is_left_to_engine(catalog, shard, error) {
                self.take_out(catalog, shard, error);
            }
        }
        for (shard, breaker) in &mut self.breakers {
            breaker.look(*shard, catalog, &self.catalog, &self.stop);
        }
        let is_remembered = |breaker: &Breaker| match breaker.state {
            BreakerState::Closed { since } => since.elapsed() < CALM,
            _ => true,
        };
        self.breakers.retain(|_, breaker| is_remembered(breaker));
    }

    /// Returns true if a shard refuses because its disk is full, and the engine may not have noticed yet
    /// that it has room again.
    fn is_left_to_engine(&mut self, catalog: &Catalog, shard: ShardId, error: &Error) -> bool {
        if !is_full(error) {
            return false;
        }
        let room = catalog.shard(shard).ok().and_then(|engine| engine.bytes_free());
        if room.is_some_and(|bytes| bytes < ROOM_BYTES) {
            self.room_since.remove(&shard);
            return true;
        }
        self.room_since.entry(shard).or_insert_with(Instant::now).elapsed() < ROOM_MAX
    }

    fn take_out(&mut self, catalog: &Catalog, shard: ShardId, error: &Error) {
        let deadline = Instant::now() + DRAIN_MAX;
        let Some(engine) = catalog.take_out(shard, error, deadline) else { return };
        self.room_since.remove(&shard);
        // Its failures are remembered if it has not served for long.
        let before = self.breakers.get(&shard).map_or(0, |breaker| breaker.failures);
        let held = Some(engine.held());
        let thread = std::thread::Builder::new().name("annulus-close".into());
        // Where the system refuses a thread, it is dropped here.
        let closing = thread.spawn(move || drop(engine)).ok();
        let breaker = Breaker { held, closing, ..Breaker::open(before.saturating_add(1)) };
        self.breakers.insert(shard, breaker);
    }
}

/// Ends probes; a shard that is being opened is closed again.
impl Drop for Breakers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for (_, breaker) in std::mem::take(&mut self.breakers) {
            // A panic was reported by the thread itself.
            if let BreakerState::HalfOpen { probe } = breaker.state {
                let _ = probe.join();
            }
            let _ = breaker.closing.map(JoinHandle::join);
        }
    }
}

impl Breaker {
    fn open(failures: u32) -> Self {
        let until = Instant::now() + PROBES.wait(failures);
        Self { held: None, closing: None, failures, state: BreakerState::Open { until } }
    }

    /// Begins a probe when it is time, and notes how one has ended.
    fn look(
        &mut self,
        shard: ShardId,
        catalog: &Catalog,
        weak: &Weak<Catalog>,
        stop: &Arc<AtomicBool>,
    ) {
        match &self.state {
            BreakerState::Open { until } if *until <= Instant::now() => {
                if self.held.as_ref().is_some_and(|held| held.strong_count() > 0) {
                    // Looked at with the next tick: no failure of the shard.
                    catalog.note_still_missing(shard, HELD.to_owned());
                    return;
                }
                match probe(shard, weak.clone(), Arc::clone(stop)) {
                    Ok(probe) => self.state = BreakerState::HalfOpen { probe },
                    Err(error) => self.fail(shard, catalog, &error),
                }
            }
            BreakerState::HalfOpen { probe } if probe.is_finished() => {
                let closed = BreakerState::Closed { since: Instant::now() };
                let BreakerState::HalfOpen { probe } = std::mem::replace(&mut self.state, closed)
                else {
                    return;
                };
                let panicked = |_| Err(Error::new(ErrorKind::Internal, "a probe panicked"));
                if let Err(error) = probe.join().unwrap_or_else(panicked) {
                    self.fail(shard, catalog, &error);
                }
            }
            _ => {}
        }
    }

    fn fail(&mut self, shard: ShardId, catalog: &Catalog, error: &Error) {
        let (held, closing) = (self.held.take(), self.closing.take());
        *self = Self { held, closing, ..Self::open(self.failures.saturating_add(1)) };
        let reason = format!("it cannot be opened yet: {error:#}");
        tracing::debug!(%shard, failures = self.failures, "{reason}");
        catalog.note_still_missing(shard, reason);
    }
}

/// Starts a probe.
fn probe(
    shard: ShardId,
    catalog: Weak<Catalog>,
    stop: Arc<AtomicBool>,
) -> Result<JoinHandle<Result<()>>> {
    let thread = std::thread::Builder::new().name("annulus-reopen".into());
    let spawned = thread.spawn(move || {
        let Some(catalog) = catalog.upgrade() else { return Ok(()) };
        open_again(&catalog, shard, &|| !stop.load(Ordering::Acquire))
    });
    spawned.map_err(|error| Error::new(ErrorKind::Io, "cannot start a thread").with_source(error))
}

/// Opens a shard, brings its partitions up to the log, and takes it back: steps 5 to 7.
///
/// # Errors
///
/// Those of an opening; `Aborted` when the store is closed.
fn open_again(catalog: &Catalog, shard: ShardId, goes_on: &dyn Fn() -> bool) -> Result<()> {
    let (home, metadata) = (&catalog.home, &catalog.metadata);
    let missing = catalog.missing();
    let Some(missing) = missing.get(&shard) else { return Ok(()) };
    let topology = catalog.topology();
    let info = topology.shard(shard).ok_or_else(|| gone(shard))?;
    let directory = check_shard(&home.path, info, home.id)?;
    let there = catalog.shards();
    let together = topology.shards().filter(|it| it.id == shard || there.contains_key(&it.id));
    check_overlaps(&home.path, [None; 2], together.map(|it| (it.id, &*it.directory)))?;
    let lock = DirectoryLock::take_shard(&directory)?;
    openings::admit(metadata, &home.path, shard, &directory)
        .or_else(|error| if is_full(&error) { Ok(()) } else { Err(error) })?;
    let guard = home.guard_with(lock);
    let engine = Arc::new(open_shard(&directory, &catalog.resources, &guard, &catalog.log)?);
    failpoint::hit("take-back-after-open");
    let opened = partitions(catalog, &topology, shard, &engine)?;
    let views = views(&topology, &opened);
    let replayed = match failpoint::skip("take-back-replays") {
        true => Replayed::default(),
        false => replay_from(&views, &catalog.log, missing.log_from, goes_on)?,
    };
    failpoint::hit("take-back-after-replay");
    for partition in opened.values() {
        engine.follow(&partition.handle, missing.log_from);
    }
    engine.flush()?;
    note_shard(&home.places, shard, &directory)?;
    while !catalog.take_back(shard, &engine, &opened) {
        if !goes_on() {
            home.places.remove(&directory);
            return Err(Error::new(ErrorKind::Aborted, "the store is being closed"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    tracing::info!(%shard, records = replayed.records, bytes = replayed.bytes, "took back a shard");
    if missing.since == Since::Opening {
        missing::forget(metadata, std::iter::once(shard))?;
    }
    Ok(())
}

/// Returns the partitions of a shard that was opened, after what no topology names was removed.
fn partitions(
    catalog: &Catalog,
    topology: &Topology,
    shard: ShardId,
    engine: &Arc<ShardEngine>,
) -> Result<OpenPartitions> {
    // IMPORTANT: before anything is applied to them. The log's `applied()` is not theirs until they have
    // what it has.
    for name in engine.partitions() {
        engine.partition(name).iter().for_each(|handle| engine.stop_following(handle));
    }
    // As at an opening: before anything is removed that an older topology lists.
    catalog.metadata.engine.flush()?;
    let shards = Shards::from([(shard, Arc::clone(engine))]);
    let intents = journal::intents(&catalog.metadata)?;
    check_partitions(topology, &shards, &intents, &mut RecoveryReport::default())?;
    damaged(&shards);
    let there = engine.partitions().into_iter().collect();
    let foreign = journal::out_of_range(&catalog.metadata)?;
    let open = |name| {
        let handle = engine.partition(name)?;
        let partition = OpenPartition::new(name, shard, Arc::clone(engine), handle);
        let permille = foreign.get(&name).copied().unwrap_or(0);
        Some((name, Arc::new(partition.with_out_of_range(permille))))
    };
    Ok(wanted_partitions(topology, shard, &there)?.into_iter().filter_map(open).collect())
}

/// Returns views of the keyspaces in which only these partitions are.
fn views(topology: &Topology, opened: &OpenPartitions) -> BTreeMap<KeyspaceId, Arc<View>> {
    let view = |keyspace: &Arc<KeyspaceLayout>| {
        let slots = keyspace.names().map(|(name, _)| opened.get(&name).cloned()).collect();
        let view = View::new(Arc::clone(keyspace), slots, None, Arc::default());
        (keyspace.id(), Arc::new(view))
    };
    topology.keyspaces().map(view).collect()
}

fn gone(shard: ShardId) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no shard {shard} any more"))
}
