//! How much of the log stays on disk for those that read changes, after it was released.
//!
//! A [`Pin`](super::Pin) keeps records that a shard may need: an opening replays them. A hold keeps
//! only files. It is bounded: beyond a number of bytes or a time the files are freed all the same,
//! and the reader finds that out.

use std::collections::BTreeMap;
use std::time::Duration;

/// The most of the log that is kept for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HoldLimits {
    /// Bytes before the end of the log.
    pub(crate) bytes: u64,
    /// The age of records; `None` for any.
    pub(crate) age: Option<Duration>,
}

/// What readers of this process hold.
#[derive(Default)]
pub(super) struct Holds {
    pub(super) next: u64,
    pub(super) held: BTreeMap<u64, Held>,
}

#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) position: u64,
    /// How many bytes before the end of the log this one may hold.
    pub(super) most: u64,
}
