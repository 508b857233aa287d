//! What the replay of the log adds to a column family of a database that is open read-only: rows in
//! memory, in front of those in the family's files. RocksDB takes no writes then.
//!
//! An overlay has two lives. While the log is replayed, it takes changes. The first read freezes
//! it; from then on it is a sorted array that readers share without locks, and another change is an
//! error. A snapshot reads the same overlay, since nothing changes after the replay.

use crate::error::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::mem::size_of;
use std::ops::{Bound, Range};
use std::sync::{Arc, OnceLock};

type Key = Box<[u8]>;
/// `None`: deleted.
type Content = Option<Arc<[u8]>>;

/// The overlay of one column family.
pub(super) struct Overlay {
    /// Empty once it is frozen.
    replayed: Mutex<Replayed>,
    rows: OnceLock<Arc<OverlayRows>>,
}

/// What the overlay of a family occupies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OverlayUsage {
    pub(super) values: u64,
    pub(super) deletions: u64,
    pub(super) bytes: u64,
}

/// What the log says about a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Overlaid<'a> {
    Value(&'a Arc<[u8]>),
    Deleted,
    /// Nothing: the files decide.
    Unknown,
}

impl Overlay {
    pub(super) fn new() -> Self {
        Self { replayed: Mutex::default(), rows: OnceLock::new() }
    }

    pub(super) fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.change(|replayed| replayed.set(key, Some(Arc::from(value))))
    }

    pub(super) fn delete(&self, key: &[u8]) -> Result<()> {
        self.change(|replayed| replayed.set(key, None))
    }

    /// Deletes the keys from `start` up to, not including, `end`.
    pub(super) fn delete_range(&self, start: &[u8], end: &[u8]) -> Result<()> {
        self.change(|replayed| replayed.delete_range(start, end))
    }

    fn change(&self, change: impl FnOnce(&mut Replayed)) -> Result<()> {
        let mut replayed = self.replayed.lock();
        if replayed.is_frozen {
            return Err(Error::new(
                ErrorKind::Internal,
                "a partition that is open read-only was changed after it was read",
            ));
        }
        change(&mut replayed);
        Ok(())
    }

    /// Returns the rows, which no longer change.
    #[inline]
    pub(super) fn rows(&self) -> &Arc<OverlayRows> {
        self.rows.get_or_init(|| {
            let frozen = Replayed { is_frozen: true, ..Replayed::default() };
            Arc::new(OverlayRows::of(std::mem::replace(&mut *self.replayed.lock(), frozen)))
        })
    }

    /// Estimates what it occupies; does not freeze it.
    pub(super) fn usage(&self) -> OverlayUsage {
        if let Some(rows) = self.rows.get() {
            return rows.usage;
        }
        let replayed = self.replayed.lock();
        measure(&replayed.rows, &replayed.deleted)
    }
}

/// An overlay that still takes changes.
#[derive(Default)]
struct Replayed {
    rows: BTreeMap<Key, Content>,
    /// Where the rows in files are deleted: the end of each range by its start. The ranges are
    /// disjoint, and do not touch. A later write into one is in `rows`, which come first.
    deleted: BTreeMap<Key, Key>,
    is_frozen: bool,
}

impl Replayed {
    fn set(&mut self, key: &[u8], content: Content) {
        match self.rows.get_mut(key) {
            Some(present) => *present = content,
            None => {
                self.rows.insert(Key::from(key), content);
            }
        }
    }

    fn delete_range(&mut self, start: &[u8], end: &[u8]) {
        if start >= end {
            return;
        }
        let inside = (Bound::Included(start), Bound::Excluded(end));
        self.rows.range_mut::<[u8], _>(inside).for_each(|(_, row)| *row = None);
        let (mut first, mut last) = (Key::from(start), Key::from(end));
        // From the last range that begins at or before the end of the new one, as far back as they
        // overlap it or touch it.
        loop {
            let before = (Bound::Unbounded, Bound::Included(&*last));
            let Some((from, to)) = self.deleted.range::<[u8], _>(before).next_back() else { break };
            if *to < first {
                break;
            }
            let (from, to) = (from.clone(), to.clone());
            self.deleted.remove(&from);
            (first, last) = (first.min(from), last.max(to));
        }
        self.deleted.insert(first, last);
    }
}

fn measure<'a>(
    rows: impl IntoIterator<Item = (&'a Key, &'a Content)>,
    deleted: impl IntoIterator<Item = (&'a Key, &'a Key)>,
) -> OverlayUsage {
    let mut usage = OverlayUsage::default();
    let mut bytes = 0;
    for (key, content) in rows {
        bytes += size_of::<(Key, Content)>() + key.len();
        match content {
            Some(value) => {
                usage.values += 1;
                bytes += value.len();
            }
            None => usage.deletions += 1,
        }
    }
    for (start, end) in deleted {
        bytes += size_of::<(Key, Key)>() + start.len() + end.len();
    }
    OverlayUsage { bytes: bytes as u64, ..usage }
}

/// An overlay that is frozen.
pub(super) struct OverlayRows {
    /// By key.
    rows: Vec<(Key, Content)>,
    /// Disjoint, ascending.
    deleted: Vec<(Key, Key)>,
    usage: OverlayUsage,
}

impl OverlayRows {
    fn of(replayed: Replayed) -> Self {
        let usage = measure(&replayed.rows, &replayed.deleted);
        let rows = replayed.rows.into_iter().collect();
        Self { rows, deleted: replayed.deleted.into_iter().collect(), usage }
    }

