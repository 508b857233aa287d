//! A timeline of which shard served how much.

use std::time::Duration;

/// The maximum number of slots of a timeline.
const SLOTS_MAX: usize = 4_096;
/// How long a slot is at first.
const SLOT: Duration = Duration::from_millis(10);

/// Operations by slot of time and by shard. When there are too many slots, neighbours are joined
/// and slots are twice as long from then on, so that a run may last arbitrarily long.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    slot: Duration,
    shards: usize,
    /// A row of shards for each slot.
    counts: Vec<u64>,
}

/// The operations of a span of time, by shard.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// When it began, since the beginning of the run.
    pub at: Duration,
    /// How long it was.
    pub length: Duration,
    /// Operations by shard.
    pub per_shard: Vec<u64>,
}

impl Timeline {
    pub(super) const fn new(shards: usize) -> Self {
        Self { slot: SLOT, shards, counts: Vec::new() }
    }

    /// Counts an operation that began at this time, on the shard in this place.
    pub(super) fn count(&mut self, at: Duration, shard: usize) {
        let mut slot = self.slot_of(at);
        while slot >= SLOTS_MAX {
            self.join();
            slot = self.slot_of(at);
        }
        let needed = (slot + 1) * self.shards;
        if self.counts.len() < needed {
            self.counts.resize(needed, 0);
        }
        let place = slot * self.shards + shard;
        if let Some(count) = self.counts.get_mut(place).filter(|_| shard < self.shards) {
            *count += 1;
        }
    }

    fn slot_of(&self, at: Duration) -> usize {
        (at.as_nanos() / self.slot.as_nanos()) as usize
    }

    fn join(&mut self) {
        let shards = self.shards;
        let pairs = self.counts.chunks(2 * shards);
        self.counts = pairs
            .flat_map(|pair| {
                let (one, other) = pair.split_at(shards.min(pair.len()));
                let other = other.iter().copied().chain(std::iter::repeat(0));
                one.iter().zip(other).map(|(one, other)| one + other).collect::<Vec<_>>()
            })
            .collect();
        self.slot *= 2;
    }

    /// Adds what another thread counted.
    pub(super) fn add(&mut self, mut other: Self) {
        while self.slot < other.slot {
            self.join();
        }
        while other.slot < self.slot {
            other.join();
        }
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }

    /// Returns the whole run in intervals of about this length: a multiple of a slot.
    pub(super) fn intervals(&self, wanted: Duration, run: Duration) -> Vec<Interval> {
        let slots = wanted.as_nanos().div_ceil(self.slot.as_nanos()).max(1) as usize;
        let length = self.slot * slots as u32;
        let mut chunks = self.counts.chunks(self.shards.max(1) * slots);
        // No operation may have begun in the last of them.
        let count = run.as_nanos().div_ceil(length.as_nanos()).max(1) as usize;
        (0..count.max(chunks.len()))
            .map(|number| {
                let at = length * number as u32;
                let length = run.saturating_sub(at).min(length).max(Duration::from_micros(1));
                Interval { at, length, per_shard: self.sum(chunks.next().unwrap_or_default()) }
            })
            .collect()
    }

    /// Returns the operations that began from this time on.
    pub(super) fn since(&self, at: Duration) -> Vec<u64> {
        let slots = self.counts.len() / self.shards.max(1);
        let first = self.slot_of(at).min(slots.saturating_sub(1)) * self.shards;
        self.sum(self.counts.get(first..).unwrap_or_default())
    }

    fn sum(&self, counts: &[u64]) -> Vec<u64> {
        let mut sums = vec![0; self.shards];
        for slot in counts.chunks(self.shards.max(1)) {
            sums.iter_mut().zip(slot).for_each(|(sum, count)| *sum += count);
        }
        sums
    }
}

/// Returns the load of the shard that has most for its weight, relative to what is fair for it: 1
/// is perfect balance. 1 without any load.
pub(super) fn max_over_mean(per_shard: &[u64], weights: &[u32]) -> f64 {
    let total: u64 = per_shard.iter().sum();
    let weight_sum: f64 = weights.iter().copied().map(f64::from).sum();
    if total == 0 || weight_sum <= 0.0 {
        return 1.0;
    }
    let times = |(count, weight): (&u64, &u32)| {
        *count as f64 / total as f64 * weight_sum / f64::from(*weight)
    };
    per_shard.iter().zip(weights).map(times).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn nothing_is_lost_when_slots_are_joined() {
        let (mut long, mut short) = (Timeline::new(3), Timeline::new(3));
        for n in 0..100_000u32 {
            long.count(MS * n * 5, n as usize % 3);
        }
        assert!(long.slot > SLOT && long.counts.len() <= 3 * SLOTS_MAX);
        (0..100).for_each(|n| short.count(MS * n, 1));
        short.add(long.clone());
        long.add(Timeline::new(3));
        assert_eq!(long.since(Duration::ZERO), [33_334, 33_333, 33_333]);
        assert_eq!(short.since(Duration::ZERO), [33_334, 33_433, 33_333]);
        let run = MS * 500_000;
        let intervals = long.intervals(Duration::from_secs(20), run);
        assert_eq!(intervals.iter().flat_map(|i| &i.per_shard).sum::<u64>(), 100_000);
        assert_eq!(intervals.iter().map(|i| i.length).sum::<Duration>(), run);
        let last: u64 = long.since(run * 3 / 4).iter().sum();
        assert!(last.abs_diff(25_000) <= 100, "{last}");
    }

    /// A past bug: a run whose last operation took long had no interval for the events that ended
    /// in the meantime.
    #[test]
    fn intervals_reach_to_the_end_of_the_last_operation() {
        let mut timeline = Timeline::new(1);
        (0..10).for_each(|n| timeline.count(MS * 100 * n, 0));
        let intervals = timeline.intervals(MS * 100, MS * 1450);
        assert_eq!(intervals.len(), 15);
        assert_eq!(intervals.iter().map(|i| i.length).sum::<Duration>(), MS * 1450);
        assert_eq!(intervals.last().unwrap().per_shard, [0]);
    }

    #[test]
    fn a_shard_that_weighs_twice_may_have_twice_as_much() {
        assert_eq!(max_over_mean(&[2, 1, 1], &[2, 1, 1]), 1.0);
        assert_eq!(max_over_mean(&[2, 1, 1], &[1, 1, 1]), 1.5);
        assert_eq!(max_over_mean(&[8, 0, 0, 0], &[1; 4]), 4.0);
        assert_eq!(max_over_mean(&[0, 0], &[1, 1]), 1.0);
    }
}
