//! The thread that syncs the mirror while the leader of a group commit syncs the first copy: on two
//! disks both take the time of one.
//!
//! Where it cannot be started, the leader syncs one after the other.

use super::copy_set::CopyNumber;
use super::opened::{Segment, sync_copy};
use crate::error::{Error, ErrorKind, Result};
use crate::os::failpoint;
use parking_lot::{Condvar, Mutex};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// What the leader and the thread share.
#[derive(Clone, Default)]
pub(super) struct SyncHelper(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
enum State {
    /// No thread runs.
    #[default]
    Absent,
    Idle,
    Asked(Vec<Arc<Segment>>, CopyNumber),
    Busy,
    Done(Result<()>),
}

impl SyncHelper {
    /// Starts the thread, if one can be started.
    pub(super) fn start(&self) -> Option<JoinHandle<()>> {
        if failpoint::fails("thread") {
            return None;
        }
        let helper = self.clone();
        *self.0.state.lock() = State::Idle;
        let started = Builder::new().name("annulus-log-mirror".into()).spawn(move || helper.run());
        if started.is_err() {
            *self.0.state.lock() = State::Absent;
        }
        started.ok()
    }

    /// Asks the thread to end, once no leader waits for it.
    pub(super) fn stop(&self) {
        let mut state = self.0.state.lock();
        while !matches!(*state, State::Idle | State::Absent) {
            self.0.changed.wait(&mut state);
        }
        *state = State::Absent;
        self.0.changed.notify_all();
    }

    /// Has the thread sync segments in a copy; returns false if there is no thread. There is one
    /// leader at a time, who must [wait](Self::end).
    pub(super) fn begin(&self, segments: Vec<Arc<Segment>>, copy: CopyNumber) -> bool {
        let mut state = self.0.state.lock();
        if !matches!(*state, State::Idle) {
            return false;
        }
        *state = State::Asked(segments, copy);
        self.0.changed.notify_all();
        true
    }

    /// Returns what has become of it.
    pub(super) fn end(&self) -> Result<()> {
        let mut state = self.0.state.lock();
        loop {
            match std::mem::replace(&mut *state, State::Idle) {
                State::Done(result) => {
                    self.0.changed.notify_all();
                    return result;
                }
                other => *state = other,
            }
            self.0.changed.wait(&mut state);
        }
    }

    fn run(&self) {
        let mut state = self.0.state.lock();
        loop {
            match std::mem::replace(&mut *state, State::Busy) {
                State::Absent => {
                    *state = State::Absent;
                    return;
                }
                State::Asked(segments, copy) => {
                    drop(state);
                    let synced = catch_unwind(AssertUnwindSafe(|| sync_copy(&segments, copy)));
                    let panicked = |_| {
                        Err(Error::new(ErrorKind::Internal, "syncing the log's mirror panicked"))
                    };
                    // Segments are used again only if no one else has them.
                    drop(segments);
                    state = self.0.state.lock();
                    *state = State::Done(synced.unwrap_or_else(panicked));
                    self.0.changed.notify_all();
                }
                other => {
                    *state = other;
                    self.0.changed.wait(&mut state);
                }
            }
        }
    }
}
