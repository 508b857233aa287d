//! A keyspace's handle: single-key reads and writes, scans, counts.

use super::bounds::{Bounds, KeyBounds};
use super::core::Core;
use super::scan::{Scan, ScanOptions, deadline_exceeded};
use super::view::{Partition, View};
use super::{Batch, batch};
use crate::error::Result;
use crate::id::KeyspaceId;
use crate::options::{Durability, ReadOptions};
use crate::shard::{EngineSnapshot, EngineValue, Read, Shard};
use crate::topology;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

/// The handle of a keyspace. Cheap to clone; every method may be called from any thread.
///
/// Reads and writes of one key are linearizable. Writes have the store's default
/// [durability](crate::Options::durability); `…_with` methods take another.
///
/// ```
/// use annulus::{Store, topology::KeyspaceSpec};
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// let store = Store::open(directory.path().join("store"))?;
/// let users = store.create_keyspace("users", KeyspaceSpec::hash())?;
/// users.put("ada", "countess")?;
/// assert_eq!(users.get("ada")?.as_deref(), Some(&b"countess"[..]));
/// assert!(users.get("bob")?.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Keyspace {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    core: Arc<Core>,
    id: KeyspaceId,
    name: Box<str>,
    view: ArcSwap<View>,
}

/// A value, where the engine has it: nothing is copied. It keeps its block in memory while held.
pub struct Value(EngineValue);

/// What [`Keyspace::compare_and_swap`] did.
#[derive(Debug)]
#[must_use = "the swap may not have been made"]
pub enum Swap {
    /// The key had the expected value, and has the new one now.
    Swapped,
    /// The key had another value, given here; nothing was changed.
    Found(Option<Value>),
}

impl Swap {
    /// Whether the swap was made.
    #[must_use]
    pub const fn is_swapped(&self) -> bool {
        matches!(self, Self::Swapped)
    }
}

/// A read of the present state, as the options say; an error if its time is up already.
pub(super) fn read(
    options: ReadOptions,
    what: &str,
) -> Result<Read<'static, <crate::shard::Engine as Shard>::Snapshot>> {
    if options.timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(deadline_exceeded(what));
    }
    let deadline = options.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    Ok(Read { at: None, deadline, bypass_cache: options.bypass_cache })
}

impl Keyspace {
    pub(super) fn new(core: Arc<Core>, view: View) -> Self {
        let (id, name) = (view.keyspace.id(), view.keyspace.name().into());
        Self { inner: Arc::new(Inner { core, id, name, view: ArcSwap::from_pointee(view) }) }
    }

    /// Its number in the store.
    #[must_use]
    pub fn id(&self) -> KeyspaceId {
        self.inner.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// How its keys are placed now: partitioning, partitions, owners.
    #[must_use]
    pub fn placement(&self) -> Arc<topology::Keyspace> {
        Arc::clone(&self.inner.view.load().keyspace)
    }

    pub(super) fn store_id(&self) -> u128 {
        self.inner.core.id
    }

    pub(super) fn view(&self) -> Arc<View> {
        self.inner.view.load_full()
    }

    /// The value of a key, or `None`. It waits for no writer.
    ///
    /// Cost: routing, a few nanoseconds for a hash keyspace, and one read of one shard.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed) after the keyspace was dropped or the store closed;
    /// [`Io`](crate::ErrorKind::Io) or [`Damaged`](crate::ErrorKind::Damaged) if the shard cannot
    /// be read.
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.get_from(key.as_ref(), Read::PRESENT)
    }

    /// The value of a key, read as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), and
    /// [`DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded) when its time is up. A value in
    /// memory may be given a little after the deadline; a read of a disk is given up.
    pub fn get_with(&self, key: impl AsRef<[u8]>, options: ReadOptions) -> Result<Option<Value>> {
        self.get_from(key.as_ref(), read(options, "get")?)
    }

    #[inline]
    fn get_from(
        &self,
        key: &[u8],
        read: Read<'_, <crate::shard::Engine as Shard>::Snapshot>,
    ) -> Result<Option<Value>> {
        let view = self.inner.view.load();
        let partition = view.route(key);
        let value = partition.shard.get(&partition.column, key, read)?;
        // After the read: only then is it sure that the partition was current while it was read.
        partition.check_current()?;
        Ok(value.map(Value))
    }

