//! Writes to a keyspace: puts, deletes, compare-and-swap, updates, counters.

use super::Keyspace;
use crate::catalog::does_not_expire;
use crate::engine::Durability;
use crate::engine::Engine as _;
use crate::error::Result;
use crate::expiry::PutLifetime;
use crate::read::KeyBounds;
use crate::write::{Batch, Swap, sum};
use std::time::Duration;

impl Keyspace {
    /// Puts a value, replacing any that is there.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a key or value that is longer
    /// than the store's options allow, before anything is written;
    /// [`Closed`](crate::ErrorKind::Closed) after the keyspace was dropped or the store closed;
    /// [`Io`](crate::ErrorKind::Io) if the log cannot be written or synced: nothing can be seen of
    /// the write, the store takes no more of them, and the next opening finds out whether it is in
    /// the log. [`InDoubt`](crate::ErrorKind::InDoubt) if the shard refuses the write, which is in
    /// the log then: it is applied when the shard takes writes again, or by the next opening; or
    /// while the store refuses writes. [`Busy`](crate::ErrorKind::Busy) if the shard has refused an
    /// earlier write of the partition, until that is applied: nothing was written, try again.
    #[inline]
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.put_with(key, value, self.core.options.durability)
    }

    /// Puts a value with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    #[inline]
    pub fn put_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        durability: Durability,
    ) -> Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.core.writer().put(&self.state, key, value, PutLifetime::Default, durability)
    }

    /// Sets a key to a value for a time, whatever the keyspace's [default](Self::time_to_live) is:
    /// at its end the row has expired. From then on all reads, swaps, updates, conditions and
    /// transactions find nothing there, at once; a snapshot or a transaction that began before
    /// still sees it. A later put replaces value and lifetime. The time is that of the
    /// [store](crate::Store::now), in milliseconds; a lifetime is rounded up to them.
    ///
    /// Expiry is no write: [changes](crate::Store::changes) say nothing of it. The space comes back
    /// by compactions.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # use annulus::clock::ManualClock;
    /// # use std::time::{Duration, SystemTime};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let clock = ManualClock::at(SystemTime::now());
    /// # let store = Store::builder(directory.path().join("store")).clock(clock.clone()).open()?;
    /// let hour = Duration::from_secs(3600);
    /// let sessions = store.create_keyspace("sessions", KeyspaceSpec::hash().time_to_live(hour))?;
    /// sessions.put("alice", "token")?;
    /// sessions.put_for("bob", "token", 24 * hour)?;
    /// clock.advance(2 * hour);
    /// assert!(!sessions.contains("alice")? && sessions.contains("bob")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put); [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the
    /// keyspace was not created with a [time to live](crate::topology::HashSpec::time_to_live).
    pub fn put_for(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        lifetime: Duration,
    ) -> Result<()> {
        self.put_for_with(key, value, lifetime, self.core.options.durability)
    }

    /// The same as [`put_for`](Self::put_for), with the given durability.
    ///
    /// # Errors
    ///
    /// As for [`put_for`](Self::put_for).
    pub fn put_for_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        lifetime: Duration,
        durability: Durability,
    ) -> Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.core.writer().put(&self.state, key, value, PutLifetime::For(lifetime), durability)
    }

    /// Reclaims the space of rows that have expired at once, by a compaction of the whole
    /// keyspace, which also removes what was overwritten and deleted. By themselves compactions
    /// come to all of a keyspace in half its default lifetime, between an hour and a week, or in a
    /// day if it has none.
    ///
    /// What a snapshot or a transaction that is open could still read stays, and so does what it
    /// holds for [other reasons](crate::Store::snapshot).
    ///
    /// Cost: all files of the keyspace are read and written, one partition after the other; other
    /// reads and writes go on. If the process ends meanwhile, nothing is lost, and some space is
    /// not back.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the rows of the keyspace do not
    /// expire; [`Closed`](crate::ErrorKind::Closed), [`ReadOnly`](crate::ErrorKind::ReadOnly), and
    /// [`Io`](crate::ErrorKind::Io) if a shard cannot write what it has in memory.
    pub fn reclaim_expired(&self) -> Result<()> {
        if !self.rows_expire() {
            return Err(does_not_expire(self.name()));
        }
        for partition in self.view().open() {
            self.core.catalog.check_writable()?;
            partition.shard.compact(&partition.handle)?;
        }
        Ok(())
    }

    /// Deletes a key, if it is there.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        self.delete_with(key, self.core.options.durability)
    }

    /// Deletes a key with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn delete_with(&self, key: impl AsRef<[u8]>, durability: Durability) -> Result<()> {
        self.core.writer().delete(&self.state, key.as_ref(), durability)
    }

    /// Deletes all keys of a range, in one step, over all partitions. Costs one range tombstone per
    /// partition, not one write per key; compaction frees the space.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put), and [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for
    /// an inverted range.
    pub fn delete_range(&self, range: impl KeyBounds) -> Result<()> {
        self.delete_range_with(range, self.core.options.durability)
    }

    /// Deletes all keys of a range, with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`delete_range`](Self::delete_range).
    pub fn delete_range_with(&self, range: impl KeyBounds, durability: Durability) -> Result<()> {
        let mut batch = Batch::new();
        batch.delete_range(self, range);
        self.core.writer().commit(&*self.state, batch, durability)
    }

    /// Sets whether each write of this keyspace logs the value that its key had before, for
    /// [readers of changes](crate::Store::changes). Durable when this returns, and then so for
    /// every write that begins, until it is set otherwise. Default: false. Setting what is set does
    /// nothing.
    ///
    /// Cost, while it is set: each put, delete and batch reads the keys that it writes, and the log
    /// has their values before and their keys a second time. Deletions of ranges log no old values.
    ///
    /// ```
    /// use annulus::changes::{Change, OldValue};
    /// # use annulus::{Store, topology::KeyspaceSpec};
    ///
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// let stock = store.create_keyspace("stock", KeyspaceSpec::hash())?;
    /// stock.log_old_values(true)?;
    /// let mut changes = store.changes().open()?;
    /// stock.put("tea", "3")?;
    /// stock.put("tea", "2")?;
    /// changes.next().expect("the store is open")?;
    /// let commit = changes.next().expect("the store is open")?;
    /// let Some(Change::Put { old, .. }) = commit.changes().next() else { panic!("no put") };
    /// assert_eq!(old, OldValue::Value(b"3"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed), [`ReadOnly`](crate::ErrorKind::ReadOnly),
    /// [`Io`](crate::ErrorKind::Io); [`InDoubt`](crate::ErrorKind::InDoubt) if no one knows whether
    /// it is on the disk: open the store again.
    pub fn log_old_values(&self, logged: bool) -> Result<()> {
        self.core.catalog.set_old_values(&self.state, logged)
    }

    /// Puts a value if the key is absent: [`compare_and_swap`](Self::compare_and_swap) with absence
    /// expected. [`Swap::Found`] has the value that is there otherwise.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let leases = store.create_keyspace("leases", KeyspaceSpec::hash())?;
    /// assert!(leases.put_if_absent("leader", "node 1")?.is_swapped());
    /// let second = leases.put_if_absent("leader", "node 2")?;
    /// assert_eq!(second.found().as_deref(), Some(&b"node 1"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn put_if_absent(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Swap> {
        self.put_if_absent_with(key, value, self.core.options.durability)
    }

    /// Puts a value if the key is absent, with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn put_if_absent_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        durability: Durability,
    ) -> Result<Swap> {
        self.compare_and_swap_with(key, None, Some(value.as_ref()), durability)
    }

    /// Replaces a value if it is the expected one; `None` stands for absence on both sides. No
    /// other write of the key comes between the comparison and the swap.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let counters = store.create_keyspace("counters", KeyspaceSpec::hash())?;
    /// counters.put("visits", "1")?;
    /// assert!(counters.compare_and_swap("visits", Some(b"1"), Some(b"2"))?.is_swapped());
    /// assert!(!counters.compare_and_swap("visits", Some(b"1"), Some(b"3"))?.is_swapped());
    /// assert!(counters.compare_and_swap("visits", Some(b"2"), None)?.is_swapped());
    /// assert!(!counters.contains("visits")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put) and [`get`](Self::get).
    pub fn compare_and_swap(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<Swap> {
        self.compare_and_swap_with(key, expected, new, self.core.options.durability)
    }

    /// Replaces a value if it is the expected one, with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`compare_and_swap`](Self::compare_and_swap).
    pub fn compare_and_swap_with(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
        durability: Durability,
    ) -> Result<Swap> {
        self.core.writer().compare_and_swap(&self.state, key.as_ref(), expected, new, durability)
    }

    /// Replaces a key's value by what `change` makes of it, in one step: no other write of the key
    /// comes in between. `change` gets the value, or `None` if there is none, and returns the new
    /// one, or `None` to delete the key. Returns what `change` has returned.
    ///
    /// `change` is called once, while writers of the key, and of some other keys of its partition,
    /// wait: it should take no longer than a write does. It may read, but IMPORTANT: it must not
    /// write to this store, take a snapshot of it, or begin a transaction, nor wait for another
    /// thread that does: it would wait for itself for ever. If it panics, nothing is written.
    ///
    /// Atomic and durable as [`put`](Self::put) is. Cost: a read of the shard and a put.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let words = store.create_keyspace("words", KeyspaceSpec::hash())?;
    /// words.put("greeting", "hello")?;
    /// let now = words.update("greeting", |old| Some([old.unwrap_or_default(), b"!"].concat()))?;
    /// assert_eq!(now.as_deref(), Some(&b"hello!"[..]));
    /// assert_eq!(words.get("greeting")?.unwrap(), "hello!");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put) and [`get`](Self::get).
    pub fn update<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        change: impl FnOnce(Option<&[u8]>) -> Option<V>,
    ) -> Result<Option<V>> {
        self.update_with(key, self.core.options.durability, change)
    }

    /// Replaces a key's value by what `change` makes of it, with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`update`](Self::update).
    pub fn update_with<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        durability: Durability,
        change: impl FnOnce(Option<&[u8]>) -> Option<V>,
    ) -> Result<Option<V>> {
        self.try_update(key.as_ref(), Some(durability), |old| Ok(change(old)))
    }

    /// Replaces a key's value by what `change` makes of it, with the store's durability if no other
    /// is given. An error of `change` is returned, and nothing is written.
    pub(crate) fn try_update<V: AsRef<[u8]>>(
        &self,
        key: &[u8],
        durability: Option<Durability>,
        change: impl FnOnce(Option<&[u8]>) -> Result<Option<V>>,
    ) -> Result<Option<V>> {
        let durability = durability.unwrap_or(self.core.options.durability);
        self.core.writer().update(&self.state, key, durability, change)
    }

    /// Adds to a counter, in one step, and returns what it is then. A counter is a value of 8
    /// bytes, an `i64` in little-endian order; one that is not there counts as zero. The log has
    /// the outcome, not the addition: after a crash nothing is added twice.
    ///
    /// Atomic and durable as [`put`](Self::put) is. Cost: a read of the shard and a put.
    ///
    /// ```
    /// # use annulus::{ErrorKind, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let visits = store.create_keyspace("visits", KeyspaceSpec::hash())?;
    /// assert_eq!(visits.add("/index.html", 1)?, 1);
    /// assert_eq!(visits.add("/index.html", 2)?, 3);
    /// let error = visits.add("/index.html", i64::MAX).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the value has another length or
    /// the sum is out of bounds: nothing is written. Those of [`put`](Self::put) and
    /// [`get`](Self::get).
    pub fn add(&self, counter: impl AsRef<[u8]>, n: i64) -> Result<i64> {
        self.add_with(counter, n, self.core.options.durability)
    }

    /// Adds to a counter, with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add).
    pub fn add_with(
        &self,
        counter: impl AsRef<[u8]>,
        n: i64,
        durability: Durability,
    ) -> Result<i64> {
        let (key, mut after) = (counter.as_ref(), 0);
        self.try_update(key, Some(durability), |old| {
            after = sum(key, old, n)?;
            Ok(Some(after.to_le_bytes()))
        })?;
        Ok(after)
    }
}
