//! Partitions that are behind the log: a shard could not apply a write that is in it.
//!
//! The write stands, since a batch that it is part of may have been applied elsewhere. So the
//! partition refuses reads and writes, which would not find it; the log is kept from it on; and the
//! next opening, which replays the log, brings the partition up. No other partition is concerned.

use crate::error::{Error, ErrorKind};
use crate::id::{PartitionId, ShardId};
use crate::log::Pin;

/// Since when a partition is behind the log.
pub(super) struct Behind {
    /// Keeps the log from the first write that is missing.
    _pin: Pin,
    cause: Error,
}

impl Behind {
    pub(super) fn new(pin: Pin, cause: &Error) -> Self {
        Self { _pin: pin, cause: cause.clone() }
    }

    /// Returns the error of an operation on the partition.
    #[cold]
    pub(super) fn error(&self, partition: PartitionId, shard: ShardId) -> Error {
        Error::new(
            ErrorKind::Io,
            format!(
                "partition {partition} of shard {shard} is behind the log since \"{}\"; open the \
                 store again, which brings it up",
                self.cause
            ),
        )
        .with_source(self.cause.clone())
    }
}
