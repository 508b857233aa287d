//! A partition's latch, striped by key.

use super::sync::{CachePadded, RwLock, RwLockReadGuard, RwLockWriteGuard, write_until};
use std::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

/// Only two for the explorer: every stripe multiplies the schedules, and two show all there is to
/// see.
pub(super) const STRIPES: usize = if cfg!(annulus_shuttle) { 2 } else { 16 };

/// A set of a latch's stripes, as bits.
pub(crate) type StripeSet = u16;

pub(crate) const ALL_STRIPES: StripeSet = StripeSet::MAX;

/// A plain write shares its stripe: the engine orders it against others. A read-modify-write owns
/// its stripe, and so excludes writes of the same key. Owning all stripes seals the partition.
pub(crate) struct Latch {
    stripes: [CachePadded<RwLock<()>>; STRIPES],
}

/// A stripe that a writer holds, either way.
pub(crate) enum HeldStripe<'a> {
    Shared { _guard: RwLockReadGuard<'a, ()> },
    Owned { _guard: RwLockWriteGuard<'a, ()> },
}

impl<'a> From<RwLockReadGuard<'a, ()>> for HeldStripe<'a> {
    fn from(guard: RwLockReadGuard<'a, ()>) -> Self {
        Self::Shared { _guard: guard }
    }
}

impl<'a> From<RwLockWriteGuard<'a, ()>> for HeldStripe<'a> {
    fn from(guard: RwLockWriteGuard<'a, ()>) -> Self {
        Self::Owned { _guard: guard }
    }
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

    /// Shares the stripe of a key, for a write of it.
    #[inline]
    pub(crate) fn share(&self, key: &[u8]) -> RwLockReadGuard<'_, ()> {
        self.stripe(key).read()
    }

    /// Owns the stripe of a key, for a read and a write of it that must be one step.
    pub(crate) fn own(&self, key: &[u8]) -> RwLockWriteGuard<'_, ()> {
        self.stripe(key).write()
    }

    /// Takes several stripes at once, in order; owns them if `own`.
    pub(crate) fn hold_set(
        &self,
        set: StripeSet,
        own: bool,
    ) -> impl Iterator<Item = HeldStripe<'_>> {
        self.chosen(set).map(move |stripe| match own {
            true => stripe.write().into(),
            false => stripe.read().into(),
        })
    }

    /// Owns all stripes. Returns `None`, holding none of them, if that takes until after the
    /// deadline.
    pub(crate) fn own_all(
        &self,
        deadline: Option<Instant>,
    ) -> Option<Vec<RwLockWriteGuard<'_, ()>>> {
        self.stripes.iter().map(|stripe| write_until(stripe, deadline)).collect()
    }

    /// Waits until every write in progress has ended.
    pub(crate) fn drain(&self) {
        self.stripes.iter().for_each(|stripe| drop(stripe.write()));
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
pub(super) fn stripe_index(key: &[u8]) -> usize {
    // The top bits of a hash other than the token's would do as well; the low bits of the same hash
    // do because a partition is an interval of tokens, which the high bits decide.
    xxh3_64(key) as usize % STRIPES
}

/// The stripe of a key, as a set.
#[inline]
pub(crate) fn stripe_set(key: &[u8]) -> StripeSet {
    1 << stripe_index(key)
}
