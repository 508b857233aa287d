//! A cache of the values of keys that are read often, for what no placement can spread: a key that
//! takes much of the load by itself.
//!
//! It is consulted before routing, and is never stale: a value is returned only while the
//! [version](crate::latch::Versions) at which it was read still stands, so a reshape, which changes
//! no value, need not know of it. Of several readers of a key that is not cached, one reads and the
//! others wait for its result.
//!
//! A key is admitted when it is read for the second time since it was written: a table of
//! fingerprints of the keys read last, and of their versions, filters admissions (the doorkeeper of
//! TinyLFU: Einziger, Friedman, Manes 2017). So keys that are read once cost some loads and a
//! store, and no space.
//!
//! A cached key stays when it is written: its writer replaces the value, or the next reader does if
//! the writer was not the only one. A key that is renewed again and again and not read in between
//! is removed.

use crate::engine::EngineValue;
use crate::error::Result;
use crate::id::KeyspaceId;
use crate::latch::{AtWork, Version, Versions};
use quick_cache::sync::{Cache, GuardResult};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Fingerprints of keys that were read lately.
const DOORKEEPER: usize = 1 << 16;

/// Approximate size of an entry without its key and value.
const OVERHEAD_BYTES: u64 = 128;

/// The fraction of the cache that one value may take. `quick_cache` refuses what is larger than its
/// shards, of which it makes four for each processor.
const VALUE_PART_MAX: usize = 512;

/// A key is removed when more consecutive entries of it than this were never read. Renewing one
/// costs about a fifth of what a hit saves.
const UNREAD_MAX: u8 = 8;

/// A reader that waits longer than this for another reader's result reads by itself.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// What the cache of hot keys holds, and how often it was of use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Default)]
#[non_exhaustive]
pub struct HotCacheStats {
    /// How many keys.
    pub keys: u64,
    /// Bytes of memory, about.
    pub bytes: u64,
    /// The most that it may take.
    pub bytes_max: u64,
    /// Reads of single keys that it answered, estimated from a sample.
    pub hits: u64,
    /// Reads of single keys that it did not, estimated from a sample.
    pub misses: u64,
}

/// A value, or the absence of one, as it was read at a version.
pub(crate) struct Entry {
    version: Version,
    keyspace: KeyspaceId,
    /// The key, followed by the value if there is one, in one allocation: each costs a cache miss.
    bytes: Box<[u8]>,
    key_bytes: usize,
    kept: Kept,
    /// How many consecutive entries of this key before this one were returned to no reader.
    unread: u8,
    /// Whether this one was returned to a reader.
    read: AtomicBool,
}

/// What an entry records about its key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Value,
    Absent,
    /// The value is too large to be kept: a reader reads it, and waits for no other reader.
    TooLarge,
}

/// The value of an entry, kept while it is in use.
pub(crate) struct CachedValue(Arc<Entry>);

impl std::ops::Deref for CachedValue {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.value()
    }
}

/// What a read through the cache found.
pub(crate) enum Found {
    Absent { cached: bool },
    Cached(CachedValue),
    Read(EngineValue),
}

/// A key that is not cached, and the version before it is read.
pub(crate) struct Miss {
    hash: u64,
    version: Option<Version>,
}

#[derive(Clone)]
struct Weight;

impl quick_cache::Weighter<u64, Arc<Entry>> for Weight {
    fn weight(&self, _hash: &u64, entry: &Arc<Entry>) -> u64 {
        OVERHEAD_BYTES + entry.bytes.len() as u64
    }
}

pub(crate) struct HotCache {
    entries: Cache<u64, Arc<Entry>, Weight>,
    versions: Versions,
    doorkeeper: Box<[AtomicU32]>,
    value_bytes_max: usize,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// The key of a read, in the cache's terms.
#[derive(Clone, Copy)]
struct Key<'a> {
    keyspace: KeyspaceId,
    key: &'a [u8],
    hash: u64,
}

