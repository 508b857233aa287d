//! Several writes to one instance.

use super::handles::ColumnFamily;
use super::overlay::Overlay;
use crate::engine::WriteBatch;
use crate::error::Result;
use std::sync::Arc;

/// A batch of writes to one RocksDB instance.
#[derive(Default)]
pub(crate) struct RocksDbBatch {
    pub(super) writes: rocksdb::WriteBatch,
    /// The writes to an instance that is open read-only. They have a list of their own because the
    /// crate's reading of a batch ends at the first range that is deleted.
    overlaid: Vec<(Arc<Overlay>, Overlaying)>,
}

/// A write to an overlay.
enum Overlaying {
    Put(Box<[u8]>, Box<[u8]>),
    Delete(Box<[u8]>),
    DeleteRange(Box<[u8]>, Box<[u8]>),
}

impl RocksDbBatch {
    /// Applies the writes to overlays.
    pub(super) fn overlay(self) -> Result<()> {
        self.overlaid.into_iter().try_for_each(|(overlay, write)| match write {
            Overlaying::Put(key, value) => overlay.put(&key, &value),
            Overlaying::Delete(key) => overlay.delete(&key),
            Overlaying::DeleteRange(start, end) => overlay.delete_range(&start, &end),
        })
    }

    #[cold]
    fn note(&mut self, overlay: &Arc<Overlay>, write: Overlaying) {
        self.overlaid.push((Arc::clone(overlay), write));
    }
}

impl WriteBatch for RocksDbBatch {
    type Partition = Arc<ColumnFamily>;

    fn put(&mut self, partition: &Arc<ColumnFamily>, key: &[u8], value: &[u8]) {
        match partition.overlay() {
            None => self.writes.put_cf(partition.handle(), key, value),
            Some(overlay) => self.note(overlay, Overlaying::Put(key.into(), value.into())),
        }
    }

    fn delete(&mut self, partition: &Arc<ColumnFamily>, key: &[u8]) {
        match partition.overlay() {
            None => self.writes.delete_cf(partition.handle(), key),
            Some(overlay) => self.note(overlay, Overlaying::Delete(key.into())),
        }
    }

    fn delete_range(&mut self, partition: &Arc<ColumnFamily>, start: &[u8], end: &[u8]) {
        match partition.overlay() {
            None => self.writes.delete_range_cf(partition.handle(), start, end),
            Some(overlay) => self.note(overlay, Overlaying::DeleteRange(start.into(), end.into())),
        }
    }
}
