//! Shards and the log: what is in files, and what the log must still have.

use super::handles::ColumnFamily;
use super::stats::sealed_memtables;
use super::{Resources, RocksDb};
use crate::PartitionId;
use crate::engine::conformance::{Subject, conforms, log_in, wait_until};
use crate::engine::{Engine as _, EngineOptions, Read};
use crate::log::{CommitLog, LogDamage, Operation, Position};
use crate::topology::PartitionName;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ONE: PartitionName = PartitionName { id: PartitionId(1), generation: 0 };
const TWO: PartitionName = PartitionName { id: PartitionId(2), generation: 0 };

/// A directory with a log and a shard.
struct Fixture {
    directory: tempfile::TempDir,
    resources: Resources,
    log: Arc<CommitLog>,
}

impl Fixture {
    fn new() -> Self {
        Self::with_write_buffer(64 << 20)
    }

    fn with_write_buffer(bytes: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options =
            EngineOptions { write_buffer_bytes: bytes, ..EngineOptions::small(LogDamage::Refuse) };
        let log = log_in(directory.path());
        Self { directory, resources: Resources::new(&options, 1), log }
    }

    /// A fixture, its shard, and a partition of it.
    fn with_partition() -> (Self, RocksDb, Arc<ColumnFamily>) {
        let fixture = Self::new();
        let db = fixture.open();
        let one = db.create_partition(ONE).unwrap();
        (fixture, db, one)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn open(&self) -> RocksDb {
        RocksDb::open(&self.data(), &self.resources, None, &self.log).unwrap()
    }

    /// Writes as a store does. Returns where the record begins.
    fn put(
        &self,
        db: &RocksDb,
        partition: &Arc<ColumnFamily>,
        key: &[u8],
        value: &[u8],
    ) -> Position {
        let keyspace = crate::KeyspaceId(1);
        let record = Operation::Put { keyspace, key, value };
        let record = self.log.append(std::iter::once(record)).unwrap();
        db.put(partition, key, value).unwrap();
        record.start()
    }
}

/// A shard in a directory.
pub(super) struct InDirectory {
    home: PathBuf,
    resources: Resources,
}

impl Subject for InDirectory {
    type Engine = RocksDb;

    fn new(directory: &Path, write_buffer_bytes: usize) -> Self {
        let home = directory.join("shard");
        std::fs::create_dir(&home).unwrap();
        std::fs::write(home.join("SHARD"), "").unwrap();
        let options =
            EngineOptions { write_buffer_bytes, ..EngineOptions::small(LogDamage::Refuse) };
        Self { home, resources: Resources::new(&options, 1) }
    }

    fn open(&self, log: &Arc<CommitLog>) -> RocksDb {
        RocksDb::open(&self.home.join("data"), &self.resources, None, log).unwrap()
    }

    fn is_there(&self) -> bool {
        self.home.join("data").exists() || self.home.join("SHARD").exists()
    }

    fn retire(&self, shard: &RocksDb) {
        shard.retire(&self.home.join("SHARD"));
    }
}

mod conformance {
    super::conforms!(crate::engine::rocksdb::tests::InDirectory);
}

fn tables(directory: &Path) -> Vec<PathBuf> {
    let entries = directory.read_dir().unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|kind| kind == "sst")).collect()
}

#[test]
fn a_shard_needs_the_log_from_its_oldest_write_in_memory() {
    let fixture = Fixture::new();
    let db = fixture.open();
    assert_eq!(db.unflushed_from(), fixture.log.end());
    let one = db.create_partition(ONE).unwrap();
    let two = db.create_partition(TWO).unwrap();
    let first = fixture.put(&db, &one, b"a", b"1");
    let second = fixture.put(&db, &two, b"a", b"1");
    assert!(first < second);
    assert!(db.unflushed_from() <= first);
    db.flush_partition(&one).unwrap();
    assert!((first..=second).contains(&db.unflushed_from()));
    db.flush().unwrap();
    assert_eq!(db.unflushed_from(), fixture.log.end());
    let third = fixture.put(&db, &one, b"b", b"1");
    let from = db.unflushed_from();
    assert!(second < from && from <= third);
    // The other one is empty, and holds nothing back; one that is dropped does not either.
    db.drop_partition(ONE).unwrap();
    assert_eq!(db.unflushed_from(), fixture.log.end());
}

