//! Calls on their way into a shard: some at once, some after a wait, some not at all.

use super::limit::Limit;
use super::options::{OverloadOptions, Priority};
use super::queue::Queue;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How many calls a shard works on at the same time at first.
const FIRST: u32 = 16;

/// The way into the shards of a store.
pub(crate) struct Admission {
    options: OverloadOptions,
    /// Bytes in memory on behalf of calls.
    bytes: AtomicUsize,
    shards: Mutex<BTreeMap<ShardId, Arc<Door>>>,
    begun: Instant,
}

/// The way into one shard.
struct Door {
    shard: ShardId,
    state: Mutex<State>,
}

struct State {
    limit: Limit,
    in_flight: u32,
    queue: Queue,
    /// Where each call that waits is told what becomes of it.
    waiting: BTreeMap<u64, Arc<Turn>>,
    next: u64,
}

/// What becomes of a call that waits.
#[derive(Default)]
struct Turn {
    fate: Mutex<Fate>,
    decided: Condvar,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Fate {
    #[default]
    Waits,
    Admitted,
    Refused,
}

/// A call that was admitted to a shard. Dropping it notes how long the call took.
#[must_use = "the call counts as done once this is dropped"]
pub(crate) struct Permit {
    door: Arc<Door>,
    begun: Instant,
    /// Since when the times of the queue count.
    of: Instant,
    _bytes: Option<Arc<Bytes>>,
}

/// Bytes that are in memory on behalf of a call.
struct Bytes {
    admission: Arc<Admission>,
    bytes: usize,
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.admission.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Admission {
    pub(crate) fn new(options: OverloadOptions) -> Arc<Self> {
        let (bytes, shards) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Self { options, bytes, shards, begun: Instant::now() })
    }

    /// Admits a call to shards, which are in ascending order; waits for its turn at each, if that is to be.
    ///
    /// # Errors
    ///
    /// `Overloaded`: nothing was done. `DeadlineExceeded`.
    pub(crate) fn admit(
        self: &Arc<Self>,
        shards: impl IntoIterator<Item = ShardId>,
        bytes: usize,
        priority: Priority,
        deadline: Option<Instant>,
    ) -> Result<Vec<Permit>> {
        let mut bytes = Some(self.account(bytes)?);
        shards.into_iter().map(|shard| self.pass(shard, bytes.take(), priority, deadline)).collect()
    }

    /// The same for one shard.
    pub(crate) fn admit_one(
        self: &Arc<Self>,
        shard: ShardId,
        bytes: usize,
        priority: Priority,
        deadline: Option<Instant>,
    ) -> Result<Permit> {
        let bytes = self.account(bytes)?;
        self.pass(shard, Some(bytes), priority, deadline)
    }

    fn pass(
        &self,
        shard: ShardId,
        bytes: Option<Arc<Bytes>>,
        priority: Priority,
        deadline: Option<Instant>,
    ) -> Result<Permit> {
        let door = self.door(shard);
        door.pass(self.begun, priority, deadline)?;
        Ok(Permit { door, begun: Instant::now(), of: self.begun, _bytes: bytes })
    }

    /// Accounts for memory. What is larger than the bound is admitted when there is nothing else.
    fn account(self: &Arc<Self>, bytes: usize) -> Result<Arc<Bytes>> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let accounted = Arc::new(Bytes { admission: Arc::clone(self), bytes });
        if before > 0 && before.saturating_add(bytes) > self.options.memory_max {
            let most = self.options.memory_max;
            let text = format!(
                "calls in progress have {before} bytes in memory, and {bytes} more would exceed the {most} \
                 that option overload.memory_max allows; nothing was done: try again later"
            );
            return Err(overloaded(text, self.options.queue_time));
        }
        Ok(accounted)
    }

    /// Returns how many bytes are in memory on behalf of calls.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns how many calls a shard works on at most, works on, and lets wait.
    pub(crate) fn state_of(&self, shard: ShardId) -> Option<(u32, u32, usize)> {
        let door = Arc::clone(self.shards.lock().get(&shard)?);
        let state = door.state.lock();
        Some((state.limit.get(), state.in_flight, state.queue.len()))
    }

