//! A cursor over one column family.

use super::error::context;
use super::handles::{ColumnFamily, Iter, Snapshot};
use super::overlay_cursor::{FileRows, OverlayCursor};
use crate::engine::{Cursor, Direction, Read};
use crate::error::Result;
use crate::placement::KeyRange;
use rocksdb::ReadOptions;
use std::sync::Arc;

pub(crate) struct RocksDbCursor {
    iter: Iter,
    direction: Direction,
    /// If the family has an overlay: the place in both.
    overlay: Option<Box<OverlayCursor>>,
}

impl RocksDbCursor {
    pub(super) fn open(
        partition: &Arc<ColumnFamily>,
        range: &KeyRange,
        direction: Direction,
        read: Read<'_, Arc<Snapshot>>,
        mut options: ReadOptions,
    ) -> Result<Self> {
        if !range.start.is_empty() {
            options.set_iterate_lower_bound(&*range.start);
        }
        if let Some(end) = &range.end {
            options.set_iterate_upper_bound(&**end);
        }
        let mut iter = Iter::new(partition, options, read.at);
        match direction {
            Direction::Forward => iter.get_mut().seek_to_first(),
            Direction::Reverse => iter.get_mut().seek_to_last(),
        }
        let overlay = partition.overlay().map(|overlay| {
            Box::new(OverlayCursor::new(overlay.rows(), range, direction, &mut iter))
        });
        let cursor = Self { iter, direction, overlay };
        cursor.status()?;
        Ok(cursor)
    }
}

impl Cursor for RocksDbCursor {
    #[inline]
    fn row(&self) -> Option<(&[u8], &[u8])> {
        match &self.overlay {
            None => self.iter.row(),
            Some(overlay) => overlay.row(&self.iter),
        }
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        match &self.overlay {
            None => self.iter.key(),
            Some(overlay) => overlay.key(&self.iter),
        }
    }

    #[inline]
    fn advance(&mut self) {
        match &mut self.overlay {
            None => self.iter.advance(self.direction),
            Some(overlay) => overlay.advance(&mut self.iter),
        }
    }

    fn status(&self) -> Result<()> {
        self.iter.get().status().map_err(context("a scan ended early"))
    }
}

impl FileRows for Iter {
    #[inline]
    fn row(&self) -> Option<(&[u8], &[u8])> {
        self.get().item()
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        self.get().key()
    }

    #[inline]
    fn advance(&mut self, direction: Direction) {
        match direction {
            Direction::Forward => self.get_mut().next(),
            Direction::Reverse => self.get_mut().prev(),
        }
    }

    fn pass(&mut self, start: &[u8], end: &[u8], direction: Direction) {
        match direction {
            Direction::Forward => self.get_mut().seek(end),
            Direction::Reverse => {
                self.get_mut().seek_for_prev(start);
                if self.get().key() == Some(start) {
                    self.get_mut().prev();
                }
            }
        }
    }

