//! Goal: a store that is opened read-only shows its content, changes nothing and refuses what
//! would. Method: the content and the times of all files are compared before and after, and what is
//! read with what was written.

use crate::basic::{both, quick_store, reopen, small, store};
use annulus::topology::KeyspaceSpec;
use annulus::{
    Batch, CreateMode, Durability, ErrorKind, PartitionId, Result, Scan, ScanOptions, ShardId,
    ShardSpec, Store,
};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
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

/// Returns the place of a content in the log: the file, and the offset of the first byte.
fn in_log(path: &Path, content: &str) -> (PathBuf, u64) {
    let files = fs::read_dir(path.join("log")).unwrap().map(|entry| entry.unwrap().path());
    let places = files.filter_map(|file| {
        let bytes = fs::read(&file).unwrap();
        let mut windows = bytes.windows(content.len());
        let offset = windows.position(|window| window == content.as_bytes())?;
        Some((file, offset as u64))
    });
    let places: Vec<_> = places.collect();
    assert_eq!(places.len(), 1, "{content} is in {places:?}");
    places.into_iter().next().unwrap()
}

/// Leaves of a record what a power cut may: zeros in the place of a content and of what follows.
fn tear(path: &Path, content: &str) {
    let (file, offset) = in_log(path, content);
    let bytes = fs::metadata(&file).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(&vec![0; usize::try_from(bytes - offset).unwrap()], offset).unwrap();
}

/// Rows in files and rows in the log, a batch over all shards, and a torn end.
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
    keyspaces[0].put("torn", "what a power cut takes").unwrap();
    drop((store, keyspaces));
    let path = directory.path().join("store");
    tear(&path, "what a power cut takes");
    let before = listing(&path);
    // RocksDB makes the file of a log, but nothing gets into it.
    let in_shard_logs: usize = before
        .iter()
        .filter(|(file, _)| file.starts_with(path.join("shards")))
        .filter(|(file, _)| file.extension().is_some_and(|kind| kind == "log"))
        .map(|(_, (_, content))| content.len())
        .sum();
    assert_eq!(in_shard_logs, 0);

    let (store, second) = (open_read_only(&path).unwrap(), open_read_only(&path).unwrap());
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

/// A power cut has taken one part of a batch, which had not been synced. It is nowhere, in whatever
/// way the store is opened: a read-only opening reports the loss, and leaves the log as it is.
#[test]
fn a_batch_that_was_cut_is_nowhere() {
    let (directory, store) = store();
    let path = directory.path().join("store");
    let keyspaces = both(&store);
    keyspaces.iter().for_each(|keyspace| keyspace.put("before", "synced").unwrap());
    store.sync().unwrap();
    let mut batch = Batch::new();
    for n in 0..50 {
        keyspaces.iter().for_each(|keyspace| batch.put(keyspace, n.to_string(), "batch"));
    }
    batch.put(&keyspaces[1], "last", "what the power cut takes");
    store.write(batch).unwrap();
    drop((store, keyspaces));
    tear(&path, "what the power cut takes");
    let before = listing(&path);
    let shows_none_of_it = |store: &Store| {
        for keyspace in both(store) {
            assert_eq!(keyspace.get("before").unwrap().unwrap(), "synced");
            assert_eq!(keyspace.scan(..).unwrap().count(), 1);
        }
    };
    let reader = open_read_only(&path).unwrap();
    assert_eq!(reader.recovery().lost.len(), 1, "{:?}", reader.recovery());
    shows_none_of_it(&reader);
    drop(reader);
    assert!(listing(&path) == before, "something was changed");

    let store = reopen(&directory);
    assert_eq!(store.recovery().lost.len(), 1, "{:?}", store.recovery());
    shows_none_of_it(&store);
    drop(store);
    let reader = open_read_only(&path).unwrap();
    assert_eq!(reader.recovery().lost, []);
    shows_none_of_it(&reader);
}

type Model = BTreeMap<String, String>;

