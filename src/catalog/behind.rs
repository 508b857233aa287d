//! What a partition that is behind the log lacks: a shard could not apply a write that is in it.
//!
//! The write stands, since a batch that it is part of may have been applied elsewhere. So the
//! partition refuses reads and writes, which would not find it, and the log is kept, until it is
//! applied after all: when the shard takes writes again, or by the next opening. No other partition
//! is concerned. `docs/writes.md` has the protocol.

use crate::error::{Error, ErrorKind};
use crate::id::{PartitionId, ShardId};
use crate::log::Position;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a partition that is behind lacks.
pub(super) struct Behind {
    /// Where the first record begins that may be missing.
    from: AtomicU64,
    /// Where the log ended when no write of the partition was in progress any more.
    pub(super) until: OnceLock<Position>,
    cause: Error,
}

impl Behind {
    pub(super) fn new(missing: Position, cause: &Error) -> Self {
        Self { from: AtomicU64::new(missing.0), until: OnceLock::new(), cause: cause.clone() }
    }

    /// Notes a record that is missing. Writers that fail at the same time come in any order.
    pub(super) fn lacks(&self, missing: Position) {
        self.from.fetch_min(missing.0, Ordering::AcqRel);
    }

    /// Returns where the first record begins that may be missing.
    pub(super) fn from(&self) -> Position {
        Position(self.from.load(Ordering::Acquire))
    }

    /// Returns what the shard has refused, and why.
    pub(super) fn cause(&self) -> String {
        format!("{:#}", self.cause)
    }

    /// Returns the error of an operation on the partition.
    #[cold]
    pub(super) fn error(&self, partition: PartitionId, shard: ShardId) -> Error {
        Error::new(
            ErrorKind::Busy,
            format!(
                "partition {partition} of shard {shard} is behind the log since \"{}\"; the store \
                 brings it up by itself when the shard takes writes again, and so does the next \
                 opening: try again later",
                self.cause
            ),
        )
        .with_source(self.cause.clone())
    }
}
