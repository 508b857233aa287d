//! What the rebalancer knows.

use super::compaction_tuning::CompactionTuning;
use super::decisions::Log;
use super::heat_file::load;
use super::recent::Recent;
use crate::heat::{HeatEvent, HeatOptions, Tracker};
use crate::planner::load::{Policy, RebalanceOptions};
use crate::reshape::{Job, Reshaper};
use crate::sampling::Sampler;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The state of the rebalancer. Its parts are locked one at a time, except `tracking` inside
/// `compaction_tuning`. None is locked while the listener is called, except `notifying`, for which no
/// thread waits.
pub(crate) struct State {
    pub(super) reshaper: Arc<Reshaper>,
    pub(super) sampler: Arc<Sampler>,
    pub(super) settings: Settings,
    pub(super) begun: Instant,
    pub(super) tracking: Mutex<Tracking>,
    /// Events that the listener has not been notified of yet, the oldest first.
    pub(super) unnotified: Mutex<VecDeque<HeatEvent>>,
    /// Held by the thread that notifies the listener, so that events keep their order.
    pub(super) notifying: Mutex<()>,
    pub(super) control: Mutex<Control>,
    pub(super) log: Mutex<Log>,
    pub(super) recent: Arc<Recent>,
    pub(super) compaction_tuning: Mutex<CompactionTuning>,
}

/// The options of a store that concern its rebalancer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// `None` if no load is counted.
    pub(crate) heat: Option<HeatOptions>,
    pub(crate) rebalance: RebalanceOptions,
}

pub(super) struct Tracking {
    pub(super) tracker: Tracker,
    /// When the samples were last drained.
    pub(super) drained: Duration,
    /// When the small file, and when the complete one, was last written.
    pub(super) saved_now: Instant,
    pub(super) saved: Instant,
}

/// What the application may change while the store is open.
pub(super) struct Control {
    pub(super) policy: Policy,
    pub(super) paused: bool,
    pub(super) quiet: bool,
    /// The job that carries out a plan.
    pub(super) job: Option<Job>,
    pub(super) planned: Instant,
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
        let (tracker, log) = load(&reshaper.catalog, settings.heat.unwrap_or_default());
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
            unnotified: Mutex::default(),
            notifying: Mutex::default(),
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
    pub(super) fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}
