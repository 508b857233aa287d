//! Writes of keys and batches: by the protocol of `latch::enter`, to the engines of shards; a batch
//! over several of them is made atomic.

mod batch;
mod redo;
mod routed;
mod settle;
mod single;

pub use batch::Batch;
pub(crate) use batch::Write;
pub(crate) use redo::{Redo, count_unfinished};
pub use single::Swap;

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
fn finish<T>(written: Written<T>, sample: impl FnOnce()) -> T {
    sample();
    if let Some(delay) = written.delay {
        std::thread::sleep(delay);
    }
    written.result
}
