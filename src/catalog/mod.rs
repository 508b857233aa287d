//! What exists in an open store and where it is: its metadata, its log, its topology, its keyspaces
//! as their users see them, its shards, its directories, and whether it takes writes.
//!
//! Reads, writes and reshapes are built on it; it knows none of them, and decides nothing.

mod behind;
mod commit_gate;
pub(crate) mod directory;
mod health;
mod home;
mod indexes;
mod keyspace;
mod lagging;
mod metadata;
mod old_values;
pub(crate) mod openings;
pub(crate) mod places;
mod publish;
pub(crate) mod record_key;
mod records;
mod retention;
mod route;
mod view;

pub(crate) use commit_gate::PassedGate;
pub(crate) use health::closed;
pub(crate) use home::Home;
pub(crate) use indexes::{index_keyspace, index_names};
pub(crate) use keyspace::{KeyspaceState, Keyspaces, does_not_expire};
pub(crate) use lagging::Lagging;
pub(crate) use metadata::Metadata;
pub(crate) use records::Records;
pub(crate) use retention::LogKeeper;
pub(crate) use route::KeyRoute;
pub(crate) use view::{OpenPartition, View};

use crate::changes::OwnKeyspaces;
use crate::engine::{Engine as _, Resources, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{KeyspaceId, ShardId};
use crate::log::CommitLog;
use crate::os::descriptors;
use crate::planner::Sizes;
use crate::topology::{PartitionName, Topology};
use arc_swap::{ArcSwap, Guard};
use commit_gate::CommitGate;
use health::Health;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// The open shards.
pub(crate) type Shards = BTreeMap<ShardId, Arc<ShardEngine>>;

/// The keyspace with the positions of consumers.
pub(crate) const CONSUMERS_KEYSPACE: &str = "annulus/consumers";

/// The keyspace with the responses of transactions that are run once.
pub(crate) const RESPONSES_KEYSPACE: &str = "annulus/responses";

/// How names of keyspaces begin that are the store's own.
pub(crate) const OWN_PREFIX: &str = "annulus/";

/// The limits on what is accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) key_bytes_max: usize,
    pub(crate) value_bytes_max: usize,
    pub(crate) partitions_per_shard_max: usize,
    /// How long the log may become before partitions are flushed for its sake.
    pub(crate) log_bytes_max: u64,
}

/// What exists in an open store and where it is.
pub(crate) struct Catalog {
    pub(crate) home: Home,
    pub(crate) limits: Limits,
    pub(crate) gate: CommitGate,
    pub(crate) metadata: Metadata,
    pub(crate) log: Arc<CommitLog>,
    /// Held from asking what is needed of the log to releasing the rest.
    releasing: Mutex<()>,
    /// True if some partition may be behind the log.
    any_behind: AtomicBool,
    pub(crate) resources: Resources,
    /// The open shards. A shard is here from before it owns a partition until after it owns none.
    shards: ArcSwap<Shards>,
    topology: ArcSwap<Topology>,
    keyspaces: ArcSwap<Keyspaces>,
    /// The keyspace that holds the positions of consumers.
    pub(crate) consumers_keyspace: OnceLock<KeyspaceId>,
    /// The one that holds the responses of transactions that are run once.
    pub(crate) responses_keyspace: OnceLock<KeyspaceId>,
    /// All keyspaces that the store has for itself.
    pub(crate) own_keyspaces: Arc<OwnKeyspaces>,
    /// Held while consumers are created and deleted, and while their positions are read to decide how
    /// much of the log is kept for them.
    pub(crate) consumers: Mutex<()>,
    /// True if any keyspace logs old values.
    old_values: AtomicBool,
    /// True if any keyspace has indexes.
    any_indexes: AtomicBool,
    /// Held while indexes are declared and dropped, and when one becomes complete.
    pub(crate) declaring: Mutex<()>,
    /// Held by a change of the topology, from reading the present one to publishing the next.
    changing: Mutex<()>,
    health: Health,
}

