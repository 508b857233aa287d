//! Where the load is: what partitions are asked for, and at which of their keys or tokens.

pub(crate) mod place;
mod profile;

pub use profile::{Profile, Sample, ScanSample};
