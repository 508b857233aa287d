//! Per-partition concurrency control: a striped latch that writers own in parts, and the partition's
//! status.
//!
//! Next to them, the [versions](Versions) that keep a cache of values coherent.
//!
//! Nothing here knows an engine or a log, so all of it runs under a schedule explorer (`model/`). A
//! reshape relies on these rules:
//!
//! * **Readers** and **writers** follow `protocol.rs`.
//! * A **reshape** notes a position of the log below which everything is applied, and copies what
//!   the engines hold after that; it follows the log from there, owns all stripes, reads the log to
//!   its end, and [hands over](hand_over).
//! * **Bringing up** a partition that lacks what the log has waits, by a seal, for the writers that
//!   were in progress when it fell behind; applies what they and others have appended; and hands
//!   over to a new state of the same partition, to which no reader or writer of the old one gets
//!   without looking at the view again.

#[cfg(all(test, annulus_shuttle))]
mod model;
mod protocol;
mod stripes;
mod sync;
mod versions;

pub(crate) use protocol::{Current, Routed, Site, enter, enter_at_once};
pub(crate) use stripes::{ALL_STRIPES, HeldStripe, Latch, StripeSet, stripe_set};
pub(crate) use versions::AtWork;
pub(crate) use versions::{Version, Versions};

use std::time::Instant;
use sync::{AtomicU8, Ordering};

/// The status of a partition: whether what it holds counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PartitionStatus {
    Current = 0,
    /// A reshape has replaced it; the present view has its successors.
    Superseded = 1,
    /// The keyspace was dropped, or the store was closed.
    Closed = 2,
}

/// Added to the status of a partition that lacks what the log has.
const BEHIND: u8 = 4;

/// Synchronisation state of one partition; readers and writers consult it on every operation.
#[derive(Default)]
pub(crate) struct PartitionState {
    pub(crate) latch: Latch,
    status: AtomicU8,
}

/// A partition to which no thread can write.
#[must_use = "the partition is sealed for as long as this lives"]
pub(crate) struct Seal<'a> {
    _stripes: Vec<HeldStripe<'a>>,
}

impl PartitionState {
    #[inline]
    pub(crate) fn status(&self) -> PartitionStatus {
        match self.status.load(Ordering::Acquire) & !BEHIND {
            0 => PartitionStatus::Current,
            1 => PartitionStatus::Superseded,
            _ => PartitionStatus::Closed,
        }
    }

    /// Returns true if the partition is current, and has everything that the log has.
    #[inline]
    pub(crate) fn is_usable(&self) -> bool {
        self.status.load(Ordering::Acquire) == PartitionStatus::Current as u8
    }

    /// Returns true if the partition lacks what the log has.
    pub(crate) fn is_behind(&self) -> bool {
        self.status.load(Ordering::Acquire) & BEHIND != 0
    }

    /// Notes that the partition lacks what the log has, for good: one that has it takes the place
    /// of this one. The caller owns the stripes of what is missing. Returns true if it was not noted
    /// before.
    pub(crate) fn mark_behind(&self) -> bool {
        self.status.fetch_or(BEHIND, Ordering::AcqRel) & BEHIND == 0
    }

    /// Waits for the writers in progress and keeps others out. Returns `None` if that takes until
    /// after the deadline.
    pub(crate) fn seal(&self, deadline: Option<Instant>) -> Option<Seal<'_>> {
        self.latch.own_all(deadline).map(|stripes| Seal { _stripes: stripes })
    }

    /// Ends writes for good: waits for those in progress and refuses later ones.
    pub(crate) fn close(&self) {
        let _sealed = self.seal(None);
        self.status.fetch_or(PartitionStatus::Closed as u8, Ordering::AcqRel);
    }
}

/// Replaces `sources`, to which no thread can write, with `targets`, which have their content.
///
/// IMPORTANT: the order. A writer that finds a target in the new view waits until the sources are
/// superseded, so no write to a target is acknowledged while a reader may still take what it read
/// from a source for current. And a thread that finds a source superseded finds the new view.
pub(crate) fn hand_over<'a>(
    sources: impl IntoIterator<Item = &'a PartitionState>,
    targets: impl IntoIterator<Item = &'a PartitionState>,
    publish: impl FnOnce(),
) {
    let _closed: Vec<_> = targets.into_iter().map(|target| target.seal(None)).collect();
    publish();
    for source in sources {
        source.status.fetch_or(PartitionStatus::Superseded as u8, Ordering::AcqRel);
    }
}
