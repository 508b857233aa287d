//! What readers of changes may see, and how they wait for more.

use super::state::Inner;
use super::{CommitLog, Position};
use crate::os::failpoint;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Instant;

/// How far the log has come, as readers of changes see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Every record before it has been applied, and every write that it stands for has not failed.
    pub(crate) applied: Position,
    /// Every record before it is on the disk as well.
    pub(crate) synced: Position,
    /// What a sync would add to those.
    pub(crate) unsynced: bool,
}

impl CommitLog {
    /// Returns how far the log has come.
    pub(crate) fn progress(&self) -> Progress {
        let inner = &self.inner;
        // IMPORTANT: before it is asked whether the log has failed. A record that was refused, because
        // it could not be synced, is in flight until after the log has failed.
        let applied = match failpoint::skip("changes-applied") {
            true => inner.end.load(Ordering::Acquire),
            false => inner.applied(),
        };
        let content = inner.content_end.load(Ordering::Acquire).min(applied);
        let synced = match failpoint::skip("changes-synced") {
            true => applied,
            false => inner.synced.load(Ordering::Acquire),
        };
        let failed = inner.failed.get().is_some();
        Progress {
            applied: Position(if failed { applied.min(synced) } else { applied }),
            synced: Position(applied.min(synced)),
            unsynced: content > synced,
        }
    }

    /// Waits until something beyond a position has been applied, until a moment, or until nothing
    /// will be any more.
    pub(crate) fn wait_applied(&self, beyond: Position, until: Option<Instant>) {
        self.inner.applied_bell.wait(until, || self.inner.is_applied(beyond));
    }

    /// The same for a task, as [`Bell::register`](super::bell::Bell::register) has it.
    pub(crate) fn wake_applied(&self, beyond: Position, reader: u64, waker: &Waker) -> bool {
        self.inner.applied_bell.register(reader, waker, || self.inner.is_applied(beyond))
    }

    /// The same for what is synced.
    pub(crate) fn wait_synced(&self, beyond: Position, until: Option<Instant>) {
        self.inner.synced_bell.wait(until, || self.inner.is_synced(beyond));
    }

    pub(crate) fn wake_synced(&self, beyond: Position, reader: u64, waker: &Waker) -> bool {
        self.inner.synced_bell.register(reader, waker, || self.inner.is_synced(beyond))
    }

    /// Wakes a reader's task no more.
    pub(crate) fn forget_reader(&self, reader: u64) {
        self.inner.applied_bell.forget(reader);
        self.inner.synced_bell.forget(reader);
    }

    /// Returns true if nothing will be appended any more.
    pub(crate) fn is_over(&self) -> bool {
        self.inner.applied_bell.is_over()
    }

    /// Says that nothing will be appended any more: no one can.
    pub(crate) fn end_readers(&self) {
        self.inner.end_readers();
    }
}

impl Inner {
    fn is_applied(&self, beyond: Position) -> bool {
        self.applied() > beyond.0 || self.failed.get().is_some()
    }

    fn is_synced(&self, beyond: Position) -> bool {
        self.synced.load(Ordering::SeqCst) > beyond.0 || self.failed.get().is_some()
    }

    pub(super) fn end_readers(&self) {
        self.applied_bell.end();
        self.synced_bell.end();
    }

    /// Wakes readers, which will find that the log has failed.
    pub(super) fn wake_readers(&self) {
        std::sync::atomic::fence(Ordering::SeqCst);
        self.applied_bell.ring();
        self.synced_bell.ring();
    }
}
