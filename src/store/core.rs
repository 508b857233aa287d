//! What every handle of a store shares.

use super::commit_gate::CommitGate;
use super::directory::DirectoryLock;
use super::metadata::Metadata;
use super::places::Places;
use super::redo::Redo;
use crate::cache::HotCache;
use crate::engine::{Engine as _, LockGuard, Resources, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::options::Options;
use crate::rebalancer;
use crate::reshape::{Listener, Registry};
use crate::sampling::Sampler;
use crate::topology::Topology;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

/// Whether the store takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Condition {
    Open = 0,
    InDoubt = 1,
    Closed = 2,
    /// For as long as it is open.
    ReadOnly = 3,
    /// A path of the store names something else than what was opened.
    Displaced = 4,
}

pub(crate) type Shards = BTreeMap<ShardId, Arc<ShardEngine>>;

pub(crate) struct Core {
    /// The store's number, the same in its directory's and its shards' identity files.
    pub(crate) id: u128,
    pub(crate) path: PathBuf,
    pub(crate) options: Options,
    pub(crate) gate: CommitGate,
    pub(crate) redo: Redo,
    /// The open shards. A shard is here from before it owns a partition until after it owns none.
    pub(crate) shards: ArcSwap<Shards>,
    pub(crate) metadata: Metadata,
    pub(crate) resources: Resources,
    pub(crate) reshapes: Arc<Registry>,
    pub(crate) sampler: Arc<Sampler>,
    pub(crate) rebalancer: rebalancer::State,
    pub(crate) hot_cache: Option<HotCache>,
    condition: AtomicU8,
    /// Why it is in doubt, or displaced.
    cause: OnceLock<Box<str>>,
    places: Arc<Places>,
    /// None if the store is opened read-only. Every engine keeps it too, for the values and scans
    /// that outlive this.
    lock: Option<Arc<DirectoryLock>>,
}

/// What is known of a store before its engines are open.
#[derive(Clone)]
pub(super) struct Opening {
    pub(super) id: u128,
    pub(super) path: PathBuf,
    pub(super) options: Options,
    /// None if it is opened read-only.
    pub(super) lock: Option<Arc<DirectoryLock>>,
    pub(super) listener: Option<Listener>,
    pub(super) places: Arc<Places>,
}

impl Opening {
    /// What keeps the directory locked, for an engine.
    pub(super) fn keep(&self) -> LockGuard {
        self.lock.clone().map(|lock| lock as Arc<dyn Send + Sync>)
    }
}

impl Core {
    pub(super) fn new(
        opening: Opening,
        topology: &Arc<Topology>,
        shards: Shards,
        metadata: Metadata,
        resources: Resources,
    ) -> Self {
        let Opening { id, path, options, lock, listener, places } = opening;
        let condition = if lock.is_some() { Condition::Open } else { Condition::ReadOnly };
        Self {
            reshapes: Arc::new(Registry::new(options.reshape, listener)),
            rebalancer: rebalancer::State::new(&path, &options, topology),
            sampler: Arc::new(Sampler::new(options.heat.is_some())),
            hot_cache: (options.hot_cache_bytes > 0)
                .then(|| HotCache::new(options.hot_cache_bytes)),
            id,
            path,
            options,
            gate: CommitGate::default(),
            redo: Redo::default(),
            shards: ArcSwap::from_pointee(shards),
            metadata,
            resources,
            condition: AtomicU8::new(condition as u8),
            cause: OnceLock::new(),
            places,
            lock,
        }
    }

    /// Whether the store was opened read-only: nothing on disk may be changed.
    pub(crate) fn is_read_only(&self) -> bool {
        self.lock.is_none()
    }

    /// What keeps the directories locked, for the engine of a shard.
    pub(super) fn keep(&self, shard: DirectoryLock) -> LockGuard {
        keep(self.lock.as_ref(), shard)
    }

    /// The directories that it holds.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// Whether the store's paths still name what was opened: to be asked before anything is
    /// committed or flushed. If they do not, the store takes no more writes.
    ///
    /// # Errors
    ///
    /// `Io`, with the path and what was opened.
    pub(crate) fn check_places(&self) -> Result<()> {
        self.places.check().inspect_err(|error| self.displace(error))
    }

