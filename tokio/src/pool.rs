//! The pool: threads that may wait, and a bounded number of operations for them.
//!
//! An operation is admitted by a semaphore, then it is a job in a queue, then a thread runs it. The
//! permit goes with the job, so the queue is never longer than the semaphore allows, whatever becomes
//! of the tasks.

use crate::options::PoolOptions;
use annulus::{Error, ErrorKind, Result};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot, watch};

type Job = Box<dyn FnOnce() + Send>;

/// What a pool is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// The threads that have been started and have not ended.
    pub threads: usize,
    /// Operations that have a place in the pool, running or next in turn.
    pub in_flight: usize,
    /// Tasks that wait for a place.
    pub waiting: usize,
}

pub(crate) struct Pool {
    options: PoolOptions,
    admission: Arc<Semaphore>,
    waiting: AtomicUsize,
    shared: Arc<Shared>,
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the threads share with the pool, which they outlive while they finish what was admitted.
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    threads_max: usize,
    /// How many threads there are, for those who wait for the end of the last.
    threads: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads that wait for a job.
    idle: usize,
    closed: bool,
}

impl Pool {
    pub(crate) fn new(options: PoolOptions) -> Result<Self> {
        options.validate()?;
        let shared = Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            threads_max: options.threads,
            threads: watch::Sender::new(0),
        };
        Ok(Self {
            options,
            admission: Arc::new(Semaphore::new(options.in_flight_max)),
            waiting: AtomicUsize::new(0),
            shared: Arc::new(shared),
        })
    }

    /// Runs an operation on a thread of the pool, and returns its result.
    ///
    /// If the task is gone by the time the operation's turn comes, it is not begun. Once begun, it
    /// runs to its end. A panic of the operation becomes one of the task.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = self.admit().await?;
        let (sender, receiver) = oneshot::channel();
        self.shared.push(Box::new(move || {
            // Held until the operation has ended and its result is in place, or dropped.
            let _permit = permit;
            if !sender.is_closed() {
                // A result that no one takes any more is dropped here, on this thread.
                let _ = sender.send(catch_unwind(AssertUnwindSafe(operation)));
            }
        }))?;
        match receiver.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(closed()),
        }
    }

    async fn admit(&self) -> Result<OwnedSemaphorePermit> {
        match Arc::clone(&self.admission).try_acquire_owned() {
            Ok(permit) => return Ok(permit),
            Err(TryAcquireError::Closed) => return Err(closed()),
            Err(TryAcquireError::NoPermits) => {}
        }
        let _waiting = self.wait()?;
        Arc::clone(&self.admission).acquire_owned().await.map_err(|_| closed())
    }

    /// Counts a task that waits, until the result is dropped.
    fn wait(&self) -> Result<Waiting<'_>> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        match self.options.waiting_max {
            Some(most) if before >= most => Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "{} operations are in the pool and {most} tasks wait for a place in it, which is \
                     the most that its option waiting_max allows; try again later",
                    self.options.in_flight_max
                ),
            )),
            _ => Ok(waiting),
        }
    }

    /// Returns an error if the pool was closed.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.admission.is_closed() { Err(closed()) } else { Ok(()) }
    }

    /// Drops a value on a thread of the pool: to drop it may take a while.
    pub(crate) fn dispose<T: Send + 'static>(&self, value: T) {
        // A pool that is closed drops the job, and the value with it, here.
        let _ = self.shared.push(Box::new(move || drop(value)));
    }

    /// Refuses operations from now on. What was admitted is still run, and then the threads end.
    pub(crate) fn close(&self) {
        self.admission.close();
        self.shared.state.lock().closed = true;
        self.shared.work.notify_all();
    }

    /// Waits, after [`close`](Self::close), until the threads have ended.
    pub(crate) async fn ended(&self) {
        // The sender is held here, so there is no error.
        let _ = self.shared.threads.subscribe().wait_for(|threads| *threads == 0).await;
    }

    pub(crate) fn stats(&self) -> PoolStats {
        PoolStats {
            threads: *self.shared.threads.borrow(),
            in_flight: self.options.in_flight_max - self.admission.available_permits(),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }
}

/// A task that waits for a place.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn push(self: &Arc<Self>, job: Job) -> Result<()> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        state.jobs.push_back(job);
        // Of the idle threads some have been woken already, for the jobs before this one.
        if state.jobs.len() <= state.idle {
            self.work.notify_one();
            return Ok(());
        }
        let threads = *self.threads.borrow();
        if threads >= self.threads_max {
            return Ok(());
        }
        match self.start_thread(threads) {
            Ok(()) => self.threads.send_modify(|threads| *threads += 1),
            // One that is there takes the job later.
            Err(_) if threads > 0 => {}
            Err(error) => {
                // Its permit is released with it.
                let refused = state.jobs.pop_back();
                drop(state);
                drop(refused);
                return Err(error);
            }
        }
        Ok(())
    }

    fn start_thread(self: &Arc<Self>, number: usize) -> Result<()> {
        let shared = Arc::clone(self);
        let thread = std::thread::Builder::new().name(format!("annulus-tokio-{number}"));
        thread.spawn(move || shared.work()).map(drop).map_err(|error| {
            let text = "the system refuses a thread to the pool; raise its limit of threads";
            Error::new(ErrorKind::Io, format!("{text} ({error})"))
        })
    }

    /// What each thread does: one job after the other, until the pool is closed and none is left.
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // What it returns goes to who waits for it; here only a destructor may panic.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.state.lock();
            } else if state.closed {
                break;
            } else {
                state.idle += 1;
                self.work.wait(&mut state);
                state.idle -= 1;
            }
        }
        self.threads.send_modify(|threads| *threads -= 1);
    }
}

#[cold]
fn closed() -> Error {
    let text = "the store's handle for tasks was shut down; open the store again";
    Error::new(ErrorKind::Closed, text)
}
