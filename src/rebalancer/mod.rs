//! The rebalancer: observes where the load falls, decides what helps, does it with reshapes, and
//! records why.
//!
//! There is one thread for each store. It drains the [samples](crate::sampling), feeds the
//! [tracker](crate::heat::Tracker), reports what has become hot, and from time to time asks the
//! [planner](crate::planner::load) what to do. What it then does depends on the
//! [policy](crate::planner::load::Policy). Whatever that is, it makes partitions that are scanned
//! keep fewer files. Decisions are made by pure functions, elsewhere; here they are carried out and
//! recorded.

mod compaction_tuning;
mod decisions;
mod demand;
mod handle;
mod heat_file;
mod recent;
mod worker;

pub use decisions::{Decision, Verdict};
pub use handle::Rebalancer;
pub use heat_file::SavedHeat;
pub(crate) use recent::Recent;
pub(crate) use worker::start;

use crate::heat::{HeatEvent, HeatOptions, Tracker};
use crate::planner::load::{Policy, RebalanceOptions};
use crate::reshape::{Job, Reshaper};
use crate::sampling::Sampler;
use compaction_tuning::CompactionTuning;
use decisions::Log;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The state of the rebalancer. Its parts are locked one at a time, except `tracking` inside
/// `compaction_tuning`. None is locked while the listener is called, except `telling`, for which no
/// thread waits.
pub(crate) struct State {
    reshaper: Arc<Reshaper>,
    sampler: Arc<Sampler>,
    settings: Settings,
    begun: Instant,
    tracking: Mutex<Tracking>,
    /// Events that the listener has not been notified of yet, the oldest first.
    untold: Mutex<VecDeque<HeatEvent>>,
    /// Held by the thread that notifies the listener, so that events keep their order.
    telling: Mutex<()>,
    control: Mutex<Control>,
    log: Mutex<Log>,
    recent: Arc<Recent>,
    compaction_tuning: Mutex<CompactionTuning>,
}

/// The options of a store that concern its rebalancer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// `None` if no load is counted.
    pub(crate) heat: Option<HeatOptions>,
    pub(crate) rebalance: RebalanceOptions,
}

struct Tracking {
    tracker: Tracker,
    /// When the samples were last drained.
    drained: Duration,
    /// When the small file, and when the complete one, was last written.
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
    /// Resumes with what was known when the store was last open. Reshapes are noted in `recent`.
    pub(crate) fn new(
        reshaper: Arc<Reshaper>,
        sampler: Arc<Sampler>,
        settings: Settings,
        recent: Arc<Recent>,
    ) -> Self {
        let begun = Instant::now();
        let (tracker, log) = heat_file::load(&reshaper.catalog, settings.heat.unwrap_or_default());
        Self {
            reshaper,
            sampler,
            settings,
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
                policy: settings.rebalance.policy,
                paused: false,
                quiet: false,
                job: None,
                planned: begun,
            }),
            log: Mutex::new(log),
            recent,
            compaction_tuning: Mutex::default(),
        }
    }

    /// Returns the tracker's time.
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}
