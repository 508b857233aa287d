//! Which calls wait for their turn, for how long, and in which order. Pure: times are handed in.

use super::options::Priority;
use std::collections::VecDeque;
use std::time::Duration;

/// A call that waits, by a number that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    id: u64,
    arrived: Duration,
}

/// The calls that wait for a shard.
///
/// Each priority has a line of its own, the important first. A line within its time is served in the order
/// of arrival. Where calls have been waiting all the time for longer than [`patient_max`](Self::new),
/// there is an overload: then no call waits longer than `waits_max`, and the last one that came is served
/// first.
#[derive(Debug)]
pub(crate) struct Queue {
    lines: [VecDeque<Waiting>; Priority::COUNT],
    most: usize,
    waits_max: Duration,
    patient_max: Duration,
    /// Since when some call has been waiting.
    busy_since: Option<Duration>,
}

impl Queue {
    /// Returns a queue of at most so many calls. At overload, which is when it has not been empty for
    /// `patient_max`, no call waits longer than `waits_max`; otherwise none longer than `patient_max`.
    pub(crate) fn new(most: usize, waits_max: Duration, patient_max: Duration) -> Self {
        Self { lines: Default::default(), most, waits_max, patient_max, busy_since: None }
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.iter().map(VecDeque::len).sum()
    }

    fn is_overloaded(&self, now: Duration) -> bool {
        self.busy_since.is_some_and(|since| now.saturating_sub(since) >= self.patient_max)
    }

    /// Returns how long a call may wait that comes now.
    pub(crate) fn patience(&self, now: Duration) -> Duration {
        if self.is_overloaded(now) { self.waits_max } else { self.patient_max }
    }

    /// Adds a call. Returns which call has to go for it: one that is less important, the last that came, or
    /// itself, if all are as important; none if there is room.
    pub(crate) fn push(&mut self, id: u64, priority: Priority, now: Duration) -> Option<u64> {
        let full = self.len() >= self.most;
        let evicted = if full {
            let lower = self.lines.iter_mut().skip(priority.line() + 1).rev();
            match lower.filter_map(VecDeque::pop_back).next() {
                Some(evicted) => Some(evicted.id),
                None => return Some(id),
            }
        } else {
            None
        };
        if let Some(line) = self.lines.get_mut(priority.line()) {
            line.push_back(Waiting { id, arrived: now });
        }
        self.busy_since.get_or_insert(now);
        evicted
    }

    /// Removes calls that have waited too long, and returns them.
    pub(crate) fn expired(&mut self, now: Duration) -> Vec<u64> {
        let most = self.patience(now);
        let mut expired = Vec::new();
        for line in &mut self.lines {
            // The oldest are in front.
            while let Some(first) = line.front() {
                if now.saturating_sub(first.arrived) < most {
                    break;
                }
                expired.push(first.id);
                line.pop_front();
            }
        }
        self.note_empty();
        expired
    }

