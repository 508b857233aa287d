//! How the keeper is notified.

use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicBool, Ordering};

/// How the keeper is notified, and whether it runs.
#[derive(Default)]
pub(super) struct Signal {
    state: Mutex<Asked>,
    wake: Condvar,
    pub(super) running: AtomicBool,
    /// True when the log is being closed: no segment is made ready any more.
    pub(super) closing: AtomicBool,
    /// Held by who frees segments.
    pub(super) freeing: Mutex<()>,
}

#[derive(Default)]
struct Asked {
    work: bool,
    stop: bool,
}

impl Signal {
    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    pub(super) fn wake(&self) {
        self.state.lock().work = true;
        self.wake.notify_one();
    }

    pub(super) fn stop(&self) {
        self.state.lock().stop = true;
        self.wake.notify_one();
    }

    /// Waits for work; returns false if there will be none.
    pub(super) fn next(&self) -> bool {
        let mut state = self.state.lock();
        while !state.work && !state.stop {
            self.wake.wait(&mut state);
        }
        state.work = false;
        !state.stop
    }
}
