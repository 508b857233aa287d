//! Jobs: one reshape or several for one purpose, with a handle.

use super::control::Control;
use super::event::Event;
use super::options::{ReshapeOptions, Transport};
use super::phase::Phase;
use super::run::run;
use crate::balance::Step;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{KeyspaceId, PartitionId, ShardId};
use crate::store::Store;
use crate::topology::ReshapeKind;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How many reshapes of a job run at once, over all shards.
const WORKERS_MAX: usize = 8;

/// How a reshape ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// The number of the reshape in its store.
    pub reshape: u64,
    /// What it did to the number of partitions.
    pub kind: ReshapeKind,
    /// Whether it only wrote a partition anew, without the rows of others.
    pub trim: bool,
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// The partitions that went.
    pub sources: Vec<PartitionId>,
    /// The shards that they were on.
    pub from: Vec<ShardId>,
    /// The partitions that came. A partition that only moves keeps its number.
    pub targets: Vec<PartitionId>,
    /// The shards that they are on.
    pub to: Vec<ShardId>,
    /// How their content got there.
    pub transport: Transport,
    /// `Cleaned` or `RolledBack`.
    pub phase: Phase,
    /// Why it was rolled back.
    pub error: Option<String>,
    /// Bytes of files that were linked, or of rows that were copied.
    pub bytes: u64,
    /// Keys that were written meanwhile and copied after the rest.
    pub keys_caught_up: u64,
    /// How often it was tried to seal the sources.
    pub rounds: u32,
    /// The longest that writes had to wait at once, in milliseconds: for the commit, or for the cut
    /// at which both sides are compared.
    pub pause_ms: f64,
    /// How long all of it took, in milliseconds.
    pub elapsed_ms: f64,
    /// When it ended, in seconds since 1970.
    pub unix_seconds: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |ids: &[PartitionId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
        let shards =
            |ids: &[ShardId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
        write!(
            f,
            "reshape {}: {} of partition {} on shard {} to {} on {} by {}: {}",
            self.reshape,
            if self.trim { "trim".to_owned() } else { self.kind.to_string() },
            list(&self.sources),
            shards(&self.from),
            list(&self.targets),
            shards(&self.to),
            self.transport,
            self.phase,
        )?;
        match &self.error {
            Some(error) => write!(f, " ({error})"),
            None => {
                write!(f, " in {:.1} ms, writes paused {:.2} ms", self.elapsed_ms, self.pause_ms)
            }
        }
    }
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// The phase of the reshape that is furthest from its end.
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
    number: u64,
    title: String,
    /// The partitions that its reshapes begin with.
    sources: BTreeSet<PartitionId>,
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
    /// failed: opening the store anew finds out.
    pub fn wait(&self) -> Result<Vec<Outcome>> {
        self.inner.control.wait(None);
        self.result()
    }

    /// Waits for its end, but not longer than this; none if it has not ended by then.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<Vec<Outcome>>> {
        self.inner.control.wait(Some(timeout)).then(|| self.result())
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

/// What follows when all reshapes of a job have ended well, and what if they have not.
pub(crate) enum Finish {
    Nothing,
    RemoveShard(ShardId),
}

/// Starts a job on a thread of its own.
pub(crate) fn start(
    store: &Store,
    title: String,
    steps: Vec<Step>,
    options: ReshapeOptions,
    finish: Finish,
) -> Result<Job> {
    let registry = store.reshapes();
    let control = Arc::new(Control::new(steps.len()));
    control.bytes_total.store(steps.iter().map(|step| step.bytes).sum(), Ordering::Relaxed);
    let inner = Inner {
        number: registry.job_number(),
        title,
        sources: steps.iter().flat_map(|step| step.sources.iter().copied()).collect(),
        control,
        outcomes: Mutex::default(),
        failure: Mutex::default(),
    };
    let job = Job { inner: Arc::new(inner) };
    registry.add(job.clone())?;
    let (worker, mine, counted) = (store.for_worker(), job.clone(), Arc::clone(registry));
    let run = move || {
        let ended = catch_unwind(AssertUnwindSafe(|| mine.run(&worker, steps, options, finish)));
        if ended.is_err() {
            mine.fail(Error::new(ErrorKind::Internal, "the job's thread panicked"));
        }
        drop(worker);
        mine.inner.control.end();
        counted.thread_ended();
    };
    let spawned = std::thread::Builder::new().name("annulus-reshape".into()).spawn(run);
    if let Err(error) = spawned {
        registry.thread_ended();
        job.inner.control.end();
        return Err(Error::new(ErrorKind::Io, "cannot start a thread").with_source(error));
    }
    Ok(job)
}

impl Job {
    fn run(&self, store: &Store, steps: Vec<Step>, options: ReshapeOptions, finish: Finish) {
        self.run_steps(store, &steps, options);
        if let Finish::RemoveShard(shard) = finish {
            let done = self.inner.failure.lock().is_none();
            let finished =
                if done { store.retire_shard(shard) } else { store.set_draining(shard, false) };
            if let Err(error) = finished {
                self.fail(error);
            }
        }
    }

    /// Runs the steps, several at once; each is of other partitions.
    fn run_steps(&self, store: &Store, steps: &[Step], options: ReshapeOptions) {
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some((index, step)) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                steps.get(index).map(|step| (index, step))
            } {
                self.run_step(store, index, step, options);
            }
        };
        match steps.len().min(WORKERS_MAX) {
            0 | 1 => work(),
            workers => std::thread::scope(|scope| {
                for _ in 0..workers {
                    scope.spawn(work);
                }
            }),
        }
    }

    fn run_step(&self, store: &Store, index: usize, step: &Step, options: ReshapeOptions) {
        let ended = run(store, step, options, &self.inner.control, index);
        self.inner.outcomes.lock().extend(ended.outcome);
        if let Some(error) = ended.error {
            self.fail(error);
        }
    }

    /// Notes why it did not come to its end; the first reason counts.
    fn fail(&self, error: Error) {
        tracing::warn!(job = self.number(), %error, "a reshape ended early");
        self.inner.failure.lock().get_or_insert(error);
    }
}

/// Tells the listener, the log and the statistics how a reshape ended.
pub(super) fn publish(store: &Store, outcome: &Outcome) {
    let registry = store.reshapes();
    registry.count(outcome);
    tracing::info!("{outcome}");
    if let Err(error) = super::journal::remember(&store.core().metadata, outcome.reshape, outcome) {
        tracing::warn!(%error, "cannot remember a reshape");
    }
    registry.tell(&Event::Ended(outcome.clone()));
}
