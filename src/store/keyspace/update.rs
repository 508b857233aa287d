//! Writes of a key that depend on what it has: swaps, updates, counters.

use super::Keyspace;
use crate::engine::Durability;
use crate::error::Result;
use crate::expiry::PutLifetime;
use crate::write::{Swap, sum};
use std::time::{Duration, SystemTime};

impl Keyspace {
    /// Puts a value if the key is absent: [`compare_and_swap`](Self::compare_and_swap) with absence
    /// expected. [`Swap::Found`] has the value that is there otherwise. A row that has
    /// [expired](Self::time_to_live) is absent.
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
    /// Durable as [`put`](Self::put) is; where nothing is swapped, nothing is written. Cost: a read of
    /// the shard, and a put if it is swapped.
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
        self.swap(key.as_ref(), expected, new, PutLifetime::Default, Some(durability))
    }

    /// Puts a value for a time if the key is absent, or its row has expired: a lease, which ends by
    /// itself. [`Swap::Found`] has the value that is there otherwise, whose lifetime stays as it is.
    ///
    /// The comparison is that of [`put_if_absent`](Self::put_if_absent), the lifetime that of
    /// [`put_for`](Self::put_for), and both are of one moment. With the durability of the store; for
    /// another one, [`Store::write_if_with`](crate::Store::write_if_with) writes a batch on conditions.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # use annulus::clock::ManualClock;
    /// # use std::time::{Duration, SystemTime};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let clock = ManualClock::at(SystemTime::now());
    /// # let store = Store::builder(directory.path().join("store")).clock(clock.clone()).open()?;
    /// let spec = KeyspaceSpec::hash().time_to_live_by_put();
    /// let leases = store.create_keyspace("leases", spec)?;
    /// let minute = Duration::from_secs(60);
    /// assert!(leases.put_if_absent_for("leader", "node 1", minute)?.is_swapped());
    /// assert!(!leases.put_if_absent_for("leader", "node 2", minute)?.is_swapped());
    /// // Only who has it makes it last longer.
    /// let node_1 = Some(&b"node 1"[..]);
    /// assert!(leases.compare_and_swap_for("leader", node_1, "node 1", 2 * minute)?.is_swapped());
    /// clock.advance(3 * minute);
    /// assert!(leases.put_if_absent_for("leader", "node 2", minute)?.is_swapped());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for) and [`get`](Self::get).
    pub fn put_if_absent_for(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        lifetime: Duration,
    ) -> Result<Swap> {
        self.compare_and_swap_for(key, None, value, lifetime)
    }

    /// Puts a value until a time, or for ever, if the key is absent: see
    /// [`put_if_absent_for`](Self::put_if_absent_for) and [`put_until`](Self::put_until).
    ///
    /// # Errors
    ///
    /// Those of [`put_if_absent_for`](Self::put_if_absent_for).
    pub fn put_if_absent_until(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        until: impl Into<Option<SystemTime>>,
    ) -> Result<Swap> {
        self.compare_and_swap_until(key, None, value, until)
    }

    /// Replaces a value if it is the expected one, by one that lives for a time from now on; `None`
    /// stands for absence. See [`put_if_absent_for`](Self::put_if_absent_for).
    ///
    /// # Errors
    ///
    /// Those of [`put_if_absent_for`](Self::put_if_absent_for).
    pub fn compare_and_swap_for(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: impl AsRef<[u8]>,
        lifetime: Duration,
    ) -> Result<Swap> {
        let lifetime = PutLifetime::For(lifetime);
        self.swap(key.as_ref(), expected, Some(new.as_ref()), lifetime, None)
    }

    /// Replaces a value if it is the expected one, by one that lives until a time, or for ever; `None`
    /// for the expected one stands for absence. See [`put_if_absent_for`](Self::put_if_absent_for).
    ///
    /// # Errors
    ///
    /// Those of [`put_if_absent_for`](Self::put_if_absent_for).
    pub fn compare_and_swap_until(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: impl AsRef<[u8]>,
        until: impl Into<Option<SystemTime>>,
    ) -> Result<Swap> {
        let lifetime = PutLifetime::until(until.into());
        self.swap(key.as_ref(), expected, Some(new.as_ref()), lifetime, None)
    }

    /// Replaces a value if it is the expected one, with the store's durability if no other is given.
    pub(crate) fn swap(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
        lifetime: PutLifetime,
        durability: Option<Durability>,
    ) -> Result<Swap> {
        let durability = durability.unwrap_or(self.core.options.durability);
        let writer = self.core.writer();
        writer.compare_and_swap(&self.state, key, expected, new, lifetime, durability)
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
