//! The rebalancer: sees where the load falls, decides what helps, does it with reshapes, and says
//! why.
//!
//! One thread a store. It fetches what was [sampled](crate::sampler), feeds the
//! [tracker](crate::heat::Tracker), tells of what has become hot, and from time to time asks the
//! [planner](crate::balance::rebalance) what to do. What it then does depends on the
//! [policy](crate::balance::rebalance::Policy). Whatever that is, it has partitions that are scanned
//! keep fewer files. Decisions are made by pure functions, elsewhere; here they
//! are carried out and written down.

mod decision;
mod few_files;
mod file;
mod handle;
mod plan;
mod worker;

pub use decision::{Decision, Verdict};
pub use file::LastHeat;
pub use handle::Rebalancer;
pub(crate) use worker::start;

use crate::balance::rebalance::Policy;
use crate::heat::{HeatEvent, Tracker};
use crate::id::PartitionId;
use crate::options::Options;
use crate::reshape::{Job, Outcome};
use crate::topology::Topology;
use decision::Log;
use few_files::FewFiles;
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
    few_files: Mutex<FewFiles>,
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
        let (tracker, log) = file::load(path, options, topology);
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
