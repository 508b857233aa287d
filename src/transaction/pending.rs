//! What a transaction has written and not committed. Pure.

use super::footprint::Footprint;
use super::intervals::Intervals;
use crate::expiry::PutLifetime;
use crate::id::KeyspaceId;
use crate::placement::KeyRange;
use crate::read::Bounds;
use crate::write::{Batch, Write};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

/// What a row or a range occupies next to its keys and its value, about.
const ENTRY_BYTES: usize = 96;

/// The writes of a transaction: deleted ranges, and, on top of them, keys.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    keyspaces: BTreeMap<KeyspaceId, Writes>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Writes {
    /// The keys that were written, with their values; `None` for those that were deleted. Each
    /// comes after the deletion of any range that it lies in.
    rows: BTreeMap<Vec<u8>, Option<Put>>,
    ranges: Vec<Bounds>,
    /// What these ranges have in them.
    deleted: Intervals,
}

/// A row that was put.
#[derive(Debug)]
struct Put {
    value: Vec<u8>,
    /// How long it lives; `None` where rows do not expire.
    lifetime: Option<PutLifetime>,
}

/// What a transaction has made of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Own<'a> {
    Value(&'a [u8]),
    Deleted,
    /// Nothing: the snapshot decides.
    Unknown,
}

/// A key and its value; `None` if it was deleted.
pub(crate) type OwnRow = (Vec<u8>, Option<Vec<u8>>);

/// What a transaction has made of the keys of a range.
#[derive(Debug, Default)]
pub(crate) struct OwnRows {
    /// In the order of the scan.
    pub(crate) rows: Vec<OwnRow>,
    pub(crate) deleted: Intervals,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.keyspaces.is_empty()
    }

    /// Returns about how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets a key to a value, or deletes it.
    pub(crate) fn write(
        &mut self,
        keyspace: KeyspaceId,
        key: &[u8],
        value: Option<&[u8]>,
        lifetime: Option<PutLifetime>,
    ) {
        let bytes = value.map_or(0, <[u8]>::len);
        let put = value.map(|value| Put { value: value.to_vec(), lifetime });
        match self.keyspaces.entry(keyspace).or_default().rows.entry(key.to_vec()) {
            Entry::Occupied(mut row) => {
                self.bytes -= row.get().as_ref().map_or(0, |put| put.value.len());
                row.insert(put);
            }
            Entry::Vacant(row) => {
                self.bytes += ENTRY_BYTES + key.len();
                row.insert(put);
            }
        }
        self.bytes += bytes;
    }

    /// Deletes the keys of a range, those that the transaction has written before included.
    pub(crate) fn delete_range(&mut self, keyspace: KeyspaceId, bounds: Bounds) {
        let range = &bounds.range;
        if range.is_empty() {
            return;
        }
        let writes = self.keyspaces.entry(keyspace).or_default();
        let covered: Vec<Vec<u8>> =
            writes.rows.range::<[u8], _>(inside(range)).map(|(key, _)| key.clone()).collect();
        for key in covered {
            if let Some(value) = writes.rows.remove(&key) {
                self.bytes -= ENTRY_BYTES + key.len() + value.map_or(0, |put| put.value.len());
            }
        }
        // Twice: in the list and in the set.
        self.bytes += 2 * (ENTRY_BYTES + range.start.len() + end_bytes(range));
        writes.deleted.insert_range(&range.start, range.end.as_deref());
        writes.ranges.push(bounds);
    }

    /// Returns what the transaction has made of a key.
    pub(crate) fn get(&self, keyspace: KeyspaceId, key: &[u8]) -> Own<'_> {
        let Some(writes) = self.keyspaces.get(&keyspace) else { return Own::Unknown };
        match writes.rows.get(key) {
            Some(Some(put)) => Own::Value(&put.value),
            Some(None) => Own::Deleted,
            None if writes.deleted.contains(key) => Own::Deleted,
            None => Own::Unknown,
        }
    }

    /// Returns what the transaction has made of the keys of a range; `None` if nothing.
    pub(crate) fn rows(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        reverse: bool,
    ) -> Option<OwnRows> {
        let writes = self.keyspaces.get(&keyspace).filter(|_| !range.is_empty())?;
        let rows = writes.rows.range::<[u8], _>(inside(range));
        let rows = rows.map(|(key, put)| (key.clone(), put.as_ref().map(|put| put.value.clone())));
        let rows: Vec<_> = if reverse { rows.rev().collect() } else { rows.collect() };
        let deletes = writes.deleted.intersects(&range.start, range.end.as_deref());
        let deleted = if deletes { writes.deleted.clone() } else { Intervals::default() };
        (!rows.is_empty() || deletes).then_some(OwnRows { rows, deleted })
    }

    /// Returns true if something of a keyspace was written.
    pub(crate) fn writes(&self, keyspace: KeyspaceId) -> bool {
        self.keyspaces.contains_key(&keyspace)
    }

    /// Adds what it writes to a footprint.
    pub(crate) fn add_to(&self, footprint: &mut Footprint) {
        for (keyspace, writes) in &self.keyspaces {
            writes.rows.keys().for_each(|key| footprint.add_key(*keyspace, key));
            writes.ranges.iter().for_each(|it| footprint.add_range(*keyspace, &it.range));
        }
    }

    /// Returns it as a batch of a store.
    pub(crate) fn into_batch(self, store: u128) -> Batch {
        let mut batch = Batch::new();
        for (keyspace, writes) in self.keyspaces {
            for Bounds { range: KeyRange { start, end }, prefix } in writes.ranges {
                let longest = start.len().max(end.as_ref().map_or(0, |end| end.len()));
                let (start, end) = (start.into(), end.map(Into::into));
                let write = Write::DeleteRange { start, end, prefix };
                batch.push(store, keyspace, longest, write, None);
            }
            for (key, value) in writes.rows {
                let bytes = key.len();
                let (write, lifetime) = match value {
                    Some(Put { value, lifetime }) => (Write::Put { key, value }, lifetime),
                    None => (Write::Delete { key }, None),
                };
                batch.push(store, keyspace, bytes, write, lifetime);
            }
        }
        batch
    }
}

