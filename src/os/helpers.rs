//! Threads that do what may hang, so that who asks for it can give up at its deadline.
//!
//! A call of the system that hangs cannot be ended. Where a caller has a deadline, such a call is made on
//! a thread of one of these groups, and the caller waits until it is done or the deadline has passed. Each
//! disk has a group of its own, and a group has a bound: a disk that hangs occupies its own threads, and
//! no others.

use crate::os::failpoint;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a thread without work waits for some before it ends.
const IDLE: Duration = Duration::from_secs(10);

/// How long a caller waits after its deadline for work that has begun: it has the same deadline, and may
/// be about to return that it was late itself, with nothing done.
const GRACE: Duration = Duration::from_millis(2);

type Job = Box<dyn FnOnce() + Send>;

/// Why work was not done by its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// It has not begun, and will not.
    NotBegun,
    /// It has begun, and goes on.
    GoesOn,
}

/// A group of threads, which are started when they are needed.
pub(crate) struct Helpers(Arc<Group>);

struct Group {
    name: &'static str,
    most: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    ended: bool,
}

/// Work, and what has become of it.
struct Task<T> {
    stage: Mutex<Stage<T>>,
    changed: Condvar,
}

/// Work that is to be waited for.
#[must_use = "what becomes of the work is not known before it is waited for"]
pub(crate) struct Pending<T>(Arc<Task<T>>);

enum Stage<T> {
    Waits,
    GivenUp,
    Begun,
    Done(std::thread::Result<T>),
    Taken,
}

impl Helpers {
    /// Returns a group of at most so many threads.
    pub(crate) fn new(name: &'static str, most: usize) -> Self {
        let (state, work) = (Mutex::default(), Condvar::new());
        Self(Arc::new(Group { name, most, state, work }))
    }

    /// Does work on one of the threads, and waits for it until a deadline.
    pub(crate) fn by<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Late> {
        self.begin(work).wait(deadline)
    }

    /// Has one of the threads do work. Where the system refuses a first thread, the caller does it,
    /// however long it takes.
    pub(crate) fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Pending<T> {
        let task = Arc::new(Task { stage: Mutex::new(Stage::Waits), changed: Condvar::new() });
        let mine = Arc::clone(&task);
        let job = move || {
            if mine.begin() {
                let done = catch_unwind(AssertUnwindSafe(work));
                mine.end(done);
            }
        };
        if let Err(job) = self.queue(Box::new(job)) {
            job();
        }
        Pending(task)
    }

    /// Hands a job to a thread; returns it if there is none.
    fn queue(&self, job: Job) -> Result<(), Job> {
        let mut state = self.0.state.lock();
        if state.idle <= state.jobs.len() && state.threads < self.0.most {
            let group = Arc::clone(&self.0);
            let thread = std::thread::Builder::new().name(self.0.name.to_owned());
            let refused = failpoint::fails("thread");
            if !refused && thread.spawn(move || group.run()).is_ok() {
                state.threads += 1;
            }
        }
        if state.threads == 0 {
            return Err(job);
        }
        state.jobs.push_back(job);
        drop(state);
        self.0.work.notify_one();
        Ok(())
    }

    /// Returns how many threads there are, and how much work waits for one.
    #[cfg(test)]
    fn count(&self) -> (usize, usize) {
        let state = self.0.state.lock();
        (state.threads, state.jobs.len())
    }
}

impl<T> Pending<T> {
    /// Waits for the work until a deadline. A panic of it goes on here.
    pub(crate) fn wait(self, deadline: Instant) -> Result<T, Late> {
        match self.0.wait(deadline)? {
            Ok(returned) => Ok(returned),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// The threads end when they have no work. They are not waited for: one of them may hang.
impl Drop for Helpers {
    fn drop(&mut self) {
        self.0.state.lock().ended = true;
        self.0.work.notify_all();
    }
}

impl Group {
    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.state.lock();
                continue;
            }
            if state.ended {
                break;
            }
            state.idle += 1;
            let late = self.work.wait_for(&mut state, IDLE).timed_out();
            state.idle -= 1;
            if late && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl<T> Task<T> {
    /// Returns false if it was given up.
    fn begin(&self) -> bool {
        let mut stage = self.stage.lock();
        let waits = matches!(*stage, Stage::Waits);
        if waits {
            *stage = Stage::Begun;
        }
        waits
    }

    fn end(&self, done: std::thread::Result<T>) {
        *self.stage.lock() = Stage::Done(done);
        self.changed.notify_one();
    }

    fn wait(&self, deadline: Instant) -> Result<std::thread::Result<T>, Late> {
        let mut stage = self.stage.lock();
        let mut until = deadline;
        loop {
            match std::mem::replace(&mut *stage, Stage::Taken) {
                Stage::Done(done) => return Ok(done),
                other => *stage = other,
            }
            if !self.changed.wait_until(&mut stage, until).timed_out() {
                continue;
            }
            match *stage {
                Stage::Waits => {
                    *stage = Stage::GivenUp;
                    return Err(Late::NotBegun);
                }
                Stage::Begun if until > deadline => return Err(Late::GoesOn),
                Stage::Begun => until = deadline + GRACE,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test of panics")]
mod tests {
    use super::*;
    use crossbeam::channel::bounded;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn work_that_hangs_is_left_behind_and_goes_on() {
        let helpers = Helpers::new("test", 2);
        assert_eq!(helpers.by(later(), || 7), Ok(7));
        let (end, hang) = bounded::<()>(0);
        let (done, seen) = bounded(1);
        let hangs = move || {
            let _ = hang.recv();
            done.send(()).unwrap();
        };
        assert_eq!(helpers.by(soon(), hangs), Err(Late::GoesOn));
        drop(end);
        seen.recv().unwrap();
    }

    /// A disk that hangs occupies as many threads as its group may have; work beyond that is not begun,
    /// and never will be.
    #[test]
    fn a_group_has_a_bound_and_what_was_given_up_is_not_done() {
        let helpers = Helpers::new("test", 2);
        let (end, hang) = bounded::<()>(0);
        for _ in 0..2 {
            let hang = hang.clone();
            let hangs = move || {
                let _ = hang.recv();
            };
            assert_eq!(helpers.by(soon(), hangs), Err(Late::GoesOn));
        }
        let done = Arc::new(Mutex::new(0));
        for _ in 0..3 {
            let done = Arc::clone(&done);
            assert_eq!(helpers.by(soon(), move || *done.lock() += 1), Err(Late::NotBegun));
        }
        assert_eq!(helpers.count(), (2, 3));
        drop(end);
        assert_eq!(helpers.by(later(), || 7), Ok(7));
        assert_eq!(*done.lock(), 0);
    }

    #[test]
    fn a_panic_goes_on_at_the_caller_and_the_thread_lives() {
        let helpers = Helpers::new("test", 1);
        let panics = || helpers.by(later(), || panic!("on purpose"));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!((helpers.by(later(), || 7), helpers.count().0), (Ok(7), 1));
    }
}