/// Writes at random to a store and to models of its keyspaces: batches, each a few puts, deletes
/// and ranges, and single writes.
fn churn(store: &Store, models: &mut [Model; 2], random: &mut fastrand::Rng, writes: u32) {
    let keyspaces = both(store);
    let key = |random: &mut fastrand::Rng| format!("{}{}", random.lowercase(), random.u8(..8));
    for write in 0..writes {
        let (mut batch, single) = (Batch::new(), random.bool());
        for _ in 0..if single { 1 } else { random.u32(2..6) } {
            let which = random.usize(..2);
            let (keyspace, model, one) = (&keyspaces[which], &mut models[which], key(random));
            match random.u8(..10) {
                0 => {
                    let other = key(random);
                    let range = one.clone().min(other.clone())..one.max(other);
                    model.retain(|key, _| !range.contains(key));
                    let range = range.start.as_str()..range.end.as_str();
                    match single {
                        true => keyspace.delete_range(range).unwrap(),
                        false => batch.delete_range(keyspace, range),
                    }
                }
                1..=3 => {
                    model.remove(&one);
                    match single {
                        true => keyspace.delete(one).unwrap(),
                        false => batch.delete(keyspace, one),
                    }
                }
                _ => {
                    let value = write.to_string();
                    model.insert(one.clone(), value.clone());
                    match single {
                        true => keyspace.put(one, value).unwrap(),
                        false => batch.put(keyspace, one, value),
                    }
                }
            }
        }
        if !single {
            store.write(batch).unwrap();
        }
    }
}

/// Checks that a store has the rows of models, and no others, in whatever way they are read.
fn shows(store: &Store, models: &[Model; 2]) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let rows = |scan: Result<Scan>| -> Vec<(String, String)> {
        scan.unwrap().map(Result::unwrap).map(|(key, value)| (text(&key), text(&value))).collect()
    };
    let owned = |row: (&String, &String)| (row.0.clone(), row.1.clone());
    let keys = ('a'..='z').flat_map(|letter| (0..9).map(move |n| format!("{letter}{n}")));
    let keys: Vec<String> = keys.collect();
    let (snapshot, reverse) = (store.snapshot().unwrap(), ScanOptions::new().reverse(true));
    for (keyspace, model) in both(store).iter().zip(models) {
        let all: Vec<_> = model.iter().map(owned).collect();
        let mut part: Vec<_> = model.range("c3".to_owned().."o".to_owned()).map(owned).collect();
        assert_eq!(rows(keyspace.scan(..)), all);
        assert_eq!(rows(snapshot.scan(keyspace, ..)), all);
        assert_eq!(rows(keyspace.scan("c3".."o")), part);
        part.reverse();
        assert_eq!(rows(keyspace.scan_with("c3".."o", reverse)), part);
        let found = keyspace.get_many(&keys).unwrap();
        for (key, found) in keys.iter().zip(found) {
            let expected = model.get(key).map(|value| value.as_bytes());
            assert_eq!(found.as_deref(), expected, "{key}");
            assert_eq!(keyspace.get(key).unwrap().as_deref(), expected, "{key}");
            assert_eq!(snapshot.get(keyspace, key).unwrap().as_deref(), expected, "{key}");
        }
    }
}

/// What a store that was dropped has acknowledged is in its files and in its log, which come
/// together: deletes and ranges in the log hide rows in files.
#[test]
fn a_store_that_was_dropped_is_shown_with_all_that_it_acknowledged() {
    for seed in 0..6_u32 {
        let mut random = fastrand::Rng::with_seed(seed.into());
        let (directory, store) = quick_store();
        let mut models = [Model::new(), Model::new()];
        churn(&store, &mut models, &mut random, 300);
        if seed > 0 {
            store.flush().unwrap();
        }
        churn(&store, &mut models, &mut random, 20 * seed);
        drop(store);
        let path = directory.path().join("store");
        let before = listing(&path);
        let reader = open_read_only(&path).unwrap();
        assert_eq!(reader.recovery().lost, []);
        shows(&reader, &models);
        assert!(reader.verify().unwrap().is_sound());
        drop(reader);
        assert!(listing(&path) == before, "something was changed");
        shows(&reopen(&directory), &models);
    }
}
