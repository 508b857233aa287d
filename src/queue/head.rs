//! The head of a queue: what its handles remember of it, and when the mark is moved.

use super::row::Moment;
use std::sync::atomic::{AtomicU64, Ordering};

/// The mark is moved to the present head of the queue each time this many jobs have been taken: a scan
/// from it steps over the remains of about as many. A row more for each 128 jobs costs nothing that
/// shows; passing 128 deleted rows takes about ten microseconds.
const TAKEN_MAX: u64 = 128;

/// In an empty queue the mark is moved when it is this far behind, in microseconds.
const BEHIND_MAX: Moment = 1_000_000;

/// What the clones of a handle share.
pub(super) struct Head {
    /// Jobs taken since the mark was moved.
    taken: AtomicU64,
    /// Up to here, in the order of the queue, there may be rows that were deleted: leases that were
    /// finished before they ran out.
    deleted_until: AtomicU64,
    /// The greatest number that was given to a job.
    last_number: AtomicU64,
}

impl Head {
    /// Returns that of a queue that was opened at a moment: earlier handles may have left leases
    /// behind up to another one.
    pub(super) const fn new(deleted_until: Moment) -> Self {
        Self {
            taken: AtomicU64::new(0),
            deleted_until: AtomicU64::new(deleted_until),
            last_number: AtomicU64::new(0),
        }
    }

    /// Returns the number of the next job: later than all before, and about the time.
    pub(super) fn next_number(&self, now: Moment) -> u64 {
        let next = |last: u64| Some(now.max(last.saturating_add(1)));
        let last = self.last_number.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let last = last.unwrap_or_else(|last| last);
        now.max(last.saturating_add(1))
    }

    /// Returns true if the mark should be moved by a transaction that takes a job.
    pub(super) fn is_due(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= TAKEN_MAX
    }

    /// Returns true if the mark should be moved by one that found the queue empty.
    pub(super) fn is_due_when_empty(&self, mark: Moment, now: Moment) -> bool {
        now.saturating_sub(mark) >= BEHIND_MAX && mark < self.deleted_until.load(Ordering::Relaxed)
    }

    pub(super) fn has_taken(&self, moved: bool) {
        if moved {
            self.taken.store(0, Ordering::Relaxed);
        } else {
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes that a row at a place is deleted, or will be.
    pub(super) fn will_delete(&self, due: Moment) {
        self.deleted_until.fetch_max(due, Ordering::Relaxed);
    }
}
