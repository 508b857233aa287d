//! Goal: what a store that was not closed has only in its log is there after the next opening, as it
//! was written and where it belongs by then, and nothing is read that need not be. Method: stores
//! are dropped, or killed, or closed, after one kind of change each, and opened.

use crate::basic::{both, reopen, small, store};
use crate::churn::quick_directory;
use crate::reshape::{elsewhere, fill, rows};
use annulus::planner::SplitAt;
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Durability, ErrorKind, Prefix, ShardId, Store};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn an_opening_replays_after_a_drop_and_not_after_a_close() {
    let (directory, store) = store();
    let keyspaces = both(&store);
    for keyspace in &keyspaces {
        (0..100).for_each(|n| keyspace.put(n.to_string(), "v").unwrap());
        keyspace.delete_range(Prefix::new("9")).unwrap();
    }
    let before = keyspaces.each_ref().map(rows);
    drop((keyspaces, store));
    for _ in 0..2 {
        let store = reopen(&directory);
        assert!(store.recovery().replayed.records >= 202, "{:?}", store.recovery());
        assert_eq!(both(&store).each_ref().map(rows), before);
    }
    let store = reopen(&directory);
    store.close().unwrap();
    drop(store);
    let store = reopen(&directory);
    assert_eq!(store.recovery().replayed.records, 0, "{:?}", store.recovery());
    assert_eq!(both(&store).each_ref().map(rows), before);
    drop(store);
    // Nothing was written since.
    let store = reopen(&directory);
    assert_eq!(store.recovery().replayed.records, 0, "{:?}", store.recovery());
}

const DIRECTORY: &str = "ANNULUS_TEST_REPLAY_DIRECTORY";
const SHARDS: u32 = 4;

fn four_shards(directory: &Path) -> Store {
    let options = small().heat(None);
    Store::builder(directory.join("store")).shards(SHARDS).options(options).open().unwrap()
}

/// Not a test in itself: writes batches over all shards until it is killed.
#[test]
fn batching_child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let store = four_shards(&directory);
    let keyspaces = both(&store);
    let owners = |keyspace: &annulus::Keyspace| {
        let placement = keyspace.placement();
        placement.partitions().map(|partition| partition.owner).collect::<BTreeSet<ShardId>>()
    };
    assert_eq!(owners(&keyspaces[0]).len(), SHARDS as usize);
    let padding = vec![b'.'; 2000];
    std::fs::write(directory.join("ready"), "").unwrap();
    for round in 0_u64.. {
        let mut batch = Batch::new();
        for keyspace in &keyspaces {
            for n in 0..24_u8 {
                let value = [&round.to_le_bytes(), &padding[..]].concat();
                batch.put(keyspace, format!("{}", char::from(b'a' + n)), value);
            }
        }
        store.write_with(batch, Durability::Buffered).unwrap();
    }
}