    /// The values of several keys, in their order. Keys of one partition are read in one call to
    /// its shard, which is faster than one by one when blocks must come from disk.
    ///
    /// Each key is read at some moment during the call; for one moment, use a
    /// [`Snapshot`](crate::Snapshot).
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Value>>> {
        self.get_many_with(keys, ReadOptions::new())
    }

    /// The values of several keys, read as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`get_with`](Self::get_with).
    pub fn get_many_with<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        options: ReadOptions,
    ) -> Result<Vec<Option<Value>>> {
        let read = read(options, "get_many")?;
        let keys: Vec<K> = keys.into_iter().collect();
        let view = self.inner.view.load();
        let mut by_partition: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (position, key) in keys.iter().enumerate() {
            by_partition.entry(view.index(key.as_ref())).or_default().push(position);
        }
        let mut values: Vec<Option<Value>> =
            std::iter::repeat_with(|| None).take(keys.len()).collect();
        for (index, positions) in by_partition {
            let partition = view.partition(index)?;
            let asked: Vec<&[u8]> = positions
                .iter()
                .filter_map(|position| Some(keys.get(*position)?.as_ref()))
                .collect();
            let found = partition.shard.get_many(&partition.column, &asked, read)?;
            partition.check_current()?;
            for (position, value) in positions.into_iter().zip(found) {
                if let Some(slot) = values.get_mut(position) {
                    *slot = value.map(Value);
                }
            }
        }
        Ok(values)
    }

    /// Whether a key is there.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    /// Puts a value, over the one that may be there.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a key or value that is longer
    /// than the store's options allow, before anything is written;
    /// [`Closed`](crate::ErrorKind::Closed) after the keyspace was dropped or the store closed;
    /// [`InDoubt`](crate::ErrorKind::InDoubt) while the store refuses writes;
    /// [`Io`](crate::ErrorKind::Io) if the shard cannot be written.
    #[inline]
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.put_with(key, value, self.inner.core.options.durability)
    }

    /// Puts a value with a durability of its own.
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
        self.inner.core.check_value_bytes(value.len())?;
        self.write(key, |partition| partition.shard.put(&partition.column, key, value, durability))
    }

    /// Deletes a key, if it is there.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        self.delete_with(key, self.inner.core.options.durability)
    }

    /// Deletes a key with a durability of its own.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn delete_with(&self, key: impl AsRef<[u8]>, durability: Durability) -> Result<()> {
        let key = key.as_ref();
        self.write(key, |partition| partition.shard.delete(&partition.column, key, durability))
    }

    /// Passes the gate, takes the key's stripe of the latch, writes.
    #[inline]
    fn write(&self, key: &[u8], write: impl FnOnce(&Partition) -> Result<()>) -> Result<()> {
        self.inner.core.check_key_bytes(key.len())?;
        let _gate = self.inner.core.pass_gate()?;
        let view = self.inner.view.load();
        let partition = view.route(key);
        let _stripe = partition.latch.share(key);
        partition.check_current()?;
        write(partition)
    }

    /// Deletes all keys of a range, in one step, over all partitions. Costs one range tombstone a
    /// partition, not a write a key; the space comes back with compaction.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn delete_range(&self, range: impl KeyBounds) -> Result<()> {
        let mut batch = Batch::new();
        batch.delete_range(self, range);
        batch::commit(&self.inner.core, self, batch, self.inner.core.options.durability)
    }

    /// Puts a value if the key is absent. Gives the value that is there otherwise, and `None` if
    /// the new one was put.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let leases = store.create_keyspace("leases", KeyspaceSpec::hash())?;
    /// assert!(leases.put_if_absent("leader", "node 1")?.is_none());
    /// let holder = leases.put_if_absent("leader", "node 2")?;
    /// assert_eq!(holder.as_deref(), Some(&b"node 1"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub fn put_if_absent(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<Option<Value>> {
        match self.compare_and_swap(key, None, Some(value.as_ref()))? {
            Swap::Swapped => Ok(None),
            Swap::Found(found) => Ok(found),
        }
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
        self.compare_and_swap_with(key, expected, new, self.inner.core.options.durability)
    }

    /// Replaces a value if it is the expected one, with a durability of its own.
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
        let (core, key) = (&self.inner.core, key.as_ref());
        core.check_key_bytes(key.len())?;
        core.check_value_bytes(new.map_or(0, <[u8]>::len))?;
        let _gate = core.pass_gate()?;
        let view = self.inner.view.load();
        let partition = view.route(key);
        let _stripe = partition.latch.own(key);
        partition.check_current()?;
        let (shard, column) = (&partition.shard, &partition.column);
        let found = shard.get(column, key, Read::PRESENT)?;
        if found.as_deref() != expected {
            return Ok(Swap::Found(found.map(Value)));
        }
        match new {
            Some(value) => shard.put(column, key, value, durability)?,
            None if found.is_some() => shard.delete(column, key, durability)?,
            None => {}
        }
        Ok(Swap::Swapped)
    }

    /// The rows of a range of keys, in order.
    ///
    /// A range keyspace opens the partitions that the range crosses, one after the other. A hash
    /// keyspace opens every partition and merges them, except where the range fixes the part of
    /// the key that is hashed: then it opens one. [`Scan`] says what a scan sees.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let words = store.create_keyspace("words", KeyspaceSpec::hash())?;
    /// for word in ["ant", "bee", "cat"] {
    ///     words.put(word, "")?;
    /// }
    /// let keys: Vec<_> = words.scan("b"..)?.map(|row| Ok(row?.0)).collect::<annulus::Result<_>>()?;
    /// assert_eq!(keys, [b"bee", b"cat"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn scan(&self, range: impl KeyBounds) -> Result<Scan> {
        self.scan_with(range, ScanOptions::new())
    }

    /// The rows of a range of keys, as the options say: also in reverse, or a few only.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn scan_with(&self, range: impl KeyBounds, options: ScanOptions) -> Result<Scan> {
        Scan::open(self.view(), Bounds::of(&range), options, None)
    }

    /// The rows whose keys begin with a prefix, in order.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Scan> {
        self.prefix_with(prefix, ScanOptions::new())
    }

    /// The rows whose keys begin with a prefix, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn prefix_with(&self, prefix: impl AsRef<[u8]>, options: ScanOptions) -> Result<Scan> {
        Scan::open(self.view(), Bounds::of_prefix(prefix.as_ref()), options, None)
    }

    /// How many keys there are, by counting them: it reads everything.
    ///
    /// # Errors
    ///
    /// Those of [`get_with`](Self::get_with).
    pub fn count(&self, options: ReadOptions) -> Result<u64> {
        let read = ReadOptions { bypass_cache: true, ..options };
        let mut scan = self.scan_with(.., ScanOptions::new().read(read))?;
        let mut keys = 0;
        while scan.next_row()?.is_some() {
            keys += 1;
        }
        Ok(keys)
    }

    /// About how many keys there are. Fast; overwritten and deleted keys count until compaction.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) if a shard cannot say.
    pub fn count_estimated(&self) -> Result<u64> {
        Ok(self.stats()?.iter().map(|partition| partition.keys_estimated).sum())
    }

    /// What each partition occupies, in the order of tokens or keys.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) if a shard cannot say.
    pub fn stats(&self) -> Result<Vec<super::PartitionStats>> {
        super::stats::partitions(&self.view())
    }
}

impl batch::Views for Keyspace {
    fn view(&self, keyspace: KeyspaceId) -> Result<Option<Arc<View>>> {
        Ok((keyspace == self.id()).then(|| self.view()))
    }
}

impl fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyspace").field("id", &self.id()).field("name", &self.name()).finish()
    }
}

impl Value {
    pub(super) const fn new(value: EngineValue) -> Self {
        Self(value)
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Value {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

/// The snapshots of an engine are shared, never copied.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<EngineSnapshot>();
    shared::<Keyspace>();
    shared::<Value>();
    shared::<Scan>();
};
