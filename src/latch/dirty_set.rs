//! The keys and ranges that were written to a partition while it was being copied.

use super::stripes::{STRIPES, stripe_index};
use super::sync::{AtomicUsize, Mutex, Ordering};
use crate::placement::KeyRange;
use std::collections::HashSet;
use std::time::Duration;

/// Bookkeeping bytes of an entry, next to those of its key.
const ENTRY_BYTES: usize = 64;

/// How long a writer sleeps for each time over that the set fills its bound, and the maximum.
const DELAY: Duration = Duration::from_millis(1);
const DELAY_MAX: Duration = Duration::from_millis(20);

/// The keys and ranges written since they were last taken.
///
/// A writer records *after* its write and before it releases its stripe: a thread that takes a key
/// out finds the write done, and one that owns all stripes finds every write recorded.
pub(crate) struct DirtySet {
    stripes: [Mutex<HashSet<Box<[u8]>>>; STRIPES],
    ranges: Mutex<Vec<KeyRange>>,
    bytes: AtomicUsize,
    /// Above this many bytes writers are slowed down.
    bound: AtomicUsize,
}

/// What was taken out of a dirty set.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) keys: Vec<Box<[u8]>>,
    pub(crate) ranges: Vec<KeyRange>,
}

impl Changes {
    pub(crate) fn len(&self) -> usize {
        self.keys.len() + self.ranges.len()
    }
}

impl DirtySet {
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            stripes: std::array::from_fn(|_| Mutex::default()),
            ranges: Mutex::default(),
            bytes: AtomicUsize::new(0),
            bound: AtomicUsize::new(bound),
        }
    }

    #[expect(clippy::indexing_slicing, reason = "the index is a remainder below their number")]
    pub(super) fn record(&self, key: &[u8]) {
        let mut keys = self.stripes[stripe_index(key)].lock();
        if !keys.contains(key) {
            keys.insert(key.into());
            drop(keys);
            self.bytes.fetch_add(key.len() + ENTRY_BYTES, Ordering::Relaxed);
        }
    }

    pub(super) fn record_range(&self, range: KeyRange) {
        let bytes = range.start.len() + range.end.as_ref().map_or(0, |end| end.len());
        self.bytes.fetch_add(bytes + ENTRY_BYTES, Ordering::Relaxed);
        self.ranges.lock().push(range);
    }

    /// Takes all entries out.
    pub(crate) fn take(&self) -> Changes {
        // Reset before the entries are taken: one that arrives meanwhile counts for the next round.
        self.bytes.store(0, Ordering::Relaxed);
        let mut changes =
            Changes { keys: Vec::new(), ranges: std::mem::take(&mut self.ranges.lock()) };
        for stripe in &self.stripes {
            changes.keys.extend(std::mem::take(&mut *stripe.lock()));
        }
        changes
    }

    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        let keys: usize = self.stripes.iter().map(|stripe| stripe.lock().len()).sum();
        keys + self.ranges.lock().len()
    }

    /// Sets how many bytes the set may hold before writers are slowed down.
    pub(crate) fn set_bound(&self, bytes: usize) {
        self.bound.store(bytes.max(1), Ordering::Relaxed);
    }

    /// Returns how long a writer should sleep after its write, so that copying can keep up.
    pub(super) fn delay(&self) -> Option<Duration> {
        let (bytes, bound) =
            (self.bytes.load(Ordering::Relaxed), self.bound.load(Ordering::Relaxed));
        let times = u32::try_from(bytes / bound).unwrap_or(u32::MAX);
        (times > 0).then(|| DELAY.saturating_mul(times).min(DELAY_MAX))
    }
}
