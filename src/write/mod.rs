//! How batches are written: routed to partitions, and made one over several shards.

mod batch;
mod redo;
mod routed;
mod settle;

pub use batch::Batch;
pub(crate) use batch::{Write, commit, slow_down};
pub(crate) use redo::{Redo, count_unfinished};

use crate::cache::HotCache;
use crate::catalog::Catalog;
use crate::sampling::Sampler;

/// What a write of a batch passes through.
#[derive(Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) redo: &'a Redo,
    pub(crate) cache: Option<&'a HotCache>,
    pub(crate) sampler: &'a Sampler,
}
