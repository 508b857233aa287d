//! A partition's latch, striped by key.
//!
//! A writer *owns* the stripe of each key that it writes, from before it appends to the log until it
//! has applied what it appended: so two writes of one key have the same order in the log and in the
//! engine. Owning all stripes seals the partition.
//!
//! A seal takes the stripes one after the other, while writers take and release them all the time.
//! So that it neither starves nor waits for each stripe as long as writers queue there, it takes its
//! *turn* first: writers that come later wait for the turn's end before they ask for a stripe. A
//! seal therefore waits for one write of each thread at most, and a writer for one seal.
//!
//! IMPORTANT: the order of the locks: partitions by name; of a partition the turn, and then its
//! stripes by index. A writer of several keys must not look at the turn again once it owns a stripe
//! of the partition: the seal whose turn it is may be waiting for that stripe.

use super::sync::{AtomicBool, CachePadded, Mutex, MutexGuard, Ordering, lock_until};
use std::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

/// Only two for the explorer: every stripe multiplies the schedules, and two show all there is to
/// see. Otherwise enough that writers of different keys seldom meet.
pub(super) const STRIPES: usize = if cfg!(annulus_shuttle) { 2 } else { 64 };

/// A set of a latch's stripes, as bits.
pub(crate) type StripeSet = u64;

pub(crate) const ALL_STRIPES: StripeSet = StripeSet::MAX;

/// The locks of one partition's writers.
pub(crate) struct Latch {
    stripes: [CachePadded<Mutex<()>>; STRIPES],
    /// True while a thread owns all stripes or is about to. Writers only read it.
    sealing: AtomicBool,
    /// Held by that thread.
    turn: Mutex<()>,
}

/// A stripe that a writer owns; or the turn of one that owns them all.
#[must_use = "the stripe is owned for as long as this lives"]
pub(crate) enum HeldStripe<'a> {
    Stripe { _guard: MutexGuard<'a, ()> },
    Turn { _turn: Turn<'a> },
}

/// The turn of a thread that owns all stripes, or is about to.
pub(crate) struct Turn<'a> {
    latch: &'a Latch,
    _guard: MutexGuard<'a, ()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.latch.sealing.store(false, Ordering::Release);
    }
}

impl<'a> From<MutexGuard<'a, ()>> for HeldStripe<'a> {
    fn from(guard: MutexGuard<'a, ()>) -> Self {
        Self::Stripe { _guard: guard }
    }
}

impl Default for Latch {
    fn default() -> Self {
        Self {
            stripes: std::array::from_fn(|_| CachePadded::default()),
            sealing: AtomicBool::new(false),
            turn: Mutex::default(),
        }
    }
}

impl Latch {
    /// Owns the stripe of a key. Returns `None` if that takes until after the deadline.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the remainder is below the number of stripes")]
    pub(crate) fn own(&self, key: &[u8], deadline: Option<Instant>) -> Option<HeldStripe<'_>> {
        self.yield_to_seal(deadline)?;
        lock_until(&self.stripes[stripe_index(key)], deadline).map(HeldStripe::from)
    }

    /// Owns several stripes at once. One who owns them all keeps its turn as well. Returns `None`, holding
    /// none of them, if that takes until after the deadline.
    pub(crate) fn own_set(
        &self,
        set: StripeSet,
        deadline: Option<Instant>,
    ) -> Option<Vec<HeldStripe<'_>>> {
        if set == ALL_STRIPES {
            return self.own_all(deadline);
        }
        self.yield_to_seal(deadline)?;
        let chosen = self.stripes.iter().enumerate().filter(|(index, _)| set & (1 << index) != 0);
        chosen.map(|(_, stripe)| lock_until(stripe, deadline).map(HeldStripe::from)).collect()
    }

    /// Owns all stripes. Returns `None`, holding none of them, if that takes until after the
    /// deadline.
    pub(crate) fn own_all(&self, deadline: Option<Instant>) -> Option<Vec<HeldStripe<'_>>> {
        let turn = Turn { _guard: lock_until(&self.turn, deadline)?, latch: self };
        self.sealing.store(true, Ordering::Release);
        let stripe = |stripe| lock_until(stripe, deadline).map(HeldStripe::from);
        let mut held = self.stripes.iter().map(|one| stripe(one)).collect::<Option<Vec<_>>>()?;
        held.push(HeldStripe::Turn { _turn: turn });
        Some(held)
    }

    /// Waits for the end of the turn of a thread that owns all stripes, or is about to. Once: after
    /// that the writer may be before the next one.
    #[inline]
    fn yield_to_seal(&self, deadline: Option<Instant>) -> Option<()> {
        if self.sealing.load(Ordering::Acquire) { self.wait_for_turn(deadline) } else { Some(()) }
    }

    #[cold]
    fn wait_for_turn(&self, deadline: Option<Instant>) -> Option<()> {
        lock_until(&self.turn, deadline).map(drop)
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

#[cfg(all(test, not(annulus_shuttle)))]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test of threads and of a deadline")]
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    /// Threads that write one after the other without a pause do not keep a seal out.
    #[test]
    fn a_seal_does_not_starve() {
        let latch = Latch::default();
        let (ended, writes) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let (latch, ended, writes) = (&latch, &ended, &writes);
                scope.spawn(move || {
                    for n in (0_u32..).take_while(|_| !ended.load(Ordering::Relaxed)) {
                        let _held = latch.own(&[thread, n as u8], None).unwrap();
                        writes.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_micros(20));
                    }
                });
            }
            for _ in 0..20 {
                let deadline = Instant::now() + Duration::from_secs(10);
                let sealed = latch.own_all(Some(deadline)).unwrap();
                let before = writes.load(Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
                assert_eq!(writes.load(Ordering::Relaxed), before);
                drop(sealed);
                while writes.load(Ordering::Relaxed) == before {
                    std::thread::yield_now();
                }
            }
            ended.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn a_seal_that_is_late_leaves_the_stripes_free() {
        let latch = Latch::default();
        let held = latch.own(b"a", None);
        assert!(latch.own_all(Some(Instant::now())).is_none());
        assert!(latch.own(b"a", Some(Instant::now())).is_none(), "a writer that is late");
        let other = (0..=u8::MAX).find(|key| stripe_set(&[*key]) != stripe_set(b"a")).unwrap();
        drop((latch.own(&[other], None).unwrap(), held));
        assert!(latch.own_all(Some(Instant::now())).is_some());
        let all = latch.own_set(ALL_STRIPES, None).unwrap();
        assert_eq!(all.len(), STRIPES + 1);
        assert!(latch.own_all(Some(Instant::now())).is_none());
        let two = stripe_set(b"a") | stripe_set(&[other]);
        assert!(latch.own_set(two, Some(Instant::now())).is_none(), "it would wait for the turn");
        drop(all);
        assert_eq!(latch.own_set(two, None).unwrap().len(), 2);
    }
}