    /// Removes the call whose turn it is.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<u64> {
        let last_first = self.is_overloaded(now);
        let take = |line: &mut VecDeque<Waiting>| match last_first {
            true => line.pop_back(),
            false => line.pop_front(),
        };
        let next = self.lines.iter_mut().find_map(take);
        self.note_empty();
        next.map(|next| next.id)
    }

    /// Removes a call that does not wait any more.
    pub(crate) fn remove(&mut self, id: u64) {
        self.lines.iter_mut().for_each(|line| line.retain(|waiting| waiting.id != id));
        self.note_empty();
    }

    fn note_empty(&mut self) {
        if self.lines.iter().all(VecDeque::is_empty) {
            self.busy_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const MILLI: Duration = Duration::from_millis(1);

    fn queue(most: usize) -> Queue {
        Queue::new(most, 5 * MILLI, 100 * MILLI)
    }

    fn priority(n: u8) -> Priority {
        match n % 3 {
            0 => Priority::Foreground,
            1 => Priority::Batch,
            _ => Priority::Background,
        }
    }

    #[test]
    fn the_important_come_first_and_each_line_in_its_order() {
        let mut queue = queue(10);
        for (id, n) in [(1, 2), (2, 0), (3, 1), (4, 0)] {
            assert_eq!(queue.push(id, priority(n), MILLI), None);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(2 * MILLI)).collect();
        assert_eq!(order, [2, 4, 3, 1]);
    }

    #[test]
    fn who_is_more_important_takes_the_place_of_another() {
        let mut queue = queue(2);
        assert_eq!(queue.push(1, Priority::Background, MILLI), None);
        assert_eq!(queue.push(2, Priority::Batch, MILLI), None);
        assert_eq!(queue.push(3, Priority::Background, MILLI), Some(3), "none is less important");
        assert_eq!(queue.push(4, Priority::Foreground, MILLI), Some(1));
        assert_eq!(queue.push(5, Priority::Foreground, MILLI), Some(2));
        assert_eq!(queue.push(6, Priority::Foreground, MILLI), Some(6));
        assert_eq!(queue.len(), 2);
    }

    /// Where the queue has not been empty for a while, calls wait for a short time only, and the last one
    /// is first.
    #[test]
    fn at_overload_the_last_comes_first_and_none_waits_long() {
        let mut queue = queue(10);
        queue.push(1, Priority::Foreground, Duration::ZERO);
        queue.push(2, Priority::Foreground, 97 * MILLI);
        queue.push(3, Priority::Foreground, 98 * MILLI);
        assert_eq!(queue.patience(99 * MILLI), 100 * MILLI);
        assert_eq!(queue.expired(99 * MILLI), Vec::<u64>::new());
        assert_eq!((queue.patience(100 * MILLI), queue.expired(100 * MILLI)), (5 * MILLI, vec![1]));
        assert_eq!(queue.pop(101 * MILLI), Some(3));
        assert_eq!(queue.pop(101 * MILLI), Some(2));
        queue.push(4, Priority::Foreground, 102 * MILLI);
        assert_eq!(queue.patience(102 * MILLI), 100 * MILLI, "it was empty");
    }

    proptest! {
        /// Each call leaves the queue once: served, evicted or expired; the queue keeps its bound; and no call
        /// that is served has waited longer than it may.
        #[test]
        fn each_call_leaves_once_and_none_waits_too_long(
            most in 1_usize..8,
            acts in proptest::collection::vec((0_u8..8, 0_u64..40), 1..300),
        ) {
            let mut queue = queue(most);
            let (mut inside, mut now) = (BTreeMap::new(), Duration::ZERO);
            for (id, (act, millis)) in (0..).zip(acts) {
                now += MILLI * millis as u32;
                for expired in queue.expired(now) {
                    let (arrived, _) = inside.remove(&expired).unwrap();
                    prop_assert!(now - arrived >= 5 * MILLI);
                }
                for (arrived, _) in inside.values() {
                    prop_assert!(now - *arrived < 100 * MILLI);
                }
                if act < 5 {
                    let evicted = queue.push(id, priority(act), now);
                    if evicted != Some(id) {
                        inside.insert(id, (now, priority(act)));
                    }
                    if let Some(evicted) = evicted.filter(|evicted| *evicted != id) {
                        let (_, lower) = inside.remove(&evicted).unwrap();
                        prop_assert!(lower.line() > priority(act).line());
                    }
                } else if let Some(next) = queue.pop(now) {
                    let (_, served) = inside.remove(&next).unwrap();
                    let first = inside.values().map(|(_, it)| it.line()).min();
                    prop_assert!(first.is_none_or(|first| first >= served.line()));
                } else {
                    prop_assert!(inside.is_empty());
                }
                prop_assert!(queue.len() == inside.len() && queue.len() <= most);
            }
        }
    }
}
