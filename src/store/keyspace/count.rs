//! How many keys a keyspace has, and what they occupy.

use super::Keyspace;
use crate::error::Result;
use crate::read::{KeyBounds, ReadOptions, ScanOptions};
use crate::store::{PartitionStats, stats};

impl Keyspace {
    /// Returns how many keys there are, by counting them.
    ///
    /// Cost: reads everything, bypassing the block cache. What is written meanwhile may be counted or
    /// not, as a [`scan`](Self::scan) may see it or not.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let words = store.create_keyspace("words", KeyspaceSpec::hash())?;
    /// words.put("ant", "1")?;
    /// words.put("bee", "2")?;
    /// words.delete("ant")?;
    /// assert_eq!(words.count()?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn count(&self) -> Result<u64> {
        self.count_with(ReadOptions::new())
    }

    /// Returns how many keys there are, read as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`get_with`](Self::get_with).
    pub fn count_with(&self, options: ReadOptions) -> Result<u64> {
        self.count_range_with(.., options)
    }

    /// Returns how many keys a range has, by counting them.
    ///
    /// Cost: reads the range, bypassing the block cache.
    ///
    /// ```
    /// # use annulus::{Prefix, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let words = store.create_keyspace("words", KeyspaceSpec::range())?;
    /// for word in ["ant", "apple", "bee"] {
    ///     words.put(word, "")?;
    /// }
    /// assert_eq!(words.count_range(Prefix::new("a"))?, 2);
    /// assert_eq!(words.count_range("apple"..)?, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub fn count_range(&self, range: impl KeyBounds) -> Result<u64> {
        self.count_range_with(range, ReadOptions::new())
    }

    /// Returns how many keys a range has, read as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan) and [`get_with`](Self::get_with).
    pub fn count_range_with(&self, range: impl KeyBounds, options: ReadOptions) -> Result<u64> {
        let read = ReadOptions { bypass_cache: true, ..options };
        let mut scan = self.scan_with(range, ScanOptions::new().read(read))?;
        let mut keys = 0;
        while scan.next_row()?.is_some() {
            keys += 1;
        }
        Ok(keys)
    }

    /// Returns about how many keys there are. Fast; overwritten, deleted and expired keys count
    /// until compaction.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) if a shard cannot report it.
    pub fn count_estimated(&self) -> Result<u64> {
        Ok(self.stats()?.iter().map(|partition| partition.keys_estimated).sum())
    }

    /// Returns what each partition occupies, in the order of tokens or keys.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) if a shard cannot report it.
    pub fn stats(&self) -> Result<Vec<PartitionStats>> {
        stats::partitions(&self.view())
    }
}
