//! Where the load is: what partitions are asked for, and at which of their keys or tokens.

pub(crate) mod place;
mod profile;
pub(crate) mod split;

pub use profile::{Profile, Sample, ScanSample};
pub use split::{NoHelp, SplitDecision, SplitOptions, decide};
