//! Observations: the input of a tracker.

use crate::id::KeyspaceId;

/// A sampled operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation<'o> {
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// The key; of a scan the first one that it touched.
    pub key: &'o [u8],
    /// What was done.
    pub kind: Operation<'o>,
    /// How many bytes of keys and values were read or written.
    pub bytes: u64,
    /// How long it took, if that was measured. Measured operations stand for all.
    pub nanos: Option<u64>,
    /// How many operations this one stands for: 100 if one in a hundred is sampled.
    pub weight: f64,
}

/// What was done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'o> {
    /// A read of a key, present or not.
    Read,
    /// A write or a delete of a key.
    Write,
    /// A scan, as far as it ran in one partition; of one that crosses several, each part is
    /// an observation.
    Scan {
        /// The last key that it touched, in the partition of the first one.
        last: &'o [u8],
        /// How many rows it returned.
        rows: u64,
    },
}