impl HotCache {
    pub(crate) fn new(bytes: usize) -> Self {
        /// An estimate of an entry's size, for the size of the cache's tables.
        const ENTRY_BYTES: usize = 512;
        Self {
            entries: Cache::with_weighter(bytes / ENTRY_BYTES, bytes as u64, Weight),
            versions: Versions::default(),
            doorkeeper: (0..DOORKEEPER).map(|_| AtomicU32::new(0)).collect(),
            value_bytes_max: bytes / VALUE_PART_MAX,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Cache key: a hash of keyspace and key.
    pub(crate) fn hash(&self, keyspace: KeyspaceId, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, keyspace.0.into())
    }

    /// Returns the value of a key: from the cache, or by `read`, which finds the present one.
    #[inline]
    pub(crate) fn get(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        read: impl FnOnce() -> Result<Option<EngineValue>>,
    ) -> Result<Found> {
        let key = Key { keyspace, key, hash: self.hash(keyspace, key) };
        if let Some(entry) = self.entries.get(&key.hash) {
            if !entry.is_of(key) {
                return read().map(Found::new);
            }
            if self.versions.is(key.hash, entry.version) {
                return Found::of(entry).map_or_else(|| read().map(Found::new), Ok);
            }
            // IMPORTANT: before the read.
            let version = self.versions.quiet(key.hash);
            let value = read()?;
            self.renew(&entry, version, key, value.as_deref());
            return Ok(Found::new(value));
        }
        if self.is_new(key.hash, self.versions.quiet(key.hash)) {
            return read().map(Found::new);
        }
        self.read_in(key, read)
    }

    /// Returns true if a key was not read recently at this version, and notes that it now was.
    fn is_new(&self, hash: u64, version: Option<Version>) -> bool {
        let (Some(version), Some(place)) =
            (version, self.doorkeeper.get(hash as usize % DOORKEEPER))
        else {
            return true;
        };
        let fingerprint = version.fingerprint((hash >> 32) as u32);
        if place.load(Ordering::Relaxed) == fingerprint {
            return false;
        }
        place.store(fingerprint, Ordering::Relaxed);
        true
    }

    /// Reads a key and keeps what was found, or takes what another reader finds in the meantime.
    #[cold]
    fn read_in(
        &self,
        key: Key<'_>,
        read: impl FnOnce() -> Result<Option<EngineValue>>,
    ) -> Result<Found> {
        match self.entries.get_value_or_guard(&key.hash, Some(WAIT_MAX)) {
            GuardResult::Value(entry)
                if entry.is_of(key) && self.versions.is(key.hash, entry.version) =>
            {
                Found::of(entry).map_or_else(|| read().map(Found::new), Ok)
            }
            GuardResult::Guard(guard) => {
                // IMPORTANT: before the read.
                let version = self.versions.quiet(key.hash);
                let value = read()?;
                if let Some(entry) = self.entry(version, key, value.as_deref(), 0) {
                    // Refused only if the place was taken in the meantime.
                    let _ = guard.insert(entry);
                }
                Ok(Found::new(value))
            }
            GuardResult::Value(_) | GuardResult::Timeout => read().map(Found::new),
        }
    }

    /// Returns an entry for what was read, if that may be kept.
    fn entry(
        &self,
        version: Option<Version>,
        key: Key<'_>,
        value: Option<&[u8]>,
        unread: u8,
    ) -> Option<Arc<Entry>> {
        let version = version.filter(|_| key.key.len() <= self.value_bytes_max)?;
        let room = self.value_bytes_max - key.key.len();
        let (kept, value) = match value {
            Some(value) if value.len() <= room => (Kept::Value, value),
            Some(_) => (Kept::TooLarge, &[][..]),
            None => (Kept::Absent, &[][..]),
        };
        Some(Arc::new(Entry {
            version,
            keyspace: key.keyspace,
            bytes: [key.key, value].concat().into(),
            key_bytes: key.key.len(),
            kept,
            unread,
            read: AtomicBool::new(false),
        }))
    }

    /// Replaces an entry that no longer stands by what was read or written at a version.
    fn renew(
        &self,
        old: &Arc<Entry>,
        version: Option<Version>,
        key: Key<'_>,
        value: Option<&[u8]>,
    ) {
        let unread = if old.read.load(Ordering::Relaxed) { 0 } else { old.unread + 1 };
        let wanted = version.filter(|_| unread <= UNREAD_MAX);
        if let Some(new) = self.entry(wanted, key, value, unread) {
            // Refused if the old one has been evicted.
            let _ = self.entries.replace(key.hash, new, true);
        } else if version.is_some() {
            self.entries.remove_if(&key.hash, |other| Arc::ptr_eq(other, old));
        }
    }

    /// Returns the value of a key if it is cached; for reads of several keys, which wait for no
    /// other reader.
    pub(crate) fn look(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
    ) -> std::result::Result<Found, Miss> {
        let key = Key { keyspace, key, hash: self.hash(keyspace, key) };
        let found = match self.entries.get(&key.hash) {
            Some(entry) if entry.is_of(key) && self.versions.is(key.hash, entry.version) => {
                Found::of(entry)
            }
            _ => None,
        };
        found.ok_or_else(|| Miss { hash: key.hash, version: self.versions.quiet(key.hash) })
    }

    /// Keeps what was found after a [miss](Self::look), unless the key is new.
    pub(crate) fn offer(
        &self,
        miss: &Miss,
        keyspace: KeyspaceId,
        key: &[u8],
        value: Option<&[u8]>,
    ) {
        let key = Key { keyspace, key, hash: miss.hash };
        if !self.is_new(miss.hash, miss.version)
            && let Some(entry) = self.entry(miss.version, key, value, 0)
        {
            self.entries.insert(miss.hash, entry);
        }
    }

    /// Writes a key, and keeps the new value if the key is cached.
    #[inline]
    pub(crate) fn write_through(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        value: Option<&[u8]>,
        write: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let key = Key { keyspace, key, hash: self.hash(keyspace, key) };
        let at_work = self.versions.write(key.hash);
        let after = self.versions.after(&at_work);
        write()?;
        drop(at_work);
        if let Some(entry) = self.entries.peek(&key.hash)
            && entry.is_of(key)
        {
            self.renew(&entry, after, key, value);
        }
        Ok(())
    }

    /// Announces writes of several keys, by their [hashes](Self::hash). The caller holds the result
    /// from before the writes until after them.
    pub(crate) fn write_each(&self, hashes: Vec<u64>) -> Vec<AtWork<'_>> {
        self.versions.write_each(hashes)
    }