impl Catalog {
    /// Creates the catalog of a store whose engines are open. Its keyspaces are still to be
    /// [shown](Self::show_keyspaces).
    pub(crate) fn new(
        home: Home,
        limits: Limits,
        topology: Topology,
        shards: Shards,
        metadata: Metadata,
        log: Arc<CommitLog>,
        resources: Resources,
    ) -> Self {
        Self {
            health: Health::new(home.lock.is_none()),
            home,
            limits,
            gate: CommitGate::default(),
            metadata,
            log,
            releasing: Mutex::new(()),
            any_behind: AtomicBool::new(false),
            resources,
            shards: ArcSwap::from_pointee(shards),
            topology: ArcSwap::from_pointee(topology),
            keyspaces: ArcSwap::default(),
            consumers_keyspace: OnceLock::new(),
            responses_keyspace: OnceLock::new(),
            own_keyspaces: Arc::default(),
            consumers: Mutex::new(()),
            old_values: AtomicBool::new(false),
            any_indexes: AtomicBool::new(false),
            declaring: Mutex::new(()),
            changing: Mutex::new(()),
        }
    }

    /// Shows the keyspaces of a store that is being opened.
    pub(crate) fn show_keyspaces(&self, keyspaces: Keyspaces) -> Result<()> {
        keyspaces.values().for_each(|keyspace| self.note_own_keyspace(keyspace));
        self.load_old_values(&keyspaces)?;
        self.load_indexes(&keyspaces);
        self.keyspaces.store(Arc::new(keyspaces));
        Ok(())
    }

    /// Notes a keyspace if it is the store's own, before anything can be written to it.
    pub(crate) fn note_own_keyspace(&self, keyspace: &KeyspaceState) {
        if keyspace.name().starts_with(OWN_PREFIX) {
            self.own_keyspaces.note(keyspace.id());
        }
        match keyspace.name() {
            CONSUMERS_KEYSPACE => drop(self.consumers_keyspace.set(keyspace.id())),
            RESPONSES_KEYSPACE => drop(self.responses_keyspace.set(keyspace.id())),
            _ => {}
        }
    }

    /// Returns the present topology.
    pub(crate) fn topology(&self) -> Arc<Topology> {
        self.topology.load_full()
    }

    /// Returns the present keyspaces, for as long as a single operation takes.
    pub(crate) fn keyspaces(&self) -> Guard<Arc<Keyspaces>> {
        self.keyspaces.load()
    }

    /// Returns the keyspace with a number.
    ///
    /// # Errors
    ///
    /// `Closed` if there is none: it was dropped.
    pub(crate) fn keyspace(&self, id: KeyspaceId) -> Result<Arc<KeyspaceState>> {
        let keyspaces = self.keyspaces.load();
        keyspaces
            .get(&id)
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::Closed, format!("keyspace {id} was dropped")))
    }

    /// Returns the open shards, as they are now.
    pub(crate) fn shards(&self) -> Arc<Shards> {
        self.shards.load_full()
    }

    /// Returns an open shard.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub(crate) fn shard(&self, id: ShardId) -> Result<Arc<ShardEngine>> {
        self.shards.load().get(&id).cloned().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no shard {id}; list those there are"))
        })
    }

    /// Changes the list of open shards. Changes of the topology are excluded.
    pub(crate) fn edit_shards(&self, edit: impl FnOnce(&mut Shards)) {
        let mut shards = Shards::clone(&self.shards.load());
        edit(&mut shards);
        self.shards.store(Arc::new(shards));
    }

    /// Returns the bytes of each partition, without those of others in shared files.
    pub(crate) fn sizes(&self) -> Result<Sizes> {
        let mut sizes = Sizes::new();
        for keyspace in self.keyspaces.load().values() {
            for partition in &keyspace.view().partitions {
                let usage = partition.shard.usage(&partition.handle)?;
                let own = u64::from(1000 - partition.out_of_range_permille.min(1000));
                let bytes = usage.bytes_on_disk / 1000 * own + usage.bytes_in_memory;
                sizes.insert(partition.name.id, bytes);
            }
        }
        Ok(sizes)
    }

    /// Checks that there is room for the partitions of a topology, and for the files of those that are
    /// new in it.
    ///
    /// # Errors
    ///
    /// `Io` if the process may not open as many files; `InvalidArgument` if a shard would own too many
    /// partitions.
    pub(crate) fn check_room(&self, next: &Topology) -> Result<()> {
        let count = |topology: &Topology| {
            topology.keyspaces().map(|keyspace| keyspace.partition_count()).sum::<usize>()
        };
        if let Some(tables) = self.resources.tables_open_max(next.shards().len()) {
            let more = count(next).saturating_sub(count(&self.topology()));
            descriptors::check_room(more, tables)?;
        }
        let most = self.limits.partitions_per_shard_max;
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
}

