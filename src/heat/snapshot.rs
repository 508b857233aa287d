//! Snapshots of heat: for a store that is opened again, and for tools that inspect a store which
//! they do not have open.

use super::history::{HeatHistory, Recorder};
use super::partition::{Ends, PartitionHeat, Place};
use super::profile::{Profile, Sample, ScanSample};
use super::rates::{Amounts, Rates, Sum};
use super::report::{HeatReport, PerSecond};
use super::reservoir::Item;
use super::top_keys::TopState;
use super::{HeatOptions, Tracker};
use crate::id::{KeyspaceId, PartitionId};
use crate::placement::PartitionRange;
use crate::topology::Topology;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The maximum number of partitions whose samples are kept.
const PARTITIONS_KEPT: usize = 64;

/// What a tracker knew at a point in time. It can be written in any serde format.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HeatState {
    /// When, since the tracker's beginning.
    pub at: Duration,
    /// Where the load was.
    pub report: HeatReport,
    /// The samples of the partitions with the most load, at most 64, the heaviest first.
    pub samples: Vec<PartitionSamples>,
    /// Where the load was before.
    #[serde(rename = "trail")]
    pub history: HeatHistory,
    keyspaces: Vec<KeyspaceState>,
}

/// The samples of a partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartitionSamples {
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// The partition.
    pub partition: PartitionId,
    /// The tokens or keys that belong to it.
    #[serde(rename = "span")]
    pub range: PartitionRange,
    /// The sampled reads and writes, in order of arrival.
    pub samples: Vec<Sample>,
    /// The sampled scans, in order of arrival.
    pub scans: Vec<ScanSample>,
}

impl PartitionSamples {
    /// Returns how the partition's load is spread. O(n log n).
    #[must_use]
    pub fn profile(&self) -> Profile {
        Profile::new(self.samples.clone(), self.scans.clone())
    }
}

/// What a report does not have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KeyspaceState {
    id: KeyspaceId,
    born: Duration,
    reads: TopState,
    writes: TopState,
}

impl Tracker {
    /// Returns what there is to keep at `now`. O(partitions + what is kept).
    #[must_use]
    pub fn export(&self, now: Duration) -> HeatState {
        let report = self.report(now);
        let now = self.clock(now);
        let keyspaces = self.keyspaces.iter().map(|(id, keyspace)| KeyspaceState {
            id: *id,
            born: keyspace.born,
            reads: keyspace.reads.top.export(now),
            writes: keyspace.writes.top.export(now),
        });
        HeatState {
            at: now,
            samples: self.hottest_samples(now, &report),
            history: self.history.finished(),
            keyspaces: keyspaces.collect(),
            report,
        }
    }

    fn hottest_samples(&self, now: Duration, report: &HeatReport) -> Vec<PartitionSamples> {
        let keyspaces = report.keyspaces.iter();
        let mut hottest: Vec<_> = keyspaces
            .flat_map(|keyspace| keyspace.partitions.iter().map(|p| (keyspace.id, p)))
            .collect();
        hottest.sort_by(|(_, one), (_, other)| {
            other.rates.medium.load.total_cmp(&one.rates.medium.load)
        });
        let at = now.as_secs_f64() / self.half_lives.medium;
        let samples =
            hottest.into_iter().take(PARTITIONS_KEPT).filter_map(|(keyspace, partition)| {
                let heat = self.keyspaces.get(&keyspace)?.touched.get(&partition.id)?;
                let (samples, scans) = heat.export(at, &partition.range);
                let (range, partition) = (partition.range.clone(), partition.id);
                Some(PartitionSamples { keyspace, partition, range, samples, scans })
            });
        samples.collect()
    }

    /// Returns a tracker that continues with what another one knew `age` ago. Its time continues,
    /// too: reports and the history count from the first one's beginning, while `now` counts from
    /// this call. Partitions that were reshaped in the meantime inherit as if the tracker had
    /// followed the changes. What the tracker has reported as hot is reported again.
    #[must_use]
    pub fn import(
        options: HeatOptions,
        seed: u64,
        state: HeatState,
        age: Duration,
        topology: &Arc<Topology>,
    ) -> Self {
        let mut tracker = Self::new(options, seed);
        tracker.origin = state.at.saturating_add(age);
        tracker.latest = tracker.origin;
        tracker.history =
            Recorder::continued(state.history, options.history_interval, &mut tracker.random);
        tracker.follow(Duration::ZERO, topology);
        for kept in &state.keyspaces {
            let Some(keyspace) = tracker.keyspaces.get_mut(&kept.id) else { continue };
            keyspace.born = kept.born.min(state.at);
            keyspace.reads.top.restore(state.at, &kept.reads);
            keyspace.writes.top.restore(state.at, &kept.writes);
        }
        let mut samples: BTreeMap<PartitionId, PartitionSamples> =
            state.samples.into_iter().map(|samples| (samples.partition, samples)).collect();
        for keyspace in &state.report.keyspaces {
            for partition in &keyspace.partitions {
                let samples = samples.remove(&partition.id);
                let rates = partition.rates.map(amounts);
                tracker.restore(state.at, keyspace.id, &partition.range, rates, samples);
            }
        }
        tracker
    }

    /// Redistributes what was known of a partition to its successors.
    fn restore(
        &mut self,
        at: Duration,
        keyspace: KeyspaceId,
        range: &PartitionRange,
        rates: super::Windows<Amounts>,
        samples: Option<PartitionSamples>,
    ) {
        let Some(keyspace) = self.keyspaces.get_mut(&keyspace) else { return };
        let tokens = keyspace.keyspace.range(0).width().is_some();
        if tokens != range.width().is_some() {
            return;
        }
        let mut heat = PartitionHeat::new(&self.options);
        let age = at.saturating_sub(keyspace.born);
        heat.rates = Rates::of(&self.half_lives, at, age, &rates);
        heat.load = Sum::of(self.half_lives.short, at, age, rates.short.load());
        keyspace.load.absorb(self.half_lives.short, &heat.load);
        let time = at.as_secs_f64() / self.half_lives.medium;
        if let Some(kept) = samples {
            let samples = kept.samples.into_iter().filter(|sample| sample.weight > 0.0);
            heat.samples.absorb(samples.map(|Sample { at, weight, write }| {
                Item::restored(Place { at, write }, time, weight, self.random.ln_exponential())
            }));
            let scans = kept.scans.into_iter().filter(|scan| scan.weight > 0.0);
            heat.scans.absorb(scans.map(|ScanSample { from, to, weight }| {
                Item::restored(Ends { from, to }, time, weight, self.random.ln_exponential())
            }));
        }
        keyspace.redistribute(&self.options, &self.half_lives, range, heat);
    }
}

/// Converts a rate to amounts. All of it counts as timed.
fn amounts(rate: PerSecond) -> Amounts {
    let PerSecond { reads, writes, rows, read_bytes, written_bytes, nanos, .. } = rate;
    let timed = if nanos > 0.0 { reads + writes } else { 0.0 };
    Amounts { reads, writes, rows, read_bytes, written_bytes, nanos, timed }
}