    /// The same, once a second.
    pub(crate) fn watch_places(&self) {
        if let Err(error) = self.places.check_if_due() {
            tracing::error!(%error, "the store takes no more writes");
            self.displace(&error);
        }
    }

    fn displace(&self, error: &Error) {
        self.end_writes(Condition::Displaced, error);
        // What is flushed or merged from now on might go to another store.
        self.shards.load().values().for_each(|shard| shard.quiesce());
        self.metadata.engine.quiesce();
    }

    /// Changes the list of open shards. `changing` is held.
    pub(super) fn edit_shards(&self, edit: impl FnOnce(&mut Shards)) {
        let mut shards = Shards::clone(&self.shards.load());
        edit(&mut shards);
        self.shards.store(Arc::new(shards));
    }

    /// An open shard.
    pub(crate) fn shard(&self, id: ShardId) -> Result<Arc<ShardEngine>> {
        self.shards.load().get(&id).cloned().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no shard {id}; list those there are"))
        })
    }

    /// Refuses writes to a store that takes none.
    ///
    /// IMPORTANT: a writer asks after it has its stripes. A batch that fails half way sets the
    /// condition before it lets go of its stripes, so nobody writes a key of it any more; whoever
    /// asked earlier could, and the replay would overwrite that.
    #[inline]
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.condition.load(Ordering::Acquire) != Condition::Open as u8 {
            return Err(self.refusal());
        }
        Ok(())
    }

    /// Refuses what writes files in a store that is opened read-only.
    pub(super) fn check_disk_writable(&self) -> Result<()> {
        if self.is_read_only() { Err(self.refusal()) } else { Ok(()) }
    }

    #[cold]
    fn refusal(&self) -> Error {
        if self.is_closed() {
            return Error::new(ErrorKind::Closed, "the store is closed; open it again");
        }
        if self.is_read_only() {
            return Error::new(
                ErrorKind::ReadOnly,
                format!(
                    "the store {} is opened read-only; open it for writing to change it",
                    self.path.display()
                ),
            );
        }
        let cause = self.cause.get().map_or("not known", |cause| cause);
        if self.condition.load(Ordering::Acquire) == Condition::Displaced as u8 {
            return Error::new(ErrorKind::Io, format!("the store takes no writes: {cause}"));
        }
        Error::new(
            ErrorKind::InDoubt,
            format!(
                "an earlier batch or change may be half done, so the store takes no writes; open it \
                 again to complete it (what came first: {cause})"
            ),
        )
    }

    /// From now on the store refuses writes, one of which may be half applied; with the first cause
    /// in each refusal.
    pub(crate) fn doubt(&self, cause: impl Display) {
        self.end_writes(Condition::InDoubt, cause);
    }

    fn end_writes(&self, condition: Condition, cause: impl Display) {
        self.cause.get_or_init(|| cause.to_string().into());
        let (open, ended) = (Condition::Open as u8, condition as u8);
        // Closing stays closing.
        let _ = self.condition.compare_exchange(open, ended, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Marks the store closed; whether it was not before.
    pub(super) fn mark_closed(&self) -> bool {
        self.condition.swap(Condition::Closed as u8, Ordering::AcqRel) != Condition::Closed as u8
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.condition.load(Ordering::Acquire) == Condition::Closed as u8
    }

    #[inline]
    pub(crate) fn check_key_bytes(&self, bytes: usize) -> Result<()> {
        let most = self.options.key_bytes_max;
        if bytes > most {
            return Err(too_long("key", bytes, most));
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn check_value_bytes(&self, bytes: usize) -> Result<()> {
        let most = self.options.value_bytes_max;
        if bytes > most {
            return Err(too_long("value", bytes, most));
        }
        Ok(())
    }
}

/// What an engine of a shard holds: its own lock, and the store's.
pub(super) fn keep(store: Option<&Arc<DirectoryLock>>, shard: DirectoryLock) -> LockGuard {
    Some(Arc::new((shard, store.map(Arc::clone))))
}

#[cold]
fn too_long(what: &str, bytes: usize, most: usize) -> Error {
    Error::invalid(format!(
        "a {what} of {bytes} bytes is longer than the {most} that option {what}_bytes_max allows; \
         nothing was written"
    ))
}
