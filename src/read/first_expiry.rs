//! When the first of some rows expires.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// When the first of the rows expires that a scan has returned. Clones are the same.
#[derive(Clone)]
pub(crate) struct FirstExpiry(Arc<AtomicU64>);

impl Default for FirstExpiry {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }
}

impl FirstExpiry {
    pub(super) fn note(&self, expires: u64) {
        if expires < self.get() {
            self.0.store(expires, Ordering::Relaxed);
        }
    }

    /// Returns the least that was noted; the greatest number if none was.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
