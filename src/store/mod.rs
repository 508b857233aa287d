//! The store, which an application opens.

mod adopt;
mod backup;
mod batch;
mod builder;
mod changes;
mod close;
mod consumers;
mod core;
mod each_shard;
mod findings;
mod heat;
mod in_use;
mod index;
mod keyspace;
mod keyspaces;
mod log_copies;
mod log_directory;
mod names;
mod open;
mod options;
mod point_in_time;
mod positions;
mod read_only;
mod recovery;
mod reshape;
mod retention;
mod shard_directory;
mod shard_spec;
mod shards;
mod snapshot;
mod stats;
mod threads;
mod transaction;
mod verify;

pub use adopt::AdoptOptions;
pub use builder::{CreateMode, StoreBuilder};
pub use changes::ChangesBuilder;
pub use consumers::{Consumer, ConsumerInfo};
pub use findings::{DamagedPartition, Leftover, Problem, Recovered, RolledBack};
pub use index::{
    Index, IndexEntry, IndexProblem, IndexProgress, IndexReader, IndexRow, IndexRows, IndexScan,
    IndexState, IndexStats, IndexVerification,
};
pub use keyspace::Keyspace;
pub use options::Options;
pub use recovery::RecoveryReport;
pub use shard_spec::ShardSpec;
pub use snapshot::Snapshot;
pub use stats::{ExpiryStats, KeyspaceStats, LogCopyStats, PartitionStats, ShardStats, StoreStats};
pub use transaction::{Once, Transaction, TransactionScan};
pub use verify::{KeyspaceVerification, Verification};

use self::core::Core;
use crate::clock::Timestamp;
use crate::engine::Durability;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::topology::Topology;
use crate::write::{Batch, ConditionalWrite};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// An open store, which holds [keyspaces](Keyspace). To read and write keys, get one:
/// [`keyspace_or_create`](Self::keyspace_or_create) returns the handle that has
/// [`get`](Keyspace::get), [`put`](Keyspace::put), [`scan`](Keyspace::scan) and the rest, and
/// [`Keyspace::typed`] one for keys and values of types. The store itself commits
/// [batches](Self::write) over several keyspaces and takes [snapshots](Self::snapshot).
///
/// ```
/// use annulus::{Store, topology::KeyspaceSpec};
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("store");
/// let store = Store::open(path)?;
/// let events = store.keyspace_or_create("events", KeyspaceSpec::range().split_at(["m"]))?;
/// events.put("login/ada", "09:00")?;
/// events.put("task/7", "done")?;
/// assert_eq!(events.get("task/7")?.as_deref(), Some(&b"done"[..]));
/// for row in events.scan_prefix("login/")? {
///     let (key, value) = row?;
///     assert_eq!((&key[..], &value[..]), (&b"login/ada"[..], &b"09:00"[..]));
/// }
/// store.close()?;
/// # Ok(())
/// # }
/// ```
///
/// A store consists of a directory with its metadata and its log, and of shards, each a RocksDB
/// instance in its own directory; keyspaces place their keys on the shards by hash or by range. A
/// handle is cheap to clone, and every method may be called from any thread. When the last one is
/// dropped, running reshapes are rolled back first.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    recovery: RecoveryReport,
}

/// Reshapes end with the last handle. Dropping it waits for their threads: one that still had the
/// store open would obstruct the next opening, and the end of the process.
impl Drop for Inner {
    fn drop(&mut self) {
        let registry = &self.core.reshaper.registry;
        registry.stop();
        if !registry.teller().is_calling() {
            registry.wait_until_idle();
        }
    }
}

impl Store {
    fn new(core: Core, recovery: RecoveryReport) -> Self {
        let inner = Arc::new(Inner { core: Arc::new(core), recovery });
        let handles: Weak<Inner> = Arc::downgrade(&inner);
        in_use::note(handles, &inner.core);
        Self { inner }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.inner.core
    }

