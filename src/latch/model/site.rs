//! Writes on the model's stand-ins, by the protocol that the store's writes follow.

use super::super::{
    ALL_STRIPES, Current, HeldStripe, PartitionStatus, Routed, Site, StripeSet, stripe_set,
};
use super::engine::{Key, Name, Partition, View, Writes};
use super::store::{Broken, Closed, Store};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// A write of one key or of several, not yet routed.
pub(super) struct ModelWrite<'a> {
    pub(super) store: &'a Store,
    pub(super) writes: &'a [(Key, Option<u64>)],
    /// Deletes a range, which contains all keys.
    pub(super) range: bool,
}

/// The same, routed.
pub(super) struct RoutedWrites<'a> {
    pub(super) write: &'a ModelWrite<'a>,
    view: Arc<View>,
    /// In the order of their names: the order in which several latches are taken.
    stripes: BTreeMap<Name, (Arc<Partition>, StripeSet)>,
    parts: BTreeMap<usize, Writes>,
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

    fn pass_gate(&self) -> Result<Self::Gate<'_>, Closed> {
        Ok(self.store.gate.read().unwrap_or_else(PoisonError::into_inner))
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
        Ok(RoutedWrites { write: self, view, stripes, parts })
    }

    fn check_writable(&self) -> Result<(), Closed> {
        Ok(())
    }
}

impl RoutedWrites<'_> {
    fn partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.stripes.values().map(|(partition, _)| partition)
    }

    pub(super) fn partition(&self, key: Key) -> &Arc<Partition> {
        self.view.route(key)
    }

    /// Returns the value of a key.
    pub(super) fn get(&self, key: Key) -> Option<u64> {
        let partition = self.view.route(key);
        self.write.store.shard(partition).get(partition.name, key)
    }

    /// Appends a value other than the one passed when the write entered, and applies it.
    pub(super) fn put(&self, key: Key, value: u64) {
        let partition = self.view.route(key);
        let store = self.write.store;
        let _in_flight = store.log.append(&[(key, Some(value))]);
        store.shard(partition).write(&vec![(partition.name, key, Some(value))]);
        Store::check_sources(partition);
    }

    /// Appends the writes to the log as one record, and applies them to the engines.
    pub(super) fn log_and_apply(&self) {
        let in_flight = self.write.store.log.append(self.write.writes);
        if self.write.store.broken == Broken::LandBeforeApply {
            drop(in_flight);
            return self.apply();
        }
        self.apply();
        drop(in_flight);
    }

    /// Applies the writes to the engines.
    pub(super) fn apply(&self) {
        for (shard, part) in &self.parts {
            self.write.store.shards[*shard].write(part);
        }
        self.partitions().for_each(|partition| Store::check_sources(partition));
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

    /// The model's shards have room for everything.
    fn has_room(&self) -> bool {
        true
    }

    fn wait_for_room(&self) -> Result<(), Closed> {
        Ok(())
    }

    fn take_stripes(&self) -> Result<Option<Vec<HeldStripe<'_>>>, Closed> {
        let mut held = Vec::new();
        for (partition, set) in self.stripes.values() {
            let latch = &partition.state.latch;
            if self.write.store.broken == Broken::LookBetweenStripes {
                let keys = self.write.writes.iter().filter(|(key, _)| partition.has(*key));
                held.extend(keys.filter_map(|(key, _)| latch.own(&[*key], None)));
            } else {
                held.extend(latch.own_set(*set, None).into_iter().flatten());
            }
        }
        Ok(Some(held))
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
    /// Where one is behind, the caller is refused, and tries again.
    pub(super) fn is_current(
        &self,
        view: &Arc<View>,
        partition: &Partition,
    ) -> Result<bool, Closed> {
        match partition.state.status() {
            PartitionStatus::Current if partition.state.is_behind() => {
                shuttle::thread::yield_now();
                Ok(false)
            }
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
        let current = |source: &Arc<Partition>| source.state.is_usable();
        assert!(!partition.replaces.iter().any(current), "written while a source was current");
    }
}
