//! The state that a job's handle and its workers share: its progress, and whether it may continue.

use super::phase::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::os::failpoint;
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The state of a job.
pub(crate) struct Control {
    state: Mutex<State>,
    changed: Condvar,
    pub(crate) started: Instant,
    pub(crate) bytes_total: AtomicU64,
    pub(crate) bytes_done: AtomicU64,
    pub(crate) keys_done: AtomicU64,
    pub(crate) bytes_behind: AtomicU64,
}

#[derive(Default)]
struct State {
    paused: bool,
    aborted: Option<&'static str>,
    /// The phase of each step.
    phases: Vec<Phase>,
    ended: bool,
}

impl Control {
    pub(crate) fn new(steps: usize) -> Self {
        Self {
            state: Mutex::new(State { phases: vec![Phase::Queued; steps], ..State::default() }),
            changed: Condvar::new(),
            started: Instant::now(),
            bytes_total: AtomicU64::new(0),
            bytes_done: AtomicU64::new(0),
            keys_done: AtomicU64::new(0),
            bytes_behind: AtomicU64::new(0),
        }
    }

    /// Waits while the job is paused.
    ///
    /// # Errors
    ///
    /// `Aborted` if it was aborted.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        let mut state = self.state.lock();
        while state.paused && state.aborted.is_none() {
            self.changed.wait(&mut state);
        }
        match state.aborted {
            Some(why) => Err(Error::new(ErrorKind::Aborted, why)),
            None => Ok(()),
        }
    }

    /// Like [`checkpoint`](Self::checkpoint), but waits at most for the timeout. Returns true if
    /// the job may continue.
    pub(crate) fn checkpoint_within(&self, timeout: Duration) -> Result<bool> {
        let mut state = self.state.lock();
        if state.paused && state.aborted.is_none() {
            self.changed.wait_for(&mut state, timeout);
        }
        match state.aborted {
            Some(why) => Err(Error::new(ErrorKind::Aborted, why)),
            None => Ok(!state.paused),
        }
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.state.lock().paused = paused;
        self.changed.notify_all();
    }

    /// Asks the job to end; the first reason counts.
    pub(crate) fn abort(&self, why: &'static str) {
        self.state.lock().aborted.get_or_insert(why);
        self.changed.notify_all();
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.state.lock().paused
    }

    pub(crate) fn set_phase(&self, step: usize, phase: Phase) {
        let mut state = self.state.lock();
        if let Some(present) = state.phases.get_mut(step) {
            failpoint::require(|| present.may_become(phase), format_args!("{present} → {phase}"));
            *present = phase;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Adds steps to the job. Returns the index of the first.
    pub(crate) fn add_steps(&self, steps: usize, bytes: u64) -> usize {
        self.bytes_total.fetch_add(bytes, Ordering::Relaxed);
        let phases = &mut self.state.lock().phases;
        let first = phases.len();
        phases.resize(first + steps, Phase::Queued);
        first
    }

    /// Returns the phases of all steps.
    pub(crate) fn phases(&self) -> Vec<Phase> {
        self.state.lock().phases.clone()
    }

    /// Marks the job as ended; nothing changes from then on.
    pub(crate) fn end(&self) {
        self.state.lock().ended = true;
        self.changed.notify_all();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state.lock().ended
    }

    /// Waits for the end of the job. Returns true if it came in time.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> bool {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.state.lock();
        while !state.ended {
            match deadline {
                Some(deadline) => {
                    if self.changed.wait_until(&mut state, deadline).timed_out() {
                        return state.ended;
                    }
                }
                None => self.changed.wait(&mut state),
            }
        }
        true
    }

    pub(crate) fn add_done(&self, keys: u64, bytes: u64) {
        self.keys_done.fetch_add(keys, Ordering::Relaxed);
        self.bytes_done.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[cfg(all(test, any(debug_assertions, feature = "failpoints")))]
mod tests {
    use super::*;

    /// What the protocols require of each other is checked in the profile of the tests, too.
    #[test]
    #[should_panic(expected = "prepared → committed")]
    fn a_phase_that_is_left_out_is_noticed() {
        let control = Control::new(1);
        control.set_phase(0, Phase::Prepared);
        control.set_phase(0, Phase::Committed);
    }
}
