//! The commit gate: what a writer passes before it takes its stripe of a partition's latch.

use crossbeam::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, TryLockError};
use std::thread::ThreadId;

/// The store's commit gate. Every write passes through it; a snapshot closes it for the
/// microseconds that it takes to cut all shards at one point, and a transaction that has met many
/// conflicts for as long as one attempt takes.
///
/// A lock sharded by thread: writers on different processors share no cache line.
#[derive(Default)]
pub(crate) struct CommitGate {
    lock: ShardedLock<()>,
    /// The thread that [excludes](Self::exclude) others, which passes and closes the gate all the
    /// same.
    excluding: Mutex<Option<ThreadId>>,
    is_excluding: AtomicBool,
}

/// A write that has passed the gate, which stays open until it is done.
#[must_use = "the gate may be closed once this is dropped"]
pub(crate) enum PassedGate<'a> {
    Among {
        _others: ShardedLockReadGuard<'a, ()>,
    },
    /// By the thread that excludes all others.
    Alone,
}

/// The gate, closed.
#[must_use = "the gate is open once this is dropped"]
pub(crate) enum ClosedGate<'a> {
    Closed {
        _guard: ShardedLockWriteGuard<'a, ()>,
    },
    /// By the thread that has closed it already, for longer.
    Already,
}

/// The gate, closed for all threads but this one.
#[must_use = "the gate is open once this is dropped"]
pub(crate) struct Excluding<'a> {
    gate: &'a CommitGate,
    closed: ClosedGate<'a>,
}

impl CommitGate {
    #[inline]
    pub(crate) fn pass(&self) -> PassedGate<'_> {
        match self.lock.try_read() {
            Ok(_others) => PassedGate::Among { _others },
            // The lock guards no data, so a panic under it leaves nothing half done.
            Err(TryLockError::Poisoned(error)) => PassedGate::Among { _others: error.into_inner() },
            Err(TryLockError::WouldBlock) => self.wait(),
        }
    }

    /// Passes the gate if that takes no waiting.
    #[inline]
    pub(crate) fn try_pass(&self) -> Option<PassedGate<'_>> {
        match self.lock.try_read() {
            Ok(_others) => Some(PassedGate::Among { _others }),
            Err(TryLockError::Poisoned(error)) => {
                Some(PassedGate::Among { _others: error.into_inner() })
            }
            Err(TryLockError::WouldBlock) => self.is_mine().then_some(PassedGate::Alone),
        }
    }

    #[cold]
    fn wait(&self) -> PassedGate<'_> {
        if self.is_mine() {
            return PassedGate::Alone;
        }
        let _others = self.lock.read().unwrap_or_else(PoisonError::into_inner);
        PassedGate::Among { _others }
    }

    /// Waits for the writes that have passed, and keeps others waiting.
    pub(crate) fn close(&self) -> ClosedGate<'_> {
        if self.is_mine() {
            return ClosedGate::Already;
        }
        let _guard = self.lock.write().unwrap_or_else(PoisonError::into_inner);
        ClosedGate::Closed { _guard }
    }

    /// Closes the gate for all other threads: this one writes and takes snapshots meanwhile.
    pub(crate) fn exclude(&self) -> Excluding<'_> {
        let closed = self.close();
        if matches!(closed, ClosedGate::Closed { .. }) {
            *self.excluding.lock() = Some(std::thread::current().id());
            self.is_excluding.store(true, Ordering::Release);
        }
        Excluding { gate: self, closed }
    }

    /// Returns true if this thread excludes others.
    fn is_mine(&self) -> bool {
        self.is_excluding.load(Ordering::Acquire)
            && *self.excluding.lock() == Some(std::thread::current().id())
    }
}

impl Drop for Excluding<'_> {
    fn drop(&mut self) {
        if matches!(self.closed, ClosedGate::Closed { .. }) {
            self.gate.is_excluding.store(false, Ordering::Release);
            *self.gate.excluding.lock() = None;
        }
        // The lock is released after this.
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test of threads")]
    use super::*;

    #[test]
    fn who_excludes_others_passes_and_closes_the_gate_itself() {
        let gate = CommitGate::default();
        assert!(matches!(gate.pass(), PassedGate::Among { .. }));
        let excluding = gate.exclude();
        assert!(matches!(gate.pass(), PassedGate::Alone));
        assert!(matches!(gate.close(), ClosedGate::Already));
        assert!(matches!(gate.try_pass(), Some(PassedGate::Alone)));
        drop(gate.exclude());
        assert!(matches!(gate.pass(), PassedGate::Alone), "the inner one does not open the gate");
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                assert!(gate.try_pass().is_none() && !gate.is_mine());
                assert!(matches!(gate.pass(), PassedGate::Among { .. }), "after a wait");
                assert!(matches!(gate.close(), ClosedGate::Closed { .. }));
            });
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!other.is_finished());
            drop(excluding);
        });
        assert!(matches!(gate.try_pass(), Some(PassedGate::Among { .. })));
    }
}
