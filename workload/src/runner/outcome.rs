//! The outcome of a run.

use super::shared::Shared;
use super::tally::{Slot, count_shard, histogram};
use super::worker::Worker;
use crate::engine::{CacheReads, Event, Result};
use crate::operations::Kind;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What was measured in one run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// From the start to the end of the last operation.
    pub elapsed: Duration,
    /// How many operations.
    pub operations: u64,
    /// Latencies in nanoseconds of the kinds that there were.
    pub kinds: Vec<(Kind, Histogram<u64>)>,
    /// Latencies in nanoseconds of all operations.
    pub latencies: Histogram<u64>,
    /// Reads of a record that was missing, or had a value that was not written for it; scans that
    /// did not begin with their record, or were out of order.
    pub wrong_reads: u64,
    /// Rows that scans have read.
    pub rows: u64,
    /// How many operations the warm-up before it had.
    pub warm_up_operations: u64,
    /// Records before the run and after it.
    pub records: (u64, u64),
    /// The time line.
    pub intervals: Vec<Interval>,
    /// Sampled operations by shard.
    pub shard_operations: Vec<u64>,
    /// What the engine's cache of values did, if it has one.
    pub cache_reads: Option<CacheReads>,
    /// The event, if there was one.
    pub event: Option<EventTimes>,
    /// It was ended early.
    pub stopped: bool,
}

/// When an event happened, in seconds since the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EventTimes {
    /// What happened.
    pub event: Event,
    /// When it was begun.
    pub began_s: f64,
    /// When it was done; it may be after the end of the run.
    pub ended_s: f64,
}

/// One interval of a time line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Interval {
    /// When it begins, in seconds since the start of the run.
    pub from_s: f64,
    /// How long it is; the last one ends with the run.
    pub seconds: f64,
    /// Operations that ended in it, a second.
    pub ops_per_s: f64,
    /// The median of their latencies, in microseconds.
    pub p50_us: f64,
    /// One in a hundred took longer than this, in microseconds.
    pub p99_us: f64,
    /// Sampled operations by shard; empty for an engine without shards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shard_operations: Vec<u64>,
    /// How uneven they are: the maximum relative to the mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_over_mean: Option<f64>,
}

/// Returns the maximum relative to the mean; `None` without shards.
pub(crate) fn max_over_mean(shards: &[u64]) -> Option<f64> {
    let (most, sum) = (*shards.iter().max()?, shards.iter().sum::<u64>());
    (sum > 0).then(|| most as f64 * shards.len() as f64 / sum as f64)
}

pub(super) fn gather(
    workers: Vec<Worker<'_>>,
    shared: Shared<'_>,
    event: Option<EventTimes>,
    records_before: u64,
) -> Result<Outcome> {
    let elapsed = workers.iter().map(|worker| worker.tally.ended).max().unwrap_or_default();
    let mut kinds = Kind::ALL.iter().map(|_| histogram()).collect::<Result<Vec<_>>>()?;
    let mut latencies = histogram()?;
    let (mut operations, mut wrong_reads, mut rows) = (0, 0, 0);
    let mut shard_operations = Vec::new();
    for worker in &workers {
        for (all, one) in kinds.iter_mut().zip(&worker.tally.kinds) {
            all.add(one)?;
            latencies.add(one)?;
        }
        operations += worker.tally.operations;
        wrong_reads += worker.tally.wrong_reads;
        rows += worker.tally.rows;
        for (shard, count) in worker.tally.shards.iter().enumerate() {
            count_shard(&mut shard_operations, shard, *count);
        }
    }
    let seconds = shared.run.interval.as_secs_f64();
    let records = (records_before, shared.growth.readable());
    let stopped = shared.stop.load(Ordering::Relaxed);
    let intervals = (0..)
        .zip(shared.slots.into_slots())
        .map(|(number, slot)| interval(f64::from(number) * seconds, seconds, elapsed, &slot))
        .collect();
    Ok(Outcome {
        elapsed,
        operations,
        kinds: Kind::ALL.into_iter().zip(kinds).filter(|(_, some)| !some.is_empty()).collect(),
        latencies,
        wrong_reads,
        rows,
        warm_up_operations: 0,
        records,
        intervals,
        shard_operations,
        cache_reads: None,
        event,
        stopped,
    })
}

fn interval(from_s: f64, seconds: f64, elapsed: Duration, slot: &Slot) -> Interval {
    let seconds = seconds.min(elapsed.as_secs_f64() - from_s).max(1e-9);
    let at = |quantile| slot.latencies.value_at_quantile(quantile) as f64 / 1e3;
    Interval {
        from_s,
        seconds,
        ops_per_s: slot.latencies.len() as f64 / seconds,
        p50_us: at(0.5),
        p99_us: at(0.99),
        max_over_mean: max_over_mean(&slot.shards),
        shard_operations: slot.shards.clone(),
    }
}
