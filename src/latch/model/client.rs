//! What applications do: the paths of src/store/ and src/write/, around the real states of partitions.

use super::super::sync::{RwLockReadGuard, RwLockWriteGuard};
use super::super::{ALL_STRIPES, Ordering, PartitionStatus, StripeSet, stripe_set};
use super::engine::{Cut, Key, Name, Partition, Rows, View, Writes};
use super::history::Act;
use super::{Broken, Closed, KEYS, Store};
use crate::placement::KeyRange;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A call of a client.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    Put(Key),
    Delete(Key),
    Add(Key),
    Batch(Key, Key),
    /// Deletes everything.
    Clear,
    Get(Key),
    Snapshot,
}

/// A stripe that a batch holds, either way.
enum Held<'a> {
    Shared { _guard: RwLockReadGuard<'a, ()> },
    Owned { _guard: RwLockWriteGuard<'a, ()> },
}

impl Store {
    /// Makes a call, and notes what came of it.
    pub(super) fn call(&self, call: Call) -> Result<(), Closed> {
        let begun = self.history.now();
        let act = match call {
            Call::Put(key) => self.write(key, Some(self.value()))?,
            Call::Delete(key) => self.write(key, None)?,
            Call::Add(key) => self.add(key)?,
            Call::Batch(one, other) => {
                let value = Some(self.value());
                self.batch(vec![(one, value), (other, value)], false)?
            }
            Call::Clear => self.batch(KEYS.iter().map(|key| (*key, None)).collect(), true)?,
            Call::Get(key) => Act::Get(key, self.get(key)?),
            Call::Snapshot => Act::Snapshot(self.snapshot()),
        };
        self.history.add(begun, act);
        Ok(())
    }

    /// Whether a partition is current. Who finds one superseded begins again, from another view.
    fn is_current(&self, view: &Arc<View>, partition: &Partition) -> Result<bool, Closed> {
        match partition.state.status() {
            PartitionStatus::Current => Ok(true),
            PartitionStatus::Closed => Err(Closed),
            PartitionStatus::Superseded => {
                assert!(!Arc::ptr_eq(view, &self.view()), "superseded, and no other view is there");
                Ok(false)
            }
        }
    }

    fn get(&self, key: Key) -> Result<Option<u64>, Closed> {
        loop {
            let view = self.view();
            let partition = view.route(key);
            let early = self.broken == Broken::CheckBeforeRead;
            if early && !self.is_current(&view, partition)? {
                continue;
            }
            let value = self.shard(partition).get(partition.name, key);
            if early || self.is_current(&view, partition)? {
                return Ok(value);
            }
        }
    }

    fn write(&self, key: Key, value: Option<u64>) -> Result<Act, Closed> {
        loop {
            let gate = self.gate.read();
            let view = self.view();
            let partition = view.route(key);
            let early = self.broken == Broken::CheckBeforeStripe;
            if early && !self.is_current(&view, partition)? {
                continue;
            }
            let stripe = partition.state.latch.share(&[key]);
            if !early && !self.is_current(&view, partition)? {
                continue;
            }
            match self.broken {
                Broken::RecordBeforeWrite => {
                    let _delay = partition.state.record(&[key]);
                    self.apply(partition, key, value);
                    drop((stripe, gate));
                }
                Broken::RecordAfterStripe => {
                    self.apply(partition, key, value);
                    drop((stripe, gate));
                    let _delay = partition.state.record(&[key]);
                }
                _ => {
                    // A processor may look before its write is seen by others, which no lock
                    // keeps it from but the stripe. The explorer's memory does not do that by
                    // itself, so this writer does.
                    let tracked = partition.state.tracked.load(Ordering::Acquire);
                    self.apply(partition, key, value);
                    if tracked {
                        let _delay = partition.state.record_in(|dirty| dirty.record(&[key]));
                    }
                    drop((stripe, gate));
                }
            }
            return Ok(Act::Write(vec![(key, value)]));
        }
    }

    /// Adds one, like a compare-and-swap that finds what it expects.
    fn add(&self, key: Key) -> Result<Act, Closed> {
        loop {
            let gate = self.gate.read();
            let view = self.view();
            let partition = view.route(key);
            let latch = &partition.state.latch;
            let held = if self.broken == Broken::AddShares {
                Held::Shared { _guard: latch.share(&[key]) }
            } else {
                Held::Owned { _guard: latch.own(&[key]) }
            };
            if !self.is_current(&view, partition)? {
                continue;
            }
            let found = self.shard(partition).get(partition.name, key);
            self.apply(partition, key, Some(found.unwrap_or_default() + 1));
            let _delay = partition.state.record(&[key]);
            drop((held, gate));
            return Ok(Act::Add(key, found));
        }
    }

    fn apply(&self, partition: &Partition, key: Key, value: Option<u64>) {
        self.shard(partition).write(&vec![(partition.name, key, value)]);
        Self::check_sources(partition);
    }

    /// The rule of `hand_over`: where writes are acknowledged, no source passes for current. It is
    /// asked for by itself, since reads of single keys do not show it: as long as a source stays as
    /// it was, they are linearizable at the moment of their view.
    fn check_sources(partition: &Partition) {
        let current = |source: &Arc<Partition>| source.state.status() == PartitionStatus::Current;
        assert!(!partition.replaces.iter().any(current), "written while a source was current");
    }

    /// Several writes, or the deletion of a range that has all keys.
    fn batch(&self, writes: Vec<(Key, Option<u64>)>, range: bool) -> Result<Act, Closed> {
        loop {
            let gate = self.gate.read();
            let view = self.view();
            // In the order of their names: the order in which several latches are taken.
            let mut stripes: BTreeMap<Name, (&Arc<Partition>, StripeSet)> = BTreeMap::new();
            let mut parts: BTreeMap<usize, Writes> = BTreeMap::new();
            for (key, value) in &writes {
                let partition = view.route(*key);
                let set = if range { ALL_STRIPES } else { stripe_set(&[*key]) };
                stripes.entry(partition.name).or_insert((partition, 0)).1 |= set;
                parts.entry(partition.owner).or_default().push((partition.name, *key, *value));
            }
            let held: Vec<Held<'_>> = stripes
                .values()
                .flat_map(|(partition, set)| take(partition, *set, parts.len() > 1 || range))
                .collect();
            let current = stripes
                .values()
                .map(|(partition, _)| self.is_current(&view, partition))
                .collect::<Result<Vec<_>, Closed>>()?;
            if current.contains(&false) {
                continue;
            }
            for (shard, part) in &parts {
                self.shards[*shard].write(part);
            }
            for (partition, _) in stripes.values() {
                Self::check_sources(partition);
                let keys = writes.iter().map(|(key, _)| *key).filter(|key| partition.has(*key));
                if range {
                    let span = || KeyRange::new([0], None);
                    let _delay = partition.state.record_range(span);
                } else {
                    keys.for_each(|key| _ = partition.state.record(&[key]));
                }
            }
            drop((held, gate));
            return Ok(Act::Write(writes));
        }
    }

    pub(super) fn snapshot(&self) -> Rows {
        let gate = (self.broken != Broken::SnapshotWithoutGate).then(|| self.gate.write());
        let early = (self.broken == Broken::CutsBeforeViews).then(|| self.cuts());
        let view = self.view();
        let cuts = early.unwrap_or_else(|| self.cuts());
        drop(gate);
        rows_of(&view, &cuts)
    }
}

/// What a view holds in cuts of its shards.
pub(super) fn rows_of(view: &View, cuts: &[Cut]) -> Rows {
    let rows = view.0.iter().flat_map(|partition| {
        let rows = cuts[partition.owner].rows(partition.name).into_iter();
        rows.filter(|(key, _)| partition.has(*key))
    });
    rows.collect()
}

fn take(partition: &Partition, set: StripeSet, own: bool) -> Vec<Held<'_>> {
    let latch = &partition.state.latch;
    if own {
        latch.own_set(set).map(|guard| Held::Owned { _guard: guard }).collect()
    } else {
        latch.share_set(set).map(|guard| Held::Shared { _guard: guard }).collect()
    }
}