    fn is_failed(&self) -> bool {
        self.get().status().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::super::overlay::tests::{Change, any_changes, any_key};
    use super::super::{Resources, RocksDb};
    use super::*;
    use crate::engine::{Engine, EngineOptions, WriteBatch as _};
    use crate::log::{CommitLog, CopyOptions, LogAccess, LogDamage, LogOptions};
    use crate::topology::PartitionName;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

    const NAME: PartitionName = PartitionName { id: crate::PartitionId(1), generation: 0 };

    /// Makes a shard whose rows are in files, and opens it read-only.
    fn read_only(directory: &Path, rows: &Rows) -> RocksDb {
        let resources = Resources::new(&EngineOptions::small(LogDamage::Refuse), 1);
        let log = CommitLog::open(LogOptions {
            copies: vec![CopyOptions::only(directory.join("log"))],
            record: None,
            store: 1,
            access: LogAccess::default(),
            damage: LogDamage::Refuse,
            must_exist: false,
            segment_bytes: 1 << 20,
            keep_bytes: 0,
            hold: false,
            guard: None,
            clock: Arc::new(crate::clock::HybridClock::new(Arc::new(crate::clock::SystemClock))),
        });
        let data = directory.join("data");
        let db = RocksDb::open(&data, &resources, None, &log.unwrap()).unwrap();
        let partition = db.create_partition(NAME).unwrap();
        rows.iter().for_each(|(key, value)| db.put(&partition, key, value).unwrap());
        db.flush().unwrap();
        drop((db, partition));
        RocksDb::open_read_only(&data, &resources, None).unwrap()
    }

    /// Applies changes as a replay may: in batches and one by one.
    fn apply(db: &RocksDb, changes: &[Change], at_once: usize) {
        let partition = db.partition(NAME).unwrap();
        for changes in changes.chunks(at_once) {
            let mut batch = db.batch();
            for change in changes {
                match change {
                    Change::Put(key, value) if at_once == 1 => {
                        db.put(&partition, key, value).unwrap();
                    }
                    Change::Delete(key) if at_once == 1 => db.delete(&partition, key).unwrap(),
                    Change::Put(key, value) => batch.put(&partition, key, value),
                    Change::Delete(key) => batch.delete(&partition, key),
                    Change::DeleteRange(start, end) => batch.delete_range(&partition, start, end),
                }
            }
            db.write(batch).unwrap();
        }
    }

    fn scan(
        db: &RocksDb,
        range: &KeyRange,
        direction: Direction,
        read: Read<'_, Arc<Snapshot>>,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut cursor = db.cursor(&db.partition(NAME).unwrap(), range, direction, read).unwrap();
        let mut rows = Vec::new();
        while let Some((key, value)) = cursor.row() {
            rows.push((key.to_vec(), value.to_vec()));
            cursor.advance();
        }
        cursor.status().unwrap();
        rows
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_shard_that_is_open_read_only_shows_its_files_and_what_is_replayed(
            mut rows in btree_map(any_key(), any_key(), 0..40),
            changes in any_changes(),
            at_once in 1_usize..5,
            asked in vec(any_key(), 0..20),
            start in any_key(),
            end in prop::option::of(any_key()),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let db = read_only(directory.path(), &rows);
            let partition = db.partition(NAME).unwrap();
            let before = db.usage(&partition).unwrap().bytes_in_memory;
            apply(&db, &changes, at_once);
            changes.iter().for_each(|change| change.apply_to_model(&mut rows));
            let after = db.usage(&partition).unwrap().bytes_in_memory;
            let grows = changes.iter().any(|change| matches!(change, Change::Put(..)));
            prop_assert!(after > before || !grows);

            let snapshot = db.snapshot().unwrap();
            let of_snapshot = Read { at: Some(&snapshot), ..Read::PRESENT };
            let keys: Vec<&[u8]> = asked.iter().map(Vec::as_slice).collect();
            let mut range = KeyRange::new(start, end);
            if range.is_empty() {
                range.end = Some(range.start.clone());
            }
            for read in [Read::PRESENT, of_snapshot] {
                let found = db.get_many(&partition, &keys, read).unwrap();
                for (key, found) in keys.iter().zip(found) {
                    let expected = rows.get(*key).map(Vec::as_slice);
                    prop_assert_eq!(found.as_deref(), expected);
                    let found = db.get(&partition, key, read).unwrap();
                    prop_assert_eq!(found.as_deref(), expected);
                }
                for range in [KeyRange::whole(), range.clone()] {
                    let inside = rows.iter().filter(|(key, _)| range.contains(key));
                    let mut inside: Vec<_> =
                        inside.map(|(key, value)| (key.clone(), value.clone())).collect();
                    prop_assert_eq!(&scan(&db, &range, Direction::Forward, read), &inside);
                    inside.reverse();
                    prop_assert_eq!(&scan(&db, &range, Direction::Reverse, read), &inside);
                }
            }
            prop_assert!(db.put(&partition, b"late", b"").is_err(), "it was read");
        }
    }
}
