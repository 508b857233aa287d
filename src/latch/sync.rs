//! The locks and atomics of this module, for which a schedule explorer can substitute its own.
//!
//! `RUSTFLAGS="--cfg annulus_shuttle"` builds the module on `shuttle`, which then runs the tests in
//! `model/` under many schedules.

#[cfg(not(annulus_shuttle))]
mod plain {
    pub(crate) use crossbeam::utils::CachePadded;
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
    use std::time::Instant;

    /// Waits for a lock until the deadline, or as long as it takes if there is none.
    pub(crate) fn lock_until<T>(
        lock: &Mutex<T>,
        deadline: Option<Instant>,
    ) -> Option<MutexGuard<'_, T>> {
        match deadline {
            Some(deadline) => lock.try_lock_until(deadline),
            None => Some(lock.lock()),
        }
    }

    /// Takes a lock if that takes no waiting.
    pub(crate) fn try_lock<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
        lock.try_lock()
    }
}

#[cfg(annulus_shuttle)]
mod explored {
    pub(crate) use shuttle::sync::MutexGuard;
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
    use std::time::Instant;

    /// One thread runs at a time: there are no cache lines to keep apart.
    pub(crate) type CachePadded<T> = Box<T>;

    #[derive(Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    /// Takes a lock if that takes no waiting.
    pub(crate) fn try_lock<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
        lock.0.try_lock().ok()
    }

    /// A model has no clock: it waits for the lock.
    pub(crate) fn lock_until<T>(
        lock: &Mutex<T>,
        _deadline: Option<Instant>,
    ) -> Option<MutexGuard<'_, T>> {
        Some(lock.lock())
    }
}

#[cfg(annulus_shuttle)]
pub(crate) use explored::*;
#[cfg(not(annulus_shuttle))]
pub(crate) use plain::*;
