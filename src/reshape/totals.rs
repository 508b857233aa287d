//! The totals of a store's reshapes.

use super::options::Transport;
use super::outcome::Outcome;
use super::phase::Phase;
use crate::units;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::time::Duration;

/// A longer pause counts as this: ten minutes.
const PAUSE_US_MAX: u64 = 600_000_000;

/// The totals of reshapes since the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Default)]
#[non_exhaustive]
pub struct ReshapeStats {
    /// How many were committed, not counting trims.
    pub committed: u64,
    /// How many partitions were trimmed.
    pub trimmed: u64,
    /// How many were rolled back: aborted, or ended by an error.
    pub rolled_back: u64,
    /// How many are running or waiting now.
    pub running: usize,
    /// Bytes of files that were linked instead of copied.
    pub linked_bytes: u64,
    /// Bytes of rows that were copied.
    pub copied_bytes: u64,
    /// How long writes to a partition had to wait while it was handed over: the median over all
    /// committed reshapes. Serialized as `pause_ms_p50`.
    #[serde(rename = "pause_ms_p50", with = "units::fractional_ms")]
    pub pause_p50: Duration,
    /// The same, as the 99.9th percentile. Serialized as `pause_ms_p999`.
    #[serde(rename = "pause_ms_p999", with = "units::fractional_ms")]
    pub pause_p999: Duration,
    /// The same, the longest. Serialized as `pause_ms_max`.
    #[serde(rename = "pause_ms_max", with = "units::fractional_ms")]
    pub pause_max: Duration,
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
            let pause_us = u64::try_from(outcome.pause.as_micros()).unwrap_or(u64::MAX);
            pauses.saturating_record(pause_us.max(1));
        }
    }

    /// Returns the totals, given how many reshapes are running or waiting.
    pub(super) fn stats(&self, running: usize) -> ReshapeStats {
        let pause_us = |quantile| {
            let pauses = self.pauses_us.as_ref();
            pauses.map_or(0, |pauses| pauses.value_at_quantile(quantile))
        };
        let pause = |quantile| Duration::from_micros(pause_us(quantile));
        ReshapeStats {
            running,
            pause_p50: pause(0.5),
            pause_p999: pause(0.999),
            pause_max: pause(1.0),
            ..self.stats
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serialized_form_has_milliseconds_in_its_names() {
        let pause_p999 = Duration::from_micros(2047);
        let stats = ReshapeStats { pause_p999, ..ReshapeStats::default() };
        let json = serde_json::to_value(stats).unwrap();
        let times = ["pause_ms_p999", "pause_ms_max"].map(|name| json.get(name).unwrap().as_f64());
        assert_eq!(times, [Some(2.047), Some(0.0)]);
    }
}
