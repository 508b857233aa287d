//! What transactions consist of: what they have read and written, and how often they are run.
//!
//! A transaction reads a snapshot, which has exactly the records of the log before some position.
//! It is committed by a record that is appended only if no record since that position changes what
//! it has read: so it might as well have read everything at the place of its record.
//! `docs/transactions.md` argues for that. The handles that applications use are in
//! `store/transaction/`.

mod attempts;
mod footprint;
mod intervals;
mod merge;
mod options;
mod pending;
mod running;

pub(crate) use attempts::Attempts;
pub(crate) use footprint::Footprint;
pub(crate) use merge::MergedRows;
pub use options::{Isolation, TransactionOptions};
pub(crate) use pending::{Own, Pending};
pub(crate) use running::{Running, refuse_while_running};
