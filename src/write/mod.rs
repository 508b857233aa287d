//! Writes of keys and batches: by the protocol of `latch::enter`, to the engines of shards; a batch
//! over several of them is made atomic.

mod batch;
mod commit;
mod records;
mod redo;
mod routed;
mod settle;
mod single;
mod writer;

pub use batch::Batch;
pub(crate) use batch::Write;
pub(crate) use redo::count_unfinished;
pub(crate) use settle::Redo;
pub use single::Swap;
pub(crate) use writer::Writer;
