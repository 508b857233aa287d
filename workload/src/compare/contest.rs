//! Candidates in a comparison, and what they have run.

use crate::engine::{Description, Engine, Identity};
use crate::growth::Growth;
use crate::runner::Outcome;
use crate::workload::Workload;

/// A candidate that is open and loaded.
pub(super) struct Contestant {
    pub(super) identity: Identity,
    pub(super) description: Description,
    pub(super) load: Outcome,
    pub(super) disk_bytes: Option<u64>,
    pub(super) engine: Box<dyn Engine>,
    pub(super) growth: Growth,
}

/// One workload with a number of threads, run by every contestant in every round.
pub(super) struct Cell {
    pub(super) workload: Workload,
    pub(super) threads: usize,
    /// By round, then by contestant.
    pub(super) rounds: Vec<Vec<Outcome>>,
}
