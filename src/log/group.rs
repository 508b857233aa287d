//! Group commit without the disk: which thread syncs, which ones wait for it, and for whom a sync
//! waits.
//!
//! One thread leads at a time. What it does serves all that wait for positions up to which it has
//! got; then the first of the others leads. Threads that were served often come back at once, just
//! after the next sync has begun, and would wait for two: one that is no use to them, and their own.
//! So a leader waits a little for as many threads as there were around the last sync, as long as that
//! turns out well ([`Patience`]).

use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest wait for other threads, which is never longer than the last sync. Those that come back
/// do it sooner.
const GATHER_MAX: Duration = Duration::from_micros(200);

/// The threads that need a sync.
#[derive(Default)]
pub(super) struct Group(Mutex<State>);

#[derive(Default)]
struct State {
    is_led: bool,
    waiting: Vec<Arc<Waiter>>,
    /// How many threads there were around the last sync: those that it has served, and those that
    /// have come meanwhile.
    crowd: usize,
    /// How long it took.
    took: Duration,
    patience: Patience,
}

/// A thread that waits.
struct Waiter {
    position: u64,
    fate: Mutex<Fate>,
    decided: Condvar,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waits,
    IsServed,
    Leads,
}

/// Decides whether a sync waits for other threads. After a wait in vain, the next syncs do not wait,
/// for twice as many of them each time.
#[derive(Debug, Default)]
struct Patience {
    /// How often in a row they have not come.
    misses: u32,
    /// How many syncs do not wait.
    left: u32,
}

/// The right to sync. Dropping it serves those that wait for what was [synced](Self::synced), and
/// passes it on.
#[must_use]
pub(super) struct Leadership<'a> {
    group: &'a Group,
    begun: Instant,
    synced: Option<u64>,
}

impl Group {
    /// Returns when another thread has synced up to a position, or when the caller is to lead; then
    /// with what it leads by. `is_there` tells whether that position is synced.
    pub(super) fn enter(
        &self,
        position: u64,
        is_there: impl Fn() -> bool,
    ) -> Option<Leadership<'_>> {
        let mut state = self.0.lock();
        if is_there() {
            return None;
        }
        if !state.is_led {
            state.is_led = true;
            drop(state);
            return Some(self.lead());
        }
        let fate = Mutex::new(Fate::Waits);
        let waiter = Arc::new(Waiter { position, fate, decided: Condvar::new() });
        state.waiting.push(Arc::clone(&waiter));
        drop(state);
        waiter.wait().then(|| self.lead())
    }

    /// Leads, if no thread does.
    pub(super) fn try_lead(&self) -> Option<Leadership<'_>> {
        let mut state = self.0.lock();
        let is_free = !std::mem::replace(&mut state.is_led, true);
        is_free.then(|| self.lead())
    }

    fn lead(&self) -> Leadership<'_> {
        Leadership { group: self, begun: Instant::now(), synced: None }
    }
}

impl Waiter {
    /// Returns true if the thread is to lead, false if it was served.
    fn wait(&self) -> bool {
        let mut fate = self.fate.lock();
        while *fate == Fate::Waits {
            self.decided.wait(&mut fate);
        }
        *fate == Fate::Leads
    }

    fn decide(&self, fate: Fate) {
        *self.fate.lock() = fate;
        self.decided.notify_one();
    }
}

impl Leadership<'_> {
    /// Waits for other threads, if it is likely that they come soon.
    pub(super) fn gather(&mut self) {
        let mut state = self.group.0.lock();
        let (crowd, most) = (state.crowd, GATHER_MAX.min(state.took));
        if state.waiting.len() + 1 < crowd && state.patience.waits() {
            drop(state);
            let has_come = || self.group.0.lock().waiting.len() + 1 >= crowd;
            let until = Instant::now() + most;
            while !has_come() && Instant::now() < until {
                std::thread::yield_now();
            }
            let mut state = self.group.0.lock();
            let is_there = state.waiting.len() + 1 >= crowd;
            state.patience.note(is_there);
        }
        self.begun = Instant::now();
    }

    /// Says up to where the log is synced.
    pub(super) fn synced(&mut self, position: u64) {
        self.synced = Some(position);
    }
}

