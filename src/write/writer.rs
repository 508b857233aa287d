//! What every write passes through.

use super::settle::Redo;
use crate::cache::HotCache;
use crate::catalog::Catalog;
use crate::latch::Written;
use crate::sampling::Sampler;

/// What a write passes through.
#[derive(Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) redo: &'a Redo,
    pub(crate) cache: Option<&'a HotCache>,
    pub(crate) sampler: &'a Sampler,
}

/// Ends a write that holds nothing any more: it is sampled, and the writer sleeps if a reshape has
/// to keep up with it.
#[inline]
pub(super) fn finish<T>(written: Written<T>, sample: impl FnOnce()) -> T {
    sample();
    if let Some(delay) = written.delay {
        std::thread::sleep(delay);
    }
    written.result
}
