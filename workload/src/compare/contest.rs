//! Candidates in a comparison, and what they have run.

use crate::engine::{Description, Engine, Identity};
use crate::growth::Growth;
use crate::runner::Outcome;
use crate::usage::Usage;
use crate::workload::Workload;

/// A candidate that is open and loaded.
pub(super) struct Contestant {
    pub(super) identity: Identity,
    pub(super) description: Description,
    pub(super) load: Turn,
    pub(super) disk_bytes: Option<u64>,
    pub(super) engine: Box<dyn Engine>,
    pub(super) growth: Growth,
}

/// One workload with a number of threads, run by every contestant in every round.
pub(super) struct Cell {
    pub(super) workload: Workload,
    pub(super) threads: usize,
    /// By round, then by contestant.
    pub(super) rounds: Vec<Vec<Turn>>,
}

/// What a contestant did in one turn, and what the process used for it, up to when it was idle again:
/// flushes and compactions that the turn has caused are part of it, and so is its warm-up.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) outcome: Outcome,
    pub(super) usage: Usage,
}

impl Turn {
    /// Returns how many operations the usage is for.
    pub(super) const fn operations(&self) -> u64 {
        self.outcome.operations + self.outcome.warm_up_operations
    }
}