/// No one can write any more.
impl Drop for Catalog {
    fn drop(&mut self) {
        self.log.end_readers();
    }
}

/// Health.
impl Catalog {
    /// Returns true if the store was opened read-only: nothing on disk may be changed.
    pub(crate) fn is_read_only(&self) -> bool {
        self.home.lock.is_none()
    }

    /// Checks that the store's paths still name what was opened, before anything is committed or
    /// flushed. If they do not, the store takes no more writes.
    ///
    /// # Errors
    ///
    /// `Io`, with the path and what was opened.
    pub(crate) fn check_places(&self) -> Result<()> {
        self.home.places.check().inspect_err(|error| self.displace(error))
    }

    /// The same, at most once a second.
    pub(crate) fn watch_places(&self) {
        if let Err(error) = self.home.places.check_if_due() {
            tracing::error!(error = format_args!("{error:#}"), "the store takes no more writes");
            self.displace(&error);
        }
    }

    fn displace(&self, error: &Error) {
        self.health.mark_displaced(error);
        // What is flushed or merged from now on might end up in another store.
        self.quiesce();
    }

    /// Ends background work of all engines; reads through handles that are still held go on.
    pub(crate) fn quiesce(&self) {
        self.shards.load().values().for_each(|shard| shard.quiesce());
        self.metadata.engine.quiesce();
    }

    /// Refuses writes to a store that takes none.
    ///
    /// IMPORTANT: a writer asks after it has taken its stripes: what ends the store's writes (a
    /// close, a change of the topology of which no one knows whether it is on disk) then waits for
    /// writers that were not refused, or finds what they have written.
    #[inline]
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.health.takes_writes() { Ok(()) } else { Err(self.refusal()) }
    }

    /// Refuses what writes files in a store that is opened read-only.
    pub(crate) fn check_disk_writable(&self) -> Result<()> {
        if self.is_read_only() { Err(self.refusal()) } else { Ok(()) }
    }

    #[cold]
    fn refusal(&self) -> Error {
        self.health.refusal(&self.home.path)
    }

    /// Makes the store refuse writes from now on, because a change of the topology may or may not be
    /// on disk; each refusal carries the first cause.
    pub(crate) fn mark_in_doubt(&self, cause: impl Display) {
        self.health.mark_in_doubt(cause);
    }

    /// Marks the store closed. Returns true if it was not closed before.
    pub(crate) fn mark_closed(&self) -> bool {
        self.health.close()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.health.is_closed()
    }

    /// # Errors
    ///
    /// `Closed`.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.health.check_open()
    }

    #[inline]
    pub(crate) fn check_key_bytes(&self, bytes: usize) -> Result<()> {
        let most = self.limits.key_bytes_max;
        if bytes > most { Err(too_long("key", bytes, most)) } else { Ok(()) }
    }

    #[inline]
    pub(crate) fn check_value_bytes(&self, bytes: usize) -> Result<()> {
        let most = self.limits.value_bytes_max;
        if bytes > most { Err(too_long("value", bytes, most)) } else { Ok(()) }
    }
}

#[cold]
fn too_long(what: &str, bytes: usize, most: usize) -> Error {
    Error::invalid(format!(
        "a {what} of {bytes} bytes is longer than the {most} that option {what}_bytes_max allows; \
         nothing was written"
    ))
}

/// Drops a partition that the topology no longer has, or does not have yet. What cannot be dropped
/// is an orphan, which the next opening drops.
pub(crate) fn remove_leftover(shard: &ShardEngine, name: PartitionName) {
    if let Err(error) = shard.drop_partition(name) {
        tracing::warn!(partition = %name.id, error = format_args!("{error:#}"), "left a partition behind");
    }
}
