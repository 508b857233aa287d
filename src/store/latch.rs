//! What a writer holds while it writes: the commit gate, then its key's stripe of the
//! partition's latch. That is also the lock order; partitions go by number, stripes by index.
//!
//! Readers hold neither.

use crossbeam::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
use crossbeam::utils::CachePadded;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::sync::PoisonError;
use xxhash_rust::xxh3::xxh3_64;

/// The store's commit gate. Every write passes through it; a snapshot closes it for the
/// microseconds that it takes to cut all shards at one point.
///
/// A lock sharded by thread: writers on different processors share no cache line.
#[derive(Default)]
pub(crate) struct Gate(ShardedLock<()>);

impl Gate {
    #[inline]
    pub(crate) fn pass(&self) -> ShardedLockReadGuard<'_, ()> {
        // The lock guards no data, so a panic under it leaves nothing half done.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn close(&self) -> ShardedLockWriteGuard<'_, ()> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

const STRIPES: usize = 16;

/// A set of a latch's stripes, as bits.
pub(crate) type StripeSet = u16;

pub(crate) const ALL_STRIPES: StripeSet = StripeSet::MAX;

/// A partition's latch, striped by key.
///
/// A plain write shares its stripe: the engine orders it against others. A read-modify-write owns
/// its stripe, and so excludes writes of the same key. Owning all stripes seals the partition.
pub(crate) struct Latch {
    stripes: [CachePadded<RwLock<()>>; STRIPES],
}

impl Default for Latch {
    fn default() -> Self {
        Self { stripes: std::array::from_fn(|_| CachePadded::default()) }
    }
}

impl Latch {
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the remainder is below the number of stripes")]
    fn stripe(&self, key: &[u8]) -> &RwLock<()> {
        &self.stripes[stripe_index(key)]
    }

    /// For a write of this key.
    #[inline]
    pub(crate) fn share(&self, key: &[u8]) -> RwLockReadGuard<'_, ()> {
        self.stripe(key).read()
    }

    /// For a read and a write of this key that must be one step.
    pub(crate) fn own(&self, key: &[u8]) -> RwLockWriteGuard<'_, ()> {
        self.stripe(key).write()
    }

    /// Several stripes at once, in order.
    pub(crate) fn share_set(
        &self,
        set: StripeSet,
    ) -> impl Iterator<Item = RwLockReadGuard<'_, ()>> {
        self.chosen(set).map(|stripe| stripe.read())
    }

    /// Several stripes at once, in order.
    pub(crate) fn own_set(&self, set: StripeSet) -> impl Iterator<Item = RwLockWriteGuard<'_, ()>> {
        self.chosen(set).map(|stripe| stripe.write())
    }

    fn chosen(&self, set: StripeSet) -> impl Iterator<Item = &RwLock<()>> {
        self.stripes
            .iter()
            .enumerate()
            .filter(move |(index, _)| set & (1 << index) != 0)
            .map(|(_, stripe)| &**stripe)
    }
}

#[inline]
fn stripe_index(key: &[u8]) -> usize {
    // The top bits of another hash than the token's would do as well; the low bits of the same
    // one do because a partition is an interval of tokens, which the high bits decide.
    xxh3_64(key) as usize % STRIPES
}

/// The stripe of a key, as a set.
#[inline]
pub(crate) fn stripe_set(key: &[u8]) -> StripeSet {
    1 << stripe_index(key)
}
