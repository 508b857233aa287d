//! The families whose writers RocksDB delays or stops, for their memory or the number of their files.

use crate::topology::PartitionName;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

/// The families of a shard whose writers are delayed or stopped. One of them delays those of all others.
#[derive(Default)]
pub(super) struct Stalls {
    families: Mutex<BTreeSet<PartitionName>>,
    any: AtomicBool,
}

impl Stalls {
    /// Notes whether writers of a family wait.
    pub(super) fn note(&self, name: PartitionName, wait: bool) {
        let mut families = self.families.lock();
        if wait {
            families.insert(name)
        } else {
            families.remove(&name)
        };
        self.any.store(!families.is_empty(), Ordering::Release);
    }

    /// Returns whether those of any family do.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PartitionId;

    #[test]
    fn writers_wait_as_long_as_any_family_has_them_wait() {
        let stalls = Stalls::default();
        let name = |id| PartitionName { id: PartitionId(id), generation: 0 };
        let any = || stalls.any.load(Ordering::Relaxed);
        stalls.note(name(1), true);
        stalls.note(name(1), true);
        stalls.note(name(2), true);
        stalls.note(name(1), false);
        assert!(any());
        stalls.note(name(2), false);
        assert!(!any());
        stalls.note(name(3), false);
        assert!(!any());
    }
}
