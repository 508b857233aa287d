//! Rows of delimited files: a key column, and everything else as the value.
//!
//! The value is the row's text without its key column, byte for byte, so that a row can be
//! assembled again exactly. Lines that are not rows are reported one by one and stop nothing.

mod column;
mod doubt;
mod encoding;
mod fields;
mod format;
mod layout;
mod lines;
mod reader;
mod sample;
mod until;

pub(crate) use column::Column;
pub(crate) use format::{Format, KeyColumn};
pub(crate) use layout::Layout;
pub(crate) use reader::{Complaints, Malformed, Reader, Row, RowsArgs};
pub(crate) use sample::sample_keys;
pub(crate) use until::{Until, check_rows_expire};
