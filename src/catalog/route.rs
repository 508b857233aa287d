//! The partition of one key, found in the present view.

use super::{KeyspaceState, OpenPartition, View};
use crate::error::{Error, Result};
use crate::latch::Current;
use arc_swap::Guard;
use std::sync::Arc;

/// The partition that a key belongs to, in the view that was present when it was asked for.
pub(crate) struct KeyRoute {
    view: Guard<Arc<View>>,
    index: usize,
}

impl KeyspaceState {
    /// Finds the partition of a key.
    #[inline]
    pub(crate) fn route(&self, key: &[u8]) -> KeyRoute {
        let view = self.load();
        let index = view.index(key);
        KeyRoute { view, index }
    }
}

impl KeyRoute {
    #[inline]
    #[expect(
        clippy::indexing_slicing,
        reason = "a view has one partition for each range, which the topology's invariants and \
                  the opening of the store make sure of"
    )]
    pub(crate) fn partition(&self) -> &Arc<OpenPartition> {
        &self.view.partitions[self.index]
    }
}

impl Current for KeyRoute {
    type Error = Error;

    #[inline]
    fn is_current(&self) -> Result<bool> {
        self.partition().is_current()
    }
}
