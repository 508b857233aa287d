//! The commit gate: what a writer passes before it takes its stripe of a partition's latch.
//!
//! Writers count themselves in, each on a line of its thread; who closes the gate waits until none is
//! inside. IMPORTANT: both sides first write and then look (`SeqCst`), so that of a writer and a thread
//! that closes at the same moment at least one sees the other.
//!
//! **A writer that does not come out**, because its shard or the disk of the log hangs, must not keep
//! others out. So who closes keeps others waiting for a bounded time only; if someone is still inside, it
//! lets them pass for four times as long, and tries again with twice the patience. Others have four
//! fifths of the time, however long one hangs.

use crate::os::failpoint;
use crossbeam::utils::CachePadded;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// How many lines there are: threads that share one take turns in writing it.
const LINES: usize = 32;

/// How long others are kept waiting for writers that are inside, at first: several syncs of a disk that
/// is well. And at most: a sync of one that is not.
const PATIENCE: Duration = Duration::from_millis(40);
const PATIENCE_MAX: Duration = Duration::from_secs(1);

/// For how many times as long others pass before the gate is closed again.
const OPEN_TIMES: u32 = 4;

/// How long a thread that closes lets writers pass who have waited for the one before it.
const COURTESY: Duration = Duration::from_micros(100);

/// The store's commit gate. Every write passes through it; a snapshot closes it for the
/// microseconds that it takes to cut all shards at one point, and a transaction that has met many
/// conflicts for as long as one attempt takes.
#[derive(Default)]
pub(crate) struct CommitGate {
    /// How many writers are inside, by their threads.
    inside: [CachePadded<AtomicUsize>; LINES],
    /// True while it is closed, or about to be.
    is_closed: AtomicBool,
    /// Held by who closes it, for as long as it is closed.
    closing: Mutex<()>,
    /// Notified when a writer comes out while it is closed.
    left: Condvar,
    /// Notified when it is opened.
    opened: Condvar,
    /// How many writers wait. Held to wait.
    waiting: Mutex<usize>,
    /// The thread that [excludes](Self::exclude) others, which passes and closes the gate all the
    /// same.
    excluding: Mutex<Option<ThreadId>>,
    is_excluding: AtomicBool,
}

/// A write that has passed the gate, which stays open until it is done.
#[must_use = "the gate may be closed once this is dropped"]
pub(crate) enum PassedGate<'a> {
    Among {
        _inside: Inside<'a>,
    },
    /// By the thread that excludes all others.
    Alone,
}

/// A writer that is inside.
pub(crate) struct Inside<'a> {
    gate: &'a CommitGate,
    line: &'a AtomicUsize,
}

/// The gate, closed.
#[must_use = "the gate is open once this is dropped"]
pub(crate) enum ClosedGate<'a> {
    Closed {
        _closing: Closing<'a>,
    },
    /// By the thread that has closed it already, for longer.
    Already,
}

/// What keeps writers waiting.
pub(crate) struct Closing<'a> {
    gate: &'a CommitGate,
    _others: MutexGuard<'a, ()>,
}

/// The gate, closed for all threads but this one.
#[must_use = "the gate is open once this is dropped"]
pub(crate) struct Excluding<'a> {
    gate: &'a CommitGate,
    closed: ClosedGate<'a>,
}

