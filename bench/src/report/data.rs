//! The data of a report: plain values, written to a file and read from it again.

use annulus_workload::{Estimate, RunRecord, Spread, UsageRecord};
use serde::{Deserialize, Serialize};

/// The format of the file; another one is refused.
pub const FORMAT: u32 = 1;

/// All that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Raw {
    pub(super) format: u32,
    pub(super) made: Made,
    pub(super) machine: Machine,
    /// Every workload, hash, range and one plain RocksDB.
    pub(super) workloads: Vec<Run>,
    /// By number of threads.
    pub(super) threads: Vec<Run>,
    /// By number of shards.
    pub(super) shards: Vec<Run>,
    /// What `annulus-peers --json` printed.
    pub peers: Vec<Run>,
    /// Shards that are added one by one.
    pub(super) growth: Vec<Growth>,
    pub(super) scans: Vec<Scans>,
    pub(super) moves: Vec<Moves>,
    /// Runs in which a shard is added and a hot spot appears.
    pub(super) timelines: Vec<Run>,
    /// Notes by people, a paragraph each.
    pub notes: Vec<String>,
}

/// When and by what it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) unix_seconds: u64,
    /// How long it took.
    pub(super) seconds: f64,
    pub(super) version: String,
    pub(super) commit: Option<String>,
    pub(super) seed: u64,
    /// A run only to see that it works: the figures mean nothing.
    pub(super) quick: bool,
}

/// The machine, as far as the system describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) processors: usize,
    pub(super) memory_bytes: Option<u64>,
    pub(super) disk: String,
    pub(super) system: String,
    pub(super) rustc: Option<String>,
}

/// The part of a record of `annulus bench` that is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub(super) engine: String,
    pub(super) partitioning: String,
    pub(super) workload: String,
    pub(super) threads: u32,
    pub(super) shards: u32,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    pub(super) spread: Spread,
    /// Operations a second, by round.
    pub(super) rounds: Vec<f64>,
    /// Records of earlier revisions have none.
    #[serde(default)]
    pub(super) usage: Option<UsageRecord>,
    pub(super) wrong_reads: u64,
    pub(super) records: u64,
    pub(super) value_bytes: String,
    pub(super) durability: String,
    pub(super) cache_bytes: u64,
    pub(super) write_buffer_bytes: u64,
    pub(super) seconds: f64,
    pub(super) seed: u64,
    pub(super) version: String,
    #[serde(default)]
    pub(super) commit: Option<String>,
    #[serde(default)]
    pub(super) settings: Vec<String>,
    #[serde(default)]
    pub(super) events: Vec<Event>,
    #[serde(default)]
    pub(super) hotspot_at: Option<u8>,
    #[serde(default)]
    pub(super) timeline: Vec<Vec<Interval>>,
}

/// What happened in the middle of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) event: String,
    pub(super) began_s: f64,
    pub(super) ended_s: f64,
}

/// A part of a time line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Interval {
    pub(super) from_s: f64,
    pub(super) seconds: f64,
    pub(super) ops_per_s: f64,
    pub(super) p99_us: f64,
    #[serde(default)]
    pub(super) max_over_mean: Option<f64>,
}

/// One shard was added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Growth {
    pub(super) partitioning: String,
    /// The shards that there are now.
    pub(super) shards: u32,
    /// The keys of the fullest shard relative to the mean.
    pub(super) max_over_mean: f64,
    /// The fraction of the keys that changed shard; 0 for the first.
    pub(super) moved: f64,
    pub(super) reshapes: u64,
    pub(super) ms: f64,
}

/// Scans of one length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Scans {
    /// The candidate.
    pub(super) name: String,
    pub(super) rows: u64,
    /// Microseconds of one scan.
    pub(super) us: Spread,
    /// The partitions that a scan reads, on average: each takes a seek.
    pub(super) seeks: f64,
}

/// Moves of a partition of one size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Moves {
    /// `link` or `copy`.
    pub(super) transport: String,
    pub(super) bytes: u64,
    pub(super) ms: Spread,
    /// How long writes to the partition had to wait, in the median.
    pub(super) pause_ms: f64,
}

impl Raw {
    /// Returns the number of wrong reads over all runs: must be 0.
    #[must_use]
    pub fn wrong_reads(&self) -> u64 {
        self.runs().map(|run| run.wrong_reads).sum()
    }

    /// Returns all runs of workloads.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        let all = [&self.workloads, &self.threads, &self.shards, &self.peers, &self.timelines];
        all.into_iter().flatten()
    }
}

impl Run {
    /// Converts the results of a comparison.
    pub(super) fn all(records: &[RunRecord]) -> serde_json::Result<Vec<Self>> {
        serde_json::from_value(serde_json::to_value(records)?)
    }

    /// Returns the candidate's name, as `annulus bench` prints it.
    pub(super) fn name(&self) -> String {
        annulus_workload::Identity {
            engine: self.engine.clone(),
            partitioning: self.partitioning.clone(),
            shards: self.shards,
        }
        .to_string()
    }

    /// Returns operations a second relative to those of another candidate, round by round.
    pub(super) fn ratio(&self, other: &Self) -> Option<Estimate> {
        by_round(&self.rounds, &other.rounds)
    }

    /// Returns processor time of an operation relative to that of another candidate, round by round.
    pub(super) fn processor_ratio(&self, other: &Self) -> Option<Estimate> {
        let (mine, other) = (self.usage.as_ref()?, other.usage.as_ref()?);
        by_round(&mine.processor_us_by_round, &other.processor_us_by_round)
    }
}

fn by_round(mine: &[f64], other: &[f64]) -> Option<Estimate> {
    Estimate::of(mine.iter().zip(other).map(|(mine, other)| mine / other.max(1e-9)))
}
