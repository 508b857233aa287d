//! What a sampled scan tells of the rows that it gives.

use super::{SampleTicket, SampledOperation, Sampler};
use crate::heat::Operation;
use crate::id::KeyspaceId;
use std::sync::Arc;

/// A partition's rows are told of when the scan leaves it, or after so many.
const ROWS_MAX: u64 = 1024;

/// Where partitions interleave, one row in so many is told of, as a read of its key.
const ROWS_A_READ: u64 = 16;

pub(crate) struct ScanSampler {
    sampler: Arc<Sampler>,
    keyspace: KeyspaceId,
    weight: u32,
    interleaved: bool,
    /// Which of the scan's partitions the rows are of.
    partition: usize,
    first: Vec<u8>,
    last: Vec<u8>,
    rows: u64,
    bytes: usize,
}

impl ScanSampler {
    /// For a scan that begins here, if it is sampled.
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

    /// A row is given, of the partition that comes at this place in the scan.
    pub(crate) fn row(&mut self, partition: usize, key: &[u8], value_bytes: usize) {
        let rows_max = if self.interleaved { ROWS_A_READ } else { ROWS_MAX };
        if partition != self.partition || self.rows >= rows_max {
            self.tell();
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

    fn tell(&mut self) {
        if self.rows == 0 {
            return;
        }
        // A scan in reverse came from the last to the first.
        let (first, last) = (&self.first, &self.last);
        let (first, last) = (first.min(last), first.max(last));
        let access = if self.interleaved {
            Operation::Read
        } else {
            Operation::Scan { last, rows: self.rows }
        };
        self.sampler.tell(SampledOperation {
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
        self.tell();
    }
}
