//! Heat of a keyspace: of its partitions, and its hot keys.

use super::partition::{PartitionHeat, Touch};
use super::random::{Mixed, Random};
use super::rates::{Amounts, Sum, Windows, seconds_counted};
use super::top_keys::TopKeys;
use super::{HeatOptions, Operation};
use crate::id::{PartitionId, ShardId};
use crate::topology::KeyspaceLayout;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct KeyspaceHeat {
    pub(super) keyspace: Arc<KeyspaceLayout>,
    /// Number and owner of each partition, by index.
    pub(super) partitions: Vec<(PartitionId, ShardId)>,
    /// When it was first seen. Its partitions are as old, because every later one came from them.
    pub(super) born: Duration,
    pub(super) touched: HashMap<PartitionId, Box<PartitionHeat>, Mixed>,
    /// The partitions touched since the last tick.
    pub(super) changed: Vec<PartitionId>,
    /// The partitions reported as hot and not as cooled.
    pub(super) hot: BTreeSet<PartitionId>,
    pub(super) reads: Stream,
    pub(super) writes: Stream,
    /// The load of all partitions, over the short half-life.
    pub(super) load: Sum,
}

/// The keys that are read, or those that are written.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) top: TopKeys,
    /// The keys reported as hot and not as cooled.
    pub(super) hot: BTreeSet<Box<[u8]>>,
}

impl Stream {
    fn new(options: &HeatOptions, born: Duration, seed: u64) -> Self {
        let top = TopKeys::new(born, options.window_or_least(), options.hot_keys_tracked, seed);
        Self { top, hot: BTreeSet::new() }
    }
}

impl KeyspaceHeat {
    pub(super) fn new(
        options: &HeatOptions,
        born: Duration,
        keyspace: &Arc<KeyspaceLayout>,
        random: &mut Random,
    ) -> Self {
        Self {
            keyspace: Arc::clone(keyspace),
            partitions: numbers(keyspace),
            born,
            touched: HashMap::default(),
            changed: Vec::new(),
            hot: BTreeSet::new(),
            reads: Stream::new(options, born, random.next()),
            writes: Stream::new(options, born, random.next()),
            load: Sum::default(),
        }
    }

    /// Records an operation.
    #[expect(clippy::indexing_slicing, reason = "a key belongs to one of the partitions")]
    pub(super) fn touch(
        &mut self,
        options: &HeatOptions,
        touch: &Touch<'_>,
        amounts: &Amounts,
        random: &mut Random,
    ) {
        let (now, seen) = (touch.now, touch.observation);
        match seen.kind {
            Operation::Scan { .. } => self.reads.top.pass(now, seen.weight),
            Operation::Read => self.reads.count(options, now, seen.key, seen.weight),
            Operation::Write => self.writes.count(options, now, seen.key, seen.weight),
        }
        self.load.add(touch.half_lives.short, now, amounts.load());
        let index = touch.partitioning.find(seen.key);
        let (id, _) = self.partitions[index];
        let heat = self.touched.entry(id).or_insert_with(|| PartitionHeat::new(options).into());
        heat.index = index;
        if !std::mem::replace(&mut heat.changed, true) {
            self.changed.push(id);
        }
        heat.touch(touch, amounts, random);
    }

    /// Returns the rates of a partition at `now`.
    pub(super) fn rates(
        &self,
        half_lives: &Windows<f64>,
        now: Duration,
        id: PartitionId,
    ) -> Option<Windows<Amounts>> {
        let heat = self.touched.get(&id)?;
        Some(heat.rates.per_second(half_lives, now, self.age(now)))
    }

    /// Returns a sum of loads as a rate over the short half-life: the load a second, and its
    /// standard error.
    pub(super) fn short_load(&self, half_life: f64, now: Duration, sum: &Sum) -> (f64, f64) {
        let seconds = seconds_counted(half_life, self.age(now));
        let sum = sum.at(half_life, now);
        (sum.amount / seconds, sum.squares.sqrt() / seconds)
    }

    pub(super) fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.born)
    }
}

impl Stream {
    fn count(&mut self, options: &HeatOptions, now: Duration, key: &[u8], weight: f64) {
        if key.len() <= options.key_bytes_max {
            self.top.observe(now, key, weight);
        } else {
            self.top.pass(now, weight);
        }
    }
}

pub(super) fn numbers(keyspace: &KeyspaceLayout) -> Vec<(PartitionId, ShardId)> {
    keyspace.names().map(|(name, owner)| (name.id, owner)).collect()
}
