//! The positions that are pinned, and how far the log was released.

use std::collections::BTreeMap;

/// The positions that are pinned, and how far the log was released.
#[derive(Default)]
pub(super) struct Pins {
    pub(super) pinned: BTreeMap<u64, usize>,
    pub(super) released: u64,
}

impl Pins {
    pub(super) fn add(&mut self, position: u64) {
        *self.pinned.entry(position).or_default() += 1;
    }

    pub(super) fn remove(&mut self, position: u64) {
        if let Some(count) = self.pinned.get_mut(&position) {
            *count -= 1;
            if *count == 0 {
                self.pinned.remove(&position);
            }
        }
    }
}
