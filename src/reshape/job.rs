//! The handle of a job: one or more reshapes for one purpose.

use super::control::Control;
use super::event::TellerId;
use super::outcome::Outcome;
use super::phase::Phase;
use crate::error::{Error, Result};
use crate::id::PartitionId;
use crate::planner::Step;
use crate::topology::ReshapeSpec;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The progress of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// The phase of the first reshape that has not ended.
    pub phase: Phase,
    /// How many reshapes it consists of.
    pub reshapes: usize,
    /// How many of them have ended.
    pub reshapes_ended: usize,
    /// About how many bytes are to be linked or copied.
    pub bytes_total: u64,
    /// Bytes that have been linked or copied so far.
    pub bytes_done: u64,
    /// Keys that have been copied so far; linking counts none.
    pub keys_done: u64,
    /// Bytes of the store's log, whatever partitions they are about, that were written since what
    /// the copy has.
    pub bytes_behind: u64,
    /// The rate so far.
    pub bytes_per_second: f64,
    /// How long it will still take at that rate; `None` while that is unknown.
    pub eta: Option<Duration>,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it has ended.
    pub ended: bool,
}

/// The handle of a job: one reshape, or all reshapes needed to add, remove or weigh a shard. Cheap
/// to clone; a job continues when its handles are dropped, and ends with its store.
#[derive(Clone)]
pub struct Job {
    inner: Arc<Inner>,
}

struct Inner {
    /// The teller of the store to which the job belongs.
    teller: TellerId,
    number: u64,
    title: String,
    /// The partitions that its reshapes begin with.
    sources: BTreeSet<PartitionId>,
    /// Its reshapes, where it is already known at which points they cut.
    specs: Vec<ReshapeSpec>,
    control: Control,
    outcomes: Mutex<Vec<Outcome>>,
    failure: Mutex<Option<Error>>,
}

impl Job {
    pub(super) fn new(teller: TellerId, number: u64, title: String, steps: &[Step]) -> Self {
        let control = Control::new(steps.len());
        control.bytes_total.store(steps.iter().map(|step| step.bytes).sum(), Ordering::Relaxed);
        let inner = Inner {
            teller,
            number,
            title,
            specs: steps.iter().filter_map(Step::spec).collect(),
            sources: steps.iter().flat_map(|step| step.sources.iter().copied()).collect(),
            control,
            outcomes: Mutex::default(),
            failure: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Returns the job's number among the jobs since the store was opened.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.inner.number
    }

    /// Returns what the job is for, in a few words.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.inner.title
    }

    /// Returns the job's progress.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let control = &self.inner.control;
        let phases = control.phases();
        let bytes_total = control.bytes_total.load(Ordering::Relaxed);
        let bytes_done = control.bytes_done.load(Ordering::Relaxed).min(bytes_total);
        let elapsed = control.started.elapsed();
        let bytes_per_second = bytes_done as f64 / elapsed.as_secs_f64().max(1e-9);
        let left = (bytes_total - bytes_done) as f64;
        let eta = (bytes_done > 0).then(|| left / bytes_per_second).filter(|eta| *eta < 1e9);
        Progress {
            phase: phases
                .iter()
                .copied()
                .find(|phase| !phase.is_last())
                .unwrap_or_else(|| phases.last().copied().unwrap_or(Phase::Cleaned)),
            reshapes: phases.len(),
            reshapes_ended: phases.iter().filter(|phase| phase.is_last()).count(),
            bytes_total,
            bytes_done,
            keys_done: control.keys_done.load(Ordering::Relaxed),
            bytes_behind: control.bytes_behind.load(Ordering::Relaxed),
            bytes_per_second,
            eta: eta.map(Duration::from_secs_f64),
            paused: control.is_paused(),
            ended: control.has_ended(),
        }
    }

    /// Waits for the end of the job. Returns how each of its reshapes ended.
    ///
    /// # Errors
    ///
    /// The reason why the job ended before it was done: [`Aborted`](crate::ErrorKind::Aborted),
    /// [`Closed`](crate::ErrorKind::Closed), [`Io`](crate::ErrorKind::Io),
    /// [`Damaged`](crate::ErrorKind::Damaged) if a copy differed from its source,
    /// [`Internal`](crate::ErrorKind::Internal) for a panic. The partitions concerned are then
    /// served as before. [`InDoubt`](crate::ErrorKind::InDoubt) if the commit failed: reopening the
    /// store determines the outcome. [`InvalidArgument`](crate::ErrorKind::InvalidArgument) in a
    /// [listener](crate::StoreBuilder::listener) of its store, if the job has not ended: the job
    /// may itself be waiting for the listener to return.
    pub fn wait(&self) -> Result<Vec<Outcome>> {
        self.check_waiting()?;
        self.inner.control.wait(None);
        self.result()
    }

    /// Waits for the end of the job, at most for the timeout. Returns `None` if it has not ended by
    /// then.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<Vec<Outcome>>> {
        if let Err(error) = self.check_waiting() {
            return Some(Err(error));
        }
        self.inner.control.wait(Some(timeout)).then(|| self.result())
    }

    fn check_waiting(&self) -> Result<()> {
        if self.has_ended() { Ok(()) } else { self.inner.teller.refuse("wait for a job") }
    }

    fn result(&self) -> Result<Vec<Outcome>> {
        match &*self.inner.failure.lock() {
            Some(error) => Err(error.clone()),
            None => Ok(self.outcomes()),
        }
    }

    /// Returns the outcomes of the job's reshapes that have ended.
    #[must_use]
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.inner.outcomes.lock().clone()
    }

    /// Stops copying until [`resume`](Self::resume). Keys that are written meanwhile are still
    /// recorded.
    pub fn pause(&self) {
        self.inner.control.set_paused(true);
    }

    /// Continues after a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.inner.control.set_paused(false);
    }

    /// Ends the job: reshapes that are not yet committed are rolled back, and committed ones stay.
    /// Returns at once; [`wait`](Self::wait) waits for the end.
    pub fn abort(&self) {
        self.inner.control.abort("the job was aborted");
    }

    /// Returns true if the job has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.inner.control.has_ended()
    }

    pub(super) fn sources(&self) -> &BTreeSet<PartitionId> {
        &self.inner.sources
    }

    pub(super) fn specs(&self) -> &[ReshapeSpec] {
        &self.inner.specs
    }

    pub(super) fn has_one_step(&self) -> bool {
        self.inner.control.phases().len() == 1
    }

    pub(crate) fn control(&self) -> &Control {
        &self.inner.control
    }

    pub(super) fn add_outcome(&self, outcome: Option<Outcome>) {
        self.inner.outcomes.lock().extend(outcome);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.inner.failure.lock().is_some()
    }

    /// Notes why the job did not complete; the first reason counts.
    pub(super) fn fail(&self, error: Error) {
        tracing::warn!(
            job = self.number(),
            error = format_args!("{error:#}"),
            "a reshape ended early"
        );
        self.inner.failure.lock().get_or_insert(error);
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("number", &self.number())
            .field("title", &self.title())
            .finish_non_exhaustive()
    }
}