fn inside(range: &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    (Bound::Included(&*range.start), end)
}

fn end_bytes(range: &KeyRange) -> usize {
    range.end.as_ref().map_or(0, |end| end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: KeyspaceId = KeyspaceId(1);

    fn range(start: &str, end: Option<&str>) -> Bounds {
        Bounds { range: KeyRange::new(start, end), prefix: Vec::new() }
    }

    #[test]
    fn later_writes_win_over_earlier_ones() {
        let mut pending = Pending::default();
        pending.write(ONE, b"a", Some(b"1"), None);
        pending.write(ONE, b"b", Some(b"1"), None);
        pending.write(ONE, b"b", None, None);
        pending.write(ONE, b"x", Some(b"1"), None);
        pending.delete_range(ONE, range("m", None));
        pending.write(ONE, b"y", Some(b"2"), None);
        let get = |key: &[u8]| pending.get(ONE, key);
        assert_eq!(get(b"a"), Own::Value(b"1"));
        assert_eq!(get(b"b"), Own::Deleted);
        assert_eq!(get(b"c"), Own::Unknown);
        assert_eq!(get(b"x"), Own::Deleted);
        assert_eq!(get(b"y"), Own::Value(b"2"));
        assert_eq!(pending.get(KeyspaceId(2), b"a"), Own::Unknown);
        let keys = |reverse| {
            let rows = pending.rows(ONE, &KeyRange::new("b", None::<&str>), reverse);
            rows.into_iter().flat_map(|own| own.rows).map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(keys(false), [b"b", b"y"]);
        assert_eq!(keys(true), [b"y", b"b"]);
        assert!(pending.rows(ONE, &KeyRange::new("c", Some("d")), false).is_none());
        let ops = pending.into_batch(1).ops;
        let kinds: Vec<_> = ops
            .iter()
            .map(|op| match &op.write {
                Write::Put { key, .. } => ("put", key.as_slice()),
                Write::Delete { key } => ("delete", key.as_slice()),
                Write::DeleteRange { start, .. } => ("range", start.as_slice()),
                Write::Add { key, .. } => ("add", key.as_slice()),
            })
            .collect();
        let expected: [(_, &[u8]); 4] =
            [("range", b"m"), ("put", b"a"), ("delete", b"b"), ("put", b"y")];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn what_is_written_over_is_not_counted_any_more() {
        let mut pending = Pending::default();
        pending.write(ONE, b"a", Some(&[0; 1000]), None);
        let with_value = pending.bytes();
        pending.write(ONE, b"a", None, None);
        assert_eq!(pending.bytes(), with_value - 1000);
        pending.write(ONE, b"a", Some(&[0; 1000]), None);
        assert_eq!(pending.bytes(), with_value);
        pending.delete_range(ONE, range("a", Some("b")));
        assert_eq!(pending.bytes(), 2 * (ENTRY_BYTES + 2));
        assert!(!pending.is_empty());
        pending.delete_range(ONE, range("b", Some("a")));
        assert_eq!(pending.bytes(), 2 * (ENTRY_BYTES + 2));
    }
}
