//! Goal: a log that could not be synced is not trusted until an opening has read it. Method: the
//! descriptor of a shard's newest log is replaced by that of a pipe, which can be written and not
//! be synced, and then restored: the operating system, too, reports such an error only once.

use crate::basic::{both, reopen, store};
use crate::reshape::{elsewhere, fill};
use annulus::{Batch, Durability, ErrorKind, Keyspace, ShardId, Store};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::PathBuf;

/// Returns the newest log of a shard.
fn newest_log(store: &Store, shard: ShardId) -> PathBuf {
    let directory = store.path().join(&store.topology().shard(shard).unwrap().directory);
    let files = directory.join("data").read_dir().unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|kind| kind == "log")).max().unwrap()
}

/// Runs `act` while the newest log of a shard cannot be synced.
fn unsynced<R>(store: &Store, shard: ShardId, act: impl FnOnce() -> R) -> R {
    let log = newest_log(store, shard);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let descriptor = open
        .filter(|fd| std::fs::read_link(fd).is_ok_and(|file| file == log))
        .map(|fd| fd.file_name().unwrap().to_str().unwrap().parse::<i32>().unwrap())
        .next()
        .unwrap();
    // SAFETY: RocksDB has it open as long as the store is, and closes it: it is not closed here.
    let mut descriptor = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(descriptor) });
    let kept = descriptor.try_clone().unwrap();
    let (_reader, writer) = std::io::pipe().unwrap();
    rustix::io::dup2(&writer, &mut descriptor).unwrap();
    let result = act();
    rustix::io::dup2(&kept, &mut descriptor).unwrap();
    assert!(descriptor.as_raw_fd() >= 0);
    result
}

/// Returns two keys of one shard, and of two partitions.
fn neighbours(keyspace: &Keyspace) -> (ShardId, [String; 2]) {
    let placement = keyspace.placement();
    let partitioning = placement.partitioning();
    let place = |key: &String| {
        let partition = partitioning.find(key.as_bytes());
        (partitioning.owner(partition).unwrap(), partition)
    };
    let keys: Vec<String> = (0..200).map(|n| format!("key {n}")).collect();
    let (first, rest) = keys.split_first().unwrap();
    let (shard, partition) = place(first);
    let other = rest.iter().find(|key| place(key).0 == shard && place(key).1 != partition);
    (shard, [first.clone(), other.unwrap().clone()])
}

/// The operating system reports an error of a sync once and then takes what was lost for clean, so
/// that a second sync would succeed (A. Rebello et al., "Can Applications Recover from fsync
/// Failures?", USENIX ATC 2020).
#[test]
fn a_sync_after_one_that_failed_is_no_success() {
    let (directory, store) = store();
    let [hash, _] = both(&store);
    let (shard, [one, _]) = neighbours(&hash);
    hash.put(&one, "acknowledged").unwrap();
    let refused = unsynced(&store, shard, || hash.put_with(&one, "not", Durability::Synced));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Io);
    let error = store.sync().unwrap_err();
    let text = format!("{error:#}");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(text.contains("in doubt until the store is opened again"), "{text}");
    assert!(text.contains(&format!("shards/{shard}/")), "{text}");
    assert_eq!(store.close().unwrap_err().kind(), ErrorKind::Io);
    drop((hash, store));
    let store = reopen(&directory);
    let [hash, _] = both(&store);
    hash.put(&one, "later").unwrap();
    store.sync().unwrap();
    store.close().unwrap();
}

/// A past bug: a batch over two partitions of a shard failed at the sync of its log, and was in it.
/// One of the partitions moved to another shard without it; the next opening read the other half
/// back.
#[test]
fn a_shard_whose_log_has_failed_lets_no_partition_go() {
    let (directory, store) = store();
    let [hash, _] = both(&store);
    fill(&store, &hash);
    let (shard, keys) = neighbours(&hash);
    let refused = unsynced(&store, shard, || {
        let mut batch = Batch::new();
        keys.iter().for_each(|key| batch.put(&hash, key, "half"));
        store.write_with(batch, Durability::Synced)
    });
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Io);
    let placement = hash.placement();
    let id = placement.partition(placement.partitioning().find(keys[0].as_bytes())).unwrap().id;
    let to = elsewhere(shard);
    let refused = store.move_partition(id, to).unwrap().wait().unwrap_err();
    assert!(format!("{refused:#}").contains("in doubt until"), "{refused}");
    drop((hash, store));
    let store = reopen(&directory);
    let [hash, _] = both(&store);
    let there = |key: &String| hash.get(key).unwrap().is_some_and(|value| value == "half");
    assert_eq!(there(&keys[0]), there(&keys[1]));
    store.move_partition(id, to).unwrap().wait().unwrap();
    assert!(store.verify().unwrap().is_sound());
}
