//! Several writes to one instance.

use super::owned::ColumnFamily;
use crate::shard::Batch;
use rocksdb::WriteBatch;

/// A batch of writes to one RocksDB instance.
#[derive(Default)]
pub(crate) struct RocksBatch(pub(super) WriteBatch);

impl Batch for RocksBatch {
    type Partition = ColumnFamily;

    fn put(&mut self, partition: &ColumnFamily, key: &[u8], value: &[u8]) {
        self.0.put_cf(partition.handle(), key, value);
    }

    fn delete(&mut self, partition: &ColumnFamily, key: &[u8]) {
        self.0.delete_cf(partition.handle(), key);
    }

    fn delete_range(&mut self, partition: &ColumnFamily, start: &[u8], end: &[u8]) {
        self.0.delete_range_cf(partition.handle(), start, end);
    }
}
