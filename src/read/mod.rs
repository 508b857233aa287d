//! Reads of rows: cursors over partitions, in key order, at one moment or at the present.

mod concat;
mod cursor_factory;
mod first_expiry;
mod key_bounds;
mod left_out;
mod merge;
mod options;
mod partition_cursor;
mod scan;
mod value;

pub(crate) use cursor_factory::{Cut, ShardSnapshots};
pub(crate) use first_expiry::FirstExpiry;
pub(crate) use key_bounds::Bounds;
pub(crate) use key_bounds::sealed::RawBounds;
pub use key_bounds::{KeyBounds, Prefix};
pub use left_out::LeftOut;
pub(crate) use merge::MergeCursor;
pub use options::ReadOptions;
pub(crate) use partition_cursor::{PartitionCursor, RowFilter};
pub(crate) use scan::deadline_exceeded;
pub use scan::{Scan, ScanOptions};
pub use value::{MemoryRead, Value};
