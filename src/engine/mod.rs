//! The interface between the store and a shard: one trait, and nothing of the engine behind it.
//!
//! [`ShardEngine`] names the engine in use. The store's modules call only what [`Engine`] promises,
//! which `conformance` has as tests for every engine: RocksDB, and SlateDB, on which no store opens a
//! shard yet (`docs/object-store.md`).

#[cfg(test)]
mod conformance;
mod expiring;
mod flushes;
mod options;
mod rocksdb;
#[cfg(feature = "slatedb")]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "no store opens a shard on it yet: docs/object-store.md")
)]
mod slatedb;

pub(crate) use self::rocksdb::{
    HARDWARE_CHECKSUMS, LockGuard, MetadataBatch, MetadataEngine, Resources, RocksDb as ShardEngine,
};
pub(crate) use crate::log::{LogDamage, LogLoss};
pub(crate) use options::EngineOptions;
pub use options::{Compression, Durability};

use crate::error::Result;
use crate::expiry::Moment;
use crate::log::Position;
use crate::placement::KeyRange;
use crate::topology::PartitionName;
use std::ops::Deref;
use std::path::Path;
use std::time::Instant;

/// The engine's types, under the names that the store uses.
pub(crate) type EnginePartition = <ShardEngine as Engine>::Partition;
pub(crate) type EngineValue = <ShardEngine as Engine>::Value;
pub(crate) type EngineSnapshot = <ShardEngine as Engine>::Snapshot;
pub(crate) type EngineCursor = <ShardEngine as Engine>::Cursor;
pub(crate) type EngineBatch = <ShardEngine as Engine>::WriteBatch;

/// The direction in which a cursor moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Direction {
    #[default]
    Forward,
    Reverse,
}

/// The settings of one read.
pub(crate) struct Read<'a, S> {
    /// The cut to read from; the present state if there is none.
    pub(crate) at: Option<&'a S>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) bypass_cache: bool,
    /// How many bytes a cursor reads from a file at once where a block is not in the cache; if
    /// `None`, the engine decides.
    pub(crate) read_ahead: Option<usize>,
    /// The moment at which rows that have expired are passed over, where rows expire. Only cursors
    /// over partitions heed it.
    pub(crate) expired_at: Option<Moment>,
}

impl<S> Read<'_, S> {
    /// The present state, without a deadline.
    pub(crate) const PRESENT: Self =
        Self { at: None, deadline: None, bypass_cache: false, read_ahead: None, expired_at: None };
}

impl<S> Clone for Read<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Read<'_, S> {}

/// Takes the next row of a partition that is being loaded.
pub(crate) type PutRow<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// What a partition occupies.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) keys_estimated: u64,
    pub(crate) bytes_on_disk: u64,
    pub(crate) bytes_in_memory: u64,
}