    /// Returns what the log says about a key.
    pub(super) fn find(&self, key: &[u8]) -> Overlaid<'_> {
        let found = self.rows.binary_search_by(|(row, _)| (**row).cmp(key));
        match found.ok().and_then(|index| self.rows.get(index)) {
            Some((_, Some(value))) => Overlaid::Value(value),
            Some((_, None)) => Overlaid::Deleted,
            None if self.deleted_around(key).is_some() => Overlaid::Deleted,
            None => Overlaid::Unknown,
        }
    }

    /// Returns the range of deleted keys that a key lies in: its start, and the end, which is
    /// outside. The rows of the overlay itself are not meant.
    pub(super) fn deleted_around(&self, key: &[u8]) -> Option<(&[u8], &[u8])> {
        let after = self.deleted.partition_point(|(start, _)| **start <= *key);
        let (start, end) = self.deleted.get(after.checked_sub(1)?)?;
        (*key < **end).then_some((start, end))
    }

    /// Returns the row at an index, in the order of the keys; its value is `None` if it is deleted.
    #[inline]
    pub(super) fn row(&self, index: usize) -> Option<(&[u8], Option<&[u8]>)> {
        self.rows.get(index).map(|(key, content)| (&**key, content.as_deref()))
    }

    /// Returns the indexes of the keys from `start` up to, not including, `end`; without an `end`,
    /// up to the last.
    pub(super) fn indexes(&self, start: &[u8], end: Option<&[u8]>) -> Range<usize> {
        let below = |bound: &[u8]| self.rows.partition_point(|(key, _)| **key < *bound);
        let start = below(start);
        start..end.map_or(self.rows.len(), below).max(start)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    type Bytes = Vec<u8>;

    #[derive(Clone, Debug)]
    pub(in super::super) enum Change {
        Put(Bytes, Bytes),
        Delete(Bytes),
        DeleteRange(Bytes, Bytes),
    }

    impl Change {
        pub(in super::super) fn apply(&self, overlay: &Overlay) {
            match self {
                Self::Put(key, value) => overlay.put(key, value),
                Self::Delete(key) => overlay.delete(key),
                Self::DeleteRange(start, end) => overlay.delete_range(start, end),
            }
            .unwrap();
        }

        pub(in super::super) fn apply_to_model(&self, model: &mut BTreeMap<Bytes, Bytes>) {
            match self {
                Self::Put(key, value) => drop(model.insert(key.clone(), value.clone())),
                Self::Delete(key) => drop(model.remove(key)),
                Self::DeleteRange(start, end) => model.retain(|key, _| key < start || key >= end),
            }
        }
    }

    /// Few enough that changes meet.
    pub(in super::super) fn any_key() -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(prop_oneof![Just(0), Just(b'a'), Just(b'b'), Just(255)], 0..4)
    }

    pub(in super::super) fn any_changes() -> impl Strategy<Value = Vec<Change>> {
        let value = proptest::collection::vec(any::<u8>(), 0..3);
        let change = prop_oneof![
            4 => (any_key(), value).prop_map(|(key, value)| Change::Put(key, value)),
            2 => any_key().prop_map(Change::Delete),
            2 => (any_key(), any_key()).prop_map(|(start, end)| Change::DeleteRange(start, end)),
        ];
        proptest::collection::vec(change, 0..40)
    }

    proptest! {
        /// Each key: what the changes say, or nothing where none of them says something.
        #[test]
        fn a_read_finds_what_the_changes_left(changes in any_changes(), asked in any_key()) {
            let overlay = Overlay::new();
            let (mut model, mut touched) = (BTreeMap::new(), BTreeSet::new());
            for change in &changes {
                change.apply(&overlay);
                change.apply_to_model(&mut model);
                match change {
                    Change::Put(key, _) | Change::Delete(key) => { touched.insert(key.clone()); }
                    Change::DeleteRange(start, end) if (start..end).contains(&&asked) => {
                        touched.insert(asked.clone());
                    }
                    Change::DeleteRange(..) => {}
                }
            }
            let before = overlay.usage();
            let rows = overlay.rows();
            match (rows.find(&asked), model.get(&asked)) {
                (Overlaid::Value(found), Some(value)) => prop_assert_eq!(&**found, &**value),
                (Overlaid::Deleted, None) => prop_assert!(touched.contains(&asked)),
                (Overlaid::Unknown, None) => prop_assert!(!touched.contains(&asked)),
                (found, value) => prop_assert!(false, "{:?} instead of {:?}", found, value),
            }
            prop_assert!(rows.deleted.iter().all(|(start, end)| start < end));
            prop_assert!(rows.deleted.is_sorted_by(|(_, end), (start, _)| end < start));
            prop_assert_eq!(rows.usage.values, model.len() as u64);
            prop_assert_eq!(before, overlay.usage());
        }
    }

    #[test]
    fn what_is_frozen_no_longer_changes() {
        let overlay = Overlay::new();
        overlay.put(b"a", b"1").unwrap();
        assert_eq!(overlay.usage().values, 1);
        assert_eq!(overlay.rows().find(b"a"), Overlaid::Value(&Arc::from(&b"1"[..])));
        for refused in
            [overlay.put(b"a", b"2"), overlay.delete(b"a"), overlay.delete_range(b"a", b"b")]
        {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Internal);
        }
        assert_eq!(overlay.rows().find(b"a"), Overlaid::Value(&Arc::from(&b"1"[..])));
    }
}
