//! Writes to a keyspace that depend on nothing: puts, deletes; and what comes with them.

use super::Keyspace;
use crate::catalog::does_not_expire;
use crate::engine::{Durability, Engine as _};
use crate::error::Result;
use crate::expiry::PutLifetime;
use crate::read::KeyBounds;
use crate::write::Batch;
use std::time::{Duration, SystemTime};

impl Keyspace {
    /// Puts a value, replacing any that is there.
    ///
    /// Atomic: readers see the value before or this one, and so does the next opening after a crash.
    /// Returns when the write is in the log and in the memory of its shard. With
    /// [`Durability::Buffered`], the default of a store, it survives the end of the process from then
    /// on, and a power cut once the log was synced; with [`Durability::Synced`] it survives a power
    /// cut, too.
    ///
    /// In a keyspace with [indexes](crate::index) the same commit has what follows in them.
    ///
    /// Cost: a record of the log, and an insertion into the memory of one shard; a sync, which
    /// writers share that wait at the same time, if it is `Synced`. Waits for other writes of the key,
    /// for microseconds, while a reshape hands over its partition, and while a shard has more in
    /// memory than it can write.
    ///
    /// ```
    /// # use annulus::{Durability, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let users = store.create_keyspace("users", KeyspaceSpec::hash())?;
    /// users.put("ada", "countess")?;
    /// users.put_with("ada", "mathematician", Durability::Synced)?;
    /// assert_eq!(users.get("ada")?.unwrap(), "mathematician");
    /// # Ok(())
    /// # }
    /// ```
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
    /// while the store refuses writes. [`DiskFull`](crate::ErrorKind::DiskFull) if the disk of the
    /// shard or of the log has less room than the [reserve](crate::Options::disk_reserve): nothing was
    /// written. [`Busy`](crate::ErrorKind::Busy) if the shard has refused an
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
        self.put_stored(key, value, PutLifetime::Default, durability)
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

    /// Sets a key to a value for a time, with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub fn put_for_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        lifetime: Duration,
        durability: Durability,
    ) -> Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.put_stored(key, value, PutLifetime::For(lifetime), durability)
    }

    /// Sets a key to a value until a time, whatever the keyspace's
    /// [default](Self::time_to_live) is; `None` stands for ever. From then on the row has expired:
    /// see [`put_for`](Self::put_for). The time is rounded up to whole milliseconds; if it is past,
    /// the row has expired when this returns.
    ///
    /// For lifetimes that are known elsewhere: of a token that names its end, of rows that are
    /// [copied](crate::changes::Change::Put) from another store.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # use std::time::{Duration, SystemTime};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// let spec = KeyspaceSpec::hash().time_to_live_by_put();
    /// let tokens = store.create_keyspace("tokens", spec)?;
    /// tokens.put_until("alice", "token", SystemTime::now() + Duration::from_secs(60))?;
    /// tokens.put_until("bob", "late", SystemTime::UNIX_EPOCH)?;
    /// tokens.put_until("carol", "for ever", None)?;
    /// assert!(tokens.contains("alice")? && !tokens.contains("bob")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub fn put_until(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        until: impl Into<Option<SystemTime>>,
    ) -> Result<()> {
        self.put_until_with(key, value, until, self.core.options.durability)
    }

    /// The same as [`put_until`](Self::put_until), with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub fn put_until_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        until: impl Into<Option<SystemTime>>,
        durability: Durability,
    ) -> Result<()> {
        let (key, value, until) = (key.as_ref(), value.as_ref(), PutLifetime::until(until.into()));
        self.put_stored(key, value, until, durability)
    }

    /// Reclaims the space of expired rows at once, by compacting the whole keyspace; this also
    /// removes what was overwritten and deleted. Without this call, compactions reach all of a
    /// keyspace within half of its default lifetime, but no sooner than within an hour and no later
    /// than within a week; or within a day if it has none.
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
        if self.rows_expire() { self.compact() } else { Err(does_not_expire(self.name())) }
    }

    /// Rewrites all files of the keyspace without what was overwritten, deleted or has expired, which gives
    /// its space back at once. Without this call, compactions come to deleted rows with time: within
    /// seconds where many follow one another, otherwise when files of the same keys are merged.
    ///
    /// What a snapshot or a transaction that is open could still read stays, and so does what it
    /// holds for [other reasons](crate::Store::snapshot).
    ///
    /// Cost: all files of the keyspace are read and written, one partition after the other; other reads and
    /// writes go on. Needs as much room as the largest partition has rows that stay: where a
    /// [disk is nearly full](crate::Options::disk_reserve), the reserve is meant for that. If the process
    /// ends meanwhile, nothing is lost, and some space is not back.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let events = store.create_keyspace("events", KeyspaceSpec::range())?;
    /// events.delete_range(.."2026-07")?;
    /// events.compact()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed), [`ReadOnly`](crate::ErrorKind::ReadOnly), and
    /// [`Io`](crate::ErrorKind::Io) if a shard cannot write what it has in memory.
    pub fn compact(&self) -> Result<()> {
        for partition in &self.view().partitions {
            self.core.catalog.check_writable()?;
            partition.shard.compact(&partition.handle)?;
        }
        Ok(())
    }

    /// Deletes a key, if it is there. To delete one that is not there is no error, and is logged, too.
    ///
    /// Atomic and durable as [`put`](Self::put) is, and as expensive: the shard notes that the key is
    /// gone, and a compaction frees the space.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let users = store.create_keyspace("users", KeyspaceSpec::hash())?;
    /// users.put("ada", "countess")?;
    /// users.delete("ada")?;
    /// assert!(!users.contains("ada")?);
    /// # Ok(())
    /// # }
    /// ```
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
        let key = key.as_ref();
        let _permit = self.admit(key, 0)?;
        let Some(deadline) = self.sync_deadline(durability) else {
            return self.writer().delete(&self.state, key, durability);
        };
        let ((this, claim), key) = (self.claiming(), key.to_vec());
        self.core
            .write_by(deadline, &claim, move || this.writer().delete(&this.state, &key, durability))
    }

    /// Deletes all keys of a range, in one step, over all partitions.
    ///
    /// Atomic and durable as a [batch](crate::Store::write) is: after a crash all of the keys are gone
    /// or none. Cost: one range tombstone per partition, not one write per key; compaction frees the
    /// space. In a keyspace with [indexes](crate::index) the rows of the range are read, and held in
    /// memory, for their entries.
    ///
    /// ```
    /// # use annulus::{Prefix, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let events = store.create_keyspace("events", KeyspaceSpec::range())?;
    /// for day in ["2026-06-30", "2026-07-01", "2026-07-02"] {
    ///     events.put(day, "")?;
    /// }
    /// events.delete_range(Prefix::new("2026-07"))?;
    /// assert_eq!(events.count()?, 1);
    /// # Ok(())
    /// # }
    /// ```
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
        let _permits = self.admit_all(None)?;
        let Some(deadline) = self.sync_deadline(durability) else {
            return self.writer().commit(&*self.state, batch, durability);
        };
        let (this, claim) = self.claiming();
        self.core.write_by(deadline, &claim, move || {
            this.writer().commit(&*this.state, batch, durability)
        })
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
}
