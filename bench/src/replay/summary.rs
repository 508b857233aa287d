//! The result of a replay.

use super::reshapes::Reshape;
use super::stage::Preloaded;
use super::timeline::{Interval, max_over_mean};
use super::worker::Counts;
use annulus::ShardId;
use annulus::rebalancer::Decision;
use annulus::report::HotCacheStats;
use annulus::topology::ReshapeKind;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::time::Duration;

/// The result of a replay.
#[derive(Debug)]
pub struct Summary {
    /// What was done and found.
    pub counts: Counts,
    pub(super) nanos: Histogram<u64>,
    /// How long it took.
    pub seconds: f64,
    /// How many threads did it.
    pub threads: usize,
    pub(super) keys: u64,
    pub(super) preloaded: Option<Preloaded>,
    pub(super) shards: Vec<(ShardId, u32)>,
    /// The load over time.
    pub intervals: Vec<Interval>,
    /// Max/mean of the last quarter of the run.
    pub max_over_mean_last: f64,
    /// The reshapes, with the time at which they ended, since the beginning.
    pub reshapes: Vec<(Duration, Reshape)>,
    /// How many partitions there were before.
    pub partitions_before: usize,
    /// How many partitions there were at the end.
    pub partitions: usize,
    /// The last decisions of the rebalancer.
    pub decisions: Vec<Decision>,
    /// The cache of values of hot keys, if there was one.
    pub hot_cache: Option<HotCacheStats>,
    /// Whether it was ended early.
    pub interrupted: bool,
}

impl Summary {
    /// Returns how many operations there were.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.nanos.len()
    }

    /// Returns operations a second, of all threads together.
    #[must_use]
    pub fn ops_per_s(&self) -> f64 {
        self.operations() as f64 / self.seconds.max(1e-9)
    }

    /// Returns the latency in microseconds that this fraction of the operations did not exceed.
    #[must_use]
    pub fn micros(&self, quantile: f64) -> f64 {
        self.nanos.value_at_quantile(quantile) as f64 / 1e3
    }

    /// Returns max/mean of an interval: 1 is perfect balance.
    #[must_use]
    pub fn max_over_mean(&self, interval: &Interval) -> f64 {
        let weights: Vec<u32> = self.shards.iter().map(|(_, weight)| *weight).collect();
        max_over_mean(&interval.per_shard, &weights)
    }

    /// Returns max/mean of the first interval with operations.
    #[must_use]
    pub fn max_over_mean_first(&self) -> f64 {
        let mut intervals = self.intervals.iter();
        let first = intervals.find(|interval| interval.per_shard.iter().any(|count| *count > 0));
        first.map_or(1.0, |first| self.max_over_mean(first))
    }

    /// Returns how many reshapes were of a kind.
    #[must_use]
    pub fn kinds(&self, kind: ReshapeKind) -> usize {
        self.reshapes.iter().filter(|(_, reshape)| reshape.kind == kind).count()
    }

    /// Returns how long nothing was reshaped at the end.
    #[must_use]
    pub fn quiet_seconds(&self) -> f64 {
        let last = self.reshapes.iter().map(|(at, _)| at.as_secs_f64()).fold(0.0, f64::max);
        self.seconds - last
    }

    /// Returns how many reshapes ended in an interval, and how many partitions there were at its
    /// end. What ended with the run belongs to the last interval.
    #[must_use]
    pub fn reshapes_in(&self, interval: &Interval) -> (usize, usize) {
        let end = interval.at + interval.length;
        let is_last = end.as_secs_f64() >= self.seconds;
        let end = if is_last { Duration::MAX } else { end };
        let in_it = self.reshapes.iter().filter(|(at, _)| (interval.at..end).contains(at));
        let grown: i64 =
            self.reshapes.iter().filter(|(at, _)| *at < end).map(|(_, it)| it.grown).sum();
        (in_it.count(), self.partitions_before.saturating_add_signed(grown as isize))
    }

    /// Returns the summary for machines, as one object.
    #[must_use]
    pub fn json(&self) -> Value {
        let Summary { counts, .. } = self;
        let mut object = json!({
            "operations": self.operations(),
            "seconds": self.seconds,
            "ops_per_s": self.ops_per_s(),
            "p50_us": self.micros(0.5),
            "p90_us": self.micros(0.9),
            "p99_us": self.micros(0.99),
            "p999_us": self.micros(0.999),
            "max_us": self.nanos.max() as f64 / 1e3,
            "max_over_mean_first": self.max_over_mean_first(),
            "max_over_mean_last": self.max_over_mean_last,
            "wrong_reads": counts.wrong,
            "unchecked_reads": counts.unchecked,
            "absent_reads": counts.absent,
            "reads": counts.reads,
            "writes": counts.writes,
            "deletes": counts.deletes,
            "scans": counts.scans,
            "reshapes": self.reshapes.len(),
            "splits": self.kinds(ReshapeKind::Split),
            "moves": self.kinds(ReshapeKind::Move),
            "merges": self.kinds(ReshapeKind::Merge),
            "quiet_seconds": self.quiet_seconds(),
            "partitions_before": self.partitions_before,
            "partitions": self.partitions,
            "threads": self.threads,
            "keys": self.keys,
            "preloaded": self.preloaded.map(|it| json!({ "keys": it.keys, "seconds": it.seconds })),
            "shards": self.shards.iter().map(|(id, _)| id).collect::<Vec<_>>(),
            "hot_cache": self.hot_cache,
            "interrupted": self.interrupted,
        });
        // In parts, because of the macro's recursion limit.
        if let Some(object) = object.as_object_mut() {
            let intervals: Vec<_> = self.intervals.iter().map(|it| self.interval(it)).collect();
            object.insert("intervals".into(), intervals.into());
            object.insert("decisions".into(), json!(self.decisions));
        }
        object
    }

    fn interval(&self, interval: &Interval) -> Value {
        let (reshapes, partitions) = self.reshapes_in(interval);
        json!({
            "at": interval.at.as_secs_f64(),
            "seconds": interval.length.as_secs_f64(),
            "ops": interval.per_shard.iter().sum::<u64>(),
            "per_shard": interval.per_shard,
            "max_over_mean": self.max_over_mean(interval),
            "partitions": partitions,
            "reshapes": reshapes,
        })
    }
}