#[test]
fn the_log_is_synced_before_a_table_exists() {
    let (fixture, db, one) = Fixture::with_partition();
    fixture.put(&db, &one, b"a", b"1");
    let end = fixture.log.end();
    assert!(fixture.log.synced() < end);
    db.flush().unwrap();
    assert_eq!(tables(&fixture.data()).len(), 1);
    assert!(fixture.log.synced() >= end);
}

/// The file is written, but not installed; and no later flush is.
#[test]
#[cfg(feature = "failpoints")]
fn a_log_that_cannot_be_synced_keeps_tables_away() {
    let (fixture, db, one) = Fixture::with_partition();
    fixture.put(&db, &one, b"a", b"1");
    let failing = fixture.data().join("FAIL-log-before-files");
    std::fs::write(&failing, "").unwrap();
    let before = db.unflushed_from();
    assert_eq!(db.flush().unwrap_err().kind(), crate::ErrorKind::Closed);
    std::fs::remove_file(failing).unwrap();
    db.flush().unwrap_err();
    assert!(db.db.live_files().unwrap().is_empty());
    assert_eq!(db.unflushed_from(), before);
    assert!(db.get(&one, b"a", Read::PRESENT).unwrap().is_some(), "it is in memory still");
    drop((one, db));
    let db = fixture.open();
    let one = db.partition(ONE).unwrap();
    assert!(db.get(&one, b"a", Read::PRESENT).unwrap().is_none());
    assert_eq!(tables(&fixture.data()), [] as [PathBuf; 0]);
}

#[test]
fn what_was_not_flushed_is_left_to_the_log() {
    let (fixture, db, one) = Fixture::with_partition();
    fixture.put(&db, &one, b"a", b"1");
    db.flush().unwrap();
    fixture.put(&db, &one, b"b", b"1");
    drop((one, db));
    let logs = super::wal::logs(&fixture.data()).unwrap();
    assert!(logs.iter().all(|(_, log)| std::fs::metadata(log).unwrap().len() == 0), "{logs:?}");
    // Nothing syncs their names, so a power cut may take them.
    logs.iter().for_each(|(_, log)| std::fs::remove_file(log).unwrap());
    let db = fixture.open();
    let one = db.partition(ONE).unwrap();
    assert!(db.get(&one, b"a", Read::PRESENT).unwrap().is_some());
    assert!(db.get(&one, b"b", Read::PRESENT).unwrap().is_none());
    assert_eq!(db.unflushed_from(), fixture.log.end(), "nothing is in memory");
}

/// The memtable is never empty here: the position comes from RocksDB's reports.
#[test]
fn a_flush_that_is_begun_moves_the_position_when_it_has_ended() {
    let (fixture, db, one) = Fixture::with_partition();
    let first = fixture.put(&db, &one, b"a", b"1");
    db.begin_flush_before(first).unwrap();
    assert_eq!(sealed_memtables(&db.db, &one), Some(0));
    assert_eq!(tables(&fixture.data()), [] as [PathBuf; 0], "nothing is from before that");
    db.begin_flush_before(fixture.log.end()).unwrap();
    let second = fixture.put(&db, &one, b"b", b"1");
    assert!(db.unflushed_from() <= second);
    wait_until(|| db.unflushed_from() > first);
    assert!(db.unflushed_from() <= second);
}

