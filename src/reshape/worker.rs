//! The threads that carry out jobs, and how they are started.

use super::job::Job;
use super::options::ReshapeOptions;
use super::protocol::run;
use super::purpose::Purpose;
use super::reshaper::Reshaper;
use super::trim;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::os::parallel;
use crate::planner::{Plan, Step};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most reshapes of a job that run at once, over all shards.
const WORKERS_MAX: usize = 8;

/// How often a job for a shard may plan again.
const PLANS_MAX: u32 = 8;

/// Starts a job on a new thread.
pub(crate) fn start(
    reshaper: &Arc<Reshaper>,
    title: String,
    steps: Vec<Step>,
    options: ReshapeOptions,
    purpose: impl Purpose + 'static,
) -> Result<Job> {
    let registry = &reshaper.registry;
    let job = Job::new(registry.teller(), registry.job_number(), title, &steps);
    registry.add(job.clone())?;
    let (reshaper, mine, counted) = (Arc::clone(reshaper), job.clone(), Arc::clone(registry));
    let run = move || {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            Worker { job: &mine, reshaper: &reshaper, options, purpose: &purpose }.run(&steps);
        }));
        if ended.is_err() {
            mine.fail(Error::new(ErrorKind::Internal, "the job's thread panicked"));
        }
        drop((purpose, reshaper));
        mine.control().end();
        counted.thread_ended();
    };
    let spawned = std::thread::Builder::new().name("annulus-reshape".into()).spawn(run);
    if let Err(error) = spawned {
        registry.thread_ended();
        job.control().end();
        let message = "cannot start a thread for the job; raise the limit";
        return Err(Error::new(ErrorKind::Io, message).with_source(error));
    }
    Ok(job)
}

/// The worker that carries out a job.
struct Worker<'a> {
    job: &'a Job,
    reshaper: &'a Arc<Reshaper>,
    options: ReshapeOptions,
    purpose: &'a dyn Purpose,
}

impl Worker<'_> {
    /// Runs the steps, and any steps that the purpose plans afterwards.
    fn run(&self, steps: &[Step]) {
        let mut overtaken = self.run_steps(steps, 0);
        for _ in 0..PLANS_MAX {
            if self.job.has_failed() {
                break;
            }
            match self.purpose.plan_again(overtaken) {
                Ok(Some(Plan { steps, .. })) => {
                    let bytes = steps.iter().map(|step| step.bytes).sum();
                    let first = self.job.control().add_steps(steps.len(), bytes);
                    overtaken = self.run_steps(&steps, first);
                }
                Ok(None) => break,
                Err(error) => self.job.fail(error),
            }
        }
        if !self.job.has_failed()
            && let Err(error) = self.purpose.finish()
        {
            self.job.fail(error);
        }
        if self.job.has_failed() {
            self.purpose.give_up();
        }
    }

    /// Runs the steps, several at once; no two concern the same partition. `first` is the index of
    /// the first of them in the job. Returns how many were overtaken by other reshapes, where that
    /// is not a failure.
    fn run_steps(&self, steps: &[Step], first: usize) -> usize {
        let (next, gone) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            while let Some((index, step)) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                steps.get(index).map(|step| (first + index, step))
            } {
                if self.run_step(step, index) {
                    gone.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        match steps.len().min(WORKERS_MAX).min(self.purpose.reshapes_max()) {
            0 | 1 => work(),
            workers => {
                for worked in parallel::each(&vec![(); workers], |()| work()) {
                    worked.unwrap_or_else(|panic| resume_unwind(panic));
                }
            }
        }
        gone.into_inner()
    }

    /// Returns true if the step was overtaken.
    fn run_step(&self, step: &Step, index: usize) -> bool {
        let ended = run(self.reshaper, step, self.options, self.job.control(), index);
        if self.reshaper.registry.has_to_trim() {
            trim::start(self.reshaper);
        }
        self.job.add_outcome(ended.outcome);
        match ended.error {
            Some(error) if self.purpose.allows_overtaking() && self.was_overtaken(step, &error) => {
                return true;
            }
            Some(error) => self.job.fail(error),
            None => {}
        }
        false
    }

    /// Returns true if a step failed because other changes invalidated its plan: its partition, or
    /// a shard that was to receive something, is gone, or that shard is now being removed.
    fn was_overtaken(&self, step: &Step, error: &Error) -> bool {
        let topology = self.reshaper.catalog.topology();
        let takes_nothing = |id: &ShardId| topology.shard(*id).is_none_or(|shard| shard.draining);
        match error.kind() {
            ErrorKind::NotFound => true,
            ErrorKind::InvalidArgument => step.owners.iter().any(takes_nothing),
            _ => false,
        }
    }
}
