//! Reports: what a tracker knows, as a plain value.

use super::hot::Fair;
use super::keyspace::{KeyspaceHeat, Stream};
use super::rates::{Amounts, Windows};
use super::{HeatOptions, Tracker};
use crate::id::{Epoch, KeyspaceId, PartitionId, ShardId};
use crate::placement::PartitionRange;
use crate::units;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many hot keys of each kind a report has.
const KEYS_REPORTED: usize = 16;

/// Where the load is, at a point in time. Load is in accesses a second, where a scan counts 1 +
/// rows / 16.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HeatReport {
    /// When, since the tracker's beginning, to the millisecond. Serialized as `at_ms`.
    #[serde(rename = "at_ms", with = "units::ms")]
    pub at: Duration,
    /// The version of the topology that it is about.
    pub epoch: Epoch,
    /// How the load was counted.
    pub options: HeatOptions,
    /// Everything together.
    pub total: Windows<PerSecond>,
    /// The load of the shard that has most for its weight, as a share of what is fair for it: 1 if
    /// the load is even, or if there is no load.
    pub max_over_mean: Windows<f64>,
    /// All shards, by number.
    pub shards: Vec<ShardHeat>,
    /// All keyspaces, by number.
    pub keyspaces: Vec<KeyspaceReport>,
}

/// Rates per second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PerSecond {
    /// The load.
    pub load: f64,
    /// Reads; a scan is one.
    pub reads: f64,
    /// Writes.
    pub writes: f64,
    /// Rows that scans have read.
    pub rows: f64,
    /// Bytes read.
    pub read_bytes: f64,
    /// Bytes written.
    pub written_bytes: f64,
    /// Nanoseconds spent, by estimate from those accesses that were timed.
    pub nanos: f64,
}

/// A shard's load: the sum over its partitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShardHeat {
    /// The shard.
    pub id: ShardId,
    /// Its weight.
    pub weight: u32,
    /// Its rates.
    pub rates: Windows<PerSecond>,
    /// Its load as a share of what is fair: the total by the weights of the shards. 0 if there is
    /// no load at all.
    pub over_fair: Windows<f64>,
}

/// A keyspace's load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyspaceReport {
    /// The keyspace.
    pub id: KeyspaceId,
    /// Its name.
    pub name: String,
    /// `hash` or `range`.
    pub partitioning: String,
    /// How many partitions it has.
    pub partition_count: u64,
    /// Its rates.
    pub rates: Windows<PerSecond>,
    /// Its heaviest keys.
    pub keys: HotKeys,
    /// The partitions that were ever touched, in the order of tokens or keys. The others have no
    /// load.
    pub partitions: Vec<PartitionReport>,
}

/// A partition's load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartitionReport {
    /// The partition.
    pub id: PartitionId,
    /// The tokens or keys that belong to it.
    #[serde(rename = "span")]
    pub range: PartitionRange,
    /// The shard that holds it.
    pub owner: ShardId,
    /// Whether it was reported as [hot](super::HeatEvent::PartitionHot), and not as cooled.
    pub hot: bool,
    /// Its rates.
    pub rates: Windows<PerSecond>,
}

/// The heaviest keys of a keyspace over the last window, the heaviest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HotKeys {
    /// Those that are read; scans count for the shares only.
    pub reads: Vec<HotKey>,
    /// Those that are written.
    pub writes: Vec<HotKey>,
}

/// A key and its load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HotKey {
    /// How often per second, by estimate: among the sampled accesses, never too low.
    pub key: Box<[u8]>,
    /// How often a second, by estimate: among the sampled accesses, never too low.
    pub per_second: f64,
    /// By how much `per_second` may be too high.
    pub error_per_second: f64,
    /// Its share of the keyspace's reads, or writes.
    pub share: f64,
    /// Whether it was reported as [hot](super::HeatEvent::KeyHot), and not as cooled.
    pub hot: bool,
}

impl From<Amounts> for PerSecond {
    fn from(amounts: Amounts) -> Self {
        Self {
            load: amounts.load(),
            reads: amounts.reads,
            writes: amounts.writes,
            rows: amounts.rows,
            read_bytes: amounts.read_bytes,
            written_bytes: amounts.written_bytes,
            nanos: amounts.nanos_of_all(),
        }
    }
}

