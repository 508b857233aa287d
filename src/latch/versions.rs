//! Versions of keys: they tell whether a value that was read earlier is still what a read would
//! find.
//!
//! A writer [announces](Versions::write) itself before it writes, and withdraws that when its write
//! is done, before the write is acknowledged. A reader [notes](Versions::quiet) the version before
//! it reads; there is none while a writer is at work. What it read [stands](Versions::is) for as
//! long as the version is the same: no write of that key has begun since, and all that had begun
//! before were done before the read.
//!
//! IMPORTANT: both, before and after. If a writer announced itself only afterwards, one reader
//! could find the new value in the engine, and a later one the old value in a cache. If it did so
//! only before, a reader could note the new version, read the old value, and keep it for good.
//!
//! A writer that was alone may keep what it wrote, too, at the version that it
//! [leaves](Versions::after) behind. That is the version before it, apart from the count of
//! writers, so it stands only if no other write has begun since; that none was in progress before,
//! the writer saw when it began.
//!
//! Keys share versions: a write of one key may cause others to be read again.

use super::sync::{AtomicU64, CachePadded, Ordering};

/// Two for the explorer, as for a latch. Otherwise more than the keys of a usual cache, so that a
/// write seldom causes another key to be read again; a MiB of memory.
const VERSIONS: usize = if cfg!(annulus_shuttle) { 2 } else { 1 << 17 };

/// The lower bits count the writers at work, the upper ones all writers so far.
const AT_WORK: u64 = (1 << 16) - 1;
const WRITER: u64 = (1 << 16) + 1;

/// Versions of all keys, by a hash of the key.
pub(crate) struct Versions {
    by_hash: Box<[AtomicU64]>,
    /// One version for all keys together, for writes of ranges.
    of_all: CachePadded<AtomicU64>,
}

/// A version at which no writer was at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    of_hash: u64,
    of_all: u64,
}

#[cfg(not(annulus_shuttle))]
impl Version {
    /// Returns a fingerprint of a key at this version: almost surely a different one after each
    /// write, and never zero.
    pub(crate) fn fingerprint(self, key: u32) -> u32 {
        let writes = (self.of_hash >> 16) as u32;
        key.wrapping_add(writes.wrapping_mul(0x9e37_79b1)) | 1
    }
}

#[cfg(all(test, annulus_shuttle))]
impl Version {
    /// The version that a careless writer would believe to leave behind.
    pub(super) fn with_one_writer_less(self) -> Self {
        Self { of_hash: self.of_hash - 1, ..self }
    }
}

/// A writer at work.
#[must_use = "the writer is at work for as long as this lives"]
pub(crate) struct AtWork<'a> {
    version: &'a AtomicU64,
    /// The version just after this writer announced itself.
    begun: u64,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.version.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Default for Versions {
    fn default() -> Self {
        let by_hash = (0..VERSIONS).map(|_| AtomicU64::new(0)).collect();
        Self { by_hash, of_all: CachePadded::from(AtomicU64::new(0)) }
    }
}

impl Versions {
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the remainder is below the number of versions")]
    fn of_hash(&self, hash: u64) -> &AtomicU64 {
        &self.by_hash[Self::place(hash)]
    }

    fn place(hash: u64) -> usize {
        hash as usize % VERSIONS
    }

    /// Returns the version before a read, or `None` if a writer is at work.
    #[inline]
    pub(crate) fn quiet(&self, hash: u64) -> Option<Version> {
        let version = self.now(hash);
        ((version.of_hash | version.of_all) & AT_WORK == 0).then_some(version)
    }

    /// Returns true if what was read at this version still stands.
    #[inline]
    pub(crate) fn is(&self, hash: u64, version: Version) -> bool {
        self.now(hash) == version
    }

    pub(super) fn now(&self, hash: u64) -> Version {
        Version {
            of_hash: self.of_hash(hash).load(Ordering::Acquire),
            of_all: self.of_all.load(Ordering::Acquire),
        }
    }

