//! Jobs: one reshape or several for one purpose, with a handle.

use super::control::Control;
use super::event::TellerId;
use super::options::ReshapeOptions;
use super::outcome::Outcome;
use super::phase::Phase;
use super::purpose::Purpose;
use super::reshaper::Reshaper;
use super::run::run;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{PartitionId, ShardId};
use crate::os::parallel;
use crate::planner::{Plan, Step};
use crate::topology::ReshapeSpec;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How many reshapes of a job run at once, over all shards.
const WORKERS_MAX: usize = 8;

/// How often a job for a shard plans anew.
const PLANS_MAX: u32 = 8;

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// The phase of the first reshape that has not ended.
    pub phase: Phase,
    /// How many reshapes it consists of, and how many of them have ended.
    pub reshapes: usize,
    /// How many have ended.
    pub reshapes_ended: usize,
    /// Bytes that are linked or copied, about.
    pub bytes_total: u64,
    /// Bytes that were linked or copied up to now.
    pub bytes_done: u64,
    /// Keys that were copied up to now; linking counts none.
    pub keys_done: u64,
    /// Keys that were written meanwhile and are still to be copied.
    pub dirty_keys: usize,
    /// The rate up to now.
    pub bytes_per_second: f64,
    /// When it will have ended, at that rate; none while that is not known.
    pub eta: Option<Duration>,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether it has ended.
    pub ended: bool,
}

/// The handle of a job: one reshape, or all those that adding, removing or weighing a shard takes.
/// Cheap to clone; a job goes on when its handles are dropped, and ends with its store.
#[derive(Clone)]
pub struct Job {
    inner: Arc<Inner>,
}

struct Inner {
    /// Of the store that it belongs to.
    teller: TellerId,
    number: u64,
    title: String,
    /// The partitions that its reshapes begin with.
    sources: BTreeSet<PartitionId>,
    /// Its reshapes, as far as it is known where they cut.
    specs: Vec<ReshapeSpec>,
    control: Arc<Control>,
    outcomes: Mutex<Vec<Outcome>>,
    failure: Mutex<Option<Error>>,
}

impl Job {
    /// Its number among the jobs since the store was opened.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.inner.number
    }

    /// What it is for, in a few words.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.inner.title
    }

    /// How far it is.
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
            dirty_keys: control.dirty_keys.load(Ordering::Relaxed),
            bytes_per_second,
            eta: eta.map(Duration::from_secs_f64),
            paused: control.is_paused(),
            ended: control.has_ended(),
        }
    }

    /// Waits for its end; gives how each of its reshapes ended.
    ///
    /// # Errors
    ///
    /// Why it ended before it was done: [`Aborted`](ErrorKind::Aborted),
    /// [`Closed`](ErrorKind::Closed), [`Io`](ErrorKind::Io), [`Damaged`](ErrorKind::Damaged) if a
    /// copy differed from its source, [`Internal`](ErrorKind::Internal) for a panic. The
    /// partitions concerned are served as before. [`InDoubt`](ErrorKind::InDoubt) if the commit
    /// failed: opening the store anew finds out. [`InvalidArgument`](ErrorKind::InvalidArgument)
    /// in a [listener](crate::StoreBuilder::listener) of its store, if it has not ended: what it
    /// waits for may be the call.
    pub fn wait(&self) -> Result<Vec<Outcome>> {
        self.check_waiting()?;
        self.inner.control.wait(None);
        self.result()
    }

    /// Waits for its end, but not longer than this; none if it has not ended by then.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
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
            Some(error) => Err(error.duplicate()),
            None => Ok(self.outcomes()),
        }
    }

    /// How those of its reshapes ended that have ended.
    #[must_use]
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.inner.outcomes.lock().clone()
    }

    /// Stops copying until [`resume`](Self::resume). What is written meanwhile is still recorded.
    pub fn pause(&self) {
        self.inner.control.set_paused(true);
    }

    /// Goes on after a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.inner.control.set_paused(false);
    }

    /// Ends it: reshapes that are not committed yet are rolled back, those that are stay. Returns
    /// at once; [`wait`](Self::wait) waits for the end.
    pub fn abort(&self) {
        self.inner.control.abort("the job was aborted");
    }

    /// Whether it has ended.
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
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("number", &self.number())
            .field("title", &self.title())
            .finish_non_exhaustive()
    }
}

