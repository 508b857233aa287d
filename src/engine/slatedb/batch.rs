//! Several writes to one database.

use super::handles::Partition;
use crate::engine::WriteBatch;
use crate::topology::PartitionName;
use slatedb::bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A write, with the key as the database has it.
pub(super) enum Op {
    Put(Bytes, Bytes),
    Delete(Bytes),
    DeleteRange(Bytes, Bytes),
}

/// A batch of writes to one SlateDB database.
#[derive(Default)]
pub(crate) struct SlateBatch {
    pub(super) ops: Vec<Op>,
    pub(super) deletes_ranges: bool,
    /// How many bytes it brings to each partition.
    pub(super) bytes: BTreeMap<PartitionName, (Arc<Partition>, u64)>,
}

impl SlateBatch {
    pub(super) fn add(&mut self, partition: &Arc<Partition>, op: Op) {
        /// What a row takes in memory next to key and value.
        const OVERHEAD_BYTES: u64 = 32;
        let bytes = match &op {
            Op::Put(key, value) => key.len() + value.len(),
            Op::Delete(key) => key.len(),
            Op::DeleteRange(..) => 0,
        };
        let (_, sum) =
            self.bytes.entry(partition.name).or_insert_with(|| (Arc::clone(partition), 0));
        *sum += bytes as u64 + OVERHEAD_BYTES;
        self.ops.push(op);
    }
}

impl WriteBatch for SlateBatch {
    type Partition = Arc<Partition>;

    fn put(&mut self, partition: &Arc<Partition>, key: &[u8], value: &[u8]) {
        self.add(partition, Op::Put(partition.prefix.key(key), Bytes::copy_from_slice(value)));
    }

    fn delete(&mut self, partition: &Arc<Partition>, key: &[u8]) {
        self.add(partition, Op::Delete(partition.prefix.key(key)));
    }

    fn delete_range(&mut self, partition: &Arc<Partition>, start: &[u8], end: &[u8]) {
        // SlateDB panics where it is asked for an empty range.
        if start < end {
            self.deletes_ranges = true;
            self.add(
                partition,
                Op::DeleteRange(partition.prefix.key(start), partition.prefix.key(end)),
            );
        }
    }
}