    /// Announces a writer of a key. The caller holds the result from before its write until after
    /// it.
    #[inline]
    pub(crate) fn write(&self, hash: u64) -> AtWork<'_> {
        Self::begin(self.of_hash(hash))
    }

    /// The same for a writer of several keys.
    ///
    /// IMPORTANT: it announces itself once to each version, however many of the keys share it. A
    /// thread that did so for each key could do it 65,536 times, and look as if no writer were at
    /// work. With this rule the count of writers at work never exceeds that of threads.
    pub(crate) fn write_each(&self, mut hashes: Vec<u64>) -> Vec<AtWork<'_>> {
        hashes.sort_unstable_by_key(|hash| Self::place(*hash));
        hashes.dedup_by_key(|hash| Self::place(*hash));
        hashes.into_iter().map(|hash| self.write(hash)).collect()
    }

    /// The same for a writer of ranges of keys.
    pub(crate) fn write_all(&self) -> AtWork<'_> {
        Self::begin(&self.of_all)
    }

    fn begin(version: &AtomicU64) -> AtWork<'_> {
        let begun = version.fetch_add(WRITER, Ordering::AcqRel).wrapping_add(WRITER);
        AtWork { version, begun }
    }

    /// Returns the version at which the value that a writer of a key is about to write stands once
    /// the write is done, or `None` if another writer was at work when it began.
    ///
    /// IMPORTANT: call this before the write. Afterwards a write of a range could have begun and
    /// ended in the meantime.
    pub(crate) fn after(&self, writer: &AtWork<'_>) -> Option<Version> {
        let of_all = self.of_all.load(Ordering::Acquire);
        let alone = writer.begun & AT_WORK == 1 && of_all & AT_WORK == 0;
        alone.then_some(Version { of_hash: writer.begun - 1, of_all })
    }
}

#[cfg(all(test, not(annulus_shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_version_ends_with_the_next_write() {
        let versions = Versions::default();
        let before = versions.quiet(7).unwrap();
        assert!(versions.is(7, before));
        let writers = [versions.write(7), versions.write(7)];
        assert!(versions.quiet(7).is_none() && !versions.is(7, before));
        assert!(versions.quiet(8).is_some());
        drop(writers);
        let after = versions.quiet(7).unwrap();
        assert!(after != before && versions.is(7, after));
        let all = versions.write_all();
        assert!(versions.quiet(8).is_none() && !versions.is(7, after));
        drop(all);
        assert!(versions.quiet(7).is_some() && !versions.is(7, after));
    }

    /// A batch of 65,536 writes of one key once looked as if no writer were at work.
    #[test]
    fn a_writer_of_many_keys_is_at_work_once_for_each_version() {
        for keys in [1, 2, 1 << 16, (1 << 16) + 1] {
            let versions = Versions::default();
            let before = versions.quiet(7).unwrap();
            let shared = 7 + VERSIONS as u64;
            let hashes = std::iter::repeat_n([7, shared], keys).flatten().chain([8]).collect();
            let writer = versions.write_each(hashes);
            assert_eq!(writer.len(), 2);
            assert!(versions.quiet(7).is_none() && versions.quiet(8).is_none());
            drop(writer);
            assert!(versions.quiet(7).is_some() && !versions.is(7, before));
        }
    }

    #[test]
    fn a_writer_that_was_alone_knows_the_version_it_leaves() {
        let versions = Versions::default();
        let first = versions.write(7);
        let after_first = versions.after(&first).unwrap();
        assert!(!versions.is(7, after_first), "not done");
        drop(first);
        assert!(versions.is(7, after_first));
        let (second, third) = (versions.write(7), versions.write(7));
        let after_second = versions.after(&second).unwrap();
        assert!(versions.after(&third).is_none(), "not alone");
        drop((second, third));
        assert!(!versions.is(7, after_second), "another began meanwhile");
        let all = versions.write_all();
        assert!(versions.after(&versions.write(7)).is_none(), "a range was being written");
        drop(all);
    }
}
