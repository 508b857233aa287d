//! Writes on the model's stand-ins, by the protocol that the store's writes follow.

use super::super::sync::Ordering;
use super::super::{
    ALL_STRIPES, Current, HeldStripe, PartitionStatus, Routed, Site, StripeSet, stripe_set,
};
use super::engine::{Key, Name, Partition, View, Writes};
use super::store::{Closed, Store};
use crate::placement::KeyRange;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// A write of one key or of several, not yet routed.
pub(super) struct ModelWrite<'a> {
    pub(super) store: &'a Store,
    pub(super) writes: &'a [(Key, Option<u64>)],
    /// Deletes a range, which contains all keys.
    pub(super) range: bool,
    /// Owns its stripes.
    pub(super) own: bool,
}

/// The same, routed.
pub(super) struct RoutedWrites<'a> {
    write: &'a ModelWrite<'a>,
    view: Arc<View>,
    /// In the order of their names: the order in which several latches are taken.
    stripes: BTreeMap<Name, (Arc<Partition>, StripeSet)>,
    parts: BTreeMap<usize, Writes>,
    /// Whether a single write found its partition tracked before it was made.
    looked: Cell<Option<bool>>,
}

impl Site for ModelWrite<'_> {
    type Error = Closed;
    type Gate<'a>
        = shuttle::sync::RwLockReadGuard<'a, ()>
    where
        Self: 'a;
    type Routed<'a>
        = RoutedWrites<'a>
    where
        Self: 'a;

    fn pass_gate(&self) -> Self::Gate<'_> {
        self.store.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn route(&self) -> Result<RoutedWrites<'_>, Closed> {
        let view = self.store.view();
        let (mut stripes, mut parts) = (BTreeMap::new(), BTreeMap::<usize, Writes>::new());
        for (key, value) in self.writes {
            let partition = view.route(*key);
            let set = if self.range { ALL_STRIPES } else { stripe_set(&[*key]) };
            let of = || (Arc::clone(partition), 0);
            stripes.entry(partition.name).or_insert_with(of).1 |= set;
            parts.entry(partition.owner).or_default().push((partition.name, *key, *value));
        }
        Ok(RoutedWrites { write: self, view, stripes, parts, looked: Cell::new(None) })
    }

    fn check_writable(&self) -> Result<(), Closed> {
        Ok(())
    }
}

impl RoutedWrites<'_> {
    fn partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.stripes.values().map(|(partition, _)| partition)
    }

    /// Returns the value of a key.
    pub(super) fn get(&self, key: Key) -> Option<u64> {
        let partition = self.view.route(key);
        self.write.store.shard(partition).get(partition.name, key)
    }

    /// Writes a value other than the one passed when the write entered.
    pub(super) fn put(&self, key: Key, value: u64) {
        let partition = self.view.route(key);
        self.write.store.shard(partition).write(&vec![(partition.name, key, Some(value))]);
        Store::check_sources(partition);
    }

    /// Applies the writes to the engines.
    pub(super) fn apply(&self) {
        for (shard, part) in &self.parts {
            self.write.store.shards[*shard].write(part);
        }
        self.partitions().for_each(|partition| Store::check_sources(partition));
    }

    /// The same, by a processor that looks whether the partition is tracked before its write is
    /// visible to others: no lock but the stripe keeps it from that. The explorer's memory does not
    /// do that by itself, so this writer does.
    pub(super) fn look_and_apply(&self) {
        let tracked = |partition: &Arc<Partition>| partition.state.tracked.load(Ordering::Acquire);
        self.looked.set(Some(self.partitions().any(tracked)));
        self.apply();
    }
}

impl Current for RoutedWrites<'_> {
    type Error = Closed;

    fn is_current(&self) -> Result<bool, Closed> {
        for partition in self.partitions() {
            if !self.write.store.is_current(&self.view, partition)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Routed for RoutedWrites<'_> {
    type Stripes<'a>
        = Vec<HeldStripe<'a>>
    where
        Self: 'a;

    fn take_stripes(&self) -> Vec<HeldStripe<'_>> {
        let own = self.write.own || self.parts.len() > 1 || self.write.range;
        self.stripes
            .values()
            .flat_map(|(partition, set)| partition.state.latch.hold_set(*set, own))
            .collect()
    }

    fn record(&self) -> Option<Duration> {
        for partition in self.partitions() {
            if self.write.range {
                let _delay = partition.state.record_range(|| KeyRange::new([0], None));
                continue;
            }
            for (key, _) in self.write.writes.iter().filter(|(key, _)| partition.has(*key)) {
                let _delay = match self.looked.get() {
                    None => partition.state.record(&[*key]),
                    Some(true) => partition.state.record_in(|dirty| dirty.record(&[*key])),
                    Some(false) => None,
                };
            }
        }
        None
    }
}

/// A partition in a view.
pub(super) struct InView<'a> {
    pub(super) store: &'a Store,
    pub(super) view: Arc<View>,
    pub(super) key: Key,
}

impl InView<'_> {
    pub(super) fn partition(&self) -> &Arc<Partition> {
        self.view.route(self.key)
    }
}

impl Current for InView<'_> {
    type Error = Closed;

    fn is_current(&self) -> Result<bool, Closed> {
        self.store.is_current(&self.view, self.partition())
    }
}

impl Store {
    /// Returns true if a partition is current. Where one is superseded, there must be another view.
    pub(super) fn is_current(
        &self,
        view: &Arc<View>,
        partition: &Partition,
    ) -> Result<bool, Closed> {
        match partition.state.status() {
            PartitionStatus::Current => Ok(true),
            PartitionStatus::Closed => Err(Closed),
            PartitionStatus::Superseded => {
                assert!(!Arc::ptr_eq(view, &self.view()), "superseded, and no other view is there");
                Ok(false)
            }
        }
    }

    /// Checks the rule of `hand_over`: where writes are acknowledged, no source passes for current.
    /// It is checked separately, since reads of single keys do not show it: as long as a source
    /// stays as it was, they are linearizable at the moment of their view.
    pub(super) fn check_sources(partition: &Partition) {
        let current = |source: &Arc<Partition>| source.state.status() == PartitionStatus::Current;
        assert!(!partition.replaces.iter().any(current), "written while a source was current");
    }
}
