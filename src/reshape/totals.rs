//! What the reshapes of a store came to.

use super::options::Transport;
use super::outcome::Outcome;
use super::phase::Phase;
use hdrhistogram::Histogram;
use serde::Serialize;

/// A longer pause counts as this: ten minutes.
const PAUSE_US_MAX: u64 = 600_000_000;

/// What reshapes came to, since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Default)]
#[non_exhaustive]
pub struct ReshapeStats {
    /// How many were committed, without those that only trimmed a partition.
    pub committed: u64,
    /// How many partitions were trimmed.
    pub trimmed: u64,
    /// How many were rolled back: aborted, or ended by an error.
    pub rolled_back: u64,
    /// How many run or wait now.
    pub running: usize,
    /// Bytes of files that were linked instead of copied.
    pub linked_bytes: u64,
    /// Bytes of rows that were copied.
    pub copied_bytes: u64,
    /// How long writes to a partition had to wait while it was handed over: the median, over all
    /// that were committed, in milliseconds.
    pub pause_ms_p50: f64,
    /// The same, 99.9 % of them were shorter.
    pub pause_ms_p999: f64,
    /// The same, the longest.
    pub pause_ms_max: f64,
}

pub(super) struct Totals {
    stats: ReshapeStats,
    pauses_us: Option<Histogram<u64>>,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            stats: ReshapeStats::default(),
            pauses_us: Histogram::new_with_bounds(1, PAUSE_US_MAX, 3).ok(),
        }
    }
}

impl Totals {
    /// Counts an outcome.
    pub(super) fn count(&mut self, outcome: &Outcome) {
        let stats = &mut self.stats;
        if outcome.phase != Phase::Cleaned {
            stats.rolled_back += 1;
            return;
        }
        if outcome.trim {
            stats.trimmed += 1;
        } else {
            stats.committed += 1;
        }
        match outcome.transport {
            Transport::Link => stats.linked_bytes += outcome.bytes,
            Transport::Copy => stats.copied_bytes += outcome.bytes,
        }
        if let Some(pauses) = &mut self.pauses_us {
            pauses.saturating_record(((outcome.pause_ms * 1000.0) as u64).max(1));
        }
    }

    /// The totals, while so many reshapes run or wait.
    pub(super) fn stats(&self, running: usize) -> ReshapeStats {
        let pause = |quantile| {
            let pauses = self.pauses_us.as_ref();
            pauses.map_or(0.0, |pauses| pauses.value_at_quantile(quantile) as f64 / 1000.0)
        };
        ReshapeStats {
            running,
            pause_ms_p50: pause(0.5),
            pause_ms_p999: pause(0.999),
            pause_ms_max: pause(1.0),
            ..self.stats
        }
    }
}