impl PerSecond {
    fn add(self, other: Self) -> Self {
        Self {
            load: self.load + other.load,
            reads: self.reads + other.reads,
            writes: self.writes + other.writes,
            rows: self.rows + other.rows,
            read_bytes: self.read_bytes + other.read_bytes,
            written_bytes: self.written_bytes + other.written_bytes,
            nanos: self.nanos + other.nanos,
        }
    }
}

fn sum<'r>(rates: impl Iterator<Item = &'r Windows<PerSecond>>) -> Windows<PerSecond> {
    rates.fold(Windows::default(), |sum, more| sum.zip(*more, PerSecond::add))
}

impl Tracker {
    /// Returns everything at `now`. O(partitions + tracked keys).
    #[must_use]
    pub fn report(&self, now: Duration) -> HeatReport {
        let now = self.clock(now);
        let Some(topology) = &self.topology else { return HeatReport::default() };
        let keyspaces: Vec<_> =
            self.keyspaces.values().map(|keyspace| self.keyspace_report(now, keyspace)).collect();
        let total = sum(keyspaces.iter().map(|keyspace| &keyspace.rates));
        let mut by_shard: BTreeMap<ShardId, Windows<PerSecond>> = BTreeMap::new();
        for partition in keyspaces.iter().flat_map(|keyspace| &keyspace.partitions) {
            let rates = by_shard.entry(partition.owner).or_default();
            *rates = rates.zip(partition.rates, PerSecond::add);
        }
        let fair = total.map(|total| Fair::new(topology, total.load));
        let shards: Vec<_> = topology
            .shards()
            .map(|shard| {
                let rates = by_shard.get(&shard.id).copied().unwrap_or_default();
                let over_fair = rates.zip(fair, |rates, fair| fair.share(shard.id, rates.load));
                ShardHeat { id: shard.id, weight: shard.weight, rates, over_fair }
            })
            .collect();
        let most = shards
            .iter()
            .fold(Windows::<f64>::default(), |most, shard| most.zip(shard.over_fair, f64::max));
        HeatReport {
            at: Duration::from_millis(units::whole_ms(now)),
            epoch: topology.epoch(),
            options: self.options,
            total,
            max_over_mean: most.map(|most| if most > 0.0 { most } else { 1.0 }),
            shards,
            keyspaces,
        }
    }

    fn keyspace_report(&self, now: Duration, keyspace: &KeyspaceHeat) -> KeyspaceReport {
        let partitions: Vec<_> = keyspace
            .partitions
            .iter()
            .enumerate()
            .filter_map(|(index, (id, owner))| {
                let rates = keyspace.rates(&self.half_lives, now, *id)?.map(PerSecond::from);
                let range = keyspace.keyspace.range(index);
                let hot = keyspace.hot.contains(id);
                Some(PartitionReport { id: *id, range, owner: *owner, hot, rates })
            })
            .collect();
        KeyspaceReport {
            id: keyspace.keyspace.id(),
            name: keyspace.keyspace.name().to_owned(),
            partitioning: keyspace.keyspace.partitioning().as_str().to_owned(),
            partition_count: keyspace.partitions.len() as u64,
            rates: sum(partitions.iter().map(|partition| &partition.rates)),
            keys: keyspace.hot_keys(now, KEYS_REPORTED),
            partitions,
        }
    }

    /// Returns the heaviest keys of a keyspace, at most `limit` of each kind; none for a keyspace
    /// that does not exist. O(k log k) for k tracked keys.
    #[must_use]
    pub fn hot_keys(&self, now: Duration, keyspace: KeyspaceId, limit: usize) -> HotKeys {
        let now = self.clock(now);
        let keyspace = self.keyspaces.get(&keyspace);
        keyspace.map_or_else(HotKeys::default, |keyspace| keyspace.hot_keys(now, limit))
    }
}

impl KeyspaceHeat {
    fn hot_keys(&self, now: Duration, limit: usize) -> HotKeys {
        HotKeys { reads: self.reads.keys(now, limit), writes: self.writes.keys(now, limit) }
    }
}

impl Stream {
    fn keys(&self, now: Duration, limit: usize) -> Vec<HotKey> {
        let seconds = self.top.seconds(now);
        let keys = self.top.list(now, limit).into_iter();
        keys.map(|key| HotKey {
            per_second: key.count / seconds,
            error_per_second: key.error / seconds,
            share: key.share,
            hot: self.hot.contains(&key.key),
            key: key.key,
        })
        .collect()
    }
}
