//! A store as the planner sees it, and its state after steps are carried out: loads are divided by
//! the profiles, bytes by tokens or sampled places.

use annulus::heat::{Profile, Sample};
use annulus::placement::{PartitionRange, Token};
use annulus::planner::Step;
use annulus::planner::load::{Demand, PartitionDemand};
use annulus::topology::{Change, PartitionInfo, ShardInfo, SplitPoint, Topology};
use annulus::{PartitionId, ShardId};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const MIB: u64 = 1 << 20;

/// A topology and its demand.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) topology: Topology,
    pub(crate) demand: Demand,
}

/// Without the samples, of which there are too many to read.
impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:?}", self.topology.shards().collect::<Vec<_>>())?;
        for partition in self.partitions() {
            let demand = self.demand.partitions.get(&partition.id).cloned().unwrap_or_default();
            let samples = demand.profile.map_or(0, |profile| profile.len());
            let (id, owner, range) = (partition.id, partition.owner, partition.range);
            let (load, bytes) = (demand.load, demand.bytes / MIB);
            writeln!(f, "{id} on {owner}: {load:.1}/s, {bytes} MiB, {samples} samples, {range}")?;
        }
        write!(f, "{:?} {:?}", self.demand.in_flight, self.demand.rested)
    }
}

impl World {
    pub(crate) fn new(topology: Topology) -> Self {
        Self { topology, demand: Demand::default() }
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = PartitionInfo> {
        self.topology.keyspaces().flat_map(|keyspace| keyspace.partitions())
    }

    pub(crate) fn partition(&self, id: PartitionId) -> PartitionInfo {
        self.partitions().find(|partition| partition.id == id).unwrap()
    }

    pub(crate) fn set(&mut self, id: u64, load: f64, bytes: u64, samples: Vec<Sample>) {
        let profile = (!samples.is_empty()).then(|| Arc::new(Profile::new(samples, Vec::new())));
        let demand = PartitionDemand::new().load(load).load_max(load).bytes(bytes).profile(profile);
        self.demand.partitions.insert(PartitionId(id), demand);
    }

    pub(crate) fn of(&self, id: PartitionId) -> PartitionDemand {
        self.demand.partitions.get(&id).cloned().unwrap_or_default()
    }

    /// Returns what each shard has of something.
    pub(crate) fn by_shard(&self, of: impl Fn(&PartitionDemand) -> f64) -> BTreeMap<ShardId, f64> {
        let mut sums: BTreeMap<ShardId, f64> =
            self.topology.shards().map(|shard| (shard.id, 0.0)).collect();
        for partition in self.partitions() {
            if let Some(demand) = self.demand.partitions.get(&partition.id) {
                *sums.get_mut(&partition.owner).unwrap() += of(demand);
            }
        }
        sums
    }

    /// Returns the fair share of each shard that is not draining, of its zone.
    pub(crate) fn fair(&self, of: impl Fn(&PartitionDemand) -> f64) -> BTreeMap<ShardId, f64> {
        let sums = self.by_shard(of);
        let active = || self.topology.shards().filter(|shard| !shard.draining);
        let share = |shard: &ShardInfo| {
            let zone = || active().filter(|other| other.zone == shard.zone);
            let weights: u32 = zone().map(|other| other.weight).sum();
            let sum: f64 = zone().map(|other| sums[&other.id]).sum();
            (shard.id, sum * f64::from(shard.weight) / f64::from(weights))
        };
        active().map(share).collect()
    }

    /// Returns how many times its fair share the worst shard has.
    pub(crate) fn worst(&self, of: impl Fn(&PartitionDemand) -> f64) -> f64 {
        let sums = self.by_shard(&of);
        let times = self
            .fair(&of)
            .into_iter()
            .map(|(shard, fair)| if fair > 0.0 { sums[&shard] / fair } else { 1.0 });
        times.fold(0.0, f64::max)
    }

    pub(crate) fn worst_load(&self) -> f64 {
        self.worst(|demand| demand.load)
    }

    /// Carries out a step.
    pub(crate) fn carry_out(&mut self, step: &Step) {
        let spec = step.spec().unwrap();
        let sources: Vec<PartitionInfo> =
            spec.sources.iter().map(|id| self.partition(*id)).collect();
        let ranges = self.topology.target_ranges(&spec).unwrap();
        let (targets, numbered) = self.topology.name_targets(&spec).unwrap();
        let change = Change::Reshape { spec: spec.clone(), targets: targets.clone() };
        self.topology = numbered.apply(&change).unwrap();
        self.topology.check().unwrap();
        let demands: Vec<PartitionDemand> = spec
            .sources
            .iter()
            .map(|id| self.demand.partitions.remove(id).unwrap_or_default())
            .collect();
        let divided = match (&sources[..], &demands[..]) {
            ([source], [demand]) => divide(source, demand, &spec.split_points, &ranges),
            _ => vec![
                PartitionDemand::new()
                    .load(demands.iter().map(|demand| demand.load).sum())
                    .load_max(demands.iter().map(|demand| demand.load_max).sum())
                    .bytes(demands.iter().map(|demand| demand.bytes).sum()),
            ],
        };
        let named = targets.iter().zip(divided).map(|(name, demand)| (name.id, demand));
        self.demand.partitions.extend(named);
    }
}

fn divide(
    source: &PartitionInfo,
    demand: &PartitionDemand,
    split_points: &[SplitPoint],
    ranges: &[PartitionRange],
) -> Vec<PartitionDemand> {
    if split_points.is_empty() {
        return vec![demand.clone()];
    }
    let profile = demand.profile.as_deref().unwrap();
    let appended = profile.rising_share() >= 0.8 && profile.rising_load_share() >= 0.4;
    let shares = profile.expected_shares(split_points);
    let parts = ranges.iter().zip(shares).enumerate().map(|(index, (range, share))| {
        let mut part = profile.within(range);
        if appended && index < split_points.len() {
            // What was appended is no longer appended.
            let old = part.samples().map(|sample| Sample { write: false, ..sample.clone() });
            part = Profile::new(old.collect(), Vec::new());
        }
        let of_bytes = match (range.width(), source.range.width()) {
            (Some(width), Some(all)) => width as f64 / all as f64,
            _ => part.place_count() as f64 / profile.place_count() as f64,
        };
        PartitionDemand::new()
            .load(demand.load * share)
            .load_max(demand.load_max * share)
            .bytes((demand.bytes as f64 * of_bytes) as u64)
            .profile((!part.is_empty()).then(|| Arc::new(part)))
    });
    parts.collect()
}

pub(crate) fn at(place: SplitPoint) -> Sample {
    Sample { at: place, weight: 1.0, write: false }
}

/// Returns a place at a share of the way through a range.
pub(crate) fn inside(range: &PartitionRange, share: f64) -> SplitPoint {
    match range {
        PartitionRange::Tokens(range) => {
            let offset = (range.width() as f64 * share) as u128;
            SplitPoint::Token(Token(range.start.0 + offset.min(range.width() - 1) as u64))
        }
        PartitionRange::Keys(range) => {
            let digits = ((1u64 << 40) as f64 * share) as u64;
            SplitPoint::Key([&range.start, &[0][..], &digits.to_be_bytes()].concat().into())
        }
    }
}

/// Returns samples spread evenly over a range, in a random order.
pub(crate) fn even(
    range: &PartitionRange,
    count: usize,
    random: &mut fastrand::Rng,
) -> Vec<Sample> {
    let mut samples: Vec<Sample> =
        (0..count).map(|n| at(inside(range, (n as f64 + 0.5) / count as f64))).collect();
    random.shuffle(&mut samples);
    samples
}
