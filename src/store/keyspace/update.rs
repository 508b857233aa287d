//! Writes of a key that depend on what it has: swaps, updates, counters.

use super::Keyspace;
use crate::engine::Durability;
use crate::error::Result;
use crate::write::{Swap, sum};

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
        let key = key.as_ref();
        let _permit = self.admit(key, new.map_or(0, <[u8]>::len))?;
        let Some(deadline) = self.sync_deadline(durability) else {
            return self.writer().compare_and_swap(&self.state, key, expected, new, durability);
        };
        let ((this, claim), key) = (self.claiming(), key.to_vec());
        let (expected, new) = (expected.map(<[u8]>::to_vec), new.map(<[u8]>::to_vec));
        self.core.write_by(deadline, &claim, move || {
            let (expected, new) = (expected.as_deref(), new.as_deref());
            this.writer().compare_and_swap(&this.state, &key, expected, new, durability)
        })
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
        let _permit = self.admit(key, 0)?;
        self.writer().update(&self.state, key, durability, change)
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
        let key = counter.as_ref();
        let Some(deadline) = self.sync_deadline(durability) else {
            return self.add_to(key, n, durability);
        };
        let ((this, claim), key) = (self.claiming(), key.to_vec());
        self.core.write_by(deadline, &claim, move || this.add_to(&key, n, durability))
    }

    fn add_to(&self, key: &[u8], n: i64, durability: Durability) -> Result<i64> {
        let mut after = 0;
        self.try_update(key, Some(durability), |old| {
            after = sum(key, old, n)?;
            Ok(Some(after.to_le_bytes()))
        })?;
        Ok(after)
    }
}
