//! The values that the keys of a batch have before it, for keyspaces that log them.

use super::batch::Op;
use super::routed::{ConcreteBatch, Previous, RoutedBatch};
use crate::catalog::{Catalog, OpenPartition};
use crate::engine::{Engine as _, Read};
use crate::error::Result;
use crate::id::KeyspaceId;
use crate::log::Operation;
use std::collections::BTreeMap;

/// What a batch has done to keys so far.
#[derive(Default)]
struct Before<'a> {
    values: BTreeMap<(KeyspaceId, &'a [u8]), Option<&'a [u8]>>,
    ranges: Vec<Range<'a>>,
}

/// A range of keys that was deleted.
struct Range<'a> {
    keyspace: KeyspaceId,
    start: &'a [u8],
    end: &'a [u8],
}

impl Range<'_> {
    fn has(&self, keyspace: KeyspaceId, key: &[u8]) -> bool {
        keyspace == self.keyspace && self.start <= key && key < self.end
    }
}

/// Reads the values before, of keyspaces that log them. The caller owns the stripes of all keys.
pub(super) fn previous(
    batch: &RoutedBatch<'_>,
    concrete: &ConcreteBatch<'_>,
    catalog: &Catalog,
) -> Result<Previous> {
    let keyspaces = catalog.keyspaces();
    let logs = |op: &Op| keyspaces.get(&op.keyspace).is_some_and(|it| it.logs_old_values());
    let mut previous = Previous::new();
    let mut before = Before::default();
    for (index, op) in batch.ops().iter().enumerate().filter(|(_, op)| logs(op)) {
        let (key, value) = match concrete.operation(index, op) {
            Some(Operation::Put { key, value, .. }) => (key, Some(value)),
            Some(Operation::Delete { key, .. }) => (key, None),
            Some(Operation::DeleteRange { start, end, .. }) => {
                before.delete(op.keyspace, start, end);
                continue;
            }
            Some(Operation::Previous { .. }) | None => continue,
        };
        let old = match before.get(op.keyspace, key) {
            Some(old) => old.map(<[u8]>::to_vec),
            None => batch.partition_of(index).map_or(Ok(None), |partition| read(partition, key))?,
        };
        previous.insert(index, old);
        before.values.insert((op.keyspace, key), value);
    }
    Ok(previous)
}

fn read(partition: &OpenPartition, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let value = partition.shard.get(&partition.handle, key, Read::PRESENT)?;
    Ok(value.map(|value| value.to_vec()))
}

impl<'a> Before<'a> {
    /// Returns what the batch itself has made of a key; `None` if it has not touched it.
    fn get(&self, keyspace: KeyspaceId, key: &'a [u8]) -> Option<Option<&'a [u8]>> {
        let put = self.values.get(&(keyspace, key)).copied();
        put.or_else(|| self.ranges.iter().any(|range| range.has(keyspace, key)).then_some(None))
    }

    fn delete(&mut self, keyspace: KeyspaceId, start: &'a [u8], end: &'a [u8]) {
        let range = Range { keyspace, start, end };
        for ((of, key), value) in &mut self.values {
            if range.has(*of, key) {
                *value = None;
            }
        }
        self.ranges.push(range);
    }
}