    /// Opens the store in a directory with the default options, or creates it there with four
    /// shards. See [`builder`](Self::builder) for more control.
    ///
    /// # Errors
    ///
    /// Those of [`StoreBuilder::open`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::builder(path).open()
    }

    /// Opens the store in a directory only for reading, with the default options: without creating,
    /// changing or locking a file, so on a read-only disk, too, and while another process has the store
    /// open. It shows everything as it was at one moment during the call, over all shards; see
    /// [`StoreBuilder::read_only`].
    ///
    /// Cost: that of an opening; what is only in the log is read into memory.
    ///
    /// ```
    /// use annulus::{ErrorKind, Store, topology::KeyspaceSpec};
    ///
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("store");
    /// let store = Store::open(&path)?;
    /// let users = store.keyspace_or_create("users", KeyspaceSpec::hash())?;
    /// users.put("ada", "countess")?;
    /// let reader = Store::open_read_only(&path)?.keyspace("users")?;
    /// users.delete("ada")?;
    /// assert_eq!(reader.get("ada")?.as_deref(), Some(&b"countess"[..]));
    /// assert_eq!(reader.put("ada", "?").unwrap_err().kind(), ErrorKind::ReadOnly);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`StoreBuilder::open`]; [`NotFound`](ErrorKind::NotFound) if there is no store;
    /// [`Busy`](ErrorKind::Busy) if another process released a part of the log again and again: try
    /// again.
    pub fn open_read_only(path: impl Into<PathBuf>) -> Result<Self> {
        Self::builder(path).create(CreateMode::Never).read_only(true).open()
    }

    /// Makes a copy of a store a store of its own: one that was made with all its shards and its log
    /// while the store was closed, or as one snapshot of the file system. It gets a number of its own, and
    /// names its own directories, so that it and the original can be opened side by side; without this,
    /// whichever is opened second is refused. Returns the directories of its shards. The original is not
    /// touched.
    ///
    /// If it is interrupted, no call opens the copy until the same call has completed it.
    ///
    /// Cost: writes the segments of the log, and some small files; not the data.
    ///
    /// ```no_run
    /// use annulus::{AdoptOptions, ShardId, Store};
    ///
    /// # fn main() -> annulus::Result<()> {
    /// // cp -a /data/store /copy/store; cp -a /disk2/annulus /copy/annulus
    /// let options = AdoptOptions::new().shard(ShardId(1), "/copy/annulus");
    /// Store::adopt_copy("/copy/store", options)?;
    /// let copy = Store::open("/copy/store")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Before anything is changed: [`NotFound`](ErrorKind::NotFound) if there is no copy, or a
    /// directory is missing; [`InvalidArgument`](ErrorKind::InvalidArgument) if a shard or the log is
    /// where the original's is, and no copy of it is named;
    /// [`Damaged`](ErrorKind::Damaged) if the parts do not belong together;
    /// [`InUse`](ErrorKind::InUse) if one is open. Then [`Io`](ErrorKind::Io).
    pub fn adopt_copy(path: impl AsRef<Path>, options: AdoptOptions) -> Result<Vec<PathBuf>> {
        adopt::adopt(path.as_ref(), &options)
    }

    /// Returns a builder for everything that can be specified about an opening: options, shards,
    /// and whether the store may be created.
    pub fn builder(path: impl Into<PathBuf>) -> StoreBuilder {
        StoreBuilder::new(path.into())
    }

    /// Returns the store's directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.core.catalog.home.path
    }

    /// Returns the time of the store: what its [clock](StoreBuilder::clock) shows, but never a time
    /// before the timestamp of a commit or before one that was returned earlier, also by an earlier
    /// opening that was closed. Later commits have greater timestamps.
    ///
    /// Cost: a look at the clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.core().catalog.home.clock.now()
    }

    /// Returns the options with which the store was opened.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.inner.core.options
    }

    /// Returns the present topology, which says which shard owns what. It is an immutable value:
    /// later changes make a new one.
    #[must_use]
    pub fn topology(&self) -> Arc<Topology> {
        self.inner.core.catalog.topology()
    }

    /// Returns what this opening found and repaired.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.inner.recovery
    }

    /// Commits a batch with the store's default durability: all of it takes effect, or nothing.
    ///
    /// After a crash of the process or a power cut a batch is there whole or not at all, at either
    /// durability, over any keyspaces and shards. A [`Snapshot`] sees a batch whole or not at all;
    /// single reads may see some of its keys before others.
    ///
    /// Cost: one record in the log (one sync, if synced), and a write to the memory of each shard.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for keys or values that are too long,
    /// inverted ranges, keyspaces of another store, conditions, or an addition that cannot be made;
    /// [`Closed`](ErrorKind::Closed) if a keyspace was dropped: in either case nothing was written;
    /// [`Io`](ErrorKind::Io) if the log cannot be written or synced: nothing can be seen of the
    /// batch, the store takes no more writes, and the next opening finds out whether it is in the
    /// log; [`InDoubt`](ErrorKind::InDoubt) if a shard refuses its part: it is applied when the
    /// shard takes writes again, or by the next opening; [`Busy`](ErrorKind::Busy) if a shard has
    /// refused an earlier write of one of the partitions, until that is applied: nothing was
    /// written, try again.
    pub fn write(&self, batch: Batch) -> Result<()> {
        self.write_with(batch, self.inner.core.options.durability)
    }

    /// Commits a batch with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write).
    pub fn write_with(&self, batch: Batch, durability: Durability) -> Result<()> {
        let core = &self.inner.core;
        core.writer().commit(&**core.catalog.keyspaces(), batch, durability)
    }

    /// Commits a batch with the store's default durability if all its
    /// [conditions](Batch::require) hold; otherwise nothing is written, and what was found instead
    /// is returned.
    ///
    /// The conditions are checked and the batch is written in one step: no other write of a key
    /// that the batch requires or writes comes in between. What is written is atomic and durable as
    /// with [`write`](Self::write).
    ///
    /// Cost: that of `write`, and a read of one shard for each condition. Writers of the required
    /// keys wait as those of the written ones do.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write), and those of [`Keyspace::get`]. A condition that does not
    /// hold is no error.
    pub fn write_if(&self, batch: Batch) -> Result<ConditionalWrite> {
        self.write_if_with(batch, self.inner.core.options.durability)
    }

    /// Commits a batch with the given durability if all its conditions hold.
    ///
    /// # Errors
    ///
    /// Those of [`write_if`](Self::write_if).
    pub fn write_if_with(&self, batch: Batch, durability: Durability) -> Result<ConditionalWrite> {
        let core = &self.inner.core;
        core.writer().commit_if(&**core.catalog.keyspaces(), batch, durability)
    }

    /// Returns a snapshot: everything as it is now, for as long as the snapshot is held.
    ///
    /// Cost: waits for the writes in progress, and writes that arrive meanwhile wait, too: some
    /// microseconds, or as long as the slowest write in progress, which may include a sync.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after the store was closed; [`Busy`](ErrorKind::Busy) if
    /// a shard has refused a write that is in the log, until that is applied: try again.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.core().catalog.check_open()?;
        Snapshot::take(self.core())
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
