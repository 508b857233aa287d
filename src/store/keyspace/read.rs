//! Reads of a keyspace: keys, several keys, ranges.

use super::Keyspace;
use super::late::get_many_by;
use crate::cache::{Found, HotCache};
use crate::engine::{Engine, EngineValue, Read, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::latch::Current;
use crate::read::{
    Bounds, KeyBounds, Prefix, ReadOptions, Scan, ScanOptions, Value, deadline_exceeded,
};
use crate::sampling::{SampleTicket, ScanSampler};
use std::collections::BTreeMap;
use std::time::Instant;

/// Returns the settings of a read of the present state, as the options say, or an error if its time
/// is already up.
pub(in crate::store) fn read(
    options: ReadOptions,
    what: &str,
) -> Result<Read<'static, <ShardEngine as Engine>::Snapshot>> {
    if options.timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(deadline_exceeded(what));
    }
    let deadline = options.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    Ok(Read { deadline, bypass_cache: options.bypass_cache, ..Read::PRESENT })
}

impl Keyspace {
    /// Returns the value of a key, or `None`. Never waits for a writer.
    ///
    /// Cost: routing, a few nanoseconds for a hash keyspace, and one read of one shard; or a lookup
    /// in the cache of hot keys ([`Options::hot_cache_bytes`](crate::Options::hot_cache_bytes)),
    /// under a lock that other threads hold for less than a microsecond. Of several threads that
    /// read a key while the cache is loading it, one reads the shard and the others wait for it, up
    /// to 50 ms.
    ///
    /// # Errors
    ///
    /// [`Closed`](crate::ErrorKind::Closed) after the keyspace was dropped or the store closed;
    /// [`Io`](crate::ErrorKind::Io) or [`Damaged`](crate::ErrorKind::Damaged) if the shard cannot
    /// be read; [`Busy`](crate::ErrorKind::Busy) if it has refused a write of the partition that is
    /// in the log, until that is applied: try again.
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.get_from(key.as_ref(), Read::PRESENT)
    }

    /// Returns the value of a key, read as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), and [`DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded)
    /// when its time is up. A value in memory may be returned a little after the deadline; a read
    /// from disk is abandoned.
    pub fn get_with(&self, key: impl AsRef<[u8]>, options: ReadOptions) -> Result<Option<Value>> {
        self.get_from(key.as_ref(), read(options, "get")?)
    }

    #[inline]
    fn get_from(
        &self,
        key: &[u8],
        read: Read<'_, <ShardEngine as Engine>::Snapshot>,
    ) -> Result<Option<Value>> {
        let _permit = self.admit(key, 0)?;
        let sampled = self.sampler().begin();
        let read = self.in_time(read);
        let value = match (&self.core.hot_cache, read.deadline) {
            (Some(cache), None) if !read.bypass_cache => self.get_hot(cache, key, sampled)?,
            (_, None) => self.get_routed(key, read)?.map(Value::new),
            (_, Some(deadline)) => self.get_by(key, deadline, read.bypass_cache)?.map(Value::new),
        };
        let value = self.unless_expired(value)?;
        self.record_read(sampled, key, value.as_ref());
        Ok(value)
    }

    /// Returns a value as it is stored without what says when it expires, unless it has.
    #[inline]
    pub(super) fn unless_expired(&self, value: Option<Value>) -> Result<Option<Value>> {
        match (value, self.state.expiring()) {
            (Some(value), Some(expiring)) => value.unless_expired(expiring.now()),
            (value, _) => Ok(value),
        }
    }

    /// Reads a value from the shard.
    #[inline]
    pub(super) fn get_routed(
        &self,
        key: &[u8],
        read: Read<'_, <ShardEngine as Engine>::Snapshot>,
    ) -> Result<Option<EngineValue>> {
        loop {
            let route = self.state.route(key);
            let partition = route.partition();
            let read = || partition.shard.get(&partition.handle, key, read);
            if let Some(value) = route.read(read)? {
                return Ok(value);
            }
        }
    }

    /// Reads a value from the cache of hot keys, or from the shard.
    fn get_hot(
        &self,
        cache: &HotCache,
        key: &[u8],
        sampled: Option<SampleTicket>,
    ) -> Result<Option<Value>> {
        let found = cache.get(self.id(), key, || self.get_routed(key, Read::PRESENT))?;
        if let Some(sampled) = sampled {
            cache.count(&found, sampled.weight());
        }
        self.value_of(found, key)
    }

    pub(super) fn value_of(&self, found: Found, key: &[u8]) -> Result<Option<Value>> {
        match found {
            Found::Read(value) => return Ok(Some(Value::new(value))),
            Found::Absent { cached: false } => return Ok(None),
            Found::Absent { cached: true } | Found::Cached(_) => {}
        }
        // Cached values outlive a keyspace that was dropped. A superseded partition does not
        // matter: values do not change when they move.
        self.state.route(key).is_current()?;
        Ok(match found {
            Found::Cached(value) => Some(Value::cached(value)),
            _ => None,
        })
    }

    /// Returns the values of several keys, in the order of the keys. Keys of one partition are read
    /// in one call to its shard, which is faster than one by one when blocks must come from disk.
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

    /// Returns the values of several keys, read as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`get_with`](Self::get_with).
    pub fn get_many_with<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        options: ReadOptions,
    ) -> Result<Vec<Option<Value>>> {
        let read = self.in_time(read(options, "get_many")?);
        let keys: Vec<K> = keys.into_iter().collect();
        let _permits = self.admit_all(Some(&mut keys.iter().map(AsRef::as_ref)))?;
        let mut values: Vec<Option<Value>> =
            std::iter::repeat_with(|| None).take(keys.len()).collect();
        match &self.core.hot_cache {
            Some(cache) if read.deadline.is_none() && !read.bypass_cache => {
                self.get_many_hot(cache, &keys, &mut values)?;
            }
            _ => self.get_all(&keys, (0..keys.len()).collect(), read, &mut values)?,
        }
        if self.rows_expire() {
            for value in &mut values {
                *value = self.unless_expired(value.take())?;
            }
        }
        for (key, value) in keys.iter().zip(&values) {
            self.record_read_untimed(key.as_ref(), value.as_ref());
        }
        Ok(values)
    }

    /// Reads the values that are in the cache, and then the others, which the cache may keep.
    fn get_many_hot<K: AsRef<[u8]>>(
        &self,
        cache: &HotCache,
        keys: &[K],
        values: &mut [Option<Value>],
    ) -> Result<()> {
        let (mut left, mut misses) = (Vec::new(), Vec::new());
        for (position, (key, value)) in keys.iter().zip(values.iter_mut()).enumerate() {
            match cache.look(self.id(), key.as_ref()) {
                Ok(found) => *value = self.value_of(found, key.as_ref())?,
                Err(miss) => {
                    left.push(position);
                    misses.push((position, miss));
                }
            }
        }
        self.get_all(keys, left, Read::PRESENT, values)?;
        for (position, miss) in misses {
            if let (Some(key), Some(value)) = (keys.get(position), values.get(position)) {
                cache.offer(&miss, self.id(), key.as_ref(), value.as_deref());
            }
        }
        Ok(())
    }

    fn get_all<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        mut left: Vec<usize>,
        read: Read<'_, <ShardEngine as Engine>::Snapshot>,
        values: &mut [Option<Value>],
    ) -> Result<()> {
        while !left.is_empty() {
            left = self.get_positions(keys, &left, read, values)?;
        }
        Ok(())
    }

    /// Reads the keys at some positions. Returns the positions whose partition was superseded
    /// meanwhile, which are to be read again.
    fn get_positions<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        positions: &[usize],
        read: Read<'_, <ShardEngine as Engine>::Snapshot>,
        values: &mut [Option<Value>],
    ) -> Result<Vec<usize>> {
        let view = self.state.load();
        let mut by_partition: BTreeMap<usize, Vec<(usize, &[u8])>> = BTreeMap::new();
        for position in positions {
            let key = keys.get(*position).map(AsRef::as_ref).ok_or_else(no_such_position)?;
            by_partition.entry(view.index(key)).or_default().push((*position, key));
        }
        let mut again = Vec::new();
        for (index, asked) in by_partition {
            let partition = view.partition(index)?;
            let asked_keys: Vec<&[u8]> = asked.iter().map(|(_, key)| *key).collect();
            let read = || match read.deadline {
                None => partition.shard.get_many(&partition.handle, &asked_keys, read),
                Some(by) => get_many_by(partition, &asked_keys, by, read.bypass_cache),
            };
            let Some(found) = partition.read(read)? else {
                again.extend(asked.into_iter().map(|(position, _)| position));
                continue;
            };
            for ((position, _), value) in asked.into_iter().zip(found) {
                *values.get_mut(position).ok_or_else(no_such_position)? = value.map(Value::new);
            }
        }
        Ok(again)
    }

    /// Returns true if a key is there.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    /// Returns the rows of a range of keys, in order.
    ///
    /// A range keyspace opens the partitions that the range crosses, one after the other. A hash
    /// keyspace opens every partition and merges them, except where the range fixes the part of the
    /// key that is hashed: then it opens only one. Where a disk has to be read, it opens several at
    /// the same time, on threads that end with the opening, as many as
    /// [`Options::scan_threads`](crate::Options::scan_threads) allows. See [`Scan`] for what a scan
    /// sees.
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
    /// Those of [`get`](Self::get), and [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for
    /// an inverted range.
    pub fn scan(&self, range: impl KeyBounds) -> Result<Scan> {
        self.scan_with(range, ScanOptions::new())
    }

    /// Returns the rows of a range of keys, as the options say: in reverse, for example, or only a
    /// few.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub fn scan_with(&self, range: impl KeyBounds, options: ScanOptions) -> Result<Scan> {
        let bounds = Bounds::of(&range)?;
        let _permits = self.admit_all(None)?;
        match self.deadline {
            None => self.open_scan(&bounds, options),
            Some(deadline) => self.scan_by(deadline, bounds, options),
        }
    }

    pub(super) fn open_scan(&self, bounds: &Bounds, options: ScanOptions) -> Result<Scan> {
        let threads = self.core.options.scan_threads;
        loop {
            let watch = ScanSampler::begin(self.sampler(), self.id());
            let at = self.state.expiring().map(|expiring| expiring.now());
            let scan = Scan::open(&self.view(), bounds, options, None, at, threads, watch)?;
            if let Some(scan) = scan {
                return Ok(scan);
            }
        }
    }

    /// Returns the rows whose keys begin with a prefix, in order: [`scan`](Self::scan) of a
    /// [`Prefix`].
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Result<Scan> {
        self.scan(Prefix::new(prefix.as_ref()))
    }
}

#[cold]
fn no_such_position() -> Error {
    Error::new(ErrorKind::Internal, "a read of several keys has fewer keys than it asks for")
}
