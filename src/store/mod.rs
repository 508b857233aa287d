//! The store: what an application opens.

mod batch;
mod builder;
mod close;
mod commit_gate;
mod concat;
mod core;
mod cursor_factory;
mod directory;
mod heat;
mod key_bounds;
mod keyspace;
mod keyspaces;
mod merge;
mod metadata;
mod open;
mod openings;
mod partition_cursor;
mod places;
mod read_only;
pub(crate) mod record_key;
mod redo;
mod reshape;
mod routed;
mod scan;
mod settle;
mod shards;
mod snapshot;
mod stats;
mod value;
mod verify;
mod view;

pub(crate) use self::core::Core;
pub use batch::Batch;
pub use builder::{CreateMode, ShardSpec, StoreBuilder};
pub(crate) use directory::create_afresh;
pub(crate) use key_bounds::just_after;
pub use key_bounds::{KeyBounds, Prefix};
pub use keyspace::{Keyspace, Swap};
pub(crate) use keyspaces::remove_leftover;
pub(crate) use merge::MergeCursor;
pub(crate) use metadata::Metadata;
pub use open::RecoveryReport;
pub(crate) use partition_cursor::{PartitionCursor, RowFilter};
pub(crate) use redo::Redo;
pub(crate) use reshape::WeakStore;
pub use scan::{Scan, ScanOptions};
pub use snapshot::Snapshot;
pub use value::Value;
pub use verify::{KeyspaceVerification, Verification};
pub(crate) use view::{OpenPartition, View};

pub use stats::{KeyspaceStats, PartitionStats, ShardStats, StoreStats};

use crate::error::{Error, ErrorKind, Result};
use crate::id::KeyspaceId;
use crate::options::{Durability, Options};
use crate::topology::Topology;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open store. Cheap to clone; every method may be called from any thread. When the last handle
/// is dropped, reshapes that are under way are rolled back first.
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
    /// The application's handles; the workers of reshapes have none.
    _alive: Option<Arc<Alive>>,
}

/// When the last handle of the application goes, reshapes end. It waits for their threads: one
/// that still had the store open would be in the way of the next opening, and of the process's end.
struct Alive(Arc<Core>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.reshapes.stop();
        if !self.0.reshapes.teller().is_calling() {
            self.0.reshapes.wait_until_idle();
        }
    }
}

struct Inner {
    core: Arc<Core>,
    topology: ArcSwap<Topology>,
    keyspaces: ArcSwap<BTreeMap<KeyspaceId, Keyspace>>,
    /// Held by a change of the topology, from reading the present one to publishing the next.
    changing: Mutex<()>,
    recovery: RecoveryReport,
}

impl routed::Views for BTreeMap<KeyspaceId, Keyspace> {
    fn view(&self, keyspace: KeyspaceId) -> Result<Option<Arc<View>>> {
        Ok(self.get(&keyspace).map(Keyspace::view))
    }
}

impl Store {
    fn new(
        core: Arc<Core>,
        topology: Arc<Topology>,
        keyspaces: BTreeMap<KeyspaceId, Keyspace>,
        recovery: RecoveryReport,
    ) -> Self {
        let alive = Arc::new(Alive(Arc::clone(&core)));
        let inner = Inner {
            core,
            topology: ArcSwap::new(topology),
            keyspaces: ArcSwap::from_pointee(keyspaces),
            changing: Mutex::new(()),
            recovery,
        };
        Self { inner: Arc::new(inner), _alive: Some(alive) }
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

    /// The options it was opened with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.inner.core.options
    }

    /// Who owns what, now: an immutable value. Later changes make a new one.
    #[must_use]
    pub fn topology(&self) -> Arc<Topology> {
        self.inner.topology.load_full()
    }

    /// What this opening found to put right.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.inner.recovery
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
    /// nothing was written; [`Io`](ErrorKind::Io) if its only shard refuses it, or one of several
    /// could not be synced lately, and nothing was written; [`InDoubt`](ErrorKind::InDoubt) if an
    /// error came between the parts: reopening the store completes the batch.
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
    /// Cost: it waits for the writes under way, and writes that come meanwhile wait with it: some
    /// microseconds, or as long as the slowest of them, which may be a sync.
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