#[test]
fn batches_over_four_shards_are_whole_after_a_kill() {
    let directory = quick_directory();
    drop(both(&four_shards(directory.path())));
    let mut last = 0;
    for round in 0..6 {
        let _ = std::fs::remove_file(directory.path().join("ready"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "replay::batching_child", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while !directory.path().join("ready").exists() {
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(20 + 37 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = four_shards(directory.path());
        let all: Vec<Vec<u8>> = both(&store)
            .iter()
            .flat_map(|keyspace| keyspace.scan(..).unwrap().map(|row| row.unwrap().1))
            .collect();
        assert!(all.len() == 48 || all.is_empty(), "{} rows", all.len());
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "a batch is cut");
        last += all.len();
    }
    assert!(last > 0, "no child has written anything");
}

/// The log has what was written to keyspaces that are gone, also to one whose name is taken by
/// another one since.
#[test]
fn the_records_of_a_keyspace_that_is_gone_are_skipped() {
    let (directory, store) = store();
    let [hash, _] = both(&store);
    let gone = store.create_keyspace("gone", KeyspaceSpec::hash()).unwrap();
    let mut batch = Batch::new();
    for n in 0..100 {
        gone.put(n.to_string(), "old").unwrap();
        batch.put(&gone, format!("batch {n}"), "old");
        batch.put(&hash, format!("batch {n}"), "new");
    }
    store.write(batch).unwrap();
    store.drop_keyspace("gone").unwrap();
    drop(gone);
    let again = store.create_keyspace("gone", KeyspaceSpec::range()).unwrap();
    again.put("7", "new").unwrap();
    hash.put("last", "new").unwrap();
    drop((again, hash, store));
    for _ in 0..2 {
        let store = reopen(&directory);
        assert!(store.recovery().replayed.records > 0);
        assert!(store.recovery().orphans.is_empty(), "{:?}", store.recovery());
        let again = store.keyspace("gone").unwrap();
        let found: Vec<_> = again.scan(..).unwrap().map(Result::unwrap).collect();
        assert_eq!(found, [(b"7".to_vec(), b"new".to_vec())]);
        let [hash, _] = both(&store);
        assert_eq!(hash.scan(..).unwrap().count(), 101);
        assert!(store.verify().unwrap().is_sound());
    }
}

/// A keyspace that is created after many writes to others, and before more of them.
#[test]
fn a_keyspace_that_came_amid_the_writes_of_others_is_complete() {
    let (directory, store) = store();
    let keyspaces = both(&store);
    let write = |store: &Store, from: u32| {
        let mut batch = Batch::new();
        for keyspace in store.keyspaces() {
            for n in from..from + 50 {
                keyspace.put(n.to_string(), "single").unwrap();
                batch.put(&keyspace, format!("batch {n}"), "batch");
            }
        }
        store.write(batch).unwrap();
    };
    write(&store, 0);
    for n in 1..4 {
        store.create_keyspace(&format!("later {n}"), KeyspaceSpec::hash()).unwrap();
        write(&store, 100 * n);
        if n == 2 {
            store.flush().unwrap();
        }
    }
    let content = |store: &Store| {
        let all = store.keyspaces();
        all.iter().map(|one| (one.name().to_owned(), rows(one))).collect::<Vec<_>>()
    };
    let before = content(&store);
    assert_eq!(
        before.iter().map(|(_, rows)| rows.len()).sum::<usize>(),
        100 * (4 + 4 + 3 + 2 + 1 - 1) + 100
    );
    drop((keyspaces, store));
    for _ in 0..2 {
        assert_eq!(content(&reopen(&directory)), before);
    }
}

/// What was written before a move, a split and a merge is in the log under the partitions of then;
/// it goes to those of now.
#[test]
fn a_replay_knows_where_partitions_are_now() {
    let (directory, store) = store();
    let keyspaces = both(&store);
    for keyspace in &keyspaces {
        fill(&store, keyspace);
        let first = |n: usize| keyspace.stats().unwrap()[n].clone();
        let write = |round: u32| {
            for n in 0..26 {
                let key = format!("{}-{round}", char::from(b'a' + n));
                keyspace.put(&key, round.to_string()).unwrap();
                keyspace.put(format!("{}-last", char::from(b'a' + n)), round.to_string()).unwrap();
            }
            keyspace
                .delete_range("k-0".to_owned()..=format!("k-{}", round.saturating_sub(1)))
                .unwrap();
        };
        write(0);
        let moved = first(0);
        store.move_partition(moved.id, elsewhere(moved.owner)).unwrap().wait().unwrap();
        write(1);
        store.split(first(1).id, SplitAt::Middle).unwrap().wait().unwrap();
        write(2);
        store.merge(first(0).id, first(1).id).unwrap().wait().unwrap();
        write(3);
    }
    let before = keyspaces.each_ref().map(rows);
    drop((keyspaces, store));
    for _ in 0..2 {
        let store = reopen(&directory);
        assert_eq!(both(&store).each_ref().map(rows), before);
        let report = store.verify().unwrap();
        assert!(report.is_sound(), "{:?}", report.problems);
    }
}

/// Conditional writes are in the log as what they did, and what was refused is not.
#[test]
fn a_replay_after_every_kind_of_write_changes_nothing() {
    let (directory, store) = store();
    let keyspaces = both(&store);
    for keyspace in &keyspaces {
        fill(&store, keyspace);
        let swap = keyspace.compare_and_swap("swap", None, Some(b"1")).unwrap();
        assert!(swap.is_swapped());
        assert!(keyspace.compare_and_swap("swap", Some(b"1"), Some(b"2")).unwrap().is_swapped());
        assert!(!keyspace.compare_and_swap("swap", Some(b"1"), Some(b"3")).unwrap().is_swapped());
        assert!(keyspace.put_if_absent("absent", "1").unwrap().is_swapped());
        assert!(!keyspace.put_if_absent("absent", "2").unwrap().is_swapped());
        keyspace.put("", "the empty key").unwrap();
        keyspace.put([0xff; 40], "").unwrap();
        keyspace.delete_range("x".."y").unwrap();
        keyspace.put("x-later", "").unwrap();
        let long = vec![b'k'; 64 * 1024 + 1];
        assert_eq!(keyspace.put(long, "").unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    let before = keyspaces.each_ref().map(rows);
    drop((keyspaces, store));
    for _ in 0..3 {
        let store = reopen(&directory);
        assert_eq!(both(&store).each_ref().map(rows), before);
    }
}
