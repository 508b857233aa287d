//! Several writes to one instance.

use super::handles::ColumnFamily;
use crate::engine::WriteBatch;

/// A batch of writes to one RocksDB instance.
#[derive(Default)]
pub(crate) struct RocksDbBatch(pub(super) rocksdb::WriteBatch);

impl WriteBatch for RocksDbBatch {
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