impl CommitGate {
    /// Passes the gate. Returns `None` if it is closed until after the deadline.
    #[inline]
    pub(crate) fn pass(&self, deadline: Option<Instant>) -> Option<PassedGate<'_>> {
        let inside = self.enter();
        if !self.is_closed.load(Ordering::SeqCst) {
            return Some(PassedGate::Among { _inside: inside });
        }
        drop(inside);
        self.wait(deadline)
    }

    #[inline]
    fn enter(&self) -> Inside<'_> {
        let line = self.line();
        line.fetch_add(1, Ordering::SeqCst);
        Inside { gate: self, line }
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the remainder is below the number of lines")]
    fn line(&self) -> &AtomicUsize {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        // A thread whose local values are being destroyed shares the first line.
        let thread = THREAD.try_with(|thread| *thread).unwrap_or(0);
        &self.inside[thread % LINES]
    }

    #[cold]
    fn wait(&self, deadline: Option<Instant>) -> Option<PassedGate<'_>> {
        if self.is_mine() {
            return Some(PassedGate::Alone);
        }
        let mut waiting = self.waiting.lock();
        *waiting += 1;
        loop {
            // Under the lock that who opens takes before it notifies.
            let inside = self.enter();
            if !self.is_closed.load(Ordering::SeqCst) {
                *waiting -= 1;
                return Some(PassedGate::Among { _inside: inside });
            }
            // Not by its drop, which takes the lock.
            inside.leave();
            self.left.notify_one();
            let late = match deadline {
                Some(deadline) => self.opened.wait_until(&mut waiting, deadline).timed_out(),
                None => {
                    self.opened.wait(&mut waiting);
                    false
                }
            };
            if late {
                *waiting -= 1;
                return None;
            }
        }
    }

    /// Waits for the writes that have passed, and keeps others waiting. Returns `None` if that takes
    /// until after the deadline.
    pub(crate) fn close(&self, deadline: Option<Instant>) -> Option<ClosedGate<'_>> {
        if self.is_mine() {
            return Some(ClosedGate::Already);
        }
        let others = match deadline {
            Some(deadline) => self.closing.try_lock_until(deadline)?,
            None => self.closing.lock(),
        };
        self.let_pass();
        let mut patience = PATIENCE;
        loop {
            if self.close_within(patience, deadline) {
                return Some(ClosedGate::Closed {
                    _closing: Closing { gate: self, _others: others },
                });
            }
            self.open();
            let pause = patience * OPEN_TIMES;
            let pause = match deadline {
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    pause.min(left)
                }
                None => pause,
            };
            std::thread::sleep(pause);
            patience = (patience * 2).min(PATIENCE_MAX);
        }
    }

    /// Lets writers pass who have waited for the thread that has closed it before.
    fn let_pass(&self) {
        let until = Instant::now() + COURTESY;
        while *self.waiting.lock() > 0 && Instant::now() < until {
            std::thread::yield_now();
        }
    }

    /// Closes it, and waits for the writers inside. Returns false, with it still closed, if there are some
    /// after this time, or after the deadline.
    fn close_within(&self, patience: Duration, deadline: Option<Instant>) -> bool {
        self.is_closed.store(true, Ordering::SeqCst);
        let bounded = !failpoint::skip("gate-patience");
        let until = Instant::now() + patience;
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        let mut waiting = self.waiting.lock();
        while !self.is_empty() {
            if bounded {
                if self.left.wait_until(&mut waiting, until).timed_out() {
                    return self.is_empty();
                }
            } else {
                self.left.wait(&mut waiting);
            }
        }
        true
    }

    fn is_empty(&self) -> bool {
        self.inside.iter().all(|line| line.load(Ordering::SeqCst) == 0)
    }

    fn open(&self) {
        self.is_closed.store(false, Ordering::SeqCst);
        let _waiting = self.waiting.lock();
        self.opened.notify_all();
    }

    /// Closes the gate for all other threads: this one writes and takes snapshots meanwhile. Returns `None`
    /// if that takes until after the deadline.
    pub(crate) fn exclude(&self, deadline: Option<Instant>) -> Option<Excluding<'_>> {
        let closed = self.close(deadline)?;
        if matches!(closed, ClosedGate::Closed { .. }) {
            *self.excluding.lock() = Some(std::thread::current().id());
            self.is_excluding.store(true, Ordering::Release);
        }
        Some(Excluding { gate: self, closed })
    }

    /// Returns true if this thread excludes others.
    pub(crate) fn is_mine(&self) -> bool {
        self.is_excluding.load(Ordering::Acquire)
            && *self.excluding.lock() == Some(std::thread::current().id())
    }
}