    /// Announces a write of ranges of keys. The caller holds the result from before the write until
    /// after it.
    pub(crate) fn write_all(&self) -> AtWork<'_> {
        self.versions.write_all()
    }

    /// Counts reads.
    pub(crate) fn count(&self, found: &Found, reads: u32) {
        self.count_as(matches!(found, Found::Cached(_) | Found::Absent { cached: true }), reads);
    }

    /// Counts reads of which it is known whether the cache has answered them.
    pub(crate) fn count_as(&self, hit: bool, reads: u32) {
        let counter = if hit { &self.hits } else { &self.misses };
        counter.fetch_add(reads.into(), Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> HotCacheStats {
        HotCacheStats {
            keys: self.entries.len() as u64,
            bytes: self.entries.weight(),
            bytes_max: self.entries.capacity(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

impl Entry {
    fn key(&self) -> &[u8] {
        self.bytes.get(..self.key_bytes).unwrap_or_default()
    }

    fn value(&self) -> &[u8] {
        self.bytes.get(self.key_bytes..).unwrap_or_default()
    }

    fn is_of(&self, key: Key<'_>) -> bool {
        self.keyspace == key.keyspace && self.key() == key.key
    }
}

impl Found {
    fn new(value: Option<EngineValue>) -> Self {
        value.map_or(Self::Absent { cached: false }, Self::Read)
    }

    /// Returns what an entry says, or `None` if the key has to be read.
    fn of(entry: Arc<Entry>) -> Option<Self> {
        // ExpiringValue once: the readers of a hot key need not all write it.
        if !entry.read.load(Ordering::Relaxed) {
            entry.read.store(true, Ordering::Relaxed);
        }
        match entry.kept {
            Kept::Value => Some(Self::Cached(CachedValue(entry))),
            Kept::Absent => Some(Self::Absent { cached: true }),
            Kept::TooLarge => None,
        }
    }
}
