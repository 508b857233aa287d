//! The commit gate: what a writer passes before it takes its stripe of a partition's latch.

use crossbeam::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
use std::sync::PoisonError;

/// The store's commit gate. Every write passes through it; a snapshot closes it for the
/// microseconds that it takes to cut all shards at one point.
///
/// A lock sharded by thread: writers on different processors share no cache line.
#[derive(Default)]
pub(crate) struct CommitGate(ShardedLock<()>);

/// A write that has passed the gate, which stays open until it is done.
pub(crate) type PassedGate<'a> = ShardedLockReadGuard<'a, ()>;

impl CommitGate {
    #[inline]
    pub(crate) fn pass(&self) -> PassedGate<'_> {
        // The lock guards no data, so a panic under it leaves nothing half done.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn close(&self) -> ShardedLockWriteGuard<'_, ()> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
