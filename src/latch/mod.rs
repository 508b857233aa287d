//! Per-partition concurrency control: a striped latch that writers share, the dirty set kept during
//! a reshape, and the partition's status.
//!
//! Next to them, the [versions](Versions) that keep a cache of values coherent.
//!
//! Nothing here knows an engine, so all of it runs under a schedule explorer (`model/`). A reshape
//! relies on these rules:
//!
//! * **Readers** and **writers** follow `protocol.rs`.
//! * A **reshape** begins to track, waits for writers that may not have noticed, and copies; then
//!   it owns all stripes, copies what is left, and [hands over](hand_over).

mod dirty_set;
#[cfg(all(test, annulus_shuttle))]
mod model;
mod protocol;
mod stripes;
mod sync;
mod versions;

pub(crate) use dirty_set::{Changes, DirtySet};
#[cfg(feature = "rocksdb")]
pub(crate) use protocol::Written;
pub(crate) use protocol::{Current, Routed, Site, enter};
pub(crate) use stripes::{ALL_STRIPES, HeldStripe, Latch, StripeSet, stripe_set};
#[cfg(feature = "rocksdb")]
pub(crate) use versions::AtWork;
pub(crate) use versions::{Version, Versions};

use crate::placement::KeyRange;
use std::sync::Arc;
use std::time::{Duration, Instant};
use sync::{AtomicBool, AtomicU8, Mutex, Ordering, RwLockWriteGuard};

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

/// Synchronisation state of one partition; readers and writers consult it on every operation.
#[derive(Default)]
pub(crate) struct PartitionState {
    pub(crate) latch: Latch,
    status: AtomicU8,
    tracked: AtomicBool,
    dirty: Mutex<Option<Arc<DirtySet>>>,
}

/// A partition to which no thread can write.
#[must_use = "the partition is sealed for as long as this lives"]
pub(crate) struct Seal<'a> {
    _stripes: Vec<RwLockWriteGuard<'a, ()>>,
}

impl PartitionState {
    #[inline]
    pub(crate) fn status(&self) -> PartitionStatus {
        match self.status.load(Ordering::Acquire) {
            0 => PartitionStatus::Current,
            1 => PartitionStatus::Superseded,
            _ => PartitionStatus::Closed,
        }
    }

    /// Waits for the writers in progress and keeps others out. Returns `None` if that takes until
    /// after the deadline.
    pub(crate) fn seal(&self, deadline: Option<Instant>) -> Option<Seal<'_>> {
        self.latch.own_all(deadline).map(|stripes| Seal { _stripes: stripes })
    }

    /// Ends writes for good: waits for those in progress and refuses later ones.
    pub(crate) fn close(&self) {
        let _sealed = self.seal(None);
        self.status.store(PartitionStatus::Closed as u8, Ordering::Release);
    }

    /// Starts to record writes in `dirty`. When this returns, every write that is not recorded is
    /// done.
    pub(crate) fn track(&self, dirty: Arc<DirtySet>) {
        *self.dirty.lock() = Some(dirty);
        self.tracked.store(true, Ordering::Release);
        // A writer that has already looked holds its stripe until its write is done.
        self.latch.drain();
    }

    /// Returns true if the keys of all writes are recorded.
    pub(crate) fn is_tracked(&self) -> bool {
        self.tracked.load(Ordering::Acquire)
    }

    pub(crate) fn untrack(&self) {
        self.tracked.store(false, Ordering::Release);
        *self.dirty.lock() = None;
    }

    /// Records the write of a key. Called after the write, by a writer that still holds its stripe.
    /// Returns how long the writer should sleep once it has released it.
    #[inline]
    pub(crate) fn record(&self, key: &[u8]) -> Option<Duration> {
        if self.tracked.load(Ordering::Acquire) {
            self.record_in(|dirty| dirty.record(key))
        } else {
            None
        }
    }

    /// The same for the deletion of a range, by a writer that holds all stripes.
    pub(crate) fn record_range(&self, range: impl FnOnce() -> KeyRange) -> Option<Duration> {
        if self.tracked.load(Ordering::Acquire) {
            return self.record_in(|dirty| dirty.record_range(range()));
        }
        None
    }

    #[cold]
    fn record_in(&self, record: impl FnOnce(&DirtySet)) -> Option<Duration> {
        let dirty = self.dirty.lock().clone()?;
        record(&dirty);
        dirty.delay()
    }
}

/// Replaces `sources`, which are sealed, with `targets`, which have their content.
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
        source.status.store(PartitionStatus::Superseded as u8, Ordering::Release);
    }
}
