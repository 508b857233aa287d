//! Observations: the input of a tracker.

use crate::id::KeyspaceId;
use crate::setters::setters;
use std::time::Duration;

/// A sampled operation.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Observation<'o> {
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// The key; of a scan the first one that it touched.
    pub key: &'o [u8],
    /// What was done.
    pub kind: Operation<'o>,
    /// How many bytes of keys and values were read or written. Default: 0.
    pub bytes: u64,
    /// How long it took, if that was measured. Measured operations stand for all.
    /// Default: not measured.
    pub took: Option<Duration>,
    /// How many operations this one stands for: 100 if one in a hundred is sampled. Default: 1.
    pub weight: f64,
}

impl<'o> Observation<'o> {
    /// Returns an observation that stands for itself.
    #[must_use]
    pub const fn new(keyspace: KeyspaceId, key: &'o [u8], kind: Operation<'o>) -> Self {
        Self { keyspace, key, kind, bytes: 0, took: None, weight: 1.0 }
    }

    setters! {
        bytes: u64, weight: f64;
        optional took: Duration,
    }
}

/// What was done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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