    fn door(&self, shard: ShardId) -> Arc<Door> {
        let mut shards = self.shards.lock();
        let new = || {
            let OverloadOptions { concurrency_min, concurrency_max, .. } = self.options;
            let OverloadOptions { queue_max, queue_time, queue_patience, .. } = self.options;
            let state = State {
                limit: Limit::new(FIRST, concurrency_min, concurrency_max),
                in_flight: 0,
                queue: Queue::new(queue_max, queue_time, queue_patience),
                waiting: BTreeMap::new(),
                next: 0,
            };
            Arc::new(Door { shard, state: Mutex::new(state) })
        };
        Arc::clone(shards.entry(shard).or_insert_with(new))
    }
}

impl Door {
    /// Returns when the call has its turn.
    fn pass(&self, of: Instant, priority: Priority, deadline: Option<Instant>) -> Result<()> {
        let now = of.elapsed();
        let mut state = self.state.lock();
        state.expire(now);
        if state.in_flight < state.limit.get() && state.queue.len() == 0 {
            state.in_flight += 1;
            return Ok(());
        }
        let id = state.next;
        state.next += 1;
        if let Some(evicted) = state.queue.push(id, priority, now) {
            if evicted == id {
                return Err(self.refuse(&state, now));
            }
            state.decide(evicted, Fate::Refused);
        }
        let turn = Arc::new(Turn::default());
        state.waiting.insert(id, Arc::clone(&turn));
        let until = Instant::now() + state.queue.patience(now);
        drop(state);
        let fate = turn.wait(deadline.map_or(until, |deadline| deadline.min(until)));
        if fate == Fate::Admitted {
            return Ok(());
        }
        let mut state = self.state.lock();
        // It may have been admitted just now.
        if turn.fate() == Fate::Admitted {
            return Ok(());
        }
        state.queue.remove(id);
        state.waiting.remove(&id);
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Error::new(
                ErrorKind::DeadlineExceeded,
                format!(
                    "the deadline has passed while the call waited for its turn at shard {}; nothing was \
                     done",
                    self.shard
                ),
            ));
        }
        Err(self.refuse(&state, of.elapsed()))
    }

    #[cold]
    fn refuse(&self, state: &State, now: Duration) -> Error {
        let (limit, waiting) = (state.limit.get().max(1), state.queue.len());
        let text = format!(
            "shard {} works on {limit} calls, and {waiting} wait; nothing was done: try again later",
            self.shard
        );
        // When those that wait have had their turns.
        let rounds = 1 + waiting as u32 / limit;
        overloaded(text, (state.limit.best() * rounds).max(state.queue.patience(now)))
    }

    fn leave(&self, took: Duration, now: Duration) {
        let mut state = self.state.lock();
        let in_flight = state.in_flight;
        state.limit.note(took, in_flight);
        state.in_flight -= 1;
        state.expire(now);
        while state.in_flight < state.limit.get()
            && let Some(next) = state.queue.pop(now)
        {
            if state.decide(next, Fate::Admitted) {
                state.in_flight += 1;
            }
        }
    }
}

impl State {
    /// Refuses the calls that have waited too long.
    fn expire(&mut self, now: Duration) {
        for id in self.queue.expired(now) {
            self.decide(id, Fate::Refused);
        }
    }

    /// Tells a call what becomes of it. Returns false if it does not wait any more.
    fn decide(&mut self, id: u64, fate: Fate) -> bool {
        let Some(turn) = self.waiting.remove(&id) else { return false };
        *turn.fate.lock() = fate;
        turn.decided.notify_one();
        true
    }
}

impl Turn {
    fn fate(&self) -> Fate {
        *self.fate.lock()
    }

    fn wait(&self, until: Instant) -> Fate {
        let mut fate = self.fate.lock();
        while *fate == Fate::Waits && !self.decided.wait_until(&mut fate, until).timed_out() {}
        *fate
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.door.leave(self.begun.elapsed(), self.of.elapsed());
    }
}

