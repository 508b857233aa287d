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
    ///
    /// # Errors
    ///
    /// `Unavailable` if its shard is missing.
    #[inline]
    pub(crate) fn route(&self, key: &[u8]) -> Result<KeyRoute> {
        let view = self.load();
        let index = view.index(key);
        view.partition(index)?;
        Ok(KeyRoute { view, index })
    }
}

impl KeyRoute {
    #[inline]
    #[expect(clippy::expect_used, reason = "`route` has found it in this view")]
    pub(crate) fn partition(&self) -> &Arc<OpenPartition> {
        self.view.partition(self.index).expect("a route leads to a partition")
    }
}

impl Current for KeyRoute {
    type Error = Error;

    #[inline]
    fn is_current(&self) -> Result<bool> {
        self.partition().is_current()
    }
}
