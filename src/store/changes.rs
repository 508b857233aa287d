//! Beginning to read the changes of a store.

use super::core::Core;
use super::{Keyspace, Store};
use crate::changes::{Changes, ChangesFrom, Filter, Settings, Watch};
use crate::engine::Durability;
use crate::error::{Error, Result};
use crate::log::Position;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long a reader waits for others to sync what they have written, before it does.
const SYNC_AFTER: Duration = Duration::from_millis(10);

/// How many bytes of the log a watch holds at most.
const WATCH_BYTES: u64 = 64 << 20;

/// How the changes of a store are to be read; made by [`Store::changes`].
///
/// ```
/// use annulus::changes::ChangesFrom;
/// use annulus::{Store, topology::KeyspaceSpec};
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = Store::open(directory.path().join("store"))?;
/// let orders = store.create_keyspace("orders", KeyspaceSpec::range())?;
/// let users = store.create_keyspace("users", KeyspaceSpec::hash())?;
/// orders.put("2026/17", "tea")?;
/// orders.put("2025/16", "milk")?;
/// store.sync()?;
/// let mut changes = store
///     .changes()
///     .from(ChangesFrom::Earliest)
///     .keyspace(&users)
///     .prefix(&orders, "2026/")
///     .open()?;
/// let commit = changes.try_next()?.expect("a commit");
/// assert_eq!(commit.changes().next().expect("a change").key(), b"2026/17");
/// assert!(changes.try_next()?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it opens"]
pub struct ChangesBuilder {
    core: Arc<Core>,
    settings: Settings,
    /// The store of a keyspace that was named, if it is another one.
    foreign: bool,
}

impl ChangesBuilder {
    pub(super) fn new(core: &Arc<Core>) -> Self {
        let settings = Settings {
            from: ChangesFrom::Now,
            filter: Filter::without(Arc::clone(&core.catalog.own_keyspaces)),
            durability: Durability::Synced,
            sync_after: SYNC_AFTER,
            hold_bytes: core.options.changes_keep_bytes,
        };
        Self { core: Arc::clone(core), settings, foreign: false }
    }

    /// Sets where to begin. Default: [`ChangesFrom::Now`]: at what is written after the call of
    /// [`open`](Self::open).
    pub fn from(mut self, from: impl Into<ChangesFrom>) -> Self {
        self.settings.from = from.into();
        self
    }

    /// Adds a keyspace whose changes are wanted. If none is added, all of them are, also those that
    /// are created later.
    pub fn keyspace(self, keyspace: &Keyspace) -> Self {
        self.prefix(keyspace, "")
    }

    /// Adds the keys of a keyspace that begin with a prefix. A deletion of a range is returned if it
    /// may concern one of them.
    pub fn prefix(mut self, keyspace: &Keyspace, prefix: impl AsRef<[u8]>) -> Self {
        self.foreign |= keyspace.store_id() != self.core.catalog.home.id;
        self.settings.filter.add(keyspace.id(), prefix.as_ref());
        self
    }

    /// Sets what is returned. Default: [`Synced`](Durability::Synced): what no power cut takes back.
    /// With [`Buffered`](Durability::Buffered) everything that readers of the store can see is
    /// returned at once; a power cut may leave a store that does not have it.
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// Sets how long something may wait for a sync, which others may make, before this reader syncs
    /// the log itself: what was written without a sync is returned that much later, and syncs come no
    /// more often. After one that has taken long it also rests, for at most eight times this time.
    /// Default: 10 ms.
    pub const fn sync_after(mut self, time: Duration) -> Self {
        self.settings.sync_after = time;
        self
    }

    /// Begins to read. From here on the log is kept for this reader, within
    /// [`changes_keep_bytes`](crate::Options::changes_keep_bytes) and
    /// [`changes_keep_for`](crate::Options::changes_keep_for).
    ///
    /// # Errors
    ///
    /// [`Gone`](crate::ErrorKind::Gone) if the log begins later, and
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if it ends before the position, or has
    /// no record there, or if a keyspace is one of another store;
    /// [`Closed`](crate::ErrorKind::Closed); [`ReadOnly`](crate::ErrorKind::ReadOnly): look at the
    /// [log](crate::log::LogView) of a store that another process writes;
    /// [`Io`](crate::ErrorKind::Io).
    pub fn open(self) -> Result<Changes> {
        let settings = self.check()?;
        Changes::begin(&self.core.catalog.log, settings)
    }

    fn check(&self) -> Result<Settings> {
        self.core.catalog.check_open()?;
        self.core.catalog.check_disk_writable()?;
        if self.foreign {
            return Err(Error::invalid("changes of a keyspace of another store were asked for"));
        }
        Ok(self.settings.clone())
    }
}

impl fmt::Debug for ChangesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangesBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Store {
    /// Returns a builder for a reader of the store's changes: every write, swap and batch, whole, in
    /// the order of the log, over all keyspaces and shards.
    ///
    /// Cost: nothing for writers, as long as the reader does not wait; a reader that waits is woken by
    /// the next writer. A reader of a store that is written without syncs makes one every ten
    /// milliseconds, unless [`durability`](ChangesBuilder::durability) says otherwise.
    pub fn changes(&self) -> ChangesBuilder {
        ChangesBuilder::new(self.core())
    }

    /// Returns the commits from now on that concern keys of a keyspace with a prefix, as soon as
    /// readers of the store can see them. Nothing is kept for long: of what was not taken yet, the
    /// log holds 64 MiB, and then [`Watched::Dropped`](crate::changes::Watched::Dropped) says that
    /// commits are missing.
    ///
    /// ```
    /// use annulus::changes::Watched;
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # use std::time::Duration;
    ///
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// let settings = store.create_keyspace("settings", KeyspaceSpec::hash())?;
    /// let mut watch = store.watch(&settings, "ui/")?;
    /// settings.put("ui/theme", "dark")?;
    /// match watch.next_timeout(Duration::from_secs(10))?.expect("something") {
    ///     Watched::Commit(commit) => assert_eq!(commit.changes().count(), 1),
    ///     Watched::Dropped { .. } => { /* read everything again */ }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`ChangesBuilder::open`].
    pub fn watch(&self, keyspace: &Keyspace, prefix: impl AsRef<[u8]>) -> Result<Watch> {
        self.watch_within(keyspace, prefix, WATCH_BYTES)
    }

    /// The same; the log holds at most `bytes` for it.
    ///
    /// # Errors
    ///
    /// Those of [`ChangesBuilder::open`].
    pub fn watch_within(
        &self,
        keyspace: &Keyspace,
        prefix: impl AsRef<[u8]>,
        bytes: u64,
    ) -> Result<Watch> {
        let builder = self.changes().prefix(keyspace, prefix).durability(Durability::Buffered);
        let settings = Settings { hold_bytes: bytes, ..builder.check()? };
        Watch::begin(&self.core().catalog.log, settings)
    }

    /// Returns where the log ends now: a position from which a reader gets what is written later.
    #[must_use]
    pub fn log_end(&self) -> Position {
        self.core().catalog.log.end()
    }

    /// Returns the oldest position from which changes can be read now.
    #[must_use]
    pub fn log_begin(&self) -> Position {
        self.core().catalog.log.begin()
    }
}