#[cold]
fn overloaded(text: String, again: Duration) -> Error {
    Error::new(ErrorKind::Overloaded, text).with_retry_after(again)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARD: ShardId = ShardId(7);

    fn admission(options: OverloadOptions) -> Arc<Admission> {
        options.validate().unwrap();
        Admission::new(options)
    }

    fn one_at_a_time() -> OverloadOptions {
        OverloadOptions::new().concurrency_min(1).concurrency_max(1)
    }

    #[test]
    fn who_finds_no_place_is_refused_with_a_hint() {
        let admission = admission(one_at_a_time().queue_max(0));
        let admit = || admission.admit([SHARD], 10, Priority::Foreground, None);
        let permit = admit().unwrap();
        let error = admit().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert!(error.is_retryable() && error.retry_after().is_some(), "{error:?}");
        assert!(error.to_string().contains("shard 7"), "{error}");
        assert!(admission.admit([ShardId(8)], 10, Priority::Foreground, None).is_ok(), "another");
        drop(permit);
        assert!(admit().is_ok());
        assert_eq!((admission.bytes(), admission.state_of(SHARD)), (0, Some((1, 0, 0))));
    }

    #[test]
    fn who_waits_too_long_is_refused_and_leaves_no_trace() {
        let options = one_at_a_time().queue_time(Duration::ZERO);
        let admission = admission(options.queue_patience(Duration::from_millis(20)));
        let _permit = admission.admit([SHARD], 0, Priority::Foreground, None).unwrap();
        let refused = admission.admit([SHARD], 0, Priority::Foreground, None);
        assert_eq!(refused.err().unwrap().kind(), ErrorKind::Overloaded);
        let soon = Some(Instant::now() + Duration::from_millis(1));
        let late = admission.admit([SHARD], 0, Priority::Foreground, soon);
        assert_eq!(late.err().unwrap().kind(), ErrorKind::DeadlineExceeded);
        assert_eq!(admission.state_of(SHARD), Some((1, 1, 0)));
    }

    #[test]
    fn memory_is_bounded_over_all_shards_and_a_single_call_may_exceed_it() {
        let admission = admission(OverloadOptions::new().memory_max(100));
        let admit =
            |shard, bytes| admission.admit([ShardId(shard)], bytes, Priority::Foreground, None);
        let large = admit(1, 1000).unwrap();
        assert_eq!(admit(2, 1).err().unwrap().kind(), ErrorKind::Overloaded);
        drop(large);
        let _half = admit(1, 60).unwrap();
        assert!(admit(2, 41).is_err() && admit(2, 40).is_ok());
        assert_eq!(admission.bytes(), 60);
    }

    /// Many more threads than are admitted: all that is admitted is done, no more at the same time than the
    /// limit says, and nothing is left.
    #[test]
    fn no_turn_is_lost() {
        let options = OverloadOptions::new().concurrency_min(1).concurrency_max(3).queue_max(8);
        let admission = admission(options);
        let (inside, done, refused) =
            (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let (admission, inside, done, refused) = (&admission, &inside, &done, &refused);
                scope.spawn(move || {
                    let priority =
                        if thread % 2 == 0 { Priority::Foreground } else { Priority::Batch };
                    for _ in 0..300 {
                        match admission.admit([SHARD], 1, priority, None) {
                            Ok(permits) => {
                                assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
                                std::thread::yield_now();
                                inside.fetch_sub(1, Ordering::SeqCst);
                                done.fetch_add(1, Ordering::SeqCst);
                                drop(permits);
                            }
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::Overloaded);
                                refused.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                    }
                });
            }
        });
        let (done, refused) = (done.into_inner(), refused.into_inner());
        assert!(done > 300 && done + refused == 16 * 300, "{done} and {refused}");
        let (_, in_flight, waiting) = admission.state_of(SHARD).unwrap();
        assert_eq!((in_flight, waiting, admission.bytes()), (0, 0, 0));
    }
}
