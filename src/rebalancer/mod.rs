//! The rebalancer: sees where the load falls, decides what helps, does it with reshapes, and says
//! why.
//!
//! One thread a store. It fetches what was [sampled](crate::sampling), feeds the
//! [tracker](crate::heat::Tracker), tells of what has become hot, and from time to time asks the
//! [planner](crate::planner::load) what to do. What it then does depends on the
//! [policy](crate::planner::load::Policy). Whatever that is, it has partitions that are scanned
//! keep fewer files. Decisions are made by pure functions, elsewhere; here they
//! are carried out and written down.

mod compaction_tuning;
mod decisions;
mod demand;
mod handle;
mod heat_file;
mod worker;

pub use decisions::{Decision, Verdict};
pub use handle::Rebalancer;
pub use heat_file::SavedHeat;
pub(crate) use worker::start;

use crate::heat::{HeatEvent, Tracker};
use crate::id::PartitionId;
use crate::options::Options;
use crate::planner::load::Policy;
use crate::reshape::{Job, Outcome};
use crate::topology::Topology;
use compaction_tuning::CompactionTuning;
use decisions::Log;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the rebalancer knows and was told. Its parts are locked one at a time, but `tracking` inside
/// `few_files`. None is locked while the listener is called, except `telling`, for which no thread
/// waits.
pub(crate) struct State {
    begun: Instant,
    tracking: Mutex<Tracking>,
    /// What was found and the listener has not been told yet, the oldest first.
    untold: Mutex<VecDeque<HeatEvent>>,
    /// Held by the thread that tells, so that events keep their order.
    telling: Mutex<()>,
    control: Mutex<Control>,
    log: Mutex<Log>,
    /// When partitions were last reshaped; those that rest no more are left out.
    reshaped: Mutex<BTreeMap<PartitionId, Instant>>,
    cool_down: Duration,
    few_files: Mutex<CompactionTuning>,
}

struct Tracking {
    tracker: Tracker,
    /// When the samples were last fetched.
    drained: Duration,
    /// When the small file, and when the whole, was last written.
    saved_now: Instant,
    saved: Instant,
}

/// What the application may change while the store is open.
struct Control {
    policy: Policy,
    paused: bool,
    quiet: bool,
    /// The job that carries out a plan.
    job: Option<Job>,
    planned: Instant,
}

impl State {
    /// Takes up what was known when the store was last open.
    pub(crate) fn new(path: &Path, options: &Options, topology: &Arc<Topology>) -> Self {
        let begun = Instant::now();
        let (tracker, log) = heat_file::load(path, options, topology);
        Self {
            begun,
            tracking: Mutex::new(Tracking {
                tracker,
                drained: Duration::ZERO,
                saved_now: begun,
                saved: begun,
            }),
            untold: Mutex::default(),
            telling: Mutex::default(),
            control: Mutex::new(Control {
                policy: options.rebalance.policy,
                paused: false,
                quiet: false,
                job: None,
                planned: begun,
            }),
            log: Mutex::new(log),
            reshaped: Mutex::default(),
            cool_down: Duration::from_millis(options.rebalance.cool_down_ms),
            few_files: Mutex::default(),
        }
    }

    /// The tracker's time.
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Notes that partitions were reshaped, or that it was tried.
    pub(crate) fn note(&self, outcome: &Outcome) {
        if outcome.trim {
            return;
        }
        let now = Instant::now();
        let mut reshaped = self.reshaped.lock();
        // Planning does that, too, but not every store plans.
        reshaped.retain(|_, since| now.duration_since(*since) <= self.cool_down);
        reshaped.extend(outcome.sources.iter().chain(&outcome.targets).map(|id| (*id, now)));
    }

    /// How many partitions are noted as reshaped lately.
    #[cfg(test)]
    pub(crate) fn resting(&self) -> usize {
        self.reshaped.lock().len()
    }
}
