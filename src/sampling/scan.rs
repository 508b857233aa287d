//! The samples of a sampled scan's rows.

use super::{SampleTicket, SampledOperation, Sampler};
use crate::heat::Operation;
use crate::id::KeyspaceId;
use std::sync::Arc;

/// A partition's rows are recorded when the scan leaves it, or after this many.
const ROWS_MAX: u64 = 1024;

/// Where partitions interleave, one row in this many is recorded, as a read of its key.
const ROWS_A_READ: u64 = 16;

pub(crate) struct ScanSampler {
    sampler: Arc<Sampler>,
    keyspace: KeyspaceId,
    weight: u32,
    interleaved: bool,
    /// The partition of the scan that the rows belong to.
    partition: usize,
    first: Vec<u8>,
    last: Vec<u8>,
    rows: u64,
    bytes: usize,
}

impl ScanSampler {
    /// Returns the sampler of a scan that begins, if it is sampled.
    pub(crate) fn begin(sampler: &Arc<Sampler>, keyspace: KeyspaceId) -> Option<Box<Self>> {
        sampler.begin().map(|sampled: SampleTicket| {
            Box::new(Self {
                sampler: Arc::clone(sampler),
                keyspace,
                weight: sampled.weight(),
                interleaved: false,
                partition: 0,
                first: Vec::new(),
                last: Vec::new(),
                rows: 0,
                bytes: 0,
            })
        })
    }

    pub(crate) fn interleaved(mut self: Box<Self>, interleaved: bool) -> Box<Self> {
        self.interleaved = interleaved;
        self
    }

    /// Counts a row of the partition at this position in the scan.
    pub(crate) fn row(&mut self, partition: usize, key: &[u8], value_bytes: usize) {
        let rows_max = if self.interleaved { ROWS_A_READ } else { ROWS_MAX };
        if partition != self.partition || self.rows >= rows_max {
            self.record();
            self.partition = partition;
        }
        if self.rows == 0 {
            self.first.clear();
            self.first.extend_from_slice(key);
        }
        self.rows += 1;
        self.bytes += key.len() + value_bytes;
        self.last.clear();
        self.last.extend_from_slice(key);
    }

    fn record(&mut self) {
        if self.rows == 0 {
            return;
        }
        // A reverse scan read from the last to the first.
        let (first, last) = (&self.first, &self.last);
        let (first, last) = (first.min(last), first.max(last));
        let access = if self.interleaved {
            Operation::Read
        } else {
            Operation::Scan { last, rows: self.rows }
        };
        self.sampler.record(SampledOperation {
            keyspace: self.keyspace,
            key: first,
            access,
            bytes: self.bytes,
            weight: self.weight,
            took: None,
        });
        (self.rows, self.bytes) = (0, 0);
    }
}

impl Drop for ScanSampler {
    fn drop(&mut self) {
        self.record();
    }
}
