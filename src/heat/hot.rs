//! Detection of what is hot, by rules that noise does not satisfy, and with hysteresis.

use super::event::{HeatEvent, KeyEvent, OperationKind, PartitionEvent};
use super::keyspace::{KeyspaceHeat, Stream};
use super::top_keys::KeyCount;
use super::{HeatOptions, Tracker};
use crate::id::{KeyspaceId, PartitionId, ShardId};
use crate::topology::Topology;
use std::collections::BTreeSet;
use std::time::Duration;

/// A key cools below this part of the share that made it hot.
const KEY_COOLS: f64 = 0.5;
/// A partition cools below this part of the share that made it hot.
const PARTITION_COOLS: f64 = 0.7;
/// How many standard errors are allowed for.
const ERRORS: f64 = 3.0;
/// How many samples the smallest share of a hot key must stand for: with fewer, three standard
/// errors do not bound anything.
const SAMPLES_MIN: f64 = 5.0;

impl Tracker {
    /// Returns what became hot and what cooled since the last tick, by keyspace. Should be called
    /// several times a second.
    ///
    /// O(keyspaces × tracked keys + partitions touched since).
    pub fn tick(&mut self, now: Duration) -> Vec<HeatEvent> {
        let now = self.clock(now);
        self.history.advance(now, &mut self.random);
        let Some(topology) = self.topology.clone() else { return Vec::new() };
        let half_life = self.half_lives.short;
        let loads = self.keyspaces.values().map(|keyspace| {
            let (load, _) = keyspace.short_load(half_life, now, &keyspace.load);
            load
        });
        let fair = Fair::new(&topology, loads.sum());
        let mut events = Vec::new();
        for (id, keyspace) in &mut self.keyspaces {
            let KeyspaceHeat { reads, writes, .. } = keyspace;
            reads.detect(&self.options, now, (*id, OperationKind::Read), &mut events);
            writes.detect(&self.options, now, (*id, OperationKind::Write), &mut events);
            keyspace.detect(&self.options, now, &fair, &mut events);
        }
        events
    }
}

/// The load that is fair for a shard.
#[derive(Clone, Copy)]
pub(super) struct Fair<'t> {
    topology: &'t Topology,
    /// For each unit of weight.
    by_weight: f64,
}

impl<'t> Fair<'t> {
    pub(super) fn new(topology: &'t Topology, total: f64) -> Self {
        let weights: f64 = topology.shards().map(|shard| f64::from(shard.weight)).sum();
        Self { topology, by_weight: total / weights.max(1.0) }
    }

    /// Returns a load as a share of what is fair for this shard; 0 if there is no load at all.
    pub(super) fn share(&self, owner: ShardId, load: f64) -> f64 {
        let weight = self.topology.shard(owner).map_or(1, |shard| shard.weight);
        let fair = self.by_weight * f64::from(weight);
        if fair > 0.0 { load / fair } else { 0.0 }
    }
}

impl Stream {
    fn detect(
        &mut self,
        options: &HeatOptions,
        now: Duration,
        (keyspace, kind): (KeyspaceId, OperationKind),
        events: &mut Vec<HeatEvent>,
    ) {
        let seconds = self.top.seconds(now);
        let event = |key: KeyCount| KeyEvent {
            keyspace,
            key: key.key,
            kind,
            share: key.share,
            per_second: key.count / seconds,
        };
        let warm = self.top.above(now, options.hot_key_share * KEY_COOLS, usize::MAX);
        let still: BTreeSet<&[u8]> = warm.iter().map(|key| &*key.key).collect();
        let (hot, cooled): (BTreeSet<_>, BTreeSet<_>) =
            std::mem::take(&mut self.hot).into_iter().partition(|key| still.contains(&**key));
        self.hot = hot;
        events.extend(cooled.iter().map(|key| HeatEvent::KeyCooled(event(self.top.get(now, key)))));
        let (samples, total) = (self.top.samples(now), self.top.total(now));
        for key in warm {
            if is_hot(options.hot_key_share, samples, &key, total)
                && self.hot.insert(key.key.clone())
            {
                events.push(HeatEvent::KeyHot(event(key)));
            }
        }
    }
}

/// Returns true if the share of a key is above the threshold beyond doubt. If it were exactly the
/// threshold, its share of this many samples would have the standard error of a binomial
/// distribution.
fn is_hot(threshold: f64, samples: f64, key: &KeyCount, total: f64) -> bool {
    let error = (threshold * (1.0 - threshold) / samples).sqrt();
    let least = (key.count - key.error) / total - ERRORS * error;
    samples * threshold >= SAMPLES_MIN && least > threshold
}

impl KeyspaceHeat {
    #[expect(clippy::indexing_slicing, reason = "heat knows the index of its partition")]
    fn detect(
        &mut self,
        options: &HeatOptions,
        now: Duration,
        fair: &Fair<'_>,
        events: &mut Vec<HeatEvent>,
    ) {
        let half_life = options.half_life_short.as_secs_f64();
        // Only a touched partition can have become hot, and only a hot one can have cooled.
        let mut candidates: BTreeSet<PartitionId> = self.changed.drain(..).collect();
        candidates.extend(&self.hot);
        for id in candidates {
            let Some(heat) = self.touched.get_mut(&id) else {
                unreachable!("what has changed or is hot has been touched");
            };
            heat.changed = false;
            let (index, sum) = (heat.index, heat.load);
            let (_, owner) = self.partitions[index];
            let (load, error) = self.short_load(half_life, now, &sum);
            let share = |load| fair.share(owner, load);
            let event = PartitionEvent {
                keyspace: self.keyspace.id(),
                partition: id,
                owner,
                load,
                share: share(load),
            };
            let hot = options.hot_partition_share;
            if share(load - ERRORS * error) > hot && self.hot.insert(id) {
                events.push(HeatEvent::PartitionHot(event));
            } else if event.share < PARTITION_COOLS * hot && self.hot.remove(&id) {
                events.push(HeatEvent::PartitionCooled(event));
            }
        }
    }
}
