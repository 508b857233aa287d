//! Goal: a store that is opened read-only shows its content, changes nothing and refuses what
//! would. Method: the content and the times of all files are compared before and after.

use crate::basic::{both, reopen, small, store};
use annulus::topology::KeyspaceSpec;
use annulus::{
    Batch, CreateMode, Durability, ErrorKind, PartitionId, Result, ShardId, ShardSpec, Store,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub(crate) fn open_read_only(path: &Path) -> Result<Store> {
    Store::builder(path).options(small()).read_only(true).open()
}

/// Returns every file and directory, with its time of change and its content.
pub(crate) fn listing(directory: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let changed = fs::metadata(&path).unwrap().modified().unwrap();
        let content = if path.is_dir() {
            left.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        files.insert(path, (changed, content));
    }
    files
}

/// Returns the last log of a shard.
fn log(path: &Path, shard: u32) -> PathBuf {
    let files = fs::read_dir(path.join(format!("shards/{shard}/data"))).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|kind| kind == "log")).max().unwrap()
}

/// Rows in files and rows in logs, a batch that is not settled, and one torn log.
#[test]
fn a_store_that_is_read_only_is_read_and_stays_as_it_is() {
    let (directory, store) = store();
    let keyspaces = both(&store);
    for n in 0..100 {
        keyspaces.iter().for_each(|keyspace| keyspace.put(n.to_string(), "file").unwrap());
    }
    store.flush().unwrap();
    let mut batch = Batch::new();
    for n in 50..150 {
        keyspaces.iter().for_each(|keyspace| batch.put(keyspace, n.to_string(), "log"));
    }
    store.write(batch).unwrap();
    drop((store, keyspaces));
    let path = directory.path().join("store");
    let torn = log(&path, 1);
    let content = fs::read(&torn).unwrap();
    fs::write(&torn, [&content[..], b"\x11\x22\x33"].concat()).unwrap();
    let before = listing(&path);

    let (store, second) = (open_read_only(&path).unwrap(), open_read_only(&path).unwrap());
    assert_eq!(store.recovery().unfinished, 0, "all of the batch is there");
    assert_eq!(store.recovery().lost.len(), 1, "{:?}", store.recovery());
    for keyspace in both(&store) {
        assert_eq!(keyspace.get("7").unwrap().unwrap(), "file");
        assert_eq!(keyspace.get("77").unwrap().unwrap(), "log");
        assert_eq!(keyspace.scan(..).unwrap().count(), 150);
        let snapshot = store.snapshot().unwrap();
        assert_eq!(snapshot.get(&keyspace, "149").unwrap().unwrap(), "log");
        assert_eq!(snapshot.scan(&keyspace, ..).unwrap().count(), 150);
    }
    assert!(store.verify().unwrap().is_sound());
    assert_eq!(store.stats().unwrap().shards.len(), 3);
    assert_eq!(store.reshape_history().unwrap(), []);
    let _ = store.heat();
    second.close().unwrap();
    drop((store, second));
    assert!(listing(&path) == before, "something was changed");

    let store = reopen(&directory);
    assert!(both(&store).iter().all(|keyspace| keyspace.scan(..).unwrap().count() == 150));
}

#[test]
fn what_would_change_a_store_that_is_read_only_is_refused() {
    let (directory, store) = store();
    let partition = both(&store)[1].placement().partitions().next().unwrap().id;
    both(&store)[1].put("a", "1").unwrap();
    store.close().unwrap();
    drop(store);
    let path = directory.path().join("store");
    let before = listing(&path);
    let store = open_read_only(&path).unwrap();
    let [_, range] = both(&store);
    let mut batch = Batch::new();
    batch.put(&range, "a", "2");
    let refused = [
        range.put("a", "2"),
        range.put_with("a", "2", Durability::Synced),
        range.delete("a"),
        range.delete_range(.."z"),
        range.put_if_absent("b", "2").map(drop),
        range.compare_and_swap("a", Some(b"1"), Some(b"2")).map(drop),
        store.write(batch),
        store.create_keyspace("new", KeyspaceSpec::hash()).map(drop),
        store.drop_keyspace("range"),
        store.move_partition(partition, ShardId(2)).map(drop),
        store.merge(partition, PartitionId(partition.0 + 1)).map(drop),
        store.add_shard(ShardSpec::new("shards/3")).map(drop),
        store.remove_shard(ShardId(0)).map(drop),
        store.set_weight(ShardId(0), 3).map(drop),
        store.sync(),
        store.flush(),
    ];
    for (number, refused) in refused.into_iter().enumerate() {
        let error = refused.expect_err(&format!("call {number}"));
        assert_eq!(error.kind(), ErrorKind::ReadOnly, "call {number}: {error}");
        assert!(format!("{error:#}").contains(path.to_str().unwrap()), "{error:#}");
    }
    assert_eq!(range.get("a").unwrap().unwrap(), "1");
    store.close().unwrap();
    drop((store, range));
    assert!(listing(&path) == before, "something was changed");
}

/// Nothing is created, either.
#[test]
fn a_store_that_is_not_there_is_not_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    assert_eq!(open_read_only(&path).unwrap_err().kind(), ErrorKind::NotFound);
    let builder = Store::builder(&path).create(CreateMode::New).read_only(true);
    assert_eq!(builder.open().unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(!path.exists());
}

/// A store that is open is seen as it is then, and continues undisturbed.
#[test]
fn a_store_that_is_open_elsewhere_is_read() {
    let (directory, store) = store();
    let path = directory.path().join("store");
    let [hash, _] = both(&store);
    hash.put("a", "1").unwrap();
    let reader = open_read_only(&path).unwrap();
    hash.put("b", "1").unwrap();
    let seen = reader.keyspace("hash").unwrap();
    assert_eq!(seen.get("a").unwrap().unwrap(), "1");
    assert!(seen.get("b").unwrap().is_none());
    let reader = open_read_only(&path).unwrap();
    assert_eq!(reader.keyspace("hash").unwrap().get("b").unwrap().unwrap(), "1");
    drop((reader, seen));
    store.create_keyspace("later", KeyspaceSpec::hash()).unwrap().put("a", "1").unwrap();
    store.close().unwrap();
}

/// A power cut has taken one part of a batch. An opening for writing applies it; a read-only one
/// cannot, and reports it.
#[test]
fn a_batch_that_was_cut_is_reported() {
    let (directory, store) = store();
    let path = directory.path().join("store");
    let keyspaces = both(&store);
    store.sync().unwrap();
    let (cut, kept) = (log(&path, 1), fs::metadata(log(&path, 1)).unwrap().len());
    let mut batch = Batch::new();
    for n in 0..50 {
        keyspaces.iter().for_each(|keyspace| batch.put(keyspace, n.to_string(), "batch"));
    }
    store.write_with(batch, Durability::Synced).unwrap();
    drop((store, keyspaces));
    fs::OpenOptions::new().write(true).open(cut).unwrap().set_len(kept).unwrap();
    let before = listing(&path);

    let reader = open_read_only(&path).unwrap();
    assert_eq!(reader.recovery().unfinished, 1);
    assert!(reader.keyspace("hash").unwrap().scan(..).unwrap().count() < 50);
    drop(reader);
    assert!(listing(&path) == before, "something was changed");

    drop(reopen(&directory));
    let reader = open_read_only(&path).unwrap();
    assert_eq!(reader.recovery().unfinished, 0);
    assert_eq!(reader.keyspace("hash").unwrap().scan(..).unwrap().count(), 50);
}
