//! What all handles of a store share.

use crate::pool::Pool;
use std::fmt;
use std::sync::Arc;

/// A store and its pool.
pub(crate) struct Inner {
    /// There until the last handle is dropped.
    store: Option<annulus::Store>,
    pool: Pool,
}

impl Inner {
    pub(crate) fn new(store: annulus::Store, pool: Pool) -> Arc<Self> {
        Arc::new(Self { store: Some(store), pool })
    }

    #[expect(clippy::expect_used, reason = "only the drop takes it")]
    pub(crate) const fn store(&self) -> &annulus::Store {
        self.store.as_ref().expect("there until the last handle is dropped")
    }

    pub(crate) const fn pool(&self) -> &Pool {
        &self.pool
    }
}

/// The last handle of a store waits for its reshapes, which a task must not: it is dropped on the
/// pool.
impl Drop for Inner {
    fn drop(&mut self) {
        self.pool.dispose(self.store.take());
        self.pool.close();
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("pool", &self.pool.stats()).finish_non_exhaustive()
    }
}