/// Starts a job on a thread of its own.
pub(crate) fn start(
    reshaper: &Arc<Reshaper>,
    title: String,
    steps: Vec<Step>,
    options: ReshapeOptions,
    purpose: impl Purpose + 'static,
) -> Result<Job> {
    let registry = &reshaper.registry;
    let control = Arc::new(Control::new(steps.len()));
    control.bytes_total.store(steps.iter().map(|step| step.bytes).sum(), Ordering::Relaxed);
    let inner = Inner {
        teller: registry.teller(),
        number: registry.job_number(),
        title,
        specs: steps.iter().filter_map(Step::spec).collect(),
        sources: steps.iter().flat_map(|step| step.sources.iter().copied()).collect(),
        control,
        outcomes: Mutex::default(),
        failure: Mutex::default(),
    };
    let job = Job { inner: Arc::new(inner) };
    registry.add(job.clone())?;
    let (reshaper, mine, counted) = (Arc::clone(reshaper), job.clone(), Arc::clone(registry));
    let run = move || {
        let ended =
            catch_unwind(AssertUnwindSafe(|| mine.run(&reshaper, &steps, options, &purpose)));
        if ended.is_err() {
            mine.fail(Error::new(ErrorKind::Internal, "the job's thread panicked"));
        }
        drop((purpose, reshaper));
        mine.inner.control.end();
        counted.thread_ended();
    };
    let spawned = std::thread::Builder::new().name("annulus-reshape".into()).spawn(run);
    if let Err(error) = spawned {
        registry.thread_ended();
        job.inner.control.end();
        let message = format!("cannot start a thread for the job: {error}; raise the limit");
        return Err(Error::new(ErrorKind::Io, message).with_source(error));
    }
    Ok(job)
}

impl Job {
    fn run(
        &self,
        reshaper: &Arc<Reshaper>,
        steps: &[Step],
        options: ReshapeOptions,
        purpose: &dyn Purpose,
    ) {
        let mut overtaken = self.run_steps(reshaper, steps, 0, options, purpose);
        for _ in 0..PLANS_MAX {
            if self.has_failed() {
                break;
            }
            match purpose.plan_again(overtaken) {
                Ok(Some(Plan { steps, .. })) => {
                    let bytes = steps.iter().map(|step| step.bytes).sum();
                    let first = self.inner.control.add_steps(steps.len(), bytes);
                    overtaken = self.run_steps(reshaper, &steps, first, options, purpose);
                }
                Ok(None) => break,
                Err(error) => self.fail(error),
            }
        }
        if !self.has_failed()
            && let Err(error) = purpose.finish()
        {
            self.fail(error);
        }
        if self.has_failed() {
            purpose.give_up();
        }
    }

    fn has_failed(&self) -> bool {
        self.inner.failure.lock().is_some()
    }

    /// Runs the steps, several at once; each is of other partitions. `first` is the index of the
    /// first of them in the job. Gives how many were overtaken by others, where that is no failure.
    fn run_steps(
        &self,
        reshaper: &Arc<Reshaper>,
        steps: &[Step],
        first: usize,
        options: ReshapeOptions,
        purpose: &dyn Purpose,
    ) -> usize {
        let (next, gone) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            while let Some((index, step)) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                steps.get(index).map(|step| (first + index, step))
            } {
                let ended = run(reshaper, step, options, &self.inner.control, index);
                self.inner.outcomes.lock().extend(ended.outcome);
                match ended.error {
                    Some(error)
                        if purpose.allows_overtaking() && was_overtaken(reshaper, step, &error) =>
                    {
                        gone.fetch_add(1, Ordering::Relaxed);
                    }
                    Some(error) => self.fail(error),
                    None => {}
                }
            }
        };
        match steps.len().min(WORKERS_MAX).min(purpose.reshapes_max()) {
            0 | 1 => work(),
            workers => {
                for worked in parallel::each(&vec![(); workers], |()| work()) {
                    worked.unwrap_or_else(|panic| resume_unwind(panic));
                }
            }
        }
        gone.into_inner()
    }

    /// Notes why it did not come to its end; the first reason counts.
    fn fail(&self, error: Error) {
        tracing::warn!(job = self.number(), %error, "a reshape ended early");
        self.inner.failure.lock().get_or_insert(error);
    }
}

/// Whether a step failed because others have changed what it was planned for: its partition or a
/// shard that was to get something is gone, or that shard is being removed by now.
fn was_overtaken(reshaper: &Arc<Reshaper>, step: &Step, error: &Error) -> bool {
    let topology = reshaper.catalog.topology();
    let takes_nothing = |id: &ShardId| topology.shard(*id).is_none_or(|shard| shard.draining);
    match error.kind() {
        ErrorKind::NotFound => true,
        ErrorKind::InvalidArgument => step.owners.iter().any(takes_nothing),
        _ => false,
    }
}
