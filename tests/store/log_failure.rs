//! Goal: a log that could not be synced is not trusted until an opening has read it. Method: the
//! descriptors of the log's files are replaced by that of a pipe, which cannot be synced, and then
//! restored: the operating system, too, reports such an error only once.

use crate::basic::{both, reopen, store};
use crate::reshape::{elsewhere, fill, rows};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Durability, Error, ErrorKind, Keyspace, ShardId, Store};
use std::collections::BTreeSet;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// Returns the descriptors of files of the log.
fn descriptors(store: &Store) -> Vec<i32> {
    let log = store.path().canonicalize().unwrap().join("log");
    let open = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let of_log = open.filter(|fd| {
        std::fs::read_link(fd).is_ok_and(|file| file.starts_with(&log) && file != log)
    });
    of_log.map(|fd| fd.file_name().unwrap().to_str().unwrap().parse().unwrap()).collect()
}

/// Runs `act` while the log cannot be synced.
fn unsynced<R>(store: &Store, act: impl FnOnce() -> R) -> R {
    let descriptors = descriptors(store);
    assert!(!descriptors.is_empty());
    let (_reader, writer) = std::io::pipe().unwrap();
    let replaced = descriptors.into_iter().map(|descriptor| {
        // SAFETY: the log has it open as long as the store is, and closes it: it is not closed here.
        let mut descriptor = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(descriptor) });
        let kept = descriptor.try_clone().unwrap();
        rustix::io::dup2(&writer, &mut descriptor).unwrap();
        (descriptor, kept)
    });
    let replaced: Vec<_> = replaced.collect();
    let result = act();
    for (mut descriptor, kept) in replaced {
        rustix::io::dup2(&kept, &mut descriptor).unwrap();
        assert!(descriptor.as_raw_fd() >= 0);
    }
    result
}

/// Returns keys of all shards.
fn spread(keyspace: &Keyspace) -> Vec<String> {
    let keys: Vec<String> = (0..12).map(|n| format!("{}key", char::from(b'a' + 2 * n))).collect();
    let placement = keyspace.placement();
    let partitioning = placement.partitioning();
    let shards: BTreeSet<ShardId> = keys
        .iter()
        .filter_map(|key| partitioning.owner(partitioning.find(key.as_bytes())))
        .collect();
    assert_eq!(shards.len(), 3);
    keys
}

/// Checks that an error says what happened to the log and what to do.
fn says_what_to_do(error: &Error) {
    let text = format!("{error:#}");
    assert_eq!(error.kind(), ErrorKind::Io, "{text}");
    assert!(text.contains("log") && text.contains("open the store again"), "{text}");
}

/// The operating system reports an error of a sync once and then takes what was lost for clean, so
/// that a second sync would succeed (A. Rebello et al., "Can Applications Recover from fsync
/// Failures?", USENIX ATC 2020).
#[test]
fn a_sync_after_one_that_failed_is_no_success() {
    let (directory, store) = store();
    let [hash, range] = both(&store);
    let keys = spread(&hash);
    keys.iter().for_each(|key| hash.put(key, "acknowledged").unwrap());
    let refused = unsynced(&store, || hash.put_with(&keys[0], "not", Durability::Synced));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Io);
    says_what_to_do(&store.sync().unwrap_err());
    // Nothing of it can be seen, and everything else can be read.
    for key in &keys {
        assert_eq!(hash.get(key).unwrap().unwrap(), "acknowledged");
    }
    assert_eq!(hash.scan(..).unwrap().count(), keys.len());
    assert_eq!(store.snapshot().unwrap().get(&hash, &keys[0]).unwrap().unwrap(), "acknowledged");
    // No write is accepted, whichever partition it is of.
    for key in &keys {
        says_what_to_do(&hash.put(key, "later").unwrap_err());
        says_what_to_do(&range.delete(key).unwrap_err());
    }
    let mut batch = Batch::new();
    keys.iter().for_each(|key| batch.put(&hash, key, "later"));
    says_what_to_do(&store.write(batch).unwrap_err());
    says_what_to_do(&hash.delete_range(..).unwrap_err());
    says_what_to_do(&hash.put_if_absent("new", "later").unwrap_err());
    // Nothing that may be lost gets into a file, or is relied on by a commit.
    assert_eq!(store.flush().unwrap_err().kind(), ErrorKind::Io);
    let refused = store.create_keyspace("new", KeyspaceSpec::hash()).map(drop);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(store.close().unwrap_err().kind(), ErrorKind::Io);
    drop((hash, range, store));
    let store = reopen(&directory);
    let [hash, range] = both(&store);
    for (n, key) in keys.iter().enumerate() {
        let value = hash.get(key).unwrap().unwrap();
        // The one that failed may be there: it is in doubt.
        assert!(value == "acknowledged" || (n == 0 && value == "not"), "{key}: {value:?}");
    }
    assert_eq!(range.scan(..).unwrap().count(), 0);
    assert!(store.keyspace("new").is_err());
    hash.put(&keys[0], "later").unwrap();
    store.sync().unwrap();
    store.close().unwrap();
    drop((hash, range, store));
    let store = reopen(&directory);
    assert_eq!(both(&store)[0].get(&keys[0]).unwrap().unwrap(), "later");
}

/// A batch over shards whose sync fails is in doubt as a whole: the next opening has all of it or
/// nothing. Until then no partition leaves its shard.
#[test]
fn a_batch_whose_sync_has_failed_is_whole_or_not_there() {
    let (directory, store) = store();
    let [hash, _] = both(&store);
    fill(&store, &hash);
    let keys = spread(&hash);
    let before = rows(&hash);
    let refused = unsynced(&store, || {
        let mut batch = Batch::new();
        keys.iter().for_each(|key| batch.put(&hash, key, "half"));
        store.write_with(batch, Durability::Synced)
    });
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(rows(&hash), before);
    let partition = hash.stats().unwrap()[0].clone();
    let to = elsewhere(partition.owner);
    let refused = store.move_partition(partition.id, to).unwrap().wait().unwrap_err();
    says_what_to_do(&refused);
    assert_eq!(rows(&hash), before);
    drop((hash, store));
    let store = reopen(&directory);
    let [hash, _] = both(&store);
    let there = |key: &String| hash.get(key).unwrap().is_some_and(|value| value == "half");
    let found: BTreeSet<bool> = keys.iter().map(there).collect();
    assert_eq!(found.len(), 1, "the batch is cut");
    if !there(&keys[0]) {
        assert_eq!(rows(&hash), before);
    }
    store.move_partition(partition.id, to).unwrap().wait().unwrap();
    assert!(store.verify().unwrap().is_sound());
}

/// Threads that wait for one sync together all learn that it failed, and none of their writes is
/// seen.
#[test]
fn all_that_wait_for_a_sync_learn_that_it_failed() {
    let (directory, store) = store();
    let [hash, _] = both(&store);
    hash.put("before", "acknowledged").unwrap();
    let acknowledged = unsynced(&store, || {
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|n| {
                    let hash = &hash;
                    scope.spawn(move || {
                        hash.put_with(format!("waits {n}"), "v", Durability::Synced).is_ok()
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).filter(|done| *done).count()
        })
    });
    assert_eq!(acknowledged, 0);
    assert_eq!(hash.scan(..).unwrap().count(), 1);
    drop((hash, store));
    let store = reopen(&directory);
    assert_eq!(both(&store)[0].get("before").unwrap().unwrap(), "acknowledged");
}
