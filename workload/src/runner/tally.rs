//! Latencies: by kind over the whole run for each thread, and by interval for all of them.

use crate::engine::Result;
use crate::operations::Kind;
use hdrhistogram::Histogram;
use std::sync::Mutex;
use std::time::Duration;

/// Latencies above this count as this.
const NANOS_MAX: u64 = 3_600_000_000_000;

/// Returns a histogram with three digits: errors below 0.1 %.
pub(super) fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, NANOS_MAX, 3)?)
}

/// Returns a histogram with two digits, which are enough for a time line.
fn coarse() -> Result<Histogram<u32>> {
    Ok(Histogram::new_with_bounds(1, NANOS_MAX, 2)?)
}

/// What one thread has measured.
pub(super) struct Tally {
    /// By kind, in the order of [`Kind::ALL`].
    pub(super) kinds: Vec<Histogram<u64>>,
    pub(super) wrong_reads: u64,
    pub(super) rows: u64,
    pub(super) operations: u64,
    /// Sampled operations by shard.
    pub(super) shards: Vec<u64>,
    /// When the last operation ended, since the start.
    pub(super) ended: Duration,
    slot: Slot,
    slot_number: usize,
    slot_ends_nanos: u64,
}

impl Tally {
    pub(super) fn new() -> Result<Self> {
        let kinds = Kind::ALL.iter().map(|_| histogram()).collect::<Result<_>>()?;
        Ok(Self {
            kinds,
            wrong_reads: 0,
            rows: 0,
            operations: 0,
            shards: Vec::new(),
            ended: Duration::ZERO,
            slot: Slot::new()?,
            slot_number: 0,
            slot_ends_nanos: 0,
        })
    }

    /// Forgets what was measured.
    pub(super) fn clear(&mut self) {
        self.kinds.iter_mut().for_each(Histogram::reset);
        (self.wrong_reads, self.rows, self.operations) = (0, 0, 0);
        self.shards.clear();
        self.slot.clear();
        (self.slot_number, self.slot_ends_nanos) = (0, 0);
    }

    /// Records an operation that ended some time after the start.
    #[inline]
    pub(super) fn record(&mut self, kind: Kind, latency: Duration, ended: Duration, slots: &Slots) {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let (latency, at) = (nanos(latency).max(1), nanos(ended));
        if at >= self.slot_ends_nanos {
            self.next_slot(at, slots);
        }
        if let Some(histogram) = self.kinds.get_mut(kind as usize) {
            histogram.saturating_record(latency);
        }
        self.slot.latencies.saturating_record(latency);
        self.operations += 1;
        self.ended = ended;
    }

    /// Records an operation on a shard; one in several is sampled.
    pub(super) fn on_shard(&mut self, shard: usize, shards: usize) {
        for counts in [&mut self.shards, &mut self.slot.shards] {
            counts.resize(counts.len().max(shards), 0);
            count_shard(counts, shard, 1);
        }
    }

    #[cold]
    fn next_slot(&mut self, at: u64, slots: &Slots) {
        self.flush(slots);
        self.slot_number = usize::try_from(at / slots.nanos).unwrap_or(usize::MAX);
        self.slot_ends_nanos = (at / slots.nanos + 1).saturating_mul(slots.nanos);
    }

    /// Adds the present interval to those of all threads.
    pub(super) fn flush(&mut self, slots: &Slots) {
        if self.slot.latencies.is_empty() {
            return;
        }
        let mut all = slots.slots.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while all.len() <= self.slot_number {
            let Ok(slot) = Slot::new() else { return };
            all.push(slot);
        }
        if let Some(slot) = all.get_mut(self.slot_number) {
            slot.add(&self.slot);
        }
        drop(all);
        self.slot.clear();
    }
}

pub(super) fn count_shard(shards: &mut Vec<u64>, shard: usize, operations: u64) {
    if shards.len() <= shard {
        shards.resize(shard + 1, 0);
    }
    if let Some(count) = shards.get_mut(shard) {
        *count += operations;
    }
}

/// What happened in one interval.
pub(super) struct Slot {
    pub(super) latencies: Histogram<u32>,
    pub(super) shards: Vec<u64>,
}

impl Slot {
    fn new() -> Result<Self> {
        Ok(Self { latencies: coarse()?, shards: Vec::new() })
    }

    fn add(&mut self, other: &Self) {
        // The bounds of both are the same, so it fits.
        let _ = self.latencies.add(&other.latencies);
        for (shard, count) in other.shards.iter().enumerate() {
            count_shard(&mut self.shards, shard, *count);
        }
    }

    fn clear(&mut self) {
        self.latencies.reset();
        self.shards.clear();
    }
}

/// The intervals of all threads together. A thread adds to them when one of its own is over.
pub(super) struct Slots {
    pub(super) nanos: u64,
    slots: Mutex<Vec<Slot>>,
}

impl Slots {
    pub(super) fn new(interval: Duration) -> Self {
        let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self { nanos, slots: Mutex::default() }
    }

    pub(super) fn into_slots(self) -> Vec<Slot> {
        self.slots.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