/// One shard of a store.
///
/// Reads and writes of one partition are linearizable, and a batch is atomic for readers. Writes
/// stay in memory until a flush; what a crash takes from there is in the store's log, which is
/// synced before the engine makes a file: no file holds what a power cut can take from the log.
pub(crate) trait Engine: Sized + Send + Sync + 'static {
    /// A handle that keeps its partition readable, even after it is dropped from the shard. Clones
    /// are the same handle, and cost no more than counting them.
    type Partition: Clone + Send + Sync + 'static;
    /// A cut of the shard, which a clone shares.
    type Snapshot: Clone + Send + Sync + 'static;
    type Value: Deref<Target = [u8]> + Send + Sync + 'static;
    type Cursor: Cursor;
    type WriteBatch: WriteBatch<Partition = Self::Partition>;

    /// Returns the partitions on disk.
    fn partitions(&self) -> Vec<PartitionName>;
    fn partition(&self, name: PartitionName) -> Option<Self::Partition>;
    /// Creates an empty partition; durable when it returns.
    fn create_partition(&self, name: PartitionName) -> Result<Self::Partition>;
    /// Returns true if an error has left something under this name that can be neither used nor
    /// removed before the next opening: the caller must take another name.
    fn is_stranded(&self, name: PartitionName) -> bool;
    /// Removes a partition with its content. Handles that are still held stay readable.
    fn drop_partition(&self, name: PartitionName) -> Result<()>;

    fn get(
        &self,
        partition: &Self::Partition,
        key: &[u8],
        read: Read<'_, Self::Snapshot>,
    ) -> Result<Option<Self::Value>>;
    /// Returns the value of a key if that takes no file: from the memtables, or from blocks that are
    /// in the cache. `None` if it is not known without reading one.
    fn get_from_memory(
        &self,
        partition: &Self::Partition,
        key: &[u8],
        at: Option<&Self::Snapshot>,
    ) -> Result<Option<Option<Self::Value>>>;
    /// Returns the values of several keys of one partition, in the order of the keys.
    fn get_many(
        &self,
        partition: &Self::Partition,
        keys: &[&[u8]],
        read: Read<'_, Self::Snapshot>,
    ) -> Result<Vec<Option<Self::Value>>>;
    /// Opens a cursor that stands on the first row of the range, in its direction.
    fn cursor(
        &self,
        partition: &Self::Partition,
        range: &KeyRange,
        direction: Direction,
        read: Read<'_, Self::Snapshot>,
    ) -> Result<Self::Cursor>;
    /// Returns a cut of the shard: everything that has been applied to it, and no part of a batch.
    ///
    /// # Errors
    ///
    /// Those of a shard that cannot be reached; RocksDB has none.
    fn snapshot(&self) -> Result<Self::Snapshot>;

    /// Returns an empty batch for this shard.
    fn batch(&self) -> Self::WriteBatch;

    /// Applies a write that is in the log.
    fn put(&self, partition: &Self::Partition, key: &[u8], value: &[u8]) -> Result<()>;
    fn delete(&self, partition: &Self::Partition, key: &[u8]) -> Result<()>;
    fn write(&self, batch: Self::WriteBatch) -> Result<()>;
    /// The same, but `Busy` where it would have to wait until there is room in memory.
    fn write_at_once(&self, batch: Self::WriteBatch) -> Result<()>;

    /// Returns true if partitions of another shard can be linked into this one.
    fn can_link(&self, source: &Self) -> bool;
    /// Makes a partition that shares the files of one of another shard: it holds what that
    /// partition held at some moment during the call, in files that survive a power cut. Costs a
    /// flush of the source, and time in proportion to the number of files.
    fn link_partition(
        &self,
        name: PartitionName,
        source: &Self::Partition,
    ) -> Result<Self::Partition>;
    /// Makes a partition of rows that `fill` passes in strictly ascending order of keys, written as
    /// files that survive a power cut.
    fn load_partition(
        &self,
        name: PartitionName,
        fill: impl FnOnce(&mut PutRow<'_>) -> Result<()>,
    ) -> Result<Self::Partition>;
    /// Returns about how many bytes of files hold the keys of a range.
    fn bytes_in(&self, partition: &Self::Partition, range: &KeyRange) -> Result<u64>;
    /// Returns some keys of a partition, ascending and spread over its files; none if it has few.
    fn sample_keys(&self, name: PartitionName) -> Result<Vec<Vec<u8>>>;
    /// Returns the bytes left on the disk of this shard, or `None` if that cannot be known.
    fn bytes_free(&self) -> Option<u64>;

    /// Returns a position of the log from which it is needed to recover this shard: files hold
    /// everything that was written before it.
    fn unflushed_from(&self) -> Position;
    /// Ends the catching up of a partition that was made by a link or a load, or that has lacked
    /// records: its files hold everything before `from`, and everything since then that the log
    /// holds for it has been applied to it. From now on what is flushed of it decides where its
    /// part of the log begins.
    ///
    /// IMPORTANT: until this is called, the partition needs the log from where it began when the
    /// partition was made. Only a partition to which records are applied in their order, along
    /// with all others, can go by the log's `applied()`.
    fn follow(&self, partition: &Self::Partition, from: Position);
    /// Ends that, because a record could not be applied to a partition. What is flushed of it does
    /// not count until [`follow`](Self::follow) is called again.
    ///
    /// IMPORTANT: called while the record is in flight, so that everything that counts already is
    /// before it.
    fn stop_following(&self, partition: &Self::Partition);
    /// Starts flushes, without waiting for them, of the partitions of which memory alone holds
    /// something that was written before a position.
    fn begin_flush_before(&self, position: Position) -> Result<()>;
    /// Moves what is in memory into files, so that the log before this call is no longer needed.
    fn flush(&self) -> Result<()>;
    /// The same for one partition.
    fn flush_partition(&self, partition: &Self::Partition) -> Result<()>;
    fn usage(&self, partition: &Self::Partition) -> Result<Usage>;
    /// Rewrites all files of a partition, without what was overwritten, deleted or has expired.
    fn compact(&self, partition: &Self::Partition) -> Result<()>;
    /// Sets when the files of a partition are merged: as soon as there are a few, which favours
    /// scans, or by the default, which favours writes. Holds until the next call, or until the
    /// shard is closed.
    fn set_few_first_level_files(&self, partition: &Self::Partition, few: bool) -> Result<()>;
    /// Removes the shard's files once no one holds anything of it any more, and after them the file
    /// that says whose they are.
    fn retire(&self, identity: &Path);
    /// Ends background work; reads through handles that are still held go on.
    fn quiesce(&self);
}

/// Several writes to one shard that take effect together.
pub(crate) trait WriteBatch {
    type Partition;
    fn put(&mut self, partition: &Self::Partition, key: &[u8], value: &[u8]);
    fn delete(&mut self, partition: &Self::Partition, key: &[u8]);
    /// Deletes the keys from `start` up to, not including, `end`.
    fn delete_range(&mut self, partition: &Self::Partition, start: &[u8], end: &[u8]);
}

/// A position among the rows of one partition, as they were when it was made.
pub(crate) trait Cursor: Send + Sync + 'static {
    /// Returns the row it stands on, or `None` when it has passed the last one.
    fn row(&self) -> Option<(&[u8], &[u8])>;
    fn key(&self) -> Option<&[u8]>;
    fn advance(&mut self);
    /// Returns why it ended: `Ok` if there are no more rows, otherwise the error.
    fn status(&self) -> Result<()>;
}