#[test]
fn a_memtable_that_is_full_moves_the_position() {
    let fixture = Fixture::with_write_buffer(4 << 20);
    let db = fixture.open();
    let one = db.create_partition(ONE).unwrap();
    let mut starts = Vec::new();
    for key in 0_u32..48 {
        starts.push(fixture.put(&db, &one, &key.to_be_bytes(), &[7; 64 << 10]));
    }
    wait_until(|| sealed_memtables(&db.db, &one) == Some(0));
    wait_until(|| db.unflushed_from() > *starts.first().unwrap());
    let from = db.unflushed_from();
    // What is before it is there without the log.
    drop((one, db));
    let db = fixture.open();
    let one = db.partition(ONE).unwrap();
    for (key, _) in (0_u32..).zip(starts).filter(|(_, start)| *start < from) {
        assert!(db.get(&one, &key.to_be_bytes(), Read::PRESENT).unwrap().is_some(), "{key}");
    }
}

/// Two files are too few for a compaction by themselves. Only those whose deletions are dense begin one.
#[test]
fn a_file_of_deletions_is_compacted_and_one_with_some_is_not() {
    let fixture = Fixture::new();
    let db = fixture.open();
    let dense = db.create_partition(ONE).unwrap();
    let sparse = db.create_partition(TWO).unwrap();
    let rows = || (0_u32..20_000).map(u32::to_be_bytes);
    for partition in [&dense, &sparse] {
        rows().for_each(|key| db.put(partition, &key, b"value").unwrap());
        db.flush_partition(partition).unwrap();
    }
    // The same number of deletions in each.
    for (index, key) in rows().enumerate() {
        if index < 10_000 {
            db.delete(&dense, &key).unwrap();
        }
        if index % 2 == 0 {
            db.delete(&sparse, &key).unwrap();
        } else {
            db.put(&sparse, &key, b"later").unwrap();
        }
    }
    db.flush_partition(&sparse).unwrap();
    db.flush_partition(&dense).unwrap();
    wait_until(|| tables(&fixture.data()).len() == 3);
    db.quiesce();
    assert_eq!(tables(&fixture.data()).len(), 3);
    assert_eq!(db.get(&dense, &7_u32.to_be_bytes(), Read::PRESENT).unwrap().as_deref(), None);
    let left = db.get(&dense, &10_000_u32.to_be_bytes(), Read::PRESENT).unwrap();
    assert_eq!(left.as_deref(), Some(&b"value"[..]));
}

/// A reshape's target: until it follows, no flush of it releases what it has yet to read.
#[test]
fn a_partition_that_catches_up_needs_the_whole_log() {
    let (fixture, db, one) = Fixture::with_partition();
    let log = &fixture.log;
    fixture.put(&db, &one, b"a", b"1");
    let two = db.link_partition(TWO, &one).unwrap();
    let birth = log.applied();
    fixture.put(&db, &one, b"b", b"1");
    db.flush().unwrap();
    assert_eq!(db.unflushed_from(), log.first());
    db.put(&two, b"b", b"1").unwrap();
    db.flush().unwrap();
    assert_eq!(db.unflushed_from(), log.first());
    db.follow(&two, birth);
    assert!(db.unflushed_from() >= birth);
    fixture.put(&db, &two, b"c", b"1");
    db.flush().unwrap();
    assert_eq!(db.unflushed_from(), log.end());
}

/// Opened a second time with other options, a database reports its flushes all the same.
#[test]
fn a_damaged_shard_syncs_the_log_before_files_too() {
    let (fixture, db, one) = Fixture::with_partition();
    let two = db.create_partition(TWO).unwrap();
    fixture.put(&db, &one, b"a", b"1");
    db.flush().unwrap();
    drop((one, two, db));
    let table = tables(&fixture.data()).pop().unwrap();
    let bytes = std::fs::metadata(&table).unwrap().len() as usize;
    std::fs::write(&table, vec![b'x'; bytes]).unwrap();
    let db = fixture.open();
    assert!(db.damaged().contains_key(&ONE));
    fixture.put(&db, &db.partition(TWO).unwrap(), b"a", b"1");
    let end = fixture.log.end();
    assert!(fixture.log.synced() < end);
    db.flush_partition(&db.partition(TWO).unwrap()).unwrap();
    assert!(fixture.log.synced() >= end);
}
