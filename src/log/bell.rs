//! How readers of what is published wait for more.

use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::Instant;

/// Wakes readers when there may be more for them. Ringing it costs one load where no reader waits.
#[derive(Default)]
pub(super) struct Bell {
    waiting: AtomicBool,
    /// True if nothing will come any more.
    over: AtomicBool,
    /// The readers that wait as tasks, by their numbers.
    tasks: Mutex<BTreeMap<u64, Waker>>,
    rung: Condvar,
}

impl Bell {
    /// Wakes all that wait.
    ///
    /// IMPORTANT: what they wait for must have come about in a critical section that their condition
    /// passes, too, or before a fence. Either the condition then sees it, or this load sees that they
    /// wait.
    #[inline]
    pub(super) fn ring(&self) {
        if self.waiting.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        if self.waiting.swap(false, Ordering::SeqCst) {
            // A reader that has found nothing holds the lock until it waits.
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        let tasks = {
            let mut tasks = self.tasks.lock();
            self.rung.notify_all();
            std::mem::take(&mut *tasks)
        };
        // Not with the lock: a waker may do anything.
        tasks.into_values().for_each(Waker::wake);
    }

    /// Says that nothing will come any more.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.wake_all();
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Waits until a condition holds, until a moment, or until nothing will come any more.
    pub(super) fn wait(&self, until: Option<Instant>, is_there: impl Fn() -> bool) {
        let mut held = self.tasks.lock();
        loop {
            self.waiting.store(true, Ordering::SeqCst);
            std::sync::atomic::fence(Ordering::SeqCst);
            if is_there() || self.is_over() {
                return;
            }
            match until {
                None => self.rung.wait(&mut held),
                Some(until) => {
                    if self.rung.wait_until(&mut held, until).timed_out() {
                        return;
                    }
                }
            }
        }
    }

    /// Arranges for a task to be woken once when there may be more, or nothing will come any more; in
    /// the place of the task that the reader has named before. Returns true if a condition holds
    /// already: then no one is woken.
    pub(super) fn register(&self, reader: u64, waker: &Waker, is_there: impl Fn() -> bool) -> bool {
        let mut tasks = self.tasks.lock();
        self.waiting.store(true, Ordering::SeqCst);
        std::sync::atomic::fence(Ordering::SeqCst);
        if is_there() || self.is_over() {
            tasks.remove(&reader);
            return true;
        }
        tasks.insert(reader, waker.clone());
        false
    }

    /// Wakes a reader's task no more.
    pub(super) fn forget(&self, reader: u64) {
        self.tasks.lock().remove(&reader);
    }
}
