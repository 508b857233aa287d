//! The handle of a keyspace; its reads are in `read.rs`, its writes in `write.rs`.

mod read;
mod write;

use crate::inner::Inner;
use annulus::Result;
use std::fmt;
use std::sync::Arc;

/// The handle of a keyspace, for tasks: the calls of [`annulus::Keyspace`], which says what each of
/// them returns, costs and guarantees. Cheap to clone.
///
/// All of them have the errors of the call of the same name there, and those of
/// [`Store::run`](crate::Store::run). The [crate] says what runs where, and what becomes of a call
/// whose future is dropped.
#[derive(Clone)]
pub struct Keyspace {
    keyspace: annulus::Keyspace,
    inner: Arc<Inner>,
}

impl Keyspace {
    pub(crate) fn new(keyspace: annulus::Keyspace, inner: &Arc<Inner>) -> Self {
        Self { keyspace, inner: Arc::clone(inner) }
    }

    /// Returns the handle for threads that may wait: for batches and closures of transactions.
    #[must_use]
    pub const fn blocking(&self) -> &annulus::Keyspace {
        &self.keyspace
    }

    /// Returns the keyspace's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.keyspace.name()
    }

    pub(crate) const fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Runs something on the pool.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        run: impl FnOnce(&annulus::Keyspace) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let keyspace = self.keyspace.clone();
        self.inner.pool().run(move || run(&keyspace)).await
    }
}

impl fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.keyspace.fmt(f)
    }
}
