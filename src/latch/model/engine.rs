//! Stand-ins for what surrounds the states of partitions: shards, partitions, views.

use super::super::PartitionState;
use super::super::sync::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) type Key = u8;
pub(super) type Rows = BTreeMap<Key, u64>;
pub(super) type Name = u32;

/// Writes to keys of columns: a value, or `None` to delete.
pub(super) type Writes = Vec<(Name, Key, Option<u64>)>;

#[derive(Clone, Default)]
struct Column {
    rows: Rows,
    dropped: bool,
}

/// An engine. Each call is one step; the explorer may switch before it and after it.
#[derive(Default)]
pub(super) struct Shard(Mutex<BTreeMap<Name, Column>>);

/// All columns of a shard as they were at one moment.
pub(super) struct Cut(BTreeMap<Name, Column>);

impl Shard {
    /// Returns the value of a key. A dropped column reads as empty: RocksDB is kinder to a reader
    /// that still holds one, but a read that is found current must not depend on that.
    pub(super) fn get(&self, name: Name, key: Key) -> Option<u64> {
        let columns = self.0.lock();
        columns.get(&name).filter(|column| !column.dropped)?.rows.get(&key).copied()
    }

    pub(super) fn write(&self, writes: &Writes) {
        let mut columns = self.0.lock();
        for (name, key, value) in writes {
            let rows = &mut columns.entry(*name).or_default().rows;
            match value {
                Some(value) => drop(rows.insert(*key, *value)),
                None => drop(rows.remove(key)),
            }
        }
    }

    pub(super) fn snapshot(&self) -> Cut {
        Cut(self.0.lock().clone())
    }

    /// Drops a column. A cut keeps its rows, even one taken later from a view that is older than
    /// the drop: snapshots rely on that.
    pub(super) fn drop_column(&self, name: Name) {
        if let Some(column) = self.0.lock().get_mut(&name) {
            column.dropped = true;
        }
    }
}

impl Cut {
    pub(super) fn rows(&self, name: Name) -> Rows {
        self.0.get(&name).map(|column| column.rows.clone()).unwrap_or_default()
    }
}

/// A partition of the keys from `start` up to, not including, `end`.
pub(super) struct Partition {
    pub(super) name: Name,
    pub(super) owner: usize,
    pub(super) start: Key,
    pub(super) end: Key,
    pub(super) state: PartitionState,
    /// The partitions that it replaced.
    pub(super) replaces: Vec<Arc<Self>>,
    /// The first position of the log that it may lack.
    missing: AtomicUsize,
}

impl Partition {
    pub(super) fn new(name: Name, owner: usize, start: Key, end: Key) -> Self {
        let (state, replaces) = (PartitionState::default(), Vec::new());
        Self { name, owner, start, end, state, replaces, missing: AtomicUsize::new(usize::MAX) }
    }

    /// Notes that it lacks a record of the log.
    pub(super) fn lacks(&self, position: usize) {
        self.missing.fetch_min(position, Ordering::AcqRel);
    }

    pub(super) fn first_missing(&self) -> usize {
        self.missing.load(Ordering::Acquire)
    }

    pub(super) fn has(&self, key: Key) -> bool {
        (self.start..self.end).contains(&key)
    }
}

/// Partitions in the order of their keys, which is not the order of their names.
#[derive(Clone)]
pub(super) struct View(pub(super) Vec<Arc<Partition>>);

impl View {
    pub(super) fn route(&self, key: Key) -> &Arc<Partition> {
        self.0.iter().find(|partition| partition.has(key)).expect("the partitions cover all keys")
    }
}