impl Inside<'_> {
    /// Counts the writer out, without a word to who closes.
    fn leave(self) {
        self.line.fetch_sub(1, Ordering::SeqCst);
        std::mem::forget(self);
    }

    #[cold]
    fn tell(&self) {
        let _waiting = self.gate.waiting.lock();
        self.gate.left.notify_one();
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        self.line.fetch_sub(1, Ordering::SeqCst);
        if self.gate.is_closed.load(Ordering::SeqCst) {
            self.tell();
        }
    }
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.gate.open();
    }
}

impl Drop for Excluding<'_> {
    fn drop(&mut self) {
        if matches!(self.closed, ClosedGate::Closed { .. }) {
            self.gate.is_excluding.store(false, Ordering::Release);
            *self.gate.excluding.lock() = None;
        }
        // The gate is opened after this.
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test of threads")]
    use super::*;
    use std::sync::atomic::AtomicU64;

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_millis(20))
    }

    #[test]
    fn who_excludes_others_passes_and_closes_the_gate_itself() {
        let gate = CommitGate::default();
        assert!(matches!(gate.pass(None), Some(PassedGate::Among { .. })));
        let excluding = gate.exclude(None).unwrap();
        assert!(matches!(gate.pass(None), Some(PassedGate::Alone)));
        assert!(matches!(gate.close(None), Some(ClosedGate::Already)));
        drop(gate.exclude(None));
        assert!(
            matches!(gate.pass(None), Some(PassedGate::Alone)),
            "the inner one does not open the gate"
        );
        let (was_late, seen) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                assert!(gate.pass(soon()).is_none() && !gate.is_mine());
                assert!(gate.close(soon()).is_none() && gate.exclude(soon()).is_none());
                was_late.send(()).unwrap();
                assert!(matches!(gate.pass(None), Some(PassedGate::Among { .. })), "after a wait");
                assert!(matches!(gate.close(None), Some(ClosedGate::Closed { .. })));
            });
            seen.recv().unwrap();
            assert!(!other.is_finished());
            drop(excluding);
        });
        assert!(matches!(gate.pass(None), Some(PassedGate::Among { .. })));
        assert_eq!(*gate.waiting.lock(), 0);
    }

    /// While the gate is closed no one is inside, and what was done inside before is seen by who closes
    /// it.
    #[test]
    fn no_writer_is_inside_a_closed_gate() {
        let (gate, ended) = (CommitGate::default(), AtomicBool::new(false));
        let (begun, done) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !ended.load(Ordering::Relaxed) {
                        let passed = gate.pass(None).unwrap();
                        begun.fetch_add(1, Ordering::Relaxed);
                        std::thread::yield_now();
                        done.fetch_add(1, Ordering::Relaxed);
                        drop(passed);
                    }
                });
            }
            let closers = [0; 2].map(|_| {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let closed = gate.close(None).unwrap();
                        assert_eq!(begun.load(Ordering::Relaxed), done.load(Ordering::Relaxed));
                        drop(closed);
                    }
                })
            });
            closers.into_iter().for_each(|closer| closer.join().unwrap());
            let before = done.load(Ordering::Relaxed);
            while done.load(Ordering::Relaxed) < before + 1000 {
                std::thread::yield_now();
            }
            ended.store(true, Ordering::Relaxed);
        });
        assert_eq!(*gate.waiting.lock(), 0);
    }

    /// A writer whose shard hangs stays inside. Others pass meanwhile, also while a snapshot waits, which
    /// gets its turn when the writer comes out.
    #[test]
    fn a_writer_that_does_not_come_out_keeps_no_other_out() {
        let gate = CommitGate::default();
        let hangs = gate.pass(None).unwrap();
        assert!(gate.close(soon()).is_none());
        std::thread::scope(|scope| {
            let closer = scope.spawn(|| drop(gate.close(None).unwrap()));
            while !gate.is_closed.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            for _ in 0..3 {
                // It waits for the first of them, and passes before the writer comes out.
                drop(gate.pass(None).unwrap());
            }
            assert!(!closer.is_finished());
            drop(hangs);
            closer.join().unwrap();
        });
    }
}
