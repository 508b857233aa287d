//! Values that are used, and dropped, on the pool.

use crate::inner::Inner;
use std::sync::Arc;

/// A value that may take a while to drop, such as an iterator over files: dropped on the pool.
pub(crate) struct OnPool<T: Send + 'static> {
    value: Option<T>,
    inner: Arc<Inner>,
}

impl<T: Send + 'static> OnPool<T> {
    pub(crate) const fn new(value: T, inner: Arc<Inner>) -> Self {
        Self { value: Some(value), inner }
    }

    pub(crate) const fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    pub(crate) const fn get_mut(&mut self) -> Option<&mut T> {
        self.value.as_mut()
    }

    /// Takes the value out, to be used on the pool.
    pub(crate) fn take(mut self) -> Option<T> {
        self.value.take()
    }
}

impl<T: Send + 'static> Drop for OnPool<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            self.inner.pool().dispose(value);
        }
    }
}
