//! The results in a form for machines.

use crate::compare::{Estimate, Spread};
use crate::engine::Durability;
use crate::runner::{EventTimes, Interval};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The results of one candidate in one workload with one number of threads. Rates and percentiles
/// are the medians of the rounds, `max_us` is the maximum of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRecord {
    /// The engine's name.
    pub engine: String,
    /// `hash`, `range` or `none`.
    pub partitioning: String,
    /// `a` to `f`, or `load`.
    pub workload: String,
    /// Threads that call the engine.
    pub threads: usize,
    /// Shards of the engine.
    pub shards: u32,
    /// Operations a second of all threads.
    pub ops_per_s: f64,
    /// Half of the operations took at most this many microseconds.
    pub p50_us: f64,
    /// 99 % of the operations took at most this many microseconds.
    pub p99_us: f64,
    /// 99.9 % of the operations took at most this many microseconds.
    pub p999_us: f64,
    /// The longest operation, in microseconds.
    pub max_us: f64,
    /// Median, minimum and maximum of operations a second over the rounds.
    pub spread: Spread,
    /// Operations a second, by round.
    pub rounds: Vec<f64>,
    /// Relative to the baseline, round by round; `None` for the baseline itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
    /// What the process used for it, an operation.
    pub usage: UsageRecord,
    /// By kind of operation.
    pub kinds: BTreeMap<&'static str, KindRecord>,
    /// Operations of each round, on average.
    pub operations: u64,
    /// Seconds of each round, in the median.
    pub seconds: f64,
    /// Records before the first round.
    pub records: u64,
    /// Records after the last round.
    pub records_after: u64,
    /// Rows that scans have read, of all rounds.
    pub rows: u64,
    /// Reads that were not what had been written, of all rounds: must be 0.
    pub wrong_reads: u64,
    /// Lengths of values, as requested.
    pub value_bytes: String,
    /// How records are chosen.
    pub distribution: &'static str,
    /// The target rate; `None` if it is as fast as possible.
    pub rate: Option<f64>,
    /// What acknowledged writes survive; the engine's own words are among its settings.
    pub durability: Durability,
    /// Bytes of block cache.
    pub cache_bytes: u64,
    /// Bytes of write buffers.
    pub write_buffer_bytes: u64,
    /// Bytes on disk after the load.
    pub disk_bytes: Option<u64>,
    /// How uneven the load of the shards was: the maximum relative to the mean, in the median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_over_mean: Option<f64>,
    /// The fraction of the reads through the engine's cache of values that it answered, over all
    /// rounds; `None` without such a cache or such reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_hit_part: Option<f64>,
    /// What happened in the middle, by round.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventTimes>,
    /// The percentage of the run after which a hot spot appeared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hotspot_at: Option<u8>,
    /// The seed of everything random.
    pub seed: u64,
    /// The engine's version.
    pub version: String,
    /// The commit of the program, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Other settings that the engine reports.
    pub settings: Vec<String>,
    /// The time line of each round, if requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Vec<Interval>>,
}

/// Operations a second relative to those of the baseline in the same round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ratio {
    /// The baseline.
    pub to: String,
    /// Over the rounds, with its 95 % interval.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Whether that interval holds 1; not known after one round.
    pub noise: Option<bool>,
    /// Processor time of an operation relative to that of the baseline: less is better.
    pub processor: Estimate,
}

/// What the process used for an operation, up to when it was idle again: flushes and compactions
/// that the operations have caused are part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Microseconds of user and system time of all threads, in the median of the rounds.
    pub processor_us: f64,
    /// The same by round.
    pub processor_us_by_round: Vec<f64>,
    /// Bytes written to disks, over all rounds; `None` if the system does not report it.
    pub written_bytes: Option<f64>,
    /// Bytes read from disks, over all rounds.
    pub read_bytes: Option<f64>,
    /// Bytes written to disks for each byte of a key or value that was put; `None` without puts.
    pub write_amplification: Option<f64>,
}

/// The operations of one kind, over all rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct KindRecord {
    pub operations: u64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
}