impl Drop for Leadership<'_> {
    fn drop(&mut self) {
        let mut state = self.group.0.lock();
        let synced = self.synced.unwrap_or(0);
        let waiting = std::mem::take(&mut state.waiting);
        let around = waiting.len() + 1;
        let (served, rest): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|waiter| waiter.position <= synced);
        let mut rest = rest.into_iter();
        let next = rest.next();
        state.waiting = rest.collect();
        state.is_led = next.is_some();
        state.crowd = around;
        state.took = self.begun.elapsed();
        drop(state);
        // The next sync takes long enough to wake the others meanwhile.
        if let Some(next) = next {
            next.decide(Fate::Leads);
        }
        served.iter().for_each(|waiter| waiter.decide(Fate::IsServed));
    }
}

impl Patience {
    /// Returns whether the present sync waits.
    fn waits(&mut self) -> bool {
        let waits = self.left == 0;
        self.left = self.left.saturating_sub(1);
        waits
    }

    /// Notes whether they have come.
    fn note(&mut self, have_come: bool) {
        self.misses = if have_come { 0 } else { (self.misses + 1).min(8) };
        self.left = if have_come { 0 } else { 1 << self.misses };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn who_does_not_come_is_waited_for_less_and_less_often() {
        let mut patience = Patience::default();
        let mut waits = |count: usize, come: bool| {
            let waits = |_: &usize| {
                let waits = patience.waits();
                if waits {
                    patience.note(come);
                }
                waits
            };
            (0..count).filter(waits).count()
        };
        assert_eq!(waits(100, true), 100);
        assert_eq!(waits(1000, false), 10);
        assert!(waits(257, true) > 0, "it is tried again");
        assert_eq!(waits(100, true), 100);
    }

    /// A log that is a number: threads append to it and need what they have appended synced.
    #[test]
    fn each_thread_returns_when_its_position_is_synced_and_one_leads_at_a_time() {
        let group = Group::default();
        let (end, synced, leading) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let sync_to = |position: u64| {
            let is_there = || synced.load(Ordering::Acquire) >= position;
            while !is_there() {
                if let Some(mut leadership) = group.enter(position, is_there) {
                    leadership.gather();
                    assert_eq!(leading.fetch_add(1, Ordering::AcqRel), 0);
                    let target = end.load(Ordering::Acquire);
                    std::thread::yield_now();
                    synced.fetch_max(target, Ordering::AcqRel);
                    leading.fetch_sub(1, Ordering::AcqRel);
                    // Some fail, or end by a panic: the next one goes on.
                    if !target.is_multiple_of(7) {
                        leadership.synced(target);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let position = end.fetch_add(1, Ordering::AcqRel) + 1;
                        sync_to(position);
                        assert!(synced.load(Ordering::Acquire) >= position);
                    }
                });
            }
            scope.spawn(|| {
                while synced.load(Ordering::Acquire) < 16_000 {
                    drop(group.try_lead());
                    std::thread::yield_now();
                }
            });
        });
        assert!(group.try_lead().is_some(), "no one leads any more");
    }

    #[test]
    fn what_one_leader_did_not_reach_the_next_one_does() {
        let group = Group::default();
        let first = group.try_lead().unwrap();
        assert!(group.try_lead().is_none());
        let led = std::thread::scope(|scope| {
            let waits = |position| {
                let group = &group;
                move || {
                    group.enter(position, || false).map(|mut mine| mine.synced(u64::MAX)).is_some()
                }
            };
            let threads = [1, 5, 9].map(|position| scope.spawn(waits(position)));
            while group.0.lock().waiting.len() < 3 {
                std::thread::yield_now();
            }
            let mut first = first;
            first.synced(1);
            drop(first);
            threads.map(|thread| thread.join().unwrap())
        });
        // The second one led for both, or the third one, which had come before it.
        assert!(!led[0] && (led[1] != led[2]), "{led:?}");
    }
}
