//! Pinning the log, and releasing what is not pinned.

use super::Position;
use super::state::Inner;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Keeps the log from a position on until it is dropped.
pub(crate) struct Pin {
    inner: Arc<Inner>,
    position: u64,
}

impl Pin {
    pub(crate) fn position(&self) -> Position {
        Position(self.position)
    }

    /// Moves the pin forward.
    pub(super) fn advance(&mut self, position: u64) {
        let before = self.position;
        if position > before {
            self.inner.pins.lock().add(position);
            self.position = position;
            self.inner.unpin(before);
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.inner.unpin(self.position);
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pin").field(&self.position).finish()
    }
}

impl Inner {
    /// Pins the log where everything below has been applied.
    pub(super) fn pin_applied(self: &Arc<Self>) -> Pin {
        let mut pins = self.pins.lock();
        // Under the lock, so that nothing is released up to there before it is pinned.
        let position = self.applied();
        pins.add(position);
        drop(pins);
        Pin { inner: Arc::clone(self), position }
    }

    /// Pins the log from where it is kept now.
    pub(super) fn pin_first(self: &Arc<Self>) -> Pin {
        let mut pins = self.pins.lock();
        // Under the lock, as above.
        let position = self.first.load(Ordering::Acquire);
        pins.add(position);
        drop(pins);
        Pin { inner: Arc::clone(self), position }
    }

    /// Pins the log at a position that is not released; returns `None` if it is.
    pub(super) fn pin_at(self: &Arc<Self>, position: u64) -> Option<Pin> {
        let mut pins = self.pins.lock();
        if position < self.first.load(Ordering::Acquire) {
            return None;
        }
        pins.add(position);
        drop(pins);
        Some(Pin { inner: Arc::clone(self), position })
    }

    fn unpin(&self, position: u64) {
        let mut pins = self.pins.lock();
        pins.remove(position);
        drop(pins);
        self.release(0);
    }

    /// Notes that what is before a position is not needed any more, except by pins and by what is
    /// not applied; frees segments in the background.
    pub(super) fn release(&self, before: u64) {
        let mut pins = self.pins.lock();
        pins.released = pins.released.max(before);
        let pinned = pins.pinned.keys().next().copied().unwrap_or(u64::MAX);
        let first = pins.released.min(pinned).min(self.applied());
        let moved = self.first.fetch_max(first, Ordering::AcqRel) < first;
        drop(pins);
        if moved {
            self.do_or_wake();
        }
    }

    /// Has the keeper free segments; does it here if there is no keeper.
    pub(super) fn do_or_wake(&self) {
        let boundary = self.first.load(Ordering::Acquire);
        let oldest = self.segments.lock().front().cloned();
        if oldest.is_none_or(|segment| !self.is_freed(&segment, boundary)) {
            return;
        }
        if self.keeper.is_running() { self.keeper.wake() } else { self.free_segments() }
    }
}
